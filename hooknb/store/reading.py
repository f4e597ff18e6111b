"""A store read from outside, while another process may be writing it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from hooknb._clock import Clock
from hooknb.errors import SettingError, StoreError, StoreUnavailableError
from hooknb.store.database import (
    BUSY_TIMEOUT,
    MAGIC,
    configure_reading,
    damage_remedy,
    is_damage,
    store_path,
)
from hooknb.store.ownership import living
from hooknb.store.schema import VERSION, check, lacking
from hooknb.store.store import Store

__all__ = ["Reading", "connect_read_only"]

_MAX_NAMED: Final = 3  # stores that are named where there is none


class Reading(Store):
    """A store that is only read: not made, not migrated, not claimed, not owned.

    All of :class:`Store` that reads works; what would write raises. Another process may serve the
    store meanwhile: each call sees what that one has on disk by then, and neither waits for the
    other. SQLite may leave its ``-wal`` and ``-shm`` files beside the store.

    Parameters
    ----------
    target
        A path or ``sqlite:///path``.

    Attributes
    ----------
    path
        Its file.
    version
        Of its tables.

    Raises
    ------
    SettingError
        It is a store in memory, which no other process can see, or a URL of another kind.
    StoreError
        The store does not exist, is not one, or was written by another version of hooknb.
    """

    def __init__(self, target: str | os.PathLike[str]) -> None:
        path = store_path(target)
        if path is None:
            raise SettingError(
                "store", "a store in memory can only be seen by its own process; name a file"
            )
        self.path: Path = path
        self._guard = contextlib.nullcontext()
        self._is_gone = False
        self._clock = Clock()
        self._writer: Any = _Refusing()
        self._reading = create_engine(
            "sqlite://", creator=partial(connect_read_only, path), poolclass=QueuePool
        )
        event.listen(self._reading, "connect", configure_reading)
        try:
            self._files, self.version = {path: _identity(path)}, self._examined()
        except BaseException:
            self.close()
            raise

    def _examined(self) -> int:
        """Return the version of what is there, where it can be read here."""
        try:
            with self.path.open("rb") as file:
                start = file.read(len(MAGIC))
            with self._reading.connect() as connection:
                version = check(connection)
                is_old = version < VERSION or bool(lacking(connection))
        except OSError as error:
            message = f"{error.strerror}; make it readable, or name another store"
            raise StoreUnavailableError(self._unopened(message)) from error
        except DatabaseError as error:
            message = self._unopened(f"{error.orig}; {damage_remedy(error, self.path)}")
            if is_damage(error):
                raise StoreError(message) from error
            raise StoreUnavailableError(message) from error
        except StoreError as error:
            raise type(error)(self._unopened(str(error))) from error
        if start not in {b"", MAGIC}:  # SQLite takes the smallest files for empty ones
            raise StoreError(self._unopened("file is not a database; name another file"))
        if version == 0:
            raise StoreError(self._unopened("it is empty; serve a hook on it first"))
        if is_old:
            message = (
                f"it was written by an earlier hooknb (version {version} of its tables, and this "
                f"one reads {VERSION}); serve a hook on it once with this one, which brings it up"
            )
            raise StoreError(self._unopened(message))
        return version

    def _unopened(self, reason: str) -> str:
        return f"the store {self.path} cannot be opened: {reason}"

    def served_by(self) -> list[int | None]:
        """Return the ids of the processes that serve it now.

        Returns
        -------
        list
            One for each runtime; ``None`` where the system does not say which process it is.
        """
        return living(self.path)

    def flush(self) -> None:
        """Do nothing: it writes nothing that could be waited for."""

    def close(self) -> None:
        """Close it. Idempotent."""
        self._reading.dispose()

    def forget(self) -> None:
        """Do nothing: it holds nothing that a forked child must not have."""


class _Refusing:
    """Stands where a store has the thread that writes."""

    def submit(self, _operations: object) -> NoReturn:
        raise StoreError("this store is open for reading only; serve a hook on it to change it")

    call = submit


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        message = f"there is no store at {path}; serve a hook on it first, or name another store"
        below = sorted(Path().glob("*/.hooknb/store.db"))[:_MAX_NAMED]
        if below:
            message += f": there is {' and '.join(map(str, below))}"
        raise StoreError(message) from error
    except OSError as error:
        message = f"the store {path} cannot be opened: {error.strerror}; name another store"
        raise StoreUnavailableError(message) from error
    return status.st_dev, status.st_ino


def connect_read_only(path: Path, *, is_still: bool = False) -> sqlite3.Connection:
    """Connect to a store's file by the driver, to read it only.

    Parameters
    ----------
    path
        Its file.
    is_still
        Whether nobody serves it; SQLite then leaves no file beside it.
    """
    uri = f"file:{quote(str(path))}?mode=ro"
    can_write = os.access(
        path.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids
    )
    if (is_still or not can_write) and not path.with_name(f"{path.name}-wal").exists():
        # SQLite would have to make a file there to see what others write, and nobody writes: who
        # serves a store has that file open.
        uri += "&immutable=1"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, check_same_thread=False)
