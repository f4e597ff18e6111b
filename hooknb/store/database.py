"""Opening a store: where it is, who may read it, and whether it is one."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.pool import NullPool, Pool, QueuePool

from hooknb._clock import Clock
from hooknb.errors import SettingError, StoreError, StoreUnavailableError
from hooknb.store.schema import VERSION, check, migrate

__all__ = [
    "BUSY_TIMEOUT",
    "MAGIC",
    "Database",
    "configure_reading",
    "damage_remedy",
    "file_identity",
    "is_damage",
    "open_database",
    "store_path",
]

BUSY_TIMEOUT: Final = 2.0  # seconds that a locked store is waited for
MAGIC: Final = b"SQLite format 3\0"


@dataclass(frozen=True, kw_only=True)
class Database:
    """An open store.

    Attributes
    ----------
    path
        Its file, or ``None`` in memory.
    identity
        Device and inode of that file.
    writing
        The one connection that writes.
    reading
        An engine whose connections can only read.
    guard
        Held while either is used; a lock in memory, where readers would get in the writer's way.
    anchor
        Keeps a store in memory alive until it is closed.
    """

    path: Path | None
    identity: tuple[int, int] | None
    writing: Connection
    reading: Engine
    guard: AbstractContextManager[Any]
    anchor: sqlite3.Connection | None


def open_database(store: str | os.PathLike[str], clock: Clock) -> Database:
    """Open a store, make it where there is none, and bring it to this version.

    Parameters
    ----------
    store
        A path, ``sqlite:///path`` or ``":memory:"``.
    clock
        Tells when it was brought to this version.

    Raises
    ------
    SettingError
        It is a URL of another kind.
    StoreError
        It is not a store, belongs to a newer hooknb, or cannot be written.
    """
    path = store_path(store)
    if path is not None:
        _prepare(path)
    try:
        return _open(path, clock)
    except DatabaseError as error:
        reason = str(error.orig)
        remedy = "make the file and its folder writable, or name another store"
        if is_damage(error):
            remedy = damage_remedy(error, path)
        elif "locked" in reason:
            remedy = "another program holds it; close that, or name another store"
        elif "full" in reason:
            remedy = "make room on the disk, or name another store"
        kind = StoreError if is_damage(error) else StoreUnavailableError
        message = f"the store {path or ':memory:'} cannot be opened: {reason}; {remedy}"
        raise kind(message) from error
    except StoreError as error:
        message = f"the store {path or ':memory:'} cannot be opened: {error}"
        raise type(error)(message) from error


def is_damage(error: Exception) -> bool:
    """Whether the driver's error says that a file is damaged, or no database at all."""
    code = getattr(getattr(error, "orig", error), "sqlite_errorcode", 0)
    return code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def damage_remedy(error: Exception, path: Path | None) -> str:
    """Return what to do about a file that cannot be read as a store."""
    if "malformed" not in str(getattr(error, "orig", error)):
        return "name another file"
    return f"name another file, or save what can be read of it: hooknb rescue {path} NEW"


def store_path(store: str | os.PathLike[str]) -> Path | None:
    """Return the file of a store, or ``None`` for one in memory.

    Raises
    ------
    SettingError
        It is a URL of another kind.
    """
    text = os.fspath(store)
    if text == ":memory:":
        return None
    if "://" not in text:
        return _expanded(text)
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise SettingError("store", f"{text!r} is not a database URL; use sqlite:///…") from error
    if url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise SettingError("store", f"{url.drivername} is not supported; use sqlite:///…")
    if text.endswith("://"):
        return None  # as SQLAlchemy has it
    if url.host or not url.database:
        # Two slashes make a host of the first folder, and nothing would be kept.
        raise SettingError(
            "store",
            f"{text!r} does not name a file; write sqlite:///data/store.db, with three slashes",
        )
    if url.database == ":memory:":
        return None
    return _expanded(url.database)


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise SettingError("store", f"{path!r} begins with no home folder ({error})") from error


def _prepare(path: Path) -> None:
    """Make folder and file readable by their owner only: they hold payloads and credentials."""
    try:
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True)
        if path.parent.name == ".hooknb":
            with (
                contextlib.suppress(FileExistsError),
                (path.parent / ".gitignore").open("x") as file,
            ):
                file.write("*\n")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        message = (
            f"the store {path} cannot be opened: {error.strerror}; make the file and its folder "
            "writable, or name another store"
        )
        raise StoreUnavailableError(message) from error


def _examine(path: Path) -> None:
    """Refuse what is not a store before anything of it is changed."""
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if not start:
        return
    if start != MAGIC:  # SQLite takes the smallest files for empty ones, and writes over them
        message = "file is not a database; name another file"
        raise StoreError(message)
    engine = _file_engine(path, NullPool)
    event.listen(engine, "connect", configure_reading)
    with engine.connect() as connection:
        check(connection)


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, ``None`` where there is none to be seen."""
    try:
        status = os.stat(path)  # noqa: PTH116 - half the time, and each transaction asks twice
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _open(path: Path | None, clock: Clock) -> Database:
    anchor = None
    identity = None if path is None else file_identity(path)
    guard: AbstractContextManager[Any] = contextlib.nullcontext()
    if path is None:
        # It lives as long as one connection to it. Those of the pool can be lost: one that is
        # interrupted (Ctrl-C) is closed.
        uri = f"file:hooknb-{secrets.token_hex(8)}?mode=memory&cache=shared"
        anchor, guard = _connect(uri), RLock()
        writing = create_engine("sqlite://", creator=partial(_connect, uri), poolclass=NullPool)
        reading = create_engine("sqlite://", creator=partial(_connect, uri), poolclass=NullPool)
    else:
        _examine(path)
        # What is closed must not stay open in a pool: SQLite tidies up behind the last one.
        writing, reading = _file_engine(path, NullPool), _file_engine(path, QueuePool)
    event.listen(writing, "connect", _configure_writing)
    event.listen(writing, "begin", _begin_immediately)
    event.listen(reading, "connect", configure_reading)
    database = Database(
        path=path,
        identity=identity,
        writing=writing.connect(),
        reading=reading,
        guard=guard,
        anchor=anchor,
    )
    try:
        with database.writing.begin():
            found = migrate(database.writing, clock.now())
        if 0 < found < VERSION:
            _shrink(database.writing)
    except BaseException:
        database.writing.close()
        raise
    return database


def _shrink(connection: Connection) -> None:
    """Give back the pages that a migration has freed, and have others given back later on."""
    with contextlib.suppress(sqlite3.OperationalError):  # a full disk: the store works as it is
        connection.connection.cursor().execute("VACUUM")


_MAX_PREPARED_STATEMENTS: Final = 512  # inserts of each number of rows are statements of their own


def _connect(uri: str, timeout: float = 5.0) -> sqlite3.Connection:
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=timeout,
        check_same_thread=False,
        cached_statements=_MAX_PREPARED_STATEMENTS,
    )


def _file_engine(path: Path, pool: type[Pool]) -> Engine:
    identity = file_identity(path)
    # A file that was deleted meanwhile is not made again.
    uri = f"file:{quote(str(path))}?mode=rw"

    def connect() -> sqlite3.Connection:
        if file_identity(path) != identity:
            message = "its file was deleted or replaced"
            raise sqlite3.OperationalError(message)
        return _connect(uri, timeout=BUSY_TIMEOUT)

    return create_engine("sqlite://", creator=connect, poolclass=pool)


def _configure_writing(connection: Any, _record: Any) -> None:
    # Transactions are begun by `_begin_immediately`, not by the driver's own guesses.
    connection.isolation_level = None
    # Only before the first page is written: free pages can be given back a few at a time.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a response leaves after the data is on disk
    connection.execute("PRAGMA foreign_keys = ON")
    # What is deleted is not written once more as zeros (Debian's default): a full disk has no room.
    connection.execute("PRAGMA secure_delete = FAST")


def configure_reading(connection: Any, _record: Any) -> None:
    """Have a new connection of SQLite's driver read only."""
    connection.isolation_level = None
    connection.execute("PRAGMA query_only = ON")


def _begin_immediately(connection: Connection) -> None:
    # Taking the write lock at once: a transaction that reads first could not wait for it later.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
