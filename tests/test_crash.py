from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hooknb import Runtime
from wire import Wire

# Every run of its node is noted in a file, with the process that ran it.
SERVER = """
import os, sys, time, hooknb

def work(context):
    with open(os.environ["RUNS"], "a") as runs:
        runs.write(f"{os.getpid()} {context.execution.id} {context.execution.recovered}\\n")
    time.sleep(0.004)
    while os.path.exists(os.environ["HOLD"]):
        time.sleep(0.01)
    return context.body["n"]

runtime = hooknb.Runtime(os.environ["STORE"])
hook = runtime.webhook("orders", nodes=[work], concurrency=3)
print(hook.url, flush=True)
sys.stdin.readline()
hook.wait(timeout=60)
runtime.close()
"""
CONNECTIONS = 12
KILLS = 4


@contextmanager
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server on the folder's store; give the process and its hook's URL."""
    script = folder / "serve.py"
    script.write_text(SERVER)
    with subprocess.Popen(
        [sys.executable, "-W", "error", script],
        env={
            **os.environ,
            "STORE": str(folder / "store.db"),
            "RUNS": str(folder / "runs"),
            "HOLD": str(folder / "hold"),
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
    status: int = 200,
) -> None:
    """Send until the server is gone; remember what it has answered for."""
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
                if len(acknowledged) >= 40:
                    enough.set()
    except ConnectionError:
        enough.set()


def rows(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "store.db")) as db:
        return db.execute(statement).fetchall()


def test_nothing_acknowledged_is_lost_when_the_process_is_killed_again_and_again(tmp_path):
    acknowledged: dict[int, bytes] = {}
    urls: set[str] = set()
    started: set[int] = set()
    for kill in range(KILLS):
        with server(tmp_path) as (process, url):
            urls.add(url)
            loads = []
            for worker in range(CONNECTIONS):
                mine: dict[int, bytes] = {}
                enough = threading.Event()
                args = (url, f"{kill}.{worker}", mine, enough)
                thread = threading.Thread(target=load, args=args)
                thread.start()
                loads.append((thread, mine, enough))
            for _, _, enough in loads:
                assert enough.wait(60)
            process.send_signal(signal.SIGKILL)
            for thread, mine, _ in loads:
                thread.join(60)
                assert len(mine) >= 40
                assert not acknowledged.keys() & mine.keys()
                acknowledged |= mine
            assert process.wait() == -signal.SIGKILL
        started |= {
            number for (number,) in rows(tmp_path, "SELECT id FROM executions WHERE status = 0")
        }
    assert len(urls) == 1
    assert started
    assert rows(tmp_path, "SELECT 1 FROM executions WHERE status IS NULL")  # much is left to do

    with server(tmp_path) as (process, url):
        urls.add(url)
        process.communicate("\n", timeout=120)
        assert process.returncode == 0
    assert len(urls) == 1

    kept = dict(rows(tmp_path, "SELECT id, body FROM deliveries"))
    assert acknowledged.items() <= kept.items()
    assert len(set(kept.values())) == len(kept)  # nothing is kept twice under two ids
    executions = {
        row[0]: row[1:]
        for row in rows(tmp_path, "SELECT id, status, owner, recovered FROM executions")
    }
    assert executions.keys() == kept.keys()
    assert {execution[:2] for execution in executions.values()} == {(1, None)}
    assert {number for number, execution in executions.items() if execution[2]} == started
    results = dict(rows(tmp_path, "SELECT execution_id, result FROM jobs WHERE status = 1"))
    assert results == {number: str(json.loads(body)["n"]) for number, body in kept.items()}
    assert rows(tmp_path, "SELECT count(*) FROM jobs") == [(len(kept),)]
    runs = (tmp_path / "runs").read_text().splitlines()
    assert {int(line.split()[1]) for line in runs} == kept.keys()
    assert [file.name for file in tmp_path.glob("store.db*")] == ["store.db"]


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
hook.wait(timeout=60)
runtime.close()
"""


def test_what_a_synchronous_hook_has_responded_to_is_on_disk_when_it_is_killed(tmp_path):
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SYNCHRONOUS],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    acknowledged: dict[int, bytes] = {}
    for kill in range(KILLS):
        with start() as process:
            try:
                url = process.stdout.readline().strip()
                loads = []
                for worker in range(CONNECTIONS):
                    mine: dict[int, bytes] = {}
                    enough = threading.Event()
                    args = (url, f"{kill}.{worker}", mine, enough, 201)
                    thread = threading.Thread(target=load, args=args)
                    thread.start()
                    loads.append((thread, mine, enough))
                for _, _, enough in loads:
                    assert enough.wait(60)
            finally:
                process.send_signal(signal.SIGKILL)
            for thread, mine, _ in loads:
                thread.join(60)
                assert len(mine) >= 40
                assert not acknowledged.keys() & mine.keys()
                acknowledged |= mine
        kept = dict(rows(tmp_path, "SELECT id, body FROM deliveries"))
        assert acknowledged.items() <= kept.items()
        ended = dict(rows(tmp_path, "SELECT id, status FROM executions WHERE owner IS NULL"))
        responded = dict(rows(tmp_path, "SELECT delivery_id, body FROM responses"))
        jobs = dict(rows(tmp_path, "SELECT execution_id, count(*) FROM jobs GROUP BY execution_id"))
        for number, body in kept.items():
            n = json.loads(body)["n"]
            if n % 3:  # no effect: the delivery, its execution and response are one commit
                assert ended[number] == 1
                assert responded[number] == str(n).encode()
                assert jobs[number] == 2

    with start() as process:
        assert process.stdout.readline()
        process.communicate("\n", timeout=120)
        assert process.returncode == 0
    executions = {
        row[0]: row[1:] for row in rows(tmp_path, "SELECT id, status, owner FROM executions")
    }
    assert executions.keys() == kept.keys()
    assert set(executions.values()) == {(1, None)}
    ran = {int(line) for line in (tmp_path / "runs").read_text().splitlines()}
    assert ran == {number for number, body in kept.items() if json.loads(body)["n"] % 3 == 0}


def test_two_runtimes_on_one_store_do_not_run_the_same_executions(tmp_path):
    runs: list[tuple[str, int]] = []
    entered, release = threading.Event(), threading.Event()

    def make(who: str, runtime: Runtime) -> Any:
        def work(context: Any) -> None:
            entered.set()
            release.wait(30)
            runs.append((who, context.execution.id))

        return runtime.webhook("orders", nodes=[work])

    with Runtime(tmp_path / "store.db", port=0) as one:
        first = make("one", one)
        mine = [first.send(json=number).delivery for number in range(5)]
        assert entered.wait(30)  # one runs, four wait
        with Runtime(tmp_path / "store.db", port=0) as two:
            second = make("two", two)
            assert second.key == first.key
            theirs = [second.send(json=number).delivery for number in range(5)]
            release.set()
            first.wait()
            second.wait()
            one._store.flush()
            assert sorted(runs) == [("one", id_) for id_ in mine] + [("two", id_) for id_ in theirs]
            # Asked of the last to end: a frame waits for what its own runtime has yet to write.
            assert second.executions["status"].tolist() == ["resolved"] * 10
            assert not second.executions["recovered"].any()


def test_a_runtime_of_another_process_keeps_its_executions_while_it_lives(tmp_path):
    (tmp_path / "hold").touch()  # three of its executions run for as long as this is there
    ran: list[tuple[int, bool]] = []

    def work(context: Any) -> None:
        ran.append((context.execution.id, context.execution.recovered))

    with server(tmp_path) as (process, url):
        parts = urlsplit(url)
        with Wire(parts.port or 0) as wire:
            for _ in range(6):
                wire.send(post(parts.path, b'{"n": 1}'))
            theirs = [wire.response().delivery for _ in range(6)]
        started = "SELECT id FROM executions WHERE status = 0"
        deadline = time.monotonic() + 30
        while len(rows(tmp_path, started)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with Runtime(tmp_path / "store.db", port=0) as here:
            hook = here.webhook("orders", nodes=[work])
            mine = hook.send(json={"n": 1}).delivery
            hook.wait()
            assert ran == [(mine, False)]
        process.send_signal(signal.SIGKILL)
        process.wait()
    ran.clear()
    with Runtime(tmp_path / "store.db", port=0) as here:  # it is gone: what it left is taken over
        hook = here.webhook("orders", nodes=[work])
        hook.wait()
        assert ran == [(number, number in theirs[:3]) for number in theirs]
        assert hook.executions["status"].tolist() == ["resolved"] * 7


def test_what_closing_leaves_in_the_queue_is_run_by_the_next(tmp_path):
    entered, release = threading.Event(), threading.Event()

    def work(context: Any) -> Any:
        entered.set()
        release.wait(30)
        return context.body

    with Runtime(tmp_path / "store.db", port=0, drain=0.1) as runtime:
        hook = runtime.webhook("orders", nodes=[work])
        ids = [hook.send(json=number).delivery for number in range(4)]
        assert entered.wait(30)
        url = hook.url
    release.set()
    with Runtime(tmp_path / "store.db") as runtime:
        hook = runtime.webhook("orders", nodes=[work])
        hook.wait()
        assert hook.url == url
        executions = hook.executions
        assert executions.index.tolist() == ids
        assert executions["status"].tolist() == ["aborted", "resolved", "resolved", "resolved"]
        assert executions["reason"].iloc[0] == "shutdown"
        assert not executions["recovered"].any()
        assert hook.jobs["result"].tolist()[1:] == [1, 2, 3]


@pytest.mark.parametrize("enabled", [True, False])
def test_what_a_hook_is_survives_the_end_of_its_runtime(tmp_path, enabled):
    with Runtime(tmp_path / "store.db") as runtime:
        hook = runtime.webhook("orders", enabled=enabled)
        before = (hook.url, hook.key, hook.revision, hook.enabled)
        number = hook.send(json=[1]).delivery
    with Runtime(tmp_path / "store.db") as runtime:
        hook = runtime.webhook("orders", enabled=enabled)
        assert (hook.url, hook.key, hook.revision, hook.enabled) == before
        assert hook.delivery(number).raw == b"[1]"
        assert runtime.webhook("orders", accept="*/*", enabled=enabled).revision == 2
        assert hook.url == before[0]


MANY = """
import asyncio, os, sys, hooknb

async def work(context):
    with open("runs", "a") as runs:
        runs.write(f"{context.execution.id} {context.execution.recovered}\\n")
    while os.path.exists("hold"):
        await asyncio.sleep(0.05)
    return context.body

runtime = hooknb.Runtime("store.db")
hook = runtime.webhook("many", nodes=[work], concurrency=200)
print(hook.url, flush=True)
sys.stdin.readline()
hook.wait(timeout=60)
runtime.close()
"""


def test_200_running_executions_are_each_run_once_more_and_none_twice(tmp_path):
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", MANY],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    (tmp_path / "hold").touch()
    with start() as process:
        parts = urlsplit(process.stdout.readline().strip())
        with Wire(parts.port) as wire:
            for number in range(200):
                wire.send(post(parts.path, str(number).encode()))
                assert wire.response().status == 200
        end = time.monotonic() + 30
        while len((tmp_path / "runs").read_text().splitlines()) < 200:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert rows(tmp_path, "SELECT count(*) FROM executions WHERE status = 0") == [(200,)]

    (tmp_path / "hold").unlink()
    with start() as process:
        assert process.stdout.readline()
        process.communicate("\n", timeout=90)
    runs = [line.split() for line in (tmp_path / "runs").read_text().splitlines()]
    assert sorted(int(number) for number, again in runs if again == "True") == list(range(1, 201))
    assert len(runs) == 400
    assert rows(
        tmp_path, "SELECT status, recovered, count(*) FROM executions GROUP BY status, recovered"
    ) == [(1, 1, 200)]
    assert rows(tmp_path, "SELECT count(*), count(DISTINCT execution_id) FROM jobs") == [(200, 200)]
