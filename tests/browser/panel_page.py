"""The panel on a page: where its parts are, and what comes to it over the wire."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

__all__ = ["FILLED", "Wire", "open_tab", "panel_of", "rows_of", "url_of"]

# A cell that makes a hook with 100,000 deliveries, in a store of its own.
FILLED = """
import hooknb
from hooknb import clock
from hooknb.store import NewDelivery, Store
from hooknb.workflow import define
store = Store("filled.db", lambda _: None)
workflow = define("orders", body=["id", "status"])
made = store.define("orders", workflow.encode(), enabled=True)
for number in range(100_000):
    raw = b'{"id": %d, "status": "paid", "amount": %d}' % (number, number % 97)
    store.submit(NewDelivery(
        workflow_id=made.workflow_id, received_at=clock.now(), method="POST", query="",
        content_type="application/json", content_encoding=None,
        head=b"Content-Type: application/json", body=raw, size=len(raw), remote="127.0.0.1",
        revision=1, status=1))
store.close()
hook = hooknb.Runtime("filled.db").serve("orders")
"""


class Wire:
    """What comes over the page's web sockets."""

    def __init__(self, page: Page) -> None:
        self.frames: list[tuple[float, bytes]] = []
        page.on("websocket", lambda socket: socket.on("framereceived", self._note))

    def _note(self, payload: str | bytes) -> None:
        data = payload.encode() if isinstance(payload, str) else payload
        self.frames.append((time.monotonic(), data))

    def comm_messages(self, since: float) -> list[tuple[float, bytes]]:
        """Give the messages to widgets that came since a time, and when they were sent."""
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
    """Give when the kernel sent a message, in seconds since 1970."""
    found = re.search(rb'"date": "([^"]+)"', data)
    assert found is not None
    return datetime.fromisoformat(found[1].decode()).timestamp()


def rows_of(panel: Locator) -> Locator:
    """Give the rows of the table of deliveries, that of the titles first."""
    return panel.get_by_role("grid").get_by_role("row")


def url_of(panel: Locator) -> str:
    """Give the URL that the head shows."""
    return panel.locator(".hk-url bdi").inner_text()


def panel_of(page: Page, index: int = 0) -> Locator:
    """Give a panel of the page."""
    return page.locator(".hk-panel").nth(index)


def open_tab(panel: Locator, name: str) -> None:
    """Open a tab by the beginning of its name."""
    parts = panel.get_by_role("group", name="Parts of the panel")
    parts.get_by_role("button", name=re.compile(f"^{name}")).click()
