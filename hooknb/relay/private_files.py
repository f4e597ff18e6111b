"""Files that only their owner can read, in folders that only their owner can enter.

Every other file is treated as missing: this package did not write it for this user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hooknb.errors import PublicationError

__all__ = ["made_folder", "opened_folder", "own_file", "write_own"]

# Opening may succeed later, so these do not mean that the file is missing.
_PASSING: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN, errno.ESTALE}
)


def write_own(folder: Path, name: str, content: bytes) -> None:
    """Write a file that only this user can read, atomically, and sync it to disk.

    The folder is created if it is missing; an existing file is replaced.

    Raises
    ------
    PublicationError
        The folder is not the user's own, or cannot be written.
    """
    made_folder(folder)
    partial, replaced = folder / f"{name}.{secrets.token_hex(4)}.part", False
    try:
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(file)
        partial.replace(folder / name)
        replaced = True
        _keep_names(folder)
    except OSError as error:
        # The writer is told that nothing was written, so no reader may find the file.
        with contextlib.suppress(OSError):
            (folder / name if replaced else partial).unlink()
        raise PublicationError(
            f"{folder} cannot be written ({error}); make room there, or set JUPYTER_RUNTIME_DIR "
            "for the Jupyter server and its kernels"
        ) from error


def _keep_names(folder: Path) -> None:
    """Sync a folder to disk, and so the names of its files."""
    with opened_folder(folder) as opened:
        if opened is None:
            return
        try:
            os.fsync(opened)
        except OSError as error:
            # Some network file systems sync only files, and keep names without it.
            if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
                raise


def made_folder(folder: Path) -> None:
    """Create a folder that only its owner can enter, if it is missing.

    Raises
    ------
    PublicationError
        It belongs to another user, is open to others, or cannot be created.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        problem = None
    except OSError as error:
        problem = str(error)
    try:
        with opened_folder(folder) as opened:
            is_own = opened is not None
    except OSError as error:
        raise PublicationError(f"{folder} cannot be opened ({error}); try again") from error
    if problem is not None or not is_own:
        raise PublicationError(
            f"{folder} is not a folder of this user that only its owner can enter"
            f"{f' ({problem})' if problem else ''}; remove it, or `chmod 700` it"
        )


@contextlib.contextmanager
def opened_folder(folder: Path) -> Iterator[int | None]:
    """Open a folder that only its owner can enter; ``None`` if it is missing or not private.

    Raises
    ------
    OSError
        The folder cannot be opened now; a later attempt may succeed.
    """
    opened = _opened(folder, os.O_DIRECTORY)
    if opened is None:
        yield None
        return
    try:
        yield opened if _is_own(os.fstat(opened)) else None
    finally:
        os.close(opened)


@contextlib.contextmanager
def own_file(folder: int, name: str, most: int) -> Iterator[int | None]:
    """Open a regular, private file of at most ``most`` bytes in an open folder; otherwise ``None``.

    Raises
    ------
    OSError
        The file cannot be opened now; a later attempt may succeed.
    """
    # Opening a pipe would block until its other end is open.
    file = _opened(name, os.O_NONBLOCK, folder)
    if file is None:
        yield None
        return
    try:
        seen = os.fstat(file)
        plain = stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1 and seen.st_size <= most
        yield file if plain and _is_own(seen) else None
    finally:
        os.close(file)


def _opened(path: str | Path, flags: int, folder: int | None = None) -> int | None:
    """Open for reading without following a link; ``None`` if there is nothing to open."""
    try:
        return os.open(path, flags | os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno in _PASSING:
            raise
        return None


def _is_own(seen: os.stat_result) -> bool:
    return seen.st_uid == os.geteuid() and not seen.st_mode & 0o077
