"""The thread that sends changes to the browser."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol
from weakref import WeakSet

__all__ = ["PUBLISHER", "Published", "Publisher"]

_LOG: Final = logging.getLogger("hooknb.ui")
# Eight messages a second leave room for two more in response to clicks.
_MESSAGE_SECONDS: Final = 0.125
_SILENT_SECONDS: Final = 2.0


class Published(Protocol):
    """An item that the publisher publishes."""

    @property
    def watched(self) -> bool:
        """Whether it is visible."""

    @property
    def silent(self) -> bool:
        """Whether no visible view has sent a message for a while."""

    def publish(self) -> int:
        """Send the changes, and return the number of messages."""


class Publisher:
    """Polls all items that are watched, and sends at most ten messages a second.

    It polls so that a server under load does no work for panels. The thread starts with the first
    watched item, and waits while there is none.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._watched: WeakSet[Published] = WeakSet()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._sleep = sleep

    def add(self, item: Published) -> None:
        """Add an item; it is held weakly."""
        with self._lock:
            self._watched.add(item)

    def wake(self) -> None:
        """Poll as soon as the rate allows: after a click, or when an item becomes visible."""
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
    """Publish an item; return the number of messages, or ``None`` if it is not visible.

    One that fails counts 0: the others, and its own next round, go on.
    """
    try:
        if not item.watched:
            return None
        return item.publish() if with_silent or not item.silent else 0
    except Exception:  # noqa: BLE001 - it is logged
        _LOG.exception("cannot publish changes")
        return 0


PUBLISHER: Final = Publisher()
"""The publisher of this process."""
