"""What the server takes for one message, and for two: beside what other readers take it for.

Each case is sent on a connection of its own, followed by a second request. A case is read as
``expected`` messages, and never as more than any of Tornado, h11 and node's parser read: a
request that only one of two readers sees is how requests are smuggled.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h11
import pytest
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, ResponseStartLine

from hooknb._clock import Clock
from hooknb.records import SentResponse
from hooknb.server import Body, BodyError, Request, ServerThread, bind

OK = SentResponse(status=200, headers=(), body=b"ok")
SECOND = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
PLAIN = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = PLAIN + b"Transfer-Encoding: chunked\r\n\r\n"


class Case(NamedTuple):
    """What is sent before the second request, and how many messages the two are."""

    raw: bytes
    expected: int
    # Readers that refuse it although HTTP allows it, or that take less of it than there is.
    less: tuple[str, ...] = ()


def line(text: bytes, expected: int = 0, *less: str) -> Case:
    """Make a case of a request line."""
    return Case(text + b"Host: a\r\n\r\n", expected, less)


def field(text: bytes, expected: int = 0, *less: str) -> Case:
    """Make a case of a field, behind a Host."""
    return Case(PLAIN + text + b"\r\n", expected, less)


def host(text: bytes, expected: int = 0, *less: str) -> Case:
    """Make a case of the fields that name the host."""
    return Case(b"POST / HTTP/1.1\r\n" + text + b"\r\n", expected, less)


def chunks(text: bytes, expected: int = 0, *less: str) -> Case:
    """Make a case of a chunked body."""
    return Case(CHUNKED + text, expected, less)


def many(count: int, size: int = 1) -> bytes:
    return b"".join(b"X%d: %b\r\n" % (number, b"y" * size) for number in range(count))


CASES = {
    # -- request lines
    "get": line(b"GET / HTTP/1.1\r\n", 2),
    "post without a length": line(b"POST / HTTP/1.1\r\n", 2),
    "query": line(b"POST /a?b=/?%zz HTTP/1.1\r\n", 2),
    "asterisk": line(b"OPTIONS * HTTP/1.1\r\n", 2),
    "propfind": line(b"PROPFIND / HTTP/1.1\r\n", 2),
    "a method of its own": line(b"FROB / HTTP/1.1\r\n", 2, "node"),
    "a method of all token characters": line(b"!#$%&'*+-.^_`|~9Az / HTTP/1.1\r\n", 2, "node"),
    "lower case": line(b"post / HTTP/1.1\r\n", 2, "node"),
    "a method of another protocol": line(b"SOURCE / HTTP/1.1\r\n", 2),
    "connect": line(b"CONNECT a:80 HTTP/1.1\r\n"),
    "connect a path": line(b"CONNECT / HTTP/1.1\r\n"),
    "no method": line(b" / HTTP/1.1\r\n"),
    "a method with a colon": line(b"GE:T / HTTP/1.1\r\n"),
    "a method with a bracket": line(b"GET( / HTTP/1.1\r\n"),
    "a method of Latin-1": line(b"G\xc9T / HTTP/1.1\r\n"),
    "a long method": line(b"G" * 65 + b" / HTTP/1.1\r\n"),
    "a line in front": line(b"\r\nGET / HTTP/1.1\r\n"),
    "two lines in front": line(b"\r\n\r\nGET / HTTP/1.1\r\n"),
    "CR in front": line(b"\rGET / HTTP/1.1\r\n"),
    "LF in front": line(b"\nGET / HTTP/1.1\r\n"),
    "CRs in front": line(b"\r\r\r\nGET / HTTP/1.1\r\n"),
    "space in front": line(b" GET / HTTP/1.1\r\n"),
    "tab in front": line(b"\tGET / HTTP/1.1\r\n"),
    "null in front": line(b"\0GET / HTTP/1.1\r\n"),
    "two spaces before the target": line(b"GET  / HTTP/1.1\r\n"),
    "two spaces behind the target": line(b"GET /  HTTP/1.1\r\n"),
    "tab before the target": line(b"GET\t/ HTTP/1.1\r\n"),
    "tab behind the target": line(b"GET /\tHTTP/1.1\r\n"),
    "form feed behind the target": line(b"GET /\x0cHTTP/1.1\r\n"),
    "space behind the version": line(b"GET / HTTP/1.1 \r\n"),
    "CR behind the version": line(b"GET / HTTP/1.1\r\r\n"),
    "bare LF behind the version": line(b"GET / HTTP/1.1\n"),
    "bare CR behind the version": line(b"GET / HTTP/1.1\r"),
    "a space in the target": line(b"GET /a b HTTP/1.1\r\n"),
    "UTF-8 in the query": line("GET /?é HTTP/1.1\r\n".encode(), 2, "h11", "node"),
    "null in the target": line(b"GET /\0 HTTP/1.1\r\n"),
    "delete in the target": line(b"GET /\x7f HTTP/1.1\r\n"),
    "Latin-1 in the target": line(b"GET /\xe9 HTTP/1.1\r\n", 2, "h11", "node"),
    "a fragment": line(b"GET /a#b HTTP/1.1\r\n"),
    "a target without a slash": line(b"GET a HTTP/1.1\r\n"),
    "a query alone": line(b"GET ?a HTTP/1.1\r\n"),
    "no target": line(b"GET HTTP/1.1\r\n"),
    "no version": line(b"GET /\r\n"),
    "HTTP/0.9": line(b"GET / HTTP/0.9\r\n"),
    "HTTP/1.2": line(b"GET / HTTP/1.2\r\n"),
    "HTTP/2.0": line(b"GET / HTTP/2.0\r\n"),
    "HTTP/11": line(b"GET / HTTP/11\r\n"),
    "HTTP/1.10": line(b"GET / HTTP/1.10\r\n"),
    "http/1.1": line(b"GET / http/1.1\r\n"),
    "another protocol": line(b"GET / RTSP/1.1\r\n"),
    "HTTP/1.0": line(b"GET / HTTP/1.0\r\n", 1, "node"),
    "HTTP/1.0 that is kept": line(
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", 2, "h11", "node"
    ),
    "HTTP/2's preface": Case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
    "TLS": Case(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)), 0),
    # -- hosts
    "no host": host(b""),
    "no host in HTTP/1.0": Case(
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 2, ("h11", "node")
    ),
    "an empty host": host(b"Host:\r\n"),
    "two hosts": host(b"Host: a\r\nHost: b\r\n"),
    "one host twice": host(b"Host: a\r\nHost: a\r\n"),
    "two hosts in two cases": host(b"Host: a\r\nhOST: b\r\n"),
    "two hosts in one": host(b"Host: a, b\r\n"),
    "a comma": host(b"Host: a,b\r\n"),
    "a path": host(b"Host: a/b\r\n"),
    "a backslash": host(b"Host: a\\b\r\n"),
    "a query behind the host": host(b"Host: a?b\r\n"),
    "a fragment behind the host": host(b"Host: a#b\r\n"),
    "userinfo": host(b"Host: a@b\r\n"),
    "userinfo with a password": host(b"Host: a:b@c\r\n"),
    "a space in the host": host(b"Host: a b\r\n"),
    "a tab in the host": host(b"Host: a\tb\r\n"),
    "Latin-1 in the host": host(b"Host: \xe9\r\n"),
    "an open bracket": host(b"Host: [::1\r\n"),
    "a closed bracket": host(b"Host: ::1]\r\n"),
    "an address without brackets": host(b"Host: ::1\r\n"),
    "half a percent": host(b"Host: a%4\r\n"),
    "a port of words": host(b"Host: a:b\r\n"),
    "a port below 0": host(b"Host: a:-1\r\n"),
    "a port beyond all": host(b"Host: a:65536\r\n"),
    "a long port": host(b"Host: a:000080\r\n"),
    "two ports": host(b"Host: a:80:80\r\n"),
    "a scheme": host(b"Host: http://a\r\n"),
    "a port": host(b"Host: a:65535\r\n", 2),
    "a port of no digits": host(b"Host: a:\r\n", 2),
    "IPv4": host(b"Host: 127.0.0.1:80\r\n", 2),
    "IPv6": host(b"Host: [::1]:80\r\n", 2),
    "spaces around the host": host(b"Host: \t a \t\r\n", 2),
    "no space before the host": host(b"Host:a\r\n", 2),
    "absolute": line(b"GET http://a/b?c HTTP/1.1\r\n", 2),
    "absolute in capitals": line(b"GET HTTP://A/ HTTP/1.1\r\n", 2),
    "absolute without a path": line(b"GET http://a HTTP/1.1\r\n", 2),
    "absolute with a query alone": line(b"GET http://a?b HTTP/1.1\r\n", 2),
    "absolute without a host": line(b"GET http:///a HTTP/1.1\r\n"),
    "absolute with userinfo": line(b"GET http://a@b/ HTTP/1.1\r\n"),
    "absolute with a comma": line(b"GET http://a,b/ HTTP/1.1\r\n"),
    "absolute with a port of words": line(b"GET http://a:b/ HTTP/1.1\r\n"),
    "absolute with a port beyond all": line(b"GET http://a:99999/ HTTP/1.1\r\n"),
    "absolute with a Host that is none": Case(b"GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n", 0),
    "absolute without Host": Case(b"GET http://a/ HTTP/1.1\r\n\r\n", 0),
    # -- fields
    "no fields but the host": field(b"", 2),
    "repeated": field(b"X: a\r\nx: b\r\n", 2),
    "an empty value": field(b"X:\r\n", 2),
    "a tab in a value": field(b"X: a\tb\r\n", 2),
    "Latin-1 in a value": field(b"X: \xe9\xff\r\n", 2),
    "a name of all token characters": field(b"!#$%&'*+-.^_`|~9Az: a\r\n", 2),
    "no colon": field(b"X\r\n"),
    "no name": field(b": a\r\n"),
    "a space before the colon": field(b"X : a\r\n"),
    "a tab before the colon": field(b"X\t: a\r\n"),
    "a space before the name": field(b" X: a\r\n"),
    "a folded value": field(b"X: a\r\n b\r\n"),
    "a fold of a tab": field(b"X: a\r\n\tb\r\n"),
    "a space in a name": field(b"X Y: a\r\n"),
    "a bracket in a name": field(b"X[: a\r\n"),
    "Latin-1 in a name": field(b"X\xe9: a\r\n"),
    "null in a name": field(b"X\0: a\r\n"),
    "null in a value": field(b"X: a\0b\r\n"),
    "a control in a value": field(b"X: a\x01b\r\n"),
    "a vertical tab in a value": field(b"X: a\x0bb\r\n"),
    "delete in a value": field(b"X: a\x7f\r\n"),
    "CR in a value": field(b"X: a\rb\r\n"),
    "CR before the end of a line": field(b"X: a\r\r\n"),
    "bare LF behind a value": field(b"X: a\nY: b\r\n"),
    "bare CR behind a value": field(b"X: a\rY: b\r\n"),
    "a last line of a space": Case(PLAIN + b" \r\n\r\n", 0),
    "a last line of a CR": Case(PLAIN + b"\r\r\n", 0),
    "a last line of LF": Case(PLAIN + b"\n", 0),
    "256 fields": field(many(255), 2),
    "257 fields": field(many(256)),
    "20,000 fields": field(b"X:\r\n" * 20_000),
    "a head of 60 KiB": field(many(60, 1000), 2, "node"),
    "a head of 70 KiB": field(many(70, 1000)),
    "a target of 70 KiB": line(b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n"),
    # -- lengths
    "a length of 0": field(b"Content-Length: 0\r\n", 2),
    "a length": Case(PLAIN + b"Content-Length: 2\r\n\r\n[]", 2),
    "a length with zeros in front": Case(PLAIN + b"Content-Length: 002\r\n\r\n[]", 2),
    "a length with spaces around": Case(PLAIN + b"Content-Length: \t2 \r\n\r\n[]", 2),
    "a length of words": field(b"Content-Length: two\r\n"),
    "a length below 0": field(b"Content-Length: -2\r\n"),
    "a length with a plus": field(b"Content-Length: +0\r\n"),
    "a length in hexadecimal": field(b"Content-Length: 0x0\r\n"),
    "a length with an underscore": field(b"Content-Length: 0_0\r\n"),
    "a length with a space": field(b"Content-Length: 0 0\r\n"),
    "a length with a fraction": field(b"Content-Length: 0.0\r\n"),
    "a length of other digits": field(b"Content-Length: \xb2\r\n"),
    "an empty length": field(b"Content-Length:\r\n"),
    "a length beyond all": field(b"Content-Length: 99999999999999999999\r\n"),
    "two lengths": field(b"Content-Length: 0\r\nContent-Length: 5\r\n"),
    "one length twice": field(b"Content-Length: 0\r\nContent-Length: 0\r\n"),
    "one length twice in one": field(b"Content-Length: 0, 0\r\n"),
    "a length and chunks": Case(
        PLAIN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0
    ),
    "chunks and a length": Case(
        PLAIN + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 0
    ),
    "a length that is longer than what comes": Case(
        PLAIN + b"Content-Length: %d\r\n\r\n" % (len(SECOND) + 1), 0
    ),
    "a length that takes the second for a body": Case(
        PLAIN + b"Content-Length: %d\r\n\r\n" % len(SECOND), 1
    ),
    "a length and an offer of another protocol": Case(
        PLAIN + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n[]",
        2,
        ("node",),
    ),
    # -- codings
    "chunked": chunks(b"2\r\n[]\r\n0\r\n\r\n", 2),
    "chunked in capitals": Case(
        PLAIN + b"Transfer-Encoding: CHUNKED\r\n\r\n2\r\n[]\r\n0\r\n\r\n", 2
    ),
    "chunked with spaces around": Case(
        PLAIN + b"Transfer-Encoding: \t chunked \r\n\r\n0\r\n\r\n", 2
    ),
    "chunks and an offer of another protocol": Case(
        PLAIN + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n[]\r\n0\r\n\r\n",
        2,
        ("node",),
    ),
    "chunked in HTTP/1.0": Case(
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        1,
    ),
    "gzip": field(b"Transfer-Encoding: gzip\r\n"),
    "identity": field(b"Transfer-Encoding: identity\r\n"),
    "an empty coding": field(b"Transfer-Encoding:\r\n"),
    "gzip, chunked": Case(PLAIN + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0),
    "chunked, gzip": Case(PLAIN + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 0),
    "chunked twice": Case(PLAIN + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 0),
    "chunked in two fields": Case(
        PLAIN + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0
    ),
    "chunked behind a vertical tab": Case(
        PLAIN + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 0
    ),
    "chunked in quotes": Case(PLAIN + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 0),
    "xchunked": Case(PLAIN + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0),
    "chunked;q=1": Case(PLAIN + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 0),
    # -- chunks
    "no chunks": chunks(b"0\r\n\r\n", 2),
    "zeros": chunks(b"0000\r\n\r\n", 2),
    "capitals": chunks(b"A\r\n0123456789\r\n0\r\n\r\n", 2),
    "a size of words": chunks(b"zz\r\n[]\r\n0\r\n\r\n"),
    "a size below 0": chunks(b"-0\r\n\r\n"),
    "a size with a plus": chunks(b"+0\r\n\r\n"),
    "a size with 0x": chunks(b"0x0\r\n\r\n"),
    "a size with an underscore": chunks(b"0_0\r\n\r\n"),
    "a size beyond all": chunks(b"10000000000000000\r\n\r\n"),
    "no size": chunks(b"\r\n\r\n"),
    "a space before a size": chunks(b" 0\r\n\r\n"),
    "a space behind a size": chunks(b"0 \r\n\r\n"),
    "a tab behind a size": chunks(b"0\t\r\n\r\n"),
    "CR behind a size": chunks(b"0\r\r\n\r\n"),
    "bare LF behind a size": chunks(b"2\n[]\r\n0\r\n\r\n"),
    "bare LFs at the end": chunks(b"0\n\n"),
    "bare LF behind the last size": chunks(b"0\n\r\n"),
    "a last line of bare LF": chunks(b"0\r\n\n"),
    "a last line of a space in chunks": chunks(b"0\r\n \r\n"),
    "a last line of a tab": chunks(b"0\r\n\t\r\n"),
    "a last line of a vertical tab": chunks(b"0\r\n\x0b\r\n"),
    "a last line of a CR in chunks": chunks(b"0\r\n\r\r\n"),
    "no last line": chunks(b"0\r\n"),
    "a chunk too long": chunks(b"2\r\n[]]\r\n0\r\n\r\n"),
    "a chunk too short": chunks(b"3\r\n[]\r\n0\r\n\r\n"),
    "no end of a chunk": chunks(b"2\r\n[]0\r\n\r\n"),
    "bare LF behind a chunk": chunks(b"2\r\n[]\n0\r\n\r\n"),
    "bare CR behind a chunk": chunks(b"2\r\n[]\r0\r\n\r\n"),
    "other bytes behind a chunk": chunks(b"2\r\n[]XX0\r\n\r\n"),
    "an extension": chunks(b"0;a\r\n\r\n", 2, "tornado"),
    "an extension with a value": chunks(b"0;a=b\r\n\r\n", 2, "tornado"),
    "an extension in quotes": chunks(b'0;a="b; \\"c"\r\n\r\n', 2, "tornado"),
    "two extensions": chunks(b'2;a="";b=c\r\n[]\r\n0;a;b\r\n\r\n', 2, "tornado"),
    "an extension without a name": chunks(b"0;\r\n\r\n"),
    "an extension of a value alone": chunks(b"0;=b\r\n\r\n"),
    "an extension without its value": chunks(b"0;a=\r\n\r\n"),
    "an extension with a space": chunks(b"0;a b\r\n\r\n"),
    "an extension in open quotes": chunks(b'0;a="b\r\n\r\n'),
    "an extension behind its quotes": chunks(b'0;a="b"c\r\n\r\n'),
    "an extension with a CR": chunks(b"0;a\rb\r\n\r\n"),
    "an extension with an LF": chunks(b"2;a\n[]\r\n0\r\n\r\n"),
    "an extension with an LF in quotes": chunks(b'2;a="\n"\r\n[]\r\n0\r\n\r\n'),
    "an extension with a null": chunks(b"0;a\0\r\n\r\n"),
    "an extension of Latin-1": chunks(b"0;\xe9\r\n\r\n"),
    "an extension behind a comma": chunks(b"0,a\r\n\r\n"),
    "a line of 2,000 bytes": chunks(b"0;a=" + b"b" * 2000 + b"\r\n\r\n"),
    # -- trailers
    "a trailer": chunks(b"0\r\nX: a\r\n\r\n", 2, "tornado"),
    "two trailers": chunks(b"0\r\nX: a\r\nY:\r\n\r\n", 2, "tornado"),
    "a trailer without a colon": chunks(b"0\r\nX\r\n\r\n"),
    "a trailer without a name": chunks(b"0\r\n: a\r\n\r\n"),
    "a trailer with a space before its colon": chunks(b"0\r\nX : a\r\n\r\n"),
    "a trailer with a space in front": chunks(b"0\r\n X: a\r\n\r\n"),
    "a folded trailer": chunks(b"0\r\nX: a\r\n b\r\n\r\n"),
    "a trailer that ends in bare LF": chunks(b"0\r\nX: a\n\r\n"),
    "a trailer behind which is bare LF": chunks(b"0\r\nX: a\r\n\n"),
    "a trailer that ends in two CRs": chunks(b"0\r\nX: a\r\r\n\r\n"),
    "a trailer with a null": chunks(b"0\r\nX: \0\r\n\r\n"),
    "a length as a trailer": chunks(b"0\r\nContent-Length: 5\r\n\r\n"),
    "a coding as a trailer": chunks(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "300 trailers": chunks(b"0\r\n" + many(300) + b"\r\n"),
    "trailers of 70 KiB": chunks(b"0\r\n" + many(70, 1000) + b"\r\n"),
    "trailers that end with the second request": chunks(b"0\r\nX: ", 1, "tornado"),
}


class Counted:
    """Responds to every request that is read whole."""

    async def receive(self, _request: Request, body: Body) -> tuple[SentResponse, None]:
        try:
            await body.read(1_000_000)
        except BodyError:
            return SentResponse(status=400, headers=(), body=b""), None
        return OK, None


@pytest.fixture(scope="module")
def ours() -> Iterator[int]:
    server = ServerThread(
        bind("127.0.0.1", 0),
        Counted(),
        Clock(),
        max_connections=100,
        header_timeout=30.0,
        body_timeout=30.0,
    )
    server.start()
    yield server.port
    server.stop()


@pytest.fixture(scope="module")
def tornado() -> Iterator[int]:
    def respond(request: Any) -> None:
        request.connection.write_headers(
            ResponseStartLine("HTTP/1.1", 200, "OK"), HTTPHeaders({"Content-Length": "2"}), b"ok"
        )
        request.connection.finish()

    ready, ports = threading.Event(), []
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        [listening] = bind("127.0.0.1", 0)
        server = HTTPServer(respond)
        server.add_sockets([listening])
        ports.append(listening.getsockname()[1])
        ready.set()
        await ended.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    yield ports[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(30)
    loop.close()


@pytest.fixture(scope="module")
def node() -> Iterator[int]:
    program = shutil.which("node")
    if program is None:
        if os.environ.get("HOOKNB_REQUIRE_NODE") == "1":
            pytest.fail("node is not here, and HOOKNB_REQUIRE_NODE=1 asks for it")
        pytest.skip("node is not here")
    process = subprocess.Popen(
        [program, str(Path(__file__).with_name("messages.mjs"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.communicate(timeout=30)


def responses(port: int, raw: bytes) -> int:
    """Send bytes, and count the responses that say that a request was read whole."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with contextlib.suppress(OSError):  # it may have hung up by then
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                received += piece
    return received.count(b"HTTP/1.1 200 ")


def read_by_h11(raw: bytes) -> int:
    """Count the messages that h11 reads."""
    connection, count = h11.Connection(h11.SERVER), 0
    connection.receive_data(raw)
    # A local error: what is sent does not fit, as where h11 takes the request for a CONNECT.
    with contextlib.suppress(h11.RemoteProtocolError, h11.LocalProtocolError):
        while True:
            event = connection.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                break
            if isinstance(event, h11.EndOfMessage):
                count += 1
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE:
                    break
                connection.start_next_cycle()
    return count


def test_the_table_has_at_least_120_cases():
    assert len(CASES) >= 120


@pytest.mark.parametrize("name", CASES)
def test_a_request_is_read_as_so_many_messages(ours, name):
    case = CASES[name]
    assert responses(ours, case.raw + SECOND) == case.expected


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reader", ["tornado", "h11", "node"])
def test_no_request_is_read_as_more_messages_than_others_read(request, reader, name):
    case = CASES[name]
    raw = case.raw + SECOND
    read = read_by_h11 if reader == "h11" else partial(responses, request.getfixturevalue(reader))
    assert read(raw) >= case.expected or reader in case.less
