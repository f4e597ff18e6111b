"""The state of this process: the runtimes that are alive, and the default one.

Kept in a module that no reload of hooknb reaches: a reloaded module would start a second server
beside the one whose thread is still running.
"""

from __future__ import annotations

import os
import sys
import threading
from types import ModuleType
from typing import Any, Protocol, cast

__all__ = [
    "State",
    "forget",
    "leave_switch_interval",
    "lock",
    "release_in_forks",
    "state",
    "want_switch_interval",
]

_NAME = "_hooknb_process_state"


class State(Protocol):
    """What this process has of hooknb."""

    lock: threading.RLock  # guards all of it
    runtimes: list[Any]  # those that are alive
    default: Any  # one of them, or None
    intervals: dict[int, float]
    interval_before: float  # seconds, as of before the first wish
    releases: bool  # whether forked children release what they got


def state() -> State:
    """Return the state of this process."""
    found: Any = sys.modules.get(_NAME)
    if found is None:
        found = ModuleType(_NAME)
        found.lock, found.runtimes, found.default = threading.RLock(), [], None
        found.intervals, found.interval_before, found.releases = {}, 0.0, False
        found = sys.modules.setdefault(_NAME, found)
    return cast("State", found)


def lock() -> threading.RLock:
    """Return the lock that guards the registry."""
    return state().lock


def forget(runtime: Any) -> None:
    """Remove a closed runtime from the registry."""
    here = state()
    with here.lock:
        if runtime in here.runtimes:
            here.runtimes.remove(runtime)
        if here.default is runtime:
            here.default = None


def want_switch_interval(who: int, seconds: float) -> None:
    """Set the process's switch interval to the smallest that anybody wants."""
    here = state()
    with here.lock:
        if not here.intervals:
            here.interval_before = sys.getswitchinterval()
        here.intervals[who] = seconds
        sys.setswitchinterval(min(here.intervals.values()))


def leave_switch_interval(who: int) -> None:
    """Withdraw a wish; the last one to leave restores the interval of before."""
    here = state()
    with here.lock:
        if here.intervals.pop(who, None) is not None:
            wanted = here.intervals.values()
            sys.setswitchinterval(min(wanted) if wanted else here.interval_before)


def release_in_forks() -> None:
    """Have forked children release this process's runtimes: they get sockets, but no threads."""
    here = state()
    if not here.releases:
        here.releases = True
        os.register_at_fork(after_in_child=_release)


def _release() -> None:
    here = state()
    runtimes = list(here.runtimes)
    # The lock may have been held by a thread that the child does not have.
    here.lock, here.runtimes, here.default = threading.RLock(), [], None
    for runtime in runtimes:
        runtime._let_go()  # noqa: SLF001 - which only a fork may call
