from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooknb.history.frames.growing_column import Column
from hooknb.paths import MISSING


def built(*parts: list[Any]) -> pd.Series:
    """Build a column part by part, looking at it after each."""
    column, length = Column(), 0
    for part in parts:
        column.add(range(length, length + len(part)), part)
        length += len(part)
        array = column.array(length)
    return pd.Series(array, dtype=array.dtype)


def plain(series: pd.Series) -> list[Any]:
    values = series.array.to_numpy(dtype=object)
    return [
        None if not isinstance(value, (list, dict)) and pd.isna(value) else value
        for value in values
    ]


def same(one: list[Any], other: list[Any]) -> bool:
    return list(map(repr, one)) == list(map(repr, other))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, -(2**63), 2**63 - 1], "int64"),
        ([1, None, 2**63 - 1], "Int64"),
        ([MISSING, 2**53 + 1], "Int64"),
        ([1, 2**63], "object"),
        ([2**63, 2**64 - 1], "object"),
        ([None, 10**30], "object"),
        ([True, False], "bool"),
        ([True, None], "boolean"),
        ([1.5, 2.0], "float64"),
        ([1.5, None], "float64"),
        ([1.5, 2**53], "float64"),
        ([1.5, -(2**53)], "float64"),
        ([1.5, 2**53 + 1], "object"),
        ([1.5, -(2**53) - 1], "object"),
        ([1.5, 10**30], "object"),
        ([1.5, 1, None], "float64"),
        (["a", "b"], "str"),
        (["a", None], "str"),
        (["", "1"], "str"),
        ([True, 1], "object"),
        ([True, 1.0], "object"),
        (["a", 1], "object"),
        ([[1, 2], [3, 4]], "object"),
        ([[1, 2], "a"], "object"),
        ([{}, None], "object"),
        ([b"a"], "object"),
        ([None, MISSING], "object"),
        ([], "object"),
    ],
)
def test_the_type_is_the_narrowest_that_keeps_every_value(values: list[Any], dtype: str) -> None:
    for order in (values, values[::-1]):
        for parts in ([order], [[value] for value in order]):
            series = built(*parts or [[]])
            assert series.dtype == dtype
            expected = [None if value is MISSING else value for value in order]
            if dtype == "float64":
                expected = [None if value is None else float(value) for value in expected]
            assert same(plain(series), expected)


def test_gaps_among_objects_are_none() -> None:
    assert built([[1], MISSING, 2, None]).tolist() == [[1], None, 2, None]


def test_an_integer_keeps_its_digits_when_the_type_changes() -> None:
    assert built([2**53 + 1], [None]).tolist() == [2**53 + 1, pd.NA]
    assert built([2**53 + 1, None], ["a"]).tolist() == [2**53 + 1, None, "a"]
    assert built([2**53 + 1], [0.5]).tolist() == [2**53 + 1, 0.5]
    assert same(plain(built([1, 2.0], ["a"])), [1, 2.0, "a"])
    assert same(plain(built([1], [0.5], [10**30])), [1, 0.5, 10**30])


def test_rows_that_no_call_filled_are_gaps() -> None:
    column = Column()
    column.add([1, 3], [5, 6])
    assert pd.Series(column.array(5)).tolist() == [pd.NA, 5, pd.NA, 6, pd.NA]
    column.add([7], [7])
    assert pd.Series(column.array(9)).tolist() == [*[pd.NA, 5, pd.NA, 6], *[pd.NA] * 3, 7, pd.NA]


def test_what_is_given_out_is_not_changed_later() -> None:
    column = Column()
    column.add(range(2), [1, 2])
    before = column.array(2)
    column.add(range(2, 3), [3])
    column.array(3)
    assert isinstance(before, np.ndarray)
    assert before.tolist() == [1, 2]


numbers = st.integers() | st.integers(2**53 - 2, 2**53 + 2) | st.integers(2**63 - 2, 2**63 + 2)
values = (
    st.sampled_from([None, MISSING])
    | st.booleans()
    | numbers
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
    | st.lists(st.integers(), max_size=2)
)
kinds = st.sampled_from([
    numbers, st.booleans(), st.floats(allow_nan=False), st.text(max_size=2), st.none(),
    st.integers(-5, 5) | st.floats(-5, 5), values,
])  # fmt: skip


@given(st.lists(kinds.flatmap(lambda kind: st.lists(kind, min_size=1, max_size=4)), min_size=1))
def test_growing_gives_the_same_as_building_at_once(parts: list[list[Any]]) -> None:
    grown, at_once = built(*parts), built([value for part in parts for value in part])
    assert grown.dtype == at_once.dtype
    assert same(plain(grown), plain(at_once))
