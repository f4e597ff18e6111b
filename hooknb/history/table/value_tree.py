"""A value as the lines of a tree, such as a browser draws."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from hooknb import paths
from hooknb.history.table.shown_text import cut, file_text, is_file, sendable
from hooknb.history.table.table_columns import variable_name
from hooknb.paths import MISSING

__all__ = ["MAX_LINES", "Line", "tree"]

MAX_LINES: Final = 5_000
_MAX_CHARACTERS: Final = 2_000  # characters of a value
_MAX_NAME_CHARACTERS: Final = 1_000  # of a path: deep ones would make a tree of megabytes

Line: TypeAlias = list[Any]
"""``[depth, label, kind, text, name, is_leaf, children]``, see :func:`tree`."""

_KINDS: Final[dict[type, str]] = {
    str: "text",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def tree(value: Any, part: str) -> tuple[list[Line], int]:
    """Write a value as lines.

    Parameters
    ----------
    value
        A parsed body or query; ``MISSING`` has no lines.
    part
        ``body`` or ``query``; names begin with it.

    Returns
    -------
    tuple
        The lines, and how many values are left out, as there are at most 5,000 lines. A line is
        ``[depth, label, kind, text, name, is_leaf, children]``:

        ``depth``
            0 for the root.
        ``label``
            The key, or the position of an element in digits; ``None`` for the root and ends.
        ``kind``
            ``object``, ``list``, ``text``, ``integer``, ``number``, ``boolean``, ``null``,
            ``file`` or ``end``. An ``end`` closes an object or list that has anything in it, at
            that one's depth; an empty one has none.
        ``text``
            The value as JSON, at most 2,000 characters; a file by name, type and size. The opening
            bracket of an object or list, both of an empty one, the closing one for ``end``.
        ``name``
            The name for :meth:`hooknb.Hook.add_variable`: ``body.order.id``; ``None`` for ends and
            for names of more than 1,000 characters.
        ``is_leaf``
            Whether nothing stands below it: also true of an empty object or list.
        ``children``
            How many stand directly below it.
    """
    if value is MISSING:
        return [], 0
    made = _Tree(part)
    made.add(value, depth=0, label=None, path="")
    shown, is_full = 1, False
    while made.open:
        depth, path, entries, closes = made.open[-1]
        # Whatever is added may have an end, and so have those that are open.
        is_full = is_full or len(made.lines) + len(made.open) + 2 > MAX_LINES
        entry = None if is_full else next(entries, None)
        if entry is None:
            made.open.pop()
            made.lines.append([depth, None, "end", closes, None, False, 0])
            continue
        key, inner = entry
        made.add(inner, depth=depth + 1, label=str(key), path=_below(path, key))
        shown += 1
    return made.lines, _count(value) - shown if is_full else 0


class _Tree:
    """The lines so far, and what is open: its depth, its path, the rest of it, how it is closed."""

    def __init__(self, part: str) -> None:
        self._part = part
        self.lines: list[Line] = []
        self.open: list[tuple[int, str | None, Iterator[tuple[str | int, Any]], str]] = []

    def add(self, value: Any, *, depth: int, label: str | None, path: str | None) -> None:
        """Write the line of a value, and open it where there is something in it."""
        name = None if path is None else sendable(variable_name(self._part, path))
        label = None if label is None else cut(label, _MAX_CHARACTERS)
        if not isinstance(value, (dict, list)) or is_file(value):
            self.lines.append([depth, label, *_leaf(value), name, True, 0])
            return
        kind, opens, closes = ("object", *"{}") if isinstance(value, dict) else ("list", *"[]")
        text = opens if value else opens + closes
        self.lines.append([depth, label, kind, text, name, not value, len(value)])
        if value:
            entries = iter(value.items()) if isinstance(value, dict) else iter(enumerate(value))
            self.open.append((depth, path, entries, closes))


def _leaf(value: Any) -> tuple[str, str]:
    if is_file(value):
        return "file", cut(file_text(value), _MAX_CHARACTERS)
    if isinstance(value, str):
        # No more of it is written than may be seen: it may have megabytes.
        return "text", cut(json.dumps(value[:_MAX_CHARACTERS], ensure_ascii=False), _MAX_CHARACTERS)
    return _KINDS.get(type(value), "text"), cut(json.dumps(value, default=repr), _MAX_CHARACTERS)


def _below(path: str | None, key: str | int) -> str | None:
    if path is None or len(str(key)) > _MAX_NAME_CHARACTERS:
        return None
    made = paths.join(path, key)
    return made if len(made) <= _MAX_NAME_CHARACTERS else None


def _count(value: Any) -> int:
    """Count a value and all that stands in it, level by level."""
    level, total = [value], 0
    while level:
        total += len(level)
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list)) and not is_file(outer)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return total
