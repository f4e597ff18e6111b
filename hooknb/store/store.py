"""The store: deliveries and their outcomes, on disk before anybody is told."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import and_, bindparam, delete, exists, func, insert, null, or_, select, update
from sqlalchemy.exc import DatabaseError

from hooknb._clock import Clock, moment
from hooknb.errors import RecordNotFoundError, StoreError, StoreUnavailableError
from hooknb.payloads.charsets import has_control
from hooknb.records import Delivery, Execution
from hooknb.store.database import file_identity, is_damage, open_database
from hooknb.store.operations import NewDelivery, Operation
from hooknb.store.ownership import Ownership
from hooknb.store.retention import Limits, Retention
from hooknb.store.schema import (
    deliveries,
    executions,
    jobs,
    revisions,
    workflows,
)
from hooknb.store.segments import Segments
from hooknb.store.single import read_deliveries, read_delivery, read_execution
from hooknb.store.space import clear, delete_received
from hooknb.store.text_index import TextIndex, check_setting, is_indexed
from hooknb.store.writer import Writer

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select

    from hooknb.store.segments import Variables
    from hooknb.store.writer import Transaction

__all__ = ["Counts", "Definition", "Size", "Store", "Stored", "StoredRevision"]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """How a workflow stands in the store.

    Attributes
    ----------
    workflow_id
        Its number in this store.
    key
        The secret part of its URL.
    revision
        The number of its current revision, from 1.
    enabled
        Whether it takes deliveries.
    """

    workflow_id: int
    key: str
    revision: int
    enabled: bool


_NO_LIMITS: Final = Limits()
_MAX_IDS: Final = 10_000  # of one statement
_CURRENT: Final = and_(
    revisions.c.workflow_id == workflows.c.id, revisions.c.number == workflows.c.current
)


class StoredRevision(NamedTuple):
    """A revision as it stands: its number, when it was made, its definition."""

    number: int
    created_at: datetime
    definition: bytes


class Totals(NamedTuple):
    """How many workflows a store has, and how many deliveries are kept of all of them."""

    workflows: int
    deliveries: int


class Size(NamedTuple):
    """What is kept of a workflow: how many deliveries, the bytes of their heads and bodies."""

    workflow_id: int
    name: str
    deliveries: int
    bytes: int


class Stored(NamedTuple):
    """A workflow as it stands: its current definition, its switch, its key, and its last port."""

    definition: bytes
    enabled: bool
    key: str
    port: int | None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many deliveries of a workflow are kept, and how many of them were refused."""

    deliveries: int
    refused: int


class Store:
    """Deliveries, executions, jobs and definitions, in SQLite.

    Writes are submitted from any thread and done by one; reads are done in the calling thread
    and see everything that was submitted before :meth:`flush`.

    Parameters
    ----------
    target
        A path, ``sqlite:///path`` or ``":memory:"``.
    stored
        Called on the writer's thread with the deliveries of each transaction.
    clock
        Of the runtime; the system's by default. With a fixed one keys are made of names.
    max_kept_response
        Bytes of a response's body that are kept; ``None`` for all.
    limits
        What is kept of all workflows together.
    text_index
        Whether it has an index of texts; ``None`` leaves that as it is.
    kept_columns
        Whether the columns of frames are kept, see :mod:`hooknb.store.segments`.

    Raises
    ------
    SettingError
        SQLite has no such index.
    StoreError
        The store cannot be opened; nothing was changed.
    """

    def __init__(
        self,
        target: str | os.PathLike[str],
        stored: Callable[[list[NewDelivery]], None],
        clock: Clock | None = None,
        *,
        max_kept_response: int | None = None,
        limits: Limits = _NO_LIMITS,
        text_index: bool | None = None,
        kept_columns: bool = False,
    ) -> None:
        check_setting(text_index)
        self._clock = clock or Clock()
        database = open_database(target, self._clock)
        self.path = database.path
        self._reading = database.reading
        self._guard = database.guard
        self._anchor = database.anchor
        self._ownership = Ownership(database.path)
        self._files = {}
        if self.path is not None:
            # What was stored last is in the log alone.
            log = self.path.with_name(f"{self.path.name}-wal")
            self._files = {self.path: database.identity, log: file_identity(log)}
        self._retention = Retention(self._clock, limits)
        self._index = TextIndex(is_on=is_indexed(database.writing))
        self._segments = Segments(is_on=kept_columns)
        self._writer = Writer(
            database.writing,
            database.guard,
            stored,
            self._clock,
            (self._retention, self._index, self._segments),
            is_there=None if database.path is None else lambda: self.is_there,
            max_kept_response=max_kept_response,
        )
        self.owner = self._ownership.token
        self._is_gone = False
        if text_index is not None:
            try:
                self._writer.run(partial(self._index.switch, on=text_index))
            except BaseException:
                self.close()
                raise
        self._writer.submit([])  # one that waits for nothing looks what there is to do

    @property
    def is_there(self) -> bool:
        """Whether its file and its log are those that were opened: not deleted, not replaced."""
        return all(file_identity(path) == known for path, known in self._files.items())

    @property
    def clock(self) -> Clock:
        """The time that its records go by."""
        return self._clock

    def submit(self, *operations: Operation) -> None:
        """Submit writes; returns at once, from any thread."""
        self._writer.submit(list(operations))

    def flush(self) -> None:
        """Wait until everything submitted so far is on disk, or waits for a locked store."""
        self._writer.call(None)

    def close(self) -> None:
        """Write what was submitted and close; blocks until then. Idempotent."""
        self._writer.close()
        self._is_gone = self.path is None
        if self._anchor is not None:
            self._anchor.close()
        self._reading.dispose()
        self._ownership.release()

    def forget(self) -> None:
        """Let go of what a forked child must not hold; its parent goes on with it."""
        self._ownership.forget()

    # -- definitions ----------------------------------------------------------------------------

    def define(self, name: str, definition: bytes, *, enabled: bool) -> Definition:
        """Make ``definition`` the current revision of the workflow of that name.

        A new workflow gets a new key; an equal definition makes no new revision.
        """

        def write(connection: Connection) -> Definition:
            found = connection.execute(
                select(workflows.c.id, workflows.c.key, workflows.c.current, revisions.c.definition)
                .join(revisions, _CURRENT)
                .where(workflows.c.name == name)
            ).one_or_none()
            now = self._clock.now()
            if found is None:
                key, number = self._new_key(name), 1
                made = insert(workflows).values(
                    name=name, key=key, enabled=enabled, current=number, created_at=now
                )
                [workflow_id] = connection.execute(made.returning(workflows.c.id)).one()
            else:
                workflow_id, key, number, _ = found
            if found is None or found.definition != definition:
                # The current one may be an earlier one; numbers are never given again.
                last = select(func.coalesce(func.max(revisions.c.number), 0)).where(
                    revisions.c.workflow_id == workflow_id
                )
                number = connection.execute(last).scalar_one() + 1
                connection.execute(
                    insert(revisions).values(
                        workflow_id=workflow_id,
                        number=number,
                        definition=definition,
                        created_at=now,
                    )
                )
            connection.execute(
                update(workflows)
                .where(workflows.c.id == workflow_id)
                .values(enabled=enabled, current=number)
            )
            return Definition(workflow_id=workflow_id, key=key, revision=number, enabled=enabled)

        made: Definition = self._writer.call(write)
        return made

    def _new_key(self, name: str) -> str:
        if not self._clock.is_fixed:
            return secrets.token_urlsafe(16)  # 128 bits
        # As long as a secret one, and the same in every run.
        digest = hashlib.sha256(name.encode()).digest()
        return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")

    def current(self, name: str) -> Stored | None:
        """Return the workflow of that name as it stands, where there is one."""
        if has_control(name):
            return None  # no workflow has such a name, and SQLite takes no half of a character
        rows = self.fetch(
            select(revisions.c.definition, workflows.c.enabled, workflows.c.key, workflows.c.port)
            .join_from(workflows, revisions, _CURRENT)
            .where(workflows.c.name == name)
        )
        return Stored(*rows[0])._replace(enabled=bool(rows[0].enabled)) if rows else None

    def names(self) -> list[str]:
        """Return the names of the workflows, in the order in which they were made."""
        return list(self.workflow_names().values())

    def workflow_names(self) -> dict[int, str]:
        """Return the names of the workflows by their ids, in the order in which they were made."""
        rows = self.fetch(select(workflows.c.id, workflows.c.name).order_by(workflows.c.id))
        return {row.id: row.name for row in rows}

    def ports(self) -> dict[str, int]:
        """Return the port on which each workflow was served last, where it was."""
        found = select(workflows.c.name, workflows.c.port).where(workflows.c.port.is_not(None))
        return {row.name: row.port for row in self.fetch(found.order_by(workflows.c.port))}

    def revisions(self, workflow_id: int) -> list[StoredRevision]:
        """Return every revision, oldest first."""
        rows = self.fetch(
            select(revisions.c.number, revisions.c.created_at, revisions.c.definition)
            .where(revisions.c.workflow_id == workflow_id)
            .order_by(revisions.c.number)
        )
        return [StoredRevision(number, moment(created), data) for number, created, data in rows]

    def set_revision(self, workflow_id: int, number: int) -> None:
        """Make an earlier revision the current one again.

        Raises
        ------
        RecordNotFoundError
            The workflow has no revision of that number.
        """

        def write(connection: Connection) -> int:
            is_there = exists().where(
                revisions.c.workflow_id == workflow_id, revisions.c.number == number
            )
            return connection.execute(
                update(workflows)
                .where(workflows.c.id == workflow_id, is_there)
                .values(current=number)
            ).rowcount

        if not self._writer.call(write):
            message = f"there is no revision {number} of this hook; hook.revisions lists them"
            raise RecordNotFoundError(message)

    def enable(self, workflow_id: int, *, enabled: bool) -> None:
        """Remember whether a workflow takes deliveries."""
        self._change(workflow_id, enabled=enabled)

    def remember_port(self, workflow_id: int, port: int) -> None:
        """Remember the port on which a workflow is served."""
        self._change(workflow_id, port=port)

    def _change(self, workflow_id: int, **values: int) -> None:
        statement = update(workflows).where(workflows.c.id == workflow_id).values(values)
        self._writer.call(lambda connection: connection.execute(statement))

    def change(self, function: Callable[[Connection], Any]) -> Any:
        """Run a function of the connection in a transaction, and wait for it; for this package."""
        return self._writer.call(function)

    def clear(self, workflow_id: int) -> None:
        """Delete the deliveries, responses, executions and jobs of a workflow.

        What they took is given back to the disk, also where that is full.
        """
        self._writer.run(
            lambda connection, transaction: clear(
                connection, transaction, self._ownership, workflow_id
            )
        )

    def limit(self, workflow_id: int, limits: Limits) -> None:
        """Set what is kept of a workflow while this store is open; returns at once.

        What is older or more is deleted in the background, but for what has not ended.
        """
        self._retention.limit(workflow_id, limits)
        self._writer.submit([])  # one that waits for nothing looks

    def keep_columns(self, workflow_id: int, variables: Variables | None) -> None:
        """Set which variables of a workflow are kept by columns; returns at once.

        They are made in the background. ``None`` makes no more of them.
        """
        self._segments.keep(workflow_id, variables)
        self._writer.submit([])  # one that waits for nothing looks

    def make_segments(self) -> None:
        """Make all segments that can be made, also while many send; blocks until then."""
        steps: list[Iterator[None]] = []

        def take_step(connection: Connection, transaction: Transaction) -> bool:
            if not steps:
                steps.append(self._segments.make_all(connection, transaction))
            return next(steps[0], self) is not self

        while self._writer.run(take_step):
            pass  # senders come between the steps

    def delete(self, name: str) -> None:
        """Delete a workflow with its revisions and everything it received.

        Its running executions leave nothing behind, and its number is never given again.

        Raises
        ------
        RecordNotFoundError
            There is no workflow of that name.
        """

        def write(connection: Connection) -> bool:
            found = select(workflows.c.id).where(workflows.c.name == name)
            workflow_id = connection.execute(found).scalar()
            if workflow_id is None:
                return False
            delete_received(connection, workflow_id)
            connection.execute(delete(revisions).where(revisions.c.workflow_id == workflow_id))
            connection.execute(delete(workflows).where(workflows.c.id == workflow_id))
            return True

        if has_control(name) or not self._writer.call(write):
            known = ", ".join(map(repr, self.names())) or "none"
            message = f"there is no workflow {name!r} in this store; it has {known}"
            raise RecordNotFoundError(message)

    # -- unfinished executions ---------------------------------------------------------------------

    def claim(self, workflow_id: int, revision: int) -> list[tuple[int, bool]]:
        """Take over the unfinished executions of runtimes that are gone.

        Return their ids in order, each with whether it had started and is therefore marked as
        recovered. They will run the given revision.
        """

        def write(connection: Connection) -> list[tuple[int, bool]]:
            rows = connection.execute(
                select(
                    executions.c.id,
                    executions.c.owner,
                    or_(executions.c.recovered != 0, executions.c.status == 0),
                )
                .where(executions.c.workflow_id == workflow_id, executions.c.owner.is_not(None))
                .order_by(executions.c.id)
            ).all()
            # Its own are either in memory or were given up by a hook that was closed; the caller
            # knows which.
            alive = {
                owner: owner != self.owner and self._ownership.is_alive(owner)
                for owner in {row[1] for row in rows}
            }
            mine = [(number, bool(again)) for number, owner, again in rows if not alive[owner]]
            if mine:
                taken = update(executions).where(
                    executions.c.workflow_id == workflow_id,
                    executions.c.id == bindparam("number"),
                )
                connection.execute(
                    taken.values(
                        owner=self.owner,
                        revision=revision,
                        started_at=null(),
                        status=null(),
                        recovered=bindparam("again"),
                    ),
                    [{"number": number, "again": again} for number, again in mine],
                )
                # They are run from their beginning; what they did before is not part of that.
                before = delete(jobs).where(
                    jobs.c.workflow_id == workflow_id, jobs.c.execution_id == bindparam("number")
                )
                connection.execute(before, [{"number": number} for number, _ in mine])
            return mine

        claimed: list[tuple[int, bool]] = self._writer.call(write)
        return claimed

    # -- reading --------------------------------------------------------------------------------

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with self._guard, self._reading.connect() as connection:
                yield connection
        except (sqlite3.DatabaseError, DatabaseError) as error:
            if is_damage(error):
                message = f"the store is damaged: {getattr(error, 'orig', error)}; close it and "
                raise StoreError(
                    f"{message}save what can be read: hooknb rescue {self.path} NEW"
                ) from error
            reason = "it was in memory and is closed" if self._is_gone else str(error)
            raise StoreUnavailableError(f"the store cannot be read: {reason}") from error

    def fetch(
        self, statement: Select[*tuple[Any, ...]], parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Read rows by SQLAlchemy, in the calling thread, in one snapshot; for this package."""
        with self._connected() as connection:
            return connection.execute(statement, parameters).all()

    def rows(
        self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Read rows by the driver itself, in the calling thread, in one snapshot."""
        with self._connected() as connection:
            # Frames read hundreds of thousands of rows at once.
            cursor = connection.connection.cursor()
            try:
                rows: list[tuple[Any, ...]] = cursor.execute(statement, parameters).fetchall()
            finally:
                cursor.close()
            return rows

    def counts(self, workflow_id: int) -> Counts:
        """Count the deliveries that are kept of a workflow."""
        counted = select(func.count(), func.count(deliveries.c.reason)).where(
            deliveries.c.workflow_id == workflow_id
        )
        [(total, refused)] = self.fetch(counted)
        return Counts(deliveries=total, refused=refused)

    def totals(self) -> Totals:
        """Count the workflows and the deliveries of all of them."""
        counted = select(func.count(), func.coalesce(func.sum(workflows.c.kept_deliveries), 0))
        [row] = self.fetch(counted)
        return Totals(*row)

    def sizes(self) -> list[Size]:
        """Return what is kept of each workflow, the largest first; costs a row for each."""
        kept = (workflows.c.kept_deliveries, workflows.c.kept_bytes)
        order = (workflows.c.kept_bytes.desc(), workflows.c.id)
        rows = self.fetch(select(workflows.c.id, workflows.c.name, *kept).order_by(*order))
        return [Size(*row) for row in rows]

    def file_bytes(self) -> tuple[int, int]:
        """Return the bytes of its file and of its log; 0 where there is none."""
        if self.path is None:
            return 0, 0
        paths = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        file, log = (path.stat().st_size if path.exists() else 0 for path in paths)
        return file, log

    def count_since(self, workflow_id: int, moment_us: int) -> int:
        """Return how many deliveries a workflow was given since a moment, deleted ones too.

        Found by halving the ids, which rise with the time: some twenty rows are read.

        Parameters
        ----------
        workflow_id
            Whose deliveries.
        moment_us
            Microseconds since 1970.
        """
        last = select(workflows.c.last_delivery).where(workflows.c.id == workflow_id)
        ids = range(self.fetch(last)[0][0])

        def is_new(before: int) -> bool:
            # Of ids that are gone the next one tells.
            at = (
                select(deliveries.c.received_at)
                .where(deliveries.c.workflow_id == workflow_id, deliveries.c.id > before)
                .order_by(deliveries.c.id)
                .limit(1)
            )
            rows = self.fetch(at)
            return not rows or rows[0].received_at >= moment_us

        first = bisect_left(ids, True, key=is_new)  # noqa: FBT003 - what is looked for
        return len(ids) - first

    def delivery_ids(self, workflow_id: int) -> Iterator[int]:
        """Yield the ids of the deliveries of a workflow, oldest first, as they are then."""
        last = 0
        while True:
            part = (
                select(deliveries.c.id)
                .where(deliveries.c.workflow_id == workflow_id, deliveries.c.id > last)
                .order_by(deliveries.c.id)
                .limit(_MAX_IDS)
            )
            ids = [row.id for row in self.fetch(part)]
            yield from ids
            if len(ids) < _MAX_IDS:
                return
            last = ids[-1]

    def deliveries(self, workflow_id: int, ids: Iterable[int]) -> Iterator[Delivery]:
        """Yield deliveries; as :func:`~hooknb.store.single.read_deliveries`."""
        return read_deliveries(self.rows, workflow_id, ids)

    def delivery(self, workflow_id: int, number: int) -> Delivery:
        """Read one delivery; as :func:`~hooknb.store.single.read_delivery`."""
        return read_delivery(self.rows, workflow_id, number)

    def execution(self, workflow_id: int, number: int) -> Execution:
        """Read one execution with its jobs; as :func:`~hooknb.store.single.read_execution`."""
        return read_execution(self.rows, workflow_id, number)
