from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooknb import paths
from hooknb.errors import HooknbError, PathError, SampleError, SettingError
from hooknb.paths import MISSING
from hooknb.workflow.variables import Variable, as_variables, column, parse_body, parse_query

text = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
)


class Delivery:
    def __init__(self, body=MISSING, query=None):
        self.body = body
        self.query = query or {}


def listed(variables):
    return [(variable.path, variable.type, variable.sample) for variable in variables]


def test_every_path_parents_first_in_the_order_of_the_sample():
    assert listed(parse_body('{"a": 1, "b": {"c": 2}}')) == [
        ("a", "integer", 1),
        ("b", "object", {"c": 2}),
        ("b.c", "integer", 2),
    ]
    assert [variable.path for variable in parse_body(b'{"items": [{"sku": "x"}]}')] == [
        "items",
        "items[0]",
        "items[0].sku",
    ]
    assert [variable.path for variable in parse_body([{"a.b": 1}, 2])] == [
        "[0]",
        '[0]["a.b"]',
        "[1]",
    ]


def test_types():
    sample = {"t": "", "i": 1, "n": 1.0, "b": True, "z": None, "l": [], "o": {}, "f": b"", "u": ()}
    assert [variable.type for variable in parse_body(sample)] == [
        "text", "integer", "number", "boolean", "null", "list", "object", "file", "list",
    ]  # fmt: skip


def test_a_file_of_a_form_is_a_file():
    file = {"filename": "a", "content_type": None, "content": b"x"}
    assert [(variable.path, variable.type) for variable in parse_body({"f": file})] == [
        ("f", "file"),
        ("f.filename", "text"),
        ("f.content_type", "null"),
        ("f.content", "file"),
    ]


@given(values)
def test_what_is_listed_is_there(sample):
    for variable in parse_body(json.dumps(sample)):
        assert paths.get(sample, variable.path) == variable.sample
    assert parse_body(json.dumps(sample)) == parse_body(Delivery(sample))


def test_of_a_list_the_first_twenty():
    assert [variable.path for variable in parse_body(list(range(30)))] == [
        f"[{index}]" for index in range(20)
    ]


@pytest.mark.parametrize(
    ("sample", "kind"), [("5", "integer"), ("null", "null"), (None, "null"), (True, "boolean")]
)
def test_a_plain_value_is_one_variable(sample, kind):
    assert [(variable.path, variable.type) for variable in parse_body(sample)] == [("", kind)]


def test_a_delivery_is_a_sample():
    assert parse_body(Delivery({"a": 1})) == parse_body({"a": 1})
    assert parse_body(Delivery("[1]")) == [Variable("", type="text", sample="[1]")]
    assert parse_body(Delivery()) == []
    assert parse_query(Delivery(query={"a": ["1"]})) == parse_query("a[]=1")


def test_empty_samples():
    assert parse_body("{}") == parse_body([]) == parse_query("") == parse_query("?") == []


@pytest.mark.parametrize(
    ("sample", "place"),
    [
        ('{\n "a": x}', "line 2, column 7"),
        (b"[1,]", "line 1, column 4"),
        ("", "line 1, column 1"),
        ("  ", "line 1, column 1"),
        ('"\ud800"', "line 1"),
        ({"a": [1, {2: 3}]}, "a[1]"),
        ({"a": {"b.c": object()}}, 'a["b.c"]'),
        ([{1, 2}], "[0]"),
        (object(), "the top"),
    ],
)
def test_what_cannot_be_read_is_placed(sample, place):
    with pytest.raises(SampleError) as caught:
        parse_body(sample)
    assert place in str(caught.value)


def test_five_hundred_levels_and_no_more():
    sample = 1
    for _ in range(500):
        sample = {"a": sample}
    assert parse_body(sample)[-1].path == ".".join(["a"] * 500)
    with pytest.raises(SampleError, match="500 levels"):
        parse_body([sample])


def test_a_value_that_holds_itself_is_refused():
    sample = {}
    sample["me"] = [sample]
    with pytest.raises(SampleError, match="holds itself"):
        parse_body(sample)


@pytest.mark.parametrize(
    "sample",
    [
        "https://example.org:8/hook/x?a=1&b[0][c]=2#part",
        "http://localhost/?a=1&b[0][c]=2",
        "/hook/x?a=1&b[0][c]=2",
        "localhost:8/hook/x?a=1&b[0][c]=2",
        "?a=1&b[0][c]=2",
        "a=1&b[0][c]=2",
        "  a=1&b%5B0%5D%5Bc%5D=2\n",
        b"a=1&b[0][c]=2",
        {"a": "1", "b": [{"c": "2"}]},
    ],
)
def test_a_query_comes_in_many_forms(sample):
    assert listed(parse_query(sample)) == [
        ("a", "text", "1"),
        ("b", "list", [{"c": "2"}]),
        ("b[0]", "object", {"c": "2"}),
        ("b[0].c", "text", "2"),
    ]


def test_a_url_without_a_query_has_no_variables():
    assert parse_query("https://example.org/hook#x?a=1") == []
    assert parse_query("/hook/x") == []


def test_a_question_mark_in_a_value_stays():
    assert parse_query("next=http://x/?y")[0].sample == "http://x/?y"


@pytest.mark.parametrize("sample", [None, 5, ["a"], object(), {"a": {1: "x"}}])
def test_what_is_no_query_is_refused(sample):
    with pytest.raises(SampleError):
        parse_query(sample)


def test_a_variable_is_a_value():
    assert Variable("a", alias="A") == Variable("a", "A")
    assert Variable("a") != Variable("a", alias="A")
    assert Variable("a") != Variable("a", type="text")
    assert Variable("a", sample=1) != Variable("a", sample=2)
    assert hash(Variable("a", sample=[1])) == hash(Variable("a", sample=[1]))
    assert repr(Variable("a")) == "Variable(path='a')"
    with pytest.raises(AttributeError):
        Variable("a").path = "b"


def test_a_variable_goes_through_json():
    variable = Variable("a[0]", alias="A", type="list", sample=[1])
    assert msgspec.json.decode(msgspec.json.encode(variable), type=Variable) == variable


@pytest.mark.parametrize("path", ["a[", "[x]", "a[0]b", 'a"b', "a ..b"])
def test_a_variable_refuses_what_is_no_path(path):
    with pytest.raises(PathError):
        Variable(path)


@pytest.mark.parametrize(
    "settings",
    [
        {"path": 5},
        {"alias": ""},
        {"alias": " "},
        {"alias": "a\nb"},
        {"alias": "\x7f"},
        {"alias": 5},
        {"type": "string"},
    ],
)
def test_a_variable_refuses_wrong_settings(settings):
    with pytest.raises(SettingError):
        Variable(**{"path": "a"} | settings)


def test_any_name_of_a_header_is_a_variable():
    names = ["X-Request-Id", "x.y..z", "it's", "!#$%&*+-.^_`|~"]
    assert [variable.path for variable in as_variables("headers", names)] == names
    assert column("headers", Variable("x.y")) == "headers.x.y"


def test_items_are_texts_and_variables():
    variable = Variable("b", alias="B")
    assert as_variables("body", ["a", variable]) == (Variable("a"), variable)
    assert as_variables("body", iter(["a"])) == (Variable("a"),)
    assert as_variables("query", None) == ()


@pytest.mark.parametrize(
    ("setting", "items", "named"),
    [
        ("body", "status", r"body: .*\['status'\]"),
        ("body", 5, "body: "),
        ("body", Variable("a"), "body: "),
        ("body", ["a", "b", "c["], r"body\[2\]: "),
        ("body", ["a..b"], r"body\[0\]: .*column 3"),
        ("query", [Variable("a..b")], r"query\[0\]: "),
        ("query", [None], r"query\[0\]: "),
        ("headers", ["A", ""], r"headers\[1\]: "),
        ("headers", ["X Y"], r"headers\[0\]: "),
        ("headers", [Variable("a[0]")], r"headers\[0\]: "),
    ],
)
def test_errors_name_the_item(setting, items, named):
    with pytest.raises(SettingError, match=named) as caught:
        as_variables(setting, items)
    assert isinstance(caught.value, HooknbError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("path", "name"),
    [("b.c", "body.b.c"), ("[0].sku", "body[0].sku"), ('["a.b"]', 'body["a.b"]'), ("", "body")],
)
def test_columns(path, name):
    assert column("body", Variable(path)) == name
    assert column("body", Variable(path, alias="Name")) == "Name"
