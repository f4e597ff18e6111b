"""Sending requests to hooks over HTTP."""

from __future__ import annotations

import http.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from hooknb import payloads
from hooknb.client.outgoing import FORM, JSON, Outgoing, encode_json
from hooknb.errors import ServerError, SettingError
from hooknb.paths import MISSING
from hooknb.payloads.headers import TOKEN, HeaderMap, Headers
from hooknb.settings import checked_timeout
from hooknb.workflow import depth
from hooknb.workflow.auth import Auth

__all__ = ["HttpResponse", "exchange", "send"]

Pairs = Mapping[str, Any] | Sequence[tuple[str, Any]]

_MAX_TIMEOUT: Final = 2_147_483.0  # seconds: sockets count milliseconds in 32 bits


@dataclass(frozen=True, kw_only=True)
class HttpResponse:
    """The response to a request.

    Attributes
    ----------
    status
        The status code.
    headers
        By case-insensitive name.
    body
        The bytes.
    """

    status: int
    headers: HeaderMap
    body: bytes

    @property
    def text(self) -> str:
        """The body as text, in UTF-8."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body read as JSON; raises :class:`~hooknb.PayloadError` if it is not JSON."""
        return payloads.decode_json(self.body)

    @cached_property
    def delivery(self) -> int | None:
        """The id of the stored delivery; ``None`` if the response has none."""
        number = self.headers.get("X-Hooknb-Delivery")
        return None if number is None else int(number)

    def __repr__(self) -> str:
        """Return the status and the start of the body."""
        text = self.text
        shown = text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004 - a screen's width
        return f"<{self.status} {shown!r}>"


def send(
    url: str,
    *,
    auth: Auth | None,
    method: str,
    json: Any,
    data: Any,
    params: str | Pairs | None,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] | None,
    timeout: float,
    sent_at: int | None = None,
) -> HttpResponse:
    """Send one request and wait for its response; see :meth:`hooknb.Hook.send`.

    ``sent_at`` is the time by the clock of the hook's runtime, in microseconds since 1970.
    """
    if not isinstance(method, str) or not TOKEN.fullmatch(method):
        raise SettingError("method", f"{method!r} is not a method; write 'POST'")
    content, content_type = _content(json, data)
    given = list(headers.items()) if isinstance(headers, Mapping) else list(headers or ())
    _check_pairs(given)
    named = {name.lower() for name, _ in given}
    if content_type is not None and "content-type" not in named:
        given.insert(0, ("Content-Type", content_type))
    request = Outgoing(
        method=method,
        query=_query(params),
        fields=Headers(given),
        content=content,
        sent_at=sent_at,
    )
    return exchange(url, request, auth=auth, timeout=timeout)


def exchange(url: str, request: Outgoing, *, auth: Auth | None, timeout: float) -> HttpResponse:
    """Send a request with its fields and query unchanged, and wait for the response.

    ``Host`` and ``Content-Length`` are added if it does not have them, and the credentials of
    ``auth``. ``url`` must not have a query.

    Raises
    ------
    SettingError
        A header field cannot be sent.
    ServerError
        No response arrived in time.
    """
    if auth is not None:
        request = auth.apply(replace(request, url=url))
    fields = list(request.fields)
    named = {name.lower() for name, _ in fields}
    if depth.current.get():
        fields.append((depth.HEADER, str(depth.current.get())))
    content = request.content
    parts = urlsplit(url)
    path = (parts.path or "/") + request.subpath
    target = f"{path}?{request.query}" if request.query else path
    where = parts.netloc.rpartition("@")[2]
    kind = _SecureConnection if parts.scheme == "https" else _Connection
    seconds = checked_timeout(timeout)
    if seconds is not None and seconds > _MAX_TIMEOUT:
        seconds = None
    if seconds == 0:
        raise SettingError("timeout", "0 leaves no time for a response; write 10, or None")
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.putrequest(
            request.method, target, skip_accept_encoding=True, skip_host="host" in named
        )
        if content is not None and "content-length" not in named:
            connection.putheader("Content-Length", str(len(content)))
        for name, value in fields:
            _put_field(connection, name, value)
        connection.endheaders(content)
        response = connection.getresponse()
        received = response.read()
        return HttpResponse(
            status=response.status, headers=HeaderMap(response.getheaders()), body=received
        )
    except TimeoutError as error:
        within = "" if seconds is None else f" within {seconds:g} s"
        message = f"no response from {where}{within}; allow more time with timeout"
        raise ServerError(message) from error
    except http.client.InvalidURL:
        # The error contains the whole URL, and with it the key.
        problem = "it has spaces or control characters; percent-encode them, such as %20"
        raise SettingError("params", problem) from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        message = f"no response from {where}: {why}; check the URL, and that its server is running"
        raise ServerError(message) from error
    finally:
        connection.close()


def _check_pairs(fields: list[Any]) -> None:
    for field in fields:
        if (
            not isinstance(field, (tuple, list))
            or len(field) != 2  # noqa: PLR2004 - name and value
            or not all(isinstance(part, str) for part in field)
        ):
            raise SettingError("headers", "write a mapping of names to strings, or a list of pairs")


class _Connection(http.client.HTTPConnection):
    """A connection whose request line may contain any byte, as Latin-1."""

    def _encode_request(self, request: str) -> bytes:
        return request.encode("latin-1")


class _SecureConnection(_Connection, http.client.HTTPSConnection):
    """The same over TLS."""


def _put_field(connection: http.client.HTTPConnection, name: str, value: str) -> None:
    # Neither message contains the value, which may be secret.
    try:
        connection.putheader(name, value)
    except UnicodeEncodeError as error:
        problem = f"a header can contain Latin-1 only; encode the character at {error.start}"
        raise SettingError(f"headers[{name!r}]", problem) from None
    except (TypeError, ValueError):
        raise SettingError(
            f"headers[{name!r}]", "it is not a header; write a name, and text without line breaks"
        ) from None


def _content(json: Any, body: Any) -> tuple[bytes | None, str | None]:
    if json is not MISSING:
        if body is not None:
            raise SettingError("data", "write json or data, not both")
        return encode_json(json), JSON
    if body is None:
        return None, None
    if isinstance(body, str):
        try:
            return body.encode(), None
        except UnicodeEncodeError as error:
            raise SettingError(
                "data", f"it has half of a surrogate pair at {error.start + 1}; send bytes"
            ) from error
    if isinstance(body, (bytes, bytearray)):
        return bytes(body), None
    if isinstance(body, (Mapping, Sequence)):
        return urlencode(_pairs(body), doseq=True).encode(), FORM
    raise SettingError(
        "data", f"{type(body).__name__} cannot be sent; write bytes, text, a mapping or pairs"
    )


def _query(params: str | Pairs | None) -> str:
    if params is None:
        return ""
    if isinstance(params, str):
        return quote(params.removeprefix("?"), safe="!#$%&'()*+,/:;=?@[]~-._|")
    return urlencode(_pairs(params), doseq=True)


def _pairs(items: Any) -> list[tuple[str, Any]]:
    return list(items.items()) if isinstance(items, Mapping) else list(items)
