from __future__ import annotations

import datetime as dt
import math
import time
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooknb.errors import SettingError
from hooknb.expressions.comparisons import OPERATORS, check_pattern, compare
from hooknb.paths import MISSING

UTC = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NAIVE = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - naive on purpose

NEGATIONS = {
    "==": "!=",
    "contains": "does not contain",
    "starts with": "does not start with",
    "ends with": "does not end with",
    "is empty": "is not empty",
    "matches": "does not match",
}


class Hostile:
    """Raises whatever it is asked."""

    def _refuse(self, *_: object) -> bool:
        raise ZeroDivisionError

    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = __len__ = __bool__ = __iter__ = _refuse
    __hash__ = object.__hash__


def cyclic() -> list:
    loop: list = []
    loop.append(loop)
    return loop


def deep(levels: int) -> list:
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


def holders() -> st.SearchStrategy:
    leaves = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.decimals()
        | st.text(max_size=5)
        | st.integers().map(str)
        | st.floats().map(str)
        | st.binary(max_size=3)
        | st.datetimes()
        | st.datetimes(timezones=st.just(dt.UTC))
        | st.dates()
        | st.sampled_from(["true", "false", "True", " 1 ", "1e999", "nan", "\ud800", 10**400])
        | st.builds(Hostile)
        | st.builds(object)
        | st.builds(cyclic)
        | st.builds(deep, st.just(100))
        | st.sampled_from([MISSING, np.int64(1), np.float64("nan"), np.bool_(True), 1j, {1, 2}])  # noqa: FBT003
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.dictionaries(st.sampled_from(["a", "b", ""]), inner, max_size=3)
        ),
        max_leaves=5,
    )


values = holders()


@given(values, st.sampled_from(sorted(OPERATORS)), values)
def test_comparing_is_true_or_false_for_any_pair(left, operator, right):
    assert type(compare(left, operator, right)) is bool


@given(values, values)
def test_a_negation_is_the_negation(left, right):
    for operator, negation in NEGATIONS.items():
        assert compare(left, operator, right) is not compare(left, negation, right)


@given(values, values)
def test_equality_is_symmetric(left, right):
    assert compare(left, "==", right) is compare(right, "==", left)


@given(values, values)
def test_orders_are_mirrored(left, right):
    assert compare(left, "<", right) is compare(right, ">", left)
    assert compare(left, "<=", right) is compare(right, ">=", left)
    assert not (compare(left, "<", right) and compare(left, ">", right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("a", "a"),
        (1, 1),
        (1, 1.0),
        (2**70, 2**70),
        (0.1, Decimal("0.1")),
        (Decimal("1.0"), 1),
        (UTC, UTC),
        (b"a", b"a"),
        (dt.date(2026, 1, 1), dt.date(2026, 1, 1)),
        # a number and a numeric text, as numbers
        (1, "1"),
        (1, " 1.0 "),
        (1, "01"),
        (1, "+1"),
        (-5, "-5"),
        (0.1, "0.1"),
        (0.1, "0.10"),
        (100, "1e2"),
        (9007199254740993, "9007199254740993"),
        (10**300, "1" + "0" * 300),
        (Decimal("0.1"), "0.1"),
        (Fraction(1, 2), "0.5"),
        (np.int64(5), "5"),
        (np.float64(0.5), "0.5"),
        # a boolean and its word, as booleans
        (True, "true"),
        (False, "false"),
        (np.bool_(True), "true"),  # noqa: FBT003
        # null and missing
        (None, None),
        (None, MISSING),
        (MISSING, MISSING),
        # lists and objects
        ([1, "a", None], [1, "a", None]),
        ([1], (1.0,)),
        ({"a": [1], "b": None}, {"b": None, "a": [1]}),
    ],
)
def test_equal(left, right):
    assert compare(left, "==", right)
    assert compare(right, "==", left)
    assert not compare(left, "!=", right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("a", "A"),
        ("1", "1.0"),  # two texts, as text
        (2**70, 2**70 + 1),
        (9007199254740993, "9007199254740992"),
        (9007199254740993, 9007199254740992.0),
        (math.nan, math.nan),
        (1, "one"),
        (1, ""),
        (1, "1_0"),
        (10, "1_0"),
        (1, "\N{ARABIC-INDIC DIGIT ONE}"),
        (1, b"1"),
        (math.inf, "inf"),
        # a boolean is no number, and no other word
        (True, 1),
        (False, 0),
        (False, ""),
        (True, "True"),
        (True, "yes"),
        # null equals only null and missing
        (None, ""),
        (None, 0),
        (None, False),
        (None, []),
        (None, "null"),
        (MISSING, ""),
        # across types
        ("a", ["a"]),
        ("a", b"a"),
        ([], {}),
        (UTC, NAIVE),
        (UTC, UTC.isoformat()),
        (dt.date(2026, 1, 1), NAIVE),
        ([1], ["1"]),
        ([True], [1]),
        ([1], [1, 2]),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        ({"a": None}, {}),
        (Hostile(), Hostile()),
        (10**400, 1e300),
    ],
)
def test_unequal(left, right):
    assert not compare(left, "==", right)
    assert compare(left, "!=", right)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (1, 2),
        (1, 1.5),
        (1e300, 10**400),
        (9007199254740992.0, 9007199254740993),
        ("10", "9"),  # two texts, as text
        (9, "10"),
        ("9", 10),
        ("a", "b"),
        (False, True),
        (False, "true"),
        (UTC, UTC + dt.timedelta(seconds=1)),
        (dt.date(2026, 1, 1), dt.date(2026, 1, 2)),
        (Decimal("0.1"), 0.2),
        (0.1, Decimal("0.2")),
    ],
)
def test_order(less, more):
    assert [compare(less, sign, more) for sign in ("<", "<=", ">", ">=")] == [1, 1, 0, 0]
    assert [compare(more, sign, less) for sign in ("<", "<=", ">", ">=")] == [0, 0, 1, 1]


@pytest.mark.parametrize("value", [1, 1.5, "a", True, UTC, b"a"])
def test_what_is_equal_is_neither_less_nor_more(value):
    assert [compare(value, sign, value) for sign in ("<", "<=", ">", ">=")] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, "a"),
        (1, True),
        ("a", True),
        (None, None),
        (None, 1),
        (MISSING, 1),
        ([1], [2]),
        ({"a": 1}, {"a": 2}),
        (UTC, NAIVE),
        (UTC, "2027"),
        (math.nan, 1),
        (math.nan, math.nan),
        (Decimal("sNaN"), 1),
        (Hostile(), Hostile()),
        (1j, 2j),
    ],
)
def test_an_order_across_types_is_false(left, right):
    for sign in ("<", "<=", ">", ">="):
        assert not compare(left, sign, right)
        assert not compare(right, sign, left)


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        ("hello", "contains", "ell", True),
        ("hello", "contains", "", True),
        ("hello", "contains", "x", False),
        ("a1", "contains", 1, False),
        ([1, "a"], "contains", "a", True),
        ([1, "a"], "contains", "1", True),
        ([[1]], "contains", [1], True),
        ([None], "contains", MISSING, True),
        ([Hostile(), 1], "contains", 1, True),
        ({"a": 1}, "contains", "a", True),
        ({"a": 1}, "contains", 1, False),
        ({1, 2}, "contains", 1, True),
        (None, "contains", None, False),
        (MISSING, "contains", "a", False),
        ("hello", "starts with", "he", True),
        ("hello", "starts with", "lo", False),
        ("hello", "starts with", None, False),
        (12, "starts with", "1", False),
        ("hello", "ends with", "lo", True),
        ("hello", "ends with", "he", False),
        ("hello", "ends with", MISSING, False),
        ("", "is empty", None, True),
        (b"", "is empty", None, True),
        ([], "is empty", None, True),
        ((), "is empty", None, True),
        ({}, "is empty", None, True),
        (None, "is empty", None, True),
        (MISSING, "is empty", None, True),
        (" ", "is empty", None, False),
        (0, "is empty", None, False),
        (False, "is empty", None, False),
        ([None], "is empty", None, False),
        ("order-17", "matches", r"^order-\d+$", True),
        ("an order-17", "matches", r"order", True),
        ("order", "matches", r"^order-\d+$", False),
        ("order", "matches", "[", False),
        (17, "matches", r"\d", False),
        ("a", "matches", None, False),
        ("\ud800", "matches", ".", False),
    ],
)
def test_other_operators(left, operator, right, expected):
    assert compare(left, operator, right) is expected
    assert compare(left, NEGATIONS[operator], right) is not expected


def test_values_that_hold_themselves_and_deep_ones():
    assert compare(cyclic(), "==", cyclic())
    assert not compare(cyclic(), "==", [])
    one, other = deep(20_000), deep(20_000)
    assert compare(one, "==", other)
    assert not compare(one, "==", [other])


def test_the_order_of_operands_of_ones_own_class_does_not_matter():
    class Anything:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = object.__hash__

    assert compare([Anything()], "==", [Anything()])


def test_a_regular_expression_takes_no_time_that_explodes():
    start = time.perf_counter()
    assert not compare("a" * 100_000 + "!", "matches", r"^(a+)+$")
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("operator", ["=>", "", None, ["=="], 1])
def test_an_unknown_operator_is_refused_with_those_that_there_are(operator):
    with pytest.raises(SettingError, match=r"operator: .* is not one of ==, !=.*is not empty"):
        compare(1, operator, 1)


@pytest.mark.parametrize("pattern", ["[", "(?=a)", "\\", 5, None])
def test_what_is_no_regular_expression_is_refused(pattern):
    check_pattern(r"^\d+$")
    with pytest.raises(SettingError, match=r"^all\[0\]: .* is not a regular expression"):
        check_pattern(pattern, "all[0]")
