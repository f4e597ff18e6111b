"""Everything about one delivery, as plain data that can be sent to a browser."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypedDict

import msgspec

from hooknb import _clock, paths, payloads
from hooknb.errors import PayloadError, RecordNotFoundError
from hooknb.history.table.flow import branch_label
from hooknb.history.table.shown_text import cut, plain, sendable
from hooknb.history.table.table_columns import variable_name
from hooknb.history.table.value_tree import Line, tree
from hooknb.paths import MISSING
from hooknb.payloads.headers import HeaderMap, Headers, is_secret_header, masked, parse_head
from hooknb.records import JobError, Status, decode_result, parse_body
from hooknb.store import queries
from hooknb.workflow.variables import column

if TYPE_CHECKING:
    from hooknb.store import Store
    from hooknb.workflow import Trigger

__all__ = ["Details", "details"]

_MAX_TREE_BYTES: Final = 10 * 2**20  # bytes of a body that is shown as a tree
_MAX_TEXT_BYTES: Final = 64 * 1024  # bytes that are shown as text
_MAX_HEX_BYTES: Final = 8 * 1024  # bytes that are shown as hexadecimal
_MAX_CHARACTERS: Final = 10_000  # characters of a job's result, output or error
_MAX_VALUE_CHARACTERS: Final = 2_000  # characters of a variable's value
_MAX_JOBS: Final = 200
_HEX_ROW_BYTES: Final = 16  # bytes of a line of hexadecimal
_PRINTABLE: Final = range(0x20, 0x7F)


class Tree(TypedDict):
    """A part as the lines of a tree.

    ``lines`` are those of :func:`hooknb.history.table.value_tree.tree`, ``more`` is how many values
    are left out, ``note`` says why nothing or not all is there.
    """

    lines: list[Line]
    more: int
    note: str | None


class Details(TypedDict):
    """What :func:`details` returns; all of it is text, numbers, booleans, lists and dicts.

    ``received``
        ISO 8601 in UTC: ``2026-01-31T12:00:00.000000+00:00``.
    ``outcome``, ``reason``, ``detail``
        As of :class:`hooknb.Delivery`.
    ``headers``
        ``[name, value, is_secret]`` as received; those that carry credentials are secret, and
        masked.
    ``variables``
        ``[title, name, text]`` of each configured variable, ``None`` for a missing one.
    ``response``
        ``None`` while the caller waits, else ``status``, ``headers`` (pairs), ``text`` (of the
        first 64 KiB; empty where ``binary``), ``binary`` and ``size`` (bytes).
    ``raw``
        The body as received: ``text`` of its first 64 KiB, or ``None`` where that is not UTF-8;
        ``hex`` of its first 8 KiB, 16 bytes a line, with offset and ASCII; ``size``, the bytes
        received; ``kept``, those that were kept; ``in_text`` and ``in_hex``, those shown so.
    ``execution``
        ``None`` where there is none, else ``status`` (a word), ``tone`` and ``is_over`` of it,
        ``reason``, ``duration_ms``, ``revision``, ``recovered``, ``missing``, ``more`` (jobs that
        are left out) and ``jobs`` in the order of their starts, at most 200: ``node``, ``type``,
        ``status`` (a running one is ``pending``) with its ``tone``, ``start_ms`` from the
        execution's start, ``duration_ms`` (``None`` while it runs), ``result`` (JSON; empty for
        none), ``output``, ``error`` (or ``None``) and ``branch``, the way that a Condition or
        Switch went (or ``None``).
    """

    id: int
    received: str
    method: str
    content_type: str | None
    size: int
    remote: str
    outcome: str
    reason: str | None
    detail: str | None
    duration_ms: float | None
    body: Tree
    query: Tree
    headers: list[list[str | bool]]
    variables: list[list[str | None]]
    response: dict[str, Any] | None
    raw: dict[str, Any]
    execution: dict[str, Any] | None


def details(store: Store, workflow_id: int, number: int, trigger: Trigger) -> Details:
    """Read everything that is shown of one delivery.

    Blocks while a body is parsed: about a tenth of a second for 10 MiB. Larger ones are not parsed.

    Parameters
    ----------
    store, workflow_id
        Where to read.
    number
        The delivery's id.
    trigger
        Whose variables are shown.

    Raises
    ------
    RecordNotFoundError
        The workflow has no such delivery, or no longer.
    StoreUnavailableError
        The store cannot be read.
    """
    read = queries.read_delivery_details(
        store, workflow_id, number, max_bytes=_MAX_TREE_BYTES, cut=_MAX_TEXT_BYTES
    )
    if read is None:
        message = f"there is no delivery {number} of this hook; it was cleared, or was an old one"
        raise RecordNotFoundError(message)
    fields = parse_head(read.head)
    query = payloads.parse_query_string(read.query_string)
    body, note = _parse_body(read)
    query_note = None if query else "no query"
    found = {"headers": HeaderMap(fields), "query": query, "body": body}
    return {
        "id": number,
        "received": _clock.moment(read.received_us).isoformat(timespec="microseconds"),
        "method": sendable(read.method),
        "content_type": None if read.content_type is None else sendable(read.content_type),
        "size": read.size,
        "remote": read.remote,
        "outcome": "accepted" if read.reason is None else "refused",
        "reason": read.reason,
        "detail": read.detail,
        "duration_ms": None if read.duration_us is None else read.duration_us / 1000,
        "body": _tree(body, "body", note),
        "query": _tree(query or MISSING, "query", query_note),
        "headers": [
            [sendable(name), sendable(value), is_secret_header(name)]
            for name, value in fields.masked()
        ],
        "variables": _variables(trigger, found),
        "response": _response(read),
        "raw": _raw(read.raw, kept=read.kept, size=read.size),
        "execution": _execution(store, workflow_id, number),
    }


def _tree(value: Any, part: str, note: str | None) -> Tree:
    lines, more = tree(value, part)
    return {"lines": lines, "more": more, "note": note}


def _parse_body(read: queries.DeliveryDetails) -> tuple[Any, str | None]:
    """Return the parsed body, and a note where there is none to show."""
    if read.kept > len(read.raw):
        return MISSING, f"{read.kept:,} bytes are too many for a tree; see hook.delivery(…).body"
    try:
        value = parse_body(
            read.raw,
            read.content_type,
            read.content_encoding,
            size=read.size,
            is_accepted=read.reason is None,
        )
    except PayloadError as error:
        return MISSING, sendable(error.detail)
    return value, "no body" if value is MISSING else None


def _variables(trigger: Trigger, found: Mapping[str, Any]) -> list[list[str | None]]:
    made: list[list[str | None]] = []
    for part, variables in trigger.parts:
        for variable in variables:
            if part == "headers":
                value = found[part].get(variable.path, MISSING)
                value = value if value is MISSING else masked(variable.path, value)
            else:
                value = paths.get(found[part], variable.path)
            title, name = column(part, variable), variable_name(part, variable.path)
            text = None if value is MISSING else cut(plain(value), _MAX_VALUE_CHARACTERS)
            made.append([sendable(title), sendable(name), text])
    return made


def _response(read: queries.DeliveryDetails) -> dict[str, Any] | None:
    if read.status is None:
        return None
    pairs = Headers(msgspec.json.decode(read.response_headers, type=list[tuple[str, str]]))
    body, size = read.response_body, read.response_size
    text = _decoded(body, is_all=size == len(body))
    return {
        "status": read.status,
        "headers": [[sendable(name), sendable(value)] for name, value in pairs.masked()],
        "text": text or "",
        "binary": text is None,
        "size": size,
    }


def _raw(raw: bytes, *, kept: int, size: int) -> dict[str, Any]:
    shown, in_hex = raw[:_MAX_TEXT_BYTES], raw[:_MAX_HEX_BYTES]
    return {
        "text": _decoded(shown, is_all=len(shown) == kept == size),
        "hex": _hex(in_hex),
        "size": size,
        "kept": kept,
        "in_text": len(shown),
        "in_hex": len(in_hex),
    }


def _decoded(raw: bytes, *, is_all: bool) -> str | None:
    """Decode UTF-8, where it was cut without the character that was cut with it."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(raw, final=is_all)
    except UnicodeDecodeError:
        return None


def _hex(raw: bytes) -> str:
    lines = []
    for offset in range(0, len(raw), _HEX_ROW_BYTES):
        row = raw[offset : offset + _HEX_ROW_BYTES]
        shown = "".join(chr(byte) if byte in _PRINTABLE else "." for byte in row)
        lines.append(f"{offset:08x}  {row.hex(' '):<47}  {shown}")
    return "\n".join(lines)


def _execution(store: Store, workflow_id: int, number: int) -> dict[str, Any] | None:
    read = queries.read_execution_details(store, workflow_id, number)
    if read is None:
        return None
    jobs = queries.read_job_details(
        store, workflow_id, number, limit=_MAX_JOBS, cut=_MAX_CHARACTERS + 1
    )
    total = len(jobs)
    if total == _MAX_JOBS:
        total = queries.count_jobs(store, workflow_id, number)
    start = jobs[0].started_us if read.started_us is None and jobs else read.started_us
    missing = [] if read.missing is None else json.loads(read.missing)
    status = Status(read.status)
    return {
        "status": status.word,
        "tone": status.tone,
        "is_over": status.is_over,
        "reason": None if read.reason is None else cut(read.reason, _MAX_CHARACTERS),
        "duration_ms": _between(read.started_us, read.finished_us),
        "revision": read.revision,
        "recovered": bool(read.recovered),
        "missing": [sendable(name) for name in missing],
        "more": total - len(jobs),
        "jobs": [_job(start or 0, job) for job in jobs],
    }


def _job(start: int, job: queries.JobDetails) -> dict[str, Any]:
    status = Status(job.status)
    is_inside = job.error == JobError.NESTED.value
    return {
        "node": sendable(job.node),
        "type": sendable(job.type),
        "status": status.label,
        "tone": status.tone,
        "start_ms": (job.started_us - start) / 1000,
        "duration_ms": _between(job.started_us, job.finished_us),
        "result": _result(job.result, is_repr=bool(job.is_repr)),
        "output": cut(job.output, _MAX_CHARACTERS),
        "error": None if job.error is None else cut(job.error, _MAX_CHARACTERS),
        "branch": branch_label(job.type, job.status, job.result, is_inside=is_inside),
    }


def _result(text: str | None, *, is_repr: bool) -> str:
    """Write a result with its characters as they are; what was cut stays as it was stored."""
    if text is None:
        return ""
    try:
        value = decode_result(text)
    except (ValueError, RecursionError):
        return cut(text, _MAX_CHARACTERS)
    return cut(value if is_repr else json.dumps(value, ensure_ascii=False), _MAX_CHARACTERS)


def _between(start: int | None, end: int | None) -> float | None:
    return None if start is None or end is None else (end - start) / 1000
