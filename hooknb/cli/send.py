"""The command ``hooknb send``."""

from __future__ import annotations

import contextlib
import mimetypes
import re
import sys
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import typer
from rich.syntax import Syntax
from rich.text import Text

from hooknb.cli.options import StoreOption, open_store, workflow_names
from hooknb.cli.terminal import escape, line, status_style, stdout
from hooknb.client.outgoing import JSON, Outgoing
from hooknb.client.sending import HttpResponse, exchange
from hooknb.errors import PayloadError, ServerError, SettingError
from hooknb.payloads import decode_json, kind
from hooknb.payloads.headers import Headers, masked
from hooknb.settings import RuntimeSettings
from hooknb.workflow.auth import Auth, split_credentials
from hooknb.workflow.definitions import trigger_of

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["send"]

_METHOD: Final = re.compile(r"[A-Za-z-]+")
_RESERVED: Final = "%!#$&'()*+,/:;=?@[]~"  # characters that URLs contain, escapes included
_MIN_FAILED: Final = 400  # the lowest status of a failure
_MAX_COLOURED_BYTES: Final = 256 * 1024  # colouring more is slow

Target = tuple[str, Auth | None, str]
"""A URL, its credentials, and the default method."""


def send(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME|URL",
            help="The name of a hook that is being served, or any URL.",
        ),
    ],
    *,
    json_text: Annotated[
        str | None,
        typer.Option("--json", metavar="TEXT", help="A JSON body, sent as written."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="TEXT", help="A text body; set its media type with --header."
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            metavar="PATH",
            help="A file as the body, its media type by its suffix; - is standard input.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="'NAME: VALUE'", help="A header; may be repeated."),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option("--query", metavar="NAME=VALUE", help="A query parameter; may be repeated."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            metavar="METHOD",
            help="By default POST, or the first method that the hook accepts.",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="SECONDS", help="How long to wait for the response.", min=0.001
        ),
    ] = 60.0,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Print only the body of the response; a terminal gets it escaped."
        ),
    ] = False,
    fail: Annotated[
        bool,
        typer.Option("--fail", help="Exit with 1 if the status is 400 or more."),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Send a request to a hook and print the response.

    A hook is found by its name in the store, and the request carries its credentials.
    """
    content, content_type = _content(json_text, data, file)
    fields = Headers(_field(text) for text in header or ())
    if content_type is not None and "content-type" not in {name.lower() for name, _ in fields}:
        fields.insert(0, ("Content-Type", content_type))
    pairs = urlencode([_pair(text) for text in query or ()])
    url, auth, usual = _address(target) if "://" in target else _stored(target, store)
    url, _, own = url.partition("?")
    request = Outgoing(
        method=_method(method) if method else usual,
        query="&".join(part for part in (own, pairs) if part),
        fields=fields,
        content=content,
    )
    try:
        response = exchange(url, request, auth=auth, timeout=timeout)
    except UnicodeError as error:
        raise SettingError(
            "URL", f"invalid host: {error}; write one such as http://127.0.0.1:8765/…"
        ) from error
    console = stdout()
    if raw and not sys.stdout.isatty():
        sys.stdout.flush()
        sys.stdout.buffer.write(response.body)
        sys.stdout.flush()
    else:
        _show(console, response, only_body=raw)
    if fail and response.status >= _MIN_FAILED:
        raise typer.Exit(1)


# -- the target


def _address(text: str) -> Target:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SettingError("URL", f"{error}; write one such as http://127.0.0.1:8765/…") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise SettingError(
            "URL", f"{parts.scheme}:// cannot be sent to; write http:// or https:// and a host"
        )
    _, auth = split_credentials(text)
    where = f"[{host}]" if ":" in host else host
    netloc = where if port is None else f"{where}:{port}"
    url = f"{parts.scheme}://{netloc}{quote(parts.path, safe=_RESERVED)}"
    query = quote(parts.query, safe=_RESERVED)
    return (f"{url}?{query}" if query else url), auth, "POST"


def _stored(name: str, store: str | None) -> Target:
    """Find a hook by its name; its credentials are sent only if some process serves the store."""
    with contextlib.closing(open_store(store)) as reading:
        workflow_names(reading, name)
        address = reading.current(name)
        if address is None or address.port is None or not reading.served_by():
            message = (
                f"{name!r} is not being served: no process has the store {reading.path} open; run "
                f"its notebook, or hooknb.serve({name!r})"
            )
            raise ServerError(message)
    trigger = trigger_of(address.definition)
    usual = "POST" if {"*", "POST"} & {*trigger.methods} else trigger.methods[0]
    base = RuntimeSettings.from_environment().local_url(address.port)
    return f"{base}/hook/{address.key}", trigger.auth, usual


# -- the request


def _content(
    json_text: str | None, data: str | None, file: str | None
) -> tuple[bytes | None, str | None]:
    given = [
        name
        for name, value in (("--json", json_text), ("--data", data), ("--file", file))
        if value is not None
    ]
    if len(given) > 1:
        raise SettingError(given[1], f"write one body, not {' and '.join(given)}")
    if json_text is not None:
        body = _argument(json_text)
        try:
            decode_json(body)
        except PayloadError as error:
            problem = (
                f"{error.detail} To send it as it is, write --data and "
                f"--header 'Content-Type: {JSON}'"
            )
            raise SettingError("--json", problem) from error
        return body, JSON
    if data is not None:
        return _argument(data), None
    if file is not None:
        return _read(file), mimetypes.guess_type(file)[0]
    return None, None


def _argument(text: str) -> bytes:
    """Return the bytes that the shell passed as an argument."""
    return text.encode("utf-8", "surrogateescape")


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise SettingError("--file", f"{file} cannot be read: {error.strerror}") from error


def _method(text: str) -> str:
    if not _METHOD.fullmatch(text):
        raise SettingError("--method", f"{text!r} is not a method; write one such as PUT")
    return text.upper()


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        # Without the text, which may be a secret whose name was left out.
        raise SettingError("--header", "a colon is missing; write 'Name: value'")
    return name.strip(), value.strip()


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise SettingError("--query", "an equals sign is missing; write name=value")
    return name, value


# -- the response


def _show(console: Console, response: HttpResponse, *, only_body: bool) -> None:
    if not only_body:
        style = status_style(response.status)
        console.print(
            line((f"{response.status} {_phrase(response.status)}".rstrip(), style)), end="\n"
        )
        for name, value in response.headers.items():
            console.print(line((name, "cyan"), ": ", masked(name, value)), end="\n")
        if response.body:
            console.print()
    if response.body:
        console.print(_body(response), end="\n")


def _body(response: HttpResponse) -> Text:
    if (
        kind(response.headers.get("Content-Type")) == "json"
        and len(response.body) <= _MAX_COLOURED_BYTES
    ):
        try:
            # Keeps numbers as written, whatever their size.
            body = msgspec.json.format(response.body, indent=2).decode()
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = response.text
        shown = Syntax("", "json", theme="ansi_dark").highlight(escape(body, keep="\n"))
        shown.rstrip()
        return shown
    return Text(escape(response.text, keep="\n\t").rstrip("\n"))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
