"""The time: UTC, whole microseconds since 1970 in the store, aware ``datetime`` in records."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["microseconds", "moment", "now"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def now() -> int:
    """Give the microseconds since 1970."""
    return time.time_ns() // 1000


def moment(value: int) -> datetime:
    """Make an aware ``datetime`` of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)


def microseconds(value: datetime) -> int:
    """Give the microseconds since 1970 of an aware ``datetime``."""
    return (value - _EPOCH) // _MICROSECOND
