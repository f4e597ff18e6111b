"""The interface between the server and the receiver of its requests."""

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
        In origin form, the path with its query; an absolute target is reduced to these.
    headers
        By name in the usual spelling (``Content-Type``); values of one name are joined by ``", "``.
        ``Host`` is that of an absolute target if there is one (RFC 9112, section 3.2.2).
    head
        The block of header fields as received.
    length
        Bytes of the body; 0 if the head has no length.
    chunked
        Whether the body is chunked.
    is_1_0
        Whether the sender uses HTTP/1.0.
    remote
        The address of the sender.
    received_at
        Microseconds since 1970 at which the head was complete.
    started
        ``time.perf_counter()`` at the same moment.
    relayed
        Whether the relay authenticated the request; ``None`` for a request that was sent directly
        or not checked yet.
    public_url
        The URL that the sender used, if the request came through the Jupyter server.
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
        """Whether the sender keeps the connection open, and its message has a clear end."""
        wish = self.headers.get("Connection")
        wishes = {word.strip(" \t").lower() for word in wish.split(",")} if wish else ()
        if self.is_1_0:
            # An HTTP/1.0 intermediary may have forwarded chunks without knowing them.
            return "keep-alive" in wishes and "close" not in wishes and not self.chunked
        return "close" not in wishes

    @property
    def expects_continue(self) -> bool:
        """Whether the sender waits for ``100 Continue``, which HTTP/1.0 does not have."""
        return not self.is_1_0 and self.headers.get("Expect", "").lower() == "100-continue"


class BodyError(Exception):
    """A body is incomplete or malformed.

    Parameters
    ----------
    reason
        The short reason stored with the delivery.
    detail
        One sentence: what is wrong.
    kept
        The bytes received, at most as many as requested.
    """

    def __init__(self, reason: str, detail: str, kept: bytes) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.kept = kept


class Body(Protocol):
    """The body of a request, which is received on demand."""

    @property
    def size(self) -> int:
        """Bytes that have been received."""

    async def read(self, keep: int, *, is_wanted: bool = True) -> bytes:
        """Receive the whole body and return at most ``keep`` bytes.

        With ``is_wanted`` false, a sender that waits for ``100 Continue`` need not send the body.

        Raises
        ------
        BodyError
            The sender stopped early, or the body is not valid HTTP.
        """


class Receiver(Protocol):
    """Receives the requests; called on the server's thread."""

    async def receive(self, request: Request, body: Body) -> tuple[SentResponse, int | None]:
        """Process a request; return its response, and the delivery's id or ``None``."""


def problem(status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> SentResponse:
    """Return a response with a problem document (RFC 9457)."""
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
