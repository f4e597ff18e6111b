from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import hooknb
from hooknb import (
    BasicAuth,
    Calculation,
    Condition,
    Response,
    SampleError,
    SettingError,
    Variable,
)
from hooknb.paths import MISSING
from hooknb.records import Delivery
from hooknb.ui.draft.drafts import Draft, Place, Row
from hooknb.workflow import Workflow, define
from hooknb.workflow.nodes import End, walk


def total(context: Any) -> Any:
    return context.body["amount"]


def payments(**settings: Any) -> Workflow:
    return define(
        "payments",
        **{
            "sync": True,
            "auth": BasicAuth("shop", "s3cret"),
            "headers": ["X-Request-Id"],
            "body": hooknb.parse_body('{"status": "paid", "amount": 42.0, "order": {"id": 7}}'),
            "nodes": [
                total,
                Condition(
                    'body.status == "paid"',
                    yes=[Response(200)],
                    no=[Response(422, body={"error": "not paid"})],
                ),
            ],
            **settings,
        },
    )


def delivery(
    body: bytes = b"{}", *, query: str = "", head: bytes = b"Content-Type: application/json\r\n"
) -> Delivery:
    return Delivery(
        id=129,
        workflow="payments",
        received_at=datetime.now(UTC),
        method="POST",
        query_string=query,
        head=head,
        raw=body,
        size=len(body),
        remote="127.0.0.1",
        outcome="accepted",
    )


def keys(draft: Draft) -> list[str]:
    return [f"{where}={node.key}" for where, node in walk(draft.nodes)]


# -- settings
# -----------------------------------------------------------------------------------------------


def test_a_new_draft_is_its_definition():
    workflow = payments()
    draft = Draft(workflow)
    assert not draft.changed
    assert draft.problems == ()
    assert draft.workflow() == workflow


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_body", "10 MiB", 10 * 2**20),
        ("max_body", "2,000", 2000),
        ("max_body", "64kb", 64_000),
        ("timeout", " 2.5 ", 2.5),
        ("timeout", "", None),
        ("concurrency", "4", 4),
        ("methods", "post, PUT", ("POST", "PUT")),
        ("methods", "*", ("*",)),
        (
            "accept",
            "application/json, text/*\nimage/png",
            ("application/json", "text/*", "image/png"),
        ),
    ],
)
def test_text_is_read_as_people_type_it(name, text, value):
    draft = Draft(payments())
    draft.set(**{name: text})
    made = draft.workflow()
    assert getattr(made if name in made.__struct_fields__ else made.trigger, name) == value
    assert draft.value(name) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_body", "10 parsecs"),
        ("max_body", "0"),
        ("timeout", "soon"),
        ("timeout", "-1"),
        ("timeout", "1e999"),
        ("concurrency", "0"),
        ("concurrency", "9" * 5000),
        ("methods", ""),
        ("methods", "P0ST"),
        ("accept", "json"),
        ("accept", "text/plain; charset=utf-8"),
    ],
)
def test_what_cannot_be_read_is_told_and_kept(name, text):
    draft = Draft(payments())
    draft.set(**{name: text})
    assert draft.changed
    with pytest.raises(SettingError, match=name):
        draft.workflow()
    assert draft.problem(name)
    assert draft.value(name) == text


def test_back_to_what_it_was_is_no_change():
    draft = Draft(payments())
    draft.set(timeout="5")
    assert draft.changed
    draft.set(timeout="")
    assert not draft.changed


def test_half_of_the_credentials_is_an_error():
    draft = Draft(payments(auth=None))
    draft.set(auth=("shop", ""))
    with pytest.raises(SettingError, match="both a user name and a password") as caught:
        draft.workflow()
    assert caught.value.setting == "auth.password"
    draft.set(auth=("shop", "s3cret"))
    assert draft.workflow().trigger.auth == BasicAuth("shop", "s3cret")
    draft.set(auth=None)
    assert not draft.changed


def test_responses_are_made_of_their_fields():
    draft = Draft(payments(sync=False, nodes=[]))
    fields = {"status": "202", "headers": "X-Queue: 1\n\nX-A:b:c", "body": '{"ok": true}'}
    draft.set(response={**fields, "json": True})
    assert draft.workflow().trigger.response == Response(
        202, headers={"X-Queue": "1", "X-A": "b:c"}, body={"ok": True}
    )
    draft.set(response=fields)
    assert draft.workflow().trigger.response.body == '{"ok": true}'


@pytest.mark.parametrize(
    ("fields", "place", "problem"),
    [
        ({"status": "99"}, "response.status", "200 to 599"),
        ({"status": "soon"}, "response.status", "not a status code"),
        ({"headers": "X-A 1"}, "response.headers", "line 1 has no colon"),
        ({"headers": "X-A: 1\nX-A: 2"}, "response.headers", "appears twice"),
        ({"body": '{"a": 1,}', "json": True}, "response.body", "line 1, column 9"),
        ({"body": "{{ body.a }}"}, "response", "it is fixed"),
    ],
)
def test_wrong_responses_say_where(fields, place, problem):
    draft = Draft(payments(sync=False, nodes=[]))
    draft.set(response=fields)
    with pytest.raises(SettingError, match=problem) as caught:
        draft.workflow()
    assert caught.value.setting == place
    assert draft.problem("response")


def test_responses_in_an_asynchronous_draft_are_refused_and_kept():
    draft = Draft(payments())
    before = draft.nodes
    draft.set(sync=False)
    with pytest.raises(SettingError, match="is for a waiting caller") as caught:
        draft.workflow()
    assert caught.value.setting == "nodes[1].yes[0]"
    assert draft.changed
    assert draft.nodes == before
    assert draft.value("sync") is False
    draft.set(sync=True)
    assert not draft.changed


def test_unknown_settings_are_refused():
    draft = Draft(payments())
    with pytest.raises(SettingError, match="there is no such setting"):
        draft.set(name="other")
    with pytest.raises(SettingError, match="there is no such setting"):
        draft.set(timeout=3, colour="red")
    assert not draft.changed


def test_reset_forgets_what_was_edited():
    draft = Draft(payments())
    draft.set(timeout="x", body=["a..b"])
    other = payments(timeout=3)
    draft.reset(other)
    assert draft.base is other
    assert not draft.changed
    assert draft.workflow() == other


def test_all_that_is_wrong_is_told_at_once():
    draft = Draft(payments())
    draft.set(response={"status": "99"}, query=["a..b", "c", "d["], timeout="soon", sync=False)
    assert [error.setting for error in draft.problems] == [
        "query[0]", "query[2]", "response.status", "timeout"
    ]  # fmt: skip
    assert set(draft.row_problems("query")) == {0, 2}
    assert draft.row_problems("body") == {}
    assert draft.problem("query").startswith("path, column 3: ")


# -- variables
# -----------------------------------------------------------------------------------------------


def test_wrong_paths_are_kept_as_typed():
    draft = Draft(payments())
    rows = draft.rows("body")
    rows[2] = Row(path="order.[", alias="Order", type="object", sample={"id": 7})
    draft.set_rows("body", rows)
    with pytest.raises(SettingError) as caught:
        draft.workflow()
    assert caught.value.setting == "body[2]"
    assert draft.rows("body") == rows
    assert draft.changed


@pytest.mark.parametrize(
    ("part", "row", "problem"),
    [
        ("headers", Row(path="X Id"), "not the name of a header"),
        ("headers", Row(path=""), "not the name of a header"),
        ("body", Row(alias="Order"), "write its path"),
        ("body", Row(path="a", alias="x\ty"), "control characters"),
        ("body", Row(path="a", type="integer", typed="1.5"), "not of type integer"),
        ("body", Row(path="a", type="integer", typed="true"), "not of type integer"),
        ("body", Row(path="a", type="boolean", typed="yes"), "not of type boolean"),
        ("body", Row(path="a", type="file", typed="1"), "not of type file"),
        ("body", Row(path="a", type="number", typed="NaN"), "not of type number"),
    ],
)
def test_wrong_rows_say_why(part, row, problem):
    draft = Draft(payments(headers=None, body=None))
    draft.set_rows(part, [Row(path="fine"), row])
    found = draft.row_problems(part)
    assert problem in found[1]
    with pytest.raises(SettingError):
        draft.workflow()


@pytest.mark.parametrize(
    ("part", "kind", "typed", "sample"),
    [
        ("body", "text", "42", "42"),
        ("body", None, "42", 42),
        ("body", None, "paid", "paid"),
        ("query", None, "42", "42"),
        ("body", "integer", "9007199254740993", 9007199254740993),
        ("body", "number", "42", 42),
        ("body", "boolean", "true", True),
        ("body", "null", "null", None),
        ("body", "list", "[1]", [1]),
        ("body", "object", '{"a": 1}', {"a": 1}),
        ("body", "text", "", None),
    ],
)
def test_samples_are_read_by_their_type(part, kind, typed, sample):
    variable = Row(path="a", type=kind, typed=typed).variable(part)
    assert variable == Variable("a", type=kind, sample=sample)
    assert type(variable.sample) is type(sample)


@pytest.mark.parametrize(
    ("kind", "sample", "text", "editable"),
    [
        ("text", "paid", "paid", True),
        ("integer", 2**70, str(2**70), True),
        ("number", 42.0, "42.0", True),
        ("boolean", True, "true", True),
        ("null", None, "null", True),
        (None, None, "", True),
        ("list", [1], "1 item", False),
        ("object", {"a": 1, "b": 2}, "2 keys", False),
        ("file", b"abc", "3 bytes", False),
        (
            "file",
            {"filename": "a.pdf", "content_type": None, "content": b"a"},
            "a.pdf (1 byte)",
            False,
        ),
        ("text", "x" * 3000, "x" * 3000, False),
    ],
)
def test_samples_are_shown(kind, sample, text, editable):
    row = Row.of(Variable("a", type=kind, sample=sample))
    assert row.shown_sample == text
    assert row.is_editable is editable
    assert row.variable("body") == Variable("a", type=kind, sample=sample)


def test_one_name_twice_is_told_at_its_row():
    draft = Draft(payments(body=None))
    draft.set_rows("body", ["a", Variable("b", alias="body.a")])
    assert "taken by body[0]" in draft.row_problems("body")[1]


def test_blank_rows_stand_last_and_count_for_nothing():
    draft = Draft(payments())
    draft.set_rows("body", [Row(), *draft.rows("body")])
    assert draft.rows("body")[-1] == Row()
    assert not draft.changed
    draft.set_rows("body", [Row(), Row(path="")])
    assert draft.workflow().trigger.body == (Variable(""),)


def test_a_sample_adds_rows_and_keeps_aliases():
    draft = Draft(payments(body=["legacy", Variable("order", alias="Order"), '["status"]']))
    number = draft.parse("body", '{"id": 1, "order": {"id": 7, "sku": "a"}, "status": "paid"}')
    assert number == 5
    assert [(row.path, row.alias, row.type) for row in draft.rows("body")] == [
        ("id", "", "integer"),
        ("legacy", "", None),
        ("order", "Order", "object"),
        ("order.id", "", "integer"),
        ("order.sku", "", "text"),
        ('["status"]', "", "text"),
    ]
    assert draft.rows("body")[3].sample == 7


def test_a_sample_without_known_paths_comes_after_the_others():
    draft = Draft(payments(query=["ref"]))
    draft.set_rows("query", [*draft.rows("query"), Row()])
    draft.parse("query", "https://shop.example/cb?items[0][sku]=a")
    paths = [row.path for row in draft.rows("query")]
    assert paths == ["ref", "items", "items[0]", "items[0].sku"]


def test_a_delivery_is_as_good_a_sample():
    draft = Draft(payments(body=None, query=None))
    came = delivery(b'{"a": [1, 2]}', query="b=1")
    draft.parse("body", came)
    draft.parse("query", came)
    assert [row.path for row in draft.rows("body")] == ["a", "a[0]", "a[1]"]
    assert [row.path for row in draft.rows("query")] == ["b"]


def test_a_wrong_sample_says_where_and_changes_nothing():
    draft = Draft(payments())
    with pytest.raises(SampleError, match="line 2, column 1"):
        draft.parse("body", '{"a": 1,\n}')
    assert not draft.changed


def test_the_preview_tells_what_would_come():
    draft = Draft(payments(query=["ref"]))
    draft.set_rows("body", [*draft.rows("body"), Row(path="gone", alias="Gone"), Row(path="a..")])
    came = delivery(
        b'{"status": null, "amount": 1, "order": {}}',
        query="ref=spring",
        head=b"Content-Type: application/json\r\nx-request-id: r-1\r\n",
    )
    assert draft.preview(came) == (5, 8, ("body.order.id", "Gone", "body.a.."))
    assert draft.taken("headers", came) == ["r-1"]
    assert draft.taken("query", came) == ["spring"]
    assert draft.taken("body", came) == [None, 1, {}, MISSING, MISSING, MISSING]


def test_hundreds_of_rows_and_the_same_definition():
    draft = Draft(payments(body=[f"key{number}" for number in range(500)]))
    rows = draft.rows("body")
    rows[499] = Row(path="last")
    draft.set_rows("body", rows)
    assert draft.workflow().trigger.body[499].path == "last"


def test_samples_that_are_large_or_deep_are_not_kept():
    draft = Draft(payments(body=None))
    draft.parse(
        "body",
        {
            "text": "x" * 70_000,
            "deep": hooknb.parse_body('{"a":' * 200 + "1" + "}" * 200)[0].sample,
        },
    )
    samples = {row.path: row.sample for row in draft.rows("body")}
    assert samples["text"] is None
    assert samples["deep"] is None
    assert samples["deep" + ".a" * 199] == 1
    assert len(draft.workflow().trigger.body) == len(samples)


def test_a_sample_that_is_too_deep_to_be_written_is_told():
    deep: Any = 1
    for _ in range(600):
        deep = [deep]
    draft = Draft(payments(body=None))
    draft.set_rows("body", [Variable("a", type="list", sample=deep)])
    with pytest.raises(SettingError, match="too deep"):
        draft.workflow()
    assert draft.changed
    assert draft.rows("body")[0].sample is deep


def test_credentials_in_headers_are_masked():
    draft = Draft(payments(headers=["Authorization"]))
    came = delivery(head=b"Authorization: Basic c2hvcDpz\r\n")
    assert draft.taken("headers", came) == ["Basic \u2022\u2022\u2022\u2022\u2022"]


# -- nodes
# -----------------------------------------------------------------------------------------------


def test_a_node_that_is_added_has_a_key_of_its_own():
    draft = Draft(payments())
    assert draft.add((None, None, 0), Condition("true")) == "condition_2"
    assert draft.add((None, None, 99), total) == "total_2"
    assert draft.add(("condition", "no", 0), Response(404, key="response")) == "response_3"
    assert keys(draft) == [
        "nodes[0]=condition_2",
        "nodes[1]=total",
        "nodes[2]=condition",
        "nodes[2].yes[0]=response",
        "nodes[2].no[0]=response_3",
        "nodes[2].no[1]=response_2",
        "nodes[3]=total_2",
    ]


def test_a_node_comes_with_those_below_it():
    draft = Draft(payments())
    key = draft.add((None, None, 9), Condition("true", yes=[total, Response(201)], key="again"))
    assert key == "again"
    assert keys(draft)[4:] == [
        "nodes[2]=again", "nodes[2].yes[0]=total_2", "nodes[2].yes[1]=response_3"
    ]  # fmt: skip


def test_a_condition_gets_branches_with_its_first_node():
    draft = Draft(payments(nodes=[Condition("true")]))
    draft.add(("condition", "no", 0), End("failed"))
    node = draft.find("condition")
    assert node.yes == ()
    assert [below.key for below in node.no] == ["end"]


def test_what_was_removed_and_added_again_is_no_change():
    draft = Draft(payments())
    node = draft.find("condition")
    draft.remove("condition")
    assert keys(draft) == ["nodes[0]=total"]
    assert draft.changed
    draft.add((None, None, 1), node)
    assert not draft.changed


def test_a_node_is_replaced_and_keeps_its_key():
    draft = Draft(payments())
    assert draft.replace("response_2", Response(409)) == "response_2"
    assert draft.find("condition").no[0].status == 409
    assert draft.replace("response_2", Response(409, key="refusal")) == "refusal"
    assert draft.place_of("refusal") == Place("condition", "no", 0)


def test_a_key_that_is_taken_is_refused():
    draft = Draft(payments())
    with pytest.raises(SettingError, match="the key of another node") as caught:
        draft.replace("response_2", Response(409, key="total"))
    assert caught.value.setting == "nodes[1].no[0].key"
    assert not draft.changed


def test_wrong_nodes_are_refused_at_their_place():
    draft = Draft(payments())
    with pytest.raises(SettingError) as caught:
        draft.replace("response_2", Calculation("1", key=5))
    assert caught.value.setting == "nodes[1].no[0].key"
    with pytest.raises(SettingError, match="there is no node 'gone'"):
        draft.replace("gone", Response())
    with pytest.raises(SettingError, match="it has no branch 'maybe'; it has yes, no") as caught:
        draft.add(("condition", "maybe", 0), Response())
    assert caught.value.setting == "nodes[1]"
    assert not draft.changed


def test_nodes_move_within_their_list():
    draft = Draft(payments())
    draft.move("condition", -1)
    assert keys(draft)[0] == "nodes[0]=condition"
    draft.move("condition", -1)
    assert keys(draft)[0] == "nodes[0]=condition"
    draft.move("condition", 1)
    draft.move("condition", 1)
    assert not draft.changed
    draft.add(("condition", "yes", 0), total)
    draft.move("total_2", 1)
    assert keys(draft)[2:4] == ["nodes[1].yes[0]=response", "nodes[1].yes[1]=total_2"]


def test_nodes_may_be_given_as_a_whole():
    draft = Draft(payments())
    draft.set(nodes=[total, Response(200)])
    assert keys(draft) == ["nodes[0]=total", "nodes[1]=response"]
    draft.set(nodes=None)
    assert draft.workflow().nodes == ()
