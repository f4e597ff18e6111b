"""Servers of their own process, to be killed under load: what they run, and who sends to them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wire import Wire

# Every run of its node is noted in a file, with the process that ran it.
SERVER = """
import os, sys, time, hooknb

def work(context):
    with open(os.environ["RUNS"], "a") as runs:
        runs.write(f"{os.getpid()} {context.execution.id} {context.execution.recovered}\\n")
    time.sleep(float(os.environ["WORK"]))
    while os.path.exists(os.environ["HOLD"]):
        time.sleep(0.01)
    return context.body["n"]

runtime = hooknb.Runtime(os.environ["STORE"],
    port=0 if "ANY_PORT" in os.environ else None,
    max_queued=1_000_000)
hook = runtime.webhook("orders", nodes=[work], concurrency=3)
print(hook.url, flush=True)
sys.stdin.readline()
hook.wait(timeout=200)
runtime.close()
"""


@contextmanager
def server(
    folder: Path, work: float = 0.004, *, any_port: bool = False
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server on the folder's store; give the process and its hook's URL.

    Each execution takes ``work`` seconds. With ``any_port`` it leaves alone the one used last.
    """
    script = folder / "serve.py"
    script.write_text(SERVER)
    with subprocess.Popen(
        [sys.executable, "-W", "error", script],
        env={
            **os.environ,
            "STORE": str(folder / "store.db"),
            "RUNS": str(folder / "runs"),
            "HOLD": str(folder / "hold"),
            "WORK": str(work),
            **({"ANY_PORT": "1"} if any_port else {}),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def post(target: str, body: bytes) -> bytes:
    head = (
        f"POST {target} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def load(
    url: str,
    worker: str,
    acknowledged: dict[int, bytes],
    enough: threading.Event,
    *,
    status: int = 200,
    least: int = 40,
) -> None:
    """Send until the server is gone; remember what it has responded to, ``least`` is enough."""
    parts = urlsplit(url)
    number = 0
    try:
        with Wire(parts.port or 0) as wire:
            while True:
                number += 1
                body = json.dumps({"n": number, "of": worker, "pad": "x" * (number % 700)}).encode()
                wire.send(post(parts.path, body))
                response = wire.response()
                assert response.status == status
                acknowledged[response.delivery] = body
                if len(acknowledged) >= least:
                    enough.set()
    except ConnectionError:
        enough.set()


@contextmanager
def loads(
    url: str, name: str, connections: int, acknowledged: dict[int, bytes], **settings: int
) -> Iterator[None]:
    """Send on connections until the server, which the caller kills, is gone.

    Every connection has got its responses when the block begins; ``acknowledged`` has them all
    after it.
    """
    threads = []
    for worker in range(connections):
        mine: dict[int, bytes] = {}
        enough = threading.Event()
        args = (url, f"{name}.{worker}", mine, enough)
        thread = threading.Thread(target=load, args=args, kwargs=settings)
        thread.start()
        threads.append((thread, mine, enough))
    for _, _, enough in threads:
        assert enough.wait(60)
    yield
    for thread, mine, _ in threads:
        thread.join(60)
        assert len(mine) >= settings.get("least", 40)
        assert not acknowledged.keys() & mine.keys()
        acknowledged |= mine


def rows(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "store.db")) as db:
        return db.execute(statement).fetchall()


SYNCHRONOUS = """
import os, sys, hooknb
from hooknb import Condition, Response

def work(context):
    with open("runs", "a") as runs:
        runs.write(f"{context.execution.id}\\n")

runtime = hooknb.Runtime("store.db")
hook = runtime.webhook(
    "orders",
    sync=True,
    nodes=[
        Condition("body.n % 3 == 0", yes=[work], key="third"),
        Response(201, body="{{ body.n }}"),
    ],
)
print(hook.url, flush=True)
sys.stdin.readline()
hook.wait(timeout=200)
runtime.close()
"""
