"""The spool: deliveries that wait on the disk for a kernel that serves their hook again.

A folder for each key, a file for each delivery, both private to their owner. The names of files
begin with a number that grows: their order is that of the deliveries.
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
_PART: Final = 3600.0  # seconds after which nobody writes a file any more


class SpoolFullError(Exception):
    """There is no room for another delivery."""


class Spool:
    """Deliveries on the disk, by the keys of their hooks. Its methods block; any thread calls."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self._limits = limits
        self._lock = threading.Lock()
        self._last = 0
        # By key: what its folder was when it was counted last, and what was in it.
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
        """Keep a delivery; it is on the disk when this returns.

        Raises
        ------
        SpoolFullError
            It does not fit.
        PublicationError
            It cannot be written.
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
        """Return a delivery; ``None`` where it is gone, or not written by this package."""
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
            It cannot be removed.
        """
        (self.folder / key / name).unlink(missing_ok=True)
        with self._lock:
            self._counted.pop(key, None)

    def tidy(self, key: str) -> None:
        """Remove what has waited too long or was never whole, and an empty folder."""
        now = time.time()
        folder = self.folder / key
        with self._lock, contextlib.suppress(OSError):
            for path in folder.iterdir():
                age = now - path.lstat().st_mtime
                if age > self._limits.spool_days * 86_400 or (
                    path.suffix == ".part" and age > _PART
                ):
                    path.unlink()
            folder.rmdir()  # it fails where something is left

    def tidy_locks(self) -> None:
        """Remove the locks of hooks for which nothing waits any more."""
        with contextlib.suppress(OSError):
            for path in self.folder.glob("*.lock"):
                with self.handing_over(path.stem) as own:
                    if own and not (self.folder / path.stem).exists():
                        path.unlink(missing_ok=True)

    def set_aside(self, key: str, name: str) -> None:
        """Keep a delivery for people to look at, and no longer hand it over.

        Raises
        ------
        OSError
            It cannot be renamed.
        """
        path = self.folder / key / name
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_suffix(".failed"))

    @contextlib.contextmanager
    def handing_over(self, key: str) -> Iterator[bool]:
        """Lock a hook's deliveries for handing over; yield false while another process has them."""
        path = self.folder / f"{key}.lock"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError:
            yield False
            return
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Somebody may have taken it away before it was locked, and then it locks nothing.
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
                            # The clock may have been put back since this one was written.
                            self._last = max(self._last, int(entry.name.partition("-")[0]))
            known = self._counted[key] = mark, count, size
        return known[1:]

    def _mark(self, key: str) -> int | None:
        """Return the time of a folder's last change; ``None`` where there is no folder."""
        try:
            return (self.folder / key).lstat().st_mtime_ns
        except FileNotFoundError:
            return None
