"""The panel on a page: where its parts are, and what comes to it over the wire."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

__all__ = ["Wire", "filled", "open_tab", "panel_of", "post_many", "rows_of", "url_of"]

_FILLED = """
import sys
sys.path.insert(0, {tests!r})
import hooknb
from stored import fill
bodies = ({{"id": n, "status": "paid", "amount": n % 97}} for n in range({count}))
fill("filled.db", "orders", bodies, body=["id", "status"])
hook = hooknb.Runtime("filled.db").serve("orders")
"""


def filled(count: int) -> str:
    """Return a cell that makes a hook with so many deliveries, in a store of its own."""
    return _FILLED.format(count=count, tests=str(Path(__file__).parents[1]))


class Wire:
    """What comes over the page's web sockets."""

    def __init__(self, page: Page) -> None:
        self.frames: list[tuple[float, bytes]] = []
        page.on("websocket", lambda socket: socket.on("framereceived", self._note))

    def _note(self, payload: str | bytes) -> None:
        data = payload.encode() if isinstance(payload, str) else payload
        self.frames.append((time.monotonic(), data))

    def comm_messages(self, since: float) -> list[tuple[float, bytes]]:
        """Return the messages to widgets that came since a time, and when they were sent."""
        # The first header of a frame is its own, the second that of what it answers.
        return [
            (_sent_at(data), data)
            for at, data in self.frames
            if at >= since and data.partition(b'"msg_type": "')[2].startswith(b"comm_msg")
        ]

    def settle(self, page: Page, seconds: float = 0.7) -> None:
        """Wait until nothing has come for a while."""
        for _ in range(20):
            count = len(self.frames)
            page.wait_for_timeout(seconds * 1000)
            if count == len(self.frames):
                return
        message = f"what still comes: {self.frames[-1][1][500:]!r}"
        raise AssertionError(message)


def _sent_at(data: bytes) -> float:
    """Return when the kernel sent a message, in seconds since 1970."""
    found = re.search(rb'"date": "([^"]+)"', data)
    assert found is not None
    return datetime.fromisoformat(found[1].decode()).timestamp()


def post_many(url: str, count: int, rate: float | None = None) -> None:
    """Post JSON over four connections that stay open, at `rate` a second where it is given."""
    parts = urlsplit(url)
    senders, refused = 4, list[bytes]()

    def send(numbers: range) -> None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        began = time.monotonic()
        for done, number in enumerate(numbers):
            if rate is not None:
                time.sleep(max(0.0, began + done * senders / rate - time.monotonic()))
            headers = {"Content-Type": "application/json"}
            connection.request("POST", parts.path, json.dumps({"id": number}), headers)
            if (body := connection.getresponse().read()) != b"ok":
                refused.append(body)
        connection.close()

    threads = [
        threading.Thread(target=send, args=(range(start, count, senders),))
        for start in range(senders)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []


def rows_of(panel: Locator) -> Locator:
    """Return the rows of the table of deliveries, that of the titles first."""
    return panel.get_by_role("grid").get_by_role("row")


def url_of(panel: Locator) -> str:
    """Return the URL that the head shows."""
    return panel.locator(".hk-url bdi").inner_text()


def panel_of(page: Page, index: int = 0) -> Locator:
    """Return a panel of the page."""
    return page.locator(".hk-panel").nth(index)


def open_tab(panel: Locator, name: str) -> None:
    """Open a tab by the beginning of its name."""
    parts = panel.get_by_role("group", name="Parts of the panel")
    parts.get_by_role("button", name=re.compile(f"^{name}")).click()
