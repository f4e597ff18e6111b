"""The bytes of a connection, in both directions."""

from __future__ import annotations

import asyncio
from typing import Final

__all__ = ["HungUpError", "Stream"]

MAX_AHEAD_BYTES: Final = 256 * 1024
"""Bytes received before they are read; beyond them, the sender has to wait."""


class HungUpError(Exception):
    """The sender has closed its side of the connection, or the connection has ended."""


class Stream(asyncio.Protocol):
    """The received bytes, and the transport to send.

    asyncio's streams cost an additional copy, two coroutines and a future for each request, a fifth
    of an asynchronous hook's total time.

    Attributes
    ----------
    received
        The bytes received but not yet consumed; the consumer deletes them.
    transport
        Sends; set once the connection is made.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received = bytearray()
        self._has_ended = False
        self._is_held = False  # whether the sender has to wait
        self._more: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    async def more(self) -> None:
        """Wait for further bytes.

        Raises
        ------
        HungUpError
            The stream has ended.
        """
        if self._has_ended:
            raise HungUpError
        if self._is_held:
            self._is_held = False
            self.transport.resume_reading()
        self._more = asyncio.get_running_loop().create_future()
        await self._more
        if self._has_ended and not self.received:
            raise HungUpError

    async def drain(self) -> None:
        """Wait until the transport's write buffer has room again, or the connection is lost."""
        if self._room is not None:
            await asyncio.shield(self._room)

    # -- callbacks of the transport -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self.transport = transport  # type: ignore[assignment] # a socket's transport also writes

    def data_received(self, data: bytes) -> None:
        """Append received bytes."""
        self.received += data
        if len(self.received) > MAX_AHEAD_BYTES and not self._is_held:
            self._is_held = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Note that the sender has finished sending; it may still read."""
        self._has_ended = True
        self._wake()
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        """Wake every waiter."""
        self._has_ended = True
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        """Note that responses are sent more slowly than they are written."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Wake the waiters for room in the buffer."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
