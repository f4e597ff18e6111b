"""The fields of nodes: types and constraints are those of the class, in Python and in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

import hooknb
from hooknb import Delay, Loop, Node, Request, SettingError, Workflow
from hooknb.workflow.nodes import as_nodes
from hooknb.workflow.nodes import node as registry
from hooknb.workflow.nodes.fields import fields_of


class Bounded(Node, frozen=True, tag="bounded"):
    """Hold one field of each kind."""

    count: Annotated[int, Meta(ge=1, le=9)] = 1
    share: Annotated[float, Meta(gt=0, lt=1)] | None = None
    code: Annotated[str, Meta(pattern="^[A-Z]+$", max_length=3, title="the code")] = "A"
    names: Annotated[tuple[str, ...], Meta(min_length=1)] = ("a",)
    pair: tuple[int, str] = (1, "a")
    table: dict[str, int] = {}  # noqa: RUF012 - msgspec copies an empty default
    how: Literal["fast", "slow"] = "fast"
    since: datetime | None = None
    either: Annotated[str, Meta(title="which")] | Callable[[Any], Any] = "a"
    nodes: tuple[Node, ...] = ()


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    hooknb.register(Bounded)
    yield
    del registry._types["bounded"]


GOOD: list[dict[str, Any]] = [
    {"count": 9},
    {"share": 0.5},
    {"code": "ABC"},
    {"names": ("a", "b")},
    {"pair": (2, "b")},
    {"table": {"a": 1}},
    {"how": "slow"},
    {"since": datetime(2026, 1, 1)},  # noqa: DTZ001 - any time
    {"either": print},
    {"nodes": (Delay(0),)},
]
BAD: list[tuple[dict[str, Any], str]] = [
    ({"count": 0}, "count: 0 is not a whole number from 1 to 9"),
    ({"count": 10**500}, "count: 1"),
    ({"count": True}, "count: True is not a whole number"),
    ({"count": 1.0}, "count: 1.0 is not a whole number"),
    ({"share": 0}, "share: 0 is not a number above 0 below 1 or null"),
    ({"share": float("nan")}, "share: nan is not a number"),
    ({"code": "abc"}, "code: 'abc' is not text of a length up to 3 matching"),
    ({"code": "ABCD"}, "code: 'ABCD' is not text"),
    ({"names": ()}, r"names: \(\) is not a list of a length from 1"),
    ({"names": (1,)}, r"names: a list of 1 is not a list"),
    ({"pair": (1,)}, r"pair: a list of 1 is not a list"),
    ({"table": {"a": "b"}}, "table: {'a': 'b'} is not an object"),
    ({"how": "other"}, "how: 'other' is not fast or slow"),
    ({"since": "2026"}, "since: '2026' is not a time or null"),
    ({"either": 5}, "either: 5 is not text or a function of the context"),
    ({"nodes": (5,)}, r"nodes: a list of 1 is not a list"),
]


@pytest.mark.parametrize("settings", GOOD, ids=str)
def test_a_field_within_its_constraints_is_taken(settings: dict[str, Any]) -> None:
    assert as_nodes([Bounded(**settings)])[0] == Bounded(**settings)


@pytest.mark.parametrize(("settings", "problem"), BAD, ids=lambda value: str(value)[:40])
def test_a_field_outside_of_its_constraints_is_refused(
    settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingError, match=rf"^nodes\[0\]\.{problem}"):
        as_nodes([Bounded(**settings)])


@pytest.mark.parametrize(
    ("settings", "place"),
    [({"count": 0}, "count"), ({"code": "abc"}, "code"), ({"how": 1}, "how")],
)
def test_json_is_held_to_the_same_constraints(settings: dict[str, Any], place: str) -> None:
    text = json.dumps({"name": "a", "nodes": [{"type": "bounded", **settings}]})
    with pytest.raises(SettingError, match=rf"^nodes\[0\]\.{place}: .* is not "):
        Workflow.from_json(text)


def test_json_is_read_as_the_types_of_the_fields() -> None:
    data = {"type": "bounded", "names": ["a"], "pair": [1, "b"], "since": "2026-01-01T00:00:00Z"}
    [node] = Workflow.from_json(json.dumps({"name": "a", "nodes": [data]})).nodes
    assert isinstance(node, Bounded)
    assert (node.names, node.pair) == (("a",), (1, "b"))
    assert isinstance(node.since, datetime)


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: Loop([], [], max_items=0), "max_items"),
        (lambda: Loop([], [], max_items=True), "max_items"),
        (lambda: Delay(-1), "seconds"),
        (lambda: Delay(86_401), "seconds"),
        (lambda: Request("http://a.example/", timeout=10**400), "timeout"),
        (lambda: Request("http://a.example/", max_size=0), "max_size"),
    ],
)
def test_nodes_refuse_what_their_fields_say_where_they_are_made(
    make: Callable[[], Node], place: str
) -> None:
    with pytest.raises(SettingError) as caught:
        make()
    assert caught.value.setting == place


def test_what_forms_say_stands_beside_the_field() -> None:
    hints = {field.name: field.hints for field in fields_of(Bounded)}
    assert hints["code"] == {"label": "the code"}
    assert hints["either"] == {"label": "which"}
    assert hints["table"] == {}
