"""The bytes of a connection, both ways."""

from __future__ import annotations

import asyncio
from typing import Final

__all__ = ["HungUpError", "Stream"]

MAX_AHEAD_BYTES: Final = 256 * 1024
"""That are received before somebody asks for them; then the sender has to wait."""


class HungUpError(Exception):
    """The sender has closed its side of the connection, or the connection has ended."""


class Stream(asyncio.Protocol):
    """What has been received, and the transport that sends.

    asyncio's own streams cost a copy, two coroutines and a future more for each request, a fifth
    of what an asynchronous hook takes in all.

    Attributes
    ----------
    received
        The bytes received and not taken yet; whoever takes them deletes them.
    transport
        Sends; there once the connection is made.
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
            There are none to come.
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
        """Wait until what was written has left, up to the transport's limit, or cannot leave."""
        if self._room is not None:
            await asyncio.shield(self._room)

    # -- what the transport tells ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = transport  # type: ignore[assignment] # of a socket, which does both

    def data_received(self, data: bytes) -> None:
        """Keep bytes."""
        self.received += data
        if len(self.received) > MAX_AHEAD_BYTES and not self._is_held:
            self._is_held = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Note that the sender sends no more; it may still read."""
        self._has_ended = True
        self._wake()
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        """Let everybody go who waits."""
        self._has_ended = True
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        """Note that responses do not leave as fast as they are written."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let go who waits for room."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
