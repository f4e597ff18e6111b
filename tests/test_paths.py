from __future__ import annotations

import copy
import pickle
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooknb import paths
from hooknb.errors import PathError, SettingError
from hooknb.paths import EVERY, MISSING

keys = st.text() | st.text(alphabet=st.sampled_from(".[]\"'*\\\n\x00 0a\ud800\udc00-"))
parts = st.lists(keys | st.integers() | st.just(EVERY)).map(tuple)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sets(st.integers())
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.sampled_from(["a", "b", "", "0"]), inner)
    ),
)
short_paths = st.lists(st.sampled_from(["a", "b", "", "0", 0, -1, 3, EVERY]), max_size=5).map(tuple)


@given(parts)
def test_every_path_round_trips(path):
    text = paths.format(path)
    assert paths.parse(text) == path
    assert paths.format(paths.parse(text)) == text


@given(parts, keys | st.integers() | st.just(EVERY))
def test_join_writes_what_format_writes(path, part):
    assert paths.join(paths.format(path), part) == paths.format((*path, part))


@given(st.text(alphabet=st.sampled_from(".[]\"'*\\ab01-u")))
def test_what_is_read_is_written_so_that_it_reads_the_same(text):
    try:
        path = paths.parse(text)
    except PathError as error:
        assert 1 <= error.column <= len(text) + 1  # noqa: PT017 - either outcome is right
    else:
        assert paths.parse(paths.format(path)) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("b.c", ("b", "c")),
        ("items[0].sku", ("items", 0, "sku")),
        ("[0].sku", (0, "sku")),
        ("[-1]", (-1,)),
        ("items[*].sku", ("items", EVERY, "sku")),
        ("a.0", ("a", "0")),
        ("a.*", ("a", "*")),
        ('["org.opencontainers.image.url"].name', ("org.opencontainers.image.url", "name")),
        ('a["b"]["c"]', ("a", "b", "c")),
        ('[""]', ("",)),
        ("['it\"s']", ('it"s',)),
        (r"['it\'s']", ("it's",)),
        (r'["\u00e9\n\ud83d\ude00\\ud83d"]', ("é\n😀\\ud83d",)),
        (" a .b ", (" a ", "b ")),
        ("X-Request-Id", ("X-Request-Id",)),
    ],
)
def test_grammar(text, path):
    assert paths.parse(text) == path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("a", 0, -1, EVERY, "b"), "a[0][-1][*].b"),
        (("a.b",), '["a.b"]'),
        (("a[",), '["a["]'),
        (("a]",), '["a]"]'),
        (('a"',), r'["a\""]'),
        (("a'",), '["a\'"]'),
        (("x", ""), 'x[""]'),
        (("a\\b", "*", " ", "0"), "a\\b.*. .0"),
    ],
)
def test_only_what_must_be_is_quoted(path, text):
    assert paths.format(path) == text


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (".a", 1),
        ("a.", 3),
        ("a..b", 3),
        ("a.[0]", 3),
        ("a[", 3),
        ("a[0", 4),
        ("a[x]", 3),
        ("a[]", 3),
        ("a[01]", 3),
        ("a[-0]", 3),
        ("a[1.5]", 4),
        ("a[0]b", 5),
        ("a]", 2),
        ('a"b', 2),
        ("a'b", 2),
        ('a["b', 3),
        ('a["b"', 6),
        (r'a["b\q"]', 5),
        (r'a["\u12"]', 4),
        ("a[" + "1" * 5000 + "]", 3),
    ],
)
def test_what_is_no_path_is_refused_with_its_column(text, column):
    with pytest.raises(PathError) as caught:
        paths.parse(text)
    assert caught.value.column == column
    assert caught.value.path == text


@pytest.mark.parametrize("part", [None, True, 1.5, b"a", ("a",)])
def test_format_refuses_what_is_no_part(part):
    with pytest.raises(SettingError):
        paths.format(("a", part))


ORDER = {
    "a": {"b": {"c": None}},
    "0": "key",
    "items": [{"sku": "x", "tags": [1, 2]}, {"tags": [3]}, {"sku": None}, "text"],
    "grid": [[{"n": 1}, {"n": 2}], [{"n": [3, [4]]}], []],
    "empty": [],
    "plain": [1, 2],
    "pair": ("p", "q"),
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", ORDER),
        ("a", {"b": {"c": None}}),
        ("a.b.c", None),
        ("0", "key"),
        ("[0]", MISSING),
        ("a.x", MISSING),
        ("a.b.c.d", MISSING),
        ("a[0]", MISSING),
        ("items[0].sku", "x"),
        ("items[-1]", "text"),
        ("items[4]", MISSING),
        ("items[-5]", MISSING),
        ("items.sku", ["x", None]),
        ("items.tags", [1, 2, 3]),
        ("items.tags[2]", 3),
        ("items.none", MISSING),
        ("empty.sku", []),
        ("plain.sku", MISSING),
        ("grid.n", [1, 2, 3, [4]]),
        ("grid.m", []),
        ("items[*].sku", ["x", None]),
        ("items[*].tags", [[1, 2], [3]]),
        ("items[*].none", MISSING),
        ("empty[*].sku", []),
        ("grid[*].n", [[1, 2], [3, [4]], []]),
        ("grid[*][0].n", [1, [3, [4]]]),
        ("a[*]", MISSING),
        ("[*]", MISSING),
        ("0[0]", MISSING),
        ("0.x", MISSING),
        ("pair[1]", "q"),
        ("pair[*]", ["p", "q"]),
    ],
)
def test_what_a_path_gives(path, found):
    assert paths.get(ORDER, path) == found
    assert paths.get(ORDER, paths.parse(path)) == found
    assert paths.compile(path)(ORDER) == found


def test_a_default_stands_for_missing_only():
    assert paths.get({"a": None}, "a", 7) is None
    assert paths.get({"a": None}, "b", 7) == 7
    assert paths.get({"a": None}, ["b"]) is MISSING


def test_nothing_is_made_up_by_a_default_dictionary():
    counts = defaultdict(int)
    assert paths.get([counts], "a") is MISSING
    assert paths.get(counts, "a") is MISSING
    assert not counts


@given(values, short_paths)
def test_get_never_raises(value, path):
    paths.get(value, path)


def test_values_that_hold_themselves_end():
    loop = []
    loop.append(loop)
    assert paths.get(loop, "a") is MISSING
    inner = [loop, {"a": 1}]
    loop.append(inner)
    assert paths.get(loop, "a") == [1]
    only = []
    only.append(only)
    assert paths.get(only, (EVERY,) * 100_000) is MISSING


def test_deep_lists_are_looked_into():
    value = [{"a": 1}]
    for _ in range(50_000):
        value = [value]
    assert paths.get(value, "a") == [1]
    while value:  # taken apart here, since comparing or freeing it at once would recurse
        value = value[0] if isinstance(value, list) else None


def test_a_getter_is_made_once():
    assert paths.compile("a.b") is paths.compile("a.b")


def test_missing_and_every_are_one_of_a_kind():
    for one in (MISSING, EVERY):
        assert copy.copy(one) is one
        assert copy.deepcopy([one])[0] is one
        assert pickle.loads(pickle.dumps(one)) is one  # noqa: S301
    assert not MISSING
    assert repr(MISSING) == "<missing>"
    assert MISSING is not None
