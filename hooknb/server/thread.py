"""The server's thread: a dedicated event loop, so that no cell delays a response."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from hooknb._clock import Clock
from hooknb.errors import PortInUseError, ServerError
from hooknb.server.http import HttpServer
from hooknb.server.protocol import Receiver

__all__ = ["ServerThread", "bind"]

_START_TIMEOUT: Final = 10.0
_STOP_TIMEOUT: Final = 3.0
_LOG: Final = logging.getLogger("hooknb.server")


def bind(host: str, port: int) -> list[socket.socket]:
    """Bind the sockets, in the calling thread, so that a busy port is an error there.

    Raises
    ------
    PortInUseError
        Another program listens on that port.
    ServerError
        The host is not an address of this machine.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            bound = socket.create_server((address, port), family=family, backlog=1024)
            bound.setblocking(False)  # noqa: FBT003 - the socket's own signature
            sockets.append(bound)
            port = bound.getsockname()[1]
    except OSError as error:
        for bound in sockets:
            bound.close()
        if error.errno == errno.EADDRINUSE:
            message = (
                f"port {port} of {host} is in use; close what listens there, or set port=0 "
                "for any free one"
            )
            raise PortInUseError(message) from error
        message = f"cannot listen on {host}:{port}: {error}; set host='127.0.0.1'"
        raise ServerError(message) from error
    return sockets


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, *_, address in found))


class ServerThread:
    """A daemon thread with an asyncio loop that serves HTTP on given sockets.

    Parameters
    ----------
    sockets
        Bound and listening.
    receiver
        Receives the requests.
    clock
        Timestamps them.
    max_connections, header_timeout, body_timeout
        See :class:`hooknb.settings.RuntimeSettings`.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        receiver: Receiver,
        clock: Clock,
        *,
        max_connections: int,
        header_timeout: float,
        body_timeout: float,
    ) -> None:
        self.port: int = sockets[0].getsockname()[1]
        self._sockets = sockets
        self._make = partial(
            HttpServer,
            receiver,
            clock,
            max_connections=max_connections,
            header_timeout=header_timeout,
            body_timeout=body_timeout,
        )
        self._server: HttpServer | None = None
        self._ready = threading.Event()
        self._stopping: asyncio.Event | None = None
        self.loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name="hooknb-server", daemon=True)

    def start(self) -> None:
        """Start serving; blocks until the server accepts requests."""
        self._thread.start()
        if not self._ready.wait(_START_TIMEOUT):
            message = f"the server did not start within {_START_TIMEOUT:.0f} s"
            raise ServerError(message)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def is_current(self) -> bool:
        """Whether the caller is on the server's thread."""
        return threading.get_ident() == self._thread.ident

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Schedule a function on the loop without blocking; does nothing once stopped."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function, *args)

    def run(self, coroutine: Coroutine[Any, Any, Any], timeout: float | None = None) -> Any:
        """Run a coroutine on the loop and wait for its result, from another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def stop_listening(self) -> None:
        """Stop accepting connections; blocks until done."""

        async def stop() -> None:
            if self._server is not None:
                self._server.stop()

        if self.is_alive:
            self.run(stop(), _STOP_TIMEOUT)

    def stop(self) -> None:
        """Close every connection and end the thread; blocks until done. Idempotent."""
        if self._thread.is_alive() and self._stopping is not None:
            self.post(self._stopping.set)
            self._thread.join(_STOP_TIMEOUT)

    def let_go(self) -> None:
        """Close the sockets in a forked child, which inherits them but not the thread."""
        for sock in self._sockets:
            sock.close()
        if self._server is not None:
            self._server.let_go()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            serving = self.loop.create_task(self._serve())
            while not serving.done():
                try:
                    self.loop.run_until_complete(serving)
                except (SystemExit, KeyboardInterrupt, RuntimeError):
                    if serving.done():
                        raise
                    # A user's async node raised it, and asyncio passes it to the loop's caller. A
                    # node may end its execution, but never the server.
                    _LOG.warning(
                        "an async node tried to end the process or its loop; the server goes on"
                    )
        finally:
            with contextlib.suppress(Exception):
                pending = asyncio.all_tasks(self.loop)
                for task in pending:
                    task.cancel()
                self.loop.run_until_complete(asyncio.wait(pending, timeout=1.0))
            asyncio.set_event_loop(None)
            self.loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        server = self._server = self._make()
        server.add_sockets(self._sockets)
        self._ready.set()
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), server.sweep())
        server.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await server.close_connections()


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a new loop: uvloop's if installed, which serves about a third more requests."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
