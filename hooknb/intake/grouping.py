"""Which deliveries share a transaction, and with it an fsync.

An fsync costs as much as reading ten requests. Callers whose responses have just gone out tend to
send again at once; a group waits for as many as it had before, as long as they keep coming.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from hooknb.store import NewDelivery

__all__ = ["Grouping"]

_SILENCE: Final = 0.0002  # seconds without another delivery after which a group is complete
_LONGEST: Final = 0.005  # seconds that a group waits at the most
_AWAKE: Final = 0.001  # seconds between looks while a group is written


class Grouping:
    """Collects deliveries and has them written in groups, one group at a time; on the loop.

    Parameters
    ----------
    write
        Has a group written; :meth:`written` is called when that is done.
    """

    def __init__(self, write: Callable[[list[NewDelivery]], None]) -> None:
        self._write = write
        self._group: list[NewDelivery] = []
        self._being_written = 0
        self._expected = 1
        self._first = self._last = 0.0

    def add(self, delivery: NewDelivery) -> None:
        """Take a delivery into the group."""
        self._last = time.perf_counter()
        self._group.append(delivery)
        if len(self._group) == 1:
            self._first = self._last
            if not self._being_written:
                asyncio.get_running_loop().call_soon(self._look)

    def written(self, count: int) -> None:
        """Go on with the next group: ``count`` deliveries are on disk, or cannot be."""
        self._being_written -= count
        if not self._being_written:
            # Those who get responses now may send again, beside those who have sent meanwhile.
            self._expected = count + len(self._group)
            self._first = self._last = time.perf_counter()
            if self._group:
                asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """Hand the group over once it is complete; else look again in the next turn."""
        now = time.perf_counter()
        if (
            len(self._group) < self._expected
            and now - self._last < _SILENCE
            and now - self._first < _LONGEST
        ):
            asyncio.get_running_loop().call_soon(self._look)
            return
        group, self._group = self._group, []
        self._being_written += len(group)
        asyncio.get_running_loop().call_later(_AWAKE, self._stay_awake)
        self._write(group)

    def _stay_awake(self) -> None:
        """Wake up now and then while a group is written.

        On a virtual machine whose processors are idle, the end of an fsync is seen at the next
        tick of the system's clock, up to 4 ms late; the timer makes it about 1 ms.
        """
        if self._being_written:
            asyncio.get_running_loop().call_later(_AWAKE, self._stay_awake)
