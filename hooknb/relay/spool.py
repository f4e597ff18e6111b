"""The spool: deliveries that wait on disk until a kernel serves their hook again.

Each key has a folder and each delivery a file, both private to their owner. File names begin with
an increasing number and so sort in the order of the deliveries.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from hooknb.relay.forwarding import Relayed
from hooknb.relay.limits import Limits
from hooknb.relay.private_files import made_folder, opened_folder, own_file, write_own
from hooknb.relay.registrations import KEY

__all__ = ["Spool", "SpoolFullError"]

_NAME: Final = re.compile(r"[0-9]{20}-[0-9a-f]{8}\.delivery")
_MAX_BYTES: Final = 2**31
_PART_SECONDS: Final = 3600.0  # by then the writer of a partial file is gone


class SpoolFullError(Exception):
    """There is no room for another delivery."""


class Spool:
    """Deliveries on disk, by the keys of their hooks. Methods block, and are thread-safe."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self._limits = limits
        self._lock = threading.Lock()
        self._last = 0
        # By key: the folder's modification time when last counted, its deliveries, its bytes.
        self._counted: dict[str, tuple[int, int, int]] = {}

    def hooks(self) -> list[str]:
        """Return the keys for which deliveries may wait."""
        with opened_folder(self.folder) as folder:
            return [] if folder is None else sorted(filter(KEY.fullmatch, os.listdir(folder)))  # noqa: PTH208 - by descriptor

    def waits(self, key: str) -> bool:
        """Return whether deliveries wait for a hook."""
        with opened_folder(self.folder / key) as folder:
            if folder is None:
                return False
            with os.scandir(folder) as entries:
                return any(_NAME.fullmatch(entry.name) for entry in entries)

    def names(self, key: str) -> list[str]:
        """Return the names of the deliveries that wait for a hook, the oldest first."""
        with opened_folder(self.folder) as whole:
            if whole is None:
                return []
        with opened_folder(self.folder / key) as folder:
            return [] if folder is None else sorted(filter(_NAME.fullmatch, os.listdir(folder)))  # noqa: PTH208 - by descriptor

    def append(self, key: str, request: Relayed, body: bytes | bytearray) -> None:
        """Keep a delivery; it is synced to disk when this returns.

        Raises
        ------
        SpoolFullError
            The delivery does not fit.
        PublicationError
            The delivery cannot be written.
        """
        with self._lock:
            made_folder(self.folder)
            count, size = self._held(key)
            total = sum(self._held(other)[1] for other in self.hooks() if other != key) + size
            head = msgspec.json.encode(request) + b"\n"
            if (
                count >= self._limits.spool_count
                or size + len(head) + len(body) > self._limits.spool_bytes
                or total + len(head) + len(body) > self._limits.spool_total
            ):
                raise SpoolFullError
            self._last = max(time.time_ns(), self._last + 1)
            name = f"{self._last:020d}-{secrets.token_hex(4)}.delivery"
            write_own(self.folder / key, name, head + body)
            mark = self._mark(key)
            if mark is not None:
                self._counted[key] = mark, count + 1, size + len(head) + len(body)

    def read(self, key: str, name: str) -> tuple[Relayed, bytes] | None:
        """Return a delivery; ``None`` if it is gone or was not written by this package."""
        with opened_folder(self.folder / key) as folder:
            if folder is None:
                return None
            with own_file(folder, name, _MAX_BYTES) as file:
                if file is None:
                    return None
                with os.fdopen(os.dup(file), "rb") as opened:
                    head, body = opened.readline(), opened.read()
        try:
            return msgspec.json.decode(head, type=Relayed), body
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def remove(self, key: str, name: str) -> None:
        """Remove a delivery that has been handed over.

        Raises
        ------
        OSError
            The file cannot be removed.
        """
        (self.folder / key / name).unlink(missing_ok=True)
        with self._lock:
            self._counted.pop(key, None)

    def tidy(self, key: str) -> None:
        """Remove expired deliveries and abandoned partial files, then the folder if it is empty."""
        now = time.time()
        folder = self.folder / key
        with self._lock, contextlib.suppress(OSError):
            for path in folder.iterdir():
                age = now - path.lstat().st_mtime
                if age > self._limits.spool_days * 86_400 or (
                    path.suffix == ".part" and age > _PART_SECONDS
                ):
                    path.unlink()
            folder.rmdir()  # fails unless the folder is empty

    def tidy_locks(self) -> None:
        """Remove the lock files of hooks that have no folder any more."""
        with contextlib.suppress(OSError):
            for path in self.folder.glob("*.lock"):
                with self.handing_over(path.stem) as own:
                    if own and not (self.folder / path.stem).exists():
                        path.unlink(missing_ok=True)

    def set_aside(self, key: str, name: str) -> None:
        """Stop handing over a delivery, but keep its file for inspection.

        Raises
        ------
        OSError
            The file cannot be renamed.
        """
        path = self.folder / key / name
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_suffix(".failed"))

    @contextlib.contextmanager
    def handing_over(self, key: str) -> Iterator[bool]:
        """Lock a hook's deliveries for handing over; yield false if another process holds them."""
        path = self.folder / f"{key}.lock"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError:
            yield False
            return
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # If the file was removed before it was locked, the lock excludes nobody.
                own = os.path.samestat(os.fstat(file), path.lstat())
            except OSError:
                own = False
            yield own
        finally:
            os.close(file)

    def _held(self, key: str) -> tuple[int, int]:
        """Return how many deliveries wait for a hook, and the bytes of its whole folder."""
        mark = self._mark(key)
        if mark is None:
            self._counted.pop(key, None)
            return 0, 0
        known = self._counted.get(key)
        if known is None or known[0] != mark:
            count = size = 0
            with os.scandir(self.folder / key) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        size += entry.stat(follow_symlinks=False).st_size
                        if _NAME.fullmatch(entry.name):
                            count += 1
                            # The clock may have been set back since this file was written.
                            self._last = max(self._last, int(entry.name.partition("-")[0]))
            known = self._counted[key] = mark, count, size
        return known[1:]

    def _mark(self, key: str) -> int | None:
        """Return when a folder last changed; ``None`` if there is no folder."""
        try:
            return (self.folder / key).lstat().st_mtime_ns
        except FileNotFoundError:
            return None
