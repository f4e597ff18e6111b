"""What of a request and of an answer passes the relay; pure.

A request keeps its bytes, its query and its fields, but for those that are the Jupyter server's
business: its token, its cookies, and what belongs to one connection only (RFC 9110, section 7.6.1).
An answer comes from the origin of the Jupyter server, where a page could do whatever the user can:
only what is known to be harmless passes, and the rest is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote_plus, urlsplit

__all__ = [
    "SAFETY",
    "Fields",
    "is_sendable",
    "request_fields",
    "request_query",
    "response_fields",
]

Fields = list[tuple[str, str]]

SAFETY: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)
"""Fields of every answer: whatever it holds, it is no page of this origin."""

_NOT_PASSED_ON: Final = frozenset(
    {
        "connection",
        "cookie",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-csrftoken",
        "x-hooknb-received",
        "x-hooknb-relay",
        "x-hooknb-remote",
        "x-xsrftoken",
    }
)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET: Final = re.compile(r"[\x21-\x7e\x80-\xff]*")
_SHORTEST_SECRET: Final = 8  # characters; a shorter one would be found in texts by chance

_PASSED_BACK: Final = {
    "allow": re.compile(r"[A-Z, ]{1,200}"),
    "content-encoding": re.compile(r"(?i)(gzip|deflate|br|zstd|identity)"),
    "content-language": re.compile(r"[A-Za-z0-9, -]{1,100}"),
    "etag": re.compile(r'(W/)?"[\x21\x23-\x7e]{0,200}"'),
    "last-modified": re.compile(r"[A-Za-z0-9,: ]{1,40}"),
    "retry-after": re.compile(r"[A-Za-z0-9,: ]{1,40}"),
    "x-correlation-id": re.compile(r"[\x21-\x7e]{1,200}"),
    "x-hooknb-delivery": re.compile(r"[0-9]{1,19}"),
    "x-request-id": re.compile(r"[\x21-\x7e]{1,200}"),
}
_CHALLENGE: Final = 'Basic realm="hooknb", charset="UTF-8"'
_HARMLESS: Final = re.compile(
    r"text/plain|text/csv|application/(json|[a-z0-9.-]+\+json|x-ndjson|octet-stream"
    r"|x-www-form-urlencoded)|image/(png|jpeg|gif|webp)"
)
_SHOWN_AS_TEXT: Final = re.compile(r"text/.*|application/(xml|.*\+xml|.*javascript|ecmascript)")
_CHARSET: Final = re.compile(r'charset="?(utf-8|us-ascii|iso-8859-1|utf-16)"?', re.IGNORECASE)


def request_query(query: str, secrets: Sequence[str]) -> str:
    """Leave the server's tokens out of a query; the other parameters stay as they are written.

    Parameters
    ----------
    query
        What stands behind ``?``.
    secrets
        The server's tokens.
    """
    kept = [
        part
        for part in query.split("&")
        if unquote_plus(part.partition("=")[0]) not in {"token", "_xsrf"}
        and not _holds(part, secrets)
    ]
    return "&".join(kept)


def request_fields(fields: Iterable[tuple[str, str]], secrets: Sequence[str]) -> Fields:
    """Leave out of the fields of a request what is not the hook's, in their order.

    Parameters
    ----------
    fields
        Names and values.
    secrets
        The server's tokens. A field that holds one is left out, whichever it is; and so is
        ``Authorization: token …``, which only Jupyter has.
    """
    given = list(fields)
    named = {
        name.strip().lower()
        for key, value in given
        if key.lower() == "connection"
        for name in value.split(",")
    }
    return [
        (name, value)
        for name, value in given
        if name.lower() not in _NOT_PASSED_ON
        # Who names a field of the whole request there would have it left out.
        and (name.lower() not in named or name.lower() in {"host", "authorization"})
        and _TOKEN.fullmatch(name)
        and _VALUE.fullmatch(value)
        and not (name.lower() == "authorization" and value.strip().lower().startswith("token "))
        and not (name.lower() == "referer" and "token=" in unquote_plus(value))
        and not _holds(value, secrets)
    ]


def _holds(text: str, secrets: Sequence[str]) -> bool:
    plain = unquote_plus(text)
    return any(
        len(secret) >= _SHORTEST_SECRET and (secret in text or secret in plain)
        for secret in secrets
    )


def is_sendable(method: str, path: str, query: str) -> bool:
    """Whether a request line can be written of these, and is one line."""
    return bool(_TOKEN.fullmatch(method) and _TARGET.fullmatch(path) and _TARGET.fullmatch(query))


def response_fields(status: int, fields: Iterable[tuple[str, str]], own_host: str) -> Fields:
    """Give the fields of an answer that pass, with :data:`SAFETY`; all others are left out.

    Parameters
    ----------
    status
        Of the answer.
    fields
        Names and values, as the kernel sent them.
    own_host
        The ``Host`` of the request: nobody is sent back to the Jupyter server.

    Returns
    -------
    list of tuple
        ``Content-Type`` is a harmless one: what a browser would run is text, what it would open
        in a viewer of its own is bytes.
    """
    passed: Fields = list(SAFETY)
    content_type = "application/octet-stream"
    for name, value in fields:
        known = name.lower()
        if known == "content-type":
            content_type = _harmless(value)
        elif known == "location":
            if _leads_away(value, own_host):
                passed.append((name, value))
        elif known in _PASSED_BACK and _PASSED_BACK[known].fullmatch(value):
            passed.append((name, value))
    if status == 401:  # noqa: PLR2004 - RFC 9110, section 15.5.2: it says how to come in
        passed.append(("WWW-Authenticate", _CHALLENGE))
    return [("Content-Type", content_type), *passed]


def _harmless(value: str) -> str:
    media_type = value.partition(";")[0].strip().lower()
    charset = _CHARSET.search(value)
    suffix = f"; charset={charset[1].lower()}" if charset else ""
    if media_type == "text/plain" or not _HARMLESS.fullmatch(media_type):
        if media_type == "image/svg+xml" or _SHOWN_AS_TEXT.fullmatch(media_type):
            return f"text/plain{suffix}"
        return "application/octet-stream"
    return f"{media_type}{suffix}"


def _leads_away(value: str, own_host: str) -> bool:
    """Whether a text is the address of another web server."""
    if not re.fullmatch(r"https?://[\x21-\x7e]{1,2000}", value) or "\\" in value:
        return False
    try:
        parts = urlsplit(value)
        own = urlsplit(f"//{own_host}").hostname or ""
    except ValueError:
        return False
    host = (parts.hostname or "").rstrip(".")
    return bool(host) and host != own.rstrip(".") and "@" not in parts.netloc
