"""``hooknb send``: a request to a hook."""

from __future__ import annotations

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

from hooknb.cli.console import line, output_console, status_style
from hooknb.cli.options import StoreOption, opened, workflow_ids
from hooknb.cli.texts import written_out
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
_RESERVED: Final = "%!#$&'()*+,/:;=?@[]~"  # what stands in URLs, escapes included
_FAILED: Final = 400  # from this status on a response is a failure
_MOST_COLOURED: Final = 256 * 1024  # bytes; colouring takes its time

Target = tuple[str, Auth | None, str]
"""The URL without its query, credentials, and the method to take where none is asked for."""


def send(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME|URL",
            help="The hook: its name in the store, which must be served now, or any URL.",
        ),
    ],
    *,
    json_text: Annotated[
        str | None,
        typer.Option("--json", metavar="TEXT", help="A body in JSON, sent as it is written."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="TEXT", help="A body of any text, without a media type."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            metavar="PATH",
            help="The bytes of a file as the body, its media type by its suffix; - reads standard "
            "input.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header", metavar="'NAME: VALUE'", help="A header field; may be given repeatedly."
        ),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(
            "--query", metavar="NAME=VALUE", help="A pair of the query; may be given repeatedly."
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            metavar="METHOD",
            help="The method: by default POST, or the first that the hook takes.",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", help="How long to wait.", min=0.001),
    ] = 60.0,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Write the body of the response alone: its bytes, escaped on a terminal."
        ),
    ] = False,
    fail: Annotated[
        bool,
        typer.Option("--fail", help="Exit with 1 if the status of the response is 400 or more."),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Send a request to a hook, and print the response: status, headers, body.

    To a name it goes with the hook's own credentials, to the port where it is served.
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
        raise SettingError("URL", f"its host is none: {error}") from error
    console = output_console()
    if raw and not sys.stdout.isatty():
        sys.stdout.flush()
        sys.stdout.buffer.write(response.body)
        sys.stdout.flush()
    else:
        _show(console, response, only_body=raw)
    if fail and response.status >= _FAILED:
        raise typer.Exit(1)


# -- where to


def _address(text: str) -> Target:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SettingError("URL", f"{error}; write one such as http://127.0.0.1:8765/…") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise SettingError(
            "URL", "it is none that can be sent to; write one that begins with http:// or https://"
        )
    _, auth = split_credentials(text)
    where = f"[{host}]" if ":" in host else host
    netloc = where if port is None else f"{where}:{port}"
    url = f"{parts.scheme}://{netloc}{quote(parts.path, safe=_RESERVED)}"
    query = quote(parts.query, safe=_RESERVED)
    return (f"{url}?{query}" if query else url), auth, "POST"


def _stored(name: str, store: str | None) -> Target:
    """Look a hook up. Its credentials go out only where its store is served by somebody."""
    reading = opened(store)
    try:
        workflow_ids(reading, name)
        address = reading.current(name)
        if address is None or address.port is None or not reading.served_by():
            message = (
                f"{name!r} is not served now: no process has the store {reading.path} open; run "
                f"its notebook, or hooknb.serve({name!r})"
            )
            raise ServerError(message)
    finally:
        reading.close()
    trigger = trigger_of(address.definition)
    usual = "POST" if {"*", "POST"} & {*trigger.methods} else trigger.methods[0]
    base = RuntimeSettings.from_environment().local_url(address.port)
    return f"{base}/hook/{address.key}", trigger.auth, usual


# -- what


def _content(
    json_text: str | None, data: str | None, file: str | None
) -> tuple[bytes | None, str | None]:
    given = [
        name
        for name, value in (("--json", json_text), ("--data", data), ("--file", file))
        if value is not None
    ]
    if len(given) > 1:
        raise SettingError(given[1], f"give one body, not {' and '.join(given)}")
    if json_text is not None:
        body = _argument(json_text)
        try:
            decode_json(body)
        except PayloadError as error:
            problem = (
                f"{error.detail} To send it all the same, write --data and "
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
    """Return the bytes of an argument as the shell passed them."""
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
        # The text may be a secret whose name was forgotten.
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
        and len(response.body) <= _MOST_COLOURED
    ):
        try:
            # Numbers stay as they are written, whatever their size.
            body = msgspec.json.format(response.body, indent=2).decode()
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = response.text
        shown = Syntax("", "json", theme="ansi_dark").highlight(written_out(body, keep="\n"))
        shown.rstrip()
        return shown
    return Text(written_out(response.text, keep="\n\t").rstrip("\n"))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
