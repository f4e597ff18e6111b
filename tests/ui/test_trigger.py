from __future__ import annotations

import sys
from typing import Any

import pytest

from hooknb import BasicAuth, Bearer, HeaderToken, Output, Response, Signature, Variable
from hooknb.ui import HookPanel
from hooknb.ui.draft.drafts import Row
from hooknb.workflow import define


class Panel(HookPanel):
    """A panel that counts how often it was poked, and looks at what came at once."""

    pokes = 0

    def poke(self) -> None:
        self.pokes += 1

    def publish(self) -> int:
        self.hook._flush()
        self.trigger._next_look = 0
        self.trigger._look()
        return 0


@pytest.fixture
def hook(runtime):
    return runtime.webhook(
        "payments",
        auth=BasicAuth("shop", "s3cret"),
        headers=["X-Request-Id"],
        query=["ref"],
        body=["status", Variable("amount", alias="Amount")],
    )


@pytest.fixture
def panel(hook):
    return Panel(hook)


@pytest.fixture
def tab(panel):
    return panel.trigger


def typed(field: Any, text: str) -> None:
    field._handle_custom_msg({"kind": "typed", "view": "v1", "text": text}, [])


def choose(choice: Any, at: int) -> None:
    choice._handle_custom_msg({"kind": "chosen", "view": "v1", "at": at}, [])


def told(rows: Any, kind: str, **content: Any) -> None:
    rows._handle_custom_msg({"kind": kind, "view": "v1", **content}, [])


def number(rows: Any, position: int) -> int:
    return rows._rows[position][0]


def test_one_press_of_apply_makes_one_definition(hook, panel, tab):
    typed(tab.general.fields["methods"], "POST, PUT")
    made = []

    def count(frame: Any, event: str, _value: Any) -> None:
        if event == "call" and frame.f_code is define.__code__:
            made.append(frame.f_back.f_code.co_qualname)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        tab.bar.apply.click()
    finally:
        sys.setprofile(before)
    assert hook.revision == 2
    assert made == ["apply_changes"]
    assert panel.draft.problems == ()
    assert not panel.draft.changed


# -- what is shown
# -----------------------------------------------------------------------------------------------


def test_the_forms_show_the_definition(tab):
    assert tab.general.mode.value is False
    assert {name: field.value for name, field in tab.general.fields.items()} == {
        "methods": "POST",
        "accept": "application/json",
        "max_body": "10 MiB",
        "timeout": "",
        "concurrency": "1",
        "keep_days": "",
        "keep_deliveries": "",
        "keep_bytes": "",
    }
    assert tab.security.basic.value is True
    assert tab.security.user.value == "shop"
    assert [row.path for row in tab.body.rows.rows] == ["status", "amount"]
    assert tab.response.status.value == "200"
    assert tab.response.body.value == "ok"
    assert tab.bar.apply.description == "Apply as revision 2"
    assert tab.bar.note.text == "no delivery yet to try the variables on"


def test_what_is_kept_is_typed_and_applied(hook, tab):
    fields = tab.general.fields
    typed(fields["keep_days"], "0")
    assert "is not a number of days above 0" in fields["keep_days"].error
    for name, text in (("keep_days", "7.5"), ("keep_deliveries", "1000"), ("keep_bytes", "2 GiB")):
        typed(fields[name], text)
        assert not fields[name].error
    tab.bar.apply.click()
    made = hook.workflow
    assert (made.keep_days, made.keep_deliveries, made.keep_bytes) == (7.5, 1000, 2 * 2**30)
    assert fields["keep_bytes"].value == "2 GiB"
    for name in ("keep_days", "keep_deliveries", "keep_bytes"):
        typed(fields[name], "")
    tab.bar.apply.click()
    made = hook.workflow
    assert (made.keep_days, made.keep_deliveries, made.keep_bytes) == (None, None, None)


def test_subpaths_and_the_status_while_switched_off_are_chosen_and_applied(hook, tab):
    subpaths, status = tab.general.choices["subpaths"], tab.general.choices["disabled_status"]
    assert (subpaths.value, status.value) == (False, 404)
    choose(subpaths, 1)
    choose(status, 2)
    tab.bar.apply.click()
    trigger = hook.workflow.trigger
    assert (hook.revision, trigger.subpaths, trigger.disabled_status) == (2, True, 503)
    hook.enabled = False
    assert hook.send().status == 503


@pytest.mark.parametrize(
    ("name", "help_text"),
    [("subpaths", "delivery.subpath"), ("disabled_status", "410 gone for good")],
)
def test_a_choice_of_the_trigger_says_what_it_does(tab, name, help_text):
    said = []
    choice = tab.general.choices[name]
    choice.say = lambda _kind, **content: said.append(content)
    choice._handle_custom_msg({"kind": "open", "view": "v1", "visible": True}, [])
    assert help_text in said[0]["note"]
    assert said[0]["is_switch"] == (name == "subpaths")
    assert said[0]["label"]


def test_choices_follow_settings_made_in_a_cell(hook, panel, tab):
    hook.configure(subpaths=True, disabled_status=410)
    tab.revised()
    assert {name: one.value for name, one in tab.general.choices.items()} == {
        "subpaths": True,
        "disabled_status": 410,
    }
    choose(tab.general.choices["subpaths"], 0)
    assert panel.draft.changed
    tab.bar.discard.click()
    assert tab.general.choices["subpaths"].value is True


def test_the_response_is_for_asynchronous_hooks(tab):
    assert tab.response.body.enabled
    choose(tab.general.mode, 1)
    assert not tab.response.body.enabled
    assert not tab.response.kind.enabled


def test_buttons_say_what_they_do(tab):
    for card in (tab.query, tab.body):
        for button in (card.parse, card.last, card.clear, card.keep):
            assert card.part in button.tooltip


def test_no_payload_and_no_secret_is_in_what_is_saved(hook, panel, tab):
    hook.send(json={"status": "p4id", "amount": 1})
    panel.publish()
    tab.body.last.click()
    typed(tab.security.password, "n3w s3cret")
    pending, states = [tab], []
    while pending:
        widget = pending.pop()
        pending += getattr(widget, "children", ())
        states.append(repr(widget.get_state()))
    for secret in ("s3cret", "p4id", "n3w"):
        assert not [state for state in states if secret in state]


# -- settings
# -----------------------------------------------------------------------------------------------


def test_settings_are_edited_and_applied(hook, panel, tab):
    choose(tab.general.mode, 1)
    typed(tab.general.fields["methods"], "post, put")
    typed(tab.general.fields["timeout"], "2.5")
    typed(tab.general.fields["max_body"], "64 KiB")
    typed(tab.general.fields["accept"], "application/json, text/*")
    tab.bar.apply.click()
    workflow = hook.workflow
    assert hook.revision == 2
    assert workflow.sync
    assert workflow.timeout == 2.5
    assert workflow.trigger.methods == ("POST", "PUT")
    assert workflow.trigger.accept == ("application/json", "text/*")
    assert workflow.trigger.max_body == 65_536
    assert workflow.trigger.auth == BasicAuth("shop", "s3cret")
    assert tab.general.fields["methods"].value == "POST, PUT"
    assert tab.bar.apply.description == "Apply as revision 3"
    assert panel.pokes == 1
    assert not panel.draft.changed


def test_what_is_wrong_stands_beside_its_field(hook, tab):
    typed(tab.general.fields["timeout"], "soon")
    assert "'soon' is not a number of seconds" in tab.general.fields["timeout"].error
    assert tab.bar.note.text.startswith("timeout: 'soon'")
    tab.bar.apply.click()
    assert hook.revision == 1
    assert tab.general.fields["timeout"].value == "soon"
    typed(tab.general.fields["timeout"], "5")
    assert tab.general.fields["timeout"].error == ""
    assert "timeout" not in tab.bar.note.text


def test_discarding_goes_back(hook, panel, tab):
    typed(tab.general.fields["timeout"], "soon")
    typed(tab.security.password, "other")
    told(tab.body.rows, "remove", row=number(tab.body.rows, 0))
    tab.bar.discard.click()
    assert tab.general.fields["timeout"].value == ""
    assert tab.general.fields["timeout"].error == ""
    assert tab.security.password.value == "s3cret"
    assert [row.path for row in tab.body.rows.rows] == ["status", "amount"]
    assert not panel.draft.changed
    assert hook.revision == 1


def test_nothing_to_apply_makes_no_revision(hook, tab):
    tab.bar.apply.click()
    assert hook.revision == 1


def is_idle(bar):
    idle = {"hk-idle" in button._dom_classes for button in (bar.apply, bar.discard)}
    assert len(idle) == 1
    return idle.pop()


def test_the_buttons_look_idle_while_nothing_is_changed(panel, tab):
    bars = (tab.bar, panel.workflow.bar)
    assert all(map(is_idle, bars))
    typed(tab.general.fields["timeout"], "soon")
    assert not any(map(is_idle, bars))
    # They can be pressed all the same: what was typed last may only just have come.
    assert not any(button.disabled for bar in bars for button in (bar.apply, bar.discard))
    tab.bar.discard.click()
    assert all(map(is_idle, bars))
    typed(tab.general.fields["timeout"], "5")
    tab.bar.apply.click()
    assert all(map(is_idle, bars))


def test_what_is_typed_into_the_form_of_a_node_can_be_applied(hook, panel, tab):
    hook.configure(nodes=[Output(1, key="told")])
    tab.revised()
    panel.workflow.editor.choose("told")
    bars = (tab.bar, panel.workflow.bar)
    assert all(map(is_idle, bars))
    typed(panel.workflow.editor.form.key, "said")
    for bar in bars:
        bar.note.publish()
        assert not is_idle(bar)
    tab.bar.apply.click()
    assert [node.key for node in hook.workflow.nodes] == ["said"]
    assert all(map(is_idle, bars))


def test_turning_authentication_on_takes_both(runtime):
    hook = runtime.webhook("open")
    tab = Panel(hook).trigger
    assert not tab.security.user.enabled
    choose(tab.security.basic, 1)
    assert tab.security.user.error
    typed(tab.security.user, "shop")
    assert not tab.security.user.error
    assert "both a user name and a password" in tab.security.password.error
    tab.bar.apply.click()
    assert hook.revision == 1
    typed(tab.security.password, "s3cret")
    tab.bar.apply.click()
    assert hook.workflow.trigger.auth == BasicAuth("shop", "s3cret")
    choose(tab.security.basic, 0)
    tab.bar.apply.click()
    assert hook.workflow.trigger.auth is None


@pytest.mark.parametrize(
    "auth", [Signature("github", secret="s3cret"), [Bearer("s3cret"), HeaderToken("X-T", "s3cret")]]
)
def test_another_scheme_than_basic_is_named_and_not_turned_off_by_a_click(runtime, auth):
    hook = runtime.webhook("signed", auth=auth)
    tab = Panel(hook).trigger
    served = hook.workflow.trigger.auth
    for one in served.parts:
        assert repr(one) in tab.security.other.text
    assert "hook.configure(auth=" in tab.security.other.text
    assert "s3cret" not in tab.security.other.text
    assert not tab.security.basic.enabled
    choose(tab.security.basic, 1)
    choose(tab.security.basic, 0)
    typed(tab.general.fields["methods"], "POST, PUT")
    tab.bar.apply.click()
    assert hook.revision == 2
    assert hook.workflow.trigger.auth == served


def test_nothing_is_said_of_other_schemes_where_there_is_none(hook, tab):
    assert tab.security.other.text == ""
    hook.configure(auth=Bearer("s3cret"))
    tab.revised()
    assert "Bearer" in tab.security.other.text
    hook.configure(auth=None)
    tab.revised()
    assert tab.security.other.text == ""
    assert tab.security.basic.enabled


def test_the_password_stays_where_only_the_user_is_changed(hook, tab):
    typed(tab.security.user, "store")
    tab.bar.apply.click()
    assert hook.workflow.trigger.auth == BasicAuth("store", "s3cret")


# -- the response
# -----------------------------------------------------------------------------------------------


def test_the_response_is_edited(hook, tab):
    typed(tab.response.status, "202")
    typed(tab.response.headers, "X-Queue: 1")
    typed(tab.response.body, '{"queued": true}')
    choose(tab.response.kind, 1)
    tab.bar.apply.click()
    assert hook.workflow.trigger.response == Response(
        202, headers={"X-Queue": "1"}, body={"queued": True}
    )
    assert tab.response.kind.value == "json"
    assert tab.response.body.value == '{\n  "queued": true\n}'
    typed(tab.response.status, "201")
    tab.bar.apply.click()
    assert hook.workflow.trigger.response.body == {"queued": True}
    choose(tab.response.kind, 0)
    tab.bar.apply.click()
    assert hook.workflow.trigger.response.body == '{\n  "queued": true\n}'


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("status", "99", "use 200 to 599"),
        ("headers", "no colon", "line 1 has no colon"),
        ("headers", "Date: x", "written by the server"),
        ("body", "{{ body.a }}", "it is fixed"),
    ],
)
def test_a_wrong_response_says_where(tab, field, text, problem):
    typed(getattr(tab.response, field), text)
    assert problem in getattr(tab.response, field).error


def test_a_response_of_bytes_stays(runtime):
    hook = runtime.webhook("bytes", response=Response(200, body=b"\x00"))
    tab = Panel(hook).trigger
    assert not tab.response.body.enabled
    typed(tab.response.status, "201")
    tab.bar.apply.click()
    assert hook.workflow.trigger.response == Response(201, body=b"\x00")


def test_a_response_node_makes_the_mode_wrong(runtime):
    hook = runtime.webhook("sync", sync=True, nodes=[Response(201)])
    panel = Panel(hook)
    tab = panel.trigger
    choose(tab.general.mode, 0)
    assert "is for a waiting caller" in tab.bar.note.text
    tab.bar.apply.click()
    assert hook.revision == 1
    tab.bar.synchronous.click()
    assert tab.general.mode.value is True
    assert not panel.draft.changed


# -- samples and rows
# -----------------------------------------------------------------------------------------------


def test_a_sample_is_parsed(hook, tab):
    typed(tab.body.sample, '{"status": "paid", "order": {"id": 9007199254740993}}')
    tab.body.parse.click()
    assert tab.body.sample.note == "3 paths"
    rows = tab.body.rows.rows
    assert [(row.path, row.alias, row.type) for row in rows] == [
        ("status", "", "text"),
        ("order", "", "object"),
        ("order.id", "", "integer"),
        ("amount", "Amount", None),
    ]
    tab.bar.apply.click()
    assert hook.workflow.trigger.body[2] == Variable(
        "order.id", type="integer", sample=9007199254740993
    )


def test_a_wrong_sample_says_where_beside_the_field(panel, tab):
    typed(tab.body.sample, '{"a": 1,\n}')
    tab.body.parse.click()
    assert "line 2, column 1" in tab.body.sample.error
    assert not panel.draft.changed
    typed(tab.body.sample, '{"a": 1}')
    assert tab.body.sample.error == ""


def test_the_last_delivery_is_a_sample(hook, panel, tab):
    tab.query.last.click()
    assert "send one" in tab.query.sample.error
    sent = hook.send(data=b'{"amount": 42.00}', headers={"Content-Type": "application/json"},
                     params="ref=spring&items[0][sku]=a")  # fmt: skip
    assert sent.status == 200
    hook.send(data="refused", headers={"Content-Type": "text/plain"})
    hook._flush()
    tab.body.last.click()
    assert tab.body.sample.value == '{"amount": 42.00}'
    assert "delivery #1" in tab.body.sample.note
    assert tab.body.rows.rows[1] == Row(path="amount", alias="Amount", type="number", sample=42.0)
    tab.query.last.click()
    assert tab.query.sample.value == "ref=spring&items[0][sku]=a"
    assert [row.path for row in tab.query.rows.rows] == ["ref", "items", "items[0]", "items[0].sku"]
    assert panel.draft.changed


def test_a_delivery_without_body_is_no_sample(hook, panel, tab):
    hook.send(data=b"")
    panel.publish()
    tab.body.last.click()
    tab.query.last.click()
    assert tab.body.sample.error == "delivery #1 has no body"
    assert tab.query.sample.error == "delivery #1 has no query"
    assert not panel.draft.changed


def test_a_form_is_shown_as_json(runtime):
    hook = runtime.webhook("form", accept="*/*")
    tab = Panel(hook).trigger
    hook.send(data={"a": "1", "b[c]": "2"})
    tab.body.last.click()
    assert tab.body.sample.value == '{"a":"1","b":{"c":"2"}}'
    hook.send(data=b"\xff\x00")
    tab.body.last.click()
    assert [row.path for row in tab.body.rows.rows] == ["a", "b", "b.c", ""]


def test_any_delivery_is_a_sample(hook, tab):
    hook.send(json={"a": 1}, params="x=1")
    hook.send(json={"b": 1})
    tab.use(hook.delivery(1))
    assert "a" in [row.path for row in tab.body.rows.rows]
    assert "x" in [row.path for row in tab.query.rows.rows]


def test_clearing_asks_first(panel, tab):
    typed(tab.body.sample, '{"a": 1}')
    tab.body.clear.click()
    assert tab.body.clear.description == "Really clear?"
    assert tab.body.keep.layout.display is None
    assert not panel.draft.changed
    tab.body.keep.click()
    assert tab.body.clear.description == "Clear"
    assert tab.body.keep.layout.display == "none"
    tab.body.clear.click()
    tab.body.clear.click()
    assert tab.body.rows.rows == []
    assert tab.body.sample.value == ""
    assert tab.body.clear.description == "Clear"
    assert panel.draft.changed


def test_rows_are_edited_and_applied(hook, tab):
    rows = tab.body.rows
    told(rows, "cell", row=number(rows, 0), column="path", text="state")
    told(rows, "cell", row=number(rows, 0), column="alias", text="State")
    told(rows, "remove", row=number(rows, 1))
    told(tab.headers.rows, "add")
    told(tab.headers.rows, "cell", row=number(tab.headers.rows, 1), column="path", text="X-Id")
    tab.bar.apply.click()
    assert hook.workflow.trigger.body == (Variable("state", alias="State"),)
    assert hook.workflow.trigger.headers[1] == Variable("X-Id", type="text")


def test_a_wrong_row_is_told_in_it_and_kept(hook, tab):
    rows = tab.body.rows
    told(rows, "cell", row=number(rows, 1), column="path", text="a..b")
    assert "column 3" in rows._lines()[1][6]
    assert tab.bar.note.text.startswith("body[1]: path, column 3: ")
    tab.bar.apply.click()
    assert hook.revision == 1
    assert rows.rows[1] == Row(path="a..b", alias="Amount")


# -- what came
# -----------------------------------------------------------------------------------------------


def test_the_bar_and_the_rows_follow_what_comes(hook, panel, tab):
    hook.send(json={"status": "paid"}, params="ref=spring")
    panel.publish()
    assert tab.bar.note.text == (
        "would take 2 of 4 variables from delivery #1; missing: headers.X-Request-Id, Amount"
    )
    assert [line[7] for line in tab.body.rows._lines()] == ["paid", None]
    hook.send(json={"status": ["a"], "amount": 1}, params="ref=a", headers={"X-Request-Id": "r"})
    panel.publish()
    assert tab.bar.note.text == "would take 4 of 4 variables from delivery #2"
    assert [line[7] for line in tab.body.rows._lines()] == ["1 item", "1"]
    told(tab.body.rows, "remove", row=number(tab.body.rows, 1))
    assert tab.bar.note.text == "would take 3 of 3 variables from delivery #2"
    hook.clear()
    panel.publish()
    assert tab.bar.note.text == "no delivery yet to try the variables on"


def test_a_hook_without_variables_says_so(runtime):
    hook = runtime.webhook("plain")
    panel = Panel(hook)
    hook.send(json={})
    panel.publish()
    assert panel.trigger.bar.note.text.startswith("no variables")


# -- revisions from elsewhere
# -----------------------------------------------------------------------------------------------


def test_forms_without_changes_follow_another_revision(runtime, panel, tab):
    runtime.webhook("payments", timeout=3)
    tab.revised()
    assert tab.general.fields["timeout"].value == "3"
    assert tab.security.basic.value is False
    assert not panel.draft.changed
    assert tab.bar.apply.description == "Apply as revision 3"


def test_the_form_of_basic_leaves_another_scheme_alone(runtime, panel, tab):
    signature = Signature("github", secret="s3cret")
    runtime.webhook("payments", auth=signature)
    tab.revised()
    assert not tab.security.basic.enabled
    choose(tab.security.basic, 1)
    typed(tab.security.user, "shop")
    typed(tab.general.fields["timeout"], "4")
    assert panel.draft.value("auth") == signature
    tab.bar.apply.click()
    assert panel.hook.workflow.trigger.auth == signature


def test_forms_with_changes_stay_and_say_so(runtime, tab):
    typed(tab.general.fields["concurrency"], "4")
    runtime.webhook("payments", timeout=3)
    tab.revised()
    assert tab.general.fields["concurrency"].value == "4"
    assert tab.bar.note.text == "revision 2 was made elsewhere; Discard shows it"
    tab.bar.discard.click()
    assert tab.general.fields["concurrency"].value == "1"
    assert tab.general.fields["timeout"].value == "3"
    assert "elsewhere" not in tab.bar.note.text


def test_the_next_number_is_never_given_again(runtime, hook, tab):
    runtime.webhook("payments", timeout=3)
    hook.revert(1)
    tab.revised()
    assert tab.bar.apply.description == "Apply as revision 3"
    typed(tab.general.fields["timeout"], "4")
    tab.bar.apply.click()
    assert hook.revision == 3


def test_a_closed_hook_says_so(hook, tab):
    typed(tab.general.fields["timeout"], "4")
    hook.close()
    tab.bar.apply.click()
    assert "is closed" in tab.bar.note.text
    assert tab.general.fields["timeout"].value == "4"


def test_the_panel_has_one_draft_for_its_tabs(hook):
    panel = hook.panel
    typed(panel.trigger.general.fields["timeout"], "soon")
    assert "soon" in panel.workflow.bar.note.text
    panel.workflow.bar.discard.click()
    assert panel.trigger.general.fields["timeout"].value == ""
    typed(panel.trigger.general.fields["timeout"], "5")
    panel.trigger.bar.apply.click()
    assert hook.workflow.timeout == 5
    panel.publish()
    hook.configure(timeout=6)
    panel.publish()
    assert panel.trigger.general.fields["timeout"].value == "6"
