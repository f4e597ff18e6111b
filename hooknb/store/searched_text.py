"""What a text is searched in: the one rule of the filter and of the index that narrows it down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hooknb.records import LazyRequest

__all__ = ["contains", "searched_text"]


def contains(seen: LazyRequest, needle: str, narrow: bytes | None) -> bool:
    """Tell whether a text stands in a request, whatever the case.

    Parameters
    ----------
    seen
        The request.
    needle
        The text, case-folded.
    narrow
        The same as bytes where it is ASCII.
    """
    query = seen.query_string
    return (
        any(needle in value.casefold() for value in _fields(seen))
        or (
            bool(query) and (needle in query.casefold() or needle in unquote_plus(query).casefold())
        )
        or _body_contains(seen, needle, narrow)
    )


def _fields(seen: LazyRequest) -> Iterator[str]:
    return filter(None, (seen.method, seen.reason, seen.detail, seen.content_type))


def _body_contains(seen: LazyRequest, needle: str, narrow: bytes | None) -> bool:
    raw = seen.raw
    if not raw:
        return False
    coded = seen.content_encoding is not None
    if narrow is not None and not coded and b"\0" not in raw[:4]:
        # ASCII is the same in every charset that has no zero bytes; nothing has to be decoded.
        found = narrow in raw.lower()
    else:
        found = needle in seen.text.casefold()
    may_be_escaped = not found and (coded or b"\\u" in raw) and "\\u" in seen.text
    return found or (may_be_escaped and needle in _unescaped(seen.text).casefold())


def searched_text(seen: LazyRequest) -> str:
    """Return a text in which every needle stands that :func:`contains` finds in a request.

    It is case-folded. What stands in it otherwise is of no importance: candidates are checked.
    """
    query, raw, text = seen.query_string, seen.raw, seen.text
    found = [value.casefold() for value in _fields(seen)]
    if query:
        found += [query.casefold(), unquote_plus(query).casefold()]
    found.append(text.casefold())
    if text.encode("utf-8", "replace") != raw and seen.content_encoding is None:
        found.append(raw.lower().decode("latin-1"))  # in which ASCII is looked for byte by byte
    if "\\u" in text:
        found.append(_unescaped(text).casefold())
    return "\n".join(found)


def _unescaped(text: str) -> str:
    """Write JSON with the characters that stood there as escapes; ``""`` for other text."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return ""
