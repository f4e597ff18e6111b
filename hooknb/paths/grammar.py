"""The grammar of paths: text to parts, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias, final

from hooknb.errors import PathError, SettingError

__all__ = ["EVERY", "MISSING", "Every", "Missing", "Part", "Path", "format", "join", "parse"]


@final
class Missing:
    """The class of :data:`MISSING`; there is one instance."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<missing>"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "MISSING"


@final
class Every:
    """The class of :data:`EVERY`; there is one instance."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<every>"

    def __reduce__(self) -> str:
        return "EVERY"


MISSING: Final = Missing()
"""The value of a path that resolves to nothing: falsy, and identical to its copies and pickles."""

EVERY: Final = Every()
"""The part written ``[*]``."""

Part: TypeAlias = str | int | Every
"""A key, a position, or every element."""

Path: TypeAlias = tuple[Part, ...]
"""A parsed path; the empty tuple is the root."""

_PLAIN = re.compile(r"""[^.\[\]"']+""")
_POSITION = re.compile(r"-?[0-9]+")
_ESCAPE = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))",
    re.DOTALL,
)
_SIMPLE_ESCAPES = {
    '"': '"', "'": "'", "\\": "\\", "/": "/",
    "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
_QUOTED = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL),
    "'": re.compile(r"'((?:[^'\\]|\\.)*+)'", re.DOTALL),
}
_MAX_DIGITS = 4_000  # CPython refuses to convert more than 4,300


@lru_cache(maxsize=4096)
def parse(text: str) -> Path:
    """Read a path.

    Parameters
    ----------
    text
        Such as ``items[0].sku``; ``""`` is the root.

    Returns
    -------
    Path
        Its parts: a ``str`` for a key, an ``int`` for a position, :data:`EVERY` for ``[*]``.

    Raises
    ------
    PathError
        The text is not a path; the error has the column, counted from 1, and the remedy.
    """
    parts: list[Part] = []
    at, end = 0, len(text)
    while at < end:
        character = text[at]
        if character == "[":
            part, at = _bracket(text, at)
            parts.append(part)
            continue
        if character == ".":
            if not parts:
                raise PathError(
                    text, at + 1, 'a path does not start with a dot; an empty key is written [""]'
                )
            at += 1
            if at == end or text[at] in ".[":
                raise PathError(
                    text, at + 1, 'a key is missing after the dot; an empty key is written [""]'
                )
        elif parts:
            raise PathError(
                text, at + 1, "a bracket is followed by a dot, another bracket, or the end"
            )
        key = _PLAIN.match(text, at)
        start, at = at, at if key is None else key.end()
        if at < end and text[at] not in ".[":
            quoted = json.dumps(text[start : at + 1], ensure_ascii=False)
            raise PathError(
                text,
                at + 1,
                f"{text[at]} is not allowed in an unquoted key; quote it: [{quoted}]",
            )
        parts.append(text[start:at])
    return tuple(parts)


def format(parts: Sequence[Part]) -> str:
    """Write a path; the inverse of :func:`parse` for every possible key.

    Parameters
    ----------
    parts
        Keys, positions and :data:`EVERY`, in order.

    Raises
    ------
    SettingError
        A part is neither a key, a position nor :data:`EVERY`.
    """
    return "".join(_written(part, first=index == 0) for index, part in enumerate(parts))


def join(text: str, part: Part) -> str:
    """Write a path extended by one part.

    Equivalent to ``format((*parse(text), part))`` for a valid ``text``, which is not parsed.
    """
    return text + _written(part, first=not text)


# -- writing and reading one part


def _written(part: Part, *, first: bool) -> str:
    if isinstance(part, str):
        key = _PLAIN.fullmatch(part)
        if key is None:
            return f"[{json.dumps(part, ensure_ascii=False)}]"
        return part if first else f".{part}"
    if isinstance(part, Every):
        return "[*]"
    if isinstance(part, int) and not isinstance(part, bool):
        return f"[{part}]"
    raise SettingError("path", f"a part is a str, an int or paths.EVERY, not {part!r}")


def _bracket(text: str, start: int) -> tuple[Part, int]:
    """Read the bracket that opens at ``start``; return its part and where it ends."""
    at = start + 1
    if at == len(text):
        raise PathError(
            text,
            at + 1,
            'the bracket is not closed; write a position [0], every element [*] or a key ["a"]',
        )
    part: Part
    if text[at] == "*":
        part, at = EVERY, at + 1
    elif text[at] in _QUOTED:
        quoted = _QUOTED[text[at]].match(text, at)
        if quoted is None:
            raise PathError(text, at + 1, f"the quote is not closed; close it with {text[at]}]")
        part, at = _unescaped(text, quoted.start(1), quoted.end(1)), quoted.end()
    else:
        position = _POSITION.match(text, at)
        if position is None:
            raise PathError(
                text,
                at + 1,
                'a bracket holds a position [0], every element [*] or a quoted key ["a"]',
            )
        part, at = _position(text, position), position.end()
    if at == len(text) or text[at] != "]":
        raise PathError(
            text,
            at + 1,
            '"]" is missing here; a key in brackets is quoted, a position has only digits',
        )
    return part, at + 1


def _position(text: str, position: re.Match[str]) -> int:
    digits = position[0].removeprefix("-")
    if len(digits) > _MAX_DIGITS:
        raise PathError(
            text, position.start() + 1, f"a position has at most {_MAX_DIGITS:,} digits"
        )
    number = int(position[0])
    if str(number) != position[0]:
        raise PathError(
            text,
            position.start() + 1,
            f'a position has no leading zeros; write [{number}], or a key ["{position[0]}"]',
        )
    return number


def _unescaped(text: str, start: int, end: int) -> str:
    """Undo the escapes of a quoted key; a pair of surrogates is one character (RFC 8259)."""

    def character(escape: re.Match[str]) -> str:
        high, low, code, letter = escape.groups()
        if high is not None:
            return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
        if code is not None:
            return chr(int(code, 16))
        if letter not in _SIMPLE_ESCAPES:
            raise PathError(
                text,
                escape.start() + 1,
                f'"\\{letter}" is not an escape; a backslash is written \\\\',
            )
        return _SIMPLE_ESCAPES[letter]

    # Matched in the whole text, so that errors state the column in the path.
    pieces: list[str] = []
    at = start
    for escape in _ESCAPE.finditer(text, start, end):
        pieces += text[at : escape.start()], character(escape)
        at = escape.end()
    return "".join((*pieces, text[at:end]))
