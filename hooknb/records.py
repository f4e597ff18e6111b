"""What has happened: deliveries, executions and jobs, and the parts they are made of.

Records are frozen. Times are aware ``datetime`` objects in UTC, durations milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from functools import cached_property
from typing import Any, Final, Literal

from hooknb import payloads
from hooknb.errors import PayloadError
from hooknb.paths import MISSING
from hooknb.payloads.arrays import as_python
from hooknb.payloads.headers import HeaderMap, Headers, parse_head

__all__ = [
    "KEPT_REFUSED_BYTES",
    "Delivery",
    "Execution",
    "Job",
    "Outcome",
    "SentResponse",
    "Status",
    "decode_result",
    "encode_result",
]


KEPT_REFUSED_BYTES: Final = 64 * 1024
"""Bytes of a refused request's body that are kept."""

# What was accepted was within its hook's own limit; this one only bounds a damaged store.
_ACCEPTED_LIMIT: Final = 2**31
# Of what was refused little is kept, and nobody has asked for it to be large.
_REFUSED_LIMIT: Final = 256 * 1024

Outcome = Literal["accepted", "refused"]


class Status(Enum):
    """The status of an execution or a job; the value is its code."""

    QUEUED = None
    STARTED = 0
    RESOLVED = 1
    FAILED = -1
    ERROR = -2
    ABORTED = -3

    @property
    def word(self) -> str:
        """The word that frames show: ``resolved``."""
        return self.name.lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class SentResponse:
    """What a caller got.

    Attributes
    ----------
    status
        The HTTP status code.
    headers
        Pairs, without those that the server adds (length, date, delivery id).
    body
        The bytes of the body.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def json(self) -> Any:
        """Give the body read as JSON; raises :class:`~hooknb.PayloadError` where it is not."""
        return payloads.decode_json(self.body)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One HTTP request that reached a hook, kept with its raw bytes.

    Attributes
    ----------
    id
        Its number in its hook, from 1, rising in the order of arrival.
    workflow
        The name of the workflow that it came for.
    received_at
        When its headers were complete.
    method
        The request's method.
    subpath
        What the sender appended to the hook's URL, as it stood there: ``/api/v2/alerts``; ``""``
        for nothing, or for a slash alone.
    query_string
        What stood behind ``?`` in the URL, as it stood there.
    head
        The block of header fields as it came.
    raw
        The bytes of the body as they were sent: chunks joined, ``Content-Encoding`` not undone.
        The first 64 KiB where the request was refused.
    size
        Bytes of the body that came.
    remote
        The address that it came from.
    outcome, reason, detail
        ``accepted``, or ``refused`` with a short reason and a sentence about it.
    answer
        What the caller got, or ``None`` while it waits.
    duration_ms
        Milliseconds from complete headers to the answer.
    """

    id: int
    workflow: str
    received_at: datetime
    method: str
    query_string: str
    head: bytes = field(repr=False)
    raw: bytes = field(repr=False)
    size: int
    remote: str
    outcome: Outcome
    reason: str | None = None
    detail: str | None = None
    response: SentResponse | None = field(default=None, repr=False)
    duration_ms: float | None = None
    subpath: str = ""

    @property
    def headers(self) -> Headers:
        """The header fields as they came: a list of pairs."""
        return Headers(parse_head(self.head))

    @property
    def status(self) -> int | None:
        """The status code of the answer."""
        return None if self.response is None else self.response.status

    @cached_property
    def header_map(self) -> HeaderMap:
        """The header fields by name."""
        return HeaderMap(parse_head(self.head))

    @property
    def content_type(self) -> str | None:
        """The ``Content-Type`` as it came."""
        value: str | None = self.header_map.get("Content-Type")
        return value

    @cached_property
    def query(self) -> dict[str, Any]:
        """The query, read by the rules of npm's ``qs``."""
        return payloads.parse_query_string(self.query_string)

    @cached_property
    def body_or_missing(self) -> Any:
        """The parsed body, or ``MISSING`` where there is none or it cannot be read."""
        accepted = self.outcome == "accepted"
        try:
            return payloads.parse(
                self.raw,
                content_type=self.content_type,
                content_encoding=self.header_map.get("Content-Encoding"),
                max_size=_ACCEPTED_LIMIT if accepted else _REFUSED_LIMIT,
            )
        except PayloadError:
            if accepted:
                raise
            return MISSING

    @property
    def body(self) -> Any:
        """The parsed body; ``None`` where there is none, or where a refused one cannot be read."""
        body = self.body_or_missing
        return None if body is MISSING else body


@dataclass(frozen=True, kw_only=True)
class Job:
    """The record of one node's run inside an execution.

    Attributes
    ----------
    execution
        The id of the execution.
    node, type
        The node's key and the name of its type.
    status
        How it ended; ``STARTED`` while it runs.
    started_at, finished_at
        When; ``None`` where it has not ended.
    result
        What the node gave: what later nodes see under its key.
    output
        What it printed.
    error
        Type and message, then the traceback, where it raised.
    stored_as_repr
        Whether ``result`` could not be stored and is its ``repr``.
    """

    execution: int
    node: str
    type: str
    status: Status
    started_at: datetime
    finished_at: datetime | None = None
    result: Any = None
    output: str = ""
    error: str | None = None
    stored_as_repr: bool = False

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from start to end."""
        return _milliseconds(self.started_at, self.finished_at)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of one revision for one delivery.

    Attributes
    ----------
    id
        The id of the delivery that started it, and so its own.
    revision
        The number of the revision that it ran.
    status, reason
        How it ended, and why where it did not end well.
    started_at, finished_at
        When; ``None`` where it has not.
    response_status
        The status code that its Response node, or the end of a synchronous run, gave.
    missing
        Configured variables that did not come, as ``part.path``.
    recovered
        Whether it was run again because the process before it ended in the middle.
    jobs
        The records of its nodes, in the order of their ends.
    """

    id: int
    workflow: str
    revision: int
    status: Status
    reason: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    response_status: int | None = None
    missing: tuple[str, ...] = ()
    recovered: bool = False
    jobs: tuple[Job, ...] = ()

    @property
    def delivery(self) -> int:
        """The id of the delivery that started it."""
        return self.id

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from start to end."""
        return _milliseconds(self.started_at, self.finished_at)


def _milliseconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds() * 1000


def _shown(value: Any) -> Any:
    """Mask credentials in headers that are part of a result."""
    if isinstance(value, (HeaderMap, Headers)):
        return value.masked()
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    return value


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return as_python(value)


def encode_result(value: object) -> tuple[str | None, bool]:
    """Write a node's result as JSON text; give the text and whether it is only a ``repr``.

    ``None`` is stored as nothing. A value that JSON cannot hold is kept as its ``repr``, cut at
    64 KiB, and marked. NaN and the infinities are kept in Python's own notation.
    """
    if value is None:
        return None, False
    if value is True or value is False:
        return ("true" if value else "false"), False
    if type(value) is int and -(2**63) <= value < 2**63:
        return str(value), False
    try:
        return json.dumps(_shown(value), default=_plain), False
    except BaseException:  # noqa: BLE001 - whatever a user's object raises, the job is kept
        try:
            text = repr(value)
        except BaseException as error:  # noqa: BLE001 - a repr may raise anything
            text = f"<{type(value).__qualname__}, whose repr raised {type(error).__name__}>"
        return json.dumps(text[:KEPT_REFUSED_BYTES]), True


def decode_result(text: str | None) -> Any:
    """Read back what :func:`encode_result` wrote."""
    return None if text is None else json.loads(text)
