"""Requests to send, built from a delivery or from the samples of a trigger."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from hooknb import payloads
from hooknb.errors import SettingError
from hooknb.paths import MISSING
from hooknb.payloads.headers import TOKEN, Headers, is_secret_header
from hooknb.payloads.json_values import as_python
from hooknb.records import Delivery
from hooknb.workflow import Trigger, depth
from hooknb.workflow.auth import Auth, Outgoing
from hooknb.workflow.samples import build_sample, has_sample

__all__ = ["FORM", "JSON", "Outgoing", "encode_json", "of_delivery", "of_samples"]

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"
_TEXT: Final = "text/plain"
_FILE: Final = frozenset({"filename", "content_type", "content"})

_TARGET: Final = re.compile(r"[\x21-\x7e\x80-\xff]*")
_BODILESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
# Hop-by-hop fields (RFC 9110, section 7.6.1), and fields that are set anew.
_OWN: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"),
        *("upgrade", "expect", "host", "content-length", "authorization", "proxy-authorization"),
        depth.HEADER.lower(),
    }
)


def of_delivery(delivery: Delivery, auth: Auth | None = None) -> Outgoing:
    """Return the request of a delivery: the same method, query, bytes and fields in order.

    Hop-by-hop fields (with those that ``Connection`` names), ``Host``, ``Content-Length`` and
    credentials are left out.

    Raises
    ------
    SettingError
        The delivery was refused and only partly kept, or its method or query is invalid in a
        request line.
    """
    if delivery.size > len(delivery.raw):
        raise SettingError(
            f"delivery {delivery.id}",
            f"it was refused, and {len(delivery.raw):,} of its {delivery.size:,} bytes were kept; "
            "a part cannot be sent again; raise max_body and ask its sender to repeat it",
        )
    target = delivery.subpath + delivery.query_string
    if not (TOKEN.fullmatch(delivery.method) and _TARGET.fullmatch(target)):
        raise SettingError(
            f"delivery {delivery.id}",
            "its method, path or query is not valid in a request, so it cannot be sent again",
        )
    headers = delivery.header_map
    left_out = _OWN | {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    if auth is not None:
        left_out |= auth.carriers
    has_body = delivery.raw or "Content-Length" in headers or "Transfer-Encoding" in headers
    return Outgoing(
        method=delivery.method,
        subpath=delivery.subpath,
        query=delivery.query_string,
        fields=Headers(field for field in delivery.headers if field[0].lower() not in left_out),
        content=delivery.raw if has_body else None,
    )


def of_samples(trigger: Trigger, newest: Callable[[], Delivery | None]) -> Outgoing:
    """Return a request with the samples of a trigger's variables.

    Parameters
    ----------
    trigger
        The samples of its body variables form the body, in the first type that it accepts: JSON,
        form, multipart, text, or else the first in ``accept``. A trigger whose method has no body,
        such as ``GET``, and without body variables, gets none.
    newest
        Returns the newest accepted delivery. It is called if no body variable has a sample, and
        its body is used; without a delivery of an accepted type, the body is ``{}``.

    Raises
    ------
    SettingError
        A path has a position too high to build a list for it.
    """
    method = "POST" if {"*", "POST"} & {*trigger.methods} else trigger.methods[0]
    query, body = build_sample(trigger.query), build_sample(trigger.body)
    fields = Headers(
        (variable.path, str(variable.sample))
        for variable in trigger.headers
        if has_sample(variable)
        and not is_secret_header(variable.path)
        and variable.path.lower() not in _OWN | {"content-type", "content-encoding"}
    )
    content: bytes | None = None
    if body is MISSING and (trigger.body or method not in _BODILESS):
        delivery = newest()
        if delivery is None or not payloads.accepts(trigger.accept, delivery.content_type):
            body = {}
        else:
            content = delivery.raw
            kept = {"content-type", "content-encoding"}
            fields += [field for field in delivery.headers if field[0].lower() in kept]
    if body is not MISSING:
        content, content_type = _encoded(trigger.accept, body)
        fields.insert(0, ("Content-Type", content_type))
    return Outgoing(
        method=method,
        query=urlencode(list(_pairs(query)), safe="[]") if isinstance(query, dict) else "",
        fields=fields,
        content=content,
    )


def encode_json(value: Any) -> bytes:
    """Encode a value as JSON; NumPy values as numbers and lists, other types as strings.

    Raises
    ------
    SettingError
        The value is nested too deep, contains itself, or has keys that are neither strings nor
        numbers.
    """
    try:
        return msgspec.json.encode(value, enc_hook=as_python)
    except (TypeError, ValueError, RecursionError):
        try:
            return json.dumps(value, default=_as_text).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise SettingError("json", f"it cannot be written as JSON: {error}") from error


def _as_text(value: object) -> Any:
    try:
        return as_python(value)
    except TypeError:
        return str(value)


# -- bodies


def _encoded(accept: tuple[str, ...], body: Any) -> tuple[bytes, str]:
    """Return a body encoded in an accepted type, and its ``Content-Type``."""
    takes = [name for name in (JSON, FORM, _MULTIPART, _TEXT) if payloads.accepts(accept, name)]
    if isinstance(body, dict):
        pairs = list(_pairs(body))
        if _MULTIPART in takes and any(isinstance(value, dict) for _, value in pairs):
            takes = [_MULTIPART]  # only it carries files
    elif takes[:1] != [JSON]:
        takes = [name for name in takes if name == _TEXT]
    kind = takes[0] if takes else accept[0].replace("*", "octet-stream")
    if kind == JSON:
        return encode_json(body), kind
    if kind == FORM:
        return urlencode(pairs, safe="[]").encode(), kind
    if kind == _MULTIPART:
        # It occurs in no part, since a part cannot contain its own digest.
        boundary = hashlib.sha256(_multipart(pairs, "")).hexdigest()[:32]
        return _multipart(pairs, boundary), f"{kind}; boundary={boundary}"
    if isinstance(body, bytes):
        return body, kind
    data = body.encode() if isinstance(body, str) else encode_json(body)
    return data, f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _pairs(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a form, names nested by brackets; a file is a dict.

    The inverse of :func:`hooknb.payloads.nest` as far as brackets allow: empty lists and objects
    are left out, and all values but files become text.
    """
    pending = [(name, inner) for name, inner in reversed(value.items())]
    while pending:
        name, item = pending.pop()
        if isinstance(item, dict) and item.keys() != _FILE:
            pending += [(f"{name}[{key}]", inner) for key, inner in reversed(item.items())]
        elif isinstance(item, (list, tuple)):
            flat = not any(isinstance(inner, (dict, list, tuple)) for inner in item)
            pending += [
                (f"{name}[]" if flat else f"{name}[{index}]", inner)
                for index, inner in reversed(list(enumerate(item)))
            ]
        else:
            yield name, _field_value(item)


def _field_value(value: Any) -> str | bytes | dict[str, Any]:
    if isinstance(value, (str, bytes, dict)):
        return value
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _multipart(pairs: list[tuple[str, Any]], boundary: str) -> bytes:
    """Encode a form as browsers do (RFC 7578; HTML, section 4.10.21.8)."""
    pieces: list[bytes] = []
    for name, value in pairs:
        head = f'Content-Disposition: form-data; name="{_quoted(name)}"'
        content = value.encode() if isinstance(value, str) else value
        if isinstance(value, dict):
            content = value["content"]
            head += f'; filename="{_quoted(value["filename"])}"'
            if value["content_type"] is not None:
                head += f"\r\nContent-Type: {_quoted(value['content_type'])}"
        pieces += f"--{boundary}\r\n{head}\r\n\r\n".encode(), content, b"\r\n"
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def _quoted(text: object) -> str:
    return str(text).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
