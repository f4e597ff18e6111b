"""URLs of requests: where they may contain templates, and which hosts they may lead to.

Data from a caller of the hook may determine a path segment or a query value, but not the
destination: scheme, host and port are fixed by the author, unless the author permits other hosts.
The rule is checked on the definition, on the filled URL, and on every redirect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urljoin

from hooknb.errors import SettingError
from hooknb.expressions.templates import write_out
from hooknb.paths import MISSING
from hooknb.workflow.nodes.insertions import check_text, pieces, rendered_text
from hooknb.workflow.nodes.node import Context
from hooknb.workflow.nodes.secrets import shown

__all__ = [
    "Url",
    "check_hosts",
    "check_url",
    "is_allowed",
    "is_secured",
    "redirected",
    "rendered_url",
]

_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(
    r"""(?P<scheme>https?)://
    (?:(?P<userinfo>[^/?\#@\[\]]*)@)?
    (?P<host>\[[0-9A-Fa-f:.]+\]|[^/?\#@:\[\]]+)
    (?::(?P<port>[0-9]{1,5}))?
    (?P<rest>(?:[/?][^\#]*)?)
    (?:\#.*)?""",
    re.VERBOSE | re.IGNORECASE,
)
_HOST: Final = re.compile(r"[0-9a-z_-]+(\.[0-9a-z_-]+)*\.?|\[[0-9a-f:.]+\]")
_ALLOWED: Final = re.compile(r"(?P<host>[^:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}|\*))?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\\]")
# Characters valid in a URL (RFC 3986), including existing escapes; others are percent-encoded.
_KEPT: Final = "!#$%&'()*+,/:;=?@[]~"
_HEAD: Final = re.compile(r"(?:[^/?#]*://)?[^/?#]*")
_MARK: Final = "\ue000"  # replaces a template while the text around it is checked


class Url(NamedTuple):
    """A parsed URL.

    ``rest`` is path and query, percent-encoded; ``userinfo`` is as written.
    """

    scheme: str
    host: str
    port: int
    rest: str
    userinfo: str = ""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: the destination of a request."""
        return self.scheme, self.host, self.port

    @property
    def text(self) -> str:
        """The URL without its userinfo."""
        return self._place + self.rest

    @property
    def shown(self) -> str:
        """The URL without userinfo and query, for messages."""
        return self._place + self.rest.partition("?")[0]

    @property
    def _place(self) -> str:
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


class _Shape(NamedTuple):
    """A URL's text: the templates before the end of its host, and those after it."""

    head: str
    tail: str
    own: Url | None


def check_url(url: Any, allow_hosts: tuple[str, ...]) -> None:
    """Refuse an invalid URL, and one whose templates could lead anywhere.

    Raises
    ------
    SettingError
        The URL is refused.
    """
    check_text("url", url)
    shape = _shape(url)
    if shape.own is None and not allow_hosts:
        raise SettingError(
            "url",
            f"{shown(url)} lets the caller choose where the request goes: a template may stand "
            "in the path and the query; name the hosts that it may lead to in allow_hosts=",
        )


def check_hosts(hosts: Any) -> tuple[str, ...]:
    """Return ``allow_hosts`` in lower case; refuse invalid hosts."""
    if isinstance(hosts, str) or not isinstance(hosts, Iterable):
        raise SettingError("allow_hosts", 'write a list of hosts: ("api.example.com",)')
    checked = []
    for index, host in enumerate(hosts):
        place = f"allow_hosts[{index}]"
        check_text(place, host)
        found = _ALLOWED.fullmatch(host)
        if host != "*" and found is None:
            raise SettingError(
                place,
                f'{host!r} is not a host; write "api.example.com", "api.example.com:8443" or "*"',
            )
        if found is None or host == "*":
            checked.append("*")
        else:
            port = f":{found['port']}" if found["port"] else ""
            checked.append(_plain_host(found["host"], place) + port)
    return tuple(checked)


def rendered_url(context: Context, url: str, query: dict[str, Any]) -> tuple[Url, Url | None]:
    """Fill the templates of a URL and append a query.

    Values in the path and the query are percent-encoded; in the path, a value stays one segment.

    Returns
    -------
    url, own
        The URL, and one at the author's host; ``None`` if templates determine the host.

    Raises
    ------
    SettingError
        The result is not a valid URL, or leads elsewhere than the author's host.
    """
    shape = _shape(url)
    head = "".join(
        rendered_text(context, piece.text) if piece.is_template else piece.text
        for piece in pieces(shape.head)
    )
    filled = _split(head + _filled_tail(context, shape.tail), "url")
    if shape.own is not None and filled.origin != shape.own.origin:
        raise SettingError("url", f"{filled.shown} is not at {shape.own.host}")
    more = "&".join(
        f"{quote(name, safe='')}={quote(text, safe='')}"
        for name, value in query.items()
        for text in _query_texts(context, value)
    )
    rest = filled.rest
    if more:
        mark = "?" if "?" not in rest else "" if rest.endswith(("?", "&")) else "&"
        rest = f"{rest}{mark}{more}"
    return filled._replace(rest=rest), shape.own


def is_allowed(url: Url, own: Url | None, allow_hosts: tuple[str, ...]) -> bool:
    """Whether a request may go to a URL.

    Permitted are the author's scheme, host and port, ``https`` instead of ``http`` on that host,
    and the hosts of ``allow_hosts``, at the default port of the scheme or the one given.
    """
    if own is not None and (url.origin == own.origin or is_secured(own, url)):
        return True
    usual = url.port == _PORTS[url.scheme]
    names = {"*", f"{url.host}:{url.port}", f"{url.host}:*"} | ({url.host} if usual else set())
    return not names.isdisjoint(allow_hosts)


def is_secured(url: Url, target: Url) -> bool:
    """Whether a target is the same host via ``https`` instead of ``http``, at default ports."""
    return url.origin == ("http", target.host, 80) and target.origin == ("https", url.host, 443)


def redirected(url: Url, location: str) -> Url:
    """Return the URL of a ``Location`` header (RFC 9110, section 10.2.2).

    Raises
    ------
    SettingError
        It is not an ``http`` or ``https`` URL.
    """
    if _CONTROL.search(location):
        raise SettingError("location", f"{shown(location)} is not an address")
    try:
        target = urljoin(url.text, location.strip())
    except ValueError as error:  # for unclosed brackets, as in //[
        raise SettingError("location", f"{shown(location)} is not an address") from error
    return _split(target, "location")._replace(userinfo="")


@lru_cache(maxsize=1024)
def _shape(url: str) -> _Shape:
    """Split the templates of a URL at the end of its host; refuse text that can never be a URL."""
    if _MARK in url:
        raise SettingError("url", f"{shown(url)} is not an address")
    marked = "".join(_MARK if piece.is_template else piece.text for piece in pieces(url))
    templates = [piece.text for piece in pieces(url) if piece.is_template]
    if _CONTROL.search(marked):
        raise SettingError("url", f"{shown(url)} has a control character or a backslash in it")
    found = _HEAD.match(marked)
    head = found.group() if found else ""
    tail = marked[len(head) :].partition("#")[0]
    inside = head.count(_MARK)
    own = None if inside else _split(head + tail.replace(_MARK, "x"), "url")
    return _Shape(_unmarked(head, templates[:inside]), _unmarked(tail, templates[inside:]), own)


def _unmarked(text: str, templates: list[str]) -> str:
    first, *others = text.split(_MARK)
    return first + "".join(map("".join, zip(templates, others, strict=False)))


def _filled_tail(context: Context, tail: str) -> str:
    path, mark, query = _at_query(tail)
    segments = []
    for segment in _segments(path):
        filled = "".join(_encoded(context, piece) for piece in pieces(segment))
        # A server would resolve `..` to the parent folder.
        if filled != segment and unquote(filled) in {".", ".."}:
            raise SettingError("url", f"{filled!r} cannot be a segment of the path")
        segments.append(filled)
    return "/".join(segments) + mark + "".join(_encoded(context, p) for p in pieces(query))


def _at_query(tail: str) -> tuple[str, str, str]:
    """Split at the first question mark outside templates."""
    path = ""
    for piece in pieces(tail):
        if not piece.is_template and "?" in piece.text:
            path += piece.text.partition("?")[0]
            return path, "?", tail[len(path) + 1 :]
        path += piece.text
    return path, "", ""


def _segments(path: str) -> list[str]:
    segments = [""]
    for piece in pieces(path):
        if piece.is_template:
            segments[-1] += piece.text
        else:
            first, *others = piece.text.split("/")
            segments[-1] += first
            segments += others
    return segments


def _encoded(context: Context, piece: Any) -> str:
    text, is_template = piece
    return _quoted(rendered_text(context, text)) if is_template else text


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _query_texts(context: Context, value: Any) -> list[str]:
    came = context.render(value)
    if came is MISSING:
        return []
    return [write_out(item) for item in came] if isinstance(came, list) else [write_out(came)]


def _split(url: str, setting: str) -> Url:
    found = None if _CONTROL.search(url) else _URL.fullmatch(url)
    if found is None:
        raise SettingError(
            setting, f"{_cut(url)!r} is not an address such as https://api.example.com/orders"
        )
    scheme = found["scheme"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if not 0 < port < 65536:  # noqa: PLR2004 - the range of ports
        raise SettingError(setting, f"{port} is not a port")
    rest = quote(found["rest"], safe=_KEPT, errors="replace")
    return Url(
        scheme=scheme,
        host=_plain_host(found["host"], setting),
        port=port,
        rest=rest if rest.startswith("/") else f"/{rest}",
        userinfo=found["userinfo"] or "",
    )


def _plain_host(host: str, setting: str) -> str:
    try:
        plain = host.lower() if host.isascii() else host.encode("idna").decode().lower()
    except UnicodeError as error:
        raise SettingError(setting, f"{host!r} is not a host") from error
    if not _HOST.fullmatch(plain):
        raise SettingError(setting, f"{host!r} is not a host")
    return plain


def _cut(url: str) -> str:
    """Remove credentials and query from a text that is not a valid URL."""
    return url.rpartition("@")[2].partition("?")[0]
