"""Which parts of a request and of a response pass the relay; pure functions.

A request keeps its bytes, its query and its fields, except for the Jupyter server's tokens and
cookies and for hop-by-hop fields (RFC 9110, section 7.6.1). A response is sent from the origin of
the Jupyter server, where a page could do anything the user can: only parts known to be harmless
pass, and the rest is removed.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from hooknb.payloads.headers import TOKEN

__all__ = [
    "SAFETY",
    "Fields",
    "is_sendable",
    "request_fields",
    "request_query",
    "request_subpath",
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
"""Fields of every response: browsers must not treat it as a page of this origin."""

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
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET: Final = re.compile(r"[\x21-\x7e\x80-\xff]*")
_MIN_SECRET: Final = 8  # characters; a shorter one would match texts by chance
_MAX_DECODINGS: Final = 8  # times that a text may be percent-encoded

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
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_THIS_MACHINE: Final = "localhost"
_CHARSET: Final = re.compile(r'charset="?(utf-8|us-ascii|iso-8859-1|utf-16)"?', re.IGNORECASE)


def request_query(query: str, secrets: Sequence[str]) -> str:
    """Remove the server's tokens from a query; the other parameters keep their spelling."""
    kept = "&".join(
        part
        for part in query.split("&")
        if _decoded(part.partition("=")[0])[-1] not in {"token", "_xsrf"}
        and not _holds(part, secrets)
    )
    return "" if _holds(kept, secrets) else kept  # a token may contain an ampersand


def request_subpath(path: str, above: int, secrets: Sequence[str]) -> str:
    """Return the part of a path after the hook's key, without the server's tokens.

    ``above`` segments of the still encoded path precede the key. They are counted rather than
    compared, since a sender may spell the server's base path differently.
    """
    below = path.split("/")[above + 2 :]
    kept = "".join(f"/{segment}" for segment in below if not _holds(segment, secrets))
    return "" if _holds(kept, secrets) else kept  # a token may contain a slash


def request_fields(fields: Iterable[tuple[str, str]], secrets: Sequence[str]) -> Fields:
    """Return the fields of a request that are meant for the hook, in their order.

    A field with one of the server's tokens in its name or value is removed, and so is
    ``Authorization: token …``, which only Jupyter uses.
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
        # A sender must not drop an end-to-end field by naming it in Connection.
        and (name.lower() not in named or name.lower() in {"host", "authorization"})
        and TOKEN.fullmatch(name)
        and _VALUE.fullmatch(value)
        and not (name.lower() == "authorization" and _is_the_servers(value, secrets))
        and not (name.lower() == "referer" and any("token=" in text for text in _decoded(value)))
        and not _holds(name, secrets)
        and not _holds(value, secrets)
    ]


def _is_the_servers(authorization: str, secrets: Sequence[str]) -> bool:
    """Return whether credentials are for Jupyter, or hold a secret encoded as Basic."""
    scheme, _, rest = authorization.strip().replace("\t", " ").partition(" ")
    if scheme.lower() != "basic":
        return scheme.lower() == "token"
    try:
        pair = b64decode(rest.strip() + "==").decode("latin-1")
    except ValueError:
        return False
    return _holds(pair, secrets)


def _holds(text: str, secrets: Sequence[str]) -> bool:
    """Return whether a text contains a secret, percent-encoded any number of times."""
    texts = _decoded(text.lower())  # field names do not keep their case
    if len(texts) > _MAX_DECODINGS:
        return True  # a text is encoded this often only to hide something
    return any(
        len(secret) >= _MIN_SECRET and any(secret.lower() in spelling for spelling in texts)
        for secret in secrets
    )


def _decoded(text: str) -> list[str]:
    """Return a text followed by its repeated percent-decodings, until one changes nothing."""
    texts = [text]
    while len(texts) <= _MAX_DECODINGS and (further := unquote(texts[-1])) != texts[-1]:
        texts.append(further)
    return texts


def is_sendable(method: str, path: str, query: str) -> bool:
    """Return whether these parts form exactly one request line."""
    return bool(TOKEN.fullmatch(method) and _TARGET.fullmatch(path) and _TARGET.fullmatch(query))


def response_fields(
    status: int, fields: Iterable[tuple[str, str]], own_hosts: Callable[[], Iterable[str]]
) -> Fields:
    """Return the fields of a response that pass, with :data:`SAFETY`; all others are removed.

    A ``Location`` may not lead to this machine or to a host of the Jupyter server; ``own_hosts``
    returns these, and is called only for a ``Location``. ``Content-Type`` becomes a harmless one:
    plain text for content that a browser would run, bytes for content that it would open in a
    viewer.
    """
    passed: Fields = list(SAFETY)
    content_type = "application/octet-stream"
    for name, value in fields:
        known = name.lower()
        if known == "content-type":
            content_type = _harmless(value)
        elif known == "location":
            if _leads_away(value, own_hosts()):
                passed.append((name, value))
        elif known in _PASSED_BACK and _PASSED_BACK[known].fullmatch(value):
            passed.append((name, value))
    if status == 401:  # noqa: PLR2004 - RFC 9110, section 15.5.2: it names the scheme
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


def _leads_away(value: str, own_hosts: Iterable[str]) -> bool:
    """Return whether a text is the URL of a web server other than this machine's."""
    if not re.fullmatch(r"https?://[\x21-\x7e]{1,2000}", value) or "\\" in value:
        return False
    try:
        parts = urlsplit(value)
        host = _canonical_host(parts.hostname or "")
        own = {_canonical_host(urlsplit(f"//{own}").hostname or "") for own in own_hosts}
    except ValueError:
        return False
    # Browsers decode the host and map lookalike letters: `%EF%BD%8C` becomes an l.
    plain = not {"@", "%"} & set(parts.netloc)
    return plain and bool(host) and host not in {*own, _THIS_MACHINE}


def _canonical_host(host: str) -> str:
    """Return one spelling for all spellings that a browser resolves to the same host.

    Raises
    ------
    ValueError
        The host looks like an IP address but is not valid.
    """
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return _THIS_MACHINE
    if ":" in host:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv6Address(host)
        if int(address) < 2**32 or (int(address) >> 32) == 0xFFFF:  # noqa: PLR2004 - RFC 4291, 2.5.5
            tail = int(address) & 0xFFFF_FFFF
            address = address if tail == 1 else ipaddress.IPv4Address(tail)
    elif _NUMERIC.fullmatch(host.rpartition(".")[2]):
        # Like browsers, inet_aton takes fewer than four parts, and octal and hexadecimal numbers.
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError as error:
            raise ValueError from error
    else:
        return host
    return _THIS_MACHINE if address.is_loopback or address.is_unspecified else str(address)
