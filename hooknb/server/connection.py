"""One connection: requests are read from it, one after the other, and responded to."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import socket
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from tornado.iostream import StreamClosedError

from hooknb.records import SentResponse
from hooknb.server.protocol import Reception, Request
from hooknb.server.reader import BadRequestError, ForeignProtocolError, Head, RequestReader

if TYPE_CHECKING:
    from tornado.iostream import IOStream

    from hooknb.server.http import HttpServer

__all__ = ["Connection"]

_LOG: Final = logging.getLogger("hooknb.server")

_LINGER: Final = 2.0  # seconds
_PIECE: Final = 64 * 1024  # bytes that are read at once meanwhile
_MAX_LINGER_PIECES: Final = 1024
_AT_ONCE: Final = 64  # pipelined requests that are served before others have their turn
_NO_BODY: Final = frozenset({204, 304})


class Connection:
    """Serves one connection until either side ends it.

    Parameters
    ----------
    server
        Keeps count of the connections and knows who receives requests.
    stream
        The connection's stream.
    remote
        The address of the other side.
    """

    def __init__(self, server: HttpServer, stream: IOStream, remote: str) -> None:
        self.stream = stream
        self._server = server
        self._remote = remote
        self._reader = RequestReader(stream, self._move)
        self._reception: Reception | None = None
        self._complete = False
        self._responded: asyncio.Future[None] | None = None
        self._written: asyncio.Future[None] | None = None
        self._last = False  # whether the connection ends with the response
        self._unread = False  # whether the sender may still be sending then
        self._method = ""

    async def serve(self) -> None:
        """Read requests and have them responded to, one after the other."""
        served = 0
        try:
            while not self._last:
                self._server.waits_for_head(self)
                try:
                    await self._serve_request(await self._reader.read_head())
                except BadRequestError as error:
                    await self._refuse(str(error), error.status)
                await self._flush()
                served += 1
                if served % _AT_ONCE == 0:
                    await asyncio.sleep(0)
            if self._unread:
                await self._linger()
        except (StreamClosedError, asyncio.CancelledError):
            self._abandon()
        except ForeignProtocolError as error:
            self._server.warn(str(error))
        except Exception:  # noqa: BLE001 - one connection's end is no other's
            _LOG.exception("a connection ended with an error")
            self._abandon()
        finally:
            self.stream.close()
            self._server.has_ended(self)

    async def _serve_request(self, head: Head) -> None:
        received_at, started = self._server.clock.now(), time.perf_counter()
        self._method = head.method
        self._last = not head.keeps_alive
        self._complete = False
        self._responded = asyncio.get_running_loop().create_future()
        reception = self._reception = self._server.receiver.begin(
            Request(
                method=head.method,
                target=head.target,
                headers=head.headers,
                head=head.fields,
                remote=self._remote,
                received_at=received_at,
                started=started,
            )
        )
        has_body = head.chunked or head.length > 0
        if has_body and head.expects_continue:
            if reception.refused:
                # The sender asks first: it is spared sending a body that nobody will read.
                self._last = self._unread = True
                has_body = False
            else:
                await self.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if has_body:
            self._server.waits_for_body(self)
            if not await self._reader.read_body(head, reception.keep):
                self._last = self._unread = True
        self._server.has_request(self)
        self._complete = True
        reception.finish(self._reader.take_body(), self._reader.size, self._send)
        await self._responded
        self._reception = None

    async def _flush(self) -> None:
        """Wait until the response has left: who does not read gets no further one."""
        if self._written is not None and not self._written.done():
            self._server.waits_for_body(self)
            await self._written
            self._server.has_request(self)

    def _move(self) -> None:
        self._server.has_moved(self)

    def expire(self) -> None:
        """Give up on a sender that keeps the server waiting."""
        self._abandon()
        self.stream.close()

    def _abandon(self) -> None:
        if self._reception is not None and not self._complete:
            self._complete = True
            self._reception.abandon(self._reader.take_body(), self._reader.size)

    def _send(self, response: SentResponse, delivery: int | None) -> bool:
        sent = self._write(response, delivery)
        if self._responded is not None and not self._responded.done():
            self._responded.set_result(None)
        return sent

    def _write(self, response: SentResponse, delivery: int | None = None) -> bool:
        if self.stream.closed():
            return False
        reason = http.client.responses.get(response.status, "Unknown")
        lines = [f"HTTP/1.1 {response.status} {reason}"]
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
        try:
            self._written = self.stream.write(b"%b\r\n\r\n%b" % (head, body))
        except StreamClosedError:
            return False
        self._written.add_done_callback(_look_at)
        return True

    async def _refuse(self, problem: str, status: int) -> None:
        """Respond to what is not a request, or does not end clearly, and end the connection."""
        self._last = self._unread = True
        self._server.has_request(self)
        reception = self._reception
        if reception is not None and not self._complete and self._responded is not None:
            self._complete = True
            body, size = self._reader.take_body(), self._reader.size
            reception.fail(problem, body, size, self._send)
            await self._responded
            return
        self._method = ""
        document = {
            "type": "about:blank",
            "status": int(status),
            "title": http.client.responses[status],
            "detail": problem,
        }
        self._write(
            SentResponse(
                status=int(status),
                headers=(("Content-Type", "application/problem+json"),),
                body=msgspec.json.encode(document),
            )
        )

    async def _linger(self) -> None:
        """Read on a little, so that a sender which is still sending gets to see its response.

        A socket that is closed with something unread is reset, and the response may be lost.
        """
        self._server.waits_for_head(self)
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_LINGER):
                if self.stream.socket is not None:
                    self.stream.socket.shutdown(socket.SHUT_WR)
                for _ in range(_MAX_LINGER_PIECES):
                    await self.stream.read_bytes(_PIECE, partial=True)


def _look_at(written: asyncio.Future[None]) -> None:
    """Take note of a write that failed, so that it is not reported as forgotten."""
    if not written.cancelled():
        written.exception()
