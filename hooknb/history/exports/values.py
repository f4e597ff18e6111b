"""What the formats share: the parts of a delivery as JSON can hold them."""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import Any, Final

import msgspec

from hooknb import payloads
from hooknb.paths import MISSING
from hooknb.payloads.headers import Headers, parse_head
from hooknb.records import Delivery

__all__ = ["as_json", "base64_text", "body_as_json", "shown", "shown_head"]

_encode: Final = msgspec.json.Encoder().encode


@lru_cache(maxsize=1_024)
def shown_head(head: bytes, *, secrets: bool) -> tuple[tuple[str, str], ...]:
    """Return the fields of a head in order, credentials masked unless ``secrets``."""
    return tuple(shown(parse_head(head), secrets=secrets))


def shown(fields: Headers, *, secrets: bool) -> list[tuple[str, str]]:
    """Return header fields in order, credentials masked unless ``secrets``."""
    return list(fields) if secrets else fields.masked()


def base64_text(data: bytes) -> str:
    """Write bytes as text."""
    return base64.b64encode(data).decode()


def as_json(value: Any) -> Any:
    """Replace the bytes in a parsed body by ``{"base64": "…"}``.

    Bodies are at most 500 levels deep; so is the recursion.
    """
    if isinstance(value, dict):
        return {key: as_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    return {"base64": base64_text(value)} if isinstance(value, bytes) else value


def body_as_json(delivery: Delivery) -> bytes | None:
    """Write the parsed body on one line; ``None`` where it is bytes only or cannot be read."""
    value = delivery.body_or_missing
    if value is MISSING or isinstance(value, bytes):
        return None
    if payloads.kind(delivery.content_type) == "json":
        return _encode(value)
    text = json.dumps(as_json(value), ensure_ascii=False, separators=(",", ":"))
    # Lone surrogates, which a form may have by percent escapes, become JSON's own escapes.
    return text.encode("utf-8", "backslashreplace")
