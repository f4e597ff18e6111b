"""Values as text for people: cut, exact, and such that it can be sent."""

from __future__ import annotations

import json
from typing import Any, Final

from hooknb.history.delivery import TOO_LARGE
from hooknb.paths import MISSING

__all__ = ["MAX_CELL_CHARACTERS", "cell", "cut", "file_text", "is_file", "plain", "sendable"]

MAX_CELL_CHARACTERS: Final = 80
"""Characters of a cell."""

_FILE: Final = frozenset({"filename", "content_type", "content"})


def sendable(text: str) -> str:
    """Write what UTF-8 cannot hold (lone surrogates) as escapes; other text stays as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def cut(text: str, max_characters: int) -> str:
    """Cut a text to ``max_characters``, the last an ellipsis where something is left out."""
    return sendable(text if len(text) <= max_characters else f"{text[: max_characters - 1]}…")


def is_file(value: Any) -> bool:
    """Tell whether a value is a part of a form with a file, or bytes."""
    if isinstance(value, bytes):
        return True
    return isinstance(value, dict) and value.keys() == _FILE and isinstance(value["content"], bytes)


def file_text(value: Any) -> str:
    """Write a file by its name, type and size: ``a.png (image/png, 12 bytes)``."""
    if isinstance(value, bytes):
        return _bytes(value)
    about = [value["content_type"]] if value["content_type"] else []
    return f"{value['filename']} ({', '.join([*about, _bytes(value['content'])])})"


def plain(value: Any) -> str:
    """Write a value: text as it is, everything else as compact JSON, files by name and size."""
    if isinstance(value, str):
        return value
    if is_file(value):
        return file_text(value)
    if type(value) is float:
        return repr(value)
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_other)
    except RecursionError:
        return "[…]" if isinstance(value, list) else "{…}"


def cell(value: Any) -> str:
    """Write a value for a cell of a table, in at max_characters 80 characters.

    Parameters
    ----------
    value
        The value at a path: any value of a body, ``MISSING`` (an empty text), or ``TOO_LARGE``.
    """
    if value is MISSING:
        return ""
    return "…" if value is TOO_LARGE else cut(plain(value), MAX_CELL_CHARACTERS)


def _bytes(value: bytes) -> str:
    return "1 byte" if len(value) == 1 else f"{len(value):,} bytes"


def _other(value: Any) -> str:
    return _bytes(value) if isinstance(value, bytes) else repr(value)
