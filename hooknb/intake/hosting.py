"""What stands behind the hooks of a runtime: the server, the store, and what executions need."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any, Final

from hooknb import _registry
from hooknb._clock import Clock, FixedClock
from hooknb.engine import Engine, Fetcher, Queue, Services, Workers
from hooknb.errors import (
    PortInUseError,
    PublicationError,
    ServerError,
    SettingError,
    StoreUnavailableError,
)
from hooknb.intake.intake import Intake
from hooknb.intake.served import HookState
from hooknb.relay.publication import Publication
from hooknb.server import ServerThread, bind
from hooknb.settings import RuntimeSettings
from hooknb.store import Limits, NewJobs, StartExecution, Store, store_path
from hooknb.workflow import Workflow, depth

__all__ = ["Hosting"]

_STOP_GRACE: Final = 2.0
_FIXED_PORT: Final = 8765


class Hosting:
    """A store, and the server in front of it, which starts with the first hook.

    Parameters
    ----------
    settings
        Of the runtime.

    Attributes
    ----------
    store
        Open.
    clock
        What all of it goes by.
    intake
        Where requests come in.
    publication
        Which hooks are reached through the Jupyter server.
    executor
        Where plain functions run; ``None`` before the first hook.

    Raises
    ------
    SettingError
        The runtime is deterministic, and the store is not new.
    StoreError
        The store cannot be opened.
    """

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self._server: ServerThread | None = None
        self._fetcher: Fetcher | None = None
        self.executor: Executor | None = None
        self.clock = FixedClock() if settings.deterministic else Clock()
        self.intake = Intake(settings, self.clock)
        self.publication = self.intake.publication = Publication(settings, lambda: self.port)
        self.store = self.intake.store = Store(
            settings.store,
            self._stored,
            self.clock,
            max_kept_response=settings.max_kept_response,
            limits=_limits(settings),
            text_index=settings.text_index,
            # A store in memory ends with the process, whose frames keep what they have read.
            kept_columns=settings.kept_columns and store_path(settings.store) is not None,
        )
        if settings.deterministic:
            with contextlib.ExitStack() as steps:
                steps.callback(self.store.close)
                self._check_new()
                steps.pop_all()

    def _check_new(self) -> None:
        """Refuse a store that would make this run another one than the last."""
        names = self.store.names()
        if names:
            raise SettingError(
                "store",
                f"{self._settings.store!s} holds workflows already ({', '.join(names)}), and a "
                "deterministic runtime begins with nothing; leave out store (HOOKNB_STORE), or "
                "name a new file",
            )

    @property
    def port(self) -> int | None:
        """The port that is listened on; ``None`` before the first hook."""
        return None if self._server is None else self._server.port

    @property
    def is_current(self) -> bool:
        """Whether the caller is on the server's thread."""
        return self._server is not None and self._server.is_current

    def start(self, name: str) -> ServerThread:
        """Start the server where it does not run; starting twice is starting once."""
        if self._server is not None:
            if self._server.is_alive:
                return self._server
            self._server.let_go()
        settings = self._settings
        server = ServerThread(
            self._bind(name),
            self.intake,
            self.clock,
            max_connections=settings.max_connections,
            header_timeout=settings.header_timeout,
            body_timeout=settings.body_timeout,
        )
        self.executor = settings.executor or Workers(settings.workers)
        self._fetcher = fetcher = Fetcher()
        self.intake.engine = Engine(
            Services(
                executor=self.executor,
                fetcher=fetcher,
                keep=lambda workflow_id, number, rows: self.store.submit(
                    NewJobs(workflow_id=workflow_id, id=number, jobs=rows)
                ),
                env=settings.env,
                clock=self.clock,
            ),
            self.store.delivery,
            lambda workflow_id, number, at: self.store.submit(
                StartExecution(workflow_id=workflow_id, id=number, started_at=at)
            ),
        )
        self._server = server
        server.start()
        self.publication.moved()
        if settings.switch_interval is not None:
            _registry.want_switch_interval(id(self), settings.switch_interval)
        return server

    def _bind(self, name: str) -> list[socket.socket]:
        host, port = self._settings.host, self._settings.port
        if port is not None:
            return bind(host, port)
        ports = self.store.ports()
        own = ports.get(name)
        sockets: list[socket.socket] = []
        fixed = [_FIXED_PORT] if self._settings.deterministic else []
        for candidate in [*([] if own is None else [own]), *ports.values(), *fixed, 0]:
            with contextlib.suppress(PortInUseError):
                sockets = bind(host, candidate)
                break
        if own is not None and sockets[0].getsockname()[1] != own:
            warnings.warn(
                f"port {own}, on which {name!r} was served, is in use: its URL changes. "
                "Close what listens there (another kernel on the same store?), or set port.",
                stacklevel=6,
            )
        return sockets

    def _stored(self, deliveries: list[Any]) -> None:
        """Pass what the writer has done with on to the loop; on the writer's thread."""
        if self._server is not None:
            self._server.post(self.intake.let_go, deliveries)

    # -- hooks ----------------------------------------------------------------------------------

    def open(self, state: HookState, left: list[tuple[int, bool]]) -> None:
        """Take requests for a hook, and run what an earlier process left, as the store claimed it.

        The server has been started.
        """
        self.intake.hooks[state.key] = state
        self._keep(state)
        if self._server is not None:
            self._server.post(self.intake.resume, state, left)

    def advance(self, state: HookState) -> None:
        """Start what may be started by now, and tell the relay: a hook's settings have changed."""
        workflow = state.served.workflow
        self._keep(state)
        with contextlib.suppress(PublicationError):  # the relay goes by what it knows
            self.publication.renew(
                state.key, sync=workflow.sync, max_body=workflow.trigger.max_body
            )
        if self._server is not None:
            self._server.post(self.intake.engine.advance, state.queue)

    def _keep(self, state: HookState) -> None:
        """Tell the store what is kept of a hook."""
        workflow = state.served.workflow
        self.store.limit(state.workflow_id, _limits(workflow))
        variables = [(part, it.path) for part, them in workflow.trigger.parts for it in them]
        self.store.keep_columns(state.workflow_id, tuple(variables))

    def shut(self, state: HookState) -> None:
        """Take no more requests for a hook."""
        with contextlib.suppress(PublicationError):  # the relay gets an error
            self.publication.withdraw(state.key)
        self.intake.hooks.pop(state.key, None)
        self.store.limit(state.workflow_id, Limits())
        self.store.keep_columns(state.workflow_id, None)

    def drain(self, state: HookState) -> None:
        """Wait for what runs of a hook, for ``drain`` at the most, until it is on disk."""
        server = self._server
        if server is not None and server.is_alive and not server.is_current:
            with contextlib.suppress(TimeoutError):
                self._drain(server, [state.queue])
            with contextlib.suppress(TimeoutError, StoreUnavailableError):
                self.store.flush()
                # What was stored meanwhile goes into this hook's queue, not into the next one's,
                # which takes it over from the store.
                server.run(asyncio.sleep(0), _STOP_GRACE)
                self.store.flush()

    def cancel(self, state: HookState, number: int) -> bool:
        """End an execution from outside; False where it had ended."""

        async def cancel() -> bool:
            return self.intake.engine.cancel(state.queue, number)

        server = self._server
        if server is None or server.is_current:
            message = "cancel executions from a cell or a plain node, not on the server's thread"
            raise ServerError(message)
        ended: bool = server.run(cancel(), _STOP_GRACE)
        return ended

    def forget(self, state: HookState) -> None:
        """Drop what waits to be run."""

        async def forget() -> None:
            waiting = self.intake.engine.clear(state.queue)
            state.count(unfinished=-waiting)

        server = self._server
        if server is not None and server.is_alive and not server.is_current:
            server.run(forget(), _STOP_GRACE)

    @contextlib.contextmanager
    def lent_worker(self) -> Iterator[None]:
        """Lend a worker while a plain node waits for a hook, whose nodes may need one too."""
        executor = self.executor
        if not depth.current.get() or not isinstance(executor, Workers):
            yield
            return
        executor.lend()
        try:
            yield
        finally:
            executor.give_back()

    # -- ending ---------------------------------------------------------------------------------

    def close(self, queues: list[Queue]) -> None:
        """Stop the server: what runs ends, for ``drain`` at the most. The store stays open."""
        with contextlib.ExitStack() as steps:
            steps.callback(_registry.leave_switch_interval, id(self))
            if self._fetcher is not None:
                steps.callback(self._fetcher.close)
            if isinstance(self.executor, Workers):
                steps.callback(self.executor.shutdown, wait=False)
            steps.callback(self.intake.readers.shutdown, wait=False)
            if self._server is not None:
                steps.callback(self._server.stop)
                steps.callback(self._end, self._server, queues)
            steps.callback(self.publication.close)

    def _end(self, server: ServerThread, queues: list[Queue]) -> None:
        if server.is_alive:
            with contextlib.suppress(TimeoutError, StoreUnavailableError):
                server.stop_listening()
                self._drain(server, queues)
                # What was accepted meanwhile is on disk and answered before the connections end.
                self.store.flush()

    def _drain(self, server: ServerThread, queues: list[Queue]) -> None:
        drain = self._settings.drain
        server.run(self.intake.engine.drain(queues, drain), drain + _STOP_GRACE)

    def let_go(self) -> None:
        """In a forked child: close what it has of the server, and leave the rest to its parent."""
        self.publication.let_go()
        if self._server is not None:
            self._server.let_go()


def _limits(settings: RuntimeSettings | Workflow) -> Limits:
    """Return what is kept of a store or of a hook."""
    return Limits(settings.keep_days, settings.keep_deliveries, settings.keep_bytes)
