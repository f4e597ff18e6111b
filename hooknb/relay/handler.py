"""The handlers in the Jupyter server for requests to ``<base_url>hooknb/…``.

They are plain Tornado handlers, since Jupyter's would require its token. They connect only to the
port of a kernel that registered itself.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import time
from asyncio import Future
from typing import Any, Final

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler, stream_request_body

from hooknb.relay.forwarding import Relayed, Responded
from hooknb.relay.passage import Passage, RefusedError, problem
from hooknb.relay.sanitizing import (
    SAFETY,
    is_sendable,
    request_fields,
    request_query,
    request_subpath,
    response_fields,
)

__all__ = ["MARKER", "METHODS", "MarkerHandler", "RelayHandler"]

MARKER: Final = {"hooknb": "relay", "version": 1}
"""The relay's response at ``<base_url>hooknb/``."""

METHODS: Final = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
    *("QUERY", "SEARCH", "REPORT", "PURGE", "LINK", "UNLINK"),
    *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK"),
)
"""HTTP methods that pass; Tornado needs a handler method for each."""

# Bytes beyond a limit that are read and discarded, so that a sender which writes its whole body
# before it reads gets its response instead of a broken pipe.
_MAX_DRAINED: Final = 64 * 2**20
_NUMBER: Final = re.compile(r"[0-9]+")
_MAX_DIGITS: Final = 18  # of a length; Python refuses to convert thousands of digits
_MAX_HEAD: Final = 60_000  # bytes; leaves room in the kernel's limit for the relay's fields


class _Plain(RequestHandler):
    """A handler whose errors are problem documents, never HTML pages."""

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in SAFETY:
            self.set_header(name, value)

    def check_xsrf_cookie(self) -> None:
        """Skip the check: the relay ignores cookies."""

    def compute_etag(self) -> None:
        """Compute no ETag, so that no response becomes a 304."""

    def write_error(self, status_code: int, **_: Any) -> None:
        """Send a problem document that reveals nothing but the status."""
        self._response(problem(status_code, "The request cannot be processed."))

    def _own_hosts(self) -> set[str]:
        return {self.request.host}

    def _response(self, response: Responded) -> Future[None]:
        fields = response_fields(response.status, response.fields, self._own_hosts)
        self.clear()
        # Without a reason Tornado looks one up, and refuses a status that it does not know.
        reason = http.client.responses.get(response.status, "Unknown")
        self.set_status(response.status, reason)
        given: set[str] = set()
        for name, value in fields:
            (self.add_header if name.lower() in given else self.set_header)(name, value)
            given.add(name.lower())
        if response.status not in {204, 304}:
            self.set_header("Content-Length", str(len(response.body)))
            if self.request.method != "HEAD":
                self.write(response.body)
            elif (length := _length_of(response)) is not None:
                self.set_header("Content-Length", length)
        else:
            self.clear_header("Content-Type")
        return self.finish()


class MarkerHandler(_Plain):
    """Responds that the relay is installed."""

    @allow_unauthenticated
    def get(self) -> None:
        """Respond with :data:`MARKER`."""
        self.write(MARKER)


@stream_request_body
class RelayHandler(_Plain):
    """Forwards a request to the kernel that published its hook."""

    SUPPORTED_METHODS = METHODS

    def initialize(self, passage: Passage, secrets: Any, above: int) -> None:
        """Store the passage, the function for the server's tokens, and the depth of the key."""
        self._above = above
        self._passage = passage
        self._secrets = secrets
        self._body = bytearray()  # joining a list of pieces would copy them
        self._size = self._held = 0
        self._limit = 0
        self._entered: str | None = None
        self._taken = False
        self._refused: Responded | None = None
        self._received_at = time.time_ns() // 1000

    def prepare(self) -> None:
        """Admit or refuse the request by its head."""
        connection: Any = self.request.connection
        connection.set_max_body_size(_MAX_DRAINED + self._passage.limits.max_body)
        connection.set_body_timeout(self._passage.limits.body_timeout)
        key = self.path_args[0]
        try:
            self._limit = self._passage.enter(key, self.request.headers.get("Host"))
            self._entered = key
            self._check_head()
        except RefusedError as refused:
            self._refused = refused.response

    def _check_head(self) -> None:
        request = self.request
        if not is_sendable(request.method or "", request.path, request.query):
            raise RefusedError(400, "The request line is not valid.")
        size = sum(len(name) + len(value) + 4 for name, value in request.headers.get_all())
        if size + len(request.uri or "") > _MAX_HEAD:
            raise RefusedError(431, f"The header fields have more than {_MAX_HEAD} bytes.")
        length = request.headers.get("Content-Length", "").lstrip("0")
        if _NUMBER.fullmatch(length) and (len(length) > _MAX_DIGITS or int(length) > self._limit):
            raise self._too_large()

    def _too_large(self) -> RefusedError:
        return RefusedError(413, f"The body has more than {self._limit} bytes.")

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body, unless the request is already refused."""
        if self._refused is not None:
            return
        self._size += len(chunk)
        self._hold(len(chunk))
        self._body += chunk
        if self._size > self._limit:
            self._refuse(self._too_large())
        elif self._passage.is_full(self.path_args[0]):
            self._refuse(RefusedError(503, "Too many bytes are in transit; send it again later."))

    def _refuse(self, refused: RefusedError) -> None:
        self._refused = refused.response
        self._let_go()

    async def _relay(self, key: str) -> None:
        # If the sender disconnects, the request still counts until the kernel has finished it.
        self._taken = True
        try:
            try:
                response = self._refused or await self._passage.take(key, *self._request())
            except RefusedError as refused:
                response = refused.response
            self._let_go()
            await self._send(response)
        finally:
            self._taken = False
            self._leave()

    async def _send(self, response: Responded) -> None:
        """Respond, and hold the body's bytes as in transit until they are sent."""
        connection: Any = self.request.connection
        self._hold(len(response.body))
        sent = self._response(response)
        try:
            async with asyncio.timeout(self._passage.limits.response_timeout):
                await sent
        except TimeoutError:
            connection.stream.close()
        except StreamClosedError:
            pass

    def _request(self) -> tuple[Relayed, bytearray]:
        request, secrets = self.request, self._secrets()
        relayed = Relayed(
            method=request.method or "",
            query=request_query(request.query, secrets),
            fields=request_fields(request.headers.get_all(), secrets),
            remote=request.remote_ip or "",
            received_at=self._received_at,
            subpath=request_subpath(request.path, self._above, secrets),
        )
        body, self._body = self._body, bytearray()
        return relayed, body

    def on_finish(self) -> None:
        """Count out a request that Tornado itself refused."""
        if not self._taken:
            self._leave()

    def on_connection_close(self) -> None:
        """Count out a sender that disconnected while sending its body."""
        super().on_connection_close()
        if not self._taken:
            self._leave()

    def _leave(self) -> None:
        self._let_go()
        if self._entered is not None:
            self._passage.leave(self._entered)
            self._entered = None

    def _own_hosts(self) -> set[str]:
        return {*super()._own_hosts(), *self._passage.hosts()}

    def _hold(self, size: int) -> None:
        self._held += size
        self._passage.hold(self.path_args[0], size)

    def _let_go(self) -> None:
        if self._held:
            self._passage.hold(self.path_args[0], -self._held)
        self._held, self._body = 0, bytearray()


def _length_of(response: Responded) -> str | None:
    """Return the ``Content-Length`` that the kernel states for a body that it did not send."""
    said = [value for name, value in response.fields if name.lower() == "content-length"]
    is_simple = len(said) == 1 and len(said[0]) <= _MAX_DIGITS and _NUMBER.fullmatch(said[0])
    return said[0] if is_simple else None


for _method in METHODS:
    setattr(RelayHandler, _method.lower(), allow_unauthenticated(RelayHandler._relay))  # noqa: SLF001
