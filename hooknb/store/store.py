"""The store: what came and what became of it, on disk before anybody is told."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.exc import DatabaseError

from hooknb._clock import Clock, moment
from hooknb.errors import RecordNotFoundError, StoreUnavailableError
from hooknb.payloads.charsets import has_control
from hooknb.records import Delivery, Execution
from hooknb.store.database import open_database
from hooknb.store.operations import NewDelivery, Operation
from hooknb.store.ownership import Ownership
from hooknb.store.schema import (
    deliveries,
    executions,
    fixed_responses,
    jobs,
    responses,
    revisions,
    workflows,
)
from hooknb.store.single import read_delivery, read_execution
from hooknb.store.writer import Writer

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Counts", "Definition", "Store", "Stored"]


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


class Stored(NamedTuple):
    """A workflow as it stands: the definition of its current revision, and its switch."""

    definition: bytes
    enabled: bool


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many deliveries of a workflow are kept, and how many of them were refused."""

    deliveries: int
    refused: int


class Store:
    """Deliveries, executions, jobs and definitions, in SQLite.

    Writes are asked for from any thread and done by one; reads are done in the calling thread
    and see everything that was submitted before :meth:`flush`.

    Parameters
    ----------
    target
        A path, ``sqlite:///path`` or ``":memory:"``.
    stored
        Called on the writer's thread with the deliveries of each transaction.
    clock
        Of the runtime; the system's by default. With a fixed one keys are made of names.

    Raises
    ------
    StoreError
        The store cannot be opened; nothing was changed.
    """

    def __init__(
        self,
        target: str | os.PathLike[str],
        stored: Callable[[list[NewDelivery]], None],
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        database = open_database(target, self._clock)
        self.path = database.path
        self._reading = database.reading
        self._guard = database.guard
        self._anchor = database.anchor
        self._ownership = Ownership(database.path)
        self._writer = Writer(database.writing, database.guard, stored, self._clock)
        self.owner = self._ownership.token
        self._is_gone = False

    def submit(self, *operations: Operation) -> None:
        """Ask for writes; returns at once, from any thread."""
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
            execute = connection.exec_driver_sql
            found = execute(
                "SELECT w.id, w.key, w.current, r.definition FROM workflows w JOIN revisions r "
                "ON r.workflow_id = w.id AND r.number = w.current WHERE w.name = ?",
                (name,),
            ).fetchone()
            now = self._clock.now()
            if found is None:
                key, number = self._new_key(name), 1
                workflow_id = execute(
                    "INSERT INTO workflows (name, key, enabled, current, created_at) "
                    "VALUES (?, ?, ?, ?, ?) RETURNING id",
                    (name, key, int(enabled), number, now),
                ).scalar_one()
            else:
                workflow_id, key, number, _ = found
            if found is None or found[3] != definition:
                # The current one may be an earlier one; numbers are never given again.
                number = execute(
                    "INSERT INTO revisions (workflow_id, number, definition, created_at) "
                    "SELECT ?, coalesce(max(number), 0) + 1, ?, ? FROM revisions "
                    "WHERE workflow_id = ? RETURNING number",
                    (workflow_id, definition, now, workflow_id),
                ).scalar_one()
            execute(
                "UPDATE workflows SET enabled = ?, current = ? WHERE id = ?",
                (int(enabled), number, workflow_id),
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
        """Give the workflow of that name as it stands, where there is one."""
        if has_control(name):
            return None  # no workflow has such a name, and SQLite takes no half of a character
        rows = self.rows(
            "SELECT r.definition, w.enabled FROM workflows w JOIN revisions r "
            "ON r.workflow_id = w.id AND r.number = w.current WHERE w.name = ?",
            (name,),
        )
        return Stored(rows[0][0], bool(rows[0][1])) if rows else None

    def names(self) -> list[str]:
        """Give the names of the workflows, in the order in which they were made."""
        return [name for (name,) in self.rows("SELECT name FROM workflows ORDER BY id")]

    def revisions(self, workflow_id: int) -> list[tuple[int, datetime, bytes]]:
        """Give number, time of creation and definition of every revision, oldest first."""
        rows = self.rows(
            "SELECT number, created_at, definition FROM revisions WHERE workflow_id = ? "
            "ORDER BY number",
            (workflow_id,),
        )
        return [(number, moment(created), data) for number, created, data in rows]

    def set_revision(self, workflow_id: int, number: int) -> None:
        """Make an earlier revision the current one again.

        Raises
        ------
        RecordNotFoundError
            The workflow has none of that number.
        """

        def write(connection: Connection) -> int:
            return connection.exec_driver_sql(
                "UPDATE workflows SET current = ? WHERE id = ? AND EXISTS "
                "(SELECT 1 FROM revisions WHERE workflow_id = workflows.id AND number = ?)",
                (number, workflow_id, number),
            ).rowcount

        if not self._writer.call(write):
            message = f"there is no revision {number} of this hook; hook.revisions lists them"
            raise RecordNotFoundError(message)

    def enable(self, workflow_id: int, *, enabled: bool) -> None:
        """Remember whether a workflow takes deliveries."""
        self._write("UPDATE workflows SET enabled = ? WHERE id = ?", (int(enabled), workflow_id))

    def remember_port(self, workflow_id: int, port: int) -> None:
        """Remember the port on which a workflow is served."""
        self._write("UPDATE workflows SET port = ? WHERE id = ?", (port, workflow_id))

    def remembered_ports(self, name: str) -> tuple[int | None, list[int]]:
        """Give the port that the workflow was served on last, and those of all others."""
        rows = self.rows("SELECT name, port FROM workflows WHERE port IS NOT NULL")
        ports = dict(rows)
        return ports.get(name), list(dict.fromkeys(ports.values()))

    def clear(self, workflow_id: int) -> None:
        """Forget the deliveries, responses, executions and jobs of a workflow."""
        self._writer.call(lambda connection: _clear(connection, workflow_id))

    def delete(self, name: str) -> None:
        """Delete a workflow with its revisions and everything it received.

        What still runs of it leaves nothing behind, and its number is never given again.

        Raises
        ------
        RecordNotFoundError
            There is none of that name.
        """

        def write(connection: Connection) -> bool:
            found = select(workflows.c.id).where(workflows.c.name == name)
            workflow_id = connection.execute(found).scalar()
            if workflow_id is None:
                return False
            _clear(connection, workflow_id)
            for table in (fixed_responses, revisions):
                connection.execute(delete(table).where(table.c.workflow_id == workflow_id))
            connection.execute(delete(workflows).where(workflows.c.id == workflow_id))
            return True

        if has_control(name) or not self._writer.call(write):
            known = ", ".join(map(repr, self.names())) or "none"
            message = f"there is no workflow {name!r} in this store; it has {known}"
            raise RecordNotFoundError(message)

    def _write(self, statement: str, parameters: tuple[Any, ...]) -> None:
        self._writer.call(lambda connection: connection.exec_driver_sql(statement, parameters))

    # -- what is left to do ---------------------------------------------------------------------

    def claim(self, workflow_id: int, revision: int) -> list[tuple[int, bool]]:
        """Take over the unfinished executions of runtimes that are gone.

        Give their ids in order, each with whether it had started and is therefore marked as
        recovered. They will run the given revision.
        """

        def write(connection: Connection) -> list[tuple[int, bool]]:
            rows = connection.exec_driver_sql(
                "SELECT id, owner, recovered OR status IS 0 FROM executions "
                "WHERE workflow_id = ? AND owner IS NOT NULL ORDER BY id",
                (workflow_id,),
            ).fetchall()
            # Its own are either in memory or were given up by a hook that was closed; the caller
            # knows which.
            alive = {
                owner: owner != self.owner and self._ownership.is_alive(owner)
                for owner in {row[1] for row in rows}
            }
            mine = [(number, bool(again)) for number, owner, again in rows if not alive[owner]]
            if mine:
                connection.exec_driver_sql(
                    "UPDATE executions SET owner = ?, revision = ?, started_at = NULL, "
                    "status = NULL, recovered = ? WHERE workflow_id = ? AND id = ?",
                    [(self.owner, revision, int(again), workflow_id, n) for n, again in mine],
                )
                # They are run from their beginning; what they did before is not part of that.
                connection.exec_driver_sql(
                    "DELETE FROM jobs WHERE workflow_id = ? AND execution_id = ?",
                    [(workflow_id, number) for number, _ in mine],
                )
            return mine

        claimed: list[tuple[int, bool]] = self._writer.call(write)
        return claimed

    # -- reading --------------------------------------------------------------------------------

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        try:
            with self._guard, self._reading.connect() as connection:
                # The driver's own cursor: frames read hundreds of thousands of rows at once.
                cursor = connection.connection.cursor()
                try:
                    yield cursor
                finally:
                    cursor.close()
        except (sqlite3.DatabaseError, DatabaseError) as error:
            reason = "it was in memory and is closed" if self._is_gone else str(error)
            raise StoreUnavailableError(f"the store cannot be read: {reason}") from error

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read rows, in the calling thread, in one snapshot."""
        with self._cursor() as cursor:
            rows: list[tuple[Any, ...]] = cursor.execute(statement, parameters).fetchall()
            return rows

    def counts(self, workflow_id: int) -> Counts:
        """Count the deliveries that are kept of a workflow."""
        [(total, refused)] = self.rows(
            "SELECT count(*), count(reason) FROM deliveries WHERE workflow_id = ?", (workflow_id,)
        )
        return Counts(deliveries=total, refused=refused)

    def delivery(self, workflow_id: int, number: int) -> Delivery:
        """Read one delivery; as :func:`~hooknb.store.single.read_delivery`."""
        return read_delivery(self.rows, workflow_id, number)

    def execution(self, workflow_id: int, number: int) -> Execution:
        """Read one execution with its jobs; as :func:`~hooknb.store.single.read_execution`."""
        return read_execution(self.rows, workflow_id, number)


def _clear(connection: Connection, workflow_id: int) -> None:
    for table in (responses, jobs, executions, deliveries):
        connection.execute(delete(table).where(table.c.workflow_id == workflow_id))
