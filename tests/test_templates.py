from __future__ import annotations

import datetime as dt
import time
import uuid
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooknb import paths
from hooknb.expressions.templates import has_templates, lookup, render, write_out
from hooknb.paths import MISSING
from hooknb.payloads.headers import HeaderMap

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
SCOPE = {
    "headers": HeaderMap([("X-Request-Id", "7"), ("Accept", "a"), ("accept", "b")]),
    "query": {"page": "2"},
    "body": {
        "name": "Ann",
        "amount": 100,
        "big": 2**70,
        "null": None,
        "empty": "",
        "false": False,
        "items": [{"sku": "x"}, {"sku": "y"}],
        "a.b": {"}}": 1, "|": 2},
        "sneaky": "{{ body.name }}",
    },
    "nodes": {"total": 125.0, "my key": {"a": 1}},
    "item": {"sku": "x"},
    "index": 0,
    "now": NOW,
    "env": MappingProxyType({"TOKEN": "t"}),
}


class Hostile(dict):
    def get(self, *_: object) -> object:
        raise ZeroDivisionError

    items = values = __iter__ = __getitem__ = __str__ = get  # type: ignore[assignment]


class Mute:
    def __str__(self) -> str:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        return "Mute()"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ headers.X-Request-Id }}", "7"),
        ("{{ headers.x-request-id }}", "7"),
        ('{{ headers["ACCEPT"] }}', "a, b"),
        ("{{ query.page }}", "2"),
        ("{{ body.amount }}", 100),
        ("{{body.amount}}", 100),
        ("{{\n\tbody.amount\n}}", 100),
        ("{{ body.big }}", 2**70),
        ("{{ body.null }}", None),
        ("{{ body.false }}", False),
        ("{{ body }}", SCOPE["body"]),
        ("{{ body.items[1].sku }}", "y"),
        ("{{ body.items[-1].sku }}", "y"),
        ("{{ body.items.sku }}", ["x", "y"]),
        ("{{ body.items[*].sku }}", ["x", "y"]),
        ('{{ body["a.b"]["}}"] }}', 1),
        ("{{ body['a.b'][\"|\"] }}", 2),
        ("{{ nodes.total }}", 125.0),
        ("{{ nodes.my key.a }}", 1),
        ("{{ item.sku }}", "x"),
        ("{{ index }}", 0),
        ("{{ now }}", NOW),
        ("{{ env.TOKEN }}", "t"),
        # the long forms
        ("{{$context.body.amount}}", 100),
        ("{{ $context.headers.x-request-id }}", "7"),
        ('{{ $context["query"].page }}', "2"),
        ("{{$jobsMapByNodeKey.total}}", 125.0),
        ("{{ $jobsMapByNodeKey['my key'].a }}", 1),
        # missing
        ("{{ body.nope }}", MISSING),
        ("{{ body.name.first }}", MISSING),
        ("{{ headers.nope }}", MISSING),
        ("{{ headers[0] }}", MISSING),
        ("{{ env.NOPE }}", MISSING),
        ("{{ nope.a }}", MISSING),
        # defaults
        ('{{ body.nope | "friend" }}', "friend"),
        ('{{body.nope|"friend"}}', "friend"),
        ('{{ body.nope | "a | }} b" }}', "a | }} b"),
        ("{{ body.nope | 0 }}", 0),
        ("{{ body.nope | null }}", None),
        ('{{ body.nope | {"a": [1]} }}', {"a": [1]}),
        ('{{ nope | "x" }}', "x"),
        ('{{ body.name | "friend" }}', "Ann"),
        ('{{ body.null | "friend" }}', None),
        ('{{ body.empty | "friend" }}', ""),
        ('{{ body.false | "friend" }}', False),
    ],
)
def test_exactly_one_template_keeps_the_type(text, value):
    rendered = render(text, SCOPE)
    assert rendered == value
    assert type(rendered) is type(value)
    assert has_templates(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Hello {{ body.name }}!", "Hello Ann!"),
        (" {{ body.amount }}", " 100"),
        ("{{ body.amount }} ", "100 "),
        ("{{ body.amount }}{{ body.amount }}", "100100"),
        ("a{{ body.null }}b", "ab"),
        ("a{{ body.nope }}b", "ab"),
        ("a{{ nope }}b", "ab"),
        ("at {{ now }}", "at 2026-01-02T03:04:05+00:00"),
        ("{{ body.items }}!", '[{"sku":"x"},{"sku":"y"}]!'),
        ("{{ item }}!", '{"sku":"x"}!'),
        ("{{ body.false }}!", "false!"),
        ("{{ body.big }}!", "1180591620717411303424!"),
        ('Hello {{ body.nope | "friend" }}!', "Hello friend!"),
        ('{"a":{{ body.amount }}}', '{"a":100}'),
        ("{{{ body.amount }}}", "{100}"),
        ("{{ {{ body.amount }} }}", "{{ 100 }}"),
        # inserted, never evaluated again
        ("{{ body.sneaky }}!", "{{ body.name }}!"),
        ("{{{{ body.sneaky }}}}", "{{{{ body.name }}}}"),
    ],
)
def test_inside_of_a_longer_text_a_value_is_written_out(text, written):
    assert render(text, SCOPE) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "{{",
        "}}",
        "{{}}",
        "{{ }}",
        "{{ body.name",
        "{{ body.name }",
        "{ { body.name } }",
        "{{ body..name }}",
        "{{ .name }}",
        "{{ [0] }}",
        "{{ $context }}",
        '{{ body["name }}',
        "{{ body.name | friend }}",
        "{{ body.name | }}",
        "{{ body.nope | NaN }}",
        "{{ body.nope | 'friend' }}",
        '{{ body.nope | "a" "b" }}',
        "{{ body.a}b }}",
        "{{ body.nope | " + "[" * 5000 + " }}",
        "{{ " + "a" * 20_000 + " }}",
    ],
)
def test_text_that_is_not_quite_a_template_stays(text):
    assert render(text, SCOPE) == text
    assert not has_templates(text)


def test_templates_anywhere_inside_and_what_is_missing_drops_its_key():
    settings = {
        "ok": True,
        "name": "{{ body.name }}",
        "gone": "{{ body.nope }}",
        "null": "{{ body.null }}",
        "deep": [{"sku": "{{ item.sku }}", "gone": "{{ nope }}"}, "{{ body.nope }}", ("n", 1)],
        "text": "-{{ body.nope }}-",
        "{{ body.name }}": b"{{ body.name }}",
    }
    assert render(settings, SCOPE) == {
        "ok": True,
        "name": "Ann",
        "null": None,
        "deep": [{"sku": "x"}, None, ["n", 1]],
        "text": "--",
        "{{ body.name }}": b"{{ body.name }}",
    }
    assert settings["gone"] == "{{ body.nope }}"
    assert has_templates(settings)
    assert not has_templates({"a": ["b", 1, None]})


def test_an_inserted_object_is_not_evaluated():
    scope = {"body": {"a": ["{{ query.b }}"]}, "query": {"b": 1}}
    assert render({"x": "{{ body }}"}, scope) == {"x": {"a": ["{{ query.b }}"]}}


def test_a_default_is_not_shared():
    render("{{ body.nope | [] }}", {}).append(1)
    assert render("{{ body.nope | [] }}", {}) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (None, ""),
        (MISSING, ""),
        (True, "true"),
        (1.5, "1.5"),
        (float("inf"), "inf"),
        (10**4000, "1" + "0" * 4000),
        (NOW, "2026-01-02T03:04:05+00:00"),
        (NOW.date(), "2026-01-02"),
        (NOW.time(), "03:04:05"),
        (b"a\xff", "a�"),
        (["é", None, MISSING], '["é",null,null]'),
        ({"at": NOW.date()}, '{"at":"2026-01-02"}'),
        ((1, 2), "[1,2]"),
        (Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (Mute(), "<Mute>"),
        ([Mute()], "<list>"),
    ],
)
def test_write_out(value, text):
    assert write_out(value) == text


def test_lookup():
    assert lookup("body.a[0]")({"body": {"a": [7]}}) == 7
    assert lookup("body.a")({}) is MISSING
    assert lookup("$context.body.a")({"body": {"a": 1}}) == 1
    for text in ("", "[0]", "a..b", "$context", "$context[0]"):
        assert lookup(text) is None


# -- whatever comes
# ---------------------------------------------------------------------------

fragments = st.sampled_from(
    ["{{", "}}", "{", "}", " ", "|", '"', "'", "[", "]", "[0]", "\\", ".", "body", "body.a", "x",
     "$context", "$jobsMapByNodeKey", "null", '"d"', "\n", "\ud800"]
)  # fmt: skip
texts = st.lists(fragments, max_size=12).map("".join) | st.text()
hostile = st.sampled_from(
    [Hostile(a=1), object(), MISSING, {"a": Hostile()}, [[]], float("nan"), 1j]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary() | hostile
things = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)
scopes = st.dictionaries(st.sampled_from(["body", "query", "headers", "x"]), things)


@given(things, scopes | st.just(Hostile(a=1)))
def test_rendering_never_raises(value, scope):
    render(value, scope)
    has_templates(value)


@given(things)
def test_writing_out_never_raises(value):
    assert isinstance(write_out(value), str)


@given(texts)
def test_text_without_templates_is_unchanged(text):
    if not has_templates(text):
        assert render(text, SCOPE) == text


@given(st.text(alphabet=st.characters(exclude_characters="{")))
def test_text_without_braces_has_no_templates(text):
    assert not has_templates(text)


@given(texts, texts, texts)
def test_what_is_inserted_is_not_evaluated_again(before, inserted, after):
    scope = {"body": {"a": inserted, "": "evaluated"}}
    if not has_templates(before + "{") and not has_templates("}" + after) and "{" not in before:
        expected = before + inserted + after
        assert render(before + "{{ body.a }}" + after, scope) == expected


@given(st.lists(st.text() | st.integers(min_value=0, max_value=2), max_size=4))
def test_every_path_can_be_written_in_a_template(parts):
    path = ("body", *parts)
    quoted = "body" + "".join(
        paths.format((part,)) if isinstance(part, int) else _quoted(part) for part in parts
    )
    value: object = "found"
    for part in reversed(parts):
        value = [value] * 3 if isinstance(part, int) else {part: value}
    assert paths.parse(quoted) == path
    assert render("{{ " + quoted + " }}", {"body": value}) == "found"


def _quoted(key: str) -> str:
    return '["' + key.replace("\\", "\\\\").replace('"', '\\"') + '"]'


@pytest.mark.parametrize(
    "unit",
    ["{{", "{", "{{a", '{{"', '{{\\"', '{{["', "{{['", "{{['{{[\"", '{{a|["', "{{a|[[[", "{{a[0]",
     "{{ ", "}}"],
)  # fmt: skip
def test_text_of_nothing_but_beginnings_costs_no_square(unit):
    text = unit * (100_000 // len(unit))
    start = time.perf_counter()
    assert render(text, SCOPE) == text
    assert time.perf_counter() - start < 3


def test_deep_and_circular_settings_stay_as_they_are():
    loop: list = ["{{ body.name }}"]
    loop.append(loop)
    assert render(loop, SCOPE) is loop
    has_templates(loop)
    write_out(loop)
    deep: list = []
    for _ in range(50_000):
        deep = [deep]
    assert render(deep, SCOPE) is deep
    assert write_out(deep) == "<list>"
    while deep:
        deep = deep[0]
