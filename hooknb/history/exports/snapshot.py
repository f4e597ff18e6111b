"""What of deliveries is the same in every run, as text that is compared and read by people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from hooknb.history.exports.values import as_json, base64_text
from hooknb.paths import MISSING
from hooknb.payloads.headers import masked
from hooknb.records import Delivery

__all__ = ["as_text", "snapshot"]

# Chosen anew by each sender (RFC 2046, section 5.1.1).
_BOUNDARY: Final = re.compile(r""";\s*boundary=(?:"[^"]*"|[^;]*)""", re.IGNORECASE)


def snapshot(deliveries: Iterable[Delivery], headers: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what of deliveries is the same in every run.

    Parameters
    ----------
    deliveries
        In order.
    headers
        Names of those that count; credentials among them are masked.

    Returns
    -------
    list of dict
        Of each: ``method``; ``refused``, the reason, where it was; ``query``, parsed;
        ``content_type`` without a boundary; ``headers``; ``body``, parsed, or ``raw`` where it
        cannot be read. What it has nothing of is left out. Bytes are ``{"base64": "…"}``.
    """
    return [_entry(delivery, headers) for delivery in deliveries]


def as_text(entries: Any) -> str:
    """Write a snapshot as JSON on many lines, which tells ``1``, ``1.0`` and ``true`` apart."""
    text = json.dumps(entries, indent=2, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode() + "\n"


def _entry(delivery: Delivery, headers: Sequence[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"method": delivery.method}
    if delivery.reason is not None:
        entry["refused"] = delivery.reason
    if delivery.query:
        entry["query"] = _sorted(as_json(delivery.query))
    if delivery.content_type is not None:
        entry["content_type"] = _BOUNDARY.sub("", delivery.content_type)
    received = delivery.header_map
    chosen = {name: masked(name, received[name]) for name in headers if name in received}
    if chosen:
        entry["headers"] = chosen
    body = delivery.body_or_missing
    if body is not MISSING:
        entry["body"] = _sorted(as_json(body))
    elif delivery.raw:
        entry["raw"] = _raw(delivery.raw)
    return entry


def _raw(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64_text(data)}


def _sorted(value: Any) -> Any:
    """Put keys in the order of the alphabet, since theirs means nothing."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(inner) for inner in value] if isinstance(value, list) else value
