"""One server, one store, and the hooks that they serve."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, Final, Self

from hooknb import depth, registry
from hooknb.credentials import BasicAuth
from hooknb.engine import Engine, Fetcher, Queue, Services, Workers
from hooknb.errors import (
    PortInUseError,
    RecordNotFoundError,
    ServerError,
    SettingError,
    StoreUnavailableError,
)
from hooknb.hook import Hook
from hooknb.nodes import Node, Response
from hooknb.notation import Functions
from hooknb.reception import Desk
from hooknb.served import HookState, Served
from hooknb.server import ServerThread, bind
from hooknb.settings import RuntimeSettings
from hooknb.store import NewJobs, StartExecution, Store
from hooknb.variables import Variable
from hooknb.workflow import DEFAULT_MAX_BODY, Workflow, define

__all__ = ["Runtime"]

_STOP_GRACE: Final = 2.0


class Runtime:
    """A server in this process, and the store behind it.

    The server runs on a thread of its own: it answers while a cell runs, and a cell that calls
    its own hook is answered. It starts with the first hook and ends with :meth:`close`, with the
    ``with`` block, or with the process.

    Parameters
    ----------
    store
        A path, ``sqlite:///path`` or ``":memory:"``. Folder and file are made readable by their
        owner only.
    host
        The address to listen on.
    port
        0 for any free port, ``None`` for the one used last.
    **settings
        The other settings of :class:`hooknb.settings.RuntimeSettings`.

    Raises
    ------
    SettingError
        A setting is wrong; the message names it and the remedy.
    StoreError
        The store cannot be opened.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] = RuntimeSettings.store,
        host: str = "127.0.0.1",
        port: int | None = None,
        **settings: Any,
    ) -> None:
        try:
            self.settings = RuntimeSettings(store=store, host=host, port=port, **settings)
        except TypeError as error:
            raise SettingError("Runtime", str(error).partition("() ")[2]) from error
        self._hooks: dict[str, Hook] = {}
        self._desk = Desk(self.settings)
        self._server: ServerThread | None = None
        self._executor: Executor | None = None
        self._fetcher: Fetcher | None = None
        self._closed = False
        self._lock = registry.lock()
        self.store = Store(store, self._stored)
        self._desk.store = self.store
        registry.release_in_forks()
        with self._lock:
            registry.runtimes().append(self)
        atexit.register(self.close)

    # -- hooks ----------------------------------------------------------------------------------

    def webhook(
        self,
        name: str,
        *,
        sync: bool = False,
        methods: str | Sequence[str] = ("POST",),
        accept: str | Sequence[str] = ("application/json",),
        auth: BasicAuth | None = None,
        headers: Iterable[str | Variable] | None = None,
        query: Iterable[str | Variable] | None = None,
        body: Iterable[str | Variable] | None = None,
        response: Response | None = None,
        nodes: Iterable[Node | Callable[..., Any]] | None = None,
        timeout: float | None = None,
        max_body: int = DEFAULT_MAX_BODY,
        concurrency: int = 1,
        enabled: bool = True,
    ) -> Hook:
        """Serve a workflow, and give its hook: a live URL when this returns.

        The same name again is the same hook with the same URL; where a setting differs, it has a
        new revision. What an earlier process accepted and did not finish is run.

        Parameters
        ----------
        name
            Of the workflow; unique in its store.
        sync
            Whether the caller waits for the workflow's answer.
        methods
            Such as ``("POST", "PUT")``; ``"*"`` for any.
        accept
            Media types of bodies; ``"application/*"`` and ``"*/*"`` as usual.
        auth
            Credentials that callers must send.
        headers, query, body
            Variables: paths, or :class:`hooknb.Variable`; ``parse_body(sample)`` makes a list.
        response
            What callers of an asynchronous hook get; ``Response(200, body="ok")`` by default.
        nodes
            Functions of the context, and other nodes, run one after the other.
        timeout
            Seconds that one execution may take.
        max_body
            Bytes of a body at the most, 10 MiB by default, also after decompression.
        concurrency
            Executions of an asynchronous hook at a time. The callers of a synchronous one do not
            wait for each other.
        enabled
            Whether it takes deliveries. The call is the whole definition: made again without it,
            a hook that was switched off is on again.

        Raises
        ------
        SettingError
            A setting is wrong; the message names it and the remedy.
        PortInUseError
            The port that was asked for is taken by another program.
        StoreError
            The store cannot be written.
        """
        workflow = define(
            name,
            before=self._nodes_before(name),
            sync=sync,
            methods=methods,
            accept=accept,
            auth=auth,
            headers=headers,
            query=query,
            body=body,
            response=response,
            nodes=nodes,
            timeout=timeout,
            max_body=max_body,
            concurrency=concurrency,
        )
        if not isinstance(enabled, bool):
            raise SettingError("enabled", f"{enabled!r} is neither True nor False")
        with self._lock:
            self._open()
            server = self._start(name)
            definition = self.store.define(name, workflow.encode(), enabled=enabled)
            served = Served(workflow, definition.revision)
            known = self._hooks.get(name)
            if known is not None:
                state = known.state
                state.serve(served)
                state.enabled = enabled
                server.post(self._desk.engine.advance, state.queue)
                return known
            state = HookState(
                workflow_id=definition.workflow_id,
                name=name,
                key=definition.key,
                served=served,
                enabled=enabled,
                queue=Queue(workflow_id=definition.workflow_id, concurrency=concurrency),
            )
            state.serve(served)
            left = self.store.claim(definition.workflow_id, definition.revision)
            state.count(unfinished=len(left))
            self.store.remember_port(definition.workflow_id, server.port)
            self._desk.hooks[state.key] = state
            hook = self._hooks[name] = Hook(self, state)
            server.post(self._desk.resume, state, left)
            return hook

    def _nodes_before(self, name: object) -> tuple[Node, ...]:
        """Give the nodes of the current revision, whose keys the next one keeps."""
        if not isinstance(name, str):
            return ()
        if name in self._hooks:
            return self._hooks[name].workflow.nodes
        stored = None if self._closed else self.store.current(name)
        if stored is None:
            return ()
        try:
            return Workflow.decode(stored).nodes
        except SettingError:
            # A node type of one's own that is not defined yet.
            return ()

    def revert(self, state: HookState, number: int, functions: Functions) -> None:
        """Make an earlier revision the current one; see :meth:`hooknb.Hook.revert`."""
        stored = {row[0]: row[2] for row in self.store.revisions(state.workflow_id)}
        if number not in stored:
            known = ", ".join(map(str, stored))
            raise RecordNotFoundError(f"there is no revision {number} of this hook; it has {known}")
        workflow = Workflow.decode(stored[number], functions, known=state.functions)
        if workflow.unbound:
            names = ", ".join(workflow.unbound)
            raise SettingError(
                "functions",
                f"revision {number} calls {names}, whose code is not loaded; define it and write "
                f"hook.revert({number}, functions=[{names}]), or {{key of its node: function}} for "
                "one without a name",
            )
        definition = workflow.encode()
        with self._lock:
            self._open()
            if definition == stored[number]:
                self.store.set_revision(state.workflow_id, number)
            else:
                # Other code under the same names is another revision.
                made = self.store.define(state.name, definition, enabled=state.enabled)
                number = made.revision
            state.serve(Served(workflow, number))
            if self._server is not None:
                self._server.post(self._desk.engine.advance, state.queue)

    @property
    def hooks(self) -> dict[str, Hook]:
        """The hooks being served, by name."""
        return dict(self._hooks)

    def stop_serving(self, hook: Hook) -> None:
        """Serve a hook no more; see :meth:`hooknb.Hook.close`."""
        with self._lock:
            if self._hooks.get(hook.name) is not hook:
                return
            del self._hooks[hook.name]
            self._desk.hooks.pop(hook.key, None)
            server = self._server
        if server is not None and server.is_alive and not server.is_current:
            with contextlib.suppress(TimeoutError):
                server.run(
                    self._desk.engine.drain([hook.state.queue], self.settings.drain),
                    self.settings.drain + _STOP_GRACE,
                )
            with contextlib.suppress(StoreUnavailableError):
                self.store.flush()

    def cancel(self, state: HookState, number: int) -> bool:
        """End an execution from outside; see :meth:`hooknb.Hook.cancel`."""

        async def cancel() -> bool:
            return self._desk.engine.cancel(state.queue, number)

        server = self._server
        if server is None or server.is_current:
            message = "cancel executions from a cell or a plain node, not on the server's thread"
            raise ServerError(message)
        ended: bool = server.run(cancel(), _STOP_GRACE)
        return ended

    def clear(self, state: HookState) -> None:
        """Forget what a hook received; see :meth:`hooknb.Hook.clear`."""

        async def forget() -> None:
            waiting = self._desk.engine.clear(state.queue)
            state.count(unfinished=-waiting)

        server = self._server
        if server is not None and server.is_alive and not server.is_current:
            server.run(forget(), _STOP_GRACE)
        self.store.clear(state.workflow_id)

    # -- the server -----------------------------------------------------------------------------

    @property
    def port(self) -> int | None:
        """The port that it listens on; ``None`` before its first hook."""
        return None if self._server is None else self._server.port

    @property
    def local_url(self) -> str:
        """The base of its URLs on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.settings.host, self.settings.host)  # noqa: S104 - shown, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The base of its URLs for senders."""
        public = self.settings.public_url
        return self.local_url if public is None else public.rstrip("/")

    @property
    def is_server_thread(self) -> bool:
        """Whether the caller is on the server's thread."""
        return self._server is not None and self._server.is_current

    @contextlib.contextmanager
    def lent_worker(self) -> Iterator[None]:
        """Lend a worker while a plain node waits for a hook, whose nodes may need one too."""
        executor = self._executor
        if not depth.current.get() or not isinstance(executor, Workers):
            yield
            return
        executor.lend()
        try:
            yield
        finally:
            executor.give_back()

    def _start(self, name: str) -> ServerThread:
        """Start the server where it does not run; starting twice is starting once."""
        if self._server is not None:
            if self._server.is_alive:
                return self._server
            self._server.let_go()
        settings = self.settings
        server = ServerThread(
            self._bind(name),
            self._desk,
            max_connections=settings.max_connections,
            header_timeout=settings.header_timeout,
            body_timeout=settings.body_timeout,
        )
        self._executor = settings.executor or Workers(settings.workers)
        self._fetcher = fetcher = Fetcher()
        self._desk.engine = Engine(
            Services(
                executor=self._executor,
                fetcher=fetcher,
                keep=lambda number, rows: self.store.submit(NewJobs(execution=number, rows=rows)),
                env=settings.env,
            ),
            self.store.delivery,
            lambda number, at: self.store.submit(StartExecution(id=number, started_at=at)),
        )
        self._server = server
        server.start()
        if settings.switch_interval is not None:
            registry.want_switch_interval(id(self), settings.switch_interval)
        return server

    def _bind(self, name: str) -> list[socket.socket]:
        host, port = self.settings.host, self.settings.port
        if port is not None:
            return bind(host, port)
        own, others = self.store.remembered_ports(name)
        sockets: list[socket.socket] = []
        for candidate in [*([] if own is None else [own]), *others, 0]:
            with contextlib.suppress(PortInUseError):
                sockets = bind(host, candidate)
                break
        if own is not None and sockets[0].getsockname()[1] != own:
            warnings.warn(
                f"port {own}, on which {name!r} was served, is in use: its URL changes. "
                "Close what listens there (another kernel on the same store?), or set port.",
                stacklevel=5,
            )
        return sockets

    def _stored(self, deliveries: list[Any]) -> None:
        """Pass what the writer has done with on to the loop; on the writer's thread."""
        if self._server is not None:
            self._server.post(self._desk.settle, deliveries)

    # -- ending ---------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._closed:
            message = "this runtime is closed; make a new one"
            raise ServerError(message)

    def close(self) -> None:
        """Stop serving: running executions end, what was accepted is written. Idempotent.

        Blocks for ``drain`` seconds at the most while executions run; those that still do are
        aborted as ``shutdown``. What waits is run when the store is served again.
        """
        if self.is_server_thread:
            raise ServerError("a runtime cannot be closed by one of its own async nodes")
        with self._lock:
            if self._closed:
                return
            self._closed = True
        # Each step is taken whatever becomes of the others (Ctrl-C in the middle of one); the
        # last one that is put on the stack is the first.
        with contextlib.ExitStack() as steps:
            steps.callback(self.store.close)
            steps.callback(self._close_hooks)
            steps.callback(registry.leave_switch_interval, id(self))
            if self._fetcher is not None:
                steps.callback(self._fetcher.close)
            if isinstance(self._executor, Workers):
                steps.callback(self._executor.shutdown, wait=False)
            if self._server is not None:
                steps.callback(self._server.stop)
                steps.callback(self._drain, self._server)
            steps.callback(atexit.unregister, self.close)
            steps.callback(registry.forget, self)

    def _drain(self, server: ServerThread) -> None:
        queues = [hook.state.queue for hook in self._hooks.values()]
        if server.is_alive:
            with contextlib.suppress(TimeoutError, StoreUnavailableError):
                server.stop_listening()
                server.run(
                    self._desk.engine.drain(queues, self.settings.drain),
                    self.settings.drain + _STOP_GRACE,
                )
                # What was accepted meanwhile is on disk and answered before the connections end.
                self.store.flush()

    def _close_hooks(self) -> None:
        for hook in self._hooks.values():
            hook.mark_closed()
        self._hooks.clear()

    def let_go(self) -> None:
        """In a forked child: close what it has of the server, and leave the rest to its parent."""
        self._closed = True
        atexit.unregister(self.close)
        for hook in self._hooks.values():
            hook._closed = True  # noqa: SLF001 - its lock may be held by a thread that is gone
        if self._server is not None:
            self._server.let_go()
        self.store.forget()

    def __enter__(self) -> Self:
        """Give the runtime itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Say where it listens and keeps."""
        where = "not started" if self.port is None else self.base_url
        return f"<hooknb.Runtime {where}, store {self.settings.store!s}, {len(self._hooks)} hooks>"
