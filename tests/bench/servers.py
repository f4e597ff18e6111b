"""The servers that the benchmarks compare, each run as a process of its own.

``python servers.py bare`` is Tornado's plain handler; ``python servers.py hook FOLDER`` a durable
asynchronous hook with four body variables, ``panel`` the same hook with a panel that was looked at
and is no more. Each prints its URL, then serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

VARIABLES = ["id", "status", "customer.email", "items[0].sku"]


def bare() -> None:
    """Serve ``ok`` from a ``RequestHandler``."""
    import tornado.web

    class Handler(tornado.web.RequestHandler):
        def post(self) -> None:
            self.write("ok")

    async def serve() -> None:
        application = tornado.web.Application([("/.*", Handler)], log_function=lambda _: None)
        server = application.listen(0, "127.0.0.1")
        [socket] = server._sockets.values()
        print(f"http://127.0.0.1:{socket.getsockname()[1]}/", flush=True)
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(serve())


def settings(kind: str) -> dict[str, Any]:
    """Give the settings of a hook."""
    from hooknb import Condition, Response

    if kind in {"hook", "panel"}:
        return {"body": VARIABLES}
    return {
        "sync": True,
        "nodes": [
            Condition(
                'body.status == "paid"',
                yes=[Response(200, body={"ok": True, "id": "{{ body.id }}"})],
                no=[Response(422, body={"error": "not paid"})],
            )
        ],
    }


def hook(settings: dict[str, Any], folder: Path, *, has_panel: bool) -> None:
    """Serve a hook; the words ``busy`` and ``idle`` on standard input set this thread to work.

    A line of standard input is waited for by another thread, so that this one can compute.
    """
    import hooknb

    busy, ended = threading.Event(), threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            busy.set() if line.strip() == "busy" else busy.clear()
            print(line.strip(), flush=True)
        busy.clear()
        ended.set()

    with hooknb.Runtime(folder / "store.db") as runtime:
        made = runtime.webhook("bench", **settings)
        if has_panel:
            look_away(made.panel)
        print(made.url, flush=True)
        threading.Thread(target=listen, daemon=True).start()
        while not ended.wait(0.02):
            count = 0
            while busy.is_set():
                count += 1


def look_away(panel: Any) -> None:
    """Have a view of every part of the panel opened, then hidden, as a browser tells it."""
    for part in panel.parts:
        for kind, visible in (("open", True), ("seen", False)):
            part._hear(part, {"kind": kind, "view": "1", "visible": visible}, [])


if __name__ == "__main__":
    kind, folder = sys.argv[1:3]
    if kind == "bare":
        bare()
    else:
        hook(settings(kind), Path(folder), has_panel=kind == "panel")
