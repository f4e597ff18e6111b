"""Executions: each accepted delivery is run once, in turn, within its hook's limits.

Everything here happens on the server's loop, except what its docstring says otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from hooknb._clock import Clock
from hooknb.engine.context import Context
from hooknb.engine.endings import Ended, ExecutorGone, NodeFailed, Responded, one_line
from hooknb.engine.state import ExecutionInfo, Services, State
from hooknb.errors import RecordNotFoundError
from hooknb.records import Delivery, SentResponse, Status
from hooknb.workflow import Workflow, depth

__all__ = ["Ending", "Engine", "Queue", "QueuedExecution"]

_LOG = logging.getLogger("hooknb.engine")

_DEPTH: Final = depth.HEADER.lower().encode()
_SHOWN: Final = 1.0  # seconds between looks at what runs
_HELD: Final = 256  # deliveries of a queue that stay in memory; the others are read again


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How an execution ended.

    Attributes
    ----------
    id, workflow_id
        Which one.
    status, reason
        How, and why where it did not end well.
    started_at, finished_at
        Microseconds since 1970; ``started_at`` is ``None`` where it never began.
    answer
        What a Response node answered, or ``None``.
    jobs
        What its nodes did, as rows of the store.
    shown
        Whether some were written before.
    """

    id: int
    workflow_id: int
    status: Status
    reason: str | None
    started_at: int | None
    finished_at: int
    response: SentResponse | None
    jobs: tuple[tuple[Any, ...], ...]
    shown: bool = False


@dataclass(slots=True, kw_only=True)
class QueuedExecution:
    """An execution that waits for its turn.

    Attributes
    ----------
    id
        Its id.
    workflow, revision
        What it will run.
    delivery
        The request, or ``None`` to have it read from the store.
    started
        Whether the store has it as started already.
    recovered
        Whether it is run again.
    ended
        Called with its :class:`Ending`.
    """

    id: int
    workflow: Workflow
    revision: int
    delivery: Delivery | None
    started: bool = False
    recovered: bool = False
    ended: Callable[[Ending], None]


@dataclass(slots=True, kw_only=True, eq=False)
class Queue:
    """The executions of one hook: first in, first out, ``concurrency`` at a time."""

    workflow_id: int
    concurrency: int
    waiting: deque[QueuedExecution] = field(default_factory=deque)
    running: set[_Run] = field(default_factory=set)
    reserved: int = 0
    closed: bool = False

    def reserve(self) -> bool:
        """Keep a place for an execution that is on its way, where it would start at once."""
        free = self.concurrency - len(self.running) - self.reserved
        if self.closed or self.waiting or free <= 0:
            return False
        self.reserved += 1
        return True


class Engine:
    """Runs executions on the loop that it is called on.

    Parameters
    ----------
    services
        What executions share.
    load
        Reads a delivery: ``load(workflow_id, id)``.
    started
        Told of each execution that starts: ``started(workflow_id, id, microseconds)``.
    """

    def __init__(
        self,
        services: Services,
        load: Callable[[int, int], Delivery],
        started: Callable[[int, int, int], None],
    ) -> None:
        self._services = services
        self._load = load
        self._started = started

    def enqueue(self, queue: Queue, execution: QueuedExecution) -> None:
        """Put an execution at the end of a queue and start what may start."""
        if len(queue.waiting) >= _HELD:
            execution.delivery = None
        queue.waiting.append(execution)
        self.advance(queue)

    def start_now(self, queue: Queue, execution: QueuedExecution) -> None:
        """Start an execution whose caller waits, whatever else is running."""
        self._start(queue, execution)

    def advance(self, queue: Queue) -> None:
        """Start what may start."""
        while queue.waiting and not queue.closed and len(queue.running) < queue.concurrency:
            self._start(queue, queue.waiting.popleft())

    def clear(self, queue: Queue) -> int:
        """Forget what waits; give how many there were."""
        count = len(queue.waiting)
        queue.waiting.clear()
        return count

    def cancel(self, queue: Queue, number: int) -> bool:
        """End an execution that waits or runs as ``cancelled``; false where it does neither."""
        for execution in queue.waiting:
            if execution.id == number:
                queue.waiting.remove(execution)
                execution.ended(
                    Ending(
                        id=number,
                        workflow_id=queue.workflow_id,
                        status=Status.ABORTED,
                        reason="cancelled",
                        started_at=None,
                        finished_at=self.clock_of(execution).now(),
                        response=None,
                        jobs=(),
                    )
                )
                return True
        for run in queue.running:
            if run.id == number:
                run.abort("cancelled")
                return True
        return False

    async def drain(self, queues: list[Queue], timeout: float) -> None:
        """Start nothing more, wait for what runs, then abort the rest as ``shutdown``."""
        for queue in queues:
            queue.closed = True
        runs = [run for queue in queues for run in queue.running]
        if runs:
            await asyncio.wait([run.task for run in runs if run.task is not None], timeout=timeout)
        for run in runs:
            run.abort("shutdown")

    def _start(self, queue: Queue, execution: QueuedExecution) -> None:
        run = _Run(self, queue, execution)
        if not execution.started:
            self._started(queue.workflow_id, execution.id, run.started_at)
        queue.running.add(run)
        run.task = asyncio.get_running_loop().create_task(run.go())

    def _finished(self, run: _Run) -> None:
        run.queue.running.discard(run)
        self.advance(run.queue)

    def clock_of(self, execution: QueuedExecution) -> Clock:
        """Return the clock of an execution."""
        return self._services.clock.of_execution(execution.id)

    def context(self, execution: QueuedExecution, workflow_id: int, clock: Clock) -> Context:
        """Make what the nodes of an execution see."""
        delivery = execution.delivery or self._load(workflow_id, execution.id)
        info = ExecutionInfo(
            id=execution.id, revision=execution.revision, recovered=execution.recovered
        )
        # Looked for in the bytes first: few requests carry it, and the fields are read late.
        carried = _DEPTH in delivery.head.lower() and delivery.header_map.get(depth.HEADER)
        depth.current.set(depth.of_header(carried or None) + 1)
        return Context(
            delivery,
            execution=info,
            workflow=execution.workflow,
            services=self._services,
            state=State(workflow_id, clock),
        )


class _Run:
    """One execution while it runs; ends once, whoever ends it."""

    def __init__(self, engine: Engine, queue: Queue, execution: QueuedExecution) -> None:
        self.queue = queue
        self.task: asyncio.Task[None] | None = None
        self._engine = engine
        self._execution = execution
        self._context: Context | None = None
        self._ended = False
        self.clock = engine.clock_of(execution)
        self.started_at = self.clock.now()
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None

    @property
    def id(self) -> int:
        """The execution's id."""
        return self._execution.id

    async def go(self) -> None:
        """Run the nodes to their end."""
        execution = self._execution
        workflow = execution.workflow
        loop = asyncio.get_running_loop()
        if workflow.timeout is not None:
            self._timer = loop.call_later(workflow.timeout, self.abort, "timeout")
        self._show_later()
        status, reason = Status.RESOLVED, None
        try:
            self._context = self._engine.context(execution, self.queue.workflow_id, self.clock)
            await self._context.run(workflow.nodes)
        except Responded:
            pass
        except Ended as end:
            status, reason = end.status, end.reason
        except NodeFailed as failure:
            status, reason = Status.ERROR, one_line(failure.__cause__)
        except ExecutorGone:
            # It stays in the store as it is, and is run when that is served again.
            self.queue.closed = self._ended = True
            self.queue.running.discard(self)
            return
        except asyncio.CancelledError:
            status, reason = Status.ABORTED, "cancelled"
        except RecordNotFoundError:
            status, reason = Status.ABORTED, "cleared"
        except Exception as error:  # noqa: BLE001 - an execution that cannot begin ends as one
            _LOG.exception("execution %d could not be run", execution.id)
            status, reason = Status.ERROR, one_line(error)
        if self._context is not None and self._context.state.response is not None:
            # The caller has it, whatever ended beside it.
            status, reason = Status.RESOLVED, None
        self._end(status, reason)

    def _show(self) -> None:
        """Have written what runs, in an execution that takes its time."""
        if not self._ended:
            if self._context is not None:
                self._context.keep()
            self._show_later()

    def _show_later(self) -> None:
        # By a fixed clock nothing takes long: what does in one run might not in the next.
        if not self.clock.is_fixed:
            self._look = asyncio.get_running_loop().call_later(_SHOWN, self._show)

    def abort(self, reason: str) -> None:
        """End it from outside; a node that does not stop is left behind."""
        if not self._ended:
            self._end(Status.ABORTED, reason)
            if self.task is not None:
                self.task.cancel()

    def _end(self, status: Status, reason: str | None) -> None:
        if self._ended:
            return
        self._ended = True
        for timer in (self._timer, self._look):
            if timer is not None:
                timer.cancel()
        context = self._context
        try:
            self._execution.ended(
                Ending(
                    id=self._execution.id,
                    workflow_id=self.queue.workflow_id,
                    status=status,
                    reason=reason,
                    started_at=self.started_at,
                    finished_at=self.clock.now(),
                    response=None if context is None else context.state.response,
                    jobs=() if context is None else context.close(),
                    shown=context is not None and context.state.shown is not None,
                )
            )
        finally:
            self._engine._finished(self)  # noqa: SLF001 - the two are one machine
