"""Retention: deleting what is older or more than is to be kept, a little at a time.

The writer does it while nobody waits for it. One that comes meanwhile waits for the step that
runs, which is bounded in deliveries, bytes and rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import Integer, bindparam, case, func, select, update

from hooknb._clock import Clock, FixedClock
from hooknb.store.prepared import Prepared
from hooknb.store.schema import STORED_BYTES, deliveries, executions, jobs, workflows
from hooknb.store.space import delete_deliveries, give_back_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from hooknb.store.writer import Transaction

__all__ = ["MAX_STEP_DELIVERIES", "Limits", "Retention"]

MAX_STEP_DELIVERIES: Final = 200
"""Deliveries that one transaction reads and deletes at the most, where there are fewer hooks."""

_MAX_STEP_BYTES: Final = 16 * 2**20  # of the requests of one transaction; one may be larger
_MAX_STEP_JOBS: Final = 2_000  # of one transaction; one delivery may have more
_DAY: Final = 86_400 * 1_000_000  # microseconds

_OLDEST: Final = Prepared(
    select(
        deliveries.c.received_at,
        deliveries.c.id,
        STORED_BYTES,
        select(func.count())
        .where(
            jobs.c.workflow_id == deliveries.c.workflow_id, jobs.c.execution_id == deliveries.c.id
        )
        .scalar_subquery(),
        executions.c.owner,
    )
    .select_from(deliveries)
    .outerjoin(
        executions,
        (executions.c.workflow_id == deliveries.c.workflow_id)
        & (executions.c.id == deliveries.c.id),
    )
    .where(deliveries.c.workflow_id == bindparam("of"), deliveries.c.id > bindparam("after"))
    .order_by(deliveries.c.id)
    .limit(bindparam("limit", type_=Integer))
)

_FILLED: Final = (
    select(
        workflows.c.id,
        workflows.c.kept_deliveries,
        workflows.c.kept_bytes,
        workflows.c.last_delivery,
        select(deliveries.c.received_at)
        .where(deliveries.c.workflow_id == workflows.c.id)
        .order_by(deliveries.c.id)
        .limit(1)
        .scalar_subquery(),
    )
    .where(workflows.c.kept_deliveries > 0)
    .order_by(workflows.c.id)
)


class Limits(NamedTuple):
    """How much is kept, of a hook or of a whole store; ``None`` for no limit.

    Attributes
    ----------
    days
        Since a delivery was received.
    deliveries
        How many.
    bytes
        Of their heads and bodies.
    """

    days: float | None = None
    deliveries: int | None = None
    bytes: int | None = None

    @property
    def is_set(self) -> bool:
        """Whether there is any."""
        return any(limit is not None for limit in self)


class _Old(NamedTuple):
    """A delivery that may go, in the order in which they go."""

    received_at: int
    workflow_id: int
    id: int
    size: int
    jobs: int


@dataclass
class _Scope:
    """Workflows with a limit in common, and the ids up to which they were looked at."""

    workflow_ids: Sequence[int]
    limits: Limits
    after: dict[int, int] = field(default_factory=dict)


class Retention:
    """What is to be kept, and the deletion of the rest.

    A delivery whose execution has not ended stays, and is deleted later; so does one whose sender
    waits, since its execution ends with its response.

    Parameters
    ----------
    clock
        Of the runtime. By a fixed one it is the time of the newest delivery.
    of_store
        What is kept of all workflows together; ``days`` holds for each of them.
    """

    fault = "what is too old or too much cannot be deleted"

    def __init__(self, clock: Clock, of_store: Limits) -> None:
        self._clock = clock
        self._of_store = of_store
        self._of_hooks: dict[int, Limits] = {}  # replaced as a whole, never changed
        self._lock = Lock()

    @property
    def is_on(self) -> bool:
        """Whether there is a limit at all."""
        return self._of_store.is_set or bool(self._of_hooks)

    def limit(self, workflow_id: int, limits: Limits) -> None:
        """Set what is kept of a workflow, from the next step on; from any thread."""
        with self._lock:
            others = {at: it for at, it in self._of_hooks.items() if at != workflow_id}
            self._of_hooks = {**others, workflow_id: limits} if limits.is_set else others

    def run(self, connection: Connection, transaction: Transaction) -> Iterator[None]:
        """Delete what is too much and give the pages back, a step with each turn.

        It ends early where a limit was changed meanwhile.

        Parameters
        ----------
        connection
            The one that writes, outside of a transaction.
        transaction
            Runs a function of the connection in a transaction.

        Raises
        ------
        StoreUnavailableError
            The store cannot be written; what was deleted before stays deleted.
        """
        limits = self._of_hooks
        for scope in transaction(self._scopes):
            while transaction(partial(self._delete_oldest, scope)):
                yield
                if self._of_hooks is not limits:
                    return
            yield
            if self._of_hooks is not limits:
                return
        while give_back_step(connection):
            yield

    def _scopes(self, connection: Connection) -> list[_Scope]:
        """Return what has to be looked at: each hook by itself, then the store."""
        of_store, of_hooks = self._of_store, self._of_hooks
        filled = connection.execute(_FILLED).all()
        made = []
        for workflow_id, count, size, last, oldest in filled:
            own = of_hooks.get(workflow_id, Limits())
            days = min((it for it in (own.days, of_store.days) if it is not None), default=None)
            limits = own._replace(days=days)
            is_old = oldest is not None and oldest < self._too_old(limits, last)
            if is_old or _surplus(limits, count, size) != (0, 0):
                made.append(_Scope([workflow_id], limits))
        limits = of_store._replace(days=None)
        if limits.is_set:
            made.append(_Scope([row.id for row in filled], limits))
        return made

    def _delete_oldest(self, scope: _Scope, connection: Connection) -> bool:
        """Delete the oldest deliveries that are too much; return whether there may be more."""
        kept = connection.execute(
            select(
                func.coalesce(func.sum(workflows.c.kept_deliveries), 0),
                func.coalesce(func.sum(workflows.c.kept_bytes), 0),
                func.max(workflows.c.last_delivery),
            ).where(workflows.c.id.in_(scope.workflow_ids))
        ).one()
        count, size = _surplus(scope.limits, kept[0], kept[1])
        too_old = self._too_old(scope.limits, kept[2] or 0)
        if too_old == -math.inf and (count, size) == (0, 0):
            return False
        oldest, known_upto, is_passed = _read_oldest(connection, scope)
        if is_passed:
            return True
        gone: dict[int, list[int]] = {}
        room = [MAX_STEP_DELIVERIES, _MAX_STEP_BYTES, _MAX_STEP_JOBS]
        is_more = known_upto < math.inf
        for item in oldest:
            if count <= 0 and size <= 0 and item.received_at >= too_old:
                is_more = False
                break
            costs = (1, item.size, item.jobs)
            room = [left - cost for left, cost in zip(room, costs, strict=True)]
            if gone and (min(room) < 0 or item.received_at > known_upto):
                is_more = True
                break
            gone.setdefault(item.workflow_id, []).append(item.id)
            count, size = count - 1, size - item.size
        for workflow_id, ids in gone.items():
            _delete(connection, workflow_id, ids)
        return is_more

    def _too_old(self, limits: Limits, last_delivery: int) -> float:
        """Return the time before which a delivery is too old."""
        if limits.days is None:
            return -math.inf
        clock = self._clock
        now = clock.arrival(last_delivery) if isinstance(clock, FixedClock) else clock.now()
        return now - limits.days * _DAY


def _surplus(limits: Limits, count: int, size: int) -> tuple[int, int]:
    """Return how many deliveries and bytes are too much."""
    return (
        0 if limits.deliveries is None else max(0, count - limits.deliveries),
        0 if limits.bytes is None else max(0, size - limits.bytes),
    )


def _read_oldest(connection: Connection, scope: _Scope) -> tuple[list[_Old], float, bool]:
    """Read the oldest deliveries that may go.

    Return them in order, the time up to which none can be missing among them, and whether only
    unfinished ones were found in some workflow, which are then passed over.
    """
    limit = max(1, MAX_STEP_DELIVERIES // max(1, len(scope.workflow_ids)))
    oldest, known_upto, is_passed = [], math.inf, False
    for workflow_id in scope.workflow_ids:
        parameters = _OLDEST.row(of=workflow_id, after=scope.after.get(workflow_id, 0), limit=limit)
        rows = _OLDEST.run(connection, parameters).fetchall()
        ended = [
            _Old(received, workflow_id, number, size, ran)
            for received, number, size, ran, owner in rows
            if owner is None
        ]
        oldest += ended
        if len(rows) == limit:
            known_upto = min(known_upto, rows[-1][0])
            if not ended:
                scope.after[workflow_id] = rows[-1][1]
                is_passed = True
    return sorted(oldest), known_upto, is_passed


def _delete(connection: Connection, workflow_id: int, ids: list[int]) -> None:
    delete_deliveries(connection, workflow_id, lambda number: number.in_(ids))
    last = max(ids)
    connection.execute(
        update(workflows)
        .where(workflows.c.id == workflow_id)
        .values(
            expired_upto=case(
                (workflows.c.expired_upto < last, last), else_=workflows.c.expired_upto
            )
        )
    )
