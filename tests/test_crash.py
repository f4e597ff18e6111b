from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from hooknb import Runtime
from killed import post, rows, server
from wire import Wire


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
