"""Locating faults: where a refused body stops being JSON, and why."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["MAX_DEPTH", "MAX_DIGITS", "Fault", "find_fault"]

MAX_DEPTH: Final = 500
"""Maximum levels of nesting; an array or object of scalars is one level."""

MAX_DIGITS: Final = 4_000
"""Maximum digits of an integer."""

# About 0.1 s, so that faulty bodies cannot keep the server busy composing error messages.
_MAX_TOKENS: Final = 200_000

_TOKEN: Final = re.compile(
    rb"""[ \t\n\r]*+(?:
        (?P<text>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+")
      | (?P<number>-?(?:0|[1-9][0-9]*+)(?P<fraction>(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?))
      | (?P<literal>true|false|null)
      | (?P<mark>[\[\]{},:])
    )""",
    re.VERBOSE,
)
_SPACE: Final = re.compile(rb"[ \t\n\r]*+")
_SURROGATE: Final = re.compile(
    rb"""\\(?:
        u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}  # a pair
      | (?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})
      | .
    )""",
    re.VERBOSE | re.DOTALL,
)
_STRING_PART: Final = re.compile(rb"""(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+""")
_WORDS: Final = {b"NaN", b"Infinity", b"-Infinity", b"None", b"True", b"False", b"undefined"}
_WORD: Final = re.compile(rb"-?[A-Za-z]++")


class Fault(NamedTuple):
    """A position in a body, and what is wrong there."""

    at: int  # the byte, from 0
    problem: str  # a phrase that the position follows


def find_fault(utf8: bytes) -> Fault | None:  # noqa: C901 - one branch for each kind of token
    """Return the first fault among the first 200,000 tokens of a text that should be JSON."""
    nesting: list[bytes] = []
    # The next token: "value", "first" (a value or the end of the list), "key", "first key" (a key
    # or the end of the object), "colon", "next" (a comma or the end), "end".
    expected = "value"
    at = 0
    for _ in range(_MAX_TOKENS):
        token = _TOKEN.match(utf8, at)
        if token is None:
            return _no_token(utf8, at, expected, nesting)
        kind = token.lastgroup if token.lastgroup != "fraction" else "number"
        start = token.start(kind or 0)
        content = token[kind or 0]
        at = token.end()
        if kind == "mark" and content in b"[{" and expected in {"value", "first"}:
            if len(nesting) == MAX_DEPTH:
                return Fault(start, f"more than {MAX_DEPTH} levels of nesting")
            nesting.append(content)
            expected = "first" if content == b"[" else "first key"
        elif kind == "mark" and _closes(content, expected, nesting):
            nesting.pop()
            expected = "next" if nesting else "end"
        elif content == b"," and expected == "next":
            expected = "value" if nesting[-1] == b"[" else "key"
        elif content == b":" and expected == "colon":
            expected = "value"
        elif kind == "text" and expected in {"key", "first key"}:
            if (fault := _text_fault(content, start)) is not None:
                return fault
            expected = "colon"
        elif kind != "mark" and expected in {"value", "first"}:
            fault = _text_fault(content, start) if kind == "text" else _number_fault(token, start)
            if fault is not None:
                return fault
            expected = "next" if nesting else "end"
        else:
            return Fault(start, _expectation(expected, nesting))
    return None


def _closes(mark: bytes, expected: str, nesting: list[bytes]) -> bool:
    if mark == b"]":
        return expected == "first" or (expected == "next" and nesting[-1] == b"[")
    return mark == b"}" and (
        expected == "first key" or (expected == "next" and nesting[-1] == b"{")
    )


def _expectation(expected: str, nesting: list[bytes]) -> str:
    return {
        "next": 'a comma or "]" is expected',
        "next in object": 'a comma or "}" is expected',
        "value": "a value is expected",
        "first": 'a value or "]" is expected',
        "key": "a key in double quotes is expected",
        "first key": 'a key in double quotes or "}" is expected',
        "colon": "a colon is expected after the key",
        "end": "the value has ended, but more text follows",
    }["next in object" if expected == "next" and nesting[-1] == b"{" else expected]


def _no_token(utf8: bytes, at: int, expected: str, nesting: list[bytes]) -> Fault | None:
    """Return why no token begins here; ``None`` at the proper end of the text."""
    space = _SPACE.match(utf8, at)
    at = space.end() if space else at
    if at == len(utf8):
        if expected == "end":
            return None
        return Fault(
            at,
            "nothing but white space"
            if expected == "value" and not nesting
            else "the text ends too early",
        )
    if expected != "end" and utf8[at : at + 1] == b'"':
        return _open_text(utf8, at)
    word = _WORD.match(utf8, at)
    if word is not None and word[0] in _WORDS:
        return Fault(at, f"{word[0].decode()} is not JSON")
    if not utf8[at : at + 1].isascii() and (fault := _encoding_fault(utf8[at:], at)) is not None:
        return fault
    return Fault(at, _expectation(expected, nesting))


def _open_text(utf8: bytes, start: int) -> Fault:
    """Return why the string that begins here is invalid."""
    good = _STRING_PART.match(utf8, start + 1)
    at = good.end() if good else start + 1
    if (fault := _text_fault(utf8[start:at], start)) is not None:
        return fault
    if at == len(utf8):
        return Fault(at, "the text ends too early, inside quotes")
    if utf8[at : at + 1] == b"\\":
        return Fault(at, "an invalid escape")
    return Fault(at, "an unescaped control character")


def _text_fault(content: bytes, start: int) -> Fault | None:
    if not content.isascii() and (fault := _encoding_fault(content, start)) is not None:
        return fault
    if b"\\u" in content:
        for escape in _SURROGATE.finditer(content):
            if escape["lone"] is not None:
                return Fault(start + escape.start(), "half of a surrogate pair")
    return None


def _encoding_fault(content: bytes, start: int) -> Fault | None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return Fault(start + error.start, "a byte that is not UTF-8")
    return None


def _number_fault(token: re.Match[bytes], start: int) -> Fault | None:
    number = token["number"]
    if number is None:
        return None
    if not token["fraction"]:
        if len(number.removeprefix(b"-")) > MAX_DIGITS:
            return Fault(start, f"an integer of more than {MAX_DIGITS:,} digits")
        return None
    if abs(float(number)) == float("inf"):
        return Fault(start, "a number too large for a float")
    return None
