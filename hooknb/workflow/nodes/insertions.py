"""Settings that contain templates: split, checked when defined, and checked again once filled."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from hooknb.errors import SettingError
from hooknb.expressions.templates import has_templates, write_out
from hooknb.paths import MISSING
from hooknb.payloads.headers import TOKEN
from hooknb.workflow.nodes.node import Context
from hooknb.workflow.nodes.secrets import MASK, is_secret_name

__all__ = [
    "JSON_HINT",
    "Piece",
    "check_headers",
    "check_text",
    "check_value",
    "pieces",
    "rendered_headers",
    "rendered_text",
    "whole_number",
]

JSON_HINT: Final = "JSON, or text; templates such as {{ body.id }} are filled anywhere in it"
"""The hint in forms for a setting that is any value with templates."""

_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_WHOLE: Final = re.compile(r"\s*[+-]?[0-9]{1,18}\s*", re.ASCII)


class Piece(NamedTuple):
    """A part of a text: a template with its braces, or the text between two."""

    text: str
    is_template: bool


@lru_cache(maxsize=1024)
def pieces(text: str) -> tuple[Piece, ...]:
    """Split a text at its templates; joined, the pieces are the text."""
    found, done, at = [], 0, 0
    while (start := text.find("{{", at)) >= 0:
        end = text.find("}}", start)
        # Braces inside quotes do not end a template.
        while end >= 0 and not has_templates(text[start : end + 2]):
            end = text.find("}}", end + 2)
        if end < 0:
            break
        start = text.rfind("{{", start, end) if not _is_one(text[start : end + 2]) else start
        if start > done:
            found.append(Piece(text[done:start], is_template=False))
        found.append(Piece(text[start : end + 2], is_template=True))
        done = at = end + 2
    if text[done:] or not found:
        found.append(Piece(text[done:], is_template=False))
    return tuple(found)


def _is_one(text: str) -> bool:
    """Whether a template is the first thing in a text, without opening braces before it."""
    return not has_templates(text[2:])


def check_text(setting: str, value: object) -> None:
    """Refuse a value that is not text."""
    if not isinstance(value, str):
        raise SettingError(setting, f"{value!r} is not text")


def rendered_text(context: Context, value: Any) -> str:
    """Fill the templates of a text to a text, even if it is a single template."""
    return write_out(context.render(value))


def whole_number(value: Any) -> int | None:
    """Return a rendered value as a whole number (``201`` or ``"201"``), or ``None``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else None


def check_headers(
    headers: Any, reserved: Collection[str], whose: str, *, may_be_masked: bool = False
) -> None:
    """Refuse headers that cannot be sent; templates in their values are checked once filled.

    Parameters
    ----------
    headers
        Names and values.
    reserved
        Names in lower case that the server or client writes itself: a second one would break the
        message's framing.
    whose
        Which of the two it is, for the error message.
    may_be_masked
        Whether a mask may replace a credential. It marks a missing value and is never sent or
        served.
    """
    if not isinstance(headers, dict):
        raise SettingError("headers", 'write them as a dict: {"X-Queue": "1"}')
    for name, value in headers.items():
        if not isinstance(name, str) or not TOKEN.fullmatch(name):
            raise SettingError("headers", f"{name!r} is not a header name")
        if name.lower() in reserved:
            raise SettingError("headers", f"{name} is written by {whose} itself; leave it out")
        if not isinstance(value, str):
            _refuse_value(name, value)
        for piece in pieces(value):
            text = piece.text.replace(MASK, "") if may_be_masked else piece.text
            if not piece.is_template and not _VALUE.fullmatch(text):
                _refuse_value(name, value)


def rendered_headers(context: Context, headers: Mapping[str, str]) -> dict[str, str]:
    """Fill the templates in header values; a header whose value is missing is left out.

    Raises
    ------
    SettingError
        A filled value is not valid in a header: a line break would start another one.
    """
    filled = {}
    for name, value in headers.items():
        came = context.render(value)
        if came is not MISSING:
            filled[name] = write_out(came)
            check_value(name, filled[name])
    return filled


def check_value(name: str, value: object) -> None:
    """Refuse an invalid header value: a line break would start another header."""
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        _refuse_value(name, value)


def _refuse_value(name: str, value: object) -> None:
    value = MASK if is_secret_name(name) else value
    raise SettingError(
        f"headers[{name!r}]",
        f"{value!r} is not a header value: text without line breaks, in Latin-1",
    )
