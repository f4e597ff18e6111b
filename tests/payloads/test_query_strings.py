from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooknb.payloads.query_strings import nest, parse_query_string

pieces = st.sampled_from(
    ["a", "b", "[]", "[0]", "[1]", "[19]", "[20]", "[b]", "[", "]", "=", "=x",
     "&", "&a", "+", "%", "%5B", "%5d",
     "%zz", "%E9", "%C3%A9", "é", "[toString]", "[__proto__]", "[-1]", "[99999999999999999999]"]
)  # fmt: skip


@given(st.text() | st.lists(pieces, max_size=40).map("".join))
def test_never_raises(text):
    assert isinstance(parse_query_string(text), dict)


@given(
    st.lists(
        st.tuples(st.text(alphabet="ab", min_size=1), st.text()), unique_by=lambda pair: pair[0]
    )
)
def test_plain_names_stay_as_they_are(pairs):
    assert list(nest(pairs).items()) == pairs


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("a=1&a=2", {"a": ["1", "2"]}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[b]=1", {"a": {"b": "1"}}),
        ("a[0][b]=1&a[]=2", {"a": [{"b": "1"}, "2"]}),
        ("a.b=1", {"a.b": "1"}),
        ("a", {"a": ""}),
        ("a+b=c+d", {"a b": "c d"}),
        ("a=%zz+%41", {"a": "%zz %41"}),
        ("a=%C3", {"a": "%C3"}),
        ("a=é%C3%A9", {"a": "éé"}),
        ("a%5B0%5d=1", {"a": ["1"]}),
        ("a[5]=x&a[2]=y", {"a": ["y", "x"]}),
        ("a[19]=x", {"a": ["x"]}),
        ("a[20]=x", {"a": {"20": "x"}}),
        ("a[01]=x", {"a": {"01": "x"}}),
        ("a[-1]=x", {"a": {"-1": "x"}}),
        ("a[1]=x&a[b]=y", {"a": {"1": "x", "b": "y"}}),
        ("a[b]=1&a=2", {"a": [{"b": "1"}, "2"]}),
        ("a=1&a[b]=2", {"a": ["1", {"b": "2"}]}),
        ("a[b]=1&a=2&a=3", {"a": {"0": "2", "1": "3", "b": "1"}}),
        ("a[b]=1&a=2&a[c]=3", {"a": {"0": {"b": "1"}, "1": "2", "c": "3"}}),
        ("a[b][c][d][e][f][g]=1", {"a": {"b": {"c": {"d": {"e": {"f": {"[g]": "1"}}}}}}}),
        ("a[b[]]=1", {"a": {"b[]": "1"}}),
        ("a[b=1", {"a": {"[b": "1"}}),
        ("=1&&a=2", {"a": "2"}),
        ("a[][]=1", {"a": ["1"]}),
        ("toString=1&__proto__[a]=1&a[constructor]=1&b=2", {"b": "2"}),
    ],
)
def test_rules_of_qs(text, value):
    assert parse_query_string(text) == value


def test_a_list_of_more_than_twenty_becomes_an_object_as_in_qs():
    twenty = "&".join(f"a={number}" for number in range(20))
    assert parse_query_string(twenty)["a"] == [str(number) for number in range(20)]
    assert parse_query_string(f"{twenty}&a=20")["a"] == {
        str(number): str(number) for number in range(21)
    }
    assert parse_query_string("&".join(["a[]=x"] * 30))["a"] == {
        str(number): "x" for number in range(30)
    }
    assert parse_query_string(f"{twenty.replace('a=', 'a[]=')}&a=y")["a"]["20"] == "y"


def test_all_pairs_are_read():
    text = "&".join(f"k{number}=v" for number in range(1_500))
    assert len(parse_query_string(text)) == 1_500


def test_a_charset_is_tried_where_escapes_are_not_utf_8():
    assert parse_query_string("a=%E9&b=%C3%A9", charset="iso-8859-1") == {"a": "é", "b": "é"}
    assert parse_query_string("a=%E9", charset="nonsense") == {"a": "%E9"}


def test_values_that_are_containers_are_left_whole():
    file = {"filename": "x", "content": b""}
    assert nest([("f", file), ("f", file), ("g[a]", file), ("g[a]", "x"), ("h[]", [1])]) == {
        "f": [file, file],
        "g": {"a": [file, "x"]},
        "h": [[1]],
    }


@pytest.mark.parametrize(
    "pair", ["a=1&", "a[0]=1&", "a[b]=1&", "a[0][0]=1&", "[" * 1_000 + "&", "&", "a[b]=1&a=1&"]
)
def test_long_bodies_do_not_cost_their_square(pair):
    # A quadratic reading would not end within anybody's patience.
    assert isinstance(parse_query_string(pair * (1_000_000 // len(pair))), dict)
