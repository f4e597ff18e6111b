"""Request: send an HTTP request."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Annotated, Any, ClassVar, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from msgspec import Meta
from msgspec.structs import force_setattr

from hooknb import payloads
from hooknb.errors import HooknbError, PayloadError, RequestError, SettingError
from hooknb.expressions.templates import has_templates
from hooknb.paths import MISSING
from hooknb.payloads.headers import SECRET_HEADERS, HeaderMap
from hooknb.workflow import depth
from hooknb.workflow.nodes.fields import check_fields
from hooknb.workflow.nodes.insertions import (
    JSON_HINT,
    check_headers,
    rendered_headers,
    rendered_text,
)
from hooknb.workflow.nodes.node import Context, Node, register
from hooknb.workflow.nodes.response import encode_body
from hooknb.workflow.nodes.secrets import masked_body
from hooknb.workflow.nodes.urls import (
    Url,
    check_hosts,
    check_url,
    is_allowed,
    is_secured,
    redirected,
    rendered_url,
)

__all__ = ["Request"]

_METHOD: Final = re.compile(r"[A-Z][A-Z-]{0,31}")
_OTHER_USES: Final = frozenset({"CONNECT", "TRACE"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS: Final = 5
_FAILED_FROM: Final = 400
# Headers that the client writes itself, and hop-by-hop headers.
_RESERVED: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        depth.HEADER.lower(),
    }
)
_OF_THE_BODY: Final = frozenset(
    {"content-encoding", "content-language", "content-location", "content-type"}
)
# Describes an encoding that the client has already decoded.
_CONSUMED: Final = frozenset({"x-consumed-content-encoding"})
_TEXT_TYPES: Final = re.compile(r"[^;]*[/+](xml|javascript|ecmascript|yaml|x-yaml|sql|graphql)\s*")


class _Sent(NamedTuple):
    """One request being sent; its text, for messages, omits credentials and query."""

    method: str
    url: Url
    headers: dict[str, str]
    body: bytes | None

    def __str__(self) -> str:
        return f"{self.method} {self.url.shown}"

    def again(self, status: int, target: Url) -> _Sent:
        """Return the request that follows a redirect (RFC 9110, section 15.4)."""
        method, headers, body = self.method, self.headers, self.body
        if target.origin != self.url.origin and not is_secured(self.url, target):
            headers = _without(headers, SECRET_HEADERS)
        see_other = status == 303 and method != "HEAD"  # noqa: PLR2004 - See Other
        if see_other or (status in {301, 302} and method == "POST"):
            method, body, headers = "GET", None, _without(headers, _OF_THE_BODY)
        return _Sent(method, target, headers, body)


@register
class Request(Node, frozen=True, tag="request"):
    """Send an HTTP request.

    Templates work in the URL, the headers, the query and the body. A header or a query value
    whose template resolves to nothing is left out. A value in the path is percent-encoded: it
    stays one segment, and ``.`` and ``..`` are refused.

    Scheme, host and port are fixed by the author. A template may determine them only if
    ``allow_hosts`` names the permitted hosts; the same rule applies to redirects (from ``http`` to
    ``https`` on the same host is always followed).

    The result is ``{"status": …, "headers": {…}, "data": …}``. The data is the parsed value of a
    JSON body, the text of a text (including invalid JSON), the bytes of anything else, and
    ``None`` if there is no body. An error status, 400 and up, ends the execution as failed, with
    the same result. No response at all is an error of the node.

    Attributes
    ----------
    url
        An ``http`` or ``https`` URL. A user name and a password in it are sent as Basic
        authentication.
    method
        ``GET``, ``POST``, …
    headers
        By name.
    query
        Appended to the query of the URL; a list adds one entry for each element.
    body
        Objects, lists and numbers are sent as JSON, text as ``text/plain; charset=utf-8``, bytes
        as ``application/octet-stream``, unless a header says otherwise. ``None`` sends none.
    timeout
        Seconds in total, redirects included.
    follow_redirects
        Whether to follow redirects, at most five, by RFC 9110, section 15.4: 303, and 301 and 302
        of a POST, become a GET without a body; 307 and 308 repeat the request. Credentials go to
        the first host only.
    verify
        Whether the server's certificate is checked.
    max_size
        The maximum bytes of the response's body, before and after decompression.
    ignore_status
        Whether an error status counts as success.
    allow_hosts
        ``"api.example.com"`` (at the usual ports), ``"api.example.com:8443"``,
        ``"api.example.com:*"``, or ``"*"`` for any.
    """

    url: Annotated[
        str,
        Meta(
            title="URL",
            examples=["https://api.example.com/orders/{{ body.id }}"],
            extra={"lines": 2},
        ),
    ]
    method: Annotated[
        str,
        Meta(
            extra={
                "kind": "choice",
                "choices": ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"),
            }
        ),
    ] = "POST"
    headers: Annotated[dict[str, str], Meta(description="A line each: Name: value")] = {}  # noqa: RUF012 - msgspec copies an empty default
    query: Annotated[
        dict[str, Any], Meta(description='Appended to the URL: {"page": 1}', extra={"lines": 2})
    ] = {}  # noqa: RUF012 - likewise
    body: Annotated[Any, Meta(description=JSON_HINT, extra={"lines": 4})] = None
    timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="Seconds in total",
            extra={"unit": "seconds", "is_rare": True},
        ),
    ] = 5
    follow_redirects: Annotated[bool, Meta(extra={"is_rare": True})] = True
    verify: Annotated[bool, Meta(title="check the certificate", extra={"is_rare": True})] = True
    max_size: Annotated[
        int,
        Meta(
            ge=1,
            description="The limit of the response's body",
            extra={"kind": "size", "unit": "bytes", "is_rare": True},
        ),
    ] = 10 * 2**20
    ignore_status: Annotated[
        bool, Meta(title="go on after an error status", extra={"is_rare": True})
    ] = False
    allow_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Where templates and redirects may lead: api.example.com, …",
            extra={"is_rare": True},
        ),
    ] = ()

    prints: ClassVar[bool] = False
    edge_tone: ClassVar[str] = "reach"
    rank: ClassVar[int] = 60
    secret_fields: ClassVar[tuple[str, ...]] = ("url", "headers", "query", "body")

    def __post_init__(self) -> None:
        """Refuse settings that cannot be sent."""
        force_setattr(self, "allow_hosts", check_hosts(self.allow_hosts))
        check_url(self.url, self.allow_hosts)
        check_headers(self.headers, _RESERVED, "the client", may_be_masked=True)
        check_fields(self)
        if not has_templates(self.method):
            force_setattr(self, "method", _checked_method(self.method))
        if self.body is not None:
            encode_body(self.body)

    def masked_setting(self, name: str) -> Any:
        """Return a setting masked; a body that is text is not a URL."""
        return masked_body(self.body) if name == "body" else super().masked_setting(name)

    def line(self) -> tuple[Any, ...]:
        """Return the line of text in its box."""
        masked = self.masked()
        return (f"{masked.method} {masked.url}",)

    async def run(self, context: Context) -> dict[str, Any]:
        """Send the request, follow redirects, and read the response."""
        method = _checked_method(rendered_text(context, self.method))
        url, own = rendered_url(context, self.url, self.query)
        if not is_allowed(url, own, self.allow_hosts):
            raise RequestError(f"{method} {url.shown}: {url.host} is not one of allow_hosts")
        headers, body = self._content(context, url)
        sent = _Sent(method, url, headers, body)
        status, fields, received = await self._send(context, sent, own)
        result = {
            "status": status,
            "headers": fields,
            "data": _data(fields, received, self.max_size),
        }
        if status >= _FAILED_FROM and not self.ignore_status:
            context.end("failed", f"{method} {url.shown} responded with {status}", result=result)
        return result

    def _content(self, context: Context, url: Url) -> tuple[dict[str, str], bytes | None]:
        headers = rendered_headers(context, self.headers)
        given = {name.lower() for name in headers}
        if "user-agent" not in given:
            headers["User-Agent"] = "hooknb"
        if url.userinfo and "authorization" not in given:
            token = base64.b64encode(unquote_to_bytes(url.userinfo)).decode()
            headers["Authorization"] = f"Basic {token}"
        came = MISSING if self.body is None else context.render(self.body)
        if came is MISSING:
            return headers, None
        body, media_type = encode_body(came)
        if "content-type" not in given:
            headers["Content-Type"] = media_type
        return headers, body

    async def _send(
        self, context: Context, sent: _Sent, own: Url | None
    ) -> tuple[int, HeaderMap, bytes]:
        """Send, and follow redirects; raises :class:`~hooknb.RequestError` if none responds."""
        clock = asyncio.get_running_loop()
        end = clock.time() + self.timeout
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._fetch(context, sent, end - clock.time())
            fields = HeaderMap(
                (name, value) for name, value in response.headers if name.lower() not in _CONSUMED
            )
            location = fields.get("Location")
            if not self.follow_redirects or response.status not in _REDIRECTS or not location:
                return response.status, fields, response.body
            sent = sent.again(response.status, self._target(sent, own, location))
        raise RequestError(f"{sent}: more than {_MAX_REDIRECTS} redirects")

    async def _fetch(self, context: Context, sent: _Sent, seconds: float) -> Any:
        try:
            if seconds <= 0:
                raise TimeoutError  # noqa: TRY301 - handled like the client's own
            return await context.fetch(
                method=sent.method,
                url=sent.url.text,
                headers=sent.headers,
                body=sent.body,
                timeout=seconds,
                max_size=self.max_size,
                verify=self.verify,
            )
        except TimeoutError as error:
            raise RequestError(f"{sent}: no response within {self.timeout:g} s") from error
        except (OSError, HooknbError) as error:
            raise RequestError(f"{sent}: {str(error) or type(error).__name__}") from error

    def _target(self, sent: _Sent, own: Url | None, location: str) -> Url:
        try:
            target = redirected(sent.url, location)
        except SettingError as error:
            raise RequestError(f"{sent}: it redirects nowhere: {error.problem}") from error
        # A host chosen by a template was permitted, so redirects may stay on it.
        if target.origin != sent.url.origin and not is_allowed(target, own, self.allow_hosts):
            raise RequestError(
                f"{sent}: it redirects to {target.host}, which is another host or port; "
                "name it in allow_hosts="
            )
        return target


def _checked_method(method: str) -> str:
    name = method.upper()
    if not _METHOD.fullmatch(name) or name in _OTHER_USES:
        raise SettingError("method", f"{method!r} is not a method; write GET, POST, …")
    return name


def _without(headers: dict[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in names}


def _data(headers: HeaderMap, body: bytes, max_size: int) -> Any:
    """Read the body of a response: JSON as its value, text as text, anything else as bytes."""
    media_type = headers.get("Content-Type")
    try:
        body = payloads.decompress(body, headers.get("Content-Encoding"), max_size)
        data = payloads.parse(body, content_type=media_type, max_size=max_size)
    except PayloadError:
        is_text = payloads.kind(media_type) == "json"
        return payloads.decode_text(body) if is_text else body
    if data is MISSING:
        return None
    if isinstance(data, bytes) and _TEXT_TYPES.fullmatch(payloads.media_type(media_type)):
        return payloads.decode_text(data)
    return data
