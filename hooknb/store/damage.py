"""Damaged stores: whether a file is one, and copying what can still be read of it to a new one.

SQLite reads a table page by page and stops at the first page that makes no sense. Here the range
of keys around such a page is halved until every row beside the page was read.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Integer, LargeBinary, Table, delete, exists, func, insert, select, update

from hooknb._clock import Clock
from hooknb.errors import StoreError, StoreUnavailableError, StoreVersionError
from hooknb.records import Status
from hooknb.store.database import open_database, store_path
from hooknb.store.ownership import living
from hooknb.store.reading import connect_read_only
from hooknb.store.schema import (
    VERSION,
    count_kept,
    deliveries,
    executions,
    fixed_responses,
    jobs,
    responses,
    revisions,
    workflows,
)
from hooknb.workflow import define

if TYPE_CHECKING:
    import os

    from sqlalchemy import Connection

__all__ = ["Rescued", "RescuedHook", "find_damage", "rescue"]

_MAX_PROBLEMS: Final = 5  # of SQLite's check that are shown
_BATCH: Final = 500  # rows of one transaction
_MAX_REVISIONS: Final = 10_000  # that are tried where the index does not tell the last
_CHECK_STEPS: Final = 10_000  # of SQLite's machine between two looks at the clock
_TYPES: Final = {Integer: int, LargeBinary: bytes}

# The indexes of primary keys, which have every rowid and stand on other pages than the rows.
_INDEX: Final = "sqlite_autoindex_deliveries_1"
_REVISIONS: Final = "sqlite_autoindex_revisions_1"

# What belongs to deliveries: the table, the column that counts in it, and the column of the
# workflow that has the last number given.
_COUNTED: Final = (
    (executions, "id", "last_delivery"),
    (responses, "delivery_id", "last_delivery"),
    (jobs, "id", "last_job"),
    (fixed_responses, "revision", "current"),
)
# Where the ids of deliveries stand beside the deliveries themselves. The first is read from
# the index, which is another tree than the rows.
_WITH_ID: Final = (("deliveries", "id"), ("executions", "id"), ("responses", "delivery_id"))


@dataclass(kw_only=True)
class RescuedHook:
    """What was copied of one workflow, and what could not be read.

    Attributes
    ----------
    name
        Of the workflow; made up where neither its row nor an index has it any more.
    kept
        Rows that stand in the new store, by kind: ``deliveries``, ``executions``, …
    lost
        Rows that could not be read, by kind; at most, since some of the ids in a damaged page
        may have had no row.
    lost_deliveries
        First and last id of each run of deliveries that were lost.
    """

    name: str
    kept: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    lost_deliveries: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Rescued:
    """The result of a rescue.

    Attributes
    ----------
    problems
        The first that SQLite's check found in the old file; empty for a sound one.
    hooks
        One for each workflow, in the order in which they were made.
    """

    problems: list[str]
    hooks: list[RescuedHook]

    @property
    def is_complete(self) -> bool:
        """Whether every row could be read."""
        return not any(hook.lost.total() for hook in self.hooks)


def find_damage(path: Path, seconds: float) -> list[str] | None:
    """Return the first problems that SQLite finds in a file, none for a sound one.

    ``None`` if that takes longer than ``seconds``. Found is what breaks the structure of the file
    or of a row; SQLite keeps no checksum of what stands inside of a value.

    Raises
    ------
    StoreUnavailableError
        The file cannot be opened, or another program holds it.
    """
    end = time.monotonic() + seconds
    try:
        with contextlib.closing(connect_read_only(path, is_still=not living(path))) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > end, _CHECK_STEPS)
            rows = connection.execute(f"PRAGMA quick_check({_MAX_PROBLEMS})").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return None
        message = f"the store {path} cannot be checked: {error}; try again when nobody holds it"
        raise StoreUnavailableError(message) from error
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [text.replace("\n", "; ") for (text,) in rows if text != "ok"]


def rescue(
    old: str | os.PathLike[str],
    new: str | os.PathLike[str],
    progress: Callable[[str, int], object] = lambda _what, _rows: None,
) -> Rescued:
    """Copy what can still be read of a store to a new one; the old file stays as it is.

    Blocks while all of the old store is read. Executions that had not ended run when a hook is
    served on the new store, except those whose delivery was lost: they are ``aborted``. A workflow
    whose definition was lost keeps its name and its URL; serving its hook gives it a new one.

    Parameters
    ----------
    old
        The damaged store: a path or ``sqlite:///path``. No process may serve it.
    new
        Where the copy goes: nothing may be there.
    progress
        Called with what is copied and the number of its rows so far.

    Raises
    ------
    StoreError
        Something stands at ``new``, a process serves ``old``, it is not a store, or nothing of it
        can be read.
    """
    source, target = _checked(old, new)
    problems = find_damage(source, float("inf")) or []
    with contextlib.closing(connect_read_only(source, is_still=True)) as connection:
        connection.isolation_level = None
        connection.text_factory = bytes  # text that is damaged must not end the reading of others
        connection.execute("PRAGMA cell_size_check = ON")
        tables = _tables(connection, source)
        database = open_database(target, Clock())
        try:
            hooks = _Rescue(_Damaged(connection, tables), database.writing, progress).run()
        except BaseException:
            database.writing.close()
            for suffix in ("", "-wal", "-shm"):
                target.with_name(f"{target.name}{suffix}").unlink(missing_ok=True)
            raise
        finally:
            database.writing.close()
            database.reading.dispose()
    return Rescued(problems=problems, hooks=hooks)


def _checked(old: str | os.PathLike[str], new: str | os.PathLike[str]) -> tuple[Path, Path]:
    source, target = store_path(old), store_path(new)
    if source is None or target is None:
        raise StoreError("a store in memory cannot be rescued, and saves nothing; name two files")
    if not source.is_file():
        raise StoreError(f"there is no store at {source}; name the damaged one first, then the new")
    for suffix in ("", "-wal"):
        taken = target.with_name(f"{target.name}{suffix}")
        if taken.exists():
            raise StoreError(f"{taken} exists and is not overwritten; name a new file")
    if serving := living(source):
        names = ", ".join("unknown" if pid is None else str(pid) for pid in serving)
        message = f"the store {source} is served by process {names}; stop it, then run this again"
        raise StoreError(message)
    return source, target


def _tables(connection: sqlite3.Connection, path: Path) -> dict[str, set[str]]:
    """Return the columns of each table of a store.

    Raises
    ------
    StoreError
        It is not a store of this version, or the page that lists its tables is damaged.
    """
    version = VERSION
    try:
        connection.execute("BEGIN")  # one snapshot for all that is read
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        tables = {
            name.decode(): {
                row[1].decode() for row in connection.execute(f"PRAGMA table_info({name.decode()})")
            }
            for (name,) in names
        }
    except sqlite3.OperationalError as error:
        message = (
            f"the store {path} cannot be read: {error}; copy it with its -wal file to a folder "
            "that you can write to, and rescue the copy"
        )
        raise StoreUnavailableError(message) from error
    except sqlite3.DatabaseError as error:
        message = (
            f"nothing of the store {path} can be read: {error}; its first page is damaged, or it "
            "is not a store: restore it from a copy"
        )
        raise StoreError(message) from error
    with contextlib.suppress(sqlite3.DatabaseError):
        version = connection.execute("SELECT max(version) FROM migrations").fetchone()[0] or VERSION
    if version > VERSION:
        message = f"the store {path} has version {version}, and this hooknb knows {VERSION}; update"
        raise StoreVersionError(f"{message} hooknb")
    if version < VERSION or not {"migrations", "workflows", "deliveries"} <= tables.keys():
        message = f"{path} is not a store of version {VERSION} of the tables; name another file"
        raise StoreError(message)
    return tables


class _DamagedRowError(Exception):
    """A row was read that cannot be one of its table."""


class _Damaged:
    """Rows of a damaged store, by ranges of their keys.

    Parameters
    ----------
    connection
        Reads the old file; text comes as bytes.
    tables
        The columns that each table has there.
    """

    def __init__(self, connection: sqlite3.Connection, tables: dict[str, set[str]]) -> None:
        self._connection = connection
        self._tables = tables

    def names(self, table: Table) -> list[str]:
        """Return the columns of a table that the old store has."""
        there = self._tables.get(table.name, set())
        return [column.name for column in table.columns if column.name in there]

    def rows(
        self, table: Table, key: str, high: int, unread: list[int], workflow_id: int | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table whose key is from 1 to ``high``, in the order of the key.

        Parameters
        ----------
        table
            Read by its own tree, not by an index.
        key
            The column that counts: within the workflow, or ``rowid`` in the whole table.
        high
            The highest key.
        unread
            Gets the keys that stand on damaged pages, or would.
        workflow_id
            Whose rows; ``None`` where the key is ``rowid``.
        """
        names = self.names(table)
        if not names:
            return
        columns = [table.columns[name] for name in names]
        listed = ", ".join(f'"{name}"' for name in names)
        of = "" if workflow_id is None else f"workflow_id = {workflow_id:d} AND "
        statement = (
            f"SELECT {key}, {listed} FROM {table.name} WHERE {of}{key} >= ? AND {key} <= ? "  # noqa: S608 - names of the schema
            f"ORDER BY {key}"
        )

        def checked(row: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(map(_checked_value, columns, row))

        for number, row in self.ranges(statement, high, unread):
            try:
                yield checked(row)
            except (_DamagedRowError, UnicodeDecodeError):
                unread.append(number)

    def ranges(
        self, statement: str, high: int, unread: list[int]
    ) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Yield keys with what follows them; ``statement`` takes the ends of a range."""
        waiting = [(0, high)] if high > 0 else []
        while waiting:
            low, high = waiting.pop()
            last = low
            try:
                for number, *row in self._connection.execute(statement, (low + 1, high)):
                    if type(number) is not int or not last < number <= high:
                        break  # a number that cannot stand here
                    yield number, tuple(row)
                    last = number
                else:
                    continue
            except sqlite3.DatabaseError:
                pass
            if high - last > 1:
                middle = (last + high) // 2
                waiting += [(middle, high), (last, middle)]
            elif (row := self._one(statement, high)) is not None:
                yield high, row
            else:
                unread.append(high)

    def _one(self, statement: str, number: int) -> tuple[Any, ...] | None:
        """Return what follows one key, ``None`` where it cannot be read."""
        # The driver has read on when it hands out a row, which a limit spares it; and the way
        # to a row between two pages leads through the page before it, or through the one behind.
        for order in ("LIMIT 1", "DESC LIMIT 1"):
            with contextlib.suppress(sqlite3.DatabaseError):
                for found, *row in self._connection.execute(
                    f"{statement} {order}", (number, number)
                ):
                    if found == number:
                        return tuple(row)
        return None

    def records(self, table: Table, high: int) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table with a ``rowid`` by the names of their columns."""
        names = self.names(table)
        for row in self.rows(table, "rowid", high, []):
            yield dict(zip(names, row, strict=True))

    def highest(self, table: str, key: str, workflow_id: int) -> int:
        """Return the highest key that a table or its index has of a workflow; 0 for none."""
        return self.value(
            f"SELECT {key} FROM {table} WHERE workflow_id = ? ORDER BY {key} DESC LIMIT 1",  # noqa: S608 - names of the schema
            workflow_id,
        )

    def value(self, statement: str, *parameters: int) -> int:
        """Return one number, 0 where it cannot be read."""
        with contextlib.suppress(sqlite3.DatabaseError):
            for (found,) in self._connection.execute(statement, parameters):
                return found if type(found) is int else 0
        return 0

    def texts(self, statement: str) -> dict[int, str]:
        """Return texts by their numbers, as many as can be read."""
        found: dict[int, str] = {}
        with contextlib.suppress(sqlite3.DatabaseError, UnicodeDecodeError):
            for number, text in self._connection.execute(statement):
                found[number] = text.decode()
        return found


def _checked_value(column: Any, value: Any) -> Any:
    """Return what a column of the new store may hold, or raise."""
    if value is None:
        if not column.nullable:
            raise _DamagedRowError
        return None
    expected = _TYPES.get(type(column.type), str)
    if expected is str and type(value) is bytes:
        return value.decode()
    if type(value) is not expected:
        raise _DamagedRowError
    return value


class _Rescue:
    """Copies a damaged store.

    Parameters
    ----------
    damaged
        The old one.
    connection
        Writes the new one.
    progress
        See :func:`rescue`.
    """

    def __init__(
        self, damaged: _Damaged, connection: Connection, progress: Callable[[str, int], object]
    ) -> None:
        self._damaged = damaged
        self._connection = connection
        self._progress = progress
        self._hooks: dict[int, RescuedHook] = {}
        self._rows: dict[int, dict[str, Any]] = {}  # of the workflows

    def run(self) -> list[RescuedHook]:
        """Copy everything; return what became of each workflow."""
        self._copy_workflows()
        damaged, lasts = self._damaged, [row["last_delivery"] for row in self._rows.values()]
        # A damaged key may be any number; those that were ever given are the bound.
        indexed = damaged.value(f"SELECT max(+rowid) FROM deliveries INDEXED BY {_INDEX}")  # noqa: S608 - a name
        bound = max(indexed, sum(lasts))
        high = min(damaged.value("SELECT max(rowid) FROM deliveries") or bound, 2 * bound)
        self._copy(deliveries, damaged.rows(deliveries, "rowid", high, []))
        for number, hook in self._hooks.items():
            self._find_lost_deliveries(number, hook)
            for table, key, counter in _COUNTED:
                high = max(self._rows[number][counter], damaged.highest(table.name, key, number))
                unread: list[int] = []
                self._copy(table, damaged.rows(table, key, high, unread, number))
                hook.lost[_word(table)] += len(unread)
        with self._connection.begin():
            self._mend()
            for number, hook in self._hooks.items():
                for table in (deliveries, *(table for table, *_ in _COUNTED)):
                    of = select(func.count()).where(table.c.workflow_id == number)
                    hook.kept[_word(table)] = self._connection.execute(of).scalar_one()
        return list(self._hooks.values())

    def _copy_workflows(self) -> None:
        """Copy workflows and revisions; what a damaged page had of them is in the indexes."""
        damaged = self._damaged
        # Either index has the id as well: the rows are not needed.
        names = damaged.texts("SELECT id, name FROM workflows ORDER BY name")
        keys = damaged.texts("SELECT id, key FROM workflows ORDER BY key")
        last = max(
            damaged.value("SELECT max(seq) FROM sqlite_sequence WHERE name = 'workflows'"),
            *names,
            *keys,
            0,
        )
        found = {row["id"]: row for row in damaged.records(workflows, last)}
        high = damaged.value(f"SELECT max(+rowid) FROM revisions INDEXED BY {_REVISIONS}")  # noqa: S608 - a name
        made: dict[int, list[dict[str, Any]]] = {}
        for row in damaged.records(revisions, high or _MAX_REVISIONS):
            made.setdefault(row["workflow_id"], []).append(row)
        for number in sorted(names.keys() | keys.keys() | found.keys() | made.keys()):
            their = made.get(number, [])
            row = {
                "id": number,
                "name": names.get(number, f"rescued-{number}"),
                "key": keys.get(number) or secrets.token_urlsafe(16),
                "enabled": 1,
                "current": max((one["number"] for one in their), default=1),
                "created_at": min((one["created_at"] for one in their), default=0),
                "last_delivery": max(damaged.highest(*one, number) for one in _WITH_ID),
                "last_job": 0,
            } | found.get(number, {})
            hook = self._hooks[number] = RescuedHook(name=row["name"])
            self._rows[number] = row
            hook.lost["settings"] += number not in found
            if all(one["number"] != row["current"] for one in their):
                hook.lost["definitions"] += 1
                definition = define(row["name"]).encode()
                their.append(
                    {
                        "workflow_id": number,
                        "number": row["current"],
                        "definition": definition,
                        "created_at": row["created_at"],
                    }
                )
            with self._connection.begin():
                self._connection.execute(insert(workflows), [row])
                self._connection.execute(insert(revisions).prefix_with("OR IGNORE"), their)

    def _find_lost_deliveries(self, workflow_id: int, hook: RescuedHook) -> None:
        """Note the ids of deliveries that an index or another table has, and no row."""
        with self._connection.begin():
            kept = set(
                self._connection.execute(
                    select(deliveries.c.id).where(deliveries.c.workflow_id == workflow_id)
                ).scalars()
            )
        row = self._rows[workflow_id]
        last = row["last_delivery"] = max(row["last_delivery"], *kept, 0)
        lost: set[int] = set()
        for table, key in _WITH_ID:
            statement = (
                f"SELECT {key} FROM {table} WHERE workflow_id = {workflow_id:d} "  # noqa: S608 - names
                f"AND {key} >= ? AND {key} <= ? ORDER BY {key}"
            )
            lost.update(number for number, _ in self._damaged.ranges(statement, last, []))
        lost -= kept
        for number in sorted(lost):
            runs = hook.lost_deliveries
            if runs and runs[-1][1] == number - 1:
                runs[-1] = (runs[-1][0], number)
            else:
                runs.append((number, number))
        hook.lost["deliveries"] += len(lost)

    def _copy(self, table: Table, rows: Iterator[tuple[Any, ...]]) -> None:
        names = self._damaged.names(table)
        statement = insert(table).prefix_with("OR IGNORE")  # a damaged page may repeat another
        values = (dict(zip(names, row, strict=True)) for row in rows)
        known = (value for value in values if value["workflow_id"] in self._hooks)
        done = 0
        while part := list(islice(known, _BATCH)):
            with self._connection.begin():
                self._connection.execute(statement, part)
            done += len(part)
            self._progress(_word(table), done)

    def _mend(self) -> None:
        """Leave nothing that points at what was lost, and count what is there."""
        execute = self._connection.execute
        has_delivery = exists().where(
            deliveries.c.workflow_id == executions.c.workflow_id,
            deliveries.c.id == executions.c.id,
        )
        execute(
            update(executions)
            .where(executions.c.owner.is_not(None), ~has_delivery)
            .values(status=Status.ABORTED.value, reason="delivery lost", owner=None)
        )
        has_fixed = exists().where(
            fixed_responses.c.workflow_id == responses.c.workflow_id,
            fixed_responses.c.revision == responses.c.revision,
        )
        bare = delete(responses).where(responses.c.revision.is_not(None), ~has_fixed)
        for (number,) in execute(bare.returning(responses.c.workflow_id)).all():
            self._hooks[number].lost["responses"] += 1
        for number, row in self._rows.items():
            of = select(func.max(jobs.c.id)).where(jobs.c.workflow_id == number)
            last_job = max(execute(of).scalar() or 0, row["last_job"])
            last = row["last_delivery"]
            execute(
                update(workflows)
                .where(workflows.c.id == number)
                .values(last_delivery=last, last_job=last_job)
            )
        count_kept(self._connection)


def _word(table: Table) -> str:
    return str(table.name.replace("_", " "))
