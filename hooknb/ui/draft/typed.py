"""Settings as typed into forms: kept as text, and parsed when a definition is made."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from hooknb.errors import PayloadError, SettingError
from hooknb.payloads import decode_json
from hooknb.workflow.auth import BasicAuth
from hooknb.workflow.nodes import Response

__all__ = [
    "read_headers",
    "read_json",
    "read_setting",
    "shown_headers",
    "shown_json",
    "shown_size",
]

_SIZE: Final = re.compile(r"(\d[\d_,]*)\s*(|b|bytes|kib|mib|gib|kb|mb|gb)", re.IGNORECASE)
_UNITS: Final = {
    "": 1, "b": 1, "bytes": 1,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
    "kb": 10**3, "mb": 10**6, "gb": 10**9,
}  # fmt: skip
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")
_WHOLE: Final = re.compile(r"[+-]?\d{1,4000}")
_SEPARATORS: Final = re.compile(r"[\s,]+")


def read_setting(name: str, value: Any) -> Any:
    """Return a setting of :func:`hooknb.webhook` from typed text; other values stay as they are.

    Text that cannot be parsed stays too: the definition refuses it with a message.

    Raises
    ------
    SettingError
        For an invalid ``auth`` or ``response``.
    """
    if name in _TEXT_READERS and isinstance(value, str):
        return _TEXT_READERS[name](value.strip())
    if name == "auth" and isinstance(value, tuple):
        return BasicAuth(*value)
    return _read_response(value) if name == "response" and isinstance(value, dict) else value


def _read_accept(text: str) -> tuple[str, ...]:
    # A space may precede a parameter: it is refused as a parameter, not as another media type.
    return tuple(item.strip() for item in re.split(r"[,\n]", text) if item.strip())


def _read_number(text: str) -> Any:
    if not text:
        return None
    return float(text) if _NUMBER.fullmatch(text) else text


def _read_size(text: str) -> Any:
    found = _SIZE.fullmatch(text)
    if found is None or len(found[1]) > 30:  # noqa: PLR2004 - more bytes than there are
        return text
    return int(re.sub("[_,]", "", found[1])) * _UNITS[found[2].lower()]


def _read_whole(text: str) -> Any:
    return int(text) if _WHOLE.fullmatch(text) else text


def _read_response(fields: dict[str, Any]) -> Response:
    """Return a response from its fields: ``json`` says whether the text of the body is JSON."""
    fields = dict(fields)
    is_json = fields.pop("json", False)
    if isinstance(fields.get("status"), str):
        fields["status"] = _read_whole(fields["status"].strip())
    if isinstance(fields.get("headers"), str):
        fields["headers"] = read_headers("response.headers", fields["headers"])
    if is_json and isinstance(fields.get("body"), str):
        fields["body"] = read_json("response.body", fields["body"])
    try:
        return Response(**fields)
    except SettingError as error:
        raise SettingError(f"response.{error.setting}", error.problem) from error


def read_headers(place: str, text: str) -> dict[str, str]:
    """Parse lines such as ``Name: value``, each name once.

    Raises a :class:`SettingError` at ``place``.
    """
    headers: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name, colon, value = (piece.strip() for piece in line.partition(":"))
        if not colon:
            raise SettingError(place, f"line {number} has no colon; write Name: value")
        if name in headers:
            raise SettingError(place, f"line {number}: {name!r} appears twice")
        headers[name] = value
    return headers


def read_json(place: str, text: str) -> Any:
    """Parse JSON; raises a :class:`SettingError` at ``place``."""
    try:
        return decode_json(text.encode())
    except UnicodeEncodeError as error:
        raise SettingError(place, f"half of a surrogate pair at {error.start + 1}") from error
    except PayloadError as error:
        raise SettingError(place, error.detail.replace("The body", "The text", 1)) from error


_TEXT_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "methods": lambda text: tuple(item for item in _SEPARATORS.split(text) if item),
    "accept": _read_accept,
    "timeout": _read_number,
    "max_body": _read_size,
    "concurrency": _read_whole,
    "keep_days": _read_number,
    "keep_deliveries": lambda text: _read_whole(text) if text else None,
    "keep_bytes": lambda text: _read_size(text) if text else None,
}


def shown_size(size: Any) -> str:
    """Format a number of bytes for :func:`read_setting`: ``10 MiB``; text stays as it is."""
    if not isinstance(size, int) or size <= 0:
        return str(size)
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size % unit == 0:
            return f"{size // unit} {name}"
    return str(size)


def shown_headers(headers: Any) -> str:
    """Format headers as lines for :func:`read_setting`; text stays as it is."""
    if isinstance(headers, str):
        return headers
    return "\n".join(f"{name}: {value}" for name, value in headers.items())


def shown_json(value: Any) -> str:
    """Format a value as JSON on one line, or as its ``repr`` if JSON cannot represent it."""
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        return repr(value)
