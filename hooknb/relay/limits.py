"""Limits of the relay: sizes, timeouts, concurrency and request rates."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from hooknb.errors import SettingError

__all__ = ["Limits", "Rate"]

_MIB: Final = 2**20
_MAX_KEYS: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits, each set by ``c.HooknbRelay.<name>`` in the Jupyter server's configuration.

    Limits for all hooks together are shared: no hook may hold more than is left for the others,
    so a busy hook is refused long before it starves the rest.

    Attributes
    ----------
    max_body, max_response
        Bytes in the body of a request (a hook may allow fewer) and of a response.
    max_buffered
        Bytes of all bodies in transit.
    max_concurrent, max_concurrent_of_hook
        Requests in transit, for all hooks and for one.
    rate, rate_of_hook, rate_of_unknown
        Average requests per second for all hooks, for one, and for keys that were not registered
        when last read; a burst may have twice as many. Beyond ``rate_of_unknown``, unknown keys
        are not looked up.
    body_timeout, connect_timeout, response_timeout
        Seconds to receive a body, to connect to the kernel, and to wait for its response.
    spool_count, spool_bytes
        Deliveries, and their bytes, kept for one hook while no kernel serves it.
    spool_total
        Bytes kept for all hooks.
    spool_days
        Days after which a kept delivery is deleted.
    """

    max_body: int = 64 * _MIB
    max_response: int = 16 * _MIB
    max_buffered: int = 256 * _MIB
    max_concurrent: int = 128
    max_concurrent_of_hook: int = 32
    rate: float = 1000.0
    rate_of_hook: float = 500.0
    rate_of_unknown: float = 50.0
    body_timeout: float = 30.0
    connect_timeout: float = 5.0
    response_timeout: float = 60.0
    spool_count: int = 2000
    spool_bytes: int = 64 * _MIB
    spool_total: int = 256 * _MIB
    spool_days: float = 7.0

    @classmethod
    def configured(cls, settings: Mapping[str, Any]) -> Limits:
        """Return the limits that a configuration sets, with defaults for the rest.

        Raises
        ------
        SettingError
            A name is not the name of a limit, or a value is not a number above 0.
        """
        known = {field.name for field in fields(cls)}
        for name, value in settings.items():
            if name not in known:
                raise SettingError(
                    f"HooknbRelay.{name}",
                    f"there is no such limit; write one of {', '.join(known)}",
                )
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
                raise SettingError(f"HooknbRelay.{name}", f"{value!r} is not a number above 0")
        return replace(cls(), **settings)


class Rate:
    """A token bucket for each name: ``rate`` requests per second, and bursts of twice as many."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._burst = max(1.0, 2 * rate)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def passes(self, name: str, spared: float = 0.0) -> bool:
        """Count a request; return whether it passes with at least ``spared`` tokens left."""
        left = self._now_left(name)
        passes = left >= 1 + spared
        self._left.pop(name, None)
        self._left[name] = (left - 1 if passes else left, time.monotonic())
        if len(self._left) > _MAX_KEYS:
            self._left.popitem(last=False)
        return passes

    def used(self, name: str) -> float:
        """Return how many tokens are missing from a bucket."""
        return self._burst - self._now_left(name)

    def _now_left(self, name: str) -> float:
        left, since = self._left.get(name, (self._burst, 0.0))
        return min(self._burst, left + (time.monotonic() - since) * self._rate)
