"""Executions: each accepted delivery is run once, in turn, within its hook's limits.

Everything here happens on the server's loop, except what its docstring says otherwise.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hooknb._clock import Clock
from hooknb.engine.context import Context
from hooknb.engine.endings import Ended, ExecutorGone, NodeFailed, Responded, one_line
from hooknb.engine.state import ExecutionInfo, Services, State
from hooknb.errors import RecordNotFoundError
from hooknb.records import Delivery, ReceivedRequest, SentResponse, Status
from hooknb.store import EndExecution
from hooknb.workflow import Workflow

if TYPE_CHECKING:
    from asyncio import Future

__all__ = ["Engine", "Queue", "QueuedExecution", "Run"]

_LOG = logging.getLogger("hooknb.engine")

_SHOWN: Final = 1.0  # seconds between looks at what runs
_HELD: Final = 256  # deliveries of a queue that stay in memory; the others are read again


@dataclass(slots=True, kw_only=True)
class QueuedExecution:
    """An execution that waits for its turn.

    Attributes
    ----------
    id
        Its id.
    workflow, revision
        What it will run.
    request
        What was received; ``None`` to have it read from the store.
    delivery
        Returns the record of the delivery, once that is stored.
    started
        Whether the store has it as started already.
    recovered
        Whether it is run again.
    on_end
        Called with how it ended; ``None`` where the one who began it looks at its run.
    """

    id: int
    workflow: Workflow
    revision: int
    request: ReceivedRequest | None = None
    delivery: Callable[[], Delivery] | None = None
    started: bool = False
    recovered: bool = False
    on_end: Callable[[EndExecution], None] | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Queue:
    """The executions of one hook: first in, first out, ``concurrency`` at a time."""

    workflow_id: int
    concurrency: int
    waiting: deque[QueuedExecution] = field(default_factory=deque)
    running: set[Run] = field(default_factory=set)
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
            execution.request = None
        queue.waiting.append(execution)
        self.advance(queue)

    def start_now(self, queue: Queue, execution: QueuedExecution) -> Run:
        """Start an execution, whatever else is running."""
        run = Run(self, queue, execution)
        started_at = run.start()
        if not execution.started:
            self._started(queue.workflow_id, execution.id, started_at)
        return run

    def run_ahead(self, queue: Queue, execution: QueuedExecution) -> Run:
        """Run an execution whose delivery is being stored, at once and in the caller's turn.

        Nodes without an effect do not wait for the disk; the first one that may have an effect
        waits for :meth:`Run.go_on`. The run has ended on return where there is none.
        """
        run = Run(self, queue, execution)
        run.run_ahead()
        return run

    def advance(self, queue: Queue) -> None:
        """Start what may start."""
        while queue.waiting and not queue.closed and len(queue.running) < queue.concurrency:
            self.start_now(queue, queue.waiting.popleft())

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
                Run(self, queue, execution).abort("cancelled")
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
        tasks = [run.task for run in runs if run.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        for run in runs:
            run.abort("shutdown")
        await asyncio.sleep(0)  # who waits for one of them has its end written

    def clock_of(self, execution: QueuedExecution) -> Clock:
        """Return the clock of an execution."""
        return self._services.clock.of_execution(execution.id)

    def context(self, execution: QueuedExecution, state: State) -> Context:
        """Make what the nodes of an execution see."""
        request, delivery = execution.request, execution.delivery
        if request is None or delivery is None:
            loaded = request = self._load(state.workflow_id, execution.id)
            delivery = lambda: loaded  # noqa: E731 - as short as what it stands for
        return Context(
            request,
            delivery=delivery,
            workflow=execution.workflow,
            services=self._services,
            state=state,
        )


class Run:
    """One execution while it runs; ends once, whoever ends it.

    Attributes
    ----------
    task
        That runs its nodes; ``None`` before it is started, and where it needed none.
    end
        How it ended; ``None`` until then.
    response
        What its nodes responded; ``None`` where they did not.
    """

    def __init__(self, engine: Engine, queue: Queue, execution: QueuedExecution) -> None:
        self.queue = queue
        self.task: asyncio.Task[None] | None = None
        self.end: EndExecution | None = None
        self.response: SentResponse | None = None
        self._engine = engine
        self._execution = execution
        self._clock = engine.clock_of(execution)
        self._started_at: int | None = None
        self._context: Context | None = None
        self._is_dropped = False
        self._over: Future[None] | None = None  # for the one who waits
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None

    @property
    def id(self) -> int:
        """The execution's id; 0 while its delivery is being stored."""
        return self._execution.id

    def start(self) -> int:
        """Run the nodes in a task; return the microseconds since 1970 at which it began."""
        self._started_at = started_at = self._clock.now()
        self._run_as_task(self._run_nodes(), contextvars.Context())
        return started_at

    def run_ahead(self) -> None:
        """Run the nodes here and now, as :meth:`Engine.run_ahead` says."""
        self._started_at = self._clock.now()
        nodes, context = self._run_nodes(is_ahead=True), contextvars.Context()
        try:
            waited_for = context.run(nodes.send, None)
        except StopIteration:
            return
        self._run_as_task(_Begun(nodes, waited_for), context)

    def go_on(self, number: int) -> None:
        """Take the id of the delivery, which is stored now, and go on with what waited for that."""
        self._execution.id = number
        if self.end is not None:
            self.end.id = number
        if self._context is not None:
            self._context.state.info = self._info()
            self._context.state.note_stored()

    async def wait(self) -> EndExecution | None:
        """Wait until it is over; return its end, or ``None`` where the next process runs it."""
        if not self._is_over:
            self._over = asyncio.get_running_loop().create_future()
            await self._over
        return self.end

    def drop(self) -> None:
        """Forget it: its delivery could not be stored, so that there is nothing to run."""
        self._is_dropped = True
        self._leave()
        if self.task is not None:
            self.task.cancel()

    def _info(self) -> ExecutionInfo:
        execution = self._execution
        return ExecutionInfo(
            id=execution.id, revision=execution.revision, recovered=execution.recovered
        )

    @property
    def _is_over(self) -> bool:
        return self._is_dropped or self.end is not None

    def _run_as_task(self, nodes: Coroutine[Any, Any, None], context: contextvars.Context) -> None:
        loop = asyncio.get_running_loop()
        self.queue.running.add(self)
        timeout = self._execution.workflow.timeout
        if timeout is not None:
            self._timer = loop.call_later(timeout, self.abort, "timeout")
        self._show_later()
        self.task = loop.create_task(nodes, context=context)

    async def _run_nodes(self, *, is_ahead: bool = False) -> None:
        """Run the nodes to their end."""
        execution = self._execution
        status, reason = Status.RESOLVED, None
        try:
            self._context = context = self._engine.context(
                execution,
                State(self._info(), self.queue.workflow_id, self._clock, is_ahead=is_ahead),
            )
            await context.run(execution.workflow.nodes)
        except Responded:
            pass
        except Ended as end:
            status, reason = end.status, end.reason
        except NodeFailed as failure:
            status, reason = Status.ERROR, one_line(failure.__cause__)
        except ExecutorGone:
            # It stays in the store as it is, and is run when that is served again.
            self.queue.closed = self._is_dropped = True
            self._leave()
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
        if not self._is_over:
            if self._context is not None:
                self._context.keep()
            self._show_later()

    def _show_later(self) -> None:
        # By a fixed clock nothing takes long: what does in one run might not in the next.
        if not self._clock.is_fixed:
            self._look = asyncio.get_running_loop().call_later(_SHOWN, self._show)

    def abort(self, reason: str) -> None:
        """End it from outside; a node that does not stop is left behind."""
        if not self._is_over:
            self._end(Status.ABORTED, reason)
            if self.task is not None:
                self.task.cancel()

    def _end(self, status: Status, reason: str | None) -> None:
        if self._is_over:
            return
        context = self._context
        self.response = None if context is None else context.state.response
        self.end = EndExecution(
            workflow_id=self.queue.workflow_id,
            id=self._execution.id,
            status=status.value or 0,
            reason=reason,
            started_at=self._started_at,
            finished_at=self._clock.now(),
            response_status=None if self.response is None else self.response.status,
            jobs=() if context is None else context.close(),
            shown=context is not None and context.state.shown is not None,
        )
        try:
            if self._execution.on_end is not None:
                self._execution.on_end(self.end)
        finally:
            self._leave()

    def _leave(self) -> None:
        for timer in (self._timer, self._look):
            if timer is not None:
                timer.cancel()
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
        if self in self.queue.running:
            self.queue.running.discard(self)
            self._engine.advance(self.queue)


class _Begun(Coroutine[Any, Any, None]):
    """A coroutine that has run up to what it waits for, for a task that goes on with it."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], waited_for: Any) -> None:
        self._coroutine = coroutine
        self._waited_for = waited_for
        self._is_seen = False

    def send(self, value: Any) -> Any:
        """Return what it waits for, and from then on go on with it."""
        if self._is_seen:
            return self._coroutine.send(value)
        self._is_seen = True
        return self._waited_for

    def throw(self, *error: Any) -> Any:
        """Raise inside of it."""
        self._is_seen = True
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """End it."""
        self._coroutine.close()

    def __await__(self) -> Any:
        """Refuse: only a task drives it."""
        raise NotImplementedError
