"""Reading bodies that were kept: as values, and as the text that people look for."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from hooknb import payloads
from hooknb.errors import PayloadError
from hooknb.history.feed.texts import TOO_LARGE
from hooknb.paths import MISSING

__all__ = ["LOOKED_AT", "body_text", "read_body"]

LOOKED_AT: Final = 256 * 1024
"""Bytes of a body, also decompressed, that is read for the cells of a row."""

_TOO_LARGE: Final = 413
_CHARSET: Final = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"']{1,40})""", re.IGNORECASE)


def read_body(
    raw: bytes | None,
    content_type: str | None,
    content_encoding: str | None,
    *,
    max_size: int = LOOKED_AT,
) -> Any:
    """Parse a body that was kept, as :attr:`hooknb.records.Delivery.body` does.

    Parameters
    ----------
    raw
        The bytes; ``None`` where they were left out for being too many.
    content_type, content_encoding
        The headers.
    max_size
        Bytes that it may have once it is decompressed.

    Returns
    -------
    value
        ``MISSING`` where there is none or it cannot be read, ``TOO_LARGE`` beyond ``max_size``.
    """
    if raw is None:
        return TOO_LARGE
    try:
        return payloads.parse(
            raw, content_type=content_type, content_encoding=content_encoding, max_size=max_size
        )
    except PayloadError as error:
        return TOO_LARGE if error.status == _TOO_LARGE else MISSING


def body_text(
    raw: bytes, content_type: str | None, content_encoding: str | None, *, max_size: int
) -> str:
    """Decode a body to the text that it is; bytes that are none are read as Latin-1.

    Parameters
    ----------
    raw
        The bytes as they came.
    content_type, content_encoding
        The headers.
    max_size
        Bytes that it may have once it is decompressed.

    Raises
    ------
    PayloadError
        The content coding is unknown or broken, or it is too large.
    """
    body = payloads.decompress(raw, content_encoding, max_size)
    found = _CHARSET.search(content_type or "")
    if found is None and b"\0" in body[:4] and payloads.kind(content_type) == "json":
        return payloads.decode_text(body, json.detect_encoding(body))
    return payloads.decode_text(body, None if found is None else found[1])
