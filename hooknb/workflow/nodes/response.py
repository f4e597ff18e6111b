"""Response: respond to the caller."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from hooknb.errors import SettingError
from hooknb.expressions.templates import has_templates
from hooknb.paths import MISSING
from hooknb.payloads.json_values import as_python
from hooknb.records import SentResponse, response_tone
from hooknb.workflow.nodes.functions import is_large
from hooknb.workflow.nodes.insertions import (
    JSON_HINT,
    check_headers,
    check_value,
    rendered_headers,
    whole_number,
)
from hooknb.workflow.nodes.node import Context, Node, register

__all__ = ["Response", "check_sent", "encode_body", "render_response"]

# Headers that the server writes itself; a second one would break the message's framing.
_RESERVED: Final = frozenset({"connection", "content-length", "date", "transfer-encoding"})
_BODILESS: Final = frozenset({204, 205, 304})


@register
class Response(Node, frozen=True, tag="response", dict=True):
    """Respond to the caller and end the execution.

    As ``response=`` of a hook it is the fixed response of an asynchronous hook; among the nodes of
    a synchronous one, the first that is reached responds.

    As a node, templates work anywhere in the body, in header values and in the status. A header or
    a key whose template resolves to nothing is left out; a body that does is empty. A value that
    is not a valid header value or status code is an error of the node.

    Attributes
    ----------
    status
        200 to 599, or a template of one; numeric text is accepted.
    headers
        By name. ``Content-Length`` and the like are written by the server.
    body
        Text is sent as ``text/plain; charset=utf-8``, bytes as ``application/octet-stream``,
        anything else as ``application/json``, unless a header says otherwise.
    """

    status: Annotated[int | str, Meta(description="200 to 599, or a template")] = 200
    headers: Annotated[dict[str, str], Meta(description="A line each: Name: value")] = {}  # noqa: RUF012 - msgspec copies an empty default
    body: Annotated[Any, Meta(description=JSON_HINT, extra={"lines": 5})] = "ok"

    prints: ClassVar[bool] = False
    rank: ClassVar[int] = 30
    needs_caller: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse settings that cannot be sent."""
        check_response(self.status, self.headers, self.body)

    @property
    def is_pure(self) -> bool:
        """Return True."""
        return True

    def line(self) -> tuple[Any, ...]:
        """Return the line of text in its box."""
        return (self.body,)

    def shown_title(self) -> str:
        """Return its status if it was given no key."""
        return str(self.status) if self.has_default_key else self.key

    def shown_tone(self) -> str:
        """Return the tone of its status."""
        return response_tone(self.status) if isinstance(self.status, int) else "ok"

    def closes(self) -> bool:
        """Return True."""
        return True

    async def run(self, context: Context) -> Any:
        """Respond; the result is the status code sent."""
        is_slow = self._fixed is None and is_large(context)
        response = await context.in_worker(self.rendered) if is_slow else self.rendered(context)
        context.respond(response)
        return response.status

    def rendered(self, context: Context) -> SentResponse:
        """Return the response with its templates filled."""
        if self._fixed is not None:
            return self._fixed
        status = self.status if isinstance(self.status, int) else _filled(context, self.status)
        body = context.render(self.body)
        return render_response(
            status,
            rendered_headers(context, self.headers),
            b"" if body is MISSING else body,
            default_type=body is not MISSING,
        )

    @cached_property
    def _fixed(self) -> SentResponse | None:
        """The response, rendered once; ``None`` if it has templates."""
        if not isinstance(self.status, int) or has_templates([self.headers, self.body]):
            return None
        return render_response(self.status, self.headers, self.body)


def check_response(status: Any, headers: Any, body: Any) -> None:
    """Refuse a response that cannot be sent; raises :class:`~hooknb.SettingError`."""
    varies = isinstance(status, str) and has_templates(status)
    if not varies:
        _check_status(status, status)
    check_headers(headers, _RESERVED, "the server")
    if status in _BODILESS and body not in ("ok", "", b"", None):
        raise SettingError("body", f"a response of status {status} has no body; leave it empty")
    # A template counts as some text: errors around it are found before it is filled.
    render_response(200 if varies else status, headers, body)


def check_sent(response: SentResponse) -> None:
    """Refuse a finished response that HTTP cannot carry.

    Raises
    ------
    SettingError
        The status, a header or the body is invalid.
    """
    _check_status(response.status, response.status)
    try:
        fields = [(name, value) for name, value in response.headers]
    except (TypeError, ValueError) as error:
        raise SettingError("headers", "write them as pairs of a name and a value") from error
    for name, value in fields:
        check_headers({name: ""}, _RESERVED, "the server")
        check_value(name, value)
    if not isinstance(response.body, bytes):
        raise SettingError("body", f"{type(response.body).__name__} is not bytes")
    if response.status in _BODILESS and response.body:
        raise SettingError("body", f"a response of status {response.status} has no body")


def _check_status(status: Any, came: object) -> None:
    whole = isinstance(status, int) and not isinstance(status, bool)
    if not whole or not 200 <= status <= 599:  # noqa: PLR2004 - the range of final status codes
        raise SettingError("status", f"{came!r} is not a status code, use 200 to 599")


def _filled(context: Context, template: str) -> int:
    came = context.render(template)
    if came is MISSING:
        raise SettingError("status", f"{template} resolved to nothing; give it a default")
    status = whole_number(came)
    _check_status(status, came)
    return int(status or 0)


def render_response(
    status: int | str, headers: dict[str, str], body: Any, *, default_type: bool = True
) -> SentResponse:
    """Return the bytes and complete headers of the response.

    Parameters
    ----------
    status, headers, body
        Those of a :class:`Response`, with their templates filled.
    default_type
        Whether to add the body's media type if the headers have none.

    Raises
    ------
    SettingError
        JSON cannot represent the body, or the status is still a template.
    """
    if not isinstance(status, int):
        raise SettingError("status", f"{status!r} is a template; only Response nodes can fill it")
    if status in _BODILESS:
        return SentResponse(status=status, headers=tuple(headers.items()))
    content, media_type = encode_body(body)
    fields = tuple(headers.items())
    if default_type and not any(name.lower() == "content-type" for name in headers):
        fields = (("Content-Type", media_type), *fields)
    return SentResponse(status=status, headers=fields, body=content)


def encode_body(body: Any) -> tuple[bytes, str]:
    """Return the bytes of a body and its media type: of text, of bytes, or of JSON.

    Raises
    ------
    SettingError
        JSON cannot represent it.
    """
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    if isinstance(body, (bytes, bytearray)):
        return bytes(body), "application/octet-stream"
    try:
        return msgspec.json.encode(body, enc_hook=_plain), "application/json"
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingError(
            "body", f"{type(body).__name__} cannot be sent as JSON: {error}"
        ) from error


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return as_python(value)
