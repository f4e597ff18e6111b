"""The server: accepts connections up to a cap, and times out those that keep it waiting."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import OrderedDict
from email.utils import formatdate
from typing import Any, Final

from hooknb._clock import Clock
from hooknb.server.connection import Connection
from hooknb.server.protocol import Receiver

__all__ = ["HttpServer"]

_LOG: Final = logging.getLogger("hooknb.server")

_HEAD_WEIGHT: Final = 100  # a second of waiting for a head counts like this many of a silent body
_EXHAUSTED_PAUSE: Final = 0.2  # seconds
_WARNING_PAUSE: Final = 60.0  # seconds between two identical warnings
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


class HttpServer:
    """HTTP on asyncio's transports, with a cap on connections.

    At the cap, a new connection replaces one that the server waits for: one that is idle or still
    sending its head before one that is sending a body, and among these the one that has been silent
    longest. Thousands of silent connections neither keep others out nor end uploads.

    Parameters
    ----------
    receiver
        Receives the requests.
    clock
        Timestamps them.
    max_connections, header_timeout, body_timeout
        See :class:`hooknb.settings.RuntimeSettings`.
    """

    def __init__(
        self,
        receiver: Receiver,
        clock: Clock,
        *,
        max_connections: int,
        header_timeout: float,
        body_timeout: float,
    ) -> None:
        self.receiver = receiver
        self.clock = clock
        self._max_connections = max_connections
        self._header_timeout = header_timeout
        self._body_timeout = body_timeout
        self._listening: set[socket.socket] = set()
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        # When the wait for each head began, the longest first.
        self._heads: OrderedDict[Connection, float] = OrderedDict()
        # When the wait for each body began; and since when it is silent, the longest first.
        self._bodies: OrderedDict[Connection, float] = OrderedDict()
        self._silent: OrderedDict[Connection, float] = OrderedDict()
        self._warned: dict[str, float] = {}
        self._date = (0, "")

    def add_sockets(self, sockets: list[socket.socket]) -> None:
        """Accept connections on listening, non-blocking sockets."""
        for listening in sockets:
            self._listening.add(listening)
            self._listen(listening)

    def _listen(self, listening: socket.socket) -> None:
        if listening in self._listening:
            loop = asyncio.get_running_loop()
            loop.add_reader(listening.fileno(), self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        # Without a pause, at the descriptor limit the loop would call this again endlessly.
        try:
            accepted, address = listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the sender disconnected
        except OSError as error:
            self.warn(
                f"no connection can be accepted ({error.strerror}): close files, or raise the "
                "limit (ulimit -n)"
            )
            if not self._shed():
                loop = asyncio.get_running_loop()
                loop.remove_reader(listening.fileno())
                loop.call_later(_EXHAUSTED_PAUSE, self._listen, listening)
            return
        self._add(accepted, address)

    def _add(self, accepted: socket.socket, address: Any) -> None:
        if len(self._connections) >= self._max_connections and not self._shed():
            self.warn("all connections wait for responses; a new one is turned away")
            try:
                accepted.send(_FULL)
            except OSError:
                pass  # the sender disconnected
            finally:
                accepted.close()
            return
        accepted.setblocking(False)  # noqa: FBT003 - the socket's own signature
        # A response is written in one piece, so delaying it to coalesce writes gains nothing.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, accepted, str(address[0]) if address else "")
        self._connections[connection] = asyncio.create_task(connection.serve())

    def _shed(self) -> bool:
        """End a connection that the server waits for; return whether there was one."""
        now = time.monotonic()
        candidates = []
        if self._heads:
            connection, since = next(iter(self._heads.items()))
            candidates.append((_HEAD_WEIGHT * (now - since), connection))
        if self._silent:
            connection, since = next(iter(self._silent.items()))
            candidates.append((now - since, connection))
        if not candidates:
            return False
        _, connection = max(candidates, key=lambda candidate: candidate[0])
        self._end(connection)
        return True

    def _end(self, connection: Connection) -> None:
        """End a connection; it no longer counts, although its task ends later."""
        self.has_request(connection)
        task = self._connections.pop(connection, None)
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        connection.expire()

    def warn(self, message: str) -> None:
        """Log a warning, unless the same one was logged within the last minute."""
        now = time.monotonic()
        if now - self._warned.get(message, -_WARNING_PAUSE) >= _WARNING_PAUSE:
            self._warned[message] = now
            _LOG.warning(message)

    def waits_for_head(self, connection: Connection) -> None:
        """Note that the server waits for a connection's next request."""
        self._heads[connection] = time.monotonic()

    def waits_for_body(self, connection: Connection) -> None:
        """Note that the server waits for a body, or for a sender to read its response."""
        self._heads.pop(connection, None)
        self._bodies[connection] = self._silent[connection] = time.monotonic()

    def has_moved(self, connection: Connection) -> None:
        """Note that bytes were received."""
        if connection in self._silent:
            self._silent[connection] = time.monotonic()
            self._silent.move_to_end(connection)

    def has_request(self, connection: Connection) -> None:
        """Note that a request is complete: its connection is not shed before its response."""
        self._heads.pop(connection, None)
        self._bodies.pop(connection, None)
        self._silent.pop(connection, None)

    def has_ended(self, connection: Connection) -> None:
        """Forget a connection."""
        self.has_request(connection)
        self._connections.pop(connection, None)

    def sweep(self) -> float:
        """End connections that have timed out; return the seconds until the next sweep.

        Sweeping costs a tenth less than a timer for each request.
        """
        now = time.monotonic()
        for waited_for, limit in (
            (self._heads, self._header_timeout),
            (self._bodies, self._body_timeout),
        ):
            while waited_for and now - next(iter(waited_for.values())) > limit:
                self._end(next(iter(waited_for)))
        return min(1.0, self._header_timeout / 4, self._body_timeout / 4)

    def date(self) -> str:
        """Return the ``Date`` header for the current second."""
        second = self.clock.now() // 1_000_000
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]

    def stop(self) -> None:
        """Stop listening."""
        loop = asyncio.get_running_loop()
        for listening in self._listening:
            loop.remove_reader(listening.fileno())
            listening.close()
        self._listening.clear()

    async def close_connections(self) -> None:
        """Close every connection and wait until they have ended."""
        tasks = [*self._connections.values(), *self._ending]
        for connection in list(self._connections):
            connection.expire()
        if tasks:
            await asyncio.wait(tasks)

    def let_go(self) -> None:
        """Close the connections' sockets in a forked child, without touching the parent's loop."""
        for connection in self._connections:
            connection.let_go()
