"""What can be asked of the writer; each becomes rows of the transaction that it falls into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
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
    STORED_BYTES,
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
        JSON list of the configured variables that are missing, or ``None``.
    end
        How its execution ended, where it has ended by now; written in the same transaction.
    response
        What the sender gets once the transaction is committed, where that is known by now.
    caller
        Whatever the one who asked wants back with it.

    The ids inside ``end`` and ``response`` are those of the delivery, and are set with it.
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
    end: EndExecution | None = None
    response: NewResponse | None = None
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
        if self.end is not None:
            status, reason, started_at, finished_at, responded, *_ = self.end.row()
        else:
            status, reason, responded = self.status, None, None
            started_at = None if status is None else self.received_at
            finished_at = self.received_at if status == 1 else None
        return (
            self.workflow_id,
            self.id,
            self.revision,
            status,
            reason,
            started_at,
            finished_at,
            responded,
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
    id: int
    jobs: Sequence[tuple[Any, ...]]


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


_MAX_ROWS: Final = 64  # of one statement, each number of which is compiled once

_NEXT_IDS: Final = Prepared(
    update(workflows)
    .where(workflows.c.id == bindparam("of"))
    .values(
        last_delivery=workflows.c.last_delivery + bindparam("deliveries", type_=Integer),
        last_job=workflows.c.last_job + bindparam("jobs", type_=Integer),
        kept_deliveries=workflows.c.kept_deliveries + bindparam("deliveries", type_=Integer),
        kept_bytes=workflows.c.kept_bytes + bindparam("size", type_=Integer),
    )
    .returning(workflows.c.last_delivery, workflows.c.last_job)
)
_START: Final = Prepared(
    update(executions)
    .where(executions.c.workflow_id == bindparam("of"), executions.c.id == bindparam("number"))
    .values(status=0, started_at=bindparam("at"))
)
_ENDED: Final = (
    values(
        *map(
            column,
            (
                "status",
                "reason",
                "started_at",
                "finished_at",
                "response_status",
                "workflow_id",
                "id",
            ),
        )
    )
    .data([tuple(bindparam(str(place)) for place in range(7))])
    .cte("ended")
)
_END: Final = Prepared(
    update(executions)
    .where(executions.c.workflow_id == _ENDED.c.workflow_id, executions.c.id == _ENDED.c.id)
    .values(
        status=_ENDED.c.status,
        reason=_ENDED.c.reason,
        started_at=func.coalesce(_ENDED.c.started_at, executions.c.started_at),
        finished_at=_ENDED.c.finished_at,
        response_status=_ENDED.c.response_status,
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
_IS_PRUNED: Final = (
    deliveries.c.workflow_id == bindparam("of"),
    deliveries.c.id <= bindparam("upto"),
    deliveries.c.reason.is_not(None),
)
_PRUNED: Final = select(deliveries.c.id).where(*_IS_PRUNED).scalar_subquery()
_UNCOUNT_PRUNED: Final = Prepared(
    update(workflows)
    .where(workflows.c.id == bindparam("of"))
    .values(
        kept_deliveries=workflows.c.kept_deliveries
        - select(func.count()).select_from(deliveries).where(*_IS_PRUNED).scalar_subquery(),
        kept_bytes=workflows.c.kept_bytes
        - select(func.coalesce(func.sum(STORED_BYTES), 0)).where(*_IS_PRUNED).scalar_subquery(),
    )
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


def _insert(table: Table) -> Prepared:
    return Prepared(
        insert(table).values({item.name: bindparam(item.name) for item in table.columns})
    )


def _insert_below(table: Table, parent: Table, number: str) -> Prepared:
    """Insert rows whose parent is still there: what was cleared must not come back in parts."""
    names = table.columns.keys()
    new = values(*map(column, names)).data([tuple(map(bindparam, names))]).cte("new")
    is_there = exists().where(
        parent.c.workflow_id == new.c.workflow_id, parent.c.id == new.c[number]
    )
    return Prepared(insert(table).from_select(names, select(new).where(is_there)))


_DELIVERIES: Final = _insert(deliveries)
_EXECUTIONS: Final = _insert(executions)
_JOBS: Final = _insert(jobs)
_RESPONSES: Final = _insert(responses)
_LATER_JOBS: Final = _insert_below(jobs, executions, "execution_id")
_LATER_RESPONSES: Final = _insert_below(responses, deliveries, "delivery_id")


def _run_all(connection: Connection, prepared: Prepared, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run a statement of one row with all of them at once.

    Each step of a statement gives the interpreter to whoever waits for it, and waits to get it
    back; with a statement for each row the writer spends its time on that while requests come.
    """
    for at in range(0, len(rows), _MAX_ROWS):
        prepared.run_rows(connection, rows[at : at + _MAX_ROWS])


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
    by_type: dict[type, list[Any]] = {}
    for operation in operations:
        by_type.setdefault(type(operation), []).append(operation)
    new: list[NewDelivery] = by_type.get(NewDelivery, [])
    ends: list[EndExecution] = by_type.get(EndExecution, [])
    going_on: list[NewJobs] = by_type.get(NewJobs, [])
    ended = [item.end for item in new if item.end is not None]
    ids = _NewIds(connection, new, [*going_on, *ended, *ends])
    if new:
        _apply_deliveries(connection, new, ids, arrival)
    starts: list[StartExecution] = by_type.get(StartExecution, [])
    if starts:
        _START.run(
            connection,
            [
                _START.row(of=item.workflow_id, number=item.id, at=item.started_at)
                for item in starts
            ],
        )
    if ends:
        _run_all(connection, _END, [item.row() for item in ends])
    for item in going_on:
        _NO_LONGER.run(connection, _NO_LONGER.row(of=item.workflow_id, number=item.id))
        _run_all(connection, _LATER_JOBS, ids.rows_of(item))
    # What was written as running may be part of a transaction before this one.
    shown = [_NO_LONGER.row(of=item.workflow_id, number=item.id) for item in ends if item.shown]
    if shown:
        _NO_LONGER.run(connection, shown)
    _run_all(connection, _JOBS, [row for item in ended for row in ids.rows_of(item)])
    _run_all(connection, _LATER_JOBS, [row for item in ends for row in ids.rows_of(item)])
    for prepared, kept in (
        (_RESPONSES, [item.response for item in new if item.response is not None]),
        (_LATER_RESPONSES, by_type.get(NewResponse, [])),
    ):
        if kept:
            _keep_fixed(connection, kept, max_kept_response)
            _run_all(connection, prepared, [item.row(max_kept_response) for item in kept])


class _NewIds:
    """The ids of the deliveries and jobs of a transaction, given by a counter of each workflow.

    The write lock is held: nobody else gives ids meanwhile. A workflow that was deleted has none.
    """

    def __init__(
        self,
        connection: Connection,
        new: list[NewDelivery],
        with_jobs: list[NewJobs | EndExecution],
    ) -> None:
        self._deliveries = Counter(item.workflow_id for item in new)
        self._jobs: Counter[int] = Counter()
        for item in with_jobs:
            if item.jobs:
                self._jobs[item.workflow_id] += len(item.jobs)
        sizes: Counter[int] = Counter()
        for delivery in new:
            sizes[delivery.workflow_id] += len(delivery.request.head) + len(delivery.request.raw)
        self._known: set[int] = set()
        for workflow_id in self._deliveries.keys() | self._jobs.keys():
            counts = (self._deliveries[workflow_id], self._jobs[workflow_id])
            row = _NEXT_IDS.run(
                connection,
                _NEXT_IDS.row(
                    of=workflow_id, deliveries=counts[0], jobs=counts[1], size=sizes[workflow_id]
                ),
            ).fetchone()
            if row is not None:
                self._known.add(workflow_id)
                self._deliveries[workflow_id] = row[0] - counts[0]
                self._jobs[workflow_id] = row[1] - counts[1]

    def next_delivery(self, workflow_id: int) -> int:
        if workflow_id not in self._known:
            message = "its hook was deleted"
            raise StoreError(message)
        self._deliveries[workflow_id] += 1
        return self._deliveries[workflow_id]

    def rows_of(self, item: NewJobs | EndExecution) -> list[tuple[Any, ...]]:
        """Return the rows of ``jobs``, complete."""
        if not item.jobs or item.workflow_id not in self._known:
            return []
        first = self._jobs[item.workflow_id] + 1
        self._jobs[item.workflow_id] += len(item.jobs)
        return [
            (item.workflow_id, number, item.id, *row) for number, row in enumerate(item.jobs, first)
        ]


def _apply_deliveries(
    connection: Connection,
    new: list[NewDelivery],
    ids: _NewIds,
    arrival: Callable[[int], int] | None,
) -> None:
    for delivery in new:
        delivery.id = ids.next_delivery(delivery.workflow_id)
        if arrival is not None:
            delivery.received_at = arrival(delivery.id)
        if delivery.end is not None:
            delivery.end.id = delivery.id
        if delivery.response is not None:
            delivery.response.delivery_id = delivery.id
    _run_all(connection, _DELIVERIES, [delivery.row() for delivery in new])
    accepted = [item.execution_row() for item in new if item.reason is None]
    _run_all(connection, _EXECUTIONS, accepted)
    for workflow_id in {item.workflow_id for item in new if item.reason is not None}:
        _prune(connection, workflow_id)


def _keep_fixed(connection: Connection, new: list[NewResponse], max_kept: int | None) -> None:
    fixed = {(item.workflow_id, item.revision): item for item in new if item.revision is not None}
    for (workflow_id, revision), item in fixed.items():
        known = _IS_FIXED_KEPT.row(of=workflow_id, number=revision)
        if _IS_FIXED_KEPT.run(connection, known).fetchone() is None:
            body = item.body[:max_kept]
            parameters = _KEEP_FIXED.row(
                of=workflow_id, number=revision, headers=item.headers, body=body
            )
            _KEEP_FIXED.run(connection, parameters)


def _prune(connection: Connection, workflow_id: int) -> None:
    parameters = _LAST_PRUNED.row(of=workflow_id, kept=KEPT_REFUSED)
    last = _LAST_PRUNED.run(connection, parameters).fetchone()
    if last is not None:
        for prepared in (_UNCOUNT_PRUNED, *_PRUNE):
            prepared.run(connection, prepared.row(of=workflow_id, upto=last[0]))


def job_row(
    *,
    node: str,
    type: str,
    status: int,
    started_at: int,
    finished_at: int | None,
    result: tuple[str | None, bool],
    output: str,
    error: str | None,
) -> tuple[Any, ...]:
    """Make the row of a job, but for its id and what it belongs to.

    ``result`` is what :func:`hooknb.records.encode_result` returned.
    """
    text, is_repr = result
    return (
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
