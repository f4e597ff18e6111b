"""Conversion of Python values for CEL: only those that an expression names, in CEL's types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Final

from hooknb.errors import ExpressionError
from hooknb.expressions import templates
from hooknb.paths import MISSING

__all__ = ["MAX_LEVELS", "MAX_VALUES", "Budget", "TooManyValuesError", "handed_over"]

MAX_LEVELS: Final = 500
"""Maximum levels of nesting of a value."""

MAX_VALUES: Final = 100_000
"""Maximum values of an expression; a text counts as one more for each full 1,024 characters."""

_TEXT_UNIT: Final = 1024  # characters


class TooManyValuesError(ExpressionError):
    """An expression names more values than it may use."""


class Budget:
    """Counts the values passed to CEL.

    CEL copies them, at 4 µs and a few hundred bytes each, and no other thread runs meanwhile.
    """

    __slots__ = ("left",)

    def __init__(self, values: int) -> None:
        self.left = values

    def take(self, value: Any) -> None:
        """Count one value."""
        self.left -= 1
        if type(value) in {str, bytes}:
            self.left -= len(value) // _TEXT_UNIT
        if self.left < 0:
            raise TooManyValuesError("too many values")


def handed_over(value: Any, tree: dict[str, Any] | None, budget: Budget) -> Any:
    """Return the parts of a value that an expression names, in CEL's types.

    Raises
    ------
    TooManyValuesError
        The parts exceed the rest of the budget.
    """
    if tree is None:
        return _plain(value, 0, budget)
    if value is MISSING:
        return {}
    if type(value) is not dict and not isinstance(value, Mapping):
        return _plain(value, 0, budget)
    seen = {}
    for key, branch in tree.items():
        found = value.get(key, MISSING)
        if found is not MISSING:
            seen[key] = handed_over(found, branch, budget)
    return seen


def _plain(value: Any, depth: int, budget: Budget) -> Any:
    budget.take(value)
    kind = type(value)
    if kind is bool or kind is float or value is None:
        return value
    if isinstance(value, str):
        return _text(value)
    if kind is int or isinstance(value, Integral):
        whole = int(value)
        return whole if -(2**63) <= whole < 2**64 else _double(whole)
    if depth > MAX_LEVELS:
        raise RecursionError
    if isinstance(value, Mapping):
        names = getattr(value, "lower_names", None)  # of headers
        seen = {}
        for key, item in (value if names is None else names()).items():
            seen[_key(key)] = _plain(item, depth + 1, budget)
        return seen
    if isinstance(value, (list, tuple, AbstractSet)):
        items = []
        for item in value:
            items.append(_plain(item, depth + 1, budget))  # noqa: PERF401 - a comprehension takes a level more
        return items
    return _other(value)


def _other(value: Any) -> Any:
    seen: Any
    if value is MISSING:
        seen = None
    elif isinstance(value, (bytes, bytearray, memoryview)):
        seen = bytes(value)
    elif isinstance(value, (datetime, timedelta)) and bool(value == value):  # noqa: PLR0124 - not pandas' NaT
        seen = value
    elif isinstance(value, date) and not isinstance(value, datetime):
        seen = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - CEL takes it as UTC
    elif isinstance(value, (Real, Decimal)):
        seen = _double(value)
    elif getattr(value, "shape", None) == () and isinstance(plain := value.item(), bool):
        seen = plain  # numpy's booleans
    else:
        seen = _text(templates.write_out(value))
    return seen


def _double(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except ValueError:  # a signalling NaN
        return math.nan


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return value.encode("utf-8", "replace").decode()
    return value


def _key(key: Any) -> Any:
    if isinstance(key, str):
        return _text(key)
    whole = isinstance(key, int) and -(2**63) <= key < 2**63
    return key if whole else _text(templates.write_out(key))
