"""What can be asked of the writer; each becomes rows of the transaction that it falls into."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "Call",
    "EndExecution",
    "NewDelivery",
    "NewJobs",
    "NewResponse",
    "Operation",
    "StartExecution",
    "job_row",
]

KEPT_REFUSED: Final = 1000
"""Refused deliveries that are kept of one hook."""


@dataclass(slots=True, kw_only=True)
class NewDelivery:
    """Keep a delivery and, where it was accepted, its execution.

    After the commit ``id`` is its number; where it could not be written, ``error`` says why.

    Attributes
    ----------
    reason, detail
        Why it was refused; ``reason`` is ``None`` where it was accepted.
    revision
        That the execution runs; ``None`` where it was refused.
    status
        The execution's code: ``None`` queued, 0 started, 1 where there is nothing to run.
    owner
        The runtime that will end the execution; ``None`` where there is nothing to run.
    missing
        JSON list of the configured variables that did not come, or ``None``.
    caller
        Whatever the one who asked wants back with it.
    """

    workflow_id: int
    received_at: int
    method: str
    query: str
    content_type: str | None
    content_encoding: str | None
    head: bytes
    body: bytes
    size: int
    remote: str
    subpath: str = ""
    reason: str | None = None
    detail: str | None = None
    revision: int | None = None
    status: int | None = None
    owner: str | None = None
    missing: str | None = None
    caller: Any = None
    id: int = 0
    error: Exception | None = None

    def row(self) -> tuple[Any, ...]:
        """Give the row of ``deliveries``, but for the id that it will get."""
        return (
            self.workflow_id,
            self.received_at,
            self.method,
            self.query,
            self.content_type,
            self.content_encoding,
            self.head,
            self.body,
            self.size,
            self.remote,
            self.reason,
            self.detail,
            self.subpath,
        )

    def execution_row(self) -> tuple[Any, ...]:
        """Give the row of ``executions``."""
        ended = self.received_at if self.status == 1 else None
        return (
            self.id,
            self.workflow_id,
            self.revision,
            self.status,
            None,
            None if self.status is None else self.received_at,
            ended,
            None,
            self.missing,
            0,
            self.owner,
        )


@dataclass(slots=True, kw_only=True)
class NewResponse:
    """Keep what a caller got, its header pairs as JSON, and after how many microseconds."""

    delivery_id: int
    status: int
    duration_us: int
    headers: bytes
    body: bytes


@dataclass(slots=True, kw_only=True)
class StartExecution:
    """Mark an execution as started."""

    id: int
    started_at: int


@dataclass(slots=True, kw_only=True)
class EndExecution:
    """Mark an execution as ended and keep its jobs, as rows made by :func:`job_row`.

    ``shown`` tells whether jobs were written as running before.
    """

    id: int
    status: int
    reason: str | None
    started_at: int | None
    finished_at: int
    response_status: int | None
    jobs: tuple[tuple[Any, ...], ...] = ()
    shown: bool = False


@dataclass(slots=True, kw_only=True)
class NewJobs:
    """Keep the jobs of an execution that goes on, as rows made by :func:`job_row`.

    Those that run have no end; they are there until the execution's next jobs are kept.
    """

    execution: int
    rows: list[tuple[Any, ...]]


@dataclass(slots=True, kw_only=True)
class Call:
    """Run a function of the connection in a transaction of its own, after all before it."""

    function: Callable[[Connection], Any] | None
    future: Future[Any] = field(default_factory=Future)


Operation = NewDelivery | NewResponse | NewJobs | StartExecution | EndExecution


_DELIVERY: Final = (
    "workflow_id, received_at, method, query, content_type, content_encoding, head, body, size, "
    "remote, reason, detail, subpath"
)
_EXECUTION: Final = (
    "id, workflow_id, revision, status, reason, started_at, finished_at, response_status, "
    "missing, recovered, owner"
)
_JOB: Final = (
    "execution_id, workflow_id, node, type, status, started_at, finished_at, result, is_repr, "
    "output, error"
)
# What was cleared in the meantime must not come back in parts.
_RESPONSE: Final = "delivery_id, status, duration_us, headers, body"
_ARRIVED: Final = "UPDATE deliveries SET received_at = ? WHERE id = ?"
_START: Final = "UPDATE executions SET status = 0, started_at = ? WHERE id = ?"
_END: Final = (
    "UPDATE executions SET status = ?, reason = ?, started_at = coalesce(?, started_at), "
    "finished_at = ?, response_status = ?, owner = NULL WHERE id = ?"
)
_NO_LONGER: Final = "DELETE FROM jobs WHERE execution_id = ? AND finished_at IS NULL"
_PRUNE: Final = (
    "SELECT id FROM deliveries WHERE workflow_id = ? AND reason IS NOT NULL "
    "ORDER BY id DESC LIMIT -1 OFFSET ?"
)
_ROWS: Final = (64, 16, 4, 1)  # rows of one statement


@cache
def _insert(table: str, columns: str, rows: int, parent: str | None) -> str:
    """Write an insert of several rows; only of those whose ``parent`` is still there."""
    marks = ", ".join(["(" + ", ".join("?" * len(columns.split(", "))) + ")"] * rows)
    if parent is None:
        return f"INSERT INTO {table} ({columns}) VALUES {marks}"  # noqa: S608 - own names
    return (
        f"INSERT INTO {table} ({columns}) SELECT * FROM (VALUES {marks}) AS new "  # noqa: S608
        f"WHERE EXISTS (SELECT 1 FROM {parent} WHERE id = new.column1)"
    )


def _insert_all(
    connection: Connection,
    table: str,
    columns: str,
    rows: list[tuple[Any, ...]],
    parent: str | None = None,
) -> int:
    """Insert rows and give the last one's id.

    Each step of a statement gives the interpreter to whoever waits for it, and waits to get it
    back; with a statement for each row the writer spends its time on that while requests come.
    """
    last, at = 0, 0
    for size in _ROWS:
        while len(rows) - at >= size:
            flat = tuple(chain.from_iterable(rows[at : at + size]))
            result = connection.exec_driver_sql(_insert(table, columns, size, parent), flat)
            last = result.lastrowid
            at += size
    return last


def apply(
    connection: Connection,
    operations: list[Operation],
    arrival: Callable[[int], int] | None = None,
) -> None:
    """Write the operations inside the transaction that the caller has begun.

    ``arrival`` gives the time of a delivery by its id; where it is ``None``, it came when it says.
    """
    deliveries = [item for item in operations if isinstance(item, NewDelivery)]
    if deliveries:
        # The write lock is held: ids are given in one row, and the last tells the others.
        rows = [delivery.row() for delivery in deliveries]
        last = _insert_all(connection, "deliveries", _DELIVERY, rows)
        for number, delivery in enumerate(deliveries, last - len(deliveries) + 1):
            delivery.id = number
        if arrival is not None:
            for delivery in deliveries:
                delivery.received_at = arrival(delivery.id)
            times = [(delivery.received_at, delivery.id) for delivery in deliveries]
            connection.exec_driver_sql(_ARRIVED, times)
        accepted = [item.execution_row() for item in deliveries if item.reason is None]
        _insert_all(connection, "executions", _EXECUTION, accepted)
        for workflow_id in {item.workflow_id for item in deliveries if item.reason is not None}:
            _prune(connection, workflow_id)
    starts = [(item.started_at, item.id) for item in operations if isinstance(item, StartExecution)]
    if starts:
        connection.exec_driver_sql(_START, starts)
    ends = [item for item in operations if isinstance(item, EndExecution)]
    if ends:
        connection.exec_driver_sql(
            _END,
            [
                (
                    item.status,
                    None if item.reason is None else storable(item.reason),
                    item.started_at,
                    item.finished_at,
                    item.response_status,
                    item.id,
                )
                for item in ends
            ],
        )
    going_on = [item for item in operations if isinstance(item, NewJobs)]
    for item in going_on:
        connection.exec_driver_sql(_NO_LONGER, (item.execution,))
        _insert_all(connection, "jobs", _JOB, item.rows, parent="executions")
    # What was written as running may be part of a transaction before this one.
    shown = [(item.id,) for item in ends if item.shown]
    if shown:
        connection.exec_driver_sql(_NO_LONGER, shown)
    jobs = [row for item in ends for row in item.jobs]
    _insert_all(connection, "jobs", _JOB, jobs, parent="executions")
    responses = [
        (item.delivery_id, item.status, item.duration_us, item.headers, item.body)
        for item in operations
        if isinstance(item, NewResponse)
    ]
    _insert_all(connection, "answers", _RESPONSE, responses, parent="deliveries")


def _prune(connection: Connection, workflow_id: int) -> None:
    old = connection.exec_driver_sql(_PRUNE, (workflow_id, KEPT_REFUSED)).fetchall()
    if old:
        ids = [tuple(row) for row in old]
        connection.exec_driver_sql("DELETE FROM deliveries WHERE id = ?", ids)
        connection.exec_driver_sql("DELETE FROM answers WHERE delivery_id = ?", ids)


def job_row(
    *,
    execution: int,
    workflow_id: int,
    node: str,
    type: str,
    status: int,
    started_at: int,
    finished_at: int | None,
    result: tuple[str | None, bool],
    output: str,
    error: str | None,
) -> tuple[Any, ...]:
    """Make the row of a job; ``result`` is what :func:`hooknb.records.encode_result` gave."""
    text, is_repr = result
    return (
        execution,
        workflow_id,
        node,
        type,
        status,
        started_at,
        finished_at,
        text,
        int(is_repr),
        storable(output),
        None if error is None else storable(error),
    )


def storable(text: str) -> str:
    """Write what UTF-8 cannot hold (lone surrogates, as in names of files) as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
