"""The records of what happened: deliveries, executions and jobs.

Records are frozen. Times are aware ``datetime`` objects in UTC, durations milliseconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from hooknb import payloads
from hooknb.errors import PayloadError
from hooknb.paths import MISSING
from hooknb.payloads.headers import HeaderMap, Headers, parse_head
from hooknb.payloads.json_values import as_python

__all__ = [
    "KEPT_REFUSED_BYTES",
    "MAX_REFUSED_BODY_BYTES",
    "Delivery",
    "Execution",
    "Job",
    "JobError",
    "LazyRequest",
    "Outcome",
    "ReceivedRequest",
    "SentResponse",
    "Status",
    "decode_result",
    "encode_result",
    "parse_body",
    "read_body",
    "response_tone",
]


KEPT_REFUSED_BYTES: Final = 64 * 1024
"""Bytes of a refused request's body that are kept."""

MAX_REFUSED_BODY_BYTES: Final = 256 * 1024
"""Bytes of a refused request's body, decompressed, beyond which it is not parsed.

A sender without credentials decides what these bodies are: a thousand of them are kept, and a few
kilobytes of each may decompress to many megabytes.
"""

# An accepted body was within its hook's own limit; this one only bounds a damaged store.
_MAX_ACCEPTED_BODY_BYTES: Final = 2**31

_CHARSET: Final = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"']{1,40})""", re.IGNORECASE)

_decode: Final = msgspec.json.Decoder().decode

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

    @property
    def label(self) -> str:
        """The word for a job: ``pending`` while its node runs."""
        return "pending" if self is Status.STARTED else self.word

    @property
    def is_over(self) -> bool:
        """Whether it has ended: neither queued nor running."""
        return self not in {Status.QUEUED, Status.STARTED}

    @property
    def is_bad(self) -> bool:
        """Whether it ended without success: failed, raised, or was aborted."""
        return self.is_over and self is not Status.RESOLVED

    @property
    def is_failure(self) -> bool:
        """Whether it failed or raised, as opposed to being aborted from outside."""
        return self.is_bad and self is not Status.ABORTED

    @property
    def tone(self) -> str:
        """The suffix of its CSS class in the panel: ``ok`` of ``hk-ok``."""
        return "bad" if self.is_bad else "ok" if self.is_over else "wait"

    @property
    def gravity(self) -> int:
        """Its rank: of several runs of a node, the status with the highest is shown."""
        return _BY_GRAVITY.index(self)

    @classmethod
    def named(cls, word: str) -> Status:
        """Return the status with this :attr:`word` or :attr:`label`."""
        return next(status for status in cls if word in {status.word, status.label})


_BY_GRAVITY: Final = (
    *(Status.QUEUED, Status.RESOLVED, Status.STARTED),
    *(Status.ABORTED, Status.FAILED, Status.ERROR),
)
# Errors that workflows respond with deliberately.
_DELIBERATE_ERRORS: Final = frozenset({404, 409, 422})


def response_tone(status: int | None) -> str:
    """Return the tone of a response: ``ok``, ``warn`` or ``bad``; ``wait`` while there is none."""
    if status is None:
        return "wait"
    if status < 400:  # noqa: PLR2004 - where HTTP's errors begin
        return "ok"
    return "warn" if status in _DELIBERATE_ERRORS else "bad"


class JobError(Enum):
    """Job errors with a fixed meaning; the value is the text that the store keeps."""

    NESTED = "a node inside of it failed"
    """A node below this one failed; the cause is in that node's record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentResponse:
    """The response that a caller got.

    Attributes
    ----------
    status
        The HTTP status code.
    headers
        Pairs, without those that the server adds (length, date, delivery id).
    body
        The bytes of the body.
    is_cut
        Whether ``body`` is only the beginning of the body sent: a runtime keeps
        ``max_kept_response`` bytes.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_cut: bool = False

    def json(self) -> Any:
        """Return the body parsed as JSON; raises :class:`~hooknb.PayloadError` if it is invalid."""
        return payloads.decode_json(self.body)


class LazyRequest:
    """A stored request whose parts are parsed on first access.

    The base of :class:`Delivery` and of the rows that filters and tables read. Frames, which hold
    hundreds of thousands of rows, call :func:`read_body` directly.
    """

    if TYPE_CHECKING:  # read-only for type checkers, so that frozen records can have them too

        @property
        def method(self) -> str:
            """The request method."""

        @property
        def detail(self) -> str | None:
            """A sentence about the reason."""

        @property
        def query_string(self) -> str:
            """The part of the URL after ``?``, not decoded."""

        @property
        def head(self) -> bytes:
            """The block of header fields as received."""

        @property
        def raw(self) -> bytes:
            """The bytes of the body as sent."""

        @property
        def size(self) -> int:
            """Bytes of the body that were received."""

        @property
        def reason(self) -> str | None:
            """Why it was refused; ``None`` if it was accepted."""

    @cached_property
    def header_map(self) -> HeaderMap:
        """The header fields by name."""
        return HeaderMap(parse_head(self.head))

    @cached_property
    def content_type(self) -> str | None:
        """The ``Content-Type`` header as received."""
        value: str | None = self.header_map.get("Content-Type")
        return value

    @cached_property
    def content_encoding(self) -> str | None:
        """The ``Content-Encoding`` header as received."""
        value: str | None = self.header_map.get("Content-Encoding")
        return value

    @cached_property
    def query(self) -> dict[str, Any]:
        """The query, parsed by the rules of npm's ``qs``."""
        return payloads.parse_query_string(self.query_string)

    @cached_property
    def body_or_missing(self) -> Any:
        """The parsed body; ``MISSING`` if there is none or it cannot be parsed."""
        return read_body(
            self.raw,
            self.content_type,
            self.content_encoding,
            size=self.size,
            is_accepted=self.reason is None,
        )

    @property
    def body(self) -> Any:
        """The parsed body; ``None`` if there is none or it cannot be parsed."""
        body = self.body_or_missing
        return None if body is MISSING else body

    @cached_property
    def text(self) -> str:
        """The decompressed body as text; without a known charset, bytes are read as Latin-1.

        Empty if the body cannot be decompressed.
        """
        max_bytes = _MAX_ACCEPTED_BODY_BYTES if self.reason is None else MAX_REFUSED_BODY_BYTES
        try:
            body = payloads.decompress(self.raw, self.content_encoding, max_bytes)
        except PayloadError:
            return ""
        found = _CHARSET.search(self.content_type or "")
        if found is None and b"\0" in body[:4] and payloads.kind(self.content_type) == "json":
            return payloads.decode_text(body, json.detect_encoding(body))
        return payloads.decode_text(body, None if found is None else found[1])


def parse_body(
    raw: bytes,
    content_type: str | None,
    content_encoding: str | None,
    *,
    size: int,
    is_accepted: bool,
    max_bytes: int | None = None,
) -> Any:
    """Parse a stored body.

    Parameters
    ----------
    raw
        The bytes that were kept.
    content_type, content_encoding
        The headers.
    size
        Bytes that were received: more than ``len(raw)`` if the body was cut.
    is_accepted
        Whether the request was accepted; a refused body is parsed up to
        :data:`MAX_REFUSED_BODY_BYTES`.
    max_bytes
        A lower limit on the decompressed body, for previews.

    Returns
    -------
    value
        The value that :func:`hooknb.payloads.parse` returns; ``MISSING`` if no byte was received.

    Raises
    ------
    PayloadError
        The body was cut, is too large (413), or is not what its headers say.
    """
    if len(raw) < size:
        detail = f"the first {len(raw):,} of {size:,} bytes were kept"
        raise PayloadError(400, "cut", detail)
    # An accepted body was checked when it was received, so one decoding is enough here.
    if is_accepted and raw and not content_encoding and payloads.kind(content_type) == "json":
        try:
            if max_bytes is None or len(raw) <= max_bytes:
                return _decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # another charset
    limit = _MAX_ACCEPTED_BODY_BYTES if is_accepted else MAX_REFUSED_BODY_BYTES
    return payloads.parse(
        raw,
        content_type=content_type,
        content_encoding=content_encoding,
        max_size=limit if max_bytes is None else min(limit, max_bytes),
    )


def read_body(
    raw: bytes,
    content_type: str | None,
    content_encoding: str | None,
    *,
    size: int,
    is_accepted: bool,
) -> Any:
    """Return the value of :func:`parse_body`, or ``MISSING`` if it raises."""
    try:
        return parse_body(raw, content_type, content_encoding, size=size, is_accepted=is_accepted)
    except PayloadError:
        return MISSING


@dataclass(frozen=True, kw_only=True)
class ReceivedRequest(LazyRequest):
    """A request as the store keeps it: each field is a column of the table of deliveries.

    A column has the type of its field, and its name unless ``metadata`` has another one. A new
    field needs a default, which deliveries of earlier versions get.

    Attributes
    ----------
    method
        The request method.
    subpath
        The path that the sender appended to the hook's URL, not decoded: ``/api/v2/alerts``;
        ``""`` for nothing or a single slash.
    query_string
        The part of the URL after ``?``, not decoded.
    size
        Bytes of the body that were received.
    remote
        The address of the sender.
    head
        The block of header fields as received.
    raw
        The bytes of the body as sent: chunks joined, ``Content-Encoding`` not decoded. Only the
        first 64 KiB if the request was refused.
    """

    method: str
    subpath: str = ""
    query_string: str = field(metadata={"column": "query"})
    size: int
    remote: str
    # The large columns are last: SQLite reads a row from its beginning.
    head: bytes = field(repr=False)
    raw: bytes = field(repr=False, metadata={"column": "body"})


@dataclass(frozen=True, kw_only=True)
class Delivery(ReceivedRequest):
    """One HTTP request that a hook received, kept with its raw bytes.

    It adds the following to the attributes of :class:`ReceivedRequest` (``method``, ``subpath``,
    ``query_string``, ``size``, ``remote``, ``head``, ``raw``).

    Attributes
    ----------
    id
        Its number within its hook, from 1, in the order of arrival.
    workflow
        The name of the workflow that received it.
    received_at
        When its headers were complete.
    outcome, reason, detail
        ``accepted``, or ``refused`` with a short reason and an explanation in one sentence.
    response
        The response that the caller got, or ``None`` while it waits.
    duration_ms
        Milliseconds from complete headers until the response was ready. It is sent once it is
        stored together with the delivery.
    """

    id: int
    workflow: str
    received_at: datetime
    outcome: Outcome
    reason: str | None = None
    detail: str | None = None
    response: SentResponse | None = field(default=None, repr=False)
    duration_ms: float | None = None

    @property
    def headers(self) -> Headers:
        """The header fields as received: a list of pairs."""
        return Headers(parse_head(self.head))

    @property
    def status(self) -> int | None:
        """The status code of the response."""
        return None if self.response is None else self.response.status


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
        ``finished_at`` is ``None`` while it runs.
    result
        The node's result: the value that later nodes see under its key.
    output
        The text that it printed.
    error
        Type and message, then the traceback, if it raised.
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

    @property
    def is_nested_failure(self) -> bool:
        """Whether a node below this one failed rather than this one."""
        return self.error == JobError.NESTED.value


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of one revision for one delivery.

    Attributes
    ----------
    id
        The id of the delivery that started it.
    revision
        The number of the revision that it ran.
    status, reason
        How it ended, and the reason if it did not resolve.
    started_at, finished_at
        ``None`` until it starts and until it ends, respectively.
    response_status
        The status code sent by its Response node, or at the end of a synchronous run.
    missing
        Configured variables that the delivery lacked, as ``part.path``.
    recovered
        Whether it ran again because the process stopped during its first run.
    jobs
        The records of its nodes, in the order in which they ended.
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


def _mask_credentials(value: Any) -> Any:
    """Mask credentials in headers that are part of a result."""
    if isinstance(value, (HeaderMap, Headers)):
        return value.masked()
    if isinstance(value, dict):
        return {key: _mask_credentials(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mask_credentials(item) for item in value]
    return value


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return as_python(value)


def encode_result(value: object) -> tuple[str | None, bool]:
    """Encode a node's result as JSON text; return the text and whether it is only a ``repr``.

    ``None`` is stored as SQL's ``NULL``. A value that JSON cannot represent is kept as its
    ``repr``, cut at 64 KiB, and marked. NaN and the infinities keep Python's notation.
    """
    if value is None:
        return None, False
    if value is True or value is False:
        return ("true" if value else "false"), False
    if type(value) is int and -(2**63) <= value < 2**63:
        return str(value), False
    try:
        return json.dumps(_mask_credentials(value), default=_plain), False
    except BaseException:  # noqa: BLE001 - whatever a user's object raises, the job is kept
        try:
            text = repr(value)
        except BaseException as error:  # noqa: BLE001 - a repr may raise anything
            text = f"<{type(value).__qualname__}, whose repr raised {type(error).__name__}>"
        return json.dumps(text[:KEPT_REFUSED_BYTES]), True


def decode_result(text: str | None) -> Any:
    """Decode the text of :func:`encode_result`."""
    return None if text is None else json.loads(text)
