"""From deliveries to a file, whatever its format."""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from hooknb.errors import SettingError
from hooknb.records import Delivery

__all__ = ["FORMATS", "export", "format_of", "replacing"]

FORMATS: Final = ("jsonl", "har", "parquet")
"""The formats by name, which are the suffixes of their files too."""

_SUFFIXES: Final = {f".{name}": name for name in FORMATS} | {".ndjson": "jsonl"}

Progress = Callable[[int], object]


def format_of(path: str | os.PathLike[str], format: str | None = None) -> str:
    """Return the format of a file: the one that is named, or that of its suffix.

    Raises
    ------
    SettingError
        The format is unknown.
    """
    if format is None:
        found = _SUFFIXES.get(Path(path).suffix.lower())
        if found is not None:
            return found
        raise SettingError(
            "path",
            f"{os.fspath(path)!r} does not end in one of {', '.join(_SUFFIXES)}; rename it, or "
            f"set format to one of {', '.join(map(repr, FORMATS))}",
        )
    if format in FORMATS:
        return format
    raise SettingError("format", f"{format!r} is not a format; write one of {', '.join(FORMATS)}")


def export(
    deliveries: Iterable[Delivery],
    path: str | os.PathLike[str],
    format: str | None = None,
    progress: Progress | None = None,
    *,
    secrets: bool = False,
) -> int:
    """Write deliveries to a file, one after the other; see :meth:`hooknb.Hook.export`.

    At no time more than some megabytes of them are in memory. A file of that name stays as it was
    where the new one cannot be completed; it is readable by its owner only, as the store is. A
    pipe, or the like, is written to directly.

    Parameters
    ----------
    deliveries
        In the order in which they are written.
    path, format, secrets
        As of :meth:`hooknb.Hook.export`; the folder is there.
    progress
        Called after each delivery with how many have been written.
    """
    room = importlib.import_module(f"hooknb.history.exports.{format_of(path, format)}")
    written = 0

    def counted() -> Iterator[Delivery]:
        nonlocal written
        for delivery in deliveries:
            yield delivery
            written += 1
            if progress is not None:
                progress(written)

    with replacing(Path(path)) as file:
        room.write(counted(), file, secrets=secrets)
    return written


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of ``path`` where all went well."""
    try:
        if path.exists() and not path.is_file():  # a pipe, say, which has no other name
            with path.open("wb") as file:
                yield file
            return
        path = path.resolve()  # a link stays one
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())  # what it says may be deleted elsewhere next
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise SettingError(
            "path", f"{str(path)!r} cannot be written: {error.strerror or error}"
        ) from error
