"""Runtimes: one server, one store and the hooks they serve; and the default runtime."""

from __future__ import annotations

import atexit
import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from hooknb import _registry
from hooknb.engine import Queue
from hooknb.errors import RecordNotFoundError, ServerError, SettingError
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
    """A server in this process, and its store.

    The server runs on a dedicated thread: it responds while a cell runs, even to that cell. It
    starts with the first hook, and stops with :meth:`close`, the end of the ``with`` block, or the
    process.

    Parameters
    ----------
    store
        A path, ``sqlite:///path`` or ``":memory:"``. Only their owner can read the folder and the
        file. ``None`` means ``.hooknb/store.db``, or ``":memory:"`` with ``deterministic``.
    host
        The address to listen on.
    port
        0 for any free port, ``None`` for the one used last.
    **settings
        The other settings of :class:`hooknb.settings.RuntimeSettings`.

    Raises
    ------
    SettingError
        A setting is invalid; the message names it and the remedy.
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
        known = [field.name for field in fields(RuntimeSettings) if field.init]
        for name in settings:
            if name not in known:
                raise SettingError(
                    name, f"there is no such setting; write one of {', '.join(known)}"
                )
        self.settings = RuntimeSettings(store=store, host=host, port=port, **settings)
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
        """Serve a workflow and return its hook, whose URL is live when this returns.

        Calling it again with the same name returns the same hook with the same URL, and makes a new
        revision if a setting differs. Executions that an earlier process left unfinished are run.
        """
        given = inspect.signature(webhook).bind(name, **settings).arguments
        enabled = given.pop("enabled", True)
        workflow = define(**given, before=self._nodes_before(name))
        check_switch(enabled)
        with self._lock:
            return self._serve(workflow, enabled=enabled)

    def serve(self, name: str, functions: Functions = ()) -> Hook:
        """Serve a stored workflow unchanged: its current revision, its switch, its URL.

        Executions that an earlier process left unfinished are run.

        Parameters
        ----------
        name
            The workflow's name; :meth:`workflows` lists them.
        functions
            The functions that its nodes call, as for :meth:`hooknb.Hook.revert`.

        Raises
        ------
        RecordNotFoundError
            The store has no workflow of this name.
        SettingError
            A function of the workflow is not loaded, or its definition cannot be read here.
        StoreError
            The store cannot be read or written.
        """
        with self._lock:
            self._open()
            stored = self._store.current(name)
            if stored is None:
                known = ", ".join(map(repr, self._store.names())) or "none"
                raise RecordNotFoundError(
                    f"there is no workflow {name!r} in this store; it has {known}"
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
        """Delete a workflow: its hook, its revisions, its URL, and its deliveries.

        A hook of that name is closed first, which blocks for at most ``drain`` seconds. Deletion
        cannot be undone; the same name later is a new workflow with a new URL.

        Raises
        ------
        RecordNotFoundError
            The store has no workflow of this name.
        StoreError
            The store cannot be written.
        """
        self._open()
        hook = self._hooks.get(name)
        if hook is not None:
            hook.close()
        self._store.delete(name)

    def workflows(self) -> list[str]:
        """Return the names of the workflows in the store, oldest first."""
        self._open()
        return self._store.names()

    def _serve(self, workflow: Workflow, *, enabled: bool) -> Hook:
        """Make a workflow the current revision of its name, and serve it; the caller locks."""
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
            # Unlike a notebook, a terminal does not display the hook, and its URL is needed next.
            print(f"{name}: {hook.url}", file=sys.stderr)  # noqa: T201 - only in a terminal
        return hook

    def _nodes_before(self, name: object) -> tuple[Node, ...]:
        """Return the nodes of the current revision, whose keys the next revision keeps."""
        if not isinstance(name, str):
            return ()
        if name in self._states:
            return self._states[name].served.workflow.nodes
        stored = None if self._closed else self._store.current(name)
        return () if stored is None else nodes_of(stored.definition)

    @property
    def hooks(self) -> dict[str, Hook]:
        """The served hooks by name."""
        return dict(self._hooks)

    def _stop_serving(self, name: str, state: HookState) -> None:
        """Stop serving a hook; see :meth:`hooknb.Hook.close`."""
        with self._lock:
            if self._states.get(name) is not state:
                return
            del self._hooks[name], self._states[name]
            self._hosting.shut(state)
        self._hosting.drain(state)

    # -- the server -----------------------------------------------------------------------------

    @property
    def port(self) -> int | None:
        """The port that the server listens on; ``None`` before the first hook."""
        return self._hosting.port

    @property
    def local_url(self) -> str:
        """The base URL of the server on this machine."""
        return self.settings.local_url(self.port)

    # -- ending ---------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._closed:
            raise ServerError("this runtime is closed; create a new one")

    def close(self) -> None:
        """Stop serving, after accepted deliveries are written. Idempotent.

        Blocks for at most ``drain`` seconds while executions run, then aborts them as
        ``shutdown``. Queued executions are run when the store is served again.
        """
        if self._hosting.is_current:
            raise ServerError(
                "a runtime cannot be closed by its own async nodes; close it from a cell"
            )
        with self._lock:
            if self._closed:
                return
            self._closed = True
        # Every step runs even if another fails, for example on Ctrl-C; the last one pushed runs
        # first.
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
        """Close the server's sockets in a forked child, and leave the rest to the parent."""
        self._closed = True
        atexit.unregister(self.close)
        for state in self._states.values():
            state.closed = True  # without its lock, whose holder may not exist in the child
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
        """Close the runtime."""
        self.close()

    def __repr__(self) -> str:
        """Return its URL, its store and its number of hooks."""
        where = "not started" if self.port is None else self.local_url
        hooks = "1 hook" if len(self._hooks) == 1 else f"{len(self._hooks)} hooks"
        return f"<hooknb.Runtime {where}, store {self.settings.store!s}, {hooks}>"


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
    """Serve a workflow on the default runtime and return its hook, live when this returns.

    Calling it again with the same name returns the same hook with the same URL, and makes a new
    revision if a setting differs. Executions that an earlier process left unfinished are run.

    The default runtime is created with the first hook, once per process. Its store is
    ``.hooknb/store.db`` in the working directory, unless ``HOOKNB_STORE``, ``HOOKNB_HOST``,
    ``HOOKNB_PORT``, ``HOOKNB_PUBLIC_URL`` or ``HOOKNB_DETERMINISTIC`` change its settings.

    Parameters
    ----------
    name
        The workflow's name, unique in its store.
    sync
        Whether the caller waits for the workflow's response.
    methods
        HTTP methods, such as ``("POST", "PUT")``; ``"*"`` for any.
    accept
        Media types of bodies; ranges such as ``"application/*"`` and ``"*/*"`` are allowed.
    auth
        The authentication that callers need: ``Signature("github", secret=…)``,
        ``Bearer(token)``, ``HeaderToken(name, value)`` or ``BasicAuth(user, password)``; a list
        requires all of its schemes.
    headers, query, body
        Variables: paths such as ``"order.id"``, or :class:`hooknb.Variable`;
        ``hooknb.parse_body(sample)`` and ``hooknb.parse_query(sample)`` return lists of them.
        Without any, every leaf that arrives is a variable.
    response
        The response to callers of an asynchronous hook; ``Response(200, body="ok")`` by default.
    nodes
        Functions of the context, and other nodes, run one after the other.
    timeout
        Maximum seconds of one execution; ``None`` for no limit.
    max_body
        Maximum bytes of a body, before and after decompression; 10 MiB by default.
    concurrency
        Maximum concurrent executions of an asynchronous hook. Callers of a synchronous hook do
        not wait for each other.
    subpaths
        Whether requests to paths below the URL (``/api/v2/alerts``) are accepted, with the path
        kept as ``delivery.subpath``; otherwise they are refused with 404.
    disabled_status
        The status of responses while the hook is disabled: 404, 410, or 503 with
        ``Retry-After``.
    keep_days, keep_deliveries, keep_bytes
        Retention: maximum age in days, number of deliveries, and bytes of heads and bodies;
        ``None`` for no limit. The oldest deliveries are deleted, with their responses, executions
        and jobs, in the background while the hook is served, but never before their execution
        has ended.
    enabled
        Whether the hook accepts deliveries. Each call is the whole definition: calling again
        without this parameter enables a disabled hook.

    Returns
    -------
    Hook
        Live when this returns. In a terminal, its URL is printed to standard error.

    Raises
    ------
    SettingError
        A setting is invalid; the message names it and the remedy.
    PortInUseError
        Another program uses the requested port.
    StoreError
        The store cannot be written.
    """
    given = locals()  # the parameters by name
    with _default() as runtime:
        return runtime.webhook(**given)


def _show_parameters() -> None:
    """Copy the signature and parameter docs of :func:`webhook` to :meth:`Runtime.webhook`."""
    shown = inspect.signature(webhook)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    method: Any = Runtime.webhook
    method.__signature__ = shown.replace(parameters=[own, *shown.parameters.values()])
    documented = inspect.cleandoc(webhook.__doc__ or "").partition("Parameters\n")
    method.__doc__ = f"{inspect.cleandoc(method.__doc__ or '')}\n\n{''.join(documented[1:])}"


_show_parameters()


def serve(name: str, functions: Functions = ()) -> Hook:
    """Serve a stored workflow on the default runtime; see :meth:`Runtime.serve`."""
    with _default() as runtime:
        return runtime.serve(name, functions)


def delete(name: str) -> None:
    """Delete a workflow of the default runtime: its hook, revisions and deliveries.

    See :meth:`Runtime.delete`.
    """
    with _default() as runtime:
        runtime.delete(name)


def workflows() -> list[str]:
    """Return the names of the workflows in the default runtime's store, oldest first.

    Without a default runtime, the store that it would use is opened, and created if missing.
    """
    with _registry.lock():
        runtime = _registry.state().default
        if runtime is not None:
            names: list[str] = runtime.workflows()
            return names
        # Not kept as the default: the first hook must read the environment again.
        with _made() as runtime:
            return runtime.workflows()


def store_users() -> list[int | None]:
    """Return the ids of the other processes that use the store of the default runtime.

    ``None`` stands for a process whose id the system does not tell. Without a default runtime, the
    store is that of another runtime of this process, or else the one a default runtime would use.
    """
    with _registry.lock():
        here = _registry.state()
        runtime: Runtime | None = here.default or next(iter(here.runtimes), None)
        if runtime is None:
            path = store_path(RuntimeSettings.from_environment().store)
        else:
            path = runtime._store.path  # noqa: SLF001 - a class of this module
    found = [] if path is None else living(path)
    return [pid for pid in dict.fromkeys(found) if pid != os.getpid()]


def hooks() -> dict[str, Hook]:
    """Return the hooks served in this process by name; the default runtime's take precedence."""
    with _registry.lock():
        found: dict[str, Hook] = {}
        for runtime in _registry.state().runtimes:
            for name, hook in runtime.hooks.items():
                if runtime is _registry.state().default or name not in found:
                    found[name] = hook
        return found


def panel() -> Panels:
    """Return the panel of all hooks of this process, with *New webhook*.

    It is a widget: make it the last expression of a cell. Hooks can be created, configured and used
    in it without code; it also offers stored workflows that are not served.
    """
    from hooknb.ui import Panels  # ipywidgets takes a third of a second to load

    return Panels(sys.modules[__name__])


@contextmanager
def _default() -> Iterator[Runtime]:
    """Yield the default runtime; a new one is kept only if its first use succeeds."""
    with _registry.lock():
        runtime = _registry.state().default
        if runtime is not None:
            yield runtime
            return
        runtime = _made()
        try:
            yield runtime
        except BaseException:
            # The next attempt reads the environment again.
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
