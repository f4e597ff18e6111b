"""What a sender does to its connection, on uvloop's loop and on asyncio's own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hooknb import Hook, Response, Runtime
from hooknb.server import thread
from wire import Wire, request

JSON = ("Content-Type", "application/json")
ASKS = (JSON, ("Expect", "100-continue"))


@pytest.fixture(params=["uvloop", "asyncio"])
def served(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    if request.param == "asyncio":
        monkeypatch.setattr(thread, "_new_loop", asyncio.new_event_loop)
    with Runtime(tmp_path / "s.db", port=0) as runtime:
        yield runtime


@contextlib.contextmanager
def slow_disk(runtime: Runtime) -> Iterator[threading.Event]:
    """Hold up each transaction until the event is set."""
    writer, release = runtime._store._writer, threading.Event()
    write = writer._apply

    def held(*args: Any) -> None:
        release.wait(30)
        write(*args)

    writer._apply = held
    try:
        yield release
    finally:
        release.set()
        writer._apply = write


def reset(wire: Wire) -> None:
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.socket.close()


def connections(runtime: Runtime) -> Any:
    return runtime._hosting._server._server._connections


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_gone(runtime: Runtime) -> bool:
    return all(item._transport.is_closing() for item in connections(runtime))


@pytest.mark.parametrize(
    "raw",
    [
        lambda hook: request(hook, length=100, headers=ASKS),
        lambda hook: request(hook, b"1") + request(hook, length=5, headers=ASKS),
        lambda hook: request(hook, b"1") + b"garb age\r\n\r\n",
        lambda hook: request(hook, b"1") * 3,
    ],
)
def test_a_reset_during_the_commit_is_no_error(
    served: Runtime, caplog: pytest.LogCaptureFixture, raw: Callable[[Hook], bytes]
) -> None:
    hook = served.webhook("n", max_body=10)
    with slow_disk(served) as release:
        with Wire(hook) as wire:
            wire.send(raw(hook))
            wait_until(lambda: bool(served._hosting.intake.grouping._being_written))
            reset(wire)
        wait_until(lambda: is_gone(served))
        release.set()
        wait_until(lambda: not connections(served))
    assert not caplog.records
    assert len(hook.deliveries) >= 1


def test_a_sender_that_closes_its_side_gets_every_response(served: Runtime) -> None:
    hook = served.webhook("n")
    slow = served.webhook("s", sync=True, nodes=[lambda _c: time.sleep(0.1), Response(201)])
    with Wire(hook) as wire:
        wire.send(b"".join(request(hook, b"%d" % number) for number in range(200)))
        wire.send(request(slow, b"1") + request(hook, b"1"))
        wire.socket.shutdown(socket.SHUT_WR)
        rest = wire.rest()
    assert rest.count(b"HTTP/1.1 200 OK") == 201
    assert rest.count(b"HTTP/1.1 201 Created") == 1


def test_an_upload_that_is_open_at_the_end_is_kept_as_refused(served: Runtime) -> None:
    hook = served.webhook("n")
    with Wire(hook) as wire:
        wire.send(request(hook, b"123", length=10))
        server = served._hosting._server._server
        wait_until(lambda: bool(server._bodies))
        served.close()
        wire.rest()
    with Runtime(served._store.path, port=0) as again:
        deliveries = again.webhook("n").deliveries
    assert deliveries["reason"].tolist() == ["incomplete body"]


def test_what_is_not_read_is_bounded(served: Runtime) -> None:
    big = served.webhook("n", response=Response(200, body="x" * 1_000_000))
    with Wire(big) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while True:
                wire.send(request(big, b"1") * 100)
        wait_until(lambda: bool(served._hosting._server._server._silent))
        (connection,) = connections(served)
        assert connection._transport.get_write_buffer_size() < 2_000_000
        assert len(connection._stream.received) <= 512 * 1024
        assert len(big.deliveries) < 100


def test_a_forked_child_holds_no_connection_open(served: Runtime) -> None:
    hook = served.webhook("n")
    with Wire(hook) as wire:
        wire.send(request(hook, b"1"))
        assert wire.response().status == 200
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        try:
            wire.send(request(hook, b"1", headers=(JSON, ("Connection", "close"))))
            assert wire.response().status == 200
            assert wire.is_closed()
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
