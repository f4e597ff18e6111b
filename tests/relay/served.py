"""A Tornado server with the relay in it, on a thread, and bare sockets in the place of kernels."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from hooknb import _processes
from hooknb.relay.extension import add_to
from hooknb.relay.forwarding import Relayed
from hooknb.relay.limits import Limits
from hooknb.relay.passage import Passage
from hooknb.relay.registrations import PublishedHook, Registration, Registrations
from wire import SentResponse, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BASE = "/user/someone/"
TOKEN = "the-token-of-the-jupyter-server"
KEY = "AAAAAAAAAAAAAAAAAAAAAA"
SECRET = "s" * 43


class _Closed(RequestHandler):
    def get(self) -> None:
        self.set_status(403)


class RelayServer:
    """What senders reach.

    Parameters
    ----------
    folder
        That of the registrations.
    limits
        Of the relay.
    own_hosts
        Names beyond the loopback's; ``None`` for any.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits | None = None,
        own_hosts: frozenset[str] | None = frozenset(),
    ) -> None:
        self.folder = folder
        self.token = TOKEN
        (bound,) = bind_sockets(0, "127.0.0.1")
        self.port = bound.getsockname()[1]
        self.url = f"http://localhost:{self.port}{BASE}"
        self._limits = limits or Limits()
        self._own_hosts = own_hosts
        self._bound = bound
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(30)

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.passage = Passage(self.folder, self._limits, lambda: self._own_hosts)
        application = Application([(f"{BASE}api/.*", _Closed)], xsrf_cookies=True)
        add_to(application, base_url=BASE, passage=self.passage, secrets=lambda: [self.token])
        server = HTTPServer(application)
        server.add_socket(self._bound)
        self._ready.set()
        await self._stop.wait()
        server.stop()
        await server.close_all_connections()

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def keep(self, key: str, *bodies: bytes) -> None:
        """Put deliveries into the spool, as if they had come while no kernel served the hook."""
        fields = [("Host", "localhost"), ("Content-Type", "application/json")]
        request = Relayed(method="POST", query="", fields=fields, remote="", received_at=1)
        for body in bodies:
            self.passage.spool.append(key, request, body)
        self._loop.call_soon_threadsafe(self.passage._woken.set)

    def send(
        self,
        key: str = KEY,
        body: bytes = b"",
        *,
        method: str = "POST",
        query: str = "",
        fields: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),),
        host: str = "localhost",
        length: bool = True,
    ) -> SentResponse:
        """Send a request on a connection of its own, and read the answer."""
        target = f"{BASE}hooknb/{key}" + (f"?{query}" if query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in fields]
        if length:
            lines.append(f"Content-Length: {len(body)}")
        return self.exchange("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def exchange(self, raw: bytes) -> SentResponse:
        """Send bytes and read one answer."""
        with Wire(self.port) as wire:
            wire.send(raw)
            return wire.response(head_only=raw.startswith(b"HEAD "))


@contextmanager
def kernel(response: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen as a kernel would, and do with each connection what a test says; give the port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                response(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(30)


def read_request(connection: socket.socket) -> bytes:
    """Read a request whole, head and body."""
    came = b""
    while b"\r\n\r\n" not in came:
        came += connection.recv(65536)
    head, _, body = came.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def registration(port: int = 9, **changes: object) -> Registration:
    """Give the registration of a hook by this process."""
    values: dict[str, object] = {
        "version": 1,
        "pid": os.getpid(),
        "started": _processes.started(os.getpid()),
        "registered_at": 1,
        "host": "127.0.0.1",
        "port": port,
        "secret": SECRET,
        "hosts": (),
        "hooks": {KEY: PublishedHook(status_while_away=202, max_body=1000)},
    }
    return Registration(**{**values, **changes})  # type: ignore[arg-type]


def register(folder: Path, port: int = 9, **changes: object) -> Path:
    """Write a registration, and give its file."""
    registrations, name = Registrations(folder), Registrations.new_name()
    registrations.write(name, registration(port, **changes))
    return folder / name


def until(holds: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something holds; far longer than it takes, so that only a hang is noticed."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
