"""What a node sees of the execution that runs it."""

from __future__ import annotations

import asyncio
import contextvars
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hooknb import clock, paths
from hooknb.engine.output import Output, capturing, current_output
from hooknb.nodes import Node, render_answer
from hooknb.records import Answer, Delivery, HeaderMap, Job, Status
from hooknb.variables import column
from hooknb.workflow import Workflow

__all__ = ["Answered", "Context", "Ended", "ExecutionInfo", "NodeFailed"]


class Answered(Exception):  # noqa: N818 - a signal, not an error
    """The caller has its answer: the execution ends here as resolved."""


class Ended(Exception):  # noqa: N818 - a signal, not an error
    """A node ends the execution with a status of its choice."""

    def __init__(self, status: Status, reason: str | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class NodeFailed(Exception):  # noqa: N818 - carries what the job already tells
    """A node raised; its job says what."""


@dataclass(frozen=True, kw_only=True)
class ExecutionInfo:
    """What a node may know of its execution: its id, its revision, whether it is run again."""

    id: int
    revision: int
    recovered: bool


class Context:
    """What a node function is called with.

    Attributes
    ----------
    delivery
        The request that started the execution.
    execution
        Its :class:`ExecutionInfo`.
    nodes
        The results of the nodes that have run, by key.
    """

    def __init__(
        self, delivery: Delivery, execution: ExecutionInfo, workflow: Workflow, executor: Executor
    ) -> None:
        self.delivery = delivery
        self.execution = execution
        self.nodes: dict[str, Any] = {}
        self.answer: Answer | None = None
        self._workflow = workflow
        self._executor = executor
        self._jobs: list[Job] = []
        self._running: dict[object, tuple[Node, int, Output]] = {}
        self._in_workers = 0

    @property
    def headers(self) -> HeaderMap:
        """The request's headers, by name whatever its case."""
        return self.delivery.header_map

    @property
    def query(self) -> dict[str, Any]:
        """The parsed query."""
        return self.delivery.query

    @property
    def body(self) -> Any:
        """The parsed body; ``None`` where there is none."""
        return self.delivery.body

    @cached_property
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
                    value = paths.get(self.delivery.body_or_missing, variable.path)
                if value is not paths.MISSING:
                    found[column(part, variable)] = value
        return found

    def respond(self, status: int, headers: dict[str, str], body: Any) -> None:
        """Answer the caller and end the execution as resolved."""
        self.answer = render_answer(status, headers, body)

    async def in_worker(self, function: Callable[[Context], Any]) -> Any:
        """Call ``function(context)`` on a worker thread and wait for what it returns."""
        carried = contextvars.copy_context()
        self._in_workers += 1
        future = asyncio.get_running_loop().run_in_executor(
            self._executor, _call, carried, function, self
        )
        returned, value = await future
        self._in_workers -= 1
        if not returned:
            raise value
        return value

    @property
    def held_workers(self) -> int:
        """How many worker threads are at work for this execution."""
        return self._in_workers

    async def run(self, nodes: Sequence[Node]) -> None:
        """Run nodes one after the other, each with its job.

        Raises
        ------
        Answered, Ended, NodeFailed
            Where the execution ends with one of them.
        """
        for node in nodes:
            await self._run_one(node)

    async def _run_one(self, node: Node) -> None:
        output, started, mark = Output(), clock.now(), object()
        self._running[mark] = (node, started, output)
        token = current_output.set(output)
        status, result, error = Status.RESOLVED, None, None
        try:
            with capturing():
                result = await node.run(self)
        except Ended as end:
            status, result = end.status, end.reason
            raise
        except (Answered, NodeFailed):
            raise
        except asyncio.CancelledError:
            status = Status.ABORTED
            raise
        except BaseException as raised:  # noqa: BLE001 - a node may raise anything
            # Also SystemExit and KeyboardInterrupt: a node ends its execution, never the server.
            # A coroutine cannot be left by StopIteration; Python wraps it.
            wrapped = isinstance(raised, RuntimeError) and isinstance(
                raised.__cause__, StopIteration
            )
            own = raised.__cause__ if wrapped else raised
            status, error = Status.ERROR, _describe(own)
            raise NodeFailed from own
        else:
            self.nodes[node.key] = result
        finally:
            current_output.reset(token)
            if self._running.pop(mark, None) is not None:
                self._jobs.append(
                    self._job(node, started, output, status=status, result=result, error=error)
                )
        if self.answer is not None:
            raise Answered

    def _job(
        self,
        node: Node,
        started: int,
        output: Output,
        *,
        status: Status,
        result: Any = None,
        error: str | None = None,
    ) -> Job:
        return Job(
            execution=self.execution.id,
            node=node.key,
            type=node.type_name,
            status=status,
            started_at=clock.moment(started),
            finished_at=clock.moment(clock.now()),
            result=result,
            output=output.text,
            error=error,
        )

    def close(self) -> tuple[Job, ...]:
        """Give the jobs; nodes that still run are recorded as aborted, and change nothing more."""
        running = list(self._running.values())
        self._running.clear()
        aborted = [
            self._job(node, started, output, status=Status.ABORTED)
            for node, started, output in running
        ]
        return (*self._jobs, *aborted)


def _call(
    carried: contextvars.Context, function: Callable[[Context], Any], context: Context
) -> tuple[bool, Any]:
    """Call on the worker's thread; an error is handed back as a value.

    A future cannot carry every exception (``StopIteration``), and ``SystemExit`` would end the
    loop that waits for it.
    """
    try:
        # Entered here too: a node that was cut off goes on printing after its job has ended.
        with capturing():
            return True, carried.run(function, context)
    except BaseException as error:  # noqa: BLE001 - raised again on the loop's side
        return False, error


def _describe(error: BaseException | None) -> str:
    """Write type and message on the first line, then the traceback of the node's own frames."""
    frames = [
        frame
        for frame in traceback.extract_tb(None if error is None else error.__traceback__)
        if "/hooknb/engine/" not in frame.filename and "/hooknb/nodes/" not in frame.filename
    ]
    head = "".join(traceback.format_exception_only(error)).strip()
    body = "".join(traceback.format_list(frames))
    return f"{head}\n\nTraceback (most recent call last):\n{body}{head}" if body else head
