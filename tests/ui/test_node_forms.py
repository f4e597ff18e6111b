"""The forms of nodes: what they show reads back as the same node, and errors find their place."""

from __future__ import annotations

import ast
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

import hooknb
from hooknb import SettingError
from hooknb.ui import workflow
from hooknb.ui.workflow.node_fields import (
    Setting,
    can_be_made,
    from_text,
    settings,
    summary,
    to_text,
)
from hooknb.ui.workflow.node_forms import NodeForm
from hooknb.ui.workflow.picture import drawn
from hooknb.workflow.nodes import Case, node_types
from hooknb.workflow.nodes.data import exactly_equal


def typed(field: Any, text: str) -> None:
    field._hear(field, {"kind": "typed", "view": "v", "text": text}, [])


def choose(item: Any, at: int) -> None:
    item.choice._hear(item.choice, {"kind": "chosen", "view": "v", "at": at}, [])


def form_of(node: Any) -> NodeForm:
    form = NodeForm(type(node), threading.RLock())
    form.put(node)
    return form


def check(_context: Any) -> bool:
    return True


RULES = {"all": [{"left": "{{ body.a }}", "operator": "==", "right": 1}, {"any": []}]}
NODES = [
    hooknb.Calculation("double(body.amount) * 1.25", key="a"),
    hooknb.Code(check),
    hooknb.Condition('body.status == "paid"', key="a"),
    hooknb.Condition(RULES, key="a", yes=[hooknb.Delay(1, key="b")], no=[]),
    hooknb.Condition(check, key="a"),
    hooknb.Delay(1.5, key="a", status="failed"),
    hooknb.Delay("{{ body.seconds }}", key="a"),
    hooknb.End("failed", reason="so {{ body.x }}\nand so", key="a"),
    hooknb.End(key="a"),
    hooknb.Loop("{{ body.items }}", nodes=[hooknb.Delay(0, key="b")], key="a", max_items=5),
    hooknb.Loop([1, "x", None], nodes=[], key="a"),
    hooknb.Output({"a": [1, 2.0, True, None, "{{ body }}"]}, key="a"),
    hooknb.Output("17", key="a"),
    hooknb.Output(None, key="a"),
    hooknb.Output(b"\x00", key="a"),
    hooknb.Parallel([[hooknb.Delay(0, key="b")], []], mode="race", key="a"),
    hooknb.Query("items[0]", over={"a": "{{ body }}"}, key="a"),
    hooknb.Request(
        "https://u:p@api.example.com/{{ body.id }}",
        method="PUT",
        headers={"X-Key": "s3cret", "X-B": "a: b"},
        query={"page": 1},
        body='{"text": {{ body.n }}}',
        timeout=2.0,
        max_size=12345,
        allow_hosts=("a.example.com", "*"),
        ignore_status=True,
        key="a",
    ),
    hooknb.Request("http://a.example.com", method="{{ body.method }}", body=b"\xff", key="a"),
    hooknb.Response(422, headers={"X-A": "b"}, body={"error": "not paid"}, key="a"),
    hooknb.Response("{{ body.status }}", body="", key="a"),
    hooknb.Response(204, body="ok", key="a"),
    hooknb.Switch(
        [Case("body.a", [hooknb.Delay(0, key="b")], name=" n "), (RULES, []), (check, [])],
        otherwise=[hooknb.Delay(0, key="c")],
        key="a",
    ),
]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.type_name)
def test_what_a_form_shows_reads_back_as_the_same_node(node):
    form = form_of(node)
    assert not form.is_touched
    assert form.read() == node
    # Also where only its name was typed.
    typed(form.key, "other")
    assert form.is_touched
    assert form.read().key == "other"
    assert form.read() != node


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.type_name)
def test_what_is_typed_again_as_it_stands_there_is_the_same_node(node):
    form = form_of(node)
    for item in form.inputs.values():
        field = getattr(item, "field", None)
        if field is not None and field.enabled:
            shown = field.value
            typed(field, shown + " ")
            typed(field, shown)
    assert form.read() == node


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=6,
    )
)
def test_any_value_that_json_holds_reads_back_from_its_text(value):
    setting = Setting(name="value", kind="json")
    text = to_text(setting, value)
    assert text is not None
    assert exactly_equal(from_text(setting, text), value)


@pytest.mark.parametrize("value", [float("inf"), [float("nan")], {"a": b"x"}])
def test_a_value_that_json_does_not_hold_cannot_be_typed(value):
    assert to_text(Setting(name="value", kind="json"), value) is None


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("json", '{"a": 1}', {"a": 1}),
        ("json", "[1, 2]", [1, 2]),
        ("json", "12345678901234567890123", 12345678901234567890123),
        ("json", "paid", "paid"),
        ("json", '"17"', "17"),
        ("json", "{{ body.id }}", "{{ body.id }}"),
        ("json", "{{ body.a }} and {{ body.b }}", "{{ body.a }} and {{ body.b }}"),
        ("number", " 5 ", 5),
        ("number", "5.0", 5.0),
        ("number", "{{ body.n }}", "{{ body.n }}"),
        ("headers", "X-A: b: c\n\nX-B:", {"X-A": "b: c", "X-B": ""}),
        ("texts", "a.example.com,\n b ", ("a.example.com", "b")),
        ("size", "10 MiB", 10 * 2**20),
        ("condition", ' {"any": []}', {"any": []}),
        ("condition", "body.a > 1", "body.a > 1"),
        ("condition", '{"a": true}["a"]', '{"a": true}["a"]'),
    ],
)
def test_text_is_read_by_the_kind_of_its_setting(kind, text, value):
    assert exactly_equal(from_text(Setting(name="x", kind=kind), text), value)


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        ("text", " ", "enter a value"),
        ("number", "true", "is not a number"),
        ("json", '{"a": 1,}', "quotes"),
        ("headers", "X-A b", "line 1 has no colon"),
        ("headers", "X-A: b\nX-A: c", "line 2"),
        ("size", "much", "10 MiB"),
        ("condition", '{"all": [}', "not a rule group"),
    ],
)
def test_text_that_cannot_be_read_says_why(kind, text, problem):
    with pytest.raises(SettingError, match=problem) as caught:
        from_text(Setting(name="x", kind=kind), text)
    assert caught.value.setting == "x"


def test_every_type_has_a_form_and_a_line_that_says_what_it_does():
    for name, kind in node_types().items():
        NodeForm(kind, threading.RLock()).put(None)
        assert can_be_made(kind) == (name != "code")
    assert summary(hooknb.Response) == "Respond to the caller and end the execution"


def test_errors_stand_beside_the_fields_that_they_name():
    form = form_of(hooknb.Response(200, key="a"))
    typed(form.inputs["status"].field, "99")
    with pytest.raises(SettingError):
        form.read()
    assert "use 200 to 599" in form.inputs["status"].field.error
    typed(form.inputs["status"].field, "201")
    typed(form.inputs["headers"].field, "Content-Length: 5")
    with pytest.raises(SettingError):
        form.read()
    assert not form.inputs["status"].field.error
    assert "server" in form.inputs["headers"].field.error
    typed(form.inputs["headers"].field, "X-A: b")
    assert form.read() == hooknb.Response(201, headers={"X-A": "b"}, key="a")


def test_all_that_cannot_be_read_is_shown_at_once():
    form = form_of(hooknb.Request("http://a.example.com", key="a"))
    typed(form.inputs["headers"].field, "no colon")
    typed(form.inputs["timeout"].field, "[]")
    with pytest.raises(SettingError):
        form.read()
    assert form.inputs["headers"].field.error
    assert form.inputs["timeout"].field.error


def test_settings_that_are_rarely_needed_are_folded_until_they_matter():
    form = form_of(hooknb.Request("http://a.example.com", key="a"))
    assert form.more.description == "More settings"
    form.more.click()
    assert form.more.description == "Fewer settings"
    form.put(hooknb.Request("http://a.example.com", key="b"))
    assert form.more.description == "More settings"
    form.put(hooknb.Request("http://a.example.com", verify=False, key="b"))
    assert form.more.description == "Fewer settings"


def test_a_choice_shows_also_what_is_none_of_the_choices():
    form = form_of(hooknb.Request("http://a.example.com", method="{{ body.method }}", key="a"))
    method, verify = form.inputs["method"], form.inputs["verify"]
    assert method.choice.value == "{{ body.method }}"
    choose(method, 2)
    choose(verify, 0)
    assert form.is_touched
    made = form.read()
    assert (made.method, made.verify) == ("PUT", False)
    # It is offered as long as it is the node's.
    choose(method, 7)
    assert form.read().method == "{{ body.method }}"
    form.put(made)
    choose(method, 7)
    assert method.choice.value == "PUT"
    form.put(None)
    assert (method.choice.value, verify.choice.value) == ("POST", True)


def test_a_condition_with_a_function_shows_it_and_keeps_it():
    form = form_of(hooknb.Condition(check, key="a"))
    field = form.inputs["condition"].field
    assert not field.enabled
    assert "written in its cell" in field.note
    form.put(hooknb.Condition("body.a", key="a"))
    assert field.enabled


def test_a_condition_gets_branches_and_loses_them_only_empty():
    form = form_of(hooknb.Condition("body.a", key="a"))
    gate = form.inputs["yes"]
    assert gate.choice.value is False
    choose(gate, 0)
    assert form.read().below() == {"yes": (), "no": ()}
    form.put(hooknb.Condition("body.a", yes=[hooknb.Delay(0, key="b")], key="a"))
    choose(gate, 1)
    with pytest.raises(SettingError):
        form.read()
    assert "remove them first" in form.note.text
    form.put(hooknb.Condition("body.a", yes=[], no=[], key="a"))
    choose(gate, 1)
    assert form.read() == hooknb.Condition("body.a", key="a")


def test_cases_are_added_moved_and_removed_with_their_nodes():
    inner = hooknb.Delay(0, key="b")
    switch = hooknb.Switch([Case("body.a", [inner], name="one"), Case("body.b")], key="a")
    form = form_of(switch)
    cases = form.inputs["cases"]
    cases.add.click()
    typed(cases.rows[2].condition.field, "body.c")
    typed(cases.rows[2].name, "three")
    assert [case.name for case in form.read().cases] == ["one", "", "three"]
    cases.rows[1].up.click()
    made = form.read()
    assert [case.condition for case in made.cases] == ["body.b", "body.a", "body.c"]
    assert made.cases[1].nodes == (inner,)
    # One with nodes is asked about.
    cases.rows[1].remove.click()
    assert len(cases.rows) == 3
    assert cases.rows[1].remove.description == "Remove with 1 node"
    cases.rows[1].remove.click()
    cases.rows[0].remove.click()
    assert [case.condition for case in form.read().cases] == ["body.c"]
    form.put(switch)
    assert form.read() == switch


def test_errors_of_cases_stand_beside_them():
    form = form_of(hooknb.Switch([Case("body.a", name="one"), Case("body.b")], key="a"))
    rows = form.inputs["cases"].rows
    typed(rows[1].condition.field, "body.b ==")
    with pytest.raises(SettingError):
        form.read()
    assert rows[1].condition.field.error
    typed(rows[1].condition.field, "body.b")
    typed(rows[1].name, "one")
    with pytest.raises(SettingError):
        form.read()
    assert not rows[1].condition.field.error
    assert "stands before it" in rows[1].name.error


def test_branches_of_a_parallel_are_a_number():
    form = form_of(hooknb.Parallel([[], [hooknb.Delay(0, key="b")]], key="a"))
    field = form.inputs["branches"].field
    assert field.value == "2"
    typed(field, "4")
    assert len(form.read().branches) == 4
    for text, problem in (("1", "remove them first"), ("0", "from 1"), ("x", "from 1")):
        typed(field, text)
        with pytest.raises(SettingError):
            form.read()
        assert problem in field.error


class Mixed(hooknb.Node, frozen=True, tag="mixed_form"):
    """Do several things. And more."""

    path: str
    often: int = 2
    loud: bool = False
    how: Literal["fast", "slow"] = "fast"
    note: str | None = None
    names: tuple[str, ...] = ()
    table: dict[str, int] = {}  # noqa: RUF012 - msgspec copies an empty default
    nodes: tuple[hooknb.Node, ...] = ()


@pytest.fixture
def mixed():
    from hooknb.workflow.nodes import node as registry

    hooknb.register(Mixed)
    yield Mixed
    del registry._types["mixed_form"]


class Shown(hooknb.Node, frozen=True, tag="shown_form"):
    """Show itself."""

    path: Annotated[str, Meta(title="where", description="A path", extra={"is_rare": True})]

    edge_tone = "reach"

    def line(self):
        return ("at ", self.path, " of ", {"a": 1})


def test_a_type_of_ones_own_says_beside_its_settings_how_it_is_shown(mixed):
    [path] = settings(Shown)
    assert (path.label, path.hint, path.is_rare, path.kind) == ("where", "A path", True, "text")
    [shown, other] = drawn([Shown(path="x", key="a"), mixed(path="y", often=3, key="b")], [])
    assert (shown["tone"], shown["line"]) == ("reach", 'at x of {"a": 1}')
    assert (other["tone"], other["line"]) == ("own", "path: y, often: 3")


@pytest.mark.parametrize("name", ["editor.py", "node_fields.py", "node_forms.py", "picture.py"])
def test_the_workflow_tab_names_no_node_type(name):
    known = {kind.__name__ for kind in node_types().values()} | {"Case"}
    tree = ast.parse((Path(workflow.__file__).parent / name).read_text())
    named = {
        text
        for item in ast.walk(tree)
        for text in (getattr(item, "id", ""), getattr(item, "attr", ""), getattr(item, "name", ""))
    }
    assert named & known == set()


def test_only_the_branches_of_a_condition_have_its_colours():
    condition = hooknb.Condition("body.a", key="a", yes=[], no=[])
    switch = hooknb.Switch([Case("body.a", name="yes")], key="b")
    shown = drawn([condition, switch], [])
    assert [[one["label"], one["tone"]] for item in shown for one in item["lists"]] == [
        ["yes", "ok"],
        ["no", "warn"],
        ["yes", ""],
        ["otherwise", ""],
    ]


def test_the_picture_of_a_request_shows_no_credentials():
    node = hooknb.Request("https://ann:pw1234@a.example/?token=abc999", method="GET", key="a")
    [item] = drawn([node], [])
    assert item["line"] == "GET https://ann:•••••@a.example/?token=•••••"


def test_a_type_of_ones_own_has_a_form_made_of_its_fields(mixed):
    assert [(one.name, one.kind) for one in settings(mixed)] == [
        ("path", "text"),
        ("often", "number"),
        ("loud", "flag"),
        ("how", "choice"),
        ("note", "text"),
        ("names", "texts"),
        ("table", "json"),
    ]
    assert summary(mixed) == "Do several things"
    form = NodeForm(mixed, threading.RLock())
    form.put(None)
    typed(form.inputs["path"].field, "a.b")
    typed(form.inputs["often"].field, "3")
    choose(form.inputs["loud"], 1)
    choose(form.inputs["how"], 1)
    assert form.is_touched
    typed(form.inputs["names"].field, "a, b")
    typed(form.inputs["table"].field, '{"a": 1}')
    assert form.read() == mixed(
        path="a.b", often=3, loud=True, how="slow", names=("a", "b"), table={"a": 1}
    )
    typed(form.inputs["often"].field, "many")
    with pytest.raises(SettingError):
        form.read()
    assert "whole number" in form.inputs["often"].field.error
