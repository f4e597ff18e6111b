"""From the relay to a kernel: one request and its response on a new connection."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Final

import msgspec

from hooknb.payloads.headers import parse_head
from hooknb.relay.limits import Limits
from hooknb.relay.registrations import Registration
from hooknb.relay.sanitizing import Fields

__all__ = [
    "CutOffError",
    "ForwardingError",
    "NotAResponseError",
    "NotReachedError",
    "Relayed",
    "Responded",
    "TooSlowError",
    "forward",
]

_MAX_HEAD: Final = 64 * 1024
_PIECE: Final = 64 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([2-5][0-9]{2})(?: [^\r\n]*)?")
_NO_BODY: Final = frozenset({204, 304})


class Relayed(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the kernel receives it, without its body.

    Attributes
    ----------
    method, query
        Parts of the request line.
    subpath
        The path after the hook's URL, still encoded, with its leading slash.
    fields
        The header fields meant for the hook, in the order of the request.
    remote
        The sender's address.
    received_at
        Microseconds since 1970.
    """

    method: str
    query: str
    fields: Fields
    remote: str
    received_at: int
    subpath: str = ""

    def __repr__(self) -> str:
        """Return a text without anything that may be secret."""
        return f"<Relayed {self.method} of {self.received_at}>"


class Responded(msgspec.Struct, frozen=True):
    """The response of a kernel."""

    status: int
    fields: Fields
    body: bytes


class ForwardingError(Exception):
    """There is no response to pass on."""


class NotReachedError(ForwardingError):
    """The kernel does not listen: the request has not been sent."""


class CutOffError(ForwardingError):
    """The connection ended before a response began: the outcome of the request is unknown."""


class TooSlowError(ForwardingError):
    """The response did not arrive in time."""


class NotAResponseError(ForwardingError):
    """The response is malformed or too large, but the request was sent."""


async def forward(
    to: Registration, key: str, request: Relayed, body: bytes | bytearray, limits: Limits
) -> Responded:
    """Send a request to the kernel that registered its hook, and wait for the response.

    Raises
    ------
    ForwardingError
        The subclass states what is known of the outcome.
    """
    try:
        async with asyncio.timeout(limits.connect_timeout):
            reader, writer = await asyncio.open_connection(to.host, to.port, limit=_MAX_HEAD)
    except (OSError, TimeoutError) as error:
        raise NotReachedError from error
    # Concurrent with reading: a kernel may respond before it has read the whole request.
    sending = asyncio.create_task(_send(writer, _head(to, key, request, len(body)), body))
    try:
        async with asyncio.timeout(limits.response_timeout):
            return await _response(reader, request.method, int(limits.max_response))
    except TimeoutError as error:
        raise TooSlowError from error
    except OSError as error:
        raise CutOffError from error
    finally:
        # Unsent data is discarded: closing would wait until it is flushed.
        sending.cancel()
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _send(writer: asyncio.StreamWriter, head: bytes, body: bytes | bytearray) -> None:
    """Send a request piece by piece: a transport copies data that it cannot write yet."""
    whole = memoryview(body)
    with contextlib.suppress(OSError):  # the reading side reports it
        writer.write(head)
        for start in range(0, len(whole), _PIECE):
            writer.write(whole[start : start + _PIECE])
            await writer.drain()


def _head(to: Registration, key: str, request: Relayed, length: int) -> bytes:
    path = f"/hook/{key}{request.subpath}"
    target = f"{path}?{request.query}" if request.query else path
    lines = [f"{request.method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.fields]
    if not any(name.lower() == "content-length" for name, _ in request.fields) and length:
        lines.append(f"Content-Length: {length}")  # the body was chunked
    # The kernel removes these before it stores the request.
    lines += [f"X-Hooknb-Relay: {to.secret}", f"X-Hooknb-Remote: {request.remote}"]
    lines += [f"X-Hooknb-Received: {request.received_at}", "\r\n"]
    return "\r\n".join(lines).encode("latin-1")


async def _response(reader: asyncio.StreamReader, method: str, most: int) -> Responded:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise NotAResponseError from error
    except asyncio.IncompleteReadError as error:
        raise (NotAResponseError if error.partial else CutOffError) from error
    line, _, block = head[:-4].partition(b"\r\n")
    match = _STATUS.fullmatch(line)
    fields = list(parse_head(block))
    named = {name.lower(): value for name, value in fields}
    if match is None or "transfer-encoding" in named:
        raise NotAResponseError
    status, length = int(match[1]), named.get("content-length")
    if method == "HEAD" or status in _NO_BODY:
        return Responded(status, fields, b"")
    if length is not None and not re.fullmatch(r"[0-9]{1,18}", length):
        raise NotAResponseError
    return Responded(status, fields, await _body(reader, length, most))


async def _body(reader: asyncio.StreamReader, length: str | None, most: int) -> bytes:
    wanted = None if length is None else int(length)
    if wanted is not None and wanted > most:
        raise NotAResponseError
    pieces, size = [], 0
    while wanted is None or size < wanted:
        try:
            piece = await reader.read(_PIECE if wanted is None else min(_PIECE, wanted - size))
        except OSError as error:
            raise NotAResponseError from error
        if not piece:
            if wanted is not None:
                raise NotAResponseError
            break
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise NotAResponseError
    return b"".join(pieces)
