"""The spool: deliveries that wait on the disk for a kernel that serves their hook again.

A folder for each key, a file for each delivery, both their owner's only. A file's name begins with
a number that grows, so that the order of the names is the order in which they came.
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

from hooknb.registrations import KEY, made_folder, opened_folder, own_file, write_own
from hooknb.relay.forwarding import Relayed
from hooknb.relay.limits import Limits

__all__ = ["Spool", "SpoolFullError"]

_NAME: Final = re.compile(r"[0-9]{20}-[0-9a-f]{8}\.delivery")
_MOST_BYTES: Final = 2**31


class SpoolFullError(Exception):
    """There is no room for another delivery."""


class Spool:
    """Deliveries on the disk, by the keys of their hooks. Its methods block; any thread may call.

    Parameters
    ----------
    folder
        That of the keys' folders; made where it is not there.
    limits
        How much it may hold.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self._limits = limits
        self._lock = threading.Lock()
        self._last = 0

    def hooks(self) -> list[str]:
        """Give the keys for which something may wait."""
        with opened_folder(self.folder) as folder:
            return [] if folder is None else sorted(filter(KEY.fullmatch, os.listdir(folder)))  # noqa: PTH208 - by descriptor

    def waits(self, key: str) -> bool:
        """Whether something waits for a hook."""
        return bool(self.names(key))

    def names(self, key: str) -> list[str]:
        """Give what waits for a hook, the first to come first."""
        with opened_folder(self.folder) as whole:
            if whole is None:
                return []
        with opened_folder(self.folder / key) as folder:
            return [] if folder is None else sorted(filter(_NAME.fullmatch, os.listdir(folder)))  # noqa: PTH208 - by descriptor

    def append(self, key: str, request: Relayed, body: bytes) -> None:
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
            if (
                count >= self._limits.spool_count
                or size + len(body) > self._limits.spool_bytes
                or total + len(body) > self._limits.spool_total
            ):
                raise SpoolFullError
            names = self.names(key)
            newest = int(names[-1].partition("-")[0]) if names else 0
            self._last = max(time.time_ns(), self._last + 1, newest + 1)
            name = f"{self._last:020d}-{secrets.token_hex(4)}.delivery"
            write_own(self.folder / key, name, msgspec.json.encode(request) + b"\n" + body)

    def read(self, key: str, name: str) -> tuple[Relayed, bytes] | None:
        """Give a delivery; ``None`` where it is gone, or nothing that this package wrote."""
        with opened_folder(self.folder / key) as folder:
            if folder is None:
                return None
            with own_file(folder, name, _MOST_BYTES) as file:
                if file is None:
                    return None
                with os.fdopen(os.dup(file), "rb") as opened:
                    head, _, body = opened.read().partition(b"\n")
        try:
            return msgspec.json.decode(head, type=Relayed), body
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def remove(self, key: str, name: str) -> None:
        """Forget a delivery that has been handed over."""
        with contextlib.suppress(OSError):
            (self.folder / key / name).unlink()

    def tidy(self, key: str) -> None:
        """Forget what has waited too long, and the folder where nothing is left."""
        oldest = time.time() - self._limits.spool_days * 86_400
        folder = self.folder / key
        with self._lock, contextlib.suppress(OSError):
            for path in folder.iterdir():
                if path.lstat().st_mtime < oldest:
                    path.unlink()
            folder.rmdir()  # it fails where something is left

    def set_aside(self, key: str, name: str) -> None:
        """Keep a delivery for people to look at, and hand it over no more."""
        path = self.folder / key / name
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(".failed"))

    @contextlib.contextmanager
    def handing_over(self, key: str) -> Iterator[bool]:
        """Hold a hook's deliveries for handing over; false where another process does so now."""
        try:
            file = os.open(
                self.folder / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600
            )
        except OSError:
            yield False
            return
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(file)

    def _held(self, key: str) -> tuple[int, int]:
        """Give how many deliveries wait for a hook, and their bytes."""
        count = size = 0
        for name in self.names(key):
            with contextlib.suppress(OSError):
                size += (self.folder / key / name).lstat().st_size
                count += 1
        return count, size
