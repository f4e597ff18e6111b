"""Sending HTTP requests out of executions, with Tornado's client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tornado.httpclient import HTTPError, HTTPRequest
from tornado.httputil import HTTPInputError
from tornado.simple_httpclient import HTTPTimeoutError, SimpleAsyncHTTPClient

from hooknb.errors import HooknbError
from hooknb.workflow import depth

__all__ = ["Fetched", "Fetcher"]

_MOST_AT_ONCE: Final = 100
_ANY_SIZE: Final = 2**40  # the size is bounded request by request


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A response from outside: status, header pairs, and the bytes of the body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Fetcher:
    """Sends requests on the loop; made when the first one is sent."""

    def __init__(self) -> None:
        self._client: SimpleAsyncHTTPClient | None = None

    async def fetch(
        self,
        *,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | None,
        timeout: float,
        max_size: int,
        verify: bool,
    ) -> Fetched:
        """Send one request; redirects are not followed.

        Parameters
        ----------
        timeout
            Seconds for the whole of it.
        max_size
            Bytes of the response's body at the most, also after decompression.
        verify
            Whether the server's certificate is checked.

        Raises
        ------
        TimeoutError
            No response came in time.
        OSError
            The other side could not be reached, or broke off.
        HooknbError
            The response is too large.
        """
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(
                force_instance=True, max_clients=_MOST_AT_ONCE, max_body_size=_ANY_SIZE
            )
        pieces: list[bytes] = []
        size = 0

        def keep(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > max_size:
                # The one exception of a callback that Tornado ends a connection by without
                # writing a traceback to its log.
                raise HTTPInputError("the body is too large")
            pieces.append(piece)

        request = HTTPRequest(
            url,
            method=method,
            headers={**headers, depth.HEADER: str(depth.current.get())},
            body=body,
            connect_timeout=timeout,
            request_timeout=timeout,
            follow_redirects=False,
            validate_cert=verify,
            streaming_callback=keep,
            allow_nonstandard_methods=True,
        )
        try:
            response = await self._client.fetch(request, raise_error=False)
        except HTTPTimeoutError as error:
            raise TimeoutError(f"no response within {timeout:g} s") from error
        except HTTPError as error:  # the connection was closed in the middle
            if size > max_size:
                raise HooknbError(
                    f"the response has more than {max_size} bytes (max_size)"
                ) from error
            raise OSError("the connection was closed before the response was complete") from error
        failure: Any = response.error
        if response.code == 599:  # noqa: PLR2004 - Tornado's code for no response at all
            if size > max_size:
                raise HooknbError(f"the response has more than {max_size} bytes (max_size)")
            if isinstance(failure, HTTPTimeoutError):
                raise TimeoutError(f"no response within {timeout:g} s") from failure
            raise failure if isinstance(failure, OSError) else OSError(str(failure))
        return Fetched(
            status=response.code,
            headers=tuple(response.headers.get_all()),
            body=b"".join(pieces),
        )

    def close(self) -> None:
        """Let go of the client."""
        if self._client is not None:
            self._client.close()
            self._client = None
