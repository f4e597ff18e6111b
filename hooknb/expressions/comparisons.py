"""How rules compare two values of any types: the result is a boolean, never an error.

* Values of one type compare directly, strings by code points. All numbers are one type and compare
  exactly. Lists and objects are equal if their elements are; inside them, strings are not
  converted to numbers. They have no order.
* A number and a numeric string compare as numbers. The string is read as a JSON number, but may
  have surrounding whitespace, a plus sign and leading zeros.
* A boolean and ``"true"`` or ``"false"`` compare as booleans. A boolean never equals a number.
* ``null`` equals only ``null`` and missing, and has no order, not even with itself.
* All other pairs of types are unequal and have no order. NaN equals nothing, not even itself.
* A list contains a value that equals one of its elements; a string contains substrings, an object
  its keys.
* Missing, ``null``, and strings, bytes, lists and objects of length 0 are empty.

A comparison without a meaning is false and its negation true: ``!=`` is always ``not ==``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sized
from collections.abc import Set as AbstractSet
from datetime import datetime
from decimal import Decimal
from functools import cache
from itertools import repeat
from numbers import Integral, Real
from typing import Any, Final

import cel

from hooknb.errors import SettingError
from hooknb.paths import MISSING

__all__ = ["OPERATORS", "UNARY", "check_pattern", "compare"]

# Excludes digits of other scripts, "nan" and "1_000", which `float` accepts. CPython refuses to
# convert more than 4,300 digits.
_NUMERAL: Final = re.compile(r"([+-]?)([0-9]{1,4000})(\.[0-9]{1,4000})?([eE][+-]?[0-9]{1,9})?")
_BLANKS: Final = " \t\r\n"
_MAX_NUMERAL_CHARACTERS: Final = 8_100

_Test = Callable[[Any, Any], bool]


def compare(left: Any, operator: str, right: Any = None) -> bool:
    """Compare two values by an operator of :data:`OPERATORS`.

    Parameters
    ----------
    left, right
        Any values; ``MISSING`` for a path that resolves to nothing.
    operator
        Its name, such as ``"=="`` or ``"starts with"``.

    Raises
    ------
    SettingError
        The operator is unknown. No values raise an error.
    """
    test = OPERATORS.get(operator) if isinstance(operator, str) else None
    if test is None:
        raise SettingError("operator", f"{operator!r} is not one of {', '.join(OPERATORS)}")
    return test(left, right)


def check_pattern(pattern: Any, place: str = "right") -> None:
    """Raise a ``SettingError`` that names ``place`` unless ``pattern`` is a regular expression."""
    if not isinstance(pattern, str):
        raise SettingError(place, f"{pattern!r} is not a regular expression; write a string")
    try:
        _matcher().execute({"text": "", "pattern": pattern})
    except Exception as error:
        # The regex engine shows the pattern, a pointer below it, and its reason last.
        lines = str(error).split(". Check function arguments")[0].splitlines()
        reason = lines[-1].removeprefix("error: ") if lines else "it cannot be read"
        raise SettingError(place, f"{pattern!r} is not a regular expression: {reason}") from error


# -- values that compare --------------------------------------------------------------------


def _scalar(value: Any) -> Any:
    """Return the Python scalar for a NumPy scalar or the like, and ``None`` for missing."""
    if value is MISSING:
        return None
    if value is None or isinstance(value, (str, bool, int, float, Decimal)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and type(value).__module__.startswith("numpy"):
        return float(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal, Real)) and not isinstance(value, bool)


def _number(value: Any, beside: Any) -> Any:
    """Return a value as the number to compare with ``beside``, or ``None``."""
    if _is_number(value):
        if isinstance(value, float) and isinstance(beside, Decimal):
            return Decimal(repr(value))  # users expect 0.1 to equal Decimal("0.1")
        return value
    if not isinstance(value, str) or len(value) > _MAX_NUMERAL_CHARACTERS:
        return None
    numeral = _NUMERAL.fullmatch(value.strip(_BLANKS))
    if numeral is None:
        return None
    if isinstance(beside, Decimal):
        return Decimal(numeral[0])
    return float(numeral[0]) if numeral[3] or numeral[4] else int(numeral[0])


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def _pair(left: Any, right: Any) -> tuple[Any, Any] | None:
    """Return two scalars converted to one comparable type, or ``None``."""
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    if isinstance(left, bool) or isinstance(right, bool):
        pair = _boolean(left), _boolean(right)
    elif _is_number(left) or _is_number(right):
        pair = _number(left, right), _number(right, left)
    elif isinstance(left, datetime) and isinstance(right, datetime):
        return left, right
    else:
        return (left, right) if left is not None and type(left) is type(right) else None
    return None if pair[0] is None or pair[1] is None else pair


# -- the operators --------------------------------------------------------------------------


def _quietly(test: _Test) -> _Test:
    def ask(left: Any, right: Any) -> bool:
        try:
            return bool(test(left, right))
        except Exception:  # noqa: BLE001 - a user's class may raise anything
            return False

    return ask


def _not(test: _Test) -> _Test:
    return lambda left, right: not test(left, right)


def _equal(left: Any, right: Any) -> bool:
    left, right = _scalar(left), _scalar(right)
    if isinstance(left, (Mapping, list, tuple)) and isinstance(right, (Mapping, list, tuple)):
        return _same_tree(left, right)
    return _equal_scalars(left, right)


def _equal_scalars(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is right
    pair = _pair(left, right)
    # Only one of the two classes may implement the comparison.
    return pair is not None and (bool(pair[0] == pair[1]) or bool(pair[1] == pair[0]))


def _same_tree(left: Any, right: Any) -> bool:
    """Compare lists and objects of any depth, including those that contain themselves."""
    waiting = [(left, right)]
    seen: dict[tuple[int, int], Any] = {}
    while waiting:
        one, other = waiting.pop()
        inner: Iterable[tuple[Any, Any]]
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            same = one.keys() == other.keys()
            inner = ((value, other[key]) for key, value in one.items())
        elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
            same = len(one) == len(other)
            inner = zip(one, other, strict=False)
        else:
            one, other = _scalar(one), _scalar(other)
            # As in JSON: the number 1 and the text "1" differ.
            if isinstance(one, str) != isinstance(other, str) or not _equal_scalars(one, other):
                return False
            continue
        if not same:
            return False
        pair = (id(one), id(other))
        if pair not in seen:
            seen[pair] = one, other  # kept alive, so that their ids are not reused
            waiting.extend(inner)
    return True


def _ordered(before: _Test) -> _Test:
    def holds(left: Any, right: Any) -> bool:
        left, right = _scalar(left), _scalar(right)
        if isinstance(left, (Mapping, list, tuple, AbstractSet)):
            return False
        pair = _pair(left, right)
        return pair is not None and bool(before(*pair))

    return holds


def _contains(left: Any, right: Any) -> bool:
    if isinstance(left, (str, Mapping)):
        return isinstance(right, str) and right in left
    if isinstance(left, (list, tuple, AbstractSet)):
        return any(map(_quietly(_equal), left, repeat(right)))
    return False


def _starts(left: Any, right: Any) -> bool:
    return isinstance(left, str) and isinstance(right, str) and left.startswith(right)


def _ends(left: Any, right: Any) -> bool:
    return isinstance(left, str) and isinstance(right, str) and left.endswith(right)


def _is_empty(value: Any, _unused: Any) -> bool:
    return value is MISSING or value is None or (isinstance(value, Sized) and len(value) == 0)


@cache
def _matcher() -> Any:
    # CEL's regular expressions run in linear time. In exchange they have no lookaround and no
    # backreferences, and are compiled on each call.
    return cel.compile("text.matches(pattern)")


def _matches(left: Any, right: Any) -> bool:
    if not isinstance(left, str) or not isinstance(right, str):
        return False
    return bool(_matcher().execute({"text": left, "pattern": right}))


_POSITIVE: Final[dict[str, tuple[str, _Test]]] = {
    "contains": ("does not contain", _contains),
    "starts with": ("does not start with", _starts),
    "ends with": ("does not end with", _ends),
    "is empty": ("is not empty", _is_empty),
    "matches": ("does not match", _matches),
}

OPERATORS: Final[dict[str, _Test]] = {
    "==": _quietly(_equal),
    "!=": _not(_quietly(_equal)),
    ">": _quietly(_ordered(lambda a, b: a > b)),
    ">=": _quietly(_ordered(lambda a, b: a >= b)),
    "<": _quietly(_ordered(lambda a, b: a < b)),
    "<=": _quietly(_ordered(lambda a, b: a <= b)),
}
"""Every operator by name; each takes two values and returns a boolean."""

for _name, (_negation, _test) in _POSITIVE.items():
    OPERATORS[_name] = _quietly(_test)
    OPERATORS[_negation] = _not(_quietly(_test))

UNARY: Final = frozenset({"is empty", "is not empty"})
"""The operators that use only the left value."""
