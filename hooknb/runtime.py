"""One server, one store, and the hooks that they serve; the default runtime of a process."""

from __future__ import annotations

import atexit
import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from hooknb import _registry
from hooknb.engine import Queue
from hooknb.errors import (
    RecordNotFoundError,
    ServerError,
    SettingError,
)
from hooknb.hook import Hook
from hooknb.intake.hosting import Hosting
from hooknb.intake.served import HookState, Served
from hooknb.settings import RuntimeSettings, default_store
from hooknb.store import store_path
from hooknb.store.ownership import living
from hooknb.workflow import DEFAULT_MAX_BODY, WebhookSettings, Workflow, define
from hooknb.workflow.auth import Auth
from hooknb.workflow.definitions import check_switch, load_definition, nodes_of
from hooknb.workflow.nodes import Node, Response
from hooknb.workflow.notation import Functions
from hooknb.workflow.variables import Variable

if TYPE_CHECKING:
    from hooknb.ui import Panels

__all__ = [
    "Runtime",
    "delete",
    "hooks",
    "panel",
    "serve",
    "store_users",
    "webhook",
    "workflows",
]


class Runtime:
    """A server in this process, and the store behind it.

    The server runs on a thread of its own: it responds while a cell runs, and a cell that calls its
    own hook gets its response. It starts with the first hook and ends with :meth:`close`, with the
    ``with`` block, or with the process.

    Parameters
    ----------
    store
        A path, ``sqlite:///path`` or ``":memory:"``. Folder and file are made readable by their
        owner only. ``None`` is ``.hooknb/store.db``, or ``":memory:"`` with ``deterministic``.
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
        store: str | os.PathLike[str] | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        **settings: Any,
    ) -> None:
        if store is None:
            store = default_store(deterministic=settings.get("deterministic") is True)
        try:
            self.settings = RuntimeSettings(store=store, host=host, port=port, **settings)
        except TypeError as error:
            raise SettingError("Runtime", str(error).partition("() ")[2]) from error
        self._hooks: dict[str, Hook] = {}
        self._states: dict[str, HookState] = {}
        self._closed = False
        self._lock = _registry.lock()
        self._hosting = Hosting(self.settings)
        self._store = self._hosting.store
        _registry.release_in_forks()
        with self._lock:
            _registry.state().runtimes.append(self)
        atexit.register(self.close)

    # -- hooks ----------------------------------------------------------------------------------

    def webhook(self, name: str, **settings: Unpack[WebhookSettings]) -> Hook:
        """Serve a workflow and return its hook: a live URL when this returns.

        The same name again is the same hook with the same URL; where a setting differs, it has a
        new revision. Executions that an earlier process accepted and did not finish are run.
        """
        given = inspect.signature(webhook).bind(name, **settings).arguments
        enabled = given.pop("enabled", True)
        workflow = define(**given, before=self._nodes_before(name))
        check_switch(enabled)
        with self._lock:
            return self._serve(workflow, enabled=enabled)

    def serve(self, name: str, functions: Functions = ()) -> Hook:
        """Serve a stored workflow as it stands: its current revision, its switch, its URL.

        Executions that an earlier process accepted and did not finish are run.

        Parameters
        ----------
        name
            Of the workflow; :meth:`workflows` lists them.
        functions
            Those that its nodes call, as of :meth:`hooknb.Hook.revert`.

        Raises
        ------
        RecordNotFoundError
            The store has none of that name.
        SettingError
            A function of it is not loaded, or its definition cannot be read here.
        StoreError
            The store cannot be read or written.
        """
        with self._lock:
            self._open()
            stored = self._store.current(name)
            if stored is None:
                known = ", ".join(map(repr, self._store.names())) or "none"
                raise RecordNotFoundError(
                    f"there is no workflow {name!r} in this store; it has: {known}"
                )
            state = self._states.get(name)
            workflow = load_definition(
                stored.definition,
                functions,
                known=None if state is None else state.functions,
                what=f"workflow {name!r}",
                call=f"hooknb.serve({name!r}, ",
            )
            return self._serve(workflow, enabled=stored.enabled)

    def delete(self, name: str) -> None:
        """Delete a workflow: its hook, its revisions, its URL, and all that it received.

        A hook of that name is closed first, which blocks for ``drain`` at most. What is deleted
        cannot be brought back; the same name later is a new workflow with a new URL.

        Raises
        ------
        RecordNotFoundError
            The store has none of that name.
        StoreError
            The store cannot be written.
        """
        self._open()
        hook = self._hooks.get(name)
        if hook is not None:
            hook.close()
        self._store.delete(name)

    def workflows(self) -> list[str]:
        """Return the names of the workflows in the store, in the order in which they were made."""
        self._open()
        return self._store.names()

    def _serve(self, workflow: Workflow, *, enabled: bool) -> Hook:
        """Make a definition the current revision of its name, and serve it; under the lock."""
        self._open()
        name = workflow.name
        server = self._hosting.start(name)
        definition = self._store.define(name, workflow.encode(), enabled=enabled)
        served = Served(workflow, definition.revision)
        known = self._states.get(name)
        if known is not None:
            known.serve(served)
            known.enabled = enabled
            self._hosting.advance(known)
            return self._hooks[name]
        state = HookState(
            workflow_id=definition.workflow_id,
            name=name,
            key=definition.key,
            served=served,
            enabled=enabled,
            queue=Queue(workflow_id=definition.workflow_id, concurrency=workflow.concurrency),
        )
        state.serve(served)
        left = self._store.claim(definition.workflow_id, definition.revision)
        state.count(unfinished=len(left))
        self._store.remember_port(definition.workflow_id, server.port)
        self._states[name] = state
        hook = self._hooks[name] = Hook(self, self._hosting, state)
        self._hosting.open(state, left)
        if sys.stderr is not None and sys.stderr.isatty():
            # A terminal shows nothing by itself, and the URL is what one needs next.
            print(f"{name}: {hook.url}", file=sys.stderr)  # noqa: T201 - only where a person looks
        return hook

    def _nodes_before(self, name: object) -> tuple[Node, ...]:
        """Return the nodes of the current revision, whose keys the next one keeps."""
        if not isinstance(name, str):
            return ()
        if name in self._states:
            return self._states[name].served.workflow.nodes
        stored = None if self._closed else self._store.current(name)
        return () if stored is None else nodes_of(stored.definition)

    @property
    def hooks(self) -> dict[str, Hook]:
        """The hooks being served, by name."""
        return dict(self._hooks)

    def _stop_serving(self, name: str, state: HookState) -> None:
        """End serving a hook; see :meth:`hooknb.Hook.close`."""
        with self._lock:
            if self._states.get(name) is not state:
                return
            del self._hooks[name], self._states[name]
            self._hosting.shut(state)
        self._hosting.drain(state)

    # -- the server -----------------------------------------------------------------------------

    @property
    def port(self) -> int | None:
        """The port that it listens on; ``None`` before its first hook."""
        return self._hosting.port

    @property
    def local_url(self) -> str:
        """The base of its URLs on this machine."""
        return self.settings.local_url(self.port)

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
        if self._hosting.is_current:
            message = (
                "a runtime cannot be closed by one of its own async nodes; close it from a cell"
            )
            raise ServerError(message)
        with self._lock:
            if self._closed:
                return
            self._closed = True
        # Each step is taken whatever becomes of the others (Ctrl-C in the middle of one); the
        # last one that is put on the stack is the first.
        with contextlib.ExitStack() as steps:
            steps.callback(self._store.close)
            steps.callback(self._close_hooks)
            steps.callback(self._hosting.close, [state.queue for state in self._states.values()])
            steps.callback(atexit.unregister, self.close)
            steps.callback(_registry.forget, self)

    def _close_hooks(self) -> None:
        for state in self._states.values():
            state.close()
        self._hooks.clear()
        self._states.clear()

    def _let_go(self) -> None:
        """In a forked child: close what it has of the server, and leave the rest to its parent."""
        self._closed = True
        atexit.unregister(self.close)
        for state in self._states.values():
            state.closed = True  # its lock may be held by a thread that is gone
        self._hosting.let_go()
        self._store.forget()

    def __enter__(self) -> Self:
        """Return the runtime itself."""
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
        where = "not started" if self.port is None else self.local_url
        return f"<hooknb.Runtime {where}, store {self.settings.store!s}, {len(self._hooks)} hooks>"


# -- the default runtime, one per process ----------------------------------------------------------


def webhook(
    name: str,
    *,
    sync: bool = False,
    methods: str | Sequence[str] = ("POST",),
    accept: str | Sequence[str] = ("application/json",),
    auth: Auth | Sequence[Auth] | None = None,
    headers: Iterable[str | Variable] | None = None,
    query: Iterable[str | Variable] | None = None,
    body: Iterable[str | Variable] | None = None,
    response: Response | None = None,
    nodes: Iterable[Node | Callable[..., Any]] | None = None,
    timeout: float | None = None,
    max_body: int = DEFAULT_MAX_BODY,
    concurrency: int = 1,
    subpaths: bool = False,
    disabled_status: int = 404,
    keep_days: float | None = None,
    keep_deliveries: int | None = None,
    keep_bytes: int | None = None,
    enabled: bool = True,
) -> Hook:
    """Serve a workflow on the default runtime and return its hook: a live URL when this returns.

    The same name again is the same hook with the same URL; where a setting differs, it has a new
    revision. Executions that an earlier process accepted and did not finish are run.

    The default runtime is made with the first hook: one per process, with its store in
    ``.hooknb/store.db`` of the working directory, unless ``HOOKNB_STORE``, ``HOOKNB_HOST``,
    ``HOOKNB_PORT``, ``HOOKNB_PUBLIC_URL`` or ``HOOKNB_DETERMINISTIC`` say otherwise.

    Parameters
    ----------
    name
        Of the workflow; unique in its store.
    sync
        Whether the caller waits for the workflow's response.
    methods
        Such as ``("POST", "PUT")``; ``"*"`` for any.
    accept
        Media types of bodies; ``"application/*"`` and ``"*/*"`` as usual.
    auth
        What callers must prove: ``Signature("github", secret=…)``, ``Bearer(token)``,
        ``HeaderToken(name, value)`` or ``BasicAuth(user, password)``; a list where all of them
        must be satisfied.
    headers, query, body
        Variables: paths such as ``"order.id"``, or :class:`hooknb.Variable`;
        ``hooknb.parse_body(sample)`` and ``hooknb.parse_query(sample)`` make lists of them.
        None at all means every leaf that arrives.
    response
        What callers of an asynchronous hook get; ``Response(200, body="ok")`` by default.
    nodes
        Functions of the context, and other nodes, run one after the other.
    timeout
        Seconds that one execution may take; ``None`` for no limit.
    max_body
        Bytes of a body at most, 10 MiB by default, also after decompression.
    concurrency
        Executions of an asynchronous hook at a time. The callers of a synchronous one do not
        wait for each other.
    subpaths
        Whether what a sender appends to the URL (``/api/v2/alerts``) is taken and kept as
        ``delivery.subpath``; otherwise it is refused with 404.
    disabled_status
        The status of responses while the hook is switched off: 404, 410, or 503 with
        ``Retry-After``.
    keep_days, keep_deliveries, keep_bytes
        What is kept: no delivery that was received more days ago, so many deliveries, so many
        bytes of heads and bodies; ``None`` for no limit. The oldest are deleted, with their
        responses, executions and jobs, in the background while the hook is served. A delivery
        whose execution has not ended stays until it has.
    enabled
        Whether it takes deliveries. The call is the whole definition: made again without it,
        a hook that was switched off is on again.

    Returns
    -------
    Hook
        Live when this returns. In a terminal its URL is printed to standard error.

    Raises
    ------
    SettingError
        A setting is wrong; the message names it and the remedy.
    PortInUseError
        The port that was asked for is taken by another program.
    StoreError
        The store cannot be written.
    """
    given = locals()  # each parameter by its name
    with _default() as runtime:
        return runtime.webhook(**given)


def _show_parameters() -> None:
    """Show the parameters of :func:`webhook` on the method, which takes the same, too."""
    shown = inspect.signature(webhook)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    method: Any = Runtime.webhook
    method.__signature__ = shown.replace(parameters=[own, *shown.parameters.values()])
    documented = inspect.cleandoc(webhook.__doc__ or "").partition("Parameters\n")
    method.__doc__ = f"{inspect.cleandoc(method.__doc__ or '')}\n\n{''.join(documented[1:])}"


_show_parameters()


def serve(name: str, functions: Functions = ()) -> Hook:
    """Serve a stored workflow on the default runtime as it stands; see :meth:`Runtime.serve`."""
    with _default() as runtime:
        return runtime.serve(name, functions)


def delete(name: str) -> None:
    """Delete a workflow of the default runtime: its hook, revisions and all that it received.

    See :meth:`Runtime.delete`.
    """
    with _default() as runtime:
        runtime.delete(name)


def workflows() -> list[str]:
    """Return the names of the workflows in the default runtime's store, oldest first.

    Where there is no default runtime yet, the store that it would use is opened, and made where
    there is none.
    """
    with _registry.lock():
        runtime = _registry.state().default
        if runtime is not None:
            names: list[str] = runtime.workflows()
            return names
        # Not kept: the first hook reads the environment anew.
        with _made() as runtime:
            return runtime.workflows()


def store_users() -> list[int | None]:
    """Return the ids of the other processes that use the store of the default runtime.

    ``None`` stands for a process whose id the system does not say. Without a default runtime, the
    store is that of another one of this process, or else the one that a default runtime would use.
    """
    with _registry.lock():
        here = _registry.state()
        runtime: Runtime | None = here.default or next(iter(here.runtimes), None)
        if runtime is None:
            path = store_path(RuntimeSettings.from_environment().store)
        else:
            path = runtime._store.path  # noqa: SLF001 - of this module's own class
    found = [] if path is None else living(path)
    return [pid for pid in dict.fromkeys(found) if pid != os.getpid()]


def hooks() -> dict[str, Hook]:
    """Return the hooks served in this process by name; those of the default runtime win."""
    with _registry.lock():
        found: dict[str, Hook] = {}
        for runtime in _registry.state().runtimes:
            for name, hook in runtime.hooks.items():
                if runtime is _registry.state().default or name not in found:
                    found[name] = hook
        return found


def panel() -> Panels:
    """Return the panel of all hooks of this process, with *New webhook*.

    A widget: put it at the end of a cell. A hook can be made, configured and used in it without
    writing a line; workflows of the store that nobody serves are offered too.
    """
    from hooknb.ui import Panels  # ipywidgets take a third of a second to load

    return Panels(sys.modules[__name__])


@contextmanager
def _default() -> Iterator[Runtime]:
    """Yield the default runtime; one that is made here stays once its first hook is made."""
    with _registry.lock():
        runtime = _registry.state().default
        if runtime is not None:
            yield runtime
            return
        runtime = _made()
        try:
            yield runtime
        except BaseException:
            # The next try reads the environment anew.
            runtime.close()
            raise
        _registry.state().default = runtime


def _made() -> Runtime:
    chosen = RuntimeSettings.from_environment()
    return Runtime(
        chosen.store,
        chosen.host,
        chosen.port,
        public_url=chosen.public_url,
        deterministic=chosen.deterministic,
    )
