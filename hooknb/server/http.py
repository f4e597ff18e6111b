"""The server: accepts connections up to a cap, and ends those that keep it waiting."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

from tornado.tcpserver import TCPServer

from hooknb._clock import Clock
from hooknb.server.connection import MAX_HEAD, Connection
from hooknb.server.protocol import Receiver

if TYPE_CHECKING:
    from tornado.iostream import IOStream

__all__ = ["HttpServer"]

_BUFFER: Final = 4 * MAX_HEAD  # bytes of a connection that are read ahead


class HttpServer(TCPServer):
    """HTTP on Tornado's streams, with a cap on connections.

    At the cap a new connection takes the place of the one that has been waited for longest, so
    that thousands of silent ones keep nobody out.

    Parameters
    ----------
    receiver
        Gets the requests.
    clock
        Tells when they came.
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
        super().__init__(max_buffer_size=_BUFFER)
        self.receiver = receiver
        self.clock = clock
        self._max_connections = max_connections
        self._header_timeout = header_timeout
        self._body_timeout = body_timeout
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        # Since when each connection has been waited for, the longest first: for a head, a body.
        self._heads: OrderedDict[Connection, float] = OrderedDict()
        self._bodies: OrderedDict[Connection, float] = OrderedDict()
        self._date = (0, "")

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a new connection."""
        if len(self._connections) >= self._max_connections:
            self._shed()
        # An answer is written in one piece; there is nothing to wait for and join to it.
        stream.set_nodelay(True)
        connection = Connection(self, stream, str(address[0]) if address else "")
        self._connections[connection] = asyncio.create_task(connection.serve())

    def _shed(self) -> None:
        """Make room: the connection that has been waited for longest goes."""
        oldest = [next(iter(waited.items())) for waited in (self._heads, self._bodies) if waited]
        if oldest:
            connection, _ = min(oldest, key=lambda item: item[1])
            self.has_request(connection)
            connection.expire()

    def waits_for_head(self, connection: Connection) -> None:
        """Note that a connection's next request is waited for."""
        self._heads[connection] = time.monotonic()

    def waits_for_body(self, connection: Connection) -> None:
        """Note that a head has come and its body is waited for."""
        self._heads.pop(connection, None)
        self._bodies[connection] = time.monotonic()

    def has_request(self, connection: Connection) -> None:
        """Note that a request has come whole; its connection is not shed while it is answered."""
        self._heads.pop(connection, None)
        self._bodies.pop(connection, None)

    def has_ended(self, connection: Connection) -> None:
        """Forget a connection."""
        self.has_request(connection)
        self._connections.pop(connection, None)

    def sweep(self) -> float:
        """End connections that have run out of time; give the seconds until the next look.

        A look now and then is a tenth cheaper than a timer for each request.
        """
        now = time.monotonic()
        for waited_for, limit in (
            (self._heads, self._header_timeout),
            (self._bodies, self._body_timeout),
        ):
            while waited_for and now - next(iter(waited_for.values())) > limit:
                connection, _ = waited_for.popitem(last=False)
                connection.expire()
        return min(1.0, self._header_timeout / 4, self._body_timeout / 4)

    def date(self) -> str:
        """Give the ``Date`` header of this second."""
        second = self.clock.now() // 1_000_000
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]

    async def close_connections(self) -> None:
        """Close every connection and wait for their ends."""
        tasks = list(self._connections.values())
        for connection in list(self._connections):
            connection.stream.close()
        if tasks:
            await asyncio.wait(tasks)

    def let_go(self) -> None:
        """Close the connections' sockets in a forked child, without touching the parent's loop."""
        for connection in self._connections:
            if connection.stream.socket is not None:
                connection.stream.socket.close()
