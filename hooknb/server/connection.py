"""One connection: reads requests one after the other, and sends their responses."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import os
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from hooknb.records import SentResponse
from hooknb.server.protocol import BodyError, Request, problem
from hooknb.server.reader import BadRequestError, ForeignProtocolError, RequestReader
from hooknb.server.stream import HungUpError, Stream

if TYPE_CHECKING:
    import socket

    from hooknb.server.http import HttpServer

__all__ = ["Connection"]

_LOG: Final = logging.getLogger("hooknb.server")

_MAX_UNSENT: Final = 64 * 1024  # bytes of unsent responses when the next head is read
_LINGER: Final = 2.0  # seconds
_MAX_LINGER_PIECES: Final = 1024  # received while lingering
_AT_ONCE: Final = 64  # pipelined requests served before other connections get their turn
_NO_BODY: Final = frozenset({204, 304})
_STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"
    for status in range(200, 600)
}


class Connection:
    """Serves one connection until either side ends it.

    Parameters
    ----------
    server
        Tracks the connections and has the receiver of requests.
    accepted
        The connection's socket.
    remote
        The peer's address.
    """

    def __init__(self, server: HttpServer, accepted: socket.socket, remote: str) -> None:
        self.socket = accepted
        self._server = server
        self._remote = remote
        self._stream = Stream()
        self._reader = RequestReader(self._stream, self._move)
        self._transport: asyncio.Transport | None = None
        self._is_expired = False
        self._request: Request | None = None  # its body has not been requested yet
        self._last = False  # whether the connection closes after the response
        self._unread = False  # whether the sender may still be sending by then
        self._method = ""

    async def serve(self) -> None:
        """Read requests and respond to them, one after the other."""
        try:
            transport = self._transport = await self._open()
            try:
                await self._serve_all(transport)
            except HungUpError:
                # A sender may half-close the connection and still read.
                self._last = True
                await self._flush(transport)
            if self._unread and not transport.is_closing():
                await self._linger(transport)
        except (OSError, HungUpError, asyncio.CancelledError):
            pass  # the sender disconnected, or the server stops
        except ForeignProtocolError as error:
            self._server.warn(str(error))
        except Exception:  # noqa: BLE001 - a failure must not affect other connections
            _LOG.exception("a connection ended with an error")
        finally:
            if self._transport is None:
                self.socket.close()
            else:
                self._transport.abort()
            self._server.has_ended(self)

    async def _open(self) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: self._stream, self.socket)
        transport = self._stream.transport
        transport.set_write_buffer_limits(_MAX_UNSENT)
        if self._is_expired:
            transport.abort()
        return transport

    async def _serve_all(self, transport: asyncio.Transport) -> None:
        served = 0
        while not self._last:
            self._server.waits_for_head(self)
            try:
                request = await self._reader.read_head()
            except BadRequestError as error:
                self._refuse(transport, str(error), error.status)
            else:
                await self._serve_request(transport, request)
            await self._flush(transport)
            served += 1
            if served % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _serve_request(self, transport: asyncio.Transport, request: Request) -> None:
        request.remote = self._remote
        request.received_at, request.started = self._server.clock.now(), time.perf_counter()
        self._method = request.method
        self._last = not request.keeps_alive
        self._server.has_request(self)
        self._request = request if request.has_body else None
        response, delivery = await self._server.receiver.receive(request, self)
        if self._request is not None:
            self._last = self._unread = True  # the body was not requested
        self._write(transport, response, delivery)

    @property
    def size(self) -> int:
        """Bytes of the body that have been received."""
        return self._reader.size

    async def read(self, keep: int, *, is_wanted: bool = True) -> bytes:
        """Receive the body of the request; see :class:`~hooknb.server.protocol.Body`."""
        request, self._request = self._request, None
        if request is None or self._transport is None:
            return b""
        if request.expects_continue:
            if not is_wanted:
                self._last = self._unread = True
                return b""
            if not self._transport.is_closing():
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._server.waits_for_body(self)
        try:
            if not await self._reader.read_body(request, keep):
                self._last = self._unread = True
        except BadRequestError as error:
            self._last = self._unread = True
            raise BodyError("malformed", str(error), self._reader.take_body()) from None
        except HungUpError:
            self._last = True
            detail = f"The sender stopped after {self.size} bytes of the body."
            raise BodyError("incomplete body", detail, self._reader.take_body()) from None
        finally:
            self._server.has_request(self)
        return self._reader.take_body()

    async def _flush(self, transport: asyncio.Transport) -> None:
        """Wait until the response is sent: a sender that does not read gets no further one."""
        if transport.is_closing():
            return
        if self._last:
            transport.set_write_buffer_limits(0)
        elif transport.get_write_buffer_size() <= _MAX_UNSENT:
            return
        self._server.waits_for_body(self)
        await self._stream.drain()
        self._server.has_request(self)

    def let_go(self) -> None:
        """Close the socket in a forked child; uvloop defers its ``close`` to the transport's."""
        descriptor = self.socket.detach()
        if descriptor >= 0:
            os.close(descriptor)

    def _move(self) -> None:
        self._server.has_moved(self)

    def expire(self) -> None:
        """Time out a sender that keeps the server waiting."""
        self._is_expired = True
        if self._transport is not None:
            self._transport.abort()

    def _write(
        self, transport: asyncio.Transport, response: SentResponse, delivery: int | None = None
    ) -> None:
        if transport.is_closing():
            return
        lines = [_STATUS_LINES[response.status]]
        lines += [f"{name}: {value}" for name, value in response.headers]
        lines.append(f"Date: {self._server.date()}")
        if delivery is not None:
            lines.append(f"X-Hooknb-Delivery: {delivery}")
        body = b"" if response.status in _NO_BODY else response.body
        if response.status not in _NO_BODY:
            lines.append(f"Content-Length: {len(body)}")
        if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            self._last = self._unread = True
        lines.append("Connection: close" if self._last else "Connection: keep-alive")
        if self._method == "HEAD":
            body = b""
        head = "\r\n".join(lines).encode("latin-1", "replace")
        transport.write(b"%b\r\n\r\n%b" % (head, body))

    def _refuse(self, transport: asyncio.Transport, detail: str, status: int) -> None:
        """Respond to an invalid request, and close the connection."""
        self._last = self._unread = True
        self._server.has_request(self)
        self._method = ""
        self._write(transport, problem(status, detail))

    async def _linger(self, transport: asyncio.Transport) -> None:
        """Read on briefly, so that a sender which is still sending can read its response.

        Closing a socket with unread data resets the connection, which may lose the response.
        """
        self._server.waits_for_head(self)
        with contextlib.suppress(TimeoutError, OSError, HungUpError):
            async with asyncio.timeout(_LINGER):
                transport.write_eof()
                for _ in range(_MAX_LINGER_PIECES):
                    self._stream.received.clear()
                    await self._stream.more()
