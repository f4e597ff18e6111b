"""JSON lines: each delivery an object of its own, with the very bytes that came."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import msgspec

from hooknb.errors import SettingError
from hooknb.history.exports.values import encoded, shown
from hooknb.paths import MISSING
from hooknb.payloads.headers import MASK, SECRET_HEADERS, Headers, parse_head
from hooknb.records import Delivery, Outcome, SentResponse

__all__ = ["read_lines", "write"]

_NULL: Final = msgspec.Raw(b"null")


class _Response(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: list[tuple[str, str]] = []
    body: bytes = b""


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line, in the order of its keys; bytes are base64 in it."""

    id: int
    workflow: str
    received_at: datetime
    method: str
    subpath: str = ""
    query_string: str
    headers: list[tuple[str, str]]
    body: msgspec.Raw = _NULL
    raw: bytes
    size: int
    remote: str
    outcome: Outcome
    reason: str | None = None
    detail: str | None = None
    response: _Response | None = None
    duration_ms: float | None = None


def write(deliveries: Iterable[Delivery], file: IO[bytes], *, secrets: bool) -> None:
    """Write deliveries, a line each; see :func:`hooknb.history.exports.export`.

    ``raw`` has the bytes of the body as they came, in base64. ``body`` is what they say, for those
    who read the file: the parsed body, ``null`` where it is bytes only or cannot be read; it is
    not read back.
    """
    encoder = msgspec.json.Encoder()
    for delivery in deliveries:
        file.write(encoder.encode(_line(delivery, secrets=secrets)) + b"\n")


def _line(delivery: Delivery, *, secrets: bool) -> _Line:
    body, response = delivery.body_or_missing, delivery.response
    is_read = body is not MISSING and not isinstance(body, bytes)
    return _Line(
        id=delivery.id,
        workflow=delivery.workflow,
        received_at=delivery.received_at,
        method=delivery.method,
        subpath=delivery.subpath,
        query_string=delivery.query_string,
        headers=shown(delivery.headers, secrets=secrets),
        body=msgspec.Raw(encoded(body)) if is_read else _NULL,
        raw=delivery.raw,
        size=delivery.size,
        remote=delivery.remote,
        outcome=delivery.outcome,
        reason=delivery.reason,
        detail=delivery.detail,
        response=None
        if response is None
        else _Response(
            status=response.status,
            headers=shown(Headers(response.headers), secrets=secrets),
            body=response.body,
        ),
        duration_ms=delivery.duration_ms,
    )


def read_lines(path: str | os.PathLike[str]) -> Iterator[Delivery]:
    """Read back what was written as JSON lines, one delivery after the other.

    Parameters
    ----------
    path
        Of the file.

    Yields
    ------
    Delivery
        The same but for headers that were masked, which are left out.

    Raises
    ------
    SettingError
        The file cannot be read, or a line is no delivery; the error says which and why.
    """
    decoder = msgspec.json.Decoder(_Line)
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise SettingError(
                "path", f"{str(path)!r} is not a file; it is read twice, so save it first"
            )
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield _delivery(decoder.decode(line))
                    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                        raise SettingError(
                            f"{path.name}, line {number}",
                            f"that is not a delivery: {error}; hook.export({path.name!r}) writes "
                            "such lines",
                        ) from error
    except OSError as error:
        raise SettingError(
            "path", f"{str(path)!r} cannot be read: {error.strerror or error}"
        ) from error


def _delivery(line: _Line) -> Delivery:
    response = line.response
    return Delivery(
        id=line.id,
        workflow=line.workflow,
        received_at=line.received_at,
        method=line.method,
        subpath=line.subpath,
        query_string=line.query_string,
        head=_head(line.headers),
        raw=line.raw,
        size=line.size,
        remote=line.remote,
        outcome=line.outcome,
        reason=line.reason,
        detail=line.detail,
        response=None
        if response is None
        else SentResponse(
            status=response.status, headers=tuple(response.headers), body=response.body
        ),
        duration_ms=line.duration_ms,
    )


def _head(written: list[tuple[str, str]]) -> bytes:
    """Write header fields as they stand on the wire, which is in Latin-1."""
    fields = [
        (name, value)
        for name, value in written
        if not (name.lower() in SECRET_HEADERS and MASK in value)
    ]
    head = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
    if parse_head(head) != fields:
        raise ValueError("a header is a name, and text without line breaks or spaces around it")
    return head
