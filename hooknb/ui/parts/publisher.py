"""The one thread that says what has changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol
from weakref import WeakSet

__all__ = ["PUBLISHER", "Published", "Publisher"]

_LOG: Final = logging.getLogger("hooknb.ui")
# Seconds to a message: eight a second, and room for two responses to what somebody clicks.
_MESSAGE_SECONDS: Final = 0.125
_SILENT_SECONDS: Final = 2.0


class Published(Protocol):
    """What the publisher looks after."""

    @property
    def watched(self) -> bool:
        """Whether somebody can see it."""

    @property
    def silent(self) -> bool:
        """Whether those who see it were not heard of for a while."""

    def publish(self) -> int:
        """Say what has changed, and return the number of messages."""


class Publisher:
    """Goes round everything that is watched, and says at most ten messages a second.

    Changes are looked for, not told of: a server under load does nothing for those who watch. The
    thread starts with the first that is watched, and waits while nothing is.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._watched: WeakSet[Published] = WeakSet()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._sleep = sleep

    def add(self, item: Published) -> None:
        """Look after one more."""
        with self._lock:
            self._watched.add(item)

    def wake(self) -> None:
        """Look again at once where the pace allows; for what somebody clicked."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="hooknb-publisher", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        next_silent = 0.0
        while True:
            self._wake.clear()
            with self._lock:
                items = list(self._watched)
            now = time.monotonic()
            with_silent = now >= next_silent
            rounds = [_publish(item, with_silent=with_silent) for item in items]
            del items
            said = [number for number in rounds if number is not None]
            if not said:
                self._wake.wait()
                continue
            if with_silent:
                next_silent = now + _SILENT_SECONDS
            self._sleep(max(_MESSAGE_SECONDS, sum(said) * _MESSAGE_SECONDS))


def _publish(item: Published, *, with_silent: bool) -> int | None:
    """Have an item say what has changed; ``None`` where nobody sees it.

    One that fails says 0: the others, and its own next round, go on.
    """
    try:
        if not item.watched:
            return None
        return item.publish() if with_silent or not item.silent else 0
    except Exception:  # noqa: BLE001 - it is logged
        _LOG.exception("what changed could not be shown")
        return 0


PUBLISHER: Final = Publisher()
"""The one of this process."""
