"""Requests as shell commands to paste into a terminal."""

from __future__ import annotations

import shlex
from typing import Final

from hooknb.workflow.auth import Outgoing
from hooknb.workflow.auth.basic import decode_basic

__all__ = ["command"]

_MAX_ARGUMENT: Final = 100_000  # bytes; Linux takes 128 KiB
_GLOB: Final = frozenset("[]{}")
_ESCAPES: Final = {"%": "%%", "\\": "\\\\", "\t": "\\t", "\r": "\\r", "\n": "\n"}


def command(url: str, request: Outgoing) -> str:
    """Return the POSIX shell command that sends a request with curl (7.43 or later).

    Parameters
    ----------
    url
        The hook's URL. In URL and query, characters beyond ASCII are percent-encoded, and so is
        ``#``, which would end them.
    request
        The request. Without a ``Content-Type`` in it, none is sent; curl adds its ``User-Agent``
        and ``Accept``. A short, printable body is an argument; any other is piped from ``printf``
        with octal escapes.
    """
    content = request.content
    url += f"{request.subpath}?{request.query}" if request.query else request.subpath
    url = "".join(_url_character(character) for character in url)
    parts = ["curl"]
    if not _GLOB.isdisjoint(url):
        parts.append("--globoff")
    parts += _method(request.method, has_body=bool(content))
    parts.append(_argument(url))
    if content and not any(name.lower() == "content-type" for name, _ in request.fields):
        parts.append("-H 'Content-Type:'")  # otherwise curl declares a form
    parts += [_header(name, value) for name, value in request.fields]
    source = ""
    if content:
        text = _printable(content)
        if text is not None and len(content) <= _MAX_ARGUMENT:
            parts.append(f"--data-raw {shlex.quote(text)}")
        else:
            source = f"printf {_format(content)} | "
            parts.append("--data-binary @-")
    return source + " \\\n  ".join(parts)


def _method(method: str, *, has_body: bool) -> list[str]:
    if method == ("POST" if has_body else "GET"):
        return []
    if method != "HEAD":
        return [f"-X {shlex.quote(method)}"]
    # The response to HEAD announces a body that is not sent, for which curl would wait.
    return ["-X HEAD --ignore-content-length -H 'Connection: close'"] if has_body else ["--head"]


def _url_character(character: str) -> str:
    if "!" <= character <= "~" and character != "#":
        return character
    try:
        data = character.encode("latin-1")  # as the server decodes the request line
    except UnicodeEncodeError:
        data = character.encode()
    return "".join(f"%{byte:02X}" for byte in data)


def _header(name: str, value: str) -> str:
    credentials = decode_basic(value) if name.lower() == "authorization" else None
    if credentials is not None:
        return f"-u {_argument(credentials)}"  # easier to read and change than Base64
    return f"-H {_argument(_field(name, value))}"


def _field(name: str, value: str) -> str | bytes:
    if not value:
        return f"{name};"  # curl's notation for an empty field
    text = f"{name}: {value}"
    try:
        return text.encode("latin-1")  # as the server decodes header fields
    except UnicodeEncodeError:
        return text


def _argument(text: str | bytes) -> str:
    """Quote one argument; one that is not printable is written by ``printf``."""
    data = text.encode() if isinstance(text, str) else text
    printable = _printable(data)
    return f'"$(printf {_format(data)})"' if printable is None else shlex.quote(printable)


def _printable(data: bytes) -> str | None:
    """Return the text, or ``None`` if it is not all printable characters and line feeds."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if text.replace("\n", "").isprintable() else None


def _format(data: bytes) -> str:
    """Write bytes as the quoted format of ``printf``."""
    text = "".join(
        _ESCAPES.get(character) or (character if character.isprintable() else _octal(character))
        for character in data.decode("utf-8", "surrogateescape")
    )
    # printf would read a leading dash as an option.
    return shlex.quote(f"\\055{text[1:]}" if text.startswith("-") else text)


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
