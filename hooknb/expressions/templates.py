"""Templates: ``{{ path }}`` anywhere in a node's settings.

A text is read once and rendered for each execution against a *scope*: a mapping of the roots
``headers``, ``query``, ``body``, ``nodes``, ``item``, ``index``, ``now`` and ``env`` to their
values. A root that is not in it is missing. The grammar::

    template  =  "{{" path [ "|" default ] "}}"      with blanks around each part
    path      =  the grammar of hooknb.paths; a key that holds { } or | is quoted in brackets
    default   =  JSON: "friend", 0, null, []

``$context.body…`` and ``$jobsMapByNodeKey.<key>…`` are other names of ``body…`` and
``nodes.<key>…``. A default stands for a missing value only, not for ``null``. What is inserted is
never read again as a template. Text that is not quite a template stays as it is, and so does one
of more than 10,000 characters.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import date, time
from functools import lru_cache
from typing import Any, Final

import msgspec

from hooknb import paths
from hooknb.errors import PathError
from hooknb.paths import MISSING

__all__ = ["ROOTS", "has_templates", "lookup", "render", "write_out"]

ROOTS: Final = ("headers", "query", "body", "nodes", "item", "index", "now", "env")
"""What a scope may hold."""

Scope = Mapping[str, Any]
_Getter = Callable[[Scope], Any]

# The bound keeps a text of nothing but beginnings of templates from costing its square.
_MAX_CHARACTERS: Final = 10_000
# Possessive throughout: it never goes back, so that a match costs no more than its length.
_OPENING: Final = re.compile(
    r"""\{\{\s*+(?P<path>(?:[^{}|\[\]"']|\[(?:\*|-?[0-9]++|"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')\])++)"""
    r"""(?P<next>\}\}|\|)""",
    re.DOTALL,
)
_CLOSING: Final = re.compile(r"\s*+\}\}")


def render(value: Any, scope: Scope) -> Any:
    """Fill the templates anywhere inside a value; never raises.

    Parameters
    ----------
    value
        Text, or lists and objects with text in them; anything else stays as it is, and so do the
        keys of objects. What is nested deeper than Python can follow stays as it is, too.
    scope
        The roots.

    Returns
    -------
    Any
        A text that is exactly one template becomes its value with its type, or ``MISSING``; in an
        object a missing value drops its key, in a list it leaves ``None`` in its place, so that
        what stands behind it keeps its position. Lists and objects are new, tuples become lists.
    """
    try:
        return _render(value, scope)
    except Exception:  # noqa: BLE001 - too deep, or a value of somebody's own class that raises
        return value


def has_templates(value: Any) -> bool:
    """Whether there is any template inside a value; never raises."""
    try:
        return _has_templates(value)
    except Exception:  # noqa: BLE001 - as in `render`, which leaves such a value as it is
        return False


def lookup(path: str) -> Callable[[Mapping[str, Any]], Any] | None:
    """Make the function that takes a path with its root out of a scope.

    Parameters
    ----------
    path
        ``body.order.id``, or one of the long forms.

    Returns
    -------
    Callable or None
        Takes a scope, returns the value or ``MISSING``, and never raises. ``None`` where the text
        is not a path that starts with a name.
    """
    try:
        parts = paths.parse(path)
    except PathError:
        return None
    if parts and parts[0] == "$context":
        parts = parts[1:]
    elif parts and parts[0] == "$jobsMapByNodeKey":
        parts = ("nodes", *parts[1:])
    if not parts or not isinstance(parts[0], str):
        return None
    root, rest = parts[0], parts[1:]
    get, get_inner = paths.compile(rest), paths.compile(rest[1:])
    key = rest[0] if rest and isinstance(rest[0], str) else None

    def take(scope: Scope) -> Any:
        try:
            value = scope.get(root, MISSING)
            # Headers are found whatever their case, and an environment is not a dict.
            if key is not None and type(value) is not dict and isinstance(value, Mapping):
                return get_inner(value.get(key, MISSING))
            return get(value)
        except Exception:  # noqa: BLE001 - a mapping of somebody's own class may raise anything
            return MISSING

    return take


def write_out(value: Any) -> str:
    """Write a value into a longer text; never raises.

    Text stays as it is, ``null`` and missing write nothing, dates are in ISO 8601, bytes are read
    as UTF-8, and anything else is JSON. What JSON cannot hold is written as ``str`` does it.
    """
    if value is MISSING or value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    try:
        return _as_json(value)
    except Exception:  # noqa: BLE001 - a value of somebody's own class may raise anything
        return f"<{type(value).__name__}>"


# ---------------------------------------------------------------------------------------


def _as_json(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    written = msgspec.json.encode(value, enc_hook=_plain)
    # Decimals, UUIDs and the like are text to JSON; here they stand in a text already.
    return str(json.loads(written)) if written.startswith(b'"') else written.decode()


def _plain(value: Any) -> Any:
    if value is MISSING:
        return None
    return dict(value) if isinstance(value, Mapping) else str(value)


def _render(value: Any, scope: Scope) -> Any:
    if isinstance(value, str):
        return _compile(value)(scope) if "{{" in value else value
    if isinstance(value, Mapping):
        filled = {}
        for key, item in value.items():
            found = _render(item, scope)
            if found is not MISSING:
                filled[key] = found
        return filled
    if isinstance(value, (list, tuple)):
        items = []
        for item in value:
            found = _render(item, scope)
            items.append(None if found is MISSING else found)
        return items
    return value


def _has_templates(value: Any) -> bool:
    if isinstance(value, str):
        return any(not isinstance(piece, str) for piece in _pieces(value))
    if isinstance(value, Mapping):
        return any(map(_has_templates, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_has_templates, value))


@lru_cache(maxsize=4096)
def _compile(text: str) -> _Getter:
    pieces = _pieces(text)
    if len(pieces) == 1:
        [only] = pieces
        return (lambda _scope: only) if isinstance(only, str) else only
    return lambda scope: "".join(
        [piece if isinstance(piece, str) else write_out(piece(scope)) for piece in pieces]
    )


@lru_cache(maxsize=4096)
def _pieces(text: str) -> tuple[str | _Getter, ...]:
    """Split a text into what stays as it is and the getters of its templates."""
    pieces: list[str | _Getter] = []
    literal = at = 0
    while (at := text.find("{{", at)) >= 0:
        getter, end = _template(text, at)
        if getter is None:
            at += 1  # of "{{{ path }}" the inner braces are the template's
            continue
        if literal < at:
            pieces.append(text[literal:at])
        pieces.append(getter)
        literal = at = end
    if literal < len(text) or not pieces:
        pieces.append(text[literal:])
    return tuple(pieces)


def _template(text: str, start: int) -> tuple[_Getter | None, int]:
    """Read the template that opens at ``start``; return its getter and where it ends."""
    limit = start + _MAX_CHARACTERS
    opening = _OPENING.match(text, start, limit)
    getter = None if opening is None else lookup(opening["path"].strip())
    if opening is None or getter is None or opening["next"] == "}}":
        return getter, start if opening is None else opening.end()
    at = opening.end()
    rest = text[at:limit].lstrip()
    at = min(len(text), limit) - len(rest)
    try:
        default, length = _JSON.raw_decode(rest)
    except (ValueError, RecursionError):
        return None, start
    closing = _CLOSING.match(text, at + length, limit)
    return (None, start) if closing is None else (_with_default(getter, default), closing.end())


def _with_default(getter: _Getter, default: Any) -> _Getter:
    def get(scope: Scope) -> Any:
        came = getter(scope)
        # A copy, so that whoever changes what he got does not change the next one's.
        return deepcopy(default) if came is MISSING else came

    return get


def _no_constant(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)


_JSON: Final = json.JSONDecoder(parse_constant=_no_constant)
