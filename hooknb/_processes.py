"""Processes of this machine: which one a number means, whether it still runs, whose child it is.

A number alone says nothing: once its process has ended another one gets it. Together with the
moment at which the process started it names one process for good.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Final

__all__ = ["ancestors", "runs", "started"]

_PROC: Final = Path("/proc")
_START: Final = 19  # the field of the start time, counted behind the name of the program
_NOT_THERE: Final = (FileNotFoundError, ProcessLookupError, PermissionError)


def started(pid: int) -> str | None:
    """Return a text that says when a process started, or ``None`` where none of that number runs.

    The texts of two processes that had the same number differ, also after the clock was put
    right. A process that has ended and whose parent has not looked yet counts as ended.

    Raises
    ------
    OSError
        The system does not say so now: no descriptor is free, say. Nobody has ended for that.
    """
    if not (_PROC / "self" / "stat").exists():
        return _started_without_proc(pid)
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except _NOT_THERE:
        return None
    # The name stands in parentheses and may hold anything, parentheses too (proc(5)).
    fields = text.rpartition(")")[2].split()
    if len(fields) <= _START or fields[0] in {"Z", "X"}:
        return None
    # Ticks since the machine started: after another start the same number may come again.
    return f"{fields[_START]} {_boot()}".strip()


def runs(pid: int, since: str) -> bool:
    """Whether that very process runs, and is the caller's own user's.

    Raises
    ------
    OSError
        As of :func:`started`.
    """
    import psutil  # the kernel's, so that it is there

    try:
        return started(pid) == since and psutil.Process(pid).uids().effective == os.geteuid()
    except psutil.Error:
        return False


def ancestors() -> list[int]:
    """Return the numbers of the processes above this one, the nearest first."""
    import psutil

    return [process.pid for process in psutil.Process().parents()]


def _started_without_proc(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        has_ended = process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
        return None if has_ended else str(process.create_time())
    except psutil.Error:
        return None


@lru_cache(maxsize=1)
def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except _NOT_THERE:
        return ""
