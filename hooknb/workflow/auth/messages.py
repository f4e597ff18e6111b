"""A request as what signs it looks at it, and how signatures and times are written in it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import cached_property, lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from hooknb import paths, payloads
from hooknb._clock import moment
from hooknb.errors import PayloadError
from hooknb.paths import MISSING

__all__ = [
    "SECOND",
    "Message",
    "as_text",
    "decode",
    "encode",
    "put",
    "read_time",
    "usual",
    "write_time",
]

SECOND: Final = 1_000_000  # microseconds

_PER_SECOND: Final = {"s": 1, "ms": 1000}
_MAX_DIGITS: Final = 16  # of a timestamp: 316 million years in seconds
_FORM: Final = "application/x-www-form-urlencoded"
# Upper or lower case, as senders write it; a mixture would be a second text for the same bytes.
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*|(?:[0-9A-F]{2})*")


@dataclass(frozen=True, kw_only=True)
class Message:
    """A request, received or about to be sent.

    Attributes
    ----------
    method
        As in the request line.
    url
        The public one, with subpath and query.
    headers
        By name in the usual spelling.
    body
        The bytes; ``None`` while only the head is known.
    at
        Microseconds since 1970 at which it was received, or is sent.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    at: int

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """The parameters of the URL, in order."""
        return _pairs(urlsplit(self.url).query)

    @cached_property
    def form(self) -> list[tuple[str, str]] | None:
        """The fields of the body, in order; ``None`` where it is not a form."""
        if payloads.media_type(self.headers.get("Content-Type", "")) != _FORM:
            return None
        return _pairs((self.body or b"").decode("utf-8", "surrogateescape"))

    @cached_property
    def json(self) -> Any:
        """The body's value; ``MISSING`` where it is not JSON, or not received yet."""
        try:
            return MISSING if self.body is None else payloads.decode_json(self.body)
        except PayloadError:
            return MISSING


@lru_cache(maxsize=1024)
def usual(name: str) -> str:
    """Return a header's name in the usual spelling, that of the server's headers."""
    return "-".join(word.capitalize() for word in name.split("-"))


def as_text(value: Any) -> str:
    """Return a value of JSON as it is signed: text as it is, the rest as JSON writes it."""
    if value is MISSING or value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def put(value: Any, path: str, item: Any) -> bool:
    """Set what stands at a path of keys; return whether there are objects on the way."""
    *parts, last = paths.parse(path)
    for part in parts:
        if not isinstance(value, dict):
            return False
        value = value.setdefault(part, {})
    if not isinstance(value, dict):
        return False
    value[last] = item
    return True


def encode(content: bytes, encoding: str) -> str:
    """Write the bytes of a signature."""
    if encoding == "hex":
        return content.hex()
    if encoding == "base64url":
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    return base64.b64encode(content).decode()


def decode(text: str, encoding: str) -> bytes | None:
    """Return the bytes of a signature; ``None`` where it is not written as they would be."""
    if encoding == "hex":
        return bytes.fromhex(text) if _HEX.fullmatch(text) else None
    is_url = encoding == "base64url"
    padded = text + "=" * (-len(text) % 4) if is_url else text
    try:
        decoded = base64.b64decode(
            padded.encode("ascii"), altchars=b"-_" if is_url else None, validate=True
        )
    except (binascii.Error, ValueError):
        return None
    # Base64 has several texts for the same bytes; only the usual one is a signature.
    return decoded if encode(decoded, encoding) == text else None


def read_time(text: str, unit: str) -> int | None:
    """Return the microseconds since 1970 of a timestamp; ``None`` where it is not one."""
    try:
        if unit in _PER_SECOND:
            if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
                return None
            return int(text) * SECOND // _PER_SECOND[unit]
        read = datetime.fromisoformat(text) if unit == "iso" else parsedate_to_datetime(text)
        if read.tzinfo is None:
            read = read.replace(tzinfo=UTC)
        return round(read.timestamp() * SECOND)
    except (ValueError, OverflowError, TypeError, IndexError):  # as the parsers of dates have it
        return None


def write_time(at: int, unit: str) -> str:
    """Write microseconds since 1970 as a timestamp."""
    if unit in _PER_SECOND:
        return str(at * _PER_SECOND[unit] // SECOND)
    if unit == "iso":
        return moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return format_datetime(moment(at), usegmt=True)


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            text,
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=payloads.query_strings.MAX_FIELDS,
        )
    except ValueError:
        return []
