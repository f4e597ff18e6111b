"""What can be asked of the writer; each becomes rows of the transaction that it falls into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Integer,
    LargeBinary,
    Table,
    bindparam,
    column,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
    values,
)

from hooknb.errors import StoreError
from hooknb.store.prepared import Prepared
from hooknb.store.schema import (
    deliveries,
    executions,
    fixed_responses,
    jobs,
    received_values,
    responses,
    workflows,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from hooknb.records import ReceivedRequest

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

    After the commit ``id`` is its number in its workflow; where it could not be written, ``error``
    says why.

    Attributes
    ----------
    request
        What was sent; its content type and encoding have columns of their own.
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
    request: ReceivedRequest
    content_type: str | None
    content_encoding: str | None
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
        """Return the row of ``deliveries``."""
        return (
            self.workflow_id,
            self.id,
            self.received_at,
            self.content_type,
            self.content_encoding,
            self.reason,
            self.detail,
            *received_values(self.request),
        )

    def execution_row(self) -> tuple[Any, ...]:
        """Return the row of ``executions``."""
        ended = self.received_at if self.status == 1 else None
        return (
            self.workflow_id,
            self.id,
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
    """Keep what a caller got, its header pairs as JSON, and after how many microseconds.

    ``revision`` is that whose fixed response it is: headers and body are then kept once for all
    of its deliveries.
    """

    workflow_id: int
    delivery_id: int
    status: int
    duration_us: int
    headers: bytes
    body: bytes
    revision: int | None = None

    def row(self, max_kept: int | None) -> tuple[Any, ...]:
        """Return the row of ``responses``, with at most ``max_kept`` bytes of the body."""
        kept = (self.headers, self.body[:max_kept]) if self.revision is None else (None, None)
        return (
            self.workflow_id,
            self.delivery_id,
            self.status,
            self.duration_us,
            self.revision,
            *kept,
            len(self.body),
        )


@dataclass(slots=True, kw_only=True)
class StartExecution:
    """Mark an execution as started."""

    workflow_id: int
    id: int
    started_at: int


@dataclass(slots=True, kw_only=True)
class EndExecution:
    """Mark an execution as ended and keep its jobs, as rows made by :func:`job_row`.

    ``shown`` tells whether jobs were written as running before.
    """

    workflow_id: int
    id: int
    status: int
    reason: str | None
    started_at: int | None
    finished_at: int
    response_status: int | None
    jobs: tuple[tuple[Any, ...], ...] = ()
    shown: bool = False

    def row(self) -> tuple[Any, ...]:
        """Return the parameters of the statement that ends it, in the order of their places."""
        return (
            self.status,
            None if self.reason is None else storable(self.reason),
            self.started_at,
            self.finished_at,
            self.response_status,
            self.workflow_id,
            self.id,
        )


@dataclass(slots=True, kw_only=True)
class NewJobs:
    """Keep the jobs of an execution that goes on, as rows made by :func:`job_row`.

    Those that run have no end; they are there until the execution's next jobs are kept.
    """

    workflow_id: int
    execution: int
    rows: list[tuple[Any, ...]]


@dataclass(slots=True, kw_only=True)
class Call:
    """Run a function after all that was asked for before.

    It is given the connection, in a transaction of its own; or, with ``is_own``, what runs a
    function in a transaction.
    """

    function: Callable[[Any], Any] | None
    is_own: bool = False
    future: Future[Any] = field(default_factory=Future)


Operation = NewDelivery | NewResponse | NewJobs | StartExecution | EndExecution


_ROWS: Final = (64, 16, 4, 1)  # rows of one statement

_NEXT_DELIVERY: Final = Prepared(
    update(workflows)
    .where(workflows.c.id == bindparam("of"))
    .values(last_delivery=workflows.c.last_delivery + bindparam("count", type_=Integer))
    .returning(workflows.c.last_delivery)
)
_NEXT_JOB: Final = Prepared(
    update(workflows)
    .where(workflows.c.id == bindparam("of"))
    .values(last_job=workflows.c.last_job + bindparam("count", type_=Integer))
    .returning(workflows.c.last_job)
)
_START: Final = Prepared(
    update(executions)
    .where(executions.c.workflow_id == bindparam("of"), executions.c.id == bindparam("number"))
    .values(status=0, started_at=bindparam("at"))
)
_END: Final = Prepared(
    update(executions)
    .where(executions.c.workflow_id == bindparam("of"), executions.c.id == bindparam("number"))
    .values(
        status=bindparam("with_status"),
        reason=bindparam("why"),
        started_at=func.coalesce(bindparam("start"), executions.c.started_at),
        finished_at=bindparam("end"),
        response_status=bindparam("responded"),
        owner=null(),
    )
)
_NO_LONGER: Final = Prepared(
    delete(jobs).where(
        jobs.c.workflow_id == bindparam("of"),
        jobs.c.execution_id == bindparam("number"),
        jobs.c.finished_at.is_(None),
    )
)
_LAST_PRUNED: Final = Prepared(
    select(deliveries.c.id)
    .where(deliveries.c.workflow_id == bindparam("of"), deliveries.c.reason.is_not(None))
    .order_by(deliveries.c.id.desc())
    .limit(1)
    .offset(bindparam("kept"))
)
_PRUNED: Final = (
    select(deliveries.c.id)
    .where(
        deliveries.c.workflow_id == bindparam("of"),
        deliveries.c.id <= bindparam("upto"),
        deliveries.c.reason.is_not(None),
    )
    .scalar_subquery()
)
_PRUNE: Final = tuple(
    Prepared(delete(table).where(table.c.workflow_id == bindparam("of"), number.in_(_PRUNED)))
    for table, number in ((responses, responses.c.delivery_id), (deliveries, deliveries.c.id))
)
_IS_FIXED_KEPT: Final = Prepared(
    select(literal_column("1")).where(
        fixed_responses.c.workflow_id == bindparam("of"),
        fixed_responses.c.revision == bindparam("number"),
    )
)
# A hook that was deleted meanwhile has no revision to keep it for.
_KEEP_FIXED: Final = Prepared(
    insert(fixed_responses).from_select(
        fixed_responses.columns.keys(),
        select(
            workflows.c.id,
            bindparam("number", type_=Integer),
            bindparam("headers", type_=LargeBinary),
            bindparam("body", type_=LargeBinary),
        ).where(workflows.c.id == bindparam("of")),
    )
)


@cache
def _insert(table: Table, rows: int) -> Prepared:
    """Insert several rows; with a parent, only those whose ``(workflow, id)`` is still there."""
    columns = table.columns.keys()
    parent = _PARENTS.get(table)
    if parent is None:
        places: list[dict[str, Any]] = [
            {name: bindparam(f"{name}_{row}") for name in columns} for row in range(rows)
        ]
        return Prepared(insert(table).values(places))
    new = (
        values(*[column(name) for name in columns])
        .data([tuple(bindparam(f"{name}_{row}") for name in columns) for row in range(rows)])
        .cte("new")
    )
    workflow_id, number = (new.c[name] for name in parent[1])
    is_there = exists().where(parent[0].c.workflow_id == workflow_id, parent[0].c.id == number)
    return Prepared(insert(table).from_select(columns, select(new).where(is_there)))


# What was cleared in the meantime must not come back in parts.
_PARENTS: Final = {
    responses: (deliveries, ("workflow_id", "delivery_id")),
    jobs: (executions, ("workflow_id", "execution_id")),
}


def _insert_all(connection: Connection, table: Table, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows, each with all columns of the table in their order.

    Each step of a statement gives the interpreter to whoever waits for it, and waits to get it
    back; with a statement for each row the writer spends its time on that while requests come.
    """
    at = 0
    for size in _ROWS:
        while len(rows) - at >= size:
            flat = tuple(chain.from_iterable(rows[at : at + size]))
            _insert(table, size).run(connection, flat)
            at += size


def _give_ids(connection: Connection, prepared: Prepared, counts: Counter[int]) -> dict[int, int]:
    """Raise a counter of each workflow by a count; return the first ids that were given.

    A workflow that was deleted is left out.
    """
    first = {}
    for workflow_id, count in counts.items():
        row = prepared.run(connection, prepared.row(of=workflow_id, count=count)).fetchone()
        if row is not None:
            first[workflow_id] = row[0] - count + 1
    return first


def apply(
    connection: Connection,
    operations: list[Operation],
    arrival: Callable[[int], int] | None = None,
    max_kept_response: int | None = None,
) -> None:
    """Write the operations inside the transaction that the caller has begun.

    Parameters
    ----------
    connection
        Holds the write lock.
    operations
        In the order in which they were submitted.
    arrival
        Returns the time of a delivery by its id; where it is ``None``, it came when it says.
    max_kept_response
        Bytes of a response's body that are kept; ``None`` for all.
    """
    _apply_deliveries(connection, operations, arrival)
    starts = [item for item in operations if isinstance(item, StartExecution)]
    if starts:
        _START.run(
            connection,
            [
                _START.row(of=item.workflow_id, number=item.id, at=item.started_at)
                for item in starts
            ],
        )
    ends = [item for item in operations if isinstance(item, EndExecution)]
    if ends:
        _END.run(connection, [item.row() for item in ends])
    _apply_jobs(connection, operations, ends)
    _apply_responses(connection, operations, max_kept_response)


def _apply_deliveries(
    connection: Connection, operations: list[Operation], arrival: Callable[[int], int] | None
) -> None:
    new = [item for item in operations if isinstance(item, NewDelivery)]
    if not new:
        return
    # The write lock is held: nobody else gives ids meanwhile.
    ids = _give_ids(connection, _NEXT_DELIVERY, Counter(item.workflow_id for item in new))
    for delivery in new:
        if delivery.workflow_id not in ids:
            message = "its hook was deleted"
            raise StoreError(message)
        delivery.id = ids[delivery.workflow_id]
        ids[delivery.workflow_id] += 1
        if arrival is not None:
            delivery.received_at = arrival(delivery.id)
    _insert_all(connection, deliveries, [delivery.row() for delivery in new])
    accepted = [item.execution_row() for item in new if item.reason is None]
    _insert_all(connection, executions, accepted)
    for workflow_id in {item.workflow_id for item in new if item.reason is not None}:
        _prune(connection, workflow_id)


def _apply_jobs(
    connection: Connection, operations: list[Operation], ends: list[EndExecution]
) -> None:
    going_on = [item for item in operations if isinstance(item, NewJobs)]
    # What was written as running may be part of a transaction before this one.
    shown = [item for item in ends if item.shown]
    rows: list[tuple[Any, ...]] = []
    for item in going_on:
        row = _NO_LONGER.row(of=item.workflow_id, number=item.execution)
        _NO_LONGER.run(connection, row)
        _insert_jobs(connection, item.rows)
    if shown:
        _NO_LONGER.run(
            connection, [_NO_LONGER.row(of=item.workflow_id, number=item.id) for item in shown]
        )
    rows = [row for item in ends for row in item.jobs]
    _insert_jobs(connection, rows)


def _insert_jobs(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    if not rows:
        return
    ids = _give_ids(connection, _NEXT_JOB, Counter(row[0] for row in rows))
    numbered = []
    for workflow_id, *rest in rows:
        if workflow_id in ids:
            numbered.append((workflow_id, ids[workflow_id], *rest))
            ids[workflow_id] += 1
    _insert_all(connection, jobs, numbered)


def _apply_responses(
    connection: Connection, operations: list[Operation], max_kept: int | None
) -> None:
    new = [item for item in operations if isinstance(item, NewResponse)]
    fixed = {(item.workflow_id, item.revision): item for item in new if item.revision is not None}
    for (workflow_id, revision), item in fixed.items():
        known = _IS_FIXED_KEPT.row(of=workflow_id, number=revision)
        if _IS_FIXED_KEPT.run(connection, known).fetchone() is None:
            body = item.body[:max_kept]
            parameters = _KEEP_FIXED.row(
                of=workflow_id, number=revision, headers=item.headers, body=body
            )
            _KEEP_FIXED.run(connection, parameters)
    _insert_all(connection, responses, [item.row(max_kept) for item in new])


def _prune(connection: Connection, workflow_id: int) -> None:
    parameters = _LAST_PRUNED.row(of=workflow_id, kept=KEPT_REFUSED)
    last = _LAST_PRUNED.run(connection, parameters).fetchone()
    if last is not None:
        for prepared in _PRUNE:
            prepared.run(connection, prepared.row(of=workflow_id, upto=last[0]))


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
    """Make the row of a job, but for its id.

    ``result`` is what :func:`hooknb.records.encode_result` returned.
    """
    text, is_repr = result
    return (
        workflow_id,
        execution,
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
