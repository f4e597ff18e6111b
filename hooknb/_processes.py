"""Processes of this machine: which one a number means, whether it still runs, whose child it is.

A number alone says nothing: once its process has ended another one gets it. Together with the
moment at which the process started it names one process for good.
"""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Final

__all__ = ["ancestors", "runs", "started"]

_PROC: Final = Path("/proc")
_MOST_ANCESTORS: Final = 64
_PATIENCE: Final = 2.0  # seconds
_NOT_THERE: Final = (FileNotFoundError, ProcessLookupError, PermissionError)


def started(pid: int) -> str | None:
    """Return a text that says when a process started, or ``None`` where none of that number runs.

    The texts of two processes that had the same number differ. A process that has ended and whose
    parent has not looked yet counts as ended.

    Raises
    ------
    OSError
        The system does not say so now: no descriptor is free, say. Nobody has ended for that.
    """
    if not (_PROC / "self" / "stat").exists():
        return _asked(pid, "lstart=")
    fields = _stat(pid)
    # Ticks since the machine started: after another start the same number may come again.
    return None if fields is None or fields[0] in {"Z", "X"} else f"{fields[19]} {_boot()}".strip()


def runs(pid: int, since: str) -> bool:
    """Whether that very process runs, and is the caller's own user's.

    Raises
    ------
    OSError
        As of :func:`started`.
    """
    if not (_PROC / "self" / "stat").exists():
        owner, _, start = (_asked(pid, "uid=", "lstart=") or "").partition(" ")
        return start.strip() == since and owner == str(os.geteuid())
    return started(pid) == since and _owner(pid) == os.geteuid()


def ancestors(pid: int | None = None) -> list[int]:
    """Return the numbers of the processes above one (this one), the nearest first."""
    found: list[int] = []
    above = os.getppid() if pid is None else _parent(pid)
    while above and above > 1 and above not in found and len(found) < _MOST_ANCESTORS:
        found.append(above)
        above = _parent(above)
    return found if above != 1 else [*found, 1]


def _parent(pid: int) -> int | None:
    if not (_PROC / "self" / "stat").exists():
        text = _asked(pid, "ppid=")
        return int(text) if text and text.isdigit() else None
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def _owner(pid: int) -> int | None:
    try:
        return (_PROC / str(pid)).stat().st_uid
    except _NOT_THERE:
        return None


def _stat(pid: int) -> list[str] | None:
    """Return the fields behind the name of the program in ``/proc/<pid>/stat`` (proc(5))."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except _NOT_THERE:
        return None
    # The name stands in parentheses and may hold anything, parentheses too.
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > 19 else None  # noqa: PLR2004 - up to the start time


@lru_cache(maxsize=1)
def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except _NOT_THERE:
        return ""


def _asked(pid: int, *columns: str) -> str | None:
    """Ask ``ps``, which POSIX systems without ``/proc`` have."""
    wanted = [part for column in columns for part in ("-o", column)]
    try:
        done = subprocess.run(  # noqa: S603 - a list of arguments, of which one is a whole number
            ["ps", *wanted, "-p", str(int(pid))],  # noqa: S607 - wherever the system has it
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"ps says nothing of process {pid}") from error
    return done.stdout.strip() or None
