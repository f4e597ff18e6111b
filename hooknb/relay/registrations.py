"""Registrations: how a kernel tells the relay which hooks it publishes, and where.

Each runtime that publishes a hook writes one file into ``<Jupyter's runtime folder>/hooknb``. Only
their owner can read or write the file and the folder; the relay ignores files that are not private.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from hooknb import _processes
from hooknb.relay.private_files import opened_folder, own_file, write_own

__all__ = [
    "AWAY_SECONDS",
    "KEY",
    "VERSION",
    "PublishedHook",
    "Registration",
    "Registrations",
    "runtime_folder",
]

VERSION: Final = 1
AWAY_SECONDS: Final = 24 * 3600.0
"""Seconds for which the hooks of a process that has ended count as published."""

KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
"""The pattern of a hook's key."""

_NAME: Final = re.compile(r"([0-9a-f]{32})\.json")
_MAX_BYTES: Final = 1024 * 1024
_MAX_FILES: Final = 256
_MAX_ENDED: Final = 64
_PART_SECONDS: Final = 3600.0  # by then the writer of a partial file is gone

Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Secret = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{32,128}$")]
Size = Annotated[int, msgspec.Meta(ge=0)]


class PublishedHook(msgspec.Struct, frozen=True, kw_only=True):
    """A published hook, as the relay knows it.

    Attributes
    ----------
    status_while_away
        The status while no kernel serves the hook: 202 keeps the delivery until one does, 503
        refuses it.
    max_body
        Maximum size of a body in bytes.
    """

    status_while_away: Literal[202, 503]
    max_body: Size


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """The hooks that a runtime publishes.

    Attributes
    ----------
    version
        The version of this format.
    pid, started
        The kernel's process, and when it started (:func:`hooknb._processes.started`).
    registered_at
        Microseconds since 1970. If two processes publish a hook, the later one receives it.
    host, port
        The address on which the runtime listens.
    secret
        Identifies the relay to the runtime.
    hosts
        Public host names of the Jupyter server.
    hooks
        The hooks by key.
    """

    version: Literal[1]
    pid: Annotated[int, msgspec.Meta(gt=1)]
    started: str
    registered_at: int
    host: Literal["127.0.0.1", "::1"]
    port: Port
    secret: Secret
    hosts: tuple[str, ...]
    hooks: dict[str, PublishedHook]

    def __repr__(self) -> str:
        """Return a text without the secret and the keys."""
        return f"<Registration of process {self.pid}, port {self.port}, {len(self.hooks)} hooks>"

    @property
    def is_alive(self) -> bool:
        """Whether its process is running."""
        return _processes.runs(self.pid, self.started)


class Registrations:
    """The registrations of this user.

    Attributes
    ----------
    folder
        The folder of their files; it need not exist.
    hooks
        The keys of all hooks found by the last :meth:`read`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hooks: frozenset[str] = frozenset()
        # The content of each file by its inode, times and size, so that none is read twice.
        self._known: dict[tuple[int, ...], Registration | None] = {}

    def read(self, most: int | None = _MAX_FILES) -> dict[str, Registration]:
        """Return the trusted registrations among the ``most`` newest files, by file name.

        Raises
        ------
        OSError
            The files cannot be read now, for example because no descriptor is free; a later
            attempt may succeed.
        """
        found: dict[str, Registration] = {}
        known: dict[tuple[int, ...], Registration | None] = {}
        with opened_folder(self.folder) as folder:
            if folder is not None:
                for name in _newest(folder)[:most]:
                    with own_file(folder, name, _MAX_BYTES) as file:
                        if file is None:
                            continue
                        seen = os.fstat(file)
                        mark = (seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size)
                        registration = known[mark] = (
                            self._known[mark] if mark in self._known else _decoded(file)
                        )
                    if registration is not None:
                        found[name] = registration
        self._known = known
        self.hooks = frozenset(key for one in found.values() for key in one.hooks)
        return found

    def find(self, key: str) -> tuple[str, Registration, bool] | None:
        """Return who publishes a hook: file, registration, and whether its process is running.

        A running process takes precedence over those that have ended, and a later registration
        over an earlier one. A process that ended more than :data:`AWAY_SECONDS` ago publishes
        nothing.

        Raises
        ------
        OSError
            As for :meth:`read`.
        """
        having = [
            (registration.is_alive, registration.registered_at, name, registration)
            for name, registration in self.read().items()
            if key in registration.hooks
        ]
        for alive, _, name, registration in sorted(having, key=lambda item: item[:3], reverse=True):
            if alive or not self._is_over(name):
                return name, registration, alive
        return None

    def sweep(self) -> None:
        """Mark processes that have ended; remove the registrations of those that ended long ago.

        Of ended processes, only the newest ``_MAX_ENDED`` registrations are kept.
        """
        ended = []
        for name, registration in self.read(None).items():
            if registration.is_alive:
                # An earlier check may have failed to see the running process.
                with contextlib.suppress(OSError):
                    self._mark(name).unlink()
            elif self._is_over(name):
                self.remove(name)
            else:
                ended.append(name)
        for name in ended[_MAX_ENDED:]:
            self.remove(name)
        for path in self.folder.glob("*.part"):
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > _PART_SECONDS:
                    path.unlink()  # its writer ended before it was complete

    def _is_over(self, name: str) -> bool:
        """Return whether a process ended long ago; the mark beside its file dates the end."""
        mark = self._mark(name)
        with contextlib.suppress(OSError):
            return time.time() - mark.lstat().st_mtime > AWAY_SECONDS
        with contextlib.suppress(OSError):
            os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        return False

    def away_since(self, name: str) -> float | None:
        """Return when a process was found to have ended, in seconds since 1970, or ``None``."""
        try:
            return self._mark(name).lstat().st_mtime
        except OSError:
            return None

    def write(self, name: str, registration: Registration) -> None:
        """Write a registration atomically under a name from :meth:`new_name`.

        Raises
        ------
        PublicationError
            The folder is not the user's own, or cannot be written.
        """
        write_own(self.folder, name, msgspec.json.encode(registration))

    def remove(self, name: str) -> None:
        """Remove a registration, if it exists."""
        for path in (self.folder / name, self._mark(name)):
            with contextlib.suppress(OSError):
                path.unlink()

    def strike(self, key: str) -> None:
        """Remove a hook from the registrations of processes that have ended.

        Raises
        ------
        PublicationError
            A registration cannot be written.
        OSError
            As for :meth:`read`.
        """
        for name, registration in self.read(None).items():
            if key not in registration.hooks or registration.is_alive:
                continue
            left = {known: hook for known, hook in registration.hooks.items() if known != key}
            if left:
                self.write(name, msgspec.structs.replace(registration, hooks=left))
            else:
                self.remove(name)

    @staticmethod
    def new_name() -> str:
        """Return a name for a new registration file."""
        return f"{secrets.token_hex(16)}.json"

    def _mark(self, name: str) -> Path:
        return (self.folder / name).with_suffix(".away")


def runtime_folder() -> Path:
    """Return the folder of the registrations.

    In a kernel, it is beside the connection file, where the Jupyter server that started the kernel
    looks even if the environment has changed since.
    """
    app = sys.modules.get("ipykernel.kernelapp")
    if app is not None and app.IPKernelApp.initialized():
        connection = getattr(app.IPKernelApp.instance(), "abs_connection_file", "")
        if connection and Path(connection).is_file():
            return Path(connection).parent / "hooknb"
    from jupyter_core.paths import jupyter_runtime_dir

    return Path(jupyter_runtime_dir()) / "hooknb"


def _newest(folder: int) -> list[str]:
    """Return the names of the registrations in an open folder, the newest first."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
    return [name for _, name in sorted(found, reverse=True)]


def _decoded(file: int) -> Registration | None:
    content = os.read(file, _MAX_BYTES)
    try:
        found = msgspec.json.decode(content, type=Registration)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found if all(map(KEY.fullmatch, found.hooks)) else None
