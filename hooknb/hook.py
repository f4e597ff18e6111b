"""The live handle of a workflow that is being served: one class, everything a user calls."""

from __future__ import annotations

import asyncio
import contextlib
import html
import operator
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypedDict, Unpack, overload

from hooknb import _registry, paths
from hooknb.client import curl
from hooknb.client.outgoing import Outgoing, of_delivery, of_samples
from hooknb.client.sending import HttpResponse, exchange, send
from hooknb.errors import (
    PayloadError,
    RecordNotFoundError,
    ServerError,
    SettingError,
    StoreError,
    WaitTimeoutError,
)
from hooknb.intake.served import Served
from hooknb.paths import MISSING
from hooknb.payloads.headers import MASK
from hooknb.records import Delivery, Execution
from hooknb.settings import checked_count, checked_timeout
from hooknb.workflow import samples
from hooknb.workflow.definitions import apply_changes, check_switch, load_definition
from hooknb.workflow.revisions import Revision, read_revisions
from hooknb.workflow.variables import split_column

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from hooknb.history.frames import Frames
    from hooknb.history.watching import Watch
    from hooknb.intake.hosting import Hosting
    from hooknb.intake.served import HookState
    from hooknb.runtime import Runtime
    from hooknb.ui import HookPanel
    from hooknb.workflow import WebhookSettings, Workflow
    from hooknb.workflow.notation import Functions

__all__ = ["Hook"]


_MAX_EXAMINED: Final = 1_000  # accepted deliveries, newest first, that a sample is looked for in
_MAX_EXAMINED_BYTES: Final = 64 * 2**20
_FILES: Final = (".jsonl", ".ndjson")  # suffixes of what `replay` reads as a file


class FrameWindow(TypedDict, total=False):
    """The rows and columns that are asked for; see :meth:`Hook.frame`."""

    last: int | None
    since: datetime | str | None
    until: datetime | str | None
    where: str | None
    columns: Sequence[str] | None
    body: bool


class Hook:
    """A live URL and what it has received; made by :func:`hooknb.webhook`.

    What it received before, also in earlier sessions on the same store, is in its frames. Each
    access to a frame reads what is new and returns a ``DataFrame`` that is yours to change.
    """

    # -- its names -----------------------------------------------------------------------------

    def __init__(self, runtime: Runtime, hosting: Hosting, state: HookState) -> None:
        self._runtime = runtime
        self._hosting = hosting
        self._state = state
        self._store = hosting.store
        self._workflow_id = state.workflow_id

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
    def url(self) -> str:
        """Where senders reach it: the public URL while it is published, else :attr:`local_url`."""
        return self._hosting.publication.url(self.key) or self.local_url

    @property
    def local_url(self) -> str:
        """Where it is reached on this machine, without the Jupyter server."""
        return f"{self._runtime.local_url}/hook/{self.key}"

    @property
    def url_with_credentials(self) -> str:
        """The URL with user name and password percent-encoded before the host, for senders.

        The same as :attr:`url` where no authentication is asked for. It holds the password:
        do not leave it in a saved notebook.
        """
        auth = self.workflow.trigger.auth
        return self.url if auth is None else auth.apply_to_url(self.url)

    @property
    def _masked_url(self) -> str:
        """The URL with the user name and a mask before the host, for showing."""
        auth = self.workflow.trigger.auth
        return self.url if auth is None else auth.apply_to_url(self.url, masked=True)

    # -- its settings --------------------------------------------------------------------------

    def configure(self, **settings: Unpack[WebhookSettings]) -> Self:
        """Change settings, as a new revision; those that are not named stay, the switch too.

        Nothing is held up meanwhile: requests on their way keep the revision that accepted them.
        Where nothing differs there is no new revision.

        Parameters
        ----------
        **settings
            Any of the settings of :func:`hooknb.webhook`, but not ``name``.

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
        return self._configure(lambda _workflow: settings)

    def add_variable(self, path: str, alias: str | None = None) -> Self:
        """Add a variable, as a new revision.

        Its type and sample are those of the newest accepted delivery that has it, among the last
        thousand. No sample is kept of a header that carries credentials, nor of a value of more
        than 64 KiB.

        Parameters
        ----------
        path
            Its part and path, as the columns of :attr:`variables` name it: ``body.order.id``,
            ``body[0].sku``, ``query.a``, ``headers.X-Request-Id``, ``body`` for the whole body.
        alias
            A display name. A variable that is configured already gets this alias; without one it
            keeps its own.

        Returns
        -------
        Hook
            Itself.

        Raises
        ------
        SettingError
            The path does not name a variable, or another variable has its column's name.
        ServerError
            The hook is closed.
        StoreError
            The store cannot be read or written.
        """
        self._check_open()
        part, within = split_column(path)
        known = samples.is_taken(part, getattr(self.workflow.trigger, part), within)
        value = MISSING if known else self._newest(part, within)
        return self._configure(
            lambda workflow: {
                part: samples.with_variable(
                    part, getattr(workflow.trigger, part), within, value=value, alias=alias
                )
            }
        )

    def _configure(self, change: Callable[[Workflow], Mapping[str, Any]]) -> Self:
        """Apply what ``change`` makes of the current definition: of two at a time both are kept."""
        self._check_open()
        with _registry.lock():
            if self._runtime.hooks.get(self.name) is not self:
                message = f"hook {self.name!r} is no longer served; make it again to change it"
                raise ServerError(message)
            workflow, enabled = apply_changes(self.workflow, change(self.workflow))
            enabled = self.enabled if enabled is None else enabled
            self._runtime._serve(workflow, enabled=enabled)  # noqa: SLF001 - which made this hook
        return self

    @property
    def revisions(self) -> list[Revision]:
        """Every version of the workflow, oldest first: number, time, definition, what changed."""
        rows = self._store.revisions(self._workflow_id)
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
        self._check_open()
        state, store = self._state, self._store
        stored = {row[0]: row[2] for row in store.revisions(self._workflow_id)}
        if number not in stored:
            known = ", ".join(map(str, stored))
            raise RecordNotFoundError(f"this hook has no revision {number}; it has {known}")
        workflow = load_definition(
            stored[number],
            functions,
            known=state.functions,
            what=f"revision {number}",
            call=f"hook.revert({number}, ",
        )
        definition = workflow.encode()
        with _registry.lock():
            self._check_open()
            if definition == stored[number]:
                store.set_revision(self._workflow_id, number)
            else:
                # Other code under the same names is another revision.
                number = store.define(self.name, definition, enabled=state.enabled).revision
            state.serve(Served(workflow, number))
            self._hosting.advance(state)

    @property
    def enabled(self) -> bool:
        """The switch: a disabled hook responds 404 (``disabled_status``) and keeps what it refuses.

        Settable while the hook is not closed; else that raises :class:`ServerError`.
        """
        return self._state.enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._check_open()
        check_switch(value)
        with _registry.lock():
            self._store.enable(self._workflow_id, enabled=value)
            self._state.enabled = value

    @property
    def status(self) -> Literal["enabled", "disabled", "closed"]:
        """Whether it takes deliveries, or is no longer served."""
        if self._state.closed:
            return "closed"
        return "enabled" if self.enabled else "disabled"

    def publish(self, while_away: Literal[202, 503] = 202) -> str:
        """Make it reachable through the Jupyter server, without the server's token.

        For Binder and JupyterHub, where nobody outside reaches this kernel's port. The extension
        ``hooknb.relay`` must be installed where the server runs. What the server gets for this
        hook comes here byte for byte; names of header fields come in the usual spelling, and
        fields of one name together. While the kernel is gone (a restart), deliveries are kept on
        the server's disk for a day, and come first, in order and each at least once, when the
        hook is published again: a restarted kernel must do that. Called again, it is the same.

        Parameters
        ----------
        while_away
            What senders get meanwhile: 202, and their delivery is kept as far as there is room,
            or 503 with ``Retry-After``. The callers of a synchronous hook get 503 always.

        Returns
        -------
        str
            :attr:`url`, which from now on is ``<public URL of the Jupyter server>hooknb/<key>``.
            The public URL is ``HOOKNB_PUBLIC_URL``, or what JupyterHub says, or the URL that
            logged-in browsers use, or the URL of the server that started this kernel.

        Raises
        ------
        PublicationError
            The Jupyter server does not respond as the relay, its public URL is not known, or the
            registration cannot be written. The message says what is missing.
        SettingError
            The runtime listens where the server does not reach it, is deterministic, or
            ``while_away`` is something else.
        ServerError
            The hook is closed.
        """
        self._check_open()
        workflow = self.workflow
        return self._hosting.publication.publish(
            self.key,
            sync=workflow.sync,
            max_body=workflow.trigger.max_body,
            while_away=while_away,
        )

    def unpublish(self) -> None:
        """End what :meth:`publish` began; :attr:`url` is the local one again.

        What an earlier kernel published under its key is taken back too. What the server still
        keeps for it comes when it is published again within a week. Idempotent.

        Raises
        ------
        PublicationError
            The registration cannot be written.
        """
        self._hosting.publication.withdraw(self.key)

    @property
    def published(self) -> bool:
        """Whether it is reached through the Jupyter server; see :meth:`publish`."""
        return self._hosting.publication.url(self.key) is not None

    # -- what it received ----------------------------------------------------------------------

    @property
    def deliveries(self) -> pd.DataFrame:
        """Every request that is kept, accepted or refused, oldest first, indexed by id.

        Columns: received_at, method, subpath, content_type, size (bytes), remote, outcome, reason,
        status (of the response), duration_ms, query. No head and no body is read for it:
        ``hook.frame("deliveries", body=True)`` has ``headers``, with credentials masked, and
        ``body`` as well, :attr:`variables` their values.
        """
        return self._described("deliveries", self._frames.deliveries())

    @property
    def executions(self) -> pd.DataFrame:
        """Every execution, indexed by id, which is that of its delivery.

        Columns: delivery, revision, status, reason, started_at, finished_at, duration_ms,
        response_status, missing (configured variables that the request did not have), recovered.
        """
        return self._described("executions", self._frames.executions())

    @property
    def variables(self) -> pd.DataFrame:
        """The variables of every accepted delivery: received_at, then a column each.

        Without configured variables: the leaves of all queries and bodies, most frequent first, at
        most 500; how many were left out stands in ``attrs["left_out"]``. Headers are shown where
        they are configured.
        """
        made = self._frames.variables(self.workflow.trigger)
        return self._described("variables", made)

    @property
    def jobs(self) -> pd.DataFrame:
        """Every run of every node.

        Columns: execution, node, type, status, started_at, finished_at, duration_ms, result,
        output (what it printed), error.
        """
        return self._described("jobs", self._frames.jobs())

    def frame(
        self,
        kind: Literal["deliveries", "executions", "variables", "jobs"],
        *,
        last: int | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        where: str | None = None,
        columns: Sequence[str] | None = None,
        body: bool = False,
    ) -> pd.DataFrame:
        """Return a window of one of the four frames, oldest first; only its rows are read.

        Blocks while it reads. Rows are selected by the delivery that they belong to: first those of
        the time and the filter, then the newest ``last`` of them. An interrupt while the filter
        searches gives what was found so far, as in :meth:`search`.

        Parameters
        ----------
        kind
            ``deliveries``, ``executions``, ``variables`` or ``jobs``: the frame.
        last
            The number of rows; ``None`` for all.
        since, until
            The deliveries received then or later, and before that: an aware ``datetime``, or text
            such as ``2026-01-31T12:00:00+00:00``.
        where
            A filter of deliveries, as in :meth:`search`.
        columns
            The columns, in this order; ``None`` for all. Only these are extracted.
        body
            Whether ``deliveries`` has the columns ``headers`` and ``body`` too, which takes the
            time to parse them; beside ``columns``, whether it has ``body``.

        Returns
        -------
        DataFrame
            As the property of that name has it, with the types of these rows alone. Variables that
            are not configured are those of these rows. ``attrs`` has ``hook``, ``kind``,
            ``revision``, ``window`` (the arguments given) and ``rows``; of ``deliveries`` also
            ``body``, whether it has them.

        Raises
        ------
        SettingError
            An argument is invalid.
        StoreError
            The store cannot be read.
        """
        from hooknb.history.frame_windows import KINDS, Window  # a hook is made without it

        if kind not in KINDS:
            raise SettingError("kind", f"{kind!r} is not a frame; they are {', '.join(KINDS)}")
        if body and kind != "deliveries":
            raise SettingError("body", f"{kind} has no bodies; ask for those of 'deliveries'")
        names = _checked_columns(columns)
        if body and names is not None and "body" not in names:
            names = [*names, "body"]
        window = Window(last=last, since=since, until=until, where=where)
        frames, trigger = self._frames, self.workflow.trigger
        if kind == "deliveries" and names is None and not body:
            names = frames.delivery_columns
        ids, stopped = window.ids(self._store, self._workflow_id, kind)
        made = frames.window(kind, trigger, ids, names)
        return self._described(kind, made, window.description, stopped)

    def to_arrow(
        self,
        kind: Literal["deliveries", "executions", "variables", "jobs"],
        **window: Unpack[FrameWindow],
    ) -> Any:
        """Return what :meth:`frame` does as a ``pyarrow.Table``, with the index as column ``id``.

        Types do not depend on what else a library would infer: times are ``timestamp[us, UTC]``,
        whole numbers beyond 64 bits ``decimal128(38, 0)``, categories dictionaries, and what is
        missing is null. Objects, lists, whole numbers of more than 38 digits and columns of
        several types are JSON text, where a lone null is not told from a missing value; their
        fields have the metadata ``hooknb: json``.

        Parameters
        ----------
        kind, **window
            As of :meth:`frame`. Blocks while it reads.

        Raises
        ------
        SettingError
            An argument is invalid, or pyarrow is not installed: ``pip install "hooknb[parquet]"``.
        StoreError
            The store cannot be read.
        """
        from hooknb.history.arrow_tables import as_arrow  # a hook is made without it

        return as_arrow(self.frame(kind, **window))

    def to_polars(
        self,
        kind: Literal["deliveries", "executions", "variables", "jobs"],
        **window: Unpack[FrameWindow],
    ) -> Any:
        """Return what :meth:`to_arrow` does as a ``polars.DataFrame``.

        Raises
        ------
        SettingError
            As of :meth:`to_arrow`; Polars is installed by ``pip install "hooknb[polars]"``.
        StoreError
            The store cannot be read.
        """
        from hooknb.history.arrow_tables import as_polars  # a hook is made without it

        return as_polars(self.frame(kind, **window))

    def to_duckdb(
        self,
        kind: Literal["deliveries", "executions", "variables", "jobs"],
        **window: Unpack[FrameWindow],
    ) -> Any:
        """Return what :meth:`to_arrow` does as a relation of DuckDB's default connection.

        Raises
        ------
        SettingError
            As of :meth:`to_arrow`; DuckDB is installed by ``pip install "hooknb[duckdb]"``.
        StoreError
            The store cannot be read.
        """
        from hooknb.history.arrow_tables import as_duckdb  # a hook is made without it

        return as_duckdb(self.frame(kind, **window))

    def delivery(self, id: int) -> Delivery:
        """Return one delivery with everything, its raw bytes too.

        Raises
        ------
        RecordNotFoundError
            There is no such delivery of this hook.
        """
        self._flush()
        return self._store.delivery(self._workflow_id, as_id(id))

    def execution(self, id: int) -> Execution:
        """Return one execution with its jobs.

        Raises
        ------
        RecordNotFoundError
            It is not one of this hook's.
        """
        self._flush()
        return self._store.execution(self._workflow_id, as_id(id))

    def search(self, text: str, limit: int | None = None) -> pd.DataFrame:
        """Return the deliveries that a filter finds, oldest first, with ``headers`` and ``body``.

        Blocks while it searches: a second or two for a text or an expression in 100,000
        deliveries; for a text less where the runtime has a ``text_index``. An interrupt gives what
        was found so far, the newest; a warning and ``attrs["stopped"]`` say where it stopped.

        Parameters
        ----------
        text
            A status (``4xx``, ``>=400``), an outcome (``refused``), an expression in CEL
            (``body.amount > 100``), or any other text, which is searched for in method, reason,
            query and body; see :func:`hooknb.history.table.compile_filter`.
        limit
            Only the newest ``limit`` of them; ``None`` for all.

        Raises
        ------
        SettingError
            The text is not a filter, and why; or the limit is not a number.
        StoreError
            The store cannot be read.
        """
        found, stopped = self._matching(text, limit)
        frame = self._frames.window("deliveries", self.workflow.trigger, found)
        asked = {"where": text} if limit is None else {"last": limit, "where": text}
        return self._described("deliveries", frame, asked, stopped)

    def export(
        self, path: str | os.PathLike[str], format: str | None = None, *, secrets: bool = False
    ) -> int:
        """Write every delivery that is kept to a file, refused ones too, oldest first.

        Blocks until all is written. A file of that name is replaced once the new one is complete.

        Parameters
        ----------
        path
            ``.jsonl`` keeps everything, every byte, and can be sent again by :meth:`replay`.
            ``.har`` is the archive of browsers' network tools; ``.parquet`` is for tables, and
            needs ``pip install "hooknb[parquet]"``.
        format
            ``jsonl``, ``har`` or ``parquet``; ``None`` for that of the suffix.
        secrets
            Whether to write credentials in headers as they came; they are masked otherwise. Bodies
            and queries are written as they came in any case.

        Returns
        -------
        int
            How many were written.

        Raises
        ------
        SettingError
            There is no such format, its package is not installed, or the file cannot be written.
        StoreError
            The store cannot be read; there is no new file then.
        """
        from hooknb.history.exports import export  # a hook is made without it

        return export(self._each(), path, format, secrets=secrets)

    def archive(
        self,
        path: str | os.PathLike[str],
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        secrets: bool = False,
    ) -> int:
        """Write what it received into a folder of Parquet files by month, to be kept.

        :func:`hooknb.open` reads it back as frames, and so does whatever reads Parquet: there are
        ``deliveries/2026-11.parquet`` (bodies and heads byte for byte, with their responses),
        ``executions/2026-11.parquet`` and ``jobs/2026-11.parquet``, by the month in which the
        delivery was received, UTC. Called again, only months that have something new, or lack a
        file, are written. What the store has deleted meanwhile stays in the archive, and nothing is
        deleted from the store: ``keep_days``, ``keep_deliveries`` and ``keep_bytes`` do that. Files
        are readable by their owner only, and each is whole: where this is interrupted, it can be
        called again; one process at a time writes an archive. Blocks until all is written. Needs
        ``pip install "hooknb[parquet]"``.

        Parameters
        ----------
        path
            The folder, a new one or an archive of this hook.
        since, until
            The deliveries received then or later, and before that, as of :meth:`frame`.
        secrets
            Whether to write credentials in headers as they came; they are masked otherwise. Bodies
            and queries are written as they came in any case.

        Returns
        -------
        int
            How many deliveries are new in it.

        Raises
        ------
        SettingError
            The folder cannot be written, is not an archive or that of another hook, a file in it
            is damaged, or pyarrow is not installed.
        StoreError
            The store cannot be read.
        """
        from hooknb.history.exports.archive import archive  # a hook is made without it
        from hooknb.history.frame_windows import Window

        window = Window(since=since, until=until)
        self._flush()
        return archive(
            self._store,
            self._workflow_id,
            path,
            name=self.name,
            key=self.key,
            revision=self.revision,
            trigger=self.workflow.trigger,
            since=window.since_us,
            until=window.until_us,
            secrets=secrets,
        )

    def clear(self) -> None:
        """Delete what it received: deliveries, executions, jobs, and what is still queued.

        Blocks until the store has written it.

        Raises
        ------
        ServerError
            The hook is closed.
        StoreError
            The store cannot be written.
        """
        self._check_open()
        self._hosting.forget(self._state)
        self._store.clear(self._workflow_id)

    # -- requests to it ------------------------------------------------------------------------

    def send(
        self,
        *,
        json: Any = MISSING,
        data: str | bytes | Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        params: str | Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        method: str = "POST",
        timeout: float = 60.0,
    ) -> HttpResponse:
        """Send a real HTTP request to this hook's own URL, with its credentials.

        It goes to :attr:`local_url`, also while the hook is published. Blocks until the
        response is there; a synchronous hook responds without the calling thread.

        Parameters
        ----------
        json
            Sent as ``application/json``.
        data
            Bytes or text as they are; a mapping or pairs as a form.
        params
            The query: pairs, a mapping, or text that stands behind ``?`` as it is.
        headers
            By name, or pairs. They replace those that are made here, ``Authorization`` too.
        method
            Of the request.
        timeout
            Seconds.

        Returns
        -------
        HttpResponse
            ``status``, ``headers``, ``body`` (bytes), ``text`` and ``json()``.

        Raises
        ------
        ServerError
            There was no response in time, or the call was made on the server's own thread, which
            could not respond to itself.
        """
        with self._waiting("send"):
            return send(
                self.local_url,
                auth=self.workflow.trigger.auth,
                method=method,
                json=json,
                data=data,
                params=params,
                headers=headers,
                timeout=timeout,
                sent_at=self._hosting.clock.now(),
            )

    def send_sample(self, timeout: float = 60.0) -> HttpResponse:
        """Send a test request built from the samples of the variables, with the hook's credentials.

        Body, query and headers are built from the samples of their variables, in a media type that
        the hook accepts. Where no variable of the body has a sample, the body is that of the newest
        accepted delivery, or ``{}``. Headers that carry credentials are left out. Blocks until the
        response is there.

        Parameters
        ----------
        timeout
            Seconds.

        Raises
        ------
        SettingError
            A sample cannot be sent where it belongs.
        ServerError
            There was no response in time, the hook is closed, or the call was made on the server's
            own thread.
        StoreError
            The store cannot be read.
        """
        self._check_open()
        return self._exchange("send_sample", self._sample(), timeout)

    @overload
    def replay(self, what: int, *, timeout: float = 60.0) -> HttpResponse: ...

    @overload
    def replay(
        self, what: str | os.PathLike[str] | Iterable[int], *, timeout: float = 60.0
    ) -> list[HttpResponse]: ...

    def replay(
        self, what: int | str | os.PathLike[str] | Iterable[int], *, timeout: float = 60.0
    ) -> HttpResponse | list[HttpResponse]:
        """Send deliveries to this hook again: their method, query, header fields and raw bytes.

        Each becomes a delivery of its own. Connection fields, ``Host``, ``Content-Length`` and the
        credentials that came with it are left out, as are headers that an export masked; the
        hook's own credentials are sent. They are sent one after the other. Blocks until the last
        response is there.

        Parameters
        ----------
        what
            The id of a delivery; several ids, in their order; a filter as of :meth:`search`
            (``"accepted"``, ``"body.amount > 100"``), oldest first; or a file that :meth:`export`
            wrote as JSON lines: a path object, or text that ends in ``.jsonl`` or ``.ndjson``.
        timeout
            Seconds to wait for each response.

        Returns
        -------
        HttpResponse or list of HttpResponse
            One for an id; else a list, in the order of sending.

        Raises
        ------
        RecordNotFoundError
            There is no such delivery of this hook.
        SettingError
            The text is not a filter, the file cannot be read, or a delivery was refused and its
            body is not kept whole; nothing was sent.
        ServerError
            There was no response in time, the hook is closed, or the call was made on the server's
            own thread.
        StoreError
            The store cannot be read.
        """
        self._check_open()
        if isinstance(what, os.PathLike) or (isinstance(what, str) and what.endswith(_FILES)):
            return self._replay_file(os.fspath(what), timeout)
        if isinstance(what, str):
            ids, stopped = self._matching(what, None)
            if stopped is not None:
                raise KeyboardInterrupt(stopped)  # some of them are not what was asked for
        elif isinstance(what, Iterable):
            ids = [as_id(id) for id in what]
        else:
            return self._exchange("replay", self._again(self.delivery(what)), timeout)
        for id in ids:
            self._again(self.delivery(id))  # none is sent where one cannot be
        return [self._exchange("replay", self._again(self.delivery(id)), timeout) for id in ids]

    def _replay_file(self, path: str, timeout: float) -> list[HttpResponse]:
        from hooknb.history.exports import read_lines  # a hook is made without it

        for delivery in read_lines(path):
            try:
                self._again(delivery)
            except SettingError as error:
                raise SettingError(
                    f"{path}, {error.setting}",
                    f"{error.problem}; take its line out of the file",
                ) from None
        return [
            self._exchange("replay", self._again(delivery), timeout)
            for delivery in read_lines(path)
        ]

    def curl(self, id: int | None = None) -> str:
        """Return a shell command that sends a test to :attr:`url`, or a delivery again.

        It is for a POSIX shell with curl and sends the bytes of the body exactly: those that are
        not printable text through ``printf``, four characters for each byte. It holds the
        password, in plain text: do not leave it in a saved notebook.

        Parameters
        ----------
        id
            Of the delivery that :meth:`replay` would send; ``None`` for what :meth:`send_sample`
            would.

        Raises
        ------
        RecordNotFoundError
            There is no such delivery of this hook.
        SettingError
            The delivery was refused and its body not kept whole, or a sample cannot be sent.
        StoreError
            The store cannot be read.
        """
        request = self._sample() if id is None else self._again(self.delivery(id))
        if self.workflow.trigger.auth is not None:
            request = self.workflow.trigger.auth.apply(
                replace(request, url=self.url, sent_at=self._hosting.clock.now())
            )
        return curl.command(self.url, request)

    def _again(self, delivery: Delivery) -> Outgoing:
        return of_delivery(delivery, self.workflow.trigger.auth)

    def _sample(self) -> Outgoing:
        return of_samples(self.workflow.trigger, lambda: next(self._accepted(), None))

    def _exchange(self, call: str, request: Outgoing, timeout: float) -> HttpResponse:
        with self._waiting(call):
            return exchange(
                self.local_url,
                replace(request, sent_at=self._hosting.clock.now()),
                auth=self.workflow.trigger.auth,
                timeout=timeout,
            )

    @contextmanager
    def _waiting(self, call: str) -> Iterator[None]:
        """Wait for a response, unless the calling thread is the one that would make it."""
        self._check_open()
        if self._hosting.is_current:
            message = (
                f"hook.{call}() waits for the thread that it was called on; in an async node, "
                f"use `await asyncio.to_thread(hook.{call}, …)`"
            )
            raise ServerError(message)
        with self._hosting.lent_worker():
            yield

    # -- waiting -------------------------------------------------------------------------------

    def wait(self, n: int | None = None, timeout: float | None = 30) -> None:
        """Wait until ``n`` deliveries have arrived since this call and all executions have ended.

        Blocks the calling thread. Refused deliveries count too; those that arrived before the call
        do not: :meth:`wait_for` finds those.

        Parameters
        ----------
        n
            Deliveries to wait for, or ``None`` to wait for the executions only.
        timeout
            Seconds, or ``None`` for ever.

        Raises
        ------
        WaitTimeoutError
            (a ``TimeoutError``) with what had arrived instead.
        ServerError
            The hook is closed, or it was called on the server's own thread.
        """
        self._check_open()
        if self._hosting.is_current:
            raise ServerError(
                "hook.wait() would block the thread that it waits for; call it from a cell"
            )
        state, timeout = self._state, checked_timeout(timeout)
        more = 0 if n is None else checked_count(n, 0)
        with state.changed:
            before = state.arrived
            target = before + more
            done = state.changed.wait_for(
                lambda: state.closed or (state.arrived >= target and state.unfinished == 0),
                timeout,
            )
            came, unfinished = state.arrived - before, state.unfinished
        if self._state.closed:
            message = (
                f"hook {self.name!r} was closed during the wait; make it again to wait for more"
            )
            raise ServerError(message)
        if not done:
            wanted = "" if n is None else f"{came} of {n} more deliveries arrived; "
            message = (
                f"{self.name}: after {timeout:g} s {wanted}{unfinished} executions are queued or "
                f"running ({before} deliveries had arrived before the call). Send them before this "
                "call from another thread or cell, or set a longer timeout."
            )
            raise WaitTimeoutError(message)

    @overload
    def wait_for(
        self, text: str = "", n: Literal[1] = 1, timeout: float | None = 10
    ) -> Delivery: ...

    @overload
    def wait_for(
        self, text: str = "", n: int = ..., timeout: float | None = 10
    ) -> Delivery | list[Delivery]: ...

    def wait_for(
        self, text: str = "", n: int = 1, timeout: float | None = 10
    ) -> Delivery | list[Delivery]:
        """Wait until ``n`` deliveries that a filter finds are kept, and their executions ended.

        Blocks the calling thread. Deliveries that are kept already count, also those of earlier
        sessions on the same store; :meth:`clear` deletes them. Refused ones count where the filter
        finds them.

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
            (a ``TimeoutError``) with a table of what arrived instead, at most ten rows.
        SettingError
            The text is not a filter, or ``n`` is not a number from 1.
        ServerError
            The hook is closed, or it was called on the server's own thread.
        StoreError
            The store cannot be read.
        """
        from hooknb.history.waiting import wait_for  # a hook is made without it

        __tracebackhide__ = True  # pytest shows the line of the test
        with self._waiting("wait_for"):
            found = wait_for(self._store, self._state, text, n, timeout)
        return found[0] if n == 1 else found

    async def next(self, timeout: float | None = None) -> Delivery:
        """Wait for the next delivery and return it; for ``await hook.next()`` in a cell.

        Nothing is blocked: other coroutines of the caller's loop run meanwhile.

        Parameters
        ----------
        timeout
            Seconds, or ``None`` for ever.

        Raises
        ------
        WaitTimeoutError
            (a ``TimeoutError``) if none arrived within ``timeout`` seconds.
        ServerError
            The hook is closed, or was closed during the wait.
        """
        self._check_open()
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
            message = (
                f"{self.name}: no delivery arrived within {timeout:g} s; send one, or set a longer "
                "timeout"
            )
            raise WaitTimeoutError(message) from None
        finally:
            self._state.listeners.remove(listen)
        if number is None:
            message = (
                f"hook {self.name!r} was closed during the wait; make it again to wait for more"
            )
            raise ServerError(message)
        return self.delivery(number)

    # -- executions and the end ----------------------------------------------------------------

    def cancel(self, id: int) -> bool:
        """End an execution that is queued or running; it is kept as aborted, ``cancelled``.

        A plain function that is running cannot be stopped: it is left behind, and its job says
        aborted. Blocks until it is done.

        Returns
        -------
        bool
            False if it had ended already, or there is none.

        Raises
        ------
        RecordNotFoundError
            That is not an id.
        ServerError
            The hook is closed.
        """
        self._check_open()
        return self._hosting.cancel(self._state, as_id(id))

    def close(self) -> None:
        """Stop serving it; what it received stays in the store. Idempotent.

        What is still queued runs when the hook is made again. Blocks until running executions have
        ended, for the runtime's ``drain`` at most. Its panel stays where it is shown and says that
        it is closed, until the panel of a new hook of the same name is shown.
        """
        if not self._state.closed:
            self._runtime._stop_serving(self.name, self._state)  # noqa: SLF001 - which made this hook
            self._state.close()

    def delete(self) -> None:
        """Close it and delete it with all that it received; its name and URL are free again.

        Blocks until the store has written it. It cannot be undone: :meth:`export` first what is to
        be kept.

        Raises
        ------
        ServerError
            The hook is closed; :func:`hooknb.delete` deletes what is not served.
        StoreError
            The store cannot be written.
        """
        self._check_open()
        self._runtime.delete(self.name)

    def _check_open(self) -> None:
        if self._state.closed:
            message = f"hook {self.name!r} is closed; hooknb.webhook({self.name!r}) serves it again"
            raise ServerError(message)

    # -- reading -------------------------------------------------------------------------------

    @cached_property
    def _kept_frames(self) -> Frames:
        from hooknb.history.frames import Frames  # pandas takes half a second to load

        return Frames(self._store, self._workflow_id)

    @property
    def _frames(self) -> Frames:
        self._flush()
        return self._kept_frames

    def _described(
        self,
        kind: str,
        frame: pd.DataFrame,
        window: Mapping[str, Any] | None = None,
        stopped: str | None = None,
    ) -> pd.DataFrame:
        """Write into a frame's ``attrs`` what it holds, and say where its search was stopped."""
        frame.attrs |= {
            "hook": self.name,
            "kind": kind,
            "revision": self.revision,
            "window": dict(window or {}),
            "rows": len(frame),
        }
        if kind == "deliveries":
            frame.attrs["body"] = "body" in frame
        if stopped is not None:
            frame.attrs["stopped"] = stopped
            warnings.warn(stopped, stacklevel=3)
        return frame

    def _flush(self) -> None:
        """Wait until what is known to have happened can be read; blocks for some milliseconds."""
        if not self._state.closed:
            self._store.flush()

    def _matching(self, text: str, limit: int | None) -> tuple[list[int], str | None]:
        """Return the ids of what a filter finds, oldest first, and where it was interrupted."""
        from hooknb.history.table import Search, compile_filter  # a hook is made without it

        compiled = compile_filter(text)
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool)):
            raise SettingError(
                "limit", f"{limit!r} is not a whole number; write one such as 100, or None for all"
            )
        self._flush()
        search = Search(self._store, self._workflow_id, compiled)
        return search.run(limit), search.stopped

    def _each(self) -> Iterator[Delivery]:
        """Yield the deliveries that are kept, oldest first; they are read as they are due."""
        self._flush()
        store, workflow_id = self._store, self._workflow_id
        return store.deliveries(workflow_id, store.delivery_ids(workflow_id))

    def _accepted(self) -> Iterator[Delivery]:
        """Yield accepted deliveries, newest first: the last thousand, or 64 MiB of them."""
        from hooknb.store import queries  # a hook is made without it

        self._flush()
        rows = queries.read_newest_accepted(self._store, self._workflow_id, _MAX_EXAMINED)
        read = 0
        for number, size in rows:
            read += size
            if read > _MAX_EXAMINED_BYTES and number != rows[0][0]:
                return
            try:
                yield self._store.delivery(self._workflow_id, number)
            except RecordNotFoundError:
                return  # cleared meanwhile

    def _newest(self, part: str, path: str) -> Any:
        """Return a variable's value in the newest accepted delivery that has it, or ``MISSING``."""
        for delivery in self._accepted():
            try:
                if part == "headers":
                    value = delivery.header_map.get(path, MISSING)
                else:
                    whole = delivery.query if part == "query" else delivery.body_or_missing
                    value = paths.get(whole, path)
            except PayloadError:
                continue
            if value is not MISSING:
                return value
        return MISSING

    # -- how it looks --------------------------------------------------------------------------

    def watch(self) -> Watch:
        """Return what a view shows of it: counts, rows and details as small plain data.

        It is what :attr:`panel` is made of, and what a view of one's own can be.
        """
        from hooknb.history.watching import Watch  # a hook is made without it

        return Watch(
            self._store,
            self._workflow_id,
            self._state,
            lambda: self.workflow.trigger,
            lambda: self._masked_url,
        )

    @cached_property
    def panel(self) -> HookPanel:
        """Its panel: a widget, one for all the cells that show it."""
        from hooknb.ui import HookPanel  # ipywidgets take a third of a second to load

        return HookPanel(self)

    def __repr__(self) -> str:
        """Say what it is, without secrets; the key of its URL is one. :attr:`url` has it."""
        return _as_text(self._summary())

    def _repr_html_(self) -> str:
        return _as_html(self._summary())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Show the panel in a kernel; where widgets cannot be shown, the summary is.

        The bundle is saved with the notebook: it holds what the summary says, and the panel's
        number.
        """
        summary = self._summary()
        shown = {"text/plain": _as_text(summary), "text/html": _as_html(summary)}
        ipython = sys.modules.get("IPython")
        shell = None if ipython is None else ipython.get_ipython()
        return {**shown, **self.panel.view()} if getattr(shell, "kernel", None) else shown

    def _summary(self) -> list[tuple[str, str]]:
        """List what it is, as pairs of a label and a text, without secrets.

        The key is masked too: the summary is saved with a notebook and read by others.
        """
        try:
            counts = self._store.counts(self._workflow_id)
            deliveries = f"{counts.deliveries}, {counts.refused} of them refused"
        except StoreError as error:
            deliveries = f"not readable: {error}"
        workflow, trigger = self.workflow, self.workflow.trigger
        url = f"{self.url.rpartition('/')[0]}/{MASK}"
        if trigger.auth is not None:
            url = trigger.auth.apply_to_url(url, masked=True)
        return [
            ("hook", f"{self.name} ({self.status})"),
            ("url", f"{', '.join(trigger.methods)} {url}"),
            ("mode", "synchronous" if workflow.sync else "asynchronous"),
            ("revision", str(self.revision)),
            ("deliveries", deliveries),
        ]


def as_id(id: Any) -> int:
    """Take an id, a whole number of Python's or of numpy's."""
    try:
        number = operator.index(id)
    except TypeError:
        raise RecordNotFoundError(
            f"{id!r} is not an id; write a number from the index of a frame"
        ) from None
    if not 0 < number < 2**63:
        raise RecordNotFoundError(
            f"{number} is not an id; ids count from 1, see the index of a frame"
        )
    return number


def _checked_columns(columns: object) -> list[str] | None:
    if columns is None:
        return None
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise SettingError(
            "columns", f"{columns!r} is not a list; write the names of columns in []"
        )
    names = list(columns)
    for name in names:
        if not isinstance(name, str):
            raise SettingError("columns", f"{name!r} is not the name of a column")
    return list(dict.fromkeys(names))


def _as_text(rows: list[tuple[str, str]]) -> str:
    """Write a summary as lines of text."""
    return "\n".join(f"{label:<11}{text}" for label, text in rows)


def _as_html(rows: list[tuple[str, str]]) -> str:
    """Write a summary as a table; whatever it says is text there."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for label, text in rows
    )
    return f"<table>{cells}</table>"
