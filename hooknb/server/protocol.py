"""What the server and those who receive its requests agree on."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import msgspec

from hooknb.records import SentResponse

__all__ = ["Body", "BodyError", "Receiver", "Request", "problem"]


@dataclass(slots=True, kw_only=True)
class Request:
    """The head of a request.

    Attributes
    ----------
    method
        As in the request line.
    target
        In origin form, the path with its query: an absolute one is cut down to them.
    headers
        By name in the usual spelling (``Content-Type``); several of one name joined by ``", "``.
        ``Host`` is that of an absolute target where there is one (RFC 9112, section 3.2.2).
    head
        The block of header fields as received.
    length
        Of the body, in bytes; 0 where the head does not name one.
    chunked
        Whether the body comes in chunks.
    is_1_0
        Whether the sender speaks HTTP/1.0.
    remote
        The address of the sender.
    received_at
        Microseconds since 1970 at which the head was complete.
    started
        ``time.perf_counter()`` at the same moment.
    relayed
        Whether it came through the Jupyter server; ``None`` where it did not, or nobody looked.
    public_url
        The URL that its sender used, where it came through the Jupyter server.
    """

    method: str
    target: str
    headers: dict[str, str]
    head: bytes
    length: int
    chunked: bool
    is_1_0: bool
    remote: str = ""
    received_at: int = 0
    started: float = 0.0
    relayed: bool | None = None
    public_url: str | None = None

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.chunked or self.length > 0

    @property
    def keeps_alive(self) -> bool:
        """Whether the sender wants to keep the connection, and its message ends clearly."""
        wish = self.headers.get("Connection")
        wishes = {word.strip(" \t").lower() for word in wish.split(",")} if wish else ()
        if self.is_1_0:
            # An intermediary that speaks HTTP/1.0 may have passed on chunks it does not know.
            return "keep-alive" in wishes and "close" not in wishes and not self.chunked
        return "close" not in wishes

    @property
    def expects_continue(self) -> bool:
        """Whether the sender waits for ``100 Continue``, which HTTP/1.0 does not know."""
        return not self.is_1_0 and self.headers.get("Expect", "").lower() == "100-continue"


class BodyError(Exception):
    """A body that does not end.

    Parameters
    ----------
    reason
        The short word that the delivery keeps.
    detail
        One sentence: what is wrong.
    kept
        What was received of it, at most as much as was asked for.
    """

    def __init__(self, reason: str, detail: str, kept: bytes) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.kept = kept


class Body(Protocol):
    """The body of a request, which is received when it is asked for."""

    @property
    def size(self) -> int:
        """Bytes that have been received."""

    async def read(self, keep: int, *, is_wanted: bool = True) -> bytes:
        """Receive it whole and return at most ``keep`` bytes.

        A sender that asks before it sends (``Expect: 100-continue``) is spared sending what is
        not wanted.

        Raises
        ------
        BodyError
            The sender stopped in the middle, or what it sent is not a body by HTTP's rules.
        """


class Receiver(Protocol):
    """Whoever takes requests; called on the server's thread."""

    async def receive(self, request: Request, body: Body) -> tuple[SentResponse, int | None]:
        """Take a request; return its response, with the delivery's id where there is one."""


def problem(status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> SentResponse:
    """Make a response that says what is wrong, as a problem document (RFC 9457)."""
    document = {
        "type": "about:blank",
        "status": status,
        "title": HTTPStatus(status).phrase,
        "detail": detail,
    }
    return SentResponse(
        status=status,
        headers=(("Content-Type", "application/problem+json"), *headers),
        body=msgspec.json.encode(document),
    )
