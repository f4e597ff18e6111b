"""Filters: the deliveries that people look for, in a line of text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_plus

from hooknb.errors import SettingError
from hooknb.history.table.expressions import (
    Request,
    compile_asked,
    looks_like_expression,
    reads_expression,
)
from hooknb.store.queries import ANY, Condition

__all__ = ["Filter", "compile_filter"]

_LONGEST: Final = 4_000
_STATUS: Final = re.compile(
    r"(?P<sign>[<>=!]=?)?\s*(?P<status>[1-5](?:[0-9]{2}|xx))", re.IGNORECASE
)
_QUOTED: Final = re.compile(r""""[^"]+"|'[^']+'""")
_NO_STATUS: Final = re.compile(r"[<>=!]=?\s*[0-9]+")
_CLASS: Final = 100  # status codes of one class, 2xx
_BEYOND_STATUS: Final = 999  # no status code is greater


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A filter that :func:`compile_filter` made.

    Attributes
    ----------
    text
        As it was written, without spaces around it.
    needs_body, needs_head
        Whether it looks at the body, at the header fields.
    needs_response
        Whether it looks at the response, which may be sent later than the delivery is stored.
    where
        The same question where the store itself can answer it.
    """

    text: str
    needs_body: bool = False
    needs_head: bool = False
    needs_response: bool = False
    where: Condition | None = None
    matches: Callable[[Request], bool] = field(repr=False, compare=False)
    """Tells whether a delivery, or a row of one, is found; never raises.

    An expression takes some 20 µs, and a second at most (see :mod:`hooknb.expressions`); a text is
    searched in the whole body.
    """

    @property
    def is_empty(self) -> bool:
        """Whether it finds everything."""
        return not self.text


def compile_filter(text: str) -> Filter:
    r"""Read a filter.

    What is written, the first that fits::

        (nothing)                       everything
        200   4xx   >=400   != 200      the status code of the answer
        accepted   refused   pending    the outcome; pending: the caller waits for its answer
        "wrong password"                that text, whatever stands in it (either kind of quotes)
        body.amount > 100               an expression in CEL, see hooknb.expressions
        charge.refunded                 anything else is text

    Text is looked for as it stands, ignoring case, in each of: method, reason, detail, content
    type, query string (as it came and decoded), and the text of the body (decompressed, decoded,
    and for JSON also with ``\u`` escapes undone). Values of headers are not looked at: they hold
    credentials.

    It is an expression where it compares or connects (``==  !=  <  <=  >  >=  &&  ||`` with
    something on both sides), or begins with ``body``, ``query`` or ``headers`` and a dot or
    bracket; what does not compile is then an error. Else, where one of these stands in it and it
    compiles: ``has(body.note)``, ``"x" in body.tags``, ``reason.contains("password")``.
    Expressions see ``body``, ``query``, ``headers`` (whatever the case of the names), ``now``,
    ``status`` (null while the caller waits), ``reason`` (null where it was accepted), ``method``,
    ``size`` (bytes that came) and ``outcome``. A delivery for which an expression raises, or gives
    anything but true, is not found.

    Parameters
    ----------
    text
        The filter; spaces around it do not count.

    Raises
    ------
    SettingError
        Its setting is ``filter``, and its problem a sentence that says what is wrong and what to
        write.
    """
    if not isinstance(text, str):
        raise SettingError("filter", f"a text is expected, such as 4xx, not {text!r}")
    text = text.strip()
    if len(text) > _LONGEST:
        raise SettingError("filter", f"it has {len(text):,} characters; {_LONGEST:,} is the most")
    if not text:
        return _judged("", ANY)
    made = _status(text) or _outcome(text)
    if made is not None:
        return made
    if _NO_STATUS.fullmatch(text):
        raise SettingError(
            "filter", f"{text!r} is not a status; write one such as >=400, or size > 1000"
        )
    if _QUOTED.fullmatch(text):
        return _words(text, text[1:-1])
    if looks_like_expression(text) or reads_expression(text):
        asked = compile_asked(text)
        return Filter(
            text=text,
            needs_body="body" in asked.names,
            needs_head="headers" in asked.names,
            needs_response="status" in asked.names,
            matches=asked.holds,
        )
    return _words(text, text)


def _status(text: str) -> Filter | None:
    found = _STATUS.fullmatch(text)
    if found is None:
        return None
    sign, status = found["sign"] or "=", found["status"].lower()
    low = high = int(status.replace("x", "0"))
    if status.endswith("xx"):
        high = low + _CLASS - 1
        if sign not in {"=", "==", "!", "!="}:
            raise SettingError("filter", f"{text!r} compares with a class; write {sign}{low}")
    conditions: dict[str, Condition] = {
        "=": Condition("within", low, high),
        "!": Condition("outside", low, high),
        "<": Condition("within", 0, low - 1),
        "<=": Condition("within", 0, low),
        ">": Condition("within", low + 1, _BEYOND_STATUS),
        ">=": Condition("within", low, _BEYOND_STATUS),
    }
    return _judged(text, conditions[{"==": "=", "!=": "!"}.get(sign, sign)])


def _outcome(text: str) -> Filter | None:
    word = text.lower()
    if word == "pending":
        return _judged(text, Condition("pending"))
    if word == "accepted":
        return _judged(text, Condition("accepted"))
    return _judged(text, Condition("refused")) if word == "refused" else None


def _judged(text: str, condition: Condition) -> Filter:
    """Make a filter of a condition that the store can judge."""
    return Filter(
        text=text,
        needs_response=condition.kind in {"pending", "within", "outside"},
        where=condition,
        matches=lambda seen: condition.holds(seen.reason, seen.status),
    )


def _words(text: str, wanted: str) -> Filter:
    needle = wanted.casefold()
    narrow = needle.encode() if needle.isascii() else None

    def test(seen: Request) -> bool:
        for value in (seen.method, seen.reason, seen.detail, seen.content_type):
            if value and needle in value.casefold():
                return True
        query = seen.query_string
        if query and (needle in query.casefold() or needle in unquote_plus(query).casefold()):
            return True
        return _in_body(seen, needle, narrow)

    return Filter(text=text, needs_body=True, matches=test)


def _in_body(seen: Request, needle: str, narrow: bytes | None) -> bool:
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


def _unescaped(text: str) -> str:
    """Write JSON with the characters that stood there as escapes; other text gives nothing."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return ""
