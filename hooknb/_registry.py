"""The state of this process: the runtimes that are alive, and the default one.

Kept in a module that no reload of hooknb reaches: a reloaded module would start a second server
beside the one whose thread is still running.
"""

from __future__ import annotations

import os
import sys
import threading
from types import ModuleType
from typing import Any

__all__ = [
    "default",
    "forget",
    "leave_switch_interval",
    "lock",
    "release_in_forks",
    "runtimes",
    "set_default",
    "want_switch_interval",
]

_NAME = "_hooknb_process_state"


def _state() -> Any:
    state = sys.modules.get(_NAME)
    if state is None:
        made: Any = ModuleType(_NAME)
        made.lock, made.runtimes, made.default = threading.RLock(), [], None
        made.intervals, made.interval_before = {}, None
        state = sys.modules.setdefault(_NAME, made)
    return state


def lock() -> threading.RLock:
    """Return the lock that guards the registry."""
    found: threading.RLock = _state().lock
    return found


def runtimes() -> list[Any]:
    """Return the list of the runtimes that are alive; change it under :func:`lock`."""
    found: list[Any] = _state().runtimes
    return found


def default() -> Any:
    """Return the default runtime, or ``None``."""
    return _state().default


def set_default(runtime: Any) -> None:
    """Make a runtime the default one, or none."""
    _state().default = runtime


def forget(runtime: Any) -> None:
    """Remove a closed runtime from the registry."""
    state = _state()
    with state.lock:
        if runtime in state.runtimes:
            state.runtimes.remove(runtime)
        if state.default is runtime:
            state.default = None


def want_switch_interval(who: int, seconds: float) -> None:
    """Set the process's switch interval to the smallest that anybody wants."""
    state = _state()
    with state.lock:
        if not state.intervals:
            state.interval_before = sys.getswitchinterval()
        state.intervals[who] = seconds
        sys.setswitchinterval(min(state.intervals.values()))


def leave_switch_interval(who: int) -> None:
    """Withdraw a wish; the last one to leave restores the interval of before."""
    state = _state()
    with state.lock:
        if state.intervals.pop(who, None) is not None:
            wanted = state.intervals.values()
            sys.setswitchinterval(min(wanted) if wanted else state.interval_before)


def release_in_forks() -> None:
    """Have forked children release this process's runtimes: they get sockets, but no threads."""
    state = _state()
    if not getattr(state, "releases", False):
        state.releases = True
        os.register_at_fork(after_in_child=_release)


def _release() -> None:
    state = _state()
    runtimes = list(state.runtimes)
    # The lock may have been held by a thread that the child does not have.
    state.lock, state.runtimes, state.default = threading.RLock(), [], None
    for runtime in runtimes:
        runtime.let_go()
