"""Samples: variables of what came, and requests made of them."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooknb import paths
from hooknb.client.outgoing import of_samples
from hooknb.errors import SettingError
from hooknb.paths import MISSING
from hooknb.payloads import parse, parse_query_string
from hooknb.workflow import define
from hooknb.workflow.samples import build_sample, has_sample, with_variable
from hooknb.workflow.variables import Variable, column, parse_body, split_column

text = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
) | text
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(text, inner),
)
words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1).filter(
    lambda word: parse_query_string(f"{word}=1") == {word: "1"} and not word.isdigit()
)
# Three levels: brackets nest five deep, and positions count.
flat = text | st.lists(text, min_size=1, max_size=20)
nested = st.dictionaries(words, flat, min_size=1, max_size=3)
queries = st.dictionaries(
    words, flat | nested | st.lists(nested, min_size=1, max_size=3), max_size=4
)


def same(one, other) -> bool:
    """Tell ``1``, ``1.0`` and ``True`` apart, and the orders of keys."""
    return json.dumps(one) == json.dumps(other)


def sample(**paths_and_samples):
    return [Variable(path, sample=value) for path, value in paths_and_samples["of"].items()]


# -- values


@given(values)
def test_what_is_built_of_a_sample_is_the_sample(value) -> None:
    variables = parse_body(json.dumps(value))
    before = copy.deepcopy(variables)
    assert not variables or same(build_sample(variables), value)
    assert variables == before


@given(values)
def test_the_leaves_alone_are_enough(value) -> None:
    full = [
        variable
        for variable in parse_body(json.dumps(value))
        if variable.type not in {"object", "list"} or not variable.sample
    ]
    assert not full or build_sample(full) == value


@given(values, st.randoms())
def test_the_order_of_variables_does_not_matter(value, random) -> None:
    variables = parse_body(json.dumps(value))
    random.shuffle(variables)
    assert not variables or build_sample(variables) == value


def test_five_hundred_levels() -> None:
    value: object = 1
    for level in range(500):
        value = {"a": value} if level % 2 else [value]
    assert build_sample(parse_body(value)) == value


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"a.b": 1}, {"a": {"b": 1}}),
        ({"a[2]": 1}, {"a": [None, None, 1]}),
        ({"[1].sku": "x"}, [None, {"sku": "x"}]),
        ({"": {"a": 1, "b": 2}, "a": 3}, {"a": 3, "b": 2}),
        ({"a": 1, "a.b": 2}, {"a": {"b": 2}}),
        ({"a": [1, 2, 3], "a[-1]": 9}, {"a": [1, 2, 9]}),
        ({"a[-2]": 9}, {"a": [9, None]}),
        ({"items[*].sku": ["x", "y"]}, {"items": [{"sku": "x"}, {"sku": "y"}]}),
        ({"items": [{"n": 1}], "items[*].sku": ["x"]}, {"items": [{"n": 1, "sku": "x"}]}),
        ({"a[*].b[*].c": [[1, 2], [3]]}, {"a": [{"b": [{"c": 1}, {"c": 2}]}, {"b": [{"c": 3}]}]}),
        ({"items": [{"n": 1}, {}], "items.sku": ["x", "y"]},
         {"items": [{"n": 1, "sku": "x"}, {"sku": "y"}]}),
        ({"a": {}, "b": []}, {"a": {}, "b": []}),
        ({'["a.b"].c': 1}, {"a.b": {"c": 1}}),
    ],
)  # fmt: skip
def test_samples_stand_where_their_paths_lead(given, value) -> None:
    assert build_sample(sample(of=given)) == value


def test_without_samples_there_is_nothing_and_null_is_a_sample() -> None:
    assert build_sample([]) is MISSING
    assert build_sample([Variable("a"), Variable("b", type="integer")]) is MISSING
    assert build_sample([Variable("a", type="null"), Variable("b")]) == {"a": None}
    assert not has_sample(Variable("a"))


def test_no_endless_list_is_made_up() -> None:
    with pytest.raises(SettingError, match=r"a\[1000000000\].*1,000,000,001 elements"):
        build_sample([Variable("a[1000000000]", sample=1)])
    assert (
        len(build_sample([Variable("", sample=[0] * 5000), Variable("[4999]", sample=1)])) == 5000
    )


# -- variables


def test_a_variable_is_added_once_under_each_way_to_write_its_path() -> None:
    one = with_variable("body", (), "a.b", value=7, alias=None)
    assert one == (Variable("a.b", type="integer", sample=7),)
    assert with_variable("body", one, '["a"].b', value=8, alias=None) == one
    [renamed] = with_variable("body", one, 'a["b"]', value=8, alias="A")
    assert renamed == Variable("a.b", "A", "integer", 7)
    headers = with_variable("headers", (), "X-Id", value="1", alias=None)
    assert with_variable("headers", headers, "x-ID", value="1", alias=None) == headers
    assert len(with_variable("query", one, "a", value=MISSING, alias=None)) == 2


@pytest.mark.parametrize("name", ["Authorization", "cookie"])
def test_no_secret_becomes_a_sample(name) -> None:
    [made] = with_variable("headers", (), name, value="Basic c2VjcmV0", alias=None)
    assert (made.type, made.sample) == ("text", None)


def test_a_large_sample_is_not_kept() -> None:
    deep: object = 1
    for _ in range(200):
        deep = [deep]
    for value in ("x" * 70_000, [0] * 70_000, {"x" * 70_000: 1}, deep, b"x" * 70_000):
        [made] = with_variable("body", (), "a", value=value, alias=None)
        assert made.sample is None
        assert made.type is not None


@given(values)
def test_the_names_of_columns_are_read_back(value) -> None:
    for variable in parse_body(json.dumps(value)):
        for part in ("body", "query"):
            assert split_column(column(part, variable)) == (part, variable.path)


@given(st.lists(st.one_of(text, st.integers(-5, 5), st.just(paths.EVERY))))
def test_the_name_of_every_path_is_read_back(parts) -> None:
    path = paths.format(parts)
    assert split_column(column("body", Variable(path))) == ("body", path)


@given(st.from_regex(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", fullmatch=True))
def test_the_name_of_every_header_is_read_back(name) -> None:
    assert split_column(column("headers", Variable(name))) == ("headers", name)


@pytest.mark.parametrize(
    "name",
    ["", "order", "bodyguard", "body.", "body.[0]", "body..a", "body[", "headers", "headers.",
     "headers[0]", "headers.a b", "headers.é", "Body.a", "body]", None, 3],
)  # fmt: skip
def test_what_names_no_variable_is_refused(name) -> None:
    with pytest.raises(SettingError):
        split_column(name)


# -- requests


def request(newest=None, **settings):
    return of_samples(define("samples", **settings).trigger, lambda: newest)


@given(queries)
def test_a_query_is_written_so_that_it_is_read_back(query) -> None:
    sent = request(query=parse_body(query)).query
    assert parse_query_string(sent) == query
    assert sent.isascii()


@given(queries)
def test_a_form_is_written_so_that_it_is_read_back(body) -> None:
    for accept in ("application/x-www-form-urlencoded", "multipart/form-data"):
        sent = request(accept=accept, body=[Variable("", sample=body)])
        kind = dict(sent.fields)["Content-Type"]
        read = parse(sent.content, content_type=kind, max_size=10**9)
        if body:
            assert kind.startswith(accept)
            assert read == body


def test_a_file_is_sent_in_a_multipart_form() -> None:
    file = {"filename": 'a "b".bin', "content_type": "image/png", "content": b"\0\r\n--x"}
    sent = request(accept="*/*", body=[Variable("f", sample=file), Variable("n", sample=1)])
    kind = dict(sent.fields)["Content-Type"]
    read = parse(sent.content, content_type=kind, max_size=10**9)
    assert read == {"f": {**file, "filename": "a %22b%22.bin"}, "n": "1"}


@pytest.mark.parametrize(
    ("accept", "body", "kind", "content"),
    [
        ("application/json", {"a": 2**70}, "application/json", b'{"a":1180591620717411303424}'),
        ("application/*", [1], "application/json", b"[1]"),
        ("*/*", "x", "application/json", b'"x"'),
        ("text/*", "ü", "text/plain; charset=utf-8", "ü".encode()),
        ("text/csv", "a,b", "text/csv; charset=utf-8", b"a,b"),
        ("image/png", b"\x89", "image/png", b"\x89"),
        ("image/*", b"\x89", "image/octet-stream", b"\x89"),
        ("application/x-www-form-urlencoded", {"a b": [True, None]},
         "application/x-www-form-urlencoded", b"a+b[]=true&a+b[]="),
    ],
)  # fmt: skip
def test_a_body_is_sent_as_what_is_accepted(accept, body, kind, content) -> None:
    sent = request(accept=accept, body=[Variable("", sample=body)])
    assert (dict(sent.fields)["Content-Type"], sent.content) == (kind, content)


def test_the_method_is_one_that_is_accepted() -> None:
    assert request(methods="*").method == "POST"
    assert request(methods=["PUT", "POST"]).method == "POST"
    sent = request(methods="GET")
    assert (sent.method, sent.content, list(sent.fields)) == ("GET", None, [])
    assert request(methods="PUT").content == b"{}"


def test_headers_are_sent_but_for_those_that_are_made_anew_or_secret() -> None:
    names = ["X-Id", "Authorization", "Cookie", "Host", "Content-Length", "Content-Type", "TE"]
    sent = request(headers=[Variable(name, sample="1") for name in names])
    assert list(sent.fields) == [("Content-Type", "application/json"), ("X-Id", "1")]
