"""What a node sees of the execution that runs it, and what it can have done."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import cached_property, partial
from typing import Any, Final, NoReturn

from hooknb import paths
from hooknb._clock import moment
from hooknb.engine.branches import settle
from hooknb.engine.captured_output import Output, capturing, printed_to
from hooknb.engine.endings import (
    SIGNALS,
    Ended,
    ExecutorGone,
    NodeFailed,
    Responded,
    describe,
    unwrapped,
)
from hooknb.engine.fetching import Fetched
from hooknb.engine.state import ExecutionInfo, Services, State
from hooknb.engine.workers import Workers
from hooknb.errors import SettingError
from hooknb.expressions import templates
from hooknb.payloads.headers import HeaderMap
from hooknb.records import Delivery, JobError, ReceivedRequest, SentResponse, Status, encode_result
from hooknb.store import job_row
from hooknb.workflow import Workflow, depth
from hooknb.workflow.nodes import Node, Response, check_sent
from hooknb.workflow.variables import column

__all__ = ["Context"]

_SILENCE: Final = Output()  # of nodes that print nothing
_MANY: Final = 1000  # jobs after which they are written before the execution ends


class _Scope(Mapping[str, Any]):
    """The roots that templates and expressions see; looked up when they are named."""

    def __init__(self, context: Context, more: dict[str, Any]) -> None:
        self._context = context
        self._more = more

    def __getitem__(self, root: str) -> Any:
        context = self._context
        if root == "body":
            return context.request.body_or_missing
        if root in {"headers", "query", "nodes"}:
            return getattr(context, root)
        if root == "now":
            return moment(context.state.clock.now())
        if root == "env":
            return context.env
        return self._more[root]

    def __iter__(self) -> Iterator[str]:
        return iter(("headers", "query", "body", "nodes", "now", "env", *self._more))

    def __len__(self) -> int:
        return 6 + len(self._more)


class Context:
    """What a node function is called with.

    Attributes
    ----------
    request
        What was received.
    nodes
        The results of the nodes that have run, by key.
    scope
        The roots that templates and expressions see.
    state
        What the execution has done so far; for the engine.
    """

    def __init__(
        self,
        request: ReceivedRequest,
        *,
        delivery: Callable[[], Delivery],
        workflow: Workflow,
        services: Services,
        state: State,
        more: dict[str, Any] | None = None,
    ) -> None:
        self.request = request
        self._delivery = delivery
        self.nodes = state.nodes
        self.scope: Mapping[str, Any] = _Scope(self, more or {})
        self._workflow = workflow
        self._services = services
        self.state = state
        self._more = more or {}

    @cached_property
    def delivery(self) -> Delivery:
        """The record of the request that started the execution."""
        return self._delivery()

    @property
    def execution(self) -> ExecutionInfo:
        """The id and revision of the execution, and whether it is run again."""
        return self.state.info

    @property
    def headers(self) -> HeaderMap:
        """The request's headers, by name whatever its case."""
        return self.request.header_map

    @property
    def query(self) -> dict[str, Any]:
        """The parsed query."""
        return self.request.query

    @property
    def body(self) -> Any:
        """The parsed body; ``None`` where there is none."""
        return self.request.body

    @property
    def item(self) -> Any:
        """The value of this turn, inside of a loop; ``None`` outside."""
        return self._more.get("item")

    @property
    def index(self) -> int | None:
        """The number of this turn from 0, inside of a loop; ``None`` outside."""
        return self._more.get("index")

    @property
    def env(self) -> Mapping[str, str]:
        """The runtime's ``env``: the environment of the process, unless it was given another."""
        return self._services.env

    @property
    def variables(self) -> dict[str, Any]:
        """The configured variables that came, by alias or ``part.path``."""
        found: dict[str, Any] = {}
        for part, variables in self._workflow.trigger.parts:
            for variable in variables:
                if part == "headers":
                    value = self.headers.get(variable.path, paths.MISSING)
                elif part == "query":
                    value = paths.get(self.query, variable.path)
                else:
                    value = paths.get(self.request.body_or_missing, variable.path)
                if value is not paths.MISSING:
                    found[column(part, variable)] = value
        return found

    def render(self, value: Any) -> Any:
        """Fill the templates anywhere inside a value; ``MISSING`` where one leads nowhere."""
        return templates.render(value, self.scope)

    def respond(self, response: SentResponse | Response) -> None:
        """Respond to the caller and end the execution as resolved; the first response counts.

        Raises
        ------
        SettingError
            It cannot be sent: a status out of 200 to 599, a header that HTTP does not know or that
            the server writes itself, or no response at all.
        """
        if isinstance(response, Response):
            response = response.rendered(self)
        if not isinstance(response, SentResponse):
            raise SettingError(
                "respond", f"{response!r} is not a response; write hooknb.Response(…)"
            )
        check_sent(response)
        if self.state.response is None:
            self.state.response = response

    def end(self, status: str, reason: str | None = None, result: Any = None) -> NoReturn:
        """End the execution as ``resolved`` or ``failed``."""
        raise Ended(Status[status.upper()], reason, result)

    def inside(self, **roots: Any) -> Context:
        """Return a context that sees more roots (``item``, ``index``), for one turn of a loop."""
        return Context(
            self.request,
            delivery=lambda: self.delivery,
            workflow=self._workflow,
            services=self._services,
            state=self.state,
            more={**self._more, **roots},
        )

    async def fetch(self, **request: Any) -> Fetched:
        """Send an HTTP request; see :meth:`hooknb.engine.fetching.Fetcher.fetch`."""
        return await self._services.fetcher.fetch(**request)

    def keep(self) -> None:
        """Have the jobs so far written, where there is news: the ended ones, and what runs."""
        state = self.state
        if state.closed or state.is_ahead:
            return
        if not state.jobs and state.shown == set(state.running):
            return
        running = [
            self._job(node, started, output, status=Status.STARTED)
            for node, started, output in state.running.values()
        ]
        self._services.keep(state.workflow_id, self.execution.id, state.jobs + running)
        state.jobs, state.shown = [], set(state.running)

    async def in_worker(self, function: Callable[[Context], Any]) -> Any:
        """Call ``function(context)`` on a worker thread and wait for what it returns."""
        carried, mark = contextvars.copy_context(), object()
        executor, at_work = self._services.executor, self.state.in_workers
        try:
            future = asyncio.get_running_loop().run_in_executor(
                executor, partial(_call, carried, function, self, mark, executor)
            )
        except RuntimeError as error:
            raise ExecutorGone from error
        try:
            returned, value = await future
        except asyncio.CancelledError:
            # The thread cannot be stopped; another one takes its place until it returns.
            if mark in at_work and isinstance(executor, Workers):
                at_work.discard(mark)
                executor.lend()
            raise
        if not returned:
            try:
                raise value
            finally:
                # This frame is in its traceback: a cycle would keep what the node held alive.
                del value, future
        return value

    async def run(self, nodes: Sequence[Node]) -> Any:
        """Run nodes one after the other, each with its job; give the result of the last one.

        Raises
        ------
        Answered, Ended, NodeFailed
            Where the execution ends with one of them.
        """
        result = None
        state = self.state
        for node in nodes:
            if node.is_pure:
                result = await self._run_one(node, _SILENCE)
            else:
                if state.is_ahead:
                    await state.wait_until_stored()
                if not depth.current.get():
                    depth.current.set(depth.of_header(self.headers.get(depth.HEADER)) + 1)
                with printed_to(Output(), is_captured=node.prints) as output:
                    result = await self._run_one(node, output)
        return result

    async def run_branches(self, branches: Sequence[Sequence[Node]], mode: str) -> list[Any]:
        """Run branches at the same time; see :func:`hooknb.engine.branches.settle`."""
        return await settle([self.run(branch) for branch in branches], mode)

    async def _run_one(self, node: Node, output: Output) -> Any:
        state = self.state
        if state.closed:
            raise asyncio.CancelledError
        started, mark = state.clock.now(), object()
        state.running[mark] = (node, started, output)
        status, result, error = Status.RESOLVED, None, None
        try:
            result = await node.run(self)
            if not state.closed:
                state.nodes[node.key] = result
        except SIGNALS as signal:
            if isinstance(signal, asyncio.CancelledError) and not self._is_cancelled():
                status, error = Status.ERROR, describe(signal)
                raise NodeFailed from signal
            status, result, error = self._signalled(node, signal)
            raise
        except BaseException as raised:  # noqa: BLE001 - a node may raise anything
            # Also SystemExit and KeyboardInterrupt: a node ends its execution, never the server.
            status, error = Status.ERROR, describe(unwrapped(raised))
            raise NodeFailed from unwrapped(raised)
        finally:
            if state.running.pop(mark, None) is not None:
                state.jobs.append(
                    self._job(node, started, output, status=status, result=result, error=error)
                )
                if len(state.jobs) >= _MANY:
                    self.keep()
        if state.response is not None:
            raise Responded
        return result

    def _is_cancelled(self) -> bool:
        """Whether the engine has cancelled what runs now; a node may raise the same by itself."""
        task = asyncio.current_task()
        return self.state.closed or task is None or task.cancelling() > 0

    def _signalled(self, node: Node, signal: BaseException) -> tuple[Status, Any, str | None]:
        """Say how a node's job ends where the execution ends, or a node inside of it ended so."""
        # What a node with branches gave before it ran one.
        before = self.state.nodes.get(node.key)
        if isinstance(signal, Ended):
            if signal.node is None:
                signal.node = node
                return signal.status, signal.result, None
            return Status.RESOLVED, before, None
        if isinstance(signal, Responded):
            return Status.RESOLVED, before, None
        if isinstance(signal, NodeFailed):
            return Status.ERROR, before, JobError.NESTED.value
        return Status.ABORTED, None, None

    def _job(
        self,
        node: Node,
        started: int,
        output: Output,
        *,
        status: Status,
        result: Any = None,
        error: str | None = None,
    ) -> tuple[Any, ...]:
        return job_row(
            node=node.key,
            type=node.type_name,
            status=status.value or 0,
            started_at=started,
            finished_at=None if status is Status.STARTED else self.state.clock.now(),
            result=self._written(result),
            output=output.text,
            error=error,
        )

    def _written(self, result: Any) -> tuple[str | None, bool]:
        known = self.state.written.pop(id(result), None)
        if known is not None and known[0] is result:
            return known[1]
        return encode_result(result)

    def close(self) -> tuple[tuple[Any, ...], ...]:
        """Return the rows of the jobs; nodes that still run are recorded as aborted."""
        state = self.state
        state.closed = True
        running = list(state.running.values())
        state.running.clear()
        aborted = [
            self._job(node, started, output, status=Status.ABORTED)
            for node, started, output in running
        ]
        return (*state.jobs, *aborted)


def _call(
    carried: contextvars.Context,
    function: Callable[[Context], Any],
    context: Context,
    mark: object,
    executor: Executor,
) -> tuple[bool, Any]:
    """Call on the worker's thread; an error is handed back as a value.

    A future cannot carry every exception (``StopIteration``), and ``SystemExit`` would end the
    loop that waits for it.
    """
    context.state.in_workers.add(mark)
    try:
        # Entered here too: a node that was cut off goes on printing after its job has ended.
        with capturing():
            value = carried.run(function, context)
            if not context.state.closed and not inspect.isawaitable(value):
                # A large result is written here, where it holds up nobody.
                context.state.written[id(value)] = (value, encode_result(value))
            return True, value
    except BaseException as error:  # noqa: BLE001 - raised again on the loop's side
        return False, error
    finally:
        if mark in context.state.in_workers:
            context.state.in_workers.discard(mark)
        elif isinstance(executor, Workers):
            executor.give_back()
