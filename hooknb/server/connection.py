"""One connection: requests are read from Tornado's stream, one after the other, and answered.

HTTP/1.1 framing by RFC 9112, strictly: what two readers could take for messages of different
lengths is refused. Tornado's own ``HTTP1Connection`` is not used because it changes the case and
order of header fields, which a delivery keeps, and costs half as much again as all of this.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import re
import socket
import time
from typing import TYPE_CHECKING, Final

import msgspec
from tornado import httputil
from tornado.iostream import StreamClosedError, UnsatisfiableReadError

from hooknb.records import SentResponse
from hooknb.server.protocol import Reception, Request

if TYPE_CHECKING:
    from tornado.iostream import IOStream

    from hooknb.server.http import HttpServer

__all__ = ["MAX_HEAD", "Connection"]

_LOG: Final = logging.getLogger("hooknb.server")

MAX_HEAD: Final = 64 * 1024
"""Bytes of a request line with its header fields."""

_PIECE: Final = 64 * 1024  # bytes of a body that are read at once
# Bytes beyond a body's limit that are read and thrown away, so that a sender which writes before
# it reads gets its 413 and not a broken pipe.
_DRAINED: Final = 64 * 2**20
_LINGER: Final = 2.0  # seconds
_MAX_TRAILERS: Final = 64  # lines behind a chunked body
_NO_BODY: Final = frozenset({204, 304})
_END_OF_HEAD: Final = rb"\r?\n\r?\n"
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")


class _MalformedError(Exception):
    """What came is not HTTP, or could be read in two ways."""


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
        self._reception: Reception | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._complete = False
        self._answered: asyncio.Future[None] | None = None
        self._last = False  # whether the connection ends with the answer
        self._unread = False  # whether the sender may still be sending then
        self._method = ""

    async def serve(self) -> None:
        """Read requests and have them answered, one after the other."""
        try:
            while not self._last:
                self._server.waits_for_head(self)
                try:
                    head = await self.stream.read_until_regex(_END_OF_HEAD, max_bytes=MAX_HEAD)
                    await self._one_request(head)
                except (_MalformedError, httputil.HTTPInputError) as error:
                    await self._refuse(str(error))
            if self._unread:
                await self._linger()
        except (StreamClosedError, UnsatisfiableReadError, asyncio.CancelledError):
            # Where a head is too long the stream has closed itself.
            self._abandon()
        except Exception:  # noqa: BLE001 - one connection's end is no other's
            _LOG.exception("a connection ended with an error")
            self._abandon()
        finally:
            self.stream.close()
            self._server.has_ended(self)

    async def _one_request(self, block: bytes) -> None:
        received_at, started = self._server.clock.now(), time.perf_counter()
        line, _, head = block.lstrip(b"\r\n").partition(b"\n")
        head = head.rstrip(b"\r\n")
        start = httputil.parse_request_start_line(line.rstrip(b"\r").decode("latin-1"))
        # Tornado's reading of the fields refuses what is none; its names are in one spelling.
        headers: dict[str, str] = {}
        for name, value in httputil.HTTPHeaders.parse(head.decode("latin-1")).get_all():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self._method = start.method
        self._last = not _keeps_alive(start.version, headers)
        self._body, self._size, self._complete = [], 0, False
        self._answered = asyncio.get_running_loop().create_future()
        reception = self._reception = self._server.receiver.begin(
            Request(
                method=start.method,
                target=start.path,
                headers=headers,
                head=head,
                remote=self._remote,
                received_at=received_at,
                started=started,
            )
        )
        length, chunked = _content_length(headers), _is_chunked(headers)
        if "Expect" in headers and headers["Expect"].lower() == "100-continue":
            if reception.refused:
                # The sender asks first: it is spared sending a body that nobody will read.
                self._last = self._unread = True
                length, chunked = 0, False
            elif length or chunked:
                await self.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if length or chunked:
            self._server.waits_for_body(self)
            await (self._read_chunks() if chunked else self._read_bytes(length))
        self._server.has_request(self)
        self._complete = True
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        reception.finish(body, self._size, self._send)
        await self._answered
        self._reception = None

    async def _read_bytes(self, count: int) -> None:
        while count > 0 and self._has_room():
            piece = await self.stream.read_bytes(min(count, _PIECE), partial=True)
            count -= len(piece)
            self._keep(piece)

    async def _read_chunks(self) -> None:
        while self._has_room():
            line = await self.stream.read_until(b"\n", max_bytes=1024)
            found = _CHUNK.fullmatch(line)
            if found is None:
                raise _MalformedError("The length of a chunk is not a hexadecimal number.")
            count = int(found[1], 16)
            if count == 0:
                await self._read_trailers()
                return
            await self._read_bytes(count)
            if self._has_room() and await self.stream.read_bytes(2) != b"\r\n":
                raise _MalformedError("A chunk does not end where its length says.")

    async def _read_trailers(self) -> None:
        for _ in range(_MAX_TRAILERS):
            if (await self.stream.read_until(b"\n", max_bytes=_PIECE)).strip() == b"":
                return
        raise _MalformedError("There are too many fields behind the body.")

    def _has_room(self) -> bool:
        """Whether to read on; what is beyond is left unread, and the connection ends."""
        reception = self._reception
        if reception is not None and self._size <= reception.keep + _DRAINED:
            return True
        self._last = self._unread = True
        return False

    def _keep(self, piece: bytes) -> None:
        room = self._reception.keep - self._size if self._reception is not None else 0
        if room > 0:
            self._body.append(piece if len(piece) <= room else piece[:room])
        self._size += len(piece)

    def expire(self) -> None:
        """Give up on a sender that did not send in time."""
        self._abandon()
        self.stream.close()

    def _abandon(self) -> None:
        if self._reception is not None and not self._complete:
            self._complete = True
            self._reception.abandon(b"".join(self._body), self._size)

    def _send(self, response: SentResponse, delivery: int | None) -> bool:
        sent = self._write(response, delivery)
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
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
        if response.status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            self._last = self._unread = True
        lines.append("Connection: close" if self._last else "Connection: keep-alive")
        if self._method == "HEAD":
            body = b""
        head = "\r\n".join(lines).encode("latin-1", "replace")
        try:
            written = self.stream.write(b"%b\r\n\r\n%b" % (head, body))
        except StreamClosedError:
            return False
        written.add_done_callback(_look_at)
        return True

    async def _refuse(self, problem: str) -> None:
        """Answer what is no request, or none that ends clearly; the connection ends with it."""
        self._last = self._unread = True
        reception = self._reception
        if reception is not None and not self._complete and self._answered is not None:
            self._server.has_request(self)
            self._complete = True
            reception.fail(problem, b"".join(self._body), self._size, self._send)
            await self._answered
            return
        document = {
            "type": "about:blank",
            "status": 400,
            "title": "Bad Request",
            "detail": problem,
        }
        self._write(
            SentResponse(
                status=400,
                headers=(("Content-Type", "application/problem+json"),),
                body=msgspec.json.encode(document),
            )
        )

    async def _linger(self) -> None:
        """Read on a little, so that a sender which is still sending gets to see its answer.

        A socket that is closed with something unread is reset, and the answer may be lost.
        """
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_LINGER):
                if self.stream.socket is not None:
                    self.stream.socket.shutdown(socket.SHUT_WR)
                for _ in range(_DRAINED // _PIECE):
                    await self.stream.read_bytes(_PIECE, partial=True)


def _look_at(written: asyncio.Future[None]) -> None:
    """Take note of a write that failed, so that it is not reported as forgotten."""
    if not written.cancelled():
        written.exception()


def _keeps_alive(version: str, headers: dict[str, str]) -> bool:
    wishes = {wish.strip(" \t").lower() for wish in headers.get("Connection", "").split(",")}
    return "close" not in wishes if version == "HTTP/1.1" else "keep-alive" in wishes


def _content_length(headers: dict[str, str]) -> int:
    """Give the length of the body; 0 where none is named (RFC 9112, section 6.3)."""
    given = headers.get("Content-Length")
    if given is None:
        return 0
    values = {value.strip(" \t") for value in given.split(",")}
    if len(values) != 1 or not _LENGTH.fullmatch(next(iter(values))):
        raise _MalformedError("Content-Length is not one whole number.")
    headers["Content-Length"] = next(iter(values))
    return int(headers["Content-Length"])


def _is_chunked(headers: dict[str, str]) -> bool:
    coding = headers.get("Transfer-Encoding")
    if coding is None:
        return False
    if coding.strip(" \t").lower() != "chunked":
        raise _MalformedError("Transfer-Encoding can only be chunked.")
    if "Content-Length" in headers:
        raise _MalformedError("There is a Content-Length beside Transfer-Encoding.")
    return True
