"""Templates: ``{{ path }}`` anywhere in a node's settings.

A text is compiled once and rendered in each execution against a *scope*: a mapping from the roots
``headers``, ``query``, ``body``, ``nodes``, ``item``, ``index``, ``now`` and ``env`` to their
values. A root that is not in the scope is missing. The grammar::

    template  =  "{{" path [ "|" default ] "}}"      with optional whitespace around each part
    path      =  the grammar of hooknb.paths; a key that contains { } or | is quoted in brackets
    default   =  JSON: "friend", 0, null, []

``$context.body…`` and ``$jobsMapByNodeKey.<key>…`` are aliases for ``body…`` and
``nodes.<key>…``. A default replaces only a missing value, not ``null``. Inserted values are never
read as templates. A malformed template stays as written, and so does one of more than 10,000
characters.
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
"""The names that a scope may contain."""

Scope = Mapping[str, Any]
_Getter = Callable[[Scope], Any]

# Without a bound, a text of nothing but opening braces would take quadratic time.
_MAX_CHARACTERS: Final = 10_000
# Possessive quantifiers prevent backtracking, so that a match takes linear time.
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
        A string, or lists and objects that contain strings. Other values and the keys of objects
        stay unchanged, and so does a value that is nested too deep for Python's recursion limit.
    scope
        The roots.

    Returns
    -------
    Any
        A string that is exactly one template becomes its value, with its type, or ``MISSING``. A
        missing value in an object drops its key; in a list it becomes ``None``, so that the other
        elements keep their positions. Lists and objects are new, and tuples become lists.
    """
    try:
        return _render(value, scope)
    except Exception:  # noqa: BLE001 - too deep, or a user's class that raises
        return value


def has_templates(value: Any) -> bool:
    """Return whether a value contains a template; never raises."""
    try:
        return _has_templates(value)
    except Exception:  # noqa: BLE001 - `render` leaves such a value unchanged
        return False


def lookup(path: str) -> Callable[[Mapping[str, Any]], Any] | None:
    """Return a function that resolves a path, root included, in a scope.

    Parameters
    ----------
    path
        Such as ``body.order.id`` or ``$context.body.order.id``.

    Returns
    -------
    Callable or None
        Takes a scope, returns the value or ``MISSING``, and never raises. ``None`` if the text is
        not a path that starts with a name.
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
            # Headers have case-insensitive names, and an environment is not a dict.
            if key is not None and type(value) is not dict and isinstance(value, Mapping):
                return get_inner(value.get(key, MISSING))
            return get(value)
        except Exception:  # noqa: BLE001 - a user's mapping may raise anything
            return MISSING

    return take


def write_out(value: Any) -> str:
    """Return a value as text to insert into a longer one; never raises.

    Strings stay unchanged, ``null`` and missing become ``""``, dates use ISO 8601, bytes are
    decoded as UTF-8, and other values are JSON. Values that JSON cannot represent use ``str``.
    """
    if value is MISSING or value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    try:
        return _as_json(value)
    except Exception:  # noqa: BLE001 - a user's class may raise anything
        return f"<{type(value).__name__}>"


# ---------------------------------------------------------------------------------------


def _as_json(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    written = msgspec.json.encode(value, enc_hook=_plain)
    # JSON quotes Decimals, UUIDs and the like, which need no quotes inside a text.
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
    """Split a text into its literal parts and the getters of its templates."""
    pieces: list[str | _Getter] = []
    literal = at = 0
    while (at := text.find("{{", at)) >= 0:
        getter, end = _template(text, at)
        if getter is None:
            at += 1  # in "{{{ path }}", the inner braces open the template
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
        # A copy, so that a caller who changes it does not change later results.
        return deepcopy(default) if came is MISSING else came

    return get


def _no_constant(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)


_JSON: Final = json.JSONDecoder(parse_constant=_no_constant)
