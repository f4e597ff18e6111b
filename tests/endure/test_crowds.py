"""Many at once: slow senders, idle connections, hooks; and load that goes on."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from hooknb import Runtime
from wire import Wire, exchange, request

SLOW = """
import socket, sys, time
port, count = int(sys.argv[1]), int(sys.argv[2])
start = b"POST /hook/x HTTP/1.1\\r\\nHost: localhost\\r\\nX: "
senders = []
def connect():
    sender = socket.create_connection(("127.0.0.1", port))
    sender.sendall(start)
    sender.setblocking(False)
    return sender
senders = [connect() for _ in range(count)]
print("sending", flush=True)
end = time.monotonic() + 120
while time.monotonic() < end:
    for at, sender in enumerate(senders):
        try:
            sender.send(b"x")
        except OSError:  # ended by the server: another one takes its place
            sender.close()
            senders[at] = connect()
    time.sleep(0.2)
"""


@pytest.fixture
def descriptors() -> Iterator[int]:
    """Raise the limit of open files as far as this user may; give it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_honest_senders_are_served_beside_slow_ones(tmp_path, descriptors, scale, tell):
    slow, honest, each = scale(300, 2000), scale(10, 50), scale(3, 10)
    assert descriptors > slow
    waits: list[float] = []
    with Runtime(tmp_path / "store.db", port=0, max_connections=scale(150, 1000)) as runtime:
        hook = runtime.webhook("orders")

        def send(sender: int) -> None:
            for number in range(each):
                began = time.monotonic()
                response = exchange(hook, request(hook, b"[%d, %d]" % (sender, number)))
                waits.append(time.monotonic() - began)
                assert response.status == 200

        command = [sys.executable, "-c", SLOW, str(runtime.port), str(slow)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as crowd:
            try:
                assert crowd.stdout is not None
                assert crowd.stdout.readline() == "sending\n"
                with ThreadPoolExecutor(honest) as threads:
                    list(threads.map(send, range(honest)))
            finally:
                crowd.kill()
        assert len(hook.deliveries) == honest * each == len(waits)
    tell(
        f"{slow:,} slow senders beside {honest} honest ones",
        f"{len(waits):,} of {len(waits):,} honest requests served; longest wait {max(waits):.2f} s",
    )


def test_idle_connections_keep_nobody_out_and_leave_nothing_behind(descriptors, scale, tell):
    idle = scale(300, 5000)
    assert descriptors > 2 * idle + 200
    process = psutil.Process()
    with Runtime(":memory:", port=0, max_connections=2 * idle) as runtime:
        hook = runtime.webhook("orders")
        assert exchange(hook, request(hook, b"1")).status == 200
        before, handles = process.memory_info().rss, process.num_fds()
        with contextlib.ExitStack() as connections:
            for _ in range(idle):
                connections.enter_context(
                    socket.create_connection(("127.0.0.1", runtime.port or 0), timeout=30)
                )
            began = time.monotonic()
            for number in range(20):
                assert exchange(hook, request(hook, b"%d" % number)).status == 200
            wait = (time.monotonic() - began) / 20
            grown = (process.memory_info().rss - before) / idle / 1024
            assert grown < 64  # KiB
        end = time.monotonic() + 30
        while process.num_fds() > handles + 5:
            assert time.monotonic() < end
            time.sleep(0.05)
    tell(
        f"{idle:,} idle connections",
        f"a request takes {wait * 1000:.1f} ms; {grown:.1f} KiB for each, all handles given back",
    )


def test_many_hooks_on_one_runtime_each_keep_their_own(tmp_path, scale, tell):
    count, each = scale(40, 200), 5
    with Runtime(tmp_path / "store.db", port=0) as runtime:
        hooks = [
            runtime.webhook(f"hook-{number}", nodes=[lambda context: context.body])
            for number in range(count)
        ]

        def send(number: int) -> None:
            with Wire(hooks[number]) as wire:
                for turn in range(each):
                    wire.send(request(hooks[number], b"[%d, %d]" % (number, turn)))
                    assert wire.response().status == 200

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(send, range(count)))
        for number, hook in enumerate(hooks):
            hook.wait()
            assert [hook.delivery(at + 1).body for at in range(each)] == [
                [number, turn] for turn in range(each)
            ]
            assert hook.executions["status"].tolist() == ["resolved"] * each
    tell(f"{count} hooks on one runtime", f"{count * each:,} deliveries, each with its own hook")


STEADY = """
import sys, hooknb
runtime = hooknb.Runtime("store.db", port=0, keep_deliveries=2000)
asynchronous = runtime.webhook("asynchronous", nodes=[lambda context: context.body])
synchronous = runtime.webhook(
    "synchronous", sync=True, nodes=[hooknb.Response(200, body="{{ body.n }}")]
)
print(asynchronous.url, synchronous.url, flush=True)
sys.stdin.readline()
runtime.close()
"""


def test_memory_threads_and_handles_are_flat_under_load(tmp_path: Path, seconds, tell):
    stop = threading.Event()
    served: list[int] = []

    def send(url: str) -> None:
        port, path = url.split(":")[2].split("/", 1)
        body = b'{"n": 7, "pad": "' + b"x" * 500 + b'"}'
        head = f"POST /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        raw = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
        count = 0
        with Wire(int(port)) as wire:
            while not stop.is_set():
                wire.send(raw)
                # 503: more is queued than runs. It is a response that the sender can act on.
                assert wire.response().status in {200, 503}
                count += 1
                time.sleep(0.002)
        served.append(count)

    with subprocess.Popen(
        [sys.executable, "-c", STEADY],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            urls = process.stdout.readline().split()
            seen = psutil.Process(process.pid)
            samples: list[tuple[float, float, int, int]] = []
            with ThreadPoolExecutor(8) as threads:
                sending = [threads.submit(send, urls[number % 2]) for number in range(8)]
                began = time.monotonic()
                while (now := time.monotonic() - began) < seconds:
                    rss = seen.memory_info().rss / 2**20
                    samples.append((now, rss, seen.num_threads(), seen.num_fds()))
                    time.sleep(min(1.0, seconds / 20))
                stop.set()
                for one in sending:
                    one.result(60)
            process.communicate("\n", timeout=60)
            assert process.returncode == 0
        finally:
            process.send_signal(signal.SIGKILL)
    later = samples[len(samples) // 3 :]  # caches are full by then
    slope = statistics.linear_regression(*zip(*(row[:2] for row in later), strict=True)).slope * 60
    grown = (later[-1][0] - later[0][0]) / 60 * slope
    assert grown < 20  # MiB
    for at in (2, 3):
        values = [row[at] for row in later]
        assert max(values) - min(values) <= 4
    tell(
        f"{seconds / 60:.1f} minutes of load",
        f"{sum(served):,} responses; memory {slope:+.2f} MiB a minute, "
        f"{later[-1][2]} threads, {later[-1][3]} handles",
    )
