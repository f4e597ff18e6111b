"""The live handle of a workflow that is being served."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from hooknb import summaries
from hooknb.calls import Calls
from hooknb.errors import ServerError, StoreError, WaitTimeoutError
from hooknb.paths import MISSING
from hooknb.received import as_id
from hooknb.records import Delivery
from hooknb.settings import checked_count, checked_timeout
from hooknb.workflow import samples
from hooknb.workflow.revisions import Revision, read_revisions
from hooknb.workflow.variables import split_column

if TYPE_CHECKING:
    from hooknb.ui import HookPanel
    from hooknb.workflow.notation import Functions

__all__ = ["Hook"]


class Hook(Calls):
    """A live URL and what it has received; made by :func:`hooknb.webhook`.

    Everything that it received before, also in earlier sessions on the same store, is in its
    frames. Its frames are pandas' own: each access reads what is new and gives a ``DataFrame``
    that is yours to change.
    """

    # -- what it is -----------------------------------------------------------------------------

    def configure(self, **settings: Any) -> Self:
        """Change settings, as a new revision; those that are not named stay, the switch too.

        Nothing is held up meanwhile: what is on its way goes on with the revision that it was
        accepted under. Where nothing differs there is no new revision.

        Parameters
        ----------
        **settings
            Any of :meth:`Runtime.webhook`'s, but not ``name``.

        Returns
        -------
        Hook
            Itself.

        Raises
        ------
        SettingError
            There is no such setting, or its value is wrong; nothing was changed.
        ServerError
            The hook is closed.
        StoreError
            The store cannot be written.
        """
        self._open()
        self._runtime.configure(self._state, lambda _workflow: settings)
        return self

    def take(self, name: str, alias: str | None = None) -> Self:
        """Take one more variable out of what comes, as a new revision.

        Its type and its sample are those of the newest accepted delivery that has it, of the last
        thousand. No sample is kept of a header that carries credentials, nor of a value of more
        than 64 KiB.

        Parameters
        ----------
        name
            Its part and path, as the columns of :attr:`variables` name it: ``body.order.id``,
            ``body[0].sku``, ``query.a``, ``headers.X-Request-Id``, ``body`` for all of it.
        alias
            What to call it. One that is taken already gets this alias, where it has another; it
            keeps its own where none is given.

        Returns
        -------
        Hook
            Itself.

        Raises
        ------
        SettingError
            It names no variable, or the column's name is taken by another one.
        ServerError
            The hook is closed.
        StoreError
            The store cannot be read or written.
        """
        self._open()
        part, path = split_column(name)
        known = samples.is_taken(part, getattr(self.workflow.trigger, part), path)
        value = MISSING if known else self._newest(part, path)
        self._runtime.configure(
            self._state,
            lambda workflow: {
                part: samples.with_variable(
                    part, getattr(workflow.trigger, part), path, value=value, alias=alias
                )
            },
        )
        return self

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
        ServerError
            The hook is closed.
        StoreError
            The store cannot be written.
        """
        self._open()
        self._runtime.revert(self._state, number, functions)

    @property
    def enabled(self) -> bool:
        """The switch: a disabled hook answers 404 and keeps what came as refused.

        Settable while the hook is not closed; else that raises :class:`ServerError`.
        """
        return self._state.enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._open()
        self._runtime.switch(self._state, enabled=value)

    def cancel(self, id: int) -> bool:
        """End an execution that is queued or running; it is kept as aborted, ``cancelled``.

        A plain function that is running cannot be stopped: it is left behind, and its job says
        aborted. Blocks until it is done.

        Returns
        -------
        bool
            False where it had ended already, or there is none.

        Raises
        ------
        RecordNotFoundError
            That is no id.
        ServerError
            The hook is closed.
        """
        self._open()
        return self._runtime.cancel(self._state, as_id(id))

    def clear(self) -> None:
        """Forget what came: deliveries, executions, jobs, and what still waits to be run.

        Blocks until the store has written it.

        Raises
        ------
        ServerError
            The hook is closed.
        StoreError
            The store cannot be written.
        """
        self._open()
        self._runtime.clear(self._state)

    # -- waiting --------------------------------------------------------------------------------

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
        ServerError
            The hook is closed, or it was called on the server's own thread.
        """
        self._open()
        if self._runtime.is_server_thread:
            raise ServerError(
                "hook.wait() would hold up the thread that it waits for; call it from a cell"
            )
        state, timeout = self._state, checked_timeout(timeout)
        more = 0 if n is None else checked_count(n, 0)
        with state.changed:
            before = state.arrived
            target = before + more
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

    @overload
    def wait_for(
        self, text: str = "", n: Literal[1] = 1, timeout: float | None = 10
    ) -> Delivery: ...

    @overload
    def wait_for(
        self, text: str, n: int, timeout: float | None = 10
    ) -> Delivery | list[Delivery]: ...

    @overload
    def wait_for(
        self, text: str = "", *, n: int, timeout: float | None = 10
    ) -> Delivery | list[Delivery]: ...

    def wait_for(
        self, text: str = "", n: int = 1, timeout: float | None = 10
    ) -> Delivery | list[Delivery]:
        """Wait until ``n`` deliveries that a filter finds are kept, and their executions ended.

        Blocks the calling thread. Those that are kept already count, also of earlier sessions on
        the same store; :meth:`clear` forgets them. Refused ones count where the filter finds them.

        Parameters
        ----------
        text
            ``body.status == "paid"``, ``4xx``, ``refused``, any text, as of :meth:`search`; the
            empty one finds all.
        n
            How many.
        timeout
            Seconds, or ``None`` for ever.

        Returns
        -------
        Delivery or list of Delivery
            The first one; for more than one, the first ``n``, oldest first.

        Raises
        ------
        WaitTimeoutError
            (a ``TimeoutError``) with a table of what came instead, at most ten rows.
        SettingError
            The text is no filter, or ``n`` no number from 1.
        ServerError
            The hook is closed, or it was called on the server's own thread.
        StoreError
            The store cannot be read.
        """
        from hooknb.history.waiting import wait_for  # a hook is made without it

        __tracebackhide__ = True  # pytest shows the line of the test
        with self._waiting("wait_for"):
            found = wait_for(
                self.store, self._state, text, n, timeout, is_closed=lambda: self._closed
            )
        return found[0] if n == 1 else found

    async def next(self, timeout: float | None = None) -> Delivery:
        """Wait for the next delivery and give it; for ``await hook.next()`` in a cell.

        Nothing is blocked: other coroutines of the caller's loop run meanwhile.

        Parameters
        ----------
        timeout
            Seconds, or ``None`` for ever.

        Raises
        ------
        WaitTimeoutError
            (a ``TimeoutError``) where none came within ``timeout`` seconds.
        ServerError
            The hook is closed, or was while it was waited for.
        """
        self._open()
        timeout = checked_timeout(timeout)
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
        the runtime's ``drain`` at the most. Its panel stays where it is shown, and says that it is
        closed, until the panel of a new hook of the same name is shown.
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

    # -- for its panel --------------------------------------------------------------------------

    @cached_property
    def panel(self) -> HookPanel:
        """Its panel: a widget, one for all the cells that show it."""
        from hooknb.ui import HookPanel  # ipywidgets take a third of a second to load

        return HookPanel(self)

    @property
    def status(self) -> Literal["enabled", "disabled", "closed"]:
        """Whether it takes deliveries, or is served no more."""
        if self._closed:
            return "closed"
        return "enabled" if self.enabled else "disabled"

    # -- how it looks ---------------------------------------------------------------------------

    def __repr__(self) -> str:
        """Say what it is, without secrets; the key of its URL is one. :attr:`url` has it."""
        return summaries.as_text(self._summary())

    def _repr_html_(self) -> str:
        return summaries.as_html(self._summary())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Show the panel in a kernel; where widgets cannot be shown, the summary is.

        The bundle is saved with the notebook: it holds what the summary says, and the panel's
        number.
        """
        summary = self._summary()
        shown = {"text/plain": summaries.as_text(summary), "text/html": summaries.as_html(summary)}
        ipython = sys.modules.get("IPython")
        shell = None if ipython is None else ipython.get_ipython()
        return {**shown, **self.panel.view()} if getattr(shell, "kernel", None) else shown

    def _summary(self) -> list[tuple[str, str]]:
        try:
            counts = self._runtime.store.counts(self._state.workflow_id)
            deliveries = f"{counts.deliveries}, {counts.refused} of them refused"
        except StoreError as error:
            deliveries = f"not to be read: {error}"
        return summaries.summary(
            self.workflow,
            url=self.url,
            status=self.status,
            revision=self.revision,
            deliveries=deliveries,
        )
