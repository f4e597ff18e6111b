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
from functools import cached_property
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

__all__ = ["Engine", "Queue", "Run"]

_LOG = logging.getLogger("hooknb.engine")

_SHOWN: Final = 1.0  # seconds between looks at what runs
_HELD: Final = 256  # deliveries of a queue that stay in memory; the others are read again


@dataclass(slots=True, kw_only=True, eq=False)
class Queue:
    """The executions of one hook: first in, first out, ``concurrency`` at a time."""

    workflow_id: int
    concurrency: int
    waiting: deque[Run] = field(default_factory=deque)
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

    def enqueue(self, run: Run) -> None:
        """Put an execution at the end of its queue and start what may start."""
        if len(run.queue.waiting) >= _HELD:
            run.forget_request()
        run.queue.waiting.append(run)
        self.advance(run.queue)

    def advance(self, queue: Queue) -> None:
        """Start what may start."""
        while queue.waiting and not queue.closed and len(queue.running) < queue.concurrency:
            queue.waiting.popleft().start()

    def clear(self, queue: Queue) -> int:
        """Forget what waits; give how many there were."""
        count = len(queue.waiting)
        queue.waiting.clear()
        return count

    def cancel(self, queue: Queue, number: int) -> bool:
        """End an execution that waits or runs as ``cancelled``; false where it does neither."""
        for run in queue.waiting:
            if run.id == number:
                queue.waiting.remove(run)
                run.abort("cancelled")
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

    def note_started(self, run: Run, started_at: int) -> None:
        """Have it stored that an execution has started."""
        self._started(run.queue.workflow_id, run.id, started_at)

    def clock_of(self, number: int) -> Clock:
        """Return the clock of the execution of that id."""
        return self._services.clock.of_execution(number)

    def context(self, run: Run, state: State) -> Context:
        """Make what the nodes of an execution see."""
        request, delivery = run.request, run.delivery
        if request is None or delivery is None:
            loaded = request = self._load(state.workflow_id, run.id)
            delivery = lambda: loaded  # noqa: E731 - as short as what it stands for
        return Context(
            request,
            delivery=delivery,
            workflow=run.workflow,
            services=self._services,
            state=state,
        )


class Run:
    """One execution, from its place in the queue on; ends once, whoever ends it.

    Parameters
    ----------
    engine
        Runs it.
    queue
        Of its hook.
    id
        Its id; 0 while its delivery is being stored.
    workflow, revision
        What it runs.
    request
        What was received; ``None`` to have it read from the store.
    delivery
        Returns the record of the delivery, once that is stored; ``None`` as for ``request``.
    is_started
        Whether the store has it as started already.
    recovered
        Whether it is run again.
    on_end
        Called with how it ended; ``None`` where the one who began it waits for it.

    Attributes
    ----------
    task
        That runs its nodes; ``None`` before it is started, and where it needed none.
    end
        How it ended; ``None`` until then.
    response
        What its nodes responded; ``None`` where they did not.
    """

    def __init__(
        self,
        engine: Engine,
        queue: Queue,
        *,
        id: int,
        workflow: Workflow,
        revision: int,
        request: ReceivedRequest | None = None,
        delivery: Callable[[], Delivery] | None = None,
        is_started: bool = False,
        recovered: bool = False,
        on_end: Callable[[EndExecution], None] | None = None,
    ) -> None:
        self.queue = queue
        self.id = id
        self.workflow = workflow
        self.request = request
        self.delivery = delivery
        self.task: asyncio.Task[None] | None = None
        self.end: EndExecution | None = None
        self.response: SentResponse | None = None
        self._engine = engine
        self._revision = revision
        self._is_started = is_started
        self._recovered = recovered
        self._on_end = on_end
        self._started_at: int | None = None
        self._context: Context | None = None
        self._is_dropped = False
        self._over: Future[None] | None = None  # for the one who waits
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None

    @cached_property
    def _clock(self) -> Clock:
        # Made when it begins: it counts on from there, and not while the machine sleeps.
        return self._engine.clock_of(self.id)

    def forget_request(self) -> None:
        """Have the delivery read from the store once it is this one's turn."""
        self.request = self.delivery = None

    def start(self) -> None:
        """Run the nodes in a task, whatever else is running."""
        self._started_at = self._clock.now()
        self._run_as_task(self._run_nodes(), contextvars.Context())
        if not self._is_started:
            self._engine.note_started(self, self._started_at)

    def run_ahead(self) -> None:
        """Run the nodes here and now, in the caller's turn, while the delivery is being stored.

        Nodes without an effect do not wait for the disk; the first one that may have an effect
        waits for :meth:`go_on`. The run has ended on return where there is none.
        """
        self._started_at = self._clock.now()
        nodes, context = self._run_nodes(is_ahead=True), contextvars.Context()
        try:
            waited_for = context.run(nodes.send, None)
        except StopIteration:
            return
        self._run_as_task(_Begun(nodes, waited_for), context)

    def go_on(self, number: int) -> None:
        """Take the id of the delivery, which is stored now, and go on with what waited for that."""
        self.id = number
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
        return ExecutionInfo(id=self.id, revision=self._revision, recovered=self._recovered)

    @property
    def _is_over(self) -> bool:
        return self._is_dropped or self.end is not None

    def _run_as_task(self, nodes: Coroutine[Any, Any, None], context: contextvars.Context) -> None:
        loop = asyncio.get_running_loop()
        self.queue.running.add(self)
        timeout = self.workflow.timeout
        if timeout is not None:
            self._timer = loop.call_later(timeout, self.abort, "timeout")
        self._show_later()
        self.task = loop.create_task(nodes, context=context)

    async def _run_nodes(self, *, is_ahead: bool = False) -> None:
        """Run the nodes to their end."""
        status, reason = Status.RESOLVED, None
        try:
            self._context = context = self._engine.context(
                self,
                State(self._info(), self.queue.workflow_id, self._clock, is_ahead=is_ahead),
            )
            await context.run(self.workflow.nodes)
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
            _LOG.exception("execution %d could not be run", self.id)
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
            id=self.id,
            status=status.value or 0,
            reason=reason,
            started_at=self._started_at,
            finished_at=self._clock.now(),
            response_status=None if self.response is None else self.response.status,
            jobs=() if context is None else context.close(),
            shown=context is not None and context.state.shown is not None,
        )
        try:
            if self._on_end is not None:
                self._on_end(self.end)
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
