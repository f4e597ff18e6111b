"""HAR 1.2, the archive that browsers' network tools and HTTP clients read.

The format is that of the W3C's draft "HTTP Archive (HAR) format". A delivery does not know the
secret key of its URL: the name of its workflow stands there instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC
from http import HTTPStatus
from typing import IO, Any, Final
from urllib.parse import parse_qsl, quote

from hooknb.history.exports.values import base64_text, shown
from hooknb.payloads.headers import HeaderMap, Headers
from hooknb.records import Delivery

__all__ = ["write"]

_HTTP: Final = "HTTP/1.1"
_AS_IT_IS: Final = "%!$&'()*+,/:;=?@[]"
_UNKNOWN: Final = -1  # the format's word for a size that is not known


def write(deliveries: Iterable[Delivery], file: IO[bytes], *, secrets: bool) -> None:
    """Write deliveries as the entries of one log; see :func:`hooknb.history.exports.export`.

    What the format has no place for stands under names with an underscore: ``_id``, ``_outcome``,
    ``_reason``, ``_detail``, and ``_encoding`` of a request's body that is not text. The status of
    one that has no response is 0, as browsers write it.
    """
    from hooknb import __version__

    creator = json.dumps({"name": "hooknb", "version": __version__})
    file.write(f'{{"log": {{"version": "1.2", "creator": {creator}, "entries": ['.encode())
    between = b"\n"
    for delivery in deliveries:
        text = json.dumps(_entry(delivery, secrets=secrets), ensure_ascii=False)
        file.write(between + text.encode("utf-8", "backslashreplace"))
        between = b",\n"
    file.write(b"\n]}}\n")


def _entry(delivery: Delivery, *, secrets: bool) -> dict[str, Any]:
    took = delivery.duration_ms or 0.0
    entry = {
        "startedDateTime": delivery.received_at.astimezone(UTC).isoformat(),
        "time": took,
        "request": _request(delivery, secrets=secrets),
        "response": _response(delivery, secrets=secrets),
        "cache": {},
        "timings": {"send": 0, "wait": took, "receive": 0},
        "_id": delivery.id,
        "_outcome": delivery.outcome,
    }
    if delivery.reason is not None:
        entry |= {"_reason": delivery.reason, "_detail": delivery.detail}
    return entry


def _request(delivery: Delivery, *, secrets: bool) -> dict[str, Any]:
    host = delivery.header_map.get("Host") or "localhost"
    query = delivery.query_string
    path = f"{quote(delivery.workflow, safe='')}{_ascii(delivery.subpath)}"
    url = f"http://{_ascii(host)}/hook/{path}"
    request = {
        "method": delivery.method,
        "url": f"{url}?{_ascii(query)}" if query else url,
        "httpVersion": _HTTP,
        "cookies": [],
        "headers": _pairs(shown(delivery.headers, secrets=secrets)),
        "queryString": _pairs(parse_qsl(query, keep_blank_values=True)),
        "headersSize": _UNKNOWN,
        "bodySize": delivery.size,
    }
    if delivery.raw:
        content = _content(delivery.raw)
        if "encoding" in content:
            content["_encoding"] = content.pop("encoding")
        request["postData"] = {"mimeType": delivery.content_type or "", "params": [], **content}
    return request


def _response(delivery: Delivery, *, secrets: bool) -> dict[str, Any]:
    response = delivery.response
    status = 0 if response is None else response.status
    headers = Headers(() if response is None else response.headers)
    body = b"" if response is None else response.body
    by_name = HeaderMap(headers)
    return {
        "status": status,
        "statusText": HTTPStatus(status).phrase if status in {*HTTPStatus} else "",
        "httpVersion": _HTTP,
        "cookies": [],
        "headers": _pairs(shown(headers, secrets=secrets)),
        "content": {
            "size": len(body),
            "mimeType": by_name.get("Content-Type", ""),
            **(_content(body) if body else {}),
        },
        "redirectURL": by_name.get("Location", ""),
        "headersSize": _UNKNOWN,
        "bodySize": len(body),
    }


def _ascii(text: str) -> str:
    """Escape what a URL cannot hold; requests are read as Latin-1."""
    return quote(text, safe=_AS_IT_IS, encoding="latin-1", errors="replace")


def _content(data: bytes) -> dict[str, str]:
    """Return bytes as the text that they are, or in base64."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"text": base64_text(data), "encoding": "base64"}


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]
