"""What the server and those who receive its requests agree on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hooknb.records import SentResponse

__all__ = ["Receiver", "Reception", "Request", "Send"]


@dataclass(slots=True, kw_only=True)
class Request:
    """The head of a request.

    Attributes
    ----------
    method
        As in the request line.
    target
        In origin form: the path with its query.
    headers
        By name in the usual spelling (``Content-Type``); several of one name joined by ``", "``.
        ``Host`` is that of the target where the request line names one.
    head
        The block of header fields as it came.
    remote
        The address that it came from.
    received_at
        Microseconds since 1970 at which the head was complete.
    started
        ``time.perf_counter()`` at the same moment.
    relayed
        Whether it came through the Jupyter server; ``None`` where it did not, or nobody looked.
    """

    method: str
    target: str
    headers: dict[str, str]
    head: bytes
    remote: str
    received_at: int
    started: float
    relayed: bool | None = None


Send = Callable[[SentResponse, int | None], bool]
"""Responds to the caller, with the delivery's id where there is one; false where it has hung up."""


class Reception(Protocol):
    """One request on its way in."""

    keep: int
    """Bytes of the body that are to be kept."""

    @property
    def refused(self) -> bool:
        """Whether the head alone decides that it is refused."""

    def finish(self, body: bytes, size: int, send: Send) -> None:
        """Take the whole request: at most ``keep`` bytes of the ``size`` that came."""

    def abandon(self, body: bytes, size: int) -> None:
        """Take note of a request whose sender stopped in the middle of the body."""

    def fail(self, problem: str, body: bytes, size: int, send: Send) -> None:
        """Take a request whose body does not end clearly, or is no body by HTTP's rules."""


class Receiver(Protocol):
    """Whoever takes requests; called on the server's thread."""

    def begin(self, request: Request) -> Reception:
        """Judge the head of a request."""
