"""Content types: how a body is read, whether a hook accepts it, and its value."""

from __future__ import annotations

import re
from email.message import Message
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from hooknb.errors import PayloadError, SettingError
from hooknb.paths import MISSING
from hooknb.payloads import json_values, multipart
from hooknb.payloads.charsets import decode_text
from hooknb.payloads.compression import decompress
from hooknb.payloads.headers import TOKEN
from hooknb.payloads.query_strings import MAX_FIELDS, parse_query_string

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Kind", "accepts", "check_accept", "kind", "media_type", "parse"]

_MAX_TYPE = 1000  # characters of a Content-Type whose parameters are read

Kind: TypeAlias = Literal["json", "form", "multipart", "text", "bytes"]
"""How a body is read."""

_MEDIA_RANGE: Final = re.compile(rf"\*/\*|(?!\*/){TOKEN.pattern}/(?:\*|{TOKEN.pattern})")
_OPENS_JSON: Final = re.compile(r"\ufeff?[ \t\r\n]*[\[{]")


@lru_cache(maxsize=256)
def media_type(content_type: str | None) -> str:
    """Return the media type in lower case, without parameters; ``""`` if there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


@lru_cache(maxsize=256)
def kind(content_type: str | None) -> Kind:
    """Return how a body of this ``Content-Type`` is read.

    Returns
    -------
    Kind
        ``json`` for ``application/json`` and every ``+json`` type (RFC 6839), ``form`` and
        ``multipart`` for the two encodings of HTML forms, ``text`` for ``text/*``, and ``bytes``
        for all other types and for none.
    """
    name = media_type(content_type)
    if _is_json(name):
        return "json"
    if name == "application/x-www-form-urlencoded":
        return "form"
    if name == "multipart/form-data":
        return "multipart"
    return "text" if name.startswith("text/") else "bytes"


@lru_cache(maxsize=256)
def accepts(accept: tuple[str, ...], content_type: str | None) -> bool:
    """Return whether media ranges match a ``Content-Type``.

    Parameters
    ----------
    accept
        As :func:`check_accept` returns them. ``application/json`` also matches ``+json`` types.
    content_type
        The header; only ``*/*`` matches an absent or empty one.
    """
    name = media_type(content_type)
    for media_range in accept:
        if media_range == "*/*" or (name and media_range == name):
            return True
        if media_range.endswith("/*") and name.startswith(media_range[:-1]):
            return True
        if media_range == "application/json" and _is_json(name):
            return True
    return False


def check_accept(accept: Iterable[str]) -> tuple[str, ...]:
    """Check the media ranges of the setting ``accept``.

    Returns
    -------
    tuple of str
        The ranges in lower case.

    Raises
    ------
    SettingError
        The value is a single string, is empty, or contains something other than a media range.
    """
    if isinstance(accept, str):
        raise SettingError(
            "accept", f"a list of media types is expected; write accept=[{accept!r}]"
        )
    try:
        ranges = tuple(accept)
    except TypeError:
        raise SettingError("accept", f"a list of media types is expected, not {accept!r}") from None
    if not ranges:
        raise SettingError(
            "accept",
            'the list is empty; write accept=["application/json"], or ["*/*"] for any type',
        )
    for media_range in ranges:
        if not isinstance(media_range, str) or not _MEDIA_RANGE.fullmatch(
            media_range.strip().lower()
        ):
            raise SettingError(
                "accept",
                f"{media_range!r} is not a media type; write one without parameters, such as "
                '"application/json", "application/*" or "*/*"',
            )
    return tuple(media_range.strip().lower() for media_range in ranges)


def parse(
    raw: bytes, *, content_type: str | None, content_encoding: str | None = None, max_size: int
) -> Any:
    """Read a body.

    Parameters
    ----------
    raw
        The received bytes, with chunks joined.
    content_type
        The header, which decides how the body is read (see :func:`kind`). :func:`accepts` decides
        whether the hook accepts it.
    content_encoding
        The header.
    max_size
        Maximum size in bytes, before and after decompression.

    Returns
    -------
    value
        :data:`hooknb.paths.MISSING` for an empty body; for JSON its value; for forms a dict,
        nested by :func:`~hooknb.payloads.query_strings.nest`; for text a ``str``, decoded by its
        charset, else as UTF-8, else as Latin-1; otherwise the bytes. Text, or a body without a
        type, that is a JSON object or list is read as JSON, because some senders, such as Amazon
        SNS, label JSON ``text/plain``.

    Raises
    ------
    PayloadError
        400 for a body that does not match its type, 413 for one that is too large or has too many
        fields, 415 for an unknown content coding. Text and bytes that merely look like JSON raise
        nothing.
    """
    body = decompress(raw, content_encoding, max_size)
    if not body:
        return MISSING
    name = kind(content_type)
    if name == "json":
        return json_values.decode(body, _parameter(content_type, "charset"))
    if name == "form":
        charset = _parameter(content_type, "charset")
        if body.count(b"&") >= MAX_FIELDS:
            detail = f"The form has more than {MAX_FIELDS:,} fields; send the data as JSON."
            raise PayloadError(413, "too many fields", detail)
        return parse_query_string(decode_text(body, charset), charset=charset)
    if name == "multipart":
        boundary = _parameter(content_type, "boundary")
        if not boundary:
            detail = "The content type has no boundary; add boundary=…, as HTTP clients do."
            raise PayloadError(400, "invalid multipart", detail)
        return multipart.decode(body, boundary, _parameter(content_type, "charset"))
    if name == "text":
        text = decode_text(body, _parameter(content_type, "charset"))
        return _json_or(text, text)
    return body if media_type(content_type) else _json_or(decode_text(body), body)


def _is_json(name: str) -> bool:
    return name == "application/json" or (name.endswith("+json") and "/" in name)


def _json_or(text: str, otherwise: str | bytes) -> Any:
    if not _OPENS_JSON.match(text):
        return otherwise
    try:
        return json_values.decode(text.encode())
    except (PayloadError, UnicodeEncodeError):
        return otherwise


@lru_cache(maxsize=256)
def _parameter(content_type: str | None, name: str) -> str | None:
    """Return a parameter of a ``Content-Type``."""
    # Parsing time grows with the square of the length, and real headers are short.
    if content_type is None or ";" not in content_type or len(content_type) > _MAX_TYPE:
        return None
    message = Message()
    message["Content-Type"] = content_type.replace("\r", " ").replace("\n", " ")
    try:
        found = message.get_param(name)
    except (TypeError, ValueError):  # inconsistent continuations in the notation of RFC 2231
        return None
    # A tuple is in the extended notation of RFC 2231: charset, language, text.
    return found[2] if isinstance(found, tuple) else found
