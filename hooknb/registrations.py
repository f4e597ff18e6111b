"""Registrations: how a kernel tells the relay which hooks it publishes, and where.

One file for each runtime that publishes something, in ``<Jupyter's runtime folder>/hooknb``:
readable and writable by its owner only, in a folder of the same kind. What does not look exactly
so was not written by this package for this user, and is not there for the relay.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from hooknb import processes
from hooknb.errors import PublicationError

__all__ = [
    "AWAY_SECONDS",
    "KEY",
    "VERSION",
    "PublishedHook",
    "Registration",
    "Registrations",
    "made_folder",
    "opened_folder",
    "own_file",
    "runtime_folder",
    "write_own",
]

VERSION: Final = 1
AWAY_SECONDS: Final = 24 * 3600.0
"""Seconds for which the hooks of a process that has ended count as published."""

KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
"""What the key of a hook looks like."""

_NAME: Final = re.compile(r"([0-9a-f]{32})\.json")
_MOST_BYTES: Final = 1024 * 1024
_MOST_FILES: Final = 256

Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Secret = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{32,128}$")]
Size = Annotated[int, msgspec.Meta(ge=0)]


class PublishedHook(msgspec.Struct, frozen=True, kw_only=True):
    """What the relay knows of a hook.

    Attributes
    ----------
    status_while_away
        What senders get while no kernel serves it: 202, and the delivery is kept until one does,
        or 503.
    max_body
        Bytes of a body at the most.
    """

    status_while_away: Literal[202, 503]
    max_body: Size


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What a runtime publishes.

    Attributes
    ----------
    version
        Of this format.
    pid, started
        The kernel's process, and when it started (:func:`hooknb.processes.started`).
    registered_at
        Microseconds since 1970. Where two processes publish a hook, the later one has it.
    host, port
        Where the runtime listens.
    secret
        What the relay shows the runtime.
    hosts
        Names under which the Jupyter server is reached from outside, as its user told.
    hooks
        By key.
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
        """Leave the secret and the keys out."""
        return f"<Registration of process {self.pid}, port {self.port}, {len(self.hooks)} hooks>"

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return processes.runs(self.pid, self.started)


class Registrations:
    """The registrations of this user.

    Parameters
    ----------
    folder
        That of the files; it need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # What a file holds, by what it is on the disk: nothing is read twice.
        self._known: dict[tuple[int, ...], Registration | None] = {}

    def read(self) -> dict[str, Registration]:
        """Give what is registered, by the names of the files; what is not to be trusted is not."""
        found: dict[str, Registration] = {}
        known: dict[tuple[int, ...], Registration | None] = {}
        with opened_folder(self.folder) as folder:
            if folder is not None:
                names = sorted(filter(_NAME.fullmatch, os.listdir(folder)))  # noqa: PTH208 - by descriptor
                for name in names[:_MOST_FILES]:
                    with own_file(folder, name, _MOST_BYTES) as file:
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
        return found

    def find(self, key: str) -> tuple[str, Registration, bool] | None:
        """Give who publishes a hook: file, registration, and whether its process runs.

        A process that runs comes before those that have ended, a later one before an earlier one.
        One that ended more than :data:`AWAY_SECONDS` ago publishes nothing.
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
        """Note which processes have ended since the last look; forget those that ended long ago."""
        for name, registration in self.read().items():
            if not registration.is_alive and self._is_over(name):
                self.remove(name)

    def _is_over(self, name: str) -> bool:
        """Whether a process ended long ago; a mark beside its file keeps when that was noticed."""
        mark = self._mark(name)
        with contextlib.suppress(OSError):
            return time.time() - mark.lstat().st_mtime > AWAY_SECONDS
        with contextlib.suppress(OSError):
            os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        return False

    def away_since(self, name: str) -> float | None:
        """Give when it was noticed that a process had ended, in seconds since 1970."""
        try:
            return self._mark(name).lstat().st_mtime
        except OSError:
            return None

    def write(self, name: str, registration: Registration) -> None:
        """Write a registration, whole or not at all.

        Parameters
        ----------
        name
            Of :meth:`new_name`.
        registration
            What the file is to say.

        Raises
        ------
        PublicationError
            The folder is not the user's own, or cannot be written.
        """
        write_own(self.folder, name, msgspec.json.encode(registration))

    def remove(self, name: str) -> None:
        """Take a registration away; nothing happens where there is none."""
        for path in (self.folder / name, self._mark(name)):
            with contextlib.suppress(OSError):
                path.unlink()

    def strike(self, key: str) -> None:
        """Take a hook out of the registrations of processes that have ended."""
        for name, registration in self.read().items():
            if key not in registration.hooks or registration.is_alive:
                continue
            left = {known: hook for known, hook in registration.hooks.items() if known != key}
            if left:
                self.write(name, msgspec.structs.replace(registration, hooks=left))
            else:
                self.remove(name)

    @staticmethod
    def new_name() -> str:
        """Make the name of a file that nobody has."""
        return f"{secrets.token_hex(16)}.json"

    def _mark(self, name: str) -> Path:
        return (self.folder / name).with_suffix(".away")


def runtime_folder() -> Path:
    """Give the folder of the registrations.

    Beside the kernel's connection file, where this process is a kernel: the Jupyter server that
    started it looks there, whatever the environment says by now.
    """
    app = sys.modules.get("ipykernel.kernelapp")
    if app is not None and app.IPKernelApp.initialized():
        connection = getattr(app.IPKernelApp.instance(), "abs_connection_file", "")
        if connection and Path(connection).is_file():
            return Path(connection).parent / "hooknb"
    from jupyter_core.paths import jupyter_runtime_dir

    return Path(jupyter_runtime_dir()) / "hooknb"


def write_own(folder: Path, name: str, content: bytes) -> None:
    """Write a file that only this user can read, whole or not at all, and see it on the disk.

    Parameters
    ----------
    folder
        That of the file; made where it is not there.
    name
        Of the file; one that is there is replaced.
    content
        Its bytes.

    Raises
    ------
    PublicationError
        The folder is not the user's own, or cannot be written.
    """
    made_folder(folder)
    partial = folder / f"{name}.{secrets.token_hex(4)}.part"
    try:
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(file)
        partial.replace(folder / name)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise PublicationError(
            f"{folder} cannot be written ({error}); make room there, or set JUPYTER_RUNTIME_DIR "
            "for the Jupyter server and its kernels"
        ) from error
    with opened_folder(folder) as opened_again:
        if opened_again is not None:
            os.fsync(opened_again)  # the name of a file is kept by its folder


def made_folder(folder: Path) -> None:
    """Make a folder that is its owner's only, where it is not there.

    Raises
    ------
    PublicationError
        It is somebody else's, open to others, or cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        problem = None
    except OSError as error:
        problem = str(error)
    with opened_folder(folder) as opened:
        if problem is not None or opened is None:
            raise PublicationError(
                f"{folder} is not a folder of this user that only its owner can enter"
                f"{f' ({problem})' if problem else ''}; remove it, or `chmod 700` it"
            )


@contextlib.contextmanager
def opened_folder(folder: Path) -> Iterator[int | None]:
    """Open a folder that is its owner's only; ``None`` where it is not there, or another's."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield opened if _is_own(os.fstat(opened)) else None
    finally:
        os.close(opened)


@contextlib.contextmanager
def own_file(folder: int, name: str, most: int) -> Iterator[int | None]:
    """Open a file of an opened folder; ``None`` where it is not a plain one of this user's only.

    Parameters
    ----------
    folder
        Its descriptor.
    name
        Of the file.
    most
        Bytes that it may have.
    """
    try:
        # Without waiting, since a pipe would make one wait for its other end.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(name, flags, dir_fd=folder)
    except OSError:
        yield None
        return
    try:
        seen = os.fstat(file)
        plain = stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1 and seen.st_size <= most
        yield file if plain and _is_own(seen) else None
    finally:
        os.close(file)


def _is_own(seen: os.stat_result) -> bool:
    return seen.st_uid == os.geteuid() and not seen.st_mode & 0o077


def _decoded(file: int) -> Registration | None:
    try:
        found = msgspec.json.decode(os.read(file, _MOST_BYTES), type=Registration)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found if all(map(KEY.fullmatch, found.hooks)) else None
