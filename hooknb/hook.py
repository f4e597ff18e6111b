"""The live handle of a workflow that is being served."""

from __future__ import annotations

import asyncio
import contextlib
import html
import operator
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from hooknb.errors import (
    RecordNotFoundError,
    ServerError,
    SettingError,
    StoreError,
    WaitTimeoutError,
)
from hooknb.headers import MASK
from hooknb.records import Delivery, Execution
from hooknb.revisions import Revision, read_revisions
from hooknb.sending import Reply, send

if TYPE_CHECKING:
    import pandas as pd

    from hooknb.frames import Frames
    from hooknb.notation import Functions
    from hooknb.runtime import Runtime
    from hooknb.served import HookState
    from hooknb.workflow import Workflow

__all__ = ["Hook"]

_UNSET: Final = object()


class Hook:
    """A live URL and what it has received; made by :func:`hooknb.webhook`.

    Everything that it received before, also in earlier sessions on the same store, is in its
    frames. Its frames are pandas' own: each access reads what is new and gives a ``DataFrame``
    that is yours to change.
    """

    def __init__(self, runtime: Runtime, state: HookState) -> None:
        self._runtime = runtime
        self._state = state
        self._closed = False

    # -- what it is -----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self._state.name

    @property
    def key(self) -> str:
        """The secret part of its URL; the same whenever the name is served from this store."""
        return self._state.key

    @property
    def revision(self) -> int:
        """The number of the current revision, from 1."""
        return self._state.served.revision

    @property
    def workflow(self) -> Workflow:
        """The current definition."""
        return self._state.served.workflow

    @property
    def revisions(self) -> list[Revision]:
        """Every version of the workflow, oldest first: number, time, definition, what changed."""
        rows = self._runtime.store.revisions(self._state.workflow_id)
        return read_revisions(rows, known=self._state.functions)

    def revert(self, number: int, functions: Functions = ()) -> None:
        """Make an earlier revision the current one again.

        Executions that wait go on with the revision that they were accepted under.

        Parameters
        ----------
        number
            Of the revision.
        functions
            Those that its nodes call, where they are not loaded in this process with the same
            text: a list, or a mapping by name such as ``globals()``. Where their text is another,
            it is a new revision.

        Raises
        ------
        RecordNotFoundError
            There is no such revision.
        SettingError
            A function of it is not loaded.
        """
        self._open()
        self._runtime.revert(self._state, number, functions)

    @property
    def url(self) -> str:
        """Where senders reach it."""
        return f"{self._runtime.base_url}/hook/{self.key}"

    @property
    def url_with_credentials(self) -> str:
        """The URL with user name and password percent-encoded before the host, for senders.

        The same as :attr:`url` where no authentication is asked for. It holds the password:
        do not leave it in a saved notebook.
        """
        auth = self.workflow.trigger.auth
        if auth is None:
            return self.url
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{quote(auth.user, safe='')}:{quote(auth.password, safe='')}@{rest}"

    @property
    def enabled(self) -> bool:
        """The switch: a disabled hook answers 404 and keeps what came as refused. Settable."""
        return self._state.enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise SettingError("enabled", f"{value!r} is neither True nor False")
        self._runtime.store.enable(self._state.workflow_id, enabled=value)
        self._state.enabled = value

    # -- what came ------------------------------------------------------------------------------

    @cached_property
    def _frames(self) -> Frames:
        from hooknb.frames import Frames  # pandas takes half a second to load

        return Frames(self._runtime.store, self._state.workflow_id)

    @property
    def deliveries(self) -> pd.DataFrame:
        """Every request that is kept, accepted or refused, oldest first, by id.

        Columns: received_at, method, content_type, size (bytes), remote, outcome, reason, status
        (answered), duration_ms, headers, query, body. Credentials in headers are masked.
        """
        self._flush()
        return self._frames.deliveries()

    @property
    def executions(self) -> pd.DataFrame:
        """Every run, by id, which is that of its delivery.

        Columns: delivery, revision, status, reason, started_at, finished_at, duration_ms,
        response_status, missing (configured variables that did not come), recovered.
        """
        self._flush()
        return self._frames.executions()

    @property
    def variables(self) -> pd.DataFrame:
        """The variables of every accepted delivery: received_at, then a column each.

        Without configured variables the leaves of what came, from query and body, most frequent
        first, at most 500; how many were left out stands in ``attrs["left_out"]``. Headers are
        shown where they are configured.
        """
        self._flush()
        return self._frames.variables(self.workflow.trigger)

    @property
    def jobs(self) -> pd.DataFrame:
        """Every run of every node.

        Columns: execution, node, type, status, started_at, finished_at, duration_ms, result,
        output (what it printed), error.
        """
        self._flush()
        return self._frames.jobs()

    def delivery(self, id: int) -> Delivery:
        """Give one delivery with everything, its raw bytes too.

        Raises
        ------
        RecordNotFoundError
            It is not one of this hook's.
        """
        self._flush()
        return self._runtime.store.delivery(self._state.workflow_id, _number(id))

    def execution(self, id: int) -> Execution:
        """Give one execution with its jobs.

        Raises
        ------
        RecordNotFoundError
            It is not one of this hook's.
        """
        self._flush()
        return self._runtime.store.execution(self._state.workflow_id, _number(id))

    def cancel(self, id: int) -> bool:
        """End an execution that is queued or running; it is kept as aborted, ``cancelled``.

        A plain function that is running cannot be stopped: it is left behind, and its job says
        aborted. Blocks until it is done.

        Returns
        -------
        bool
            False where it had ended already.
        """
        self._open()
        return self._runtime.cancel(self._state, _number(id))

    def clear(self) -> None:
        """Forget what came: deliveries, executions, jobs, and what still waits to be run."""
        self._open()
        self._runtime.clear(self._state)

    # -- sending and waiting --------------------------------------------------------------------

    def send(
        self,
        *,
        json: Any = _UNSET,
        data: str | bytes | Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        params: str | Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        method: str = "POST",
        timeout: float = 60.0,
    ) -> Reply:
        """Send a real HTTP request to this hook's own URL, with its credentials.

        Blocks until the answer is there, also for a synchronous hook, whose answer does not need
        the calling thread.

        Parameters
        ----------
        json
            Sent as ``application/json``.
        data
            Bytes or text as they are; a mapping or pairs as a form.
        params
            The query: pairs, a mapping, or text that stands behind ``?`` as it is.
        headers
            By name, or pairs. They win over those that are made here, also ``Authorization``.
        method
            Of the request.
        timeout
            Seconds.

        Returns
        -------
        Reply
            ``status``, ``headers``, ``body`` (bytes), ``text`` and ``json()``.

        Raises
        ------
        ServerError
            There was no answer in time, or it was called on the server's own thread, which could
            not answer itself.
        """
        self._open()
        if self._runtime.is_server_thread:
            message = (
                "hook.send() waits for the thread that it was called on; in an async node, "
                "use `await asyncio.to_thread(hook.send, …)`"
            )
            raise ServerError(message)
        if json is not _UNSET and data is not None:
            raise SettingError("data", "give json or data, not both")
        with self._runtime.lent_worker():
            return send(
                f"{self._runtime.local_url}/hook/{self.key}",
                auth=self.workflow.trigger.auth,
                method=method,
                body=data if json is _UNSET else json,
                is_json=json is not _UNSET,
                params=params,
                headers=headers,
                timeout=timeout,
            )

    def wait(self, n: int | None = None, timeout: float | None = 30) -> None:
        """Wait until ``n`` more deliveries have come, and nothing is queued or running.

        Blocks the calling thread; deliveries are counted from the call, refused ones too.

        Parameters
        ----------
        n
            Deliveries to wait for, or ``None`` to wait for the executions only.
        timeout
            Seconds, or ``None`` for ever.

        Raises
        ------
        WaitTimeoutError
            (a ``TimeoutError``) with what had come instead.
        """
        self._open()
        if self._runtime.is_server_thread:
            raise ServerError(
                "hook.wait() would hold up the thread that it waits for; call it from a cell"
            )
        state = self._state
        with state.changed:
            before = state.arrived
            target = before + (n or 0)
            done = state.changed.wait_for(
                lambda: self._closed or (state.arrived >= target and state.unfinished == 0), timeout
            )
            came, unfinished = state.arrived - before, state.unfinished
        if self._closed:
            message = f"hook {self.name!r} was closed while it was waited for"
            raise ServerError(message)
        if not done:
            wanted = "" if n is None else f"{came} of {n} more deliveries came; "
            message = (
                f"{self.name}: after {timeout:g} s {wanted}{unfinished} executions are queued or "
                f"running ({before} deliveries had come before the call). Send first in another "
                "thread or cell, or give a longer timeout."
            )
            raise WaitTimeoutError(message)

    async def next(self, timeout: float | None = None) -> Delivery:
        """Wait for the next delivery and give it; for ``await hook.next()`` in a cell.

        Nothing is blocked: other coroutines of the caller's loop run meanwhile.

        Raises
        ------
        WaitTimeoutError
            (a ``TimeoutError``) where none came within ``timeout`` seconds.
        """
        self._open()
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[int | None] = loop.create_future()

        def set_once(number: int | None) -> None:
            if not arrived.done():
                arrived.set_result(number)

        def listen(number: int | None) -> None:
            # The loop is closed where a cell's coroutine was left behind.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(set_once, number)

        self._state.listeners.append(listen)
        try:
            number = await asyncio.wait_for(arrived, timeout)
        except TimeoutError:
            message = f"{self.name}: no delivery came within {timeout:g} s"
            raise WaitTimeoutError(message) from None
        finally:
            self._state.listeners.remove(listen)
        if number is None:
            raise ServerError(f"hook {self.name!r} was closed while it was waited for")
        return self.delivery(number)

    def close(self) -> None:
        """Stop serving it; what it received stays in the store. Idempotent.

        What still waits is run when the hook is made again. Blocks until what runs has ended, for
        the runtime's ``drain`` at the most.
        """
        if not self._closed:
            self._runtime.stop_serving(self)
            self.mark_closed()

    def mark_closed(self) -> None:
        """Note that it is served no more, and wake those who wait for it."""
        self._closed = True
        self._state.count()
        for listener in tuple(self._state.listeners):
            listener(None)

    @property
    def state(self) -> HookState:
        """What it shares with the server's thread; for the runtime that serves it."""
        return self._state

    def _open(self) -> None:
        if self._closed:
            message = f"hook {self.name!r} is closed; hooknb.webhook({self.name!r}) serves it again"
            raise ServerError(message)

    def _flush(self) -> None:
        if not self._closed:
            self._runtime.store.flush()

    # -- how it looks ---------------------------------------------------------------------------

    @property
    def _masked_url(self) -> str:
        auth = self.workflow.trigger.auth
        if auth is None:
            return self.url
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{quote(auth.user, safe='')}:{MASK}@{rest}"

    def _summary(self) -> list[tuple[str, str]]:
        try:
            counts = self._runtime.store.counts(self._state.workflow_id)
            deliveries = f"{counts.deliveries}, {counts.refused} of them refused"
        except StoreError as error:
            deliveries = f"not to be read: {error}"
        workflow = self.workflow
        state = "closed" if self._closed else ("enabled" if self.enabled else "disabled")
        return [
            ("hook", f"{self.name} ({state})"),
            ("url", f"{', '.join(workflow.trigger.methods)} {self._masked_url}"),
            ("mode", "synchronous" if workflow.sync else "asynchronous"),
            ("revision", str(self.revision)),
            ("deliveries", deliveries),
        ]

    def __repr__(self) -> str:
        """Say what it is, without secrets."""
        rows = self._summary()
        return "\n".join(f"{label:<11}{text}" for label, text in rows)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for label, text in self._summary()
        )
        return f"<table>{rows}</table>"


def _number(id: Any) -> int:
    """Take an id, a whole number of Python's or of numpy's."""
    try:
        number = operator.index(id)
    except TypeError:
        raise RecordNotFoundError(
            f"{id!r} is not an id; write the number of the frame's row"
        ) from None
    if not 0 < number < 2**63:
        raise RecordNotFoundError(f"there is nothing with the id {number}")
    return number
