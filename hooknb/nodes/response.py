"""Response: what the caller gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from hooknb.errors import SettingError
from hooknb.nodes.base import Context, Node, register
from hooknb.records import Answer

__all__ = ["Response", "render_answer"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# The server writes these itself; a second one would break the message's framing.
_RESERVED = frozenset({"connection", "content-length", "date", "transfer-encoding"})
_BODILESS = frozenset({204, 205, 304})


@register
class Response(Node, frozen=True, tag="response"):
    """Answer the caller and end the execution (behaviour.md, section 4).

    As a hook's ``response=`` it is the fixed answer of an asynchronous hook; among the nodes of
    a synchronous one, the first that is reached answers.

    Attributes
    ----------
    status
        200 to 599.
    headers
        By name. ``Content-Length`` and the like are the server's own.
    body
        Text goes out as ``text/plain; charset=utf-8``, bytes as ``application/octet-stream``,
        anything else as ``application/json``, unless a header says otherwise.
    """

    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - msgspec copies an empty default
    body: Any = "ok"

    def __post_init__(self) -> None:
        """Refuse what cannot be sent."""
        check_answer(self.status, self.headers, self.body)

    async def run(self, context: Context) -> Any:
        """Answer, with everything as it was configured."""
        context.respond(self.status, self.headers, self.body)
        return self.status


def check_answer(status: Any, headers: Any, body: Any) -> None:
    """Refuse what cannot be sent, with a :class:`~hooknb.errors.SettingError` that says why."""
    whole = isinstance(status, int) and not isinstance(status, bool)
    if not whole or not 200 <= status <= 599:  # noqa: PLR2004 - the range of final status codes
        raise SettingError("status", f"{status!r} is not a status code, use 200 to 599")
    if not isinstance(headers, dict):
        raise SettingError("headers", 'write them as a dict: {"X-Queue": "1"}')
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise SettingError("headers", f"{name!r} is not a header name")
        if name.lower() in _RESERVED:
            raise SettingError("headers", f"{name} is written by the server itself; leave it out")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise SettingError(
                f"headers[{name!r}]",
                f"{value!r} is not a header value: text without line breaks, in Latin-1",
            )
    if status in _BODILESS and body not in ("ok", "", b"", None):
        raise SettingError("body", f"an answer of status {status} has no body; leave it empty")
    render_answer(status, headers, body)


def render_answer(status: int, headers: dict[str, str], body: Any) -> Answer:
    """Give the answer's bytes and complete headers.

    Raises
    ------
    SettingError
        Where the body is nothing that JSON can hold.
    """
    if status in _BODILESS:
        return Answer(status=status, headers=tuple(headers.items()))
    content, media_type = _content(body)
    fields = tuple(headers.items())
    if media_type and not any(name.lower() == "content-type" for name in headers):
        fields = (("Content-Type", media_type), *fields)
    return Answer(status=status, headers=fields, body=content)


def _content(body: Any) -> tuple[bytes, str]:
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
    message = f"{type(value).__name__} is not a JSON value"
    raise TypeError(message)
