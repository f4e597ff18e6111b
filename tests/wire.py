"""Plain HTTP/1.1 on a socket: what is sent is exactly what a test writes down."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from hooknb import Hook


class SentResponse(NamedTuple):
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Give the first field of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def delivery(self) -> int:
        """The id under which the request is kept."""
        number = self.header("X-Hooknb-Delivery")
        assert number is not None, self
        return int(number)


class Wire:
    """One connection to the server of a hook, or to a port of this machine.

    Parameters
    ----------
    where
        The hook, or the port.
    timeout
        Seconds that anything may take: far more than it does, so that only a hang is noticed.
    """

    def __init__(self, where: Hook | int, timeout: float = 30.0) -> None:
        port = where if isinstance(where, int) else urlsplit(where.url).port
        self.socket = socket.create_connection(("127.0.0.1", port or 0), timeout=timeout)
        self._received = b""

    def __enter__(self) -> Self:
        """Give the connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.socket.close()

    def send(self, raw: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(raw)

    def response(self, *, head_only: bool = False) -> SentResponse:
        """Read one answer; ``head_only`` for one that has no body, whatever its length says."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        response = SentResponse(status, headers, b"")
        if head_only or status < 200 or status in {204, 304}:
            return response
        length = response.header("Content-Length")
        assert length is not None, lines
        return response._replace(body=self._exactly(int(length)))

    def is_closed(self) -> bool:
        """Wait for what comes next, and tell whether it is the end of the connection."""
        try:
            return not self._received and self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def rest(self) -> bytes:
        """Read whatever comes until the server hangs up."""
        try:
            while piece := self.socket.recv(65536):
                self._received += piece
        except ConnectionError:
            pass
        return self._received

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._more()
        found, _, self._received = self._received.partition(mark)
        return found

    def _exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            self._more()
        found, self._received = self._received[:count], self._received[count:]
        return found

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        if not piece:
            message = f"the server hung up after {self._received!r}"
            raise ConnectionError(message)
        self._received += piece


def exchange(where: Hook | int, raw: bytes) -> SentResponse:
    """Send bytes on a connection of their own and read one answer."""
    with Wire(where) as wire:
        wire.send(raw)
        return wire.response(head_only=raw.startswith(b"HEAD "))


def request(
    hook: Hook,
    body: bytes = b"",
    *,
    method: str = "POST",
    query: str = "",
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),),
    host: str = "localhost",
    length: int | None = None,
) -> bytes:
    """Write a request to a hook, with ``Content-Length`` in the last place."""
    target = f"/hook/{hook.key}" + (f"?{query}" if query else "")
    fields = (("Host", host), *headers)
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    if body or length is not None or method == "POST":
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
