"""Decoding of content codings (RFC 9110, section 8.4), with a bound on the output."""

from __future__ import annotations

import zlib
from typing import Final, NoReturn

from hooknb.errors import PayloadError

__all__ = ["decompress"]

_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
# zlib copies the rest of a piece after each gzip member: small pieces keep many members cheap.
_PIECE: Final = 8 * 2**10
_METHOD: Final = 8
_MAX_CODINGS: Final = 4


def decompress(raw: bytes, content_encoding: str | None, max_size: int) -> bytes:
    """Decode the content codings of a body.

    Parameters
    ----------
    raw
        The body as received. An empty body is valid in every coding.
    content_encoding
        The header: ``gzip``, ``x-gzip``, ``deflate`` (with zlib's wrapper or, as some senders
        write it, without) or ``identity``, in any case. Several codings, separated by commas, are
        decoded from the last to the first.
    max_size
        Maximum size of the output in bytes.

    Returns
    -------
    bytes
        The decoded body.

    Raises
    ------
    PayloadError
        413 ``too large`` as soon as the output exceeds ``max_size`` bytes; 415 ``content
        encoding`` for an unknown coding, or for more than four; 400 ``invalid compression`` for
        bytes that do not match the header or end too early.
    """
    codings = [
        coding for part in (content_encoding or "").split(",") if (coding := part.strip().lower())
    ]
    codings = [coding for coding in codings if coding != "identity"]
    for coding in codings:
        if coding not in {"gzip", "x-gzip", "deflate"}:
            detail = (
                f"The content encoding {coding!r} is not supported; send gzip, deflate, or none."
            )
            raise PayloadError(415, "content encoding", detail)
    if len(codings) > _MAX_CODINGS:
        detail = f"The body has {len(codings)} content codings; send at most {_MAX_CODINGS}."
        raise PayloadError(415, "content encoding", detail)
    for coding in reversed(codings):
        if raw:
            raw = (
                _deflated(raw, max_size) if coding == "deflate" else _inflate(raw, _GZIP, max_size)
            )
    if len(raw) > max_size:
        _too_large(max_size)
    return raw


def _deflated(raw: bytes, max_size: int) -> bytes:
    # RFC 1950, section 2.2: the method is 8, and the first two bytes are a multiple of 31.
    if raw[0] & 0x0F == _METHOD and len(raw) > 1 and (raw[0] << 8 | raw[1]) % 31 == 0:
        try:
            return _inflate(raw, _ZLIB, max_size)
        except PayloadError as error:
            if error.reason != "invalid compression":
                raise
            try:
                return _inflate(raw, _RAW_DEFLATE, max_size)
            except PayloadError:
                raise error from None
    return _inflate(raw, _RAW_DEFLATE, max_size)


def _inflate(raw: bytes, wbits: int, max_size: int) -> bytes:
    name = "gzip" if wbits == _GZIP else "deflate"
    stream = zlib.decompressobj(wbits)
    found: list[bytes] = []
    size = 0
    at = 0
    try:
        while at < len(raw):
            piece = raw[at : at + _PIECE]
            inflated = stream.decompress(piece, max_size - size + 1)
            size += len(inflated)
            if size > max_size:
                _too_large(max_size)
            found.append(inflated)
            at += len(piece) - len(stream.unused_data)
            if stream.eof and at < len(raw):
                if wbits != _GZIP:
                    _corrupt(f"extra bytes follow the {name} stream at byte {at}")
                if raw[at] == 0 and raw.count(0, at) == len(raw) - at:
                    break  # padding, which gzip's tools ignore
                stream = zlib.decompressobj(wbits)  # another member (RFC 1952, section 2.2)
    except zlib.error as error:
        _corrupt(f"it is not {name}", error)
    if not stream.eof:
        _corrupt(f"the {name} stream ends too early")
    return b"".join(found)


def _corrupt(problem: str, cause: Exception | None = None) -> NoReturn:
    raise PayloadError(
        400, "invalid compression", f"The body cannot be decompressed: {problem}."
    ) from cause


def _too_large(max_size: int) -> NoReturn:
    raise PayloadError(
        413, "too large", f"The body has more than {max_size:,} bytes once it is decompressed."
    )
