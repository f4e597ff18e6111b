"""Bounds on the time and memory that a query takes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import FunctionType, SimpleNamespace
from typing import Any, Final

import jmespath.functions

from hooknb.errors import ExpressionError
from hooknb.expressions.patterns import LinearPattern

__all__ = ["JmespathFunctions", "check_size", "jsonata_functions"]

_MAX_SIZE: Final = 2**24  # values plus characters of texts
_MAX_WIDTH: Final = 1_000_000  # characters that a text is padded to
_MAX_TIME: Final = 1_000  # characters of a time in words
_WIDE: Final = re.compile(r"[,-]\s*+[0-9]{4}")  # in a component of the picture of a time


def check_size(value: Any) -> None:
    """Refuse a value that is too large once written out, however little memory it takes.

    A list may hold one value many times, and would be written out as often.

    Raises
    ------
    ExpressionError
        It has more than 16,777,216 values and characters.
    """
    left = _MAX_SIZE
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            left -= len(one)
        elif isinstance(one, Mapping):
            left -= sum(map(len, one))
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        left -= 1
        if left < len(waiting):
            raise ExpressionError(f"it makes more than {_MAX_SIZE:,} values and characters")


class JmespathFunctions(jmespath.functions.Functions):
    """JMESPath's functions; those whose text may be longer than their argument are bounded."""

    @jmespath.functions.signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, array: list[str]) -> str:
        if sum(map(len, array)) + len(separator) * len(array) > _MAX_SIZE:
            raise ExpressionError(f"join: the text has more than {_MAX_SIZE:,} characters")
        return separator.join(array)

    @jmespath.functions.signature({"types": []})
    def _func_to_string(self, arg: Any) -> str:
        if isinstance(arg, str):
            return arg
        check_size(arg)
        return json.dumps(arg, separators=(",", ":"), default=str)


def jsonata_functions() -> dict[str, Any]:
    """Return bounded replacements for JSONata functions, by name.

    The package parses times with a regular expression built from the picture. Python's engine
    backtracks, so the replacement uses one that does not.
    """
    from jsonata import datetimeutils
    from jsonata.functions import Functions
    from jsonata.jsonata import Jsonata

    def linear(pattern: str, _flags: Any) -> LinearPattern:
        return LinearPattern(pattern, ignore_case=True)

    names = vars(datetimeutils) | {"re": SimpleNamespace(compile=linear, IGNORECASE=re.IGNORECASE)}
    parse = FunctionType(datetimeutils.DateTimeUtils.parse_datetime.__code__, names)

    class Bounded(Functions):  # type: ignore[misc]
        @staticmethod
        def pad(string: Any, width: Any, char: Any) -> Any:
            if isinstance(width, (int, float)) and not -_MAX_WIDTH <= width <= _MAX_WIDTH:
                raise ExpressionError(f"$pad: more than {_MAX_WIDTH:,} characters")
            return Functions.pad(string, width, char)

        @staticmethod
        def datetime_to_millis(timestamp: Any, picture: Any) -> Any:
            if timestamp is not None and len(timestamp) > _MAX_TIME:
                raise ExpressionError(f"$toMillis: a time of more than {_MAX_TIME:,} characters")
            if timestamp is None or picture is None:
                return Functions.datetime_to_millis(timestamp, picture)
            return parse(timestamp, picture)

        @staticmethod
        def datetime_from_millis(millis: Any, picture: Any, timezone: Any) -> Any:
            if picture is not None and _WIDE.search(picture):
                raise ExpressionError("$fromMillis: a width of more than 999 characters")
            return Functions.datetime_from_millis(millis, picture, timezone)

    return {
        "pad": Jsonata.function("pad", "<s-ns?:s>", Bounded, "pad"),
        "toMillis": Jsonata.function("toMillis", "<s-s?:n>", Bounded, "datetime_to_millis"),
        "fromMillis": Jsonata.function("fromMillis", "<n-s?s?:s>", Bounded, "datetime_from_millis"),
    }
