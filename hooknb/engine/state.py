"""What executions share, and what one of them has done so far."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hooknb._clock import Clock
from hooknb.engine.captured_output import Output
from hooknb.engine.fetching import Fetcher
from hooknb.records import SentResponse
from hooknb.workflow.nodes import Node

if TYPE_CHECKING:
    from asyncio import Future

__all__ = ["ExecutionInfo", "Services", "State"]


@dataclass(frozen=True, kw_only=True)
class ExecutionInfo:
    """What a node may know of its execution: its id, its revision, whether it is run again."""

    id: int
    revision: int
    recovered: bool


@dataclass(frozen=True, kw_only=True)
class Services:
    """What executions share.

    Attributes
    ----------
    executor
        Where plain functions run.
    fetcher
        Sends HTTP requests.
    keep
        Has rows of jobs written before their execution has ended:
        ``keep(workflow_id, id, rows)``.
    env
        What templates and expressions see as ``env``.
    clock
        Gives each execution the one that it goes by.
    """

    executor: Executor
    fetcher: Fetcher
    keep: Callable[[int, int, list[tuple[Any, ...]]], None]
    env: Mapping[str, str]
    clock: Clock


class State:
    """What one execution has done so far; all of its contexts share it."""

    def __init__(
        self, info: ExecutionInfo, workflow_id: int, clock: Clock, *, is_ahead: bool
    ) -> None:
        self.info = info
        self.workflow_id = workflow_id
        # Whether the delivery is still being stored, and who waits for it.
        self.is_ahead = is_ahead
        self._stored: Future[None] | None = None
        self.clock = clock
        self.nodes: dict[str, Any] = {}
        self.response: SentResponse | None = None
        self.jobs: list[tuple[Any, ...]] = []
        self.running: dict[object, tuple[Node, int, Output]] = {}
        # Functions that are on a worker thread now; not those that wait for one.
        self.in_workers: set[object] = set()
        # Results that the worker has written as JSON already, by identity.
        self.written: dict[int, tuple[Any, tuple[str | None, bool]]] = {}
        self.closed = False
        # The marks of the nodes that were written as running; ``None`` where nothing was.
        self.shown: set[object] | None = None

    async def wait_until_stored(self) -> None:
        """Wait for the delivery to be on disk."""
        if self._stored is None:
            self._stored = asyncio.get_running_loop().create_future()
        await self._stored

    def note_stored(self) -> None:
        """Let go on what waits for the delivery."""
        self.is_ahead = False
        if self._stored is not None and not self._stored.done():
            self._stored.set_result(None)
