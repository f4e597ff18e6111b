"""Revisions: which are kept, which is current, and what each changed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hooknb import BasicAuth, Code, Condition, Parallel, Response, Switch, Variable, Workflow
from hooknb.workflow import define
from hooknb.workflow.notation import known_functions
from hooknb.workflow.revisions import Revision, changes, read_revisions


def total(context):
    return context.body


def other(context):
    return context.body, 2


def make(**settings):
    return define("a", sync=True, **settings)


A, B, C = Response(key="a"), Response(key="b"), Response(key="c")


def when(condition="true", *, key="if", **branches):
    return Condition(condition, key=key, **branches)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, ()),
        ({"body": ["a"]}, {"body": [Variable("a", alias="A")]}, ("body",)),
        (
            {"methods": "*", "timeout": 3, "concurrency": 2},
            {"methods": "GET", "max_body": 1},
            ("methods", "timeout", "max_body", "concurrency"),
        ),
        (
            {"response": Response(202)},
            {"response": Response(body=1)},
            ("response.status", "response.body"),
        ),
        ({"response": Response(body=1)}, {"response": Response(body=True)}, ("response.body",)),
        ({"nodes": [A]}, {"nodes": [A, B]}, ("nodes: + b",)),
        ({"nodes": [A, B]}, {"nodes": [B]}, ("nodes: - a",)),
        ({"nodes": [A, B, C]}, {"nodes": [C, A, B]}, ("nodes: c moved",)),
        ({"nodes": [A, B]}, {"nodes": [C, A, B]}, ("nodes: + c",)),
        (
            {"nodes": [total, A]},
            {"nodes": [Code(other, key="total"), Response(201, key="a")]},
            ("nodes[0].function", "nodes[0].source", "nodes[1].status"),
        ),
        ({"nodes": [A]}, {"nodes": [Code(total, key="a")]}, ("nodes[0].type",)),
        (
            {"nodes": [when(yes=[A, B])]},
            {"nodes": [when("false", yes=[B], no=[Response(201, key="a")])]},
            ("nodes[0].condition", "nodes[0].no: a moved", "nodes[0].no[0].status"),
        ),
        (
            {"nodes": [when(yes=[A]), B]},
            {"nodes": [B, when(yes=[A, C])]},
            ("nodes: b moved", "nodes[1].yes: + c"),
        ),
        ({"nodes": [when(yes=[A])]}, {"nodes": [when(yes=[])]}, ("nodes[0].yes: - a",)),
        (
            {"nodes": [Switch([("true", [A])], key="s")]},
            {"nodes": [Switch([("false", [A, B])], key="s")]},
            ("nodes[0].cases", "nodes[0].cases[0].nodes: + b"),
        ),
        (
            {"nodes": [Parallel([[A], [B]], key="p")]},
            {"nodes": [Parallel([[A], [B, C]], mode="race", key="p")]},
            ("nodes[0].mode", "nodes[0].branches[1]: + c"),
        ),
    ],
)
def test_changes_name_the_places(before, after, expected):
    assert changes(make(**before), make(**after)) == expected


def test_a_changed_text_of_a_function_is_its_source():
    def make_node(number):
        if number:

            def node(_context):
                return 1

        else:

            def node(_context):
                return 2

        return node

    before, after = (make(nodes=[make_node(number)]) for number in (0, 1))
    assert changes(before, after) == ("nodes[0].source",)


def test_changes_tell_no_secret():
    before, after = (make(auth=BasicAuth("u", word)) for word in ("one-secret", "two-secret"))
    assert changes(before, after) == ("auth",)
    assert changes(before, before) == ()


NOW = datetime(2026, 11, 24, 12, 41, 7, tzinfo=UTC)


def test_revisions_are_read_with_what_they_changed():
    first, second = make(nodes=[total]), make(nodes=[total, A], timeout=5)
    rows = [(1, NOW, first.encode()), (3, NOW, second.encode())]
    revisions = read_revisions(rows)
    assert revisions == [
        Revision(number=1, created_at=NOW, workflow=first),
        Revision(number=3, created_at=NOW, workflow=second, changes=("nodes: + a", "timeout")),
    ]
    assert [repr(one) for one in revisions] == [
        "<Revision 1, 2026-11-24 12:41:07: the first>",
        "<Revision 3, 2026-11-24 12:41:07: nodes: + a, timeout>",
    ]
    assert revisions[0].workflow.unbound == ("total",)
    known = known_functions(first.nodes)
    assert [one.workflow.unbound for one in read_revisions(rows, known)] == [(), ()]


def test_known_functions_are_those_of_key_and_text():
    data = make(nodes=[total, Code(other, key="o")]).encode()
    known = known_functions(make(nodes=[total, Code(other, key="elsewhere")]).nodes)
    again = Workflow.decode(data, known=known)
    assert again.unbound == ("other",)
    assert again.nodes[0].function is total
    again = Workflow.decode(data, functions=[other], known=known)
    assert (again.unbound, again.encode()) == ((), data)


def test_a_revision_that_cannot_be_read_does_not_hide_the_others():
    first, third = make(), make(timeout=5)
    rows = [
        (1, NOW, first.encode()),
        (2, NOW, b'{"name": "a", "nodes": [{"type": "gone"}]}'),
        (3, NOW, third.encode()),
    ]
    revisions = read_revisions(rows)
    assert [one.workflow for one in revisions] == [first, None, third]
    assert revisions[1].changes[0].startswith("cannot be read: nodes[0].type: 'gone' is not one of")
    assert revisions[2].changes == ("timeout",)
