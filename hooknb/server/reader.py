"""The requests of a connection, read from its stream one by one.

llhttp (through ``httptools``) checks every byte of heads and of the framing of chunked bodies, and
preserves the case, order and bytes of fields. It does not report where a message ends, so it is
fed one message's bytes at a time. Requests that it accepts, but whose length or host two
implementations could read differently, are refused here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from itertools import count
from typing import Final

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from hooknb.server.protocol import Request
from hooknb.server.stream import Stream

__all__ = ["BadRequestError", "ForeignProtocolError", "RequestReader"]

MAX_HEAD_BYTES: Final = 64 * 1024
"""Bytes of a request line with its header fields, and of the trailers after a chunked body."""
MAX_FIELDS: Final = 256
"""Fields of a head, and of the trailers."""
MAX_CHUNK_LINE_BYTES: Final = 1024
"""Bytes of a chunk's size line with its extensions."""

# Bytes beyond a body's limit that are read and discarded, so that a sender which writes its whole
# body before it reads gets its 413 instead of a broken pipe.
_MAX_DRAINED_BYTES: Final = 64 * 2**20
_CHUNKS_AT_ONCE: Final = 256  # read before other connections get their turn
_TOO_LARGE: Final = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
_LINE_FOR_LLHTTP: Final = b"POST / HTTP/1.1\r\n"
_END_OF_HEAD: Final = b"\r\n\r\n"
_TLS_HANDSHAKE: Final = 0x16
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_METHOD: Final = re.compile(rb"(%b{1,64}) " % _TOKEN)
_PART_OF_METHOD: Final = re.compile(rb"%b{0,64}" % _TOKEN)
# A target is a path, "*" or an absolute URL, without a fragment. Bytes beyond ASCII are invalid in
# URLs but accepted: many senders write them, and no implementation ends a target there.
_REQUEST_LINE: Final = re.compile(
    rb"(%b+) ((?:/|(?i:https?)://)[!-\"$-~\x80-\xff]*|\*) HTTP/(1\.[01])\r\n" % _TOKEN
)
_ABSOLUTE: Final = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE | re.DOTALL)
_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+(?::([0-9]{0,5}))?"
    r"|\[[0-9A-Fa-f:.]+\](?::([0-9]{0,5}))?"
)
_MAX_PORT: Final = 65535
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_CHUNK_LINE: Final = re.compile(
    rb'([0-9A-Fa-f]{1,15})(?:;%b+(?:=(?:%b+|"(?:[^"\\\r\n]|\\[^\r\n])*"))?)*\r\n' % (_TOKEN, _TOKEN)
)
_START_OF_CHUNKED: Final = _LINE_FOR_LLHTTP + b"Transfer-Encoding: chunked\r\n\r\n"


class BadRequestError(Exception):
    """The request is not valid HTTP/1.1, or is ambiguous.

    Parameters
    ----------
    detail
        One sentence: what is wrong.
    status
        The HTTP status of the response.
    """

    def __init__(self, detail: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(detail)
        self.status = status


class ForeignProtocolError(Exception):
    """The sender uses TLS or HTTP/2, and would not understand a response."""


class _Message:
    """Collects llhttp's callbacks for one message."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.fields) == MAX_FIELDS:
            raise BadRequestError(f"There are more than {MAX_FIELDS} header fields.", _TOO_LARGE)
        self.fields.append((name, value))

    def on_message_complete(self) -> None:
        self.is_complete = True


class RequestReader:
    """Reads a connection's requests, one after the other.

    Parameters
    ----------
    stream
        The connection's stream.
    moved
        Called whenever bytes are received.

    Attributes
    ----------
    size
        Bytes received of the current body.
    """

    def __init__(self, stream: Stream, moved: Callable[[], object]) -> None:
        self._stream = stream
        self._moved = moved
        self._buffer = stream.received
        self._body = bytearray()  # a list of two-byte pieces would take 25 times the memory
        self._keep = 0
        self.size = 0

    async def read_head(self) -> Request:
        """Read a request up to the empty line after its header fields.

        Raises
        ------
        BadRequestError
            The request is invalid or too large.
        ForeignProtocolError
            The sender uses TLS or HTTP/2.
        HungUpError
            The stream ended before a complete head.
        """
        self._body, self._keep, self.size = bytearray(), 0, 0
        await self._check_method()
        line = await self._read_line(MAX_HEAD_BYTES, "The request line is too long.", _TOO_LARGE)
        found = _REQUEST_LINE.fullmatch(line)
        if found is None:
            raise BadRequestError(
                "The request line is not a method, a target and HTTP/1.1 or HTTP/1.0, with one "
                "space between each and CRLF behind."
            )
        method, target, version = (part.decode("latin-1") for part in found.groups())
        block, fields = await self._read_fields(MAX_HEAD_BYTES - len(line))
        return _head(method, target, version, block, fields)

    async def _check_method(self) -> None:
        """Wait for a method and the space after it, which stay in the buffer."""
        buffer = self._buffer
        while (found := _METHOD.match(buffer)) is None:
            if buffer[:1] and buffer[0] == _TLS_HANDSHAKE:
                message = "a sender speaks TLS to a port that speaks HTTP: have it use http://"
                raise ForeignProtocolError(f"{message} instead of https://")
            if not _PART_OF_METHOD.fullmatch(buffer):
                raise BadRequestError("The request does not begin with a method.")
            await self._fill()
        if found[1] == b"PRI":
            message = "a sender speaks HTTP/2 without having been asked to: have it use HTTP/1.1"
            raise ForeignProtocolError(message)
        if found[1] == b"CONNECT":
            raise BadRequestError(
                "CONNECT is for proxies, and this is not one.", HTTPStatus.NOT_IMPLEMENTED
            )

    async def _read_fields(self, limit: int) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Return the block of header fields as received, and the fields that llhttp parses."""
        message = _Message()
        parser = HttpRequestParser(message)
        buffer = self._buffer
        # llhttp accepts only a fixed list of methods, and no bytes beyond ASCII in a target. Any
        # token is a method and, except for CONNECT, none changes the framing of a request.
        buffer[:0] = _LINE_FOR_LLHTTP
        limit += len(_LINE_FOR_LLHTTP)
        fed = 0
        while True:
            found = buffer.find(_END_OF_HEAD, max(0, fed - 3))
            end = len(buffer) if found < 0 else found + len(_END_OF_HEAD)
            if end > limit:
                raise BadRequestError(
                    f"The request line and header fields have more than {MAX_HEAD_BYTES} bytes.",
                    _TOO_LARGE,
                )
            _feed(parser, buffer[fed:end])
            if found >= 0:
                break
            fed = end
            await self._fill()
        block = bytes(buffer[len(_LINE_FOR_LLHTTP) : found])
        del buffer[:end]
        return block, message.fields

    async def read_body(self, request: Request, keep: int) -> bool:
        """Read the body of a request, and keep at most ``keep`` bytes of it.

        Returns
        -------
        bool
            False if the body exceeds ``keep`` by so much that its rest is left unread.
        """
        self._keep = keep
        if request.chunked:
            await self._read_chunks()
        else:
            await self._read_bytes(request.length)
        return self._has_room()

    def take_body(self) -> bytes:
        """Return the kept bytes of the body, and release them."""
        body, self._body = bytes(self._body), bytearray()
        return body

    async def _read_bytes(self, length: int, parser: HttpRequestParser | None = None) -> None:
        buffer = self._buffer
        while length > 0 and self._has_room():
            if not buffer:
                await self._fill()
            # Each copy of a large body counts: what is kept is copied once.
            taken = min(length, len(buffer))
            with memoryview(buffer) as view:
                if parser is not None:
                    _feed(parser, view[:taken])
                self._body += view[: min(taken, max(0, self._keep - self.size))]
            del buffer[:taken]
            length -= taken
            self.size += taken

    async def _read_chunks(self) -> None:
        # A new parser: the head's skips the body of a request with an Upgrade field.
        message = _Message()
        parser = HttpRequestParser(message)
        parser.feed_data(_START_OF_CHUNKED)
        message.fields.clear()
        for number in count(1):
            if not self._has_room():
                return
            if number % _CHUNKS_AT_ONCE == 0:
                await asyncio.sleep(0)
            line = await self._read_line(MAX_CHUNK_LINE_BYTES, "A chunk's line is too long.")
            # llhttp accepts extensions without a name or a value.
            found = _CHUNK_LINE.fullmatch(line)
            if found is None:
                raise BadRequestError(
                    "A chunk does not begin with a hexadecimal length, well-formed extensions "
                    "and CRLF."
                )
            _feed(parser, line)
            length = int(found[1], 16)
            if length == 0:
                await self._read_trailers(parser, message)
                return
            await self._read_bytes(length, parser)
            if self._has_room():
                end = await self._read_line(2, "A chunk does not end where its length says.")
                _feed(parser, end)

    async def _read_trailers(self, parser: HttpRequestParser, message: _Message) -> None:
        """Read the fields after a chunked body, up to an empty line."""
        room = MAX_HEAD_BYTES
        while not message.is_complete:
            line = await self._read_line(room, "The trailers are too long.")
            room -= len(line)
            _feed(parser, line)

    async def _read_line(
        self, limit: int, problem: str, status: int = HTTPStatus.BAD_REQUEST
    ) -> bytes:
        """Return a line with its end, which may be a bare LF: the caller refuses that."""
        buffer, seen = self._buffer, 0
        while (end := buffer.find(b"\n", seen)) < 0 and len(buffer) < limit:
            seen = len(buffer)
            await self._fill()
        if end < 0 or end >= limit:
            raise BadRequestError(problem, status)
        line = bytes(buffer[: end + 1])
        del buffer[: end + 1]
        return line

    async def _fill(self) -> None:
        await self._stream.more()
        self._moved()

    def _has_room(self) -> bool:
        return self.size <= self._keep + _MAX_DRAINED_BYTES


def _feed(parser: HttpRequestParser, data: bytes | bytearray | memoryview) -> None:
    try:
        parser.feed_data(data)
    except HttpParserUpgrade:
        pass  # the head offers another protocol, which the server ignores
    except HttpParserCallbackError as error:
        if isinstance(error.__context__, BadRequestError):
            raise error.__context__ from None
        raise
    except HttpParserError as error:
        raise BadRequestError(f"This is not well-formed HTTP/1.1: {error}.") from None


def _head(
    method: str, target: str, version: str, block: bytes, fields: list[tuple[bytes, bytes]]
) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = _usual(raw_name), raw_value.decode("latin-1").strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    is_1_0 = version == "1.0"
    host = headers.get("Host")
    if host is not None or not is_1_0:
        _check_host(host)
    absolute = None if target[0] == "/" else _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        host, target = absolute[1], absolute[2]
        _check_host(host)
        headers["Host"] = host
        target = target if target.startswith("/") else f"/{target}"
    return Request(
        method=method,
        target=target,
        headers=headers,
        head=block,
        length=_content_length(headers),
        chunked=_is_chunked(headers),
        is_1_0=is_1_0,
    )


@lru_cache(maxsize=1024)
def _usual(name: bytes) -> str:
    return "-".join(word.capitalize() for word in name.decode("ascii").split("-"))


def _check_host(host: str | None) -> None:
    """Refuse a host that two implementations could read differently (RFC 9112, section 3.2)."""
    if host is None:
        raise BadRequestError("There is no Host field, which HTTP/1.1 requires.")
    found = _HOST.fullmatch(host)
    if found is None or int(found[1] or found[2] or 0) > _MAX_PORT:
        raise BadRequestError("The host is not one name or address, with or without a port.")


def _content_length(headers: dict[str, str]) -> int:
    given = headers.get("Content-Length")
    if given is None:
        return 0
    if not _LENGTH.fullmatch(given):
        raise BadRequestError("Content-Length is not one whole number.")
    return int(given)


def _is_chunked(headers: dict[str, str]) -> bool:
    coding = headers.get("Transfer-Encoding")
    if coding is None:
        return False
    if coding.lower() != "chunked":
        raise BadRequestError("Transfer-Encoding can only be chunked.")
    if "Content-Length" in headers:
        raise BadRequestError("There is a Content-Length beside Transfer-Encoding.")
    return True
