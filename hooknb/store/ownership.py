"""Which runtimes are alive: each holds a lock on a file of its own beside the store.

The system frees the lock when the process ends, however it ends, so that what a killed kernel
left unfinished is told from what another kernel, living on the same store, is running now. A
process id would not do: it is given again to another process.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import secrets
from pathlib import Path
from typing import Final

__all__ = ["Ownership", "living"]

_RESERVE_BYTES: Final = (
    8 * 2**20
)  # bytes; the log has half of that before it is moved into the file


class Ownership:
    """A lock on ``<store>.owner-<token>``, held until :meth:`release`.

    Parameters
    ----------
    store
        The path of the store, or ``None`` for one in memory, which nobody else can see.
    """

    def __init__(self, store: Path | None) -> None:
        self.token = secrets.token_hex(8)
        self._store = store
        self._descriptor: int | None = None
        if store is not None:
            self._descriptor = os.open(self._path(self.token), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.make_reserve()

    def _path(self, token: str) -> Path:
        assert self._store is not None  # noqa: S101 - only called with a store on disk
        return self._store.with_name(f"{self._store.name}.owner-{token}")

    def make_reserve(self) -> None:
        """Take room on the disk, in the file of the lock, for a clearing when the disk is full."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError, AttributeError):  # not on macOS
                os.posix_fallocate(self._descriptor, 0, _RESERVE_BYTES)

    def free_reserve(self) -> None:
        """Give that room back to the disk."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)

    def is_alive(self, token: str) -> bool:
        """Whether the runtime with that token still runs, in this process or another."""
        if token == self.token:
            return True
        if self._store is None:
            return False
        try:
            descriptor = os.open(self._path(token), os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        else:
            with contextlib.suppress(OSError):
                self._path(token).unlink()
            return False
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Release the lock and remove the file; does nothing the second time."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                self._path(self.token).unlink()
            self.forget()

    def forget(self) -> None:
        """Close the file and leave the lock to the process that forked this one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def living(store: Path) -> list[int | None]:
    """Find the runtimes that live on a store now, from outside; removes nothing.

    Parameters
    ----------
    store
        Its file.

    Returns
    -------
    list
        The process id of each, or ``None`` where the system does not say it.
    """
    found: list[int | None] = []
    for path in sorted(store.parent.glob(f"{glob.escape(store.name)}.owner-*")):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                # Shared: two that look do not take each other for the owner.
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                found.append(_holder(os.fstat(descriptor)))
            finally:
                os.close(descriptor)
    return found


def _holder(file: os.stat_result) -> int | None:
    """Return the process that holds the lock of a file, as Linux lists it."""
    device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if words[1:2] == ["FLOCK"] and device in words:
            return int(words[4])
    return None
