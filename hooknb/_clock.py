"""The time: UTC, whole microseconds since 1970 in the store, aware ``datetime`` in records."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["EPOCH", "Clock", "FixedClock", "microseconds", "moment", "now"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = 1_000_000  # microseconds
_TICK: Final = 1_000  # microseconds

EPOCH: Final = 1_767_225_600 * _SECOND
"""2026-01-01T00:00:00Z, at which a :class:`FixedClock` begins, in microseconds since 1970."""


def now() -> int:
    """Return the microseconds since 1970."""
    return time.time_ns() // 1000


def moment(value: int) -> datetime:
    """Return an aware ``datetime`` of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)


def microseconds(value: datetime) -> int:
    """Return the microseconds since 1970 of an aware ``datetime``."""
    return (value - _EPOCH) // _MICROSECOND


class Clock:
    """The time that a runtime goes by: the system's. Any thread may read it.

    Attributes
    ----------
    is_fixed
        Whether its times are made up of ids, the same in every run.
    """

    is_fixed = False

    def now(self) -> int:
        """Return the microseconds since 1970."""
        return now()

    def duration(self, started: float) -> int:
        """Return the microseconds since ``time.perf_counter()`` gave ``started``."""
        return round((time.perf_counter() - started) * 1e6)

    def of_execution(self, _number: int) -> Clock:
        """Return the clock of the execution of that id, which begins now."""
        return _SteadyClock()


class _SteadyClock(Clock):
    """The system's time at which it begins, and what has passed since, however that is set."""

    def __init__(self) -> None:
        self._start = now()
        self._began = time.perf_counter_ns()

    def now(self) -> int:
        """Return the microseconds since 1970; never less than the last time."""
        return self._start + (time.perf_counter_ns() - self._began) // 1000


class FixedClock(Clock):
    """The time of a deterministic runtime: made up of ids, so that it is the same in every run.

    Outside of executions it stands at :data:`EPOCH`. Delivery ``n`` comes ``n`` seconds later,
    and its execution has a clock of its own that begins then and goes on by a millisecond with
    each reading. Whatever is measured took a millisecond.
    """

    is_fixed = True

    def now(self) -> int:
        """Return :data:`EPOCH`."""
        return EPOCH

    def duration(self, started: float) -> int:  # noqa: ARG002 - what really passed is not told
        """Return a millisecond."""
        return _TICK

    def arrival(self, number: int) -> int:
        """Return the microseconds since 1970 at which the delivery of that id comes."""
        return EPOCH + number * _SECOND

    def of_execution(self, number: int) -> Clock:
        """Return a new clock that begins with the delivery of that id."""
        return _Ticks(self.arrival(number))


class _Ticks(FixedClock):
    """A clock that goes on when it is read, and only then."""

    def __init__(self, start: int) -> None:
        # Each reading is one call of C: threads that read at the same time get times of their own.
        self._readings = itertools.count(start + _TICK, _TICK)

    def now(self) -> int:
        """Return a millisecond more than the last time."""
        return next(self._readings)
