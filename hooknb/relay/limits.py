"""How much the relay bears: sizes, times, requests at a time and a second."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from hooknb.errors import SettingError

__all__ = ["Limits", "Rate"]

_MIB: Final = 2**20
_MOST_KEYS: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits; ``c.HooknbRelay.<name>`` in the configuration of the Jupyter server sets one.

    Attributes
    ----------
    max_body, max_response
        Bytes of a request's body, whatever the hook allows, and of an answer's.
    max_buffered
        Bytes of all bodies that are on their way.
    max_concurrent, max_concurrent_of_hook
        Requests that are on their way.
    rate, rate_of_hook, rate_of_unknown
        Requests a second, in the long run; twice as many may come at once. Beyond the last one,
        keys that were not registered when that was looked at last are not looked for.
    body_timeout, connect_timeout, response_timeout
        Seconds: for a sender to send its body, to reach the kernel, and for the kernel to answer.
    spool_count, spool_bytes
        Deliveries that are kept for one hook while no kernel serves it, and their bytes.
    spool_total
        Bytes that are kept for all hooks.
    spool_days
        Days after which what is kept is given up.
    """

    max_body: int = 64 * _MIB
    max_response: int = 16 * _MIB
    max_buffered: int = 256 * _MIB
    max_concurrent: int = 64
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
        """Read what the configuration sets.

        Raises
        ------
        SettingError
            There is no such limit, or it is not a number above 0.
        """
        known = {field.name for field in fields(cls)}
        for name, value in settings.items():
            if name not in known:
                raise SettingError(
                    f"HooknbRelay.{name}", f"there is no such limit; there is {', '.join(known)}"
                )
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
                raise SettingError(f"HooknbRelay.{name}", f"{value!r} is not a number above 0")
        return replace(cls(), **settings)


class Rate:
    """Lets so many a second pass for each name, and twice as many at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def passes(self, name: str) -> bool:
        """Count one, and tell whether it passes."""
        now, most = time.monotonic(), max(1.0, 2 * self._rate)
        left, since = self._left.pop(name, (most, now))
        left = min(most, left + (now - since) * self._rate)
        self._left[name] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _MOST_KEYS:
            self._left.popitem(last=False)
        return left >= 1
