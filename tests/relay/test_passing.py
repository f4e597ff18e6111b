"""Through the relay to a kernel and back: what passes, and what does not."""

from __future__ import annotations

import gzip
import json
import os
import socket
from base64 import b64encode
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import hooknb
from hooknb.errors import PublicationError, SettingError
from hooknb.payloads.headers import Headers
from hooknb.relay import limits
from hooknb.relay.limits import Limits
from hooknb.relay.passage import Passage, RefusedError
from hooknb.relay.registrations import PublishedHook
from hooknb.workflow.auth import Outgoing
from served import BASE, KEY, SECRET, TOKEN, RelayServer, kernel, read_request, register, until
from wire import Wire, exchange

if TYPE_CHECKING:
    from pathlib import Path

GREEDY = ["G" * 22, "H" * 22]
OTHER = "O" * 22
KEPT = PublishedHook(status_while_away=202, max_body=1000)


def test_a_published_hook_is_reached_without_a_token(published, relay) -> None:
    hook = published.webhook("orders", response=hooknb.Response(201, body={"ok": True}))
    before, local = hook.url, hook.local_url
    assert not hook.published
    assert relay.send(hook.key, b"{}").status == 404

    assert hook.publish() == hook.url == f"{relay.url}hooknb/{hook.key}"
    assert hook.published
    assert hook.local_url == local
    body = b'{"a":  [1, 9007199254740993]}\n'
    response = relay.send(hook.key, body, query="a=1&b=%zz&c")
    assert (response.status, json.loads(response.body)) == (201, {"ok": True})
    kept = hook.delivery(response.delivery)
    assert (kept.raw, kept.query_string, kept.method) == (body, "a=1&b=%zz&c", "POST")
    assert hook.send(json=1).status == 201  # to itself, not through the server

    hook.unpublish()
    hook.unpublish()
    assert hook.url == before
    assert relay.send(hook.key, body).status == 404
    hook.publish()
    hook.close()
    assert relay.send(hook.key, body).status == 404
    assert list(relay.folder.glob("*.json")) == []


def test_what_is_appended_to_the_url_passes_without_the_token(published, relay) -> None:
    hook = published.webhook("alerts", subpaths=True)
    hook.publish()
    for appended, kept in (
        ("/api/v2/alerts", "/api/v2/alerts"),
        ("/a%2Fb//c/", "/a%2Fb//c/"),
        ("/", ""),
        (f"/a/{TOKEN}/b", "/a/b"),
    ):
        response = relay.send(hook.key + appended, b"{}", query="q=1")
        assert response.status == 200, appended
        delivery = hook.delivery(response.delivery)
        assert (delivery.subpath, delivery.query_string) == (kept, "q=1")
    hook.configure(subpaths=False)
    response = relay.send(f"{hook.key}/api", b"{}")
    assert response.status == 404
    assert hook.delivery(response.delivery).reason == "subpath"


def test_bytes_pass_as_they_came(published, relay) -> None:
    hook = (
        published.webhook("orders", methods="*", accept="*/*").publish()
        and published.hooks["orders"]
    )
    every = bytes(range(256)) * 300
    packed = gzip.compress(b'{"a": 1}')
    response = relay.send(hook.key, every, fields=(("Content-Type", "application/x-any"),))
    assert hook.delivery(response.delivery).raw == every
    response = relay.send(
        hook.key,
        packed,
        fields=(("Content-Type", "application/json"), ("Content-Encoding", "gzip")),
    )
    kept = hook.delivery(response.delivery)
    assert (kept.raw, kept.body) == (packed, {"a": 1})
    chunked = (
        f"PUT {BASE}hooknb/{hook.key} HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    with Wire(relay.port) as wire:
        wire.send(chunked.encode())
        assert wire.response().status == 100
        kept = hook.delivery(wire.response().delivery)
    assert (kept.raw, kept.method) == (b"abcde", "PUT")


def test_every_method_passes_that_has_a_name_of_its_own(published, relay) -> None:
    hook = published.webhook("orders", methods="*")
    hook.publish()
    for method in ("GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "QUERY", "PROPFIND"):
        response = relay.send(hook.key, method=method, fields=())
        assert response.status == 200, method
        assert hook.delivery(response.delivery).method == method
        assert response.body == (b"" if method == "HEAD" else b"ok")
    # Those of the handler itself are no methods.
    assert relay.send(hook.key, method="FINISH").status == 405


def test_fields_pass_in_order_and_without_what_is_the_servers(published, relay) -> None:
    seen = []
    hook = published.webhook("orders", nodes=[lambda context: seen.append(dict(context.headers))])
    hook.publish()
    response = relay.send(
        hook.key,
        b"{}",
        host="localhost:1",
        query=f"a=1&token={TOKEN}&%74oken=x&b=x{TOKEN}y&_xsrf=x&c=2",
        fields=(
            ("x-first", "1"),
            ("Content-Type", "application/json"),
            ("Authorization", f"token {TOKEN}"),
            ("Cookie", "_xsrf=1; jupyter=2"),
            ("X-XSRFToken", "1"),
            ("Connection", "keep-alive, X-Hop, Host"),
            ("Keep-Alive", "timeout=5"),
            ("X-Hop", "1"),
            ("TE", "trailers"),
            ("Upgrade", "websocket"),
            ("Proxy-Authorization", "Basic eA=="),
            ("Referer", f"http://localhost/lab?token={TOKEN}"),
            ("X-Hooknb-Relay", SECRET),
            ("X-Hooknb-Remote", "203.0.113.9"),
            ("X-Hooknb-Received", "1"),
            ("X-Signature", "sha256=ä"),
            ("X-Twice", "1"),
            ("X-Twice", "2"),
        ),
    )
    kept = hook.delivery(response.delivery)
    assert kept.query_string == "a=1&c=2"
    assert list(kept.headers) == [
        ("Host", "localhost:1"),
        ("X-First", "1"),
        ("Content-Type", "application/json"),
        ("X-Signature", "sha256=ä"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
        ("Content-Length", "2"),
    ]
    assert kept.remote == "127.0.0.1"
    hook.wait()
    (headers,) = seen
    assert not [name for name in headers if name.lower().startswith("x-hooknb-re")]
    assert TOKEN not in repr((kept, seen, hook.frame("deliveries", body=True).to_dict()))


@pytest.mark.parametrize(
    ("scheme", "passes"),
    [("Basic c2hvcDpzM2NyZXQ=", True), ("Bearer of-the-sender", True), (f"Bearer {TOKEN}", False)]
    + [
        (f"Basic {b64encode(pair.encode()).decode()}", False)
        for pair in (f"me:{TOKEN}", f"{TOKEN}:")
    ]
    + [("token\tof-a-user-of-the-hub", False)],
)
def test_only_the_servers_own_credentials_are_taken_out(scheme, passes, folder, relay) -> None:
    came = []

    def response(connection: socket.socket) -> None:
        came.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with kernel(response) as port:
        register(folder, port)
        assert relay.send(fields=(("Authorization", scheme),)).status == 200
    assert (scheme.encode() in came[0]) is passes
    assert b"\r\nX-Hooknb-Relay: " + SECRET.encode() in came[0]
    assert f"POST /hook/{KEY} HTTP/1.1\r\n".encode() in came[0]


def test_the_senders_address_is_believed_of_the_relay_only(published, relay) -> None:
    hook = published.webhook("orders")
    hook.publish()
    port = int(hook.local_url.split(":")[2].split("/")[0])

    def direct(*fields: str, host: str = "localhost") -> tuple[int, object]:
        head = "\r\n".join([f"POST /hook/{hook.key} HTTP/1.1", f"Host: {host}", *fields])
        response = exchange(port, f"{head}\r\nContent-Length: 0\r\n\r\n".encode())
        number = response.header("X-Hooknb-Delivery")
        return response.status, None if number is None else hook.delivery(int(number))

    status, kept = direct("X-Hooknb-Remote: 203.0.113.9", "X-Hooknb-Received: 1")
    assert (status, kept.remote) == (200, "127.0.0.1")
    assert [name for name, _ in kept.headers] == ["Host", "Content-Length"]
    assert direct("X-Hooknb-Relay: wrong", "X-Hooknb-Remote: 203.0.113.9") == (404, None)
    assert direct("X-Hooknb-Relay: ", "X-Hooknb-Remote: 203.0.113.9") == (404, None)

    secret = json.loads(next(relay.folder.glob("*.json")).read_bytes())["secret"]
    status, kept = direct(
        f"x-hooknb-relay: {secret}",
        "X-Hooknb-Remote: 2001:db8::1",
        "X-Hooknb-Received: 1700000000000000",
        host="elsewhere.example",
    )
    assert (status, kept.remote) == (200, "2001:db8::1")
    assert kept.received_at.year == 2023
    status, kept = direct(f"X-Hooknb-Relay: {secret}", "X-Hooknb-Remote: <script>")
    assert (status, kept.remote) == (200, "127.0.0.1")
    assert [name for name, _ in kept.headers] == ["Host", "Content-Length"]
    assert secret not in repr(
        (kept, hook, published, hook.frame("deliveries", body=True).to_dict())
    )

    other = published.webhook("other")  # served there, and not published
    hook_key, hook_url = other.key, f"POST /hook/{other.key} HTTP/1.1\r\n"
    raw = f"{hook_url}Host: localhost\r\nX-Hooknb-Relay: {secret}\r\nContent-Length: 0\r\n\r\n"
    assert exchange(port, raw.encode()).status == 404
    assert relay.send(hook_key).status == 404


def test_a_signature_of_the_public_url_verifies_through_the_relay(published, relay) -> None:
    auth = hooknb.Signature("square", secret="s3cret")
    hook = published.webhook("orders", auth=auth, subpaths=True)
    hook.publish()
    request = Outgoing(
        method="POST",
        query="a=1",
        fields=Headers([("Content-Type", "application/json")]),
        content=b"{}",
        subpath="/below",
        url=hook.url,
    )
    signed = auth.apply(request)

    def send(query: str) -> int:
        key = f"{hook.key}{request.subpath}"
        return relay.send(key, b"{}", query=query, fields=tuple(signed.fields)).status

    assert send("a=1") == 200
    assert send("a=2") == 401
    assert hook.send(json=1).status == 200  # signed for the URL of this machine
    elsewhere = auth.apply(replace(request, url="https://elsewhere.example/hooknb/key"))
    signed = elsewhere
    assert send("a=1") == 401


def test_an_answer_is_never_a_page_of_the_server(published, relay) -> None:
    page = "<script>alert(document.cookie)</script>"
    hook = published.webhook(
        "page",
        sync=True,
        methods="*",
        nodes=[
            hooknb.Response(
                200,
                headers={
                    "Content-Type": "{{ query.type }}",
                    "Set-Cookie": "a=b",
                    "Location": "{{ query.to }}",
                    "Refresh": "0; url=https://evil.example",
                    "Access-Control-Allow-Origin": "*",
                    "Clear-Site-Data": '"*"',
                    "Service-Worker-Allowed": "/",
                    "X-Accel-Redirect": "/etc/passwd",
                    "Content-Security-Policy": "default-src *",
                    "Link": "<https://evil.example>; rel=preload",
                    "X-Request-Id": "7",
                },
                body=page,
            )
        ],
    )
    hook.publish()
    for sent, comes in {
        "text/html": "text/plain",
        "TEXT/HTML; charset=utf-8": "text/plain; charset=utf-8",
        "application/xhtml%2Bxml": "text/plain",
        "image/svg%2Bxml": "text/plain",
        "text/xml;charset=utf-7": "text/plain",
        "text/javascript": "text/plain",
        "text/css": "text/plain",
        "multipart/x-mixed-replace; boundary=x": "application/octet-stream",
        "application/pdf": "application/octet-stream",
        "application/x-shockwave-flash": "application/octet-stream",
        "text/html, application/json": "text/plain",
        "application/json": "application/json",
        "application/ld%2Bjson; charset=UTF-8": "application/ld+json; charset=utf-8",
        "image/png": "image/png",
        "": "application/octet-stream",
    }.items():
        response = relay.send(
            hook.key, method="GET", query=f"type={sent}&to=javascript:alert(1)".replace(" ", "%20")
        )
        assert response.status == 200
        assert response.body == page.encode()
        assert response.header("Content-Type") == comes, sent
        names = {name.lower() for name, _ in response.headers}
        assert names == {
            *("content-type", "x-content-type-options", "content-security-policy", "date"),
            *("cross-origin-resource-policy", "referrer-policy", "cache-control", "x-request-id"),
            *("content-length", "x-hooknb-delivery"),
        }
        assert response.header("X-Content-Type-Options") == "nosniff"
        assert response.header("Content-Security-Policy").startswith("sandbox;")


@pytest.mark.parametrize(
    "spelling",
    [
        *("localhost", "LOCALHOST", "x.localhost", "127.0.0.1", "127.1", "127.0.0.2", "2130706433"),
        *("0x7f.1", "0x7F000001", "0177.1", "017700000001", "[::1]", "[::ffff:127.0.0.1]"),
        *("[::ffff:7f00:1]", "[::127.0.0.1]", "[0:0::1]", "127.1.", "%6cocalhost", "0"),
        *("0.0.0.0",),  # noqa: S104 - compared, not bound
        *("[::]", "hub.example", "HUB.example.", "127.0.0.0x100", "192.0.2.7", "3221225991"),
        *(
            "local%C2%ADhost",
            "%EF%BD%8Cocalhost",
            "127%E3%80%820.0.1",
            "%EF%BC%91%EF%BC%92%EF%BC%97.1",
        ),
        *("localhost..", "[::1%25lo]", "hub%E3%80%82example"),
    ],
)
def test_every_spelling_of_its_own_address_is_the_servers(spelling, folder, relay) -> None:
    def response(connection: socket.socket) -> None:
        read_request(connection)
        head = f"HTTP/1.1 303 x\r\nLocation: http://{spelling}:9/lab\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())

    with kernel(response) as port:
        register(folder, port, hosts=("hub.example",))
        assert relay.send(host="192.0.2.7").header("Location") is None


@pytest.mark.parametrize("token", ["a-token/of-two/segments", "a-token&of=two&parameters"])
def test_a_token_that_a_url_splits_is_taken_out(token, folder, relay) -> None:
    came = []

    def response(connection: socket.socket) -> None:
        came.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    relay.token = token
    with kernel(response) as port:
        register(folder, port)
        for spelled in (token, token.replace("of", "%6ff")):
            came.clear()
            assert relay.send(f"{KEY}/a/{spelled}/b", query=f"a=1&{spelled}&b=2").status == 200
            head = came[0].partition(b"\r\n")[0].replace(b"%6f", b"o")
            assert head.startswith(f"POST /hook/{KEY}".encode())
            assert token.encode() not in head


@pytest.mark.parametrize("times", [1, 2, 3, 30])
def test_tokens_are_taken_out_however_often_they_are_encoded(times, folder, relay) -> None:
    came = []

    def response(connection: socket.socket) -> None:
        came.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    token, name = (f"%{ord(text[0]):02x}{text[1:]}" for text in (TOKEN, "token"))
    for _ in range(times - 1):
        token, name = token.replace("%", "%25"), name.replace("%", "%25")
    query = f"a=1&b={token}&{token}=1&{token}&{name}=x&c=100%25"
    fields = (("X-Key", f"x{token}"), ("Referer", f"/?{name}=secret"), ("X-Kept", "100%25"))
    with kernel(response) as port:
        register(folder, port)
        assert relay.send(query=query, fields=fields).status == 200
    assert b"?a=1&c=100%25 HTTP/1.1\r\n" in came[0]
    assert b"X-Kept: 100%25" in came[0]
    assert TOKEN[1:].encode() not in came[0]
    assert b"secret" not in came[0]


def test_tokens_in_the_names_of_fields_are_taken_out(folder, relay) -> None:
    came = []

    def response(connection: socket.socket) -> None:
        came.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with kernel(response) as port:
        register(folder, port)
        fields = ((TOKEN, "1"), (f"X-{TOKEN}", "1"), (TOKEN.upper(), "1"), ("X-Kept", "1"))
        assert relay.send(fields=fields).status == 200
    assert b"X-Kept: 1" in came[0]
    assert TOKEN.encode() not in came[0].lower()


@pytest.mark.parametrize(
    ("to", "passes"),
    [
        ("https://shop.example/thanks?a=1", True),
        ("javascript:alert(1)", False),
        ("//evil.example", False),
        ("/user/someone/api/kernels", False),
        ("http://localhost:9/user/someone/lab", False),
        ("http://LOCALHOST/x", False),
        ("http://localhost./x", False),
        ("data:text/html,x", False),
        ("http:\\\\evil.example", False),
        ("https://localhost@evil.example/", False),
    ],
)
def test_nobody_is_sent_back_to_the_server(to, passes, folder, relay) -> None:
    def response(connection: socket.socket) -> None:
        read_request(connection)
        head = f"HTTP/1.1 303 See Other\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())

    with kernel(response) as port:
        register(folder, port)
        answered = relay.send()
    assert answered.status == 303
    assert answered.header("Location") == (to if passes else None)


def test_refusals_of_the_hook_pass(published, relay) -> None:
    hook = published.webhook("orders", auth=hooknb.BasicAuth("shop", "s3cret"))
    hook.publish()
    response = relay.send(hook.key, b"{}")
    assert response.status == 401
    assert response.header("WWW-Authenticate") == 'Basic realm="hooknb", charset="UTF-8"'
    assert response.header("Content-Type") == "application/problem+json"
    assert relay.send(hook.key, method="PUT").header("Allow") == "POST"
    hook.enabled = False
    assert relay.send(hook.key).status == 404
    assert hook.deliveries["reason"].tolist() == ["no credentials", "method", "disabled"]


def test_a_changed_hook_is_known_to_the_relay(published, relay) -> None:
    hook = published.webhook("orders", max_body=10)
    hook.publish()
    assert relay.send(hook.key, b"1" * 11).status == 413
    hook.configure(max_body=11)
    assert relay.send(hook.key, b"1" * 11).status == 200
    known = json.loads(next(relay.folder.glob("*.json")).read_bytes())["hooks"][hook.key]
    assert known == {"status_while_away": 202, "max_body": 11}
    hook.configure(sync=True)
    known = json.loads(next(relay.folder.glob("*.json")).read_bytes())["hooks"][hook.key]
    assert known == {"status_while_away": 503, "max_body": 11}


def test_what_is_not_there_gets_the_same_answer(published, relay, folder) -> None:
    hook = published.webhook("orders")
    responses = [
        relay.send(key, body, method=method)
        for key in (KEY, hook.key, "x", f"{KEY}/more", "..%2f..%2fapi", "%00", "a" * 5000)
        for method, body in (("POST", b"{}"), ("GET", b""), ("POST", b"x" * 1_000_000))
    ]
    assert {response.status for response in responses} == {404}
    assert len({(response.body, response.header("Content-Type")) for response in responses}) == 1
    assert hook.deliveries.empty
    assert not folder.exists()


def test_hosts_that_are_not_the_servers_are_refused(folder) -> None:
    register(folder, hosts=("hub.example",))
    server = RelayServer(folder, own_hosts=frozenset({"box.local"}))
    try:
        for host in ("evil.example", "127.0.0.1.evil.example", "[", "evil.example:80"):
            assert server.send(host=host).status in {400, 403}, host
        for host in ("box.local", "hub.example:8443", "127.0.0.1:1", "[::1]", "a.localhost"):
            assert server.send(host=host).status == 202, host
    finally:
        server.close()


@pytest.mark.parametrize(
    "raw",
    [
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-A: 1\rX-Hooknb-Relay: 2\r\n\r\n",
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-A: a\0b\r\n\r\n",
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nX A: 1\r\n\r\n",
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\n X-Hooknb-Relay: 2\r\n\r\n",
        "POST {path}?a=\rb HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 2\r\n\r\nab",
        "POST {path} HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_no_header_is_injected(raw, folder, relay) -> None:
    came = []

    def response(connection: socket.socket) -> None:
        came.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with kernel(response) as port:
        register(folder, port)
        with Wire(relay.port) as wire:
            wire.send(raw.format(path=f"{BASE}hooknb/{KEY}").encode())
            assert b" 400 " in wire.rest()[:20]
        assert relay.send(query="a=%0d%0aX-B:1").status == 200
    assert len(came) == 1
    assert b"?a=%0d%0aX-B:1 HTTP/1.1\r\n" in came[0]


@pytest.mark.parametrize("line", ["X-Request-Id: a\0b", "Retry-After: 5\rSet-Cookie: a=b", "X: y"])
def test_no_header_is_injected_into_an_answer(line, folder, relay) -> None:
    def response(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(f"HTTP/1.1 200 O\x0bK\r\n{line}\r\nContent-Length: 2\r\n\r\nok".encode())

    with kernel(response) as port:
        register(folder, port)
        answered = relay.send()
    assert (answered.status, answered.body) == (200, b"ok")
    assert answered.header("Set-Cookie") is None
    assert answered.header("Retry-After") is None


# -- what is bounded ----------------------------------------------------------------------------


def test_a_kernel_that_never_answers(folder) -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # connections wait in its backlog for ever
    server = RelayServer(folder, Limits(response_timeout=0.2))
    try:
        register(folder, silent.getsockname()[1])
        response = server.send(body=b"{}")
        assert (response.status, response.header("Content-Type")) == (
            504,
            "application/problem+json",
        )
    finally:
        server.close()
        silent.close()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n",
        b"",
    ],
)
def test_an_answer_of_a_gigabyte(head, folder, relay) -> None:
    sent = []

    def response(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head)
        piece = b"x" * 2**20
        for _ in range(1024):
            connection.sendall(piece)
            sent.append(1)

    with kernel(response) as port:
        register(folder, port)
        answered = relay.send()
    assert answered.status == 502
    assert len(answered.body) < 1000
    assert len(sent) < 64


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 100 Go\r\n\r\n", b"HTTP/1.1 2"])
def test_what_is_no_answer(said, folder, relay) -> None:
    def response(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(said)

    with kernel(response) as port:
        register(folder, port)
        assert relay.send().status == 502


def test_bodies_and_heads_have_a_most(published, relay) -> None:
    hook = published.webhook("orders", accept="*/*", max_body=1000)
    hook.publish()
    assert relay.send(hook.key, b"x" * 1000).status == 400
    assert relay.send(hook.key, b"x" * 1001).status == 413
    assert relay.send(hook.key, b"x" * 5_000_000).status == 413
    head = f"POST {BASE}hooknb/{hook.key} HTTP/1.1\r\nHost: localhost\r\n"
    chunks = b"".join(b"3e8\r\n" + b"x" * 1000 + b"\r\n" for _ in range(3)) + b"0\r\n\r\n"
    response = relay.exchange(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert response.status == 413
    # Beyond what is read and thrown away Tornado hangs up with a bare 400; 4,300 digits are the
    # most that Python reads as a number.
    for digits in (30, 4000, 5000):
        with socket.create_connection(("127.0.0.1", relay.port)) as sender:
            sender.sendall(f"{head}Content-Length: {'9' * digits}\r\n\r\n".encode())
            assert sender.recv(100).startswith(b"HTTP/1.1 400")
    assert relay.send(hook.key, fields=(("X-Long", "x" * 60_000),)).status == 431
    until(lambda: relay.passage.buffered == 0)


def test_rates_and_numbers_have_a_most(folder) -> None:
    register(folder)
    server = RelayServer(folder, Limits(rate_of_hook=0.001))
    try:
        assert server.send().status == 202
        limited = server.send()
        assert (limited.status, limited.header("Retry-After")) == (429, "5")
    finally:
        server.close()
    server = RelayServer(folder, Limits(max_concurrent_of_hook=1))
    head = f"POST {BASE}hooknb/{KEY} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"
    try:
        with Wire(server.port) as first:
            first.send(head.encode() + b"{")
            until(lambda: server.passage.buffered)
            assert server.send().status == 503
            first.send(b"}")
            assert first.response().status == 202
        with Wire(server.port) as gone:
            gone.send(head.encode() + b"{")
            until(lambda: server.passage.buffered)
        until(lambda: not server.passage.buffered)
        assert server.send().status == 202
    finally:
        server.close()


def test_who_knows_no_key_stops_nobody(folder) -> None:
    register(folder, started="ended")
    server = RelayServer(folder, Limits(rate=1, rate_of_hook=1000))
    try:
        assert {server.send("b" * 22).status for _ in range(10)} == {404}
        assert {server.send(host="evil.example").status for _ in range(10)} == {403}
        assert server.send().status == 202
    finally:
        server.close()


def test_one_hook_beyond_its_rate_stops_no_other(folder, monkeypatch) -> None:
    register(folder, hooks=dict.fromkeys([*GREEDY, OTHER], KEPT))
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: 1.0))
    for greedy in (GREEDY[:1], GREEDY):
        passage = Passage(folder, Limits(max_concurrent=10_000, max_concurrent_of_hook=10_000))
        refused = 0
        for _ in range(1500):
            for key in greedy:
                try:
                    passage.enter(key, "localhost")
                except RefusedError as error:
                    refused += error.response.status == 429
        assert refused >= 500
        for _ in range(100):
            passage.enter(OTHER, "localhost")


def test_slow_bodies_of_two_hooks_stop_no_other(folder) -> None:
    register(folder, started="ended", hooks=dict.fromkeys([*GREEDY, OTHER], KEPT))
    server = RelayServer(folder)
    heads = [
        f"POST {BASE}hooknb/{key} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"
        for key in GREEDY
    ]
    try:
        with ExitStack() as stack:
            for _ in range(34):
                for head in heads:
                    stack.enter_context(Wire(server.port)).send(head.encode() + b"{")
            until(lambda: server.passage.buffered == 64)  # 32 of each; the others are refused
            assert server.send(OTHER).status == 202
            assert server.send(GREEDY[0]).status == 503
    finally:
        server.close()


def test_large_bodies_of_one_hook_stop_no_other(folder) -> None:
    register(folder, started="ended", hooks=dict.fromkeys([*GREEDY, OTHER], KEPT))
    server = RelayServer(folder, Limits(max_buffered=1000))
    head = f"POST {BASE}hooknb/{GREEDY[0]} HTTP/1.1\r\nHost: localhost\r\n".encode()
    try:
        with Wire(server.port) as one, Wire(server.port) as more:
            one.send(head + b"Content-Length: 1000\r\n\r\n" + b"x" * 400)
            until(lambda: server.passage.buffered == 400)
            more.send(head + b"Content-Length: 900\r\n\r\n" + b"x" * 500)
            until(lambda: server.send(OTHER, b"x" * 200).status == 202)
            more.send(b"x" * 400)
            assert more.response().status == 503
    finally:
        server.close()


def test_who_does_not_read_the_answer_is_left(folder) -> None:
    def response(connection: socket.socket) -> None:
        read_request(connection)
        body = b"x" * 8_000_000
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    server = RelayServer(folder, Limits(response_timeout=1, max_concurrent_of_hook=2))
    head = f"POST {BASE}hooknb/{KEY} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    try:
        with kernel(response) as port:
            register(folder, port)
            with Wire(server.port) as one, Wire(server.port) as other:
                one.send(head.encode())
                other.send(head.encode())
                until(lambda: server.passage.buffered == 16_000_000)
                assert server.send().status == 503  # they count as long as they are held
                until(lambda: server.passage.buffered == 0)
            answered = server.send()
            assert (answered.status, len(answered.body)) == (200, 8_000_000)
            until(lambda: server.passage.buffered == 0)
    finally:
        server.close()


def test_limits_are_configured() -> None:
    assert Limits.configured({"rate": 3}).rate == 3
    for wrong in ({"rat": 3}, {"rate": 0}, {"rate": "3"}, {"rate": True}):
        with pytest.raises(SettingError):
            Limits.configured(wrong)


# -- what cannot be published -------------------------------------------------------------------


def write_down(folder: Path, url: str) -> None:
    """Write a Jupyter server down, as one does that has started this process."""
    pid = os.getppid()
    folder.parent.mkdir(exist_ok=True)
    (folder.parent / f"jpserver-{pid}.json").write_text(json.dumps({"pid": pid, "url": url}))


def test_publishing_says_what_is_missing(folder: Path, runtime, relay, monkeypatch) -> None:
    hook = runtime.webhook("orders")
    with pytest.raises(PublicationError, match=r"no Jupyter server .*: start JupyterLab"):
        hook.publish()
    for url, said in (
        (f"{relay.url}api/", "responds with 403 .*; install hooknb"),
        (f"{relay.url}nothing/", "responds with 404 .*; install hooknb"),
        ("http://127.0.0.1:9/", "does not respond .*; start it again"),
    ):
        write_down(folder, url)
        with pytest.raises(PublicationError, match=f"the Jupyter server at {url} .*{said}"):
            hook.publish()
    assert not hook.published
    assert not list(folder.glob("*.json"))
    write_down(folder, relay.url)
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/someone/")
    with pytest.raises(PublicationError, match=r"JupyterHub.*open it in a browser.*PUBLIC_URL"):
        hook.publish()
    assert not hook.published
    monkeypatch.setenv("JUPYTERHUB_PUBLIC_URL", "https://hub.example/user/someone/")
    assert hook.publish() == f"https://hub.example/user/someone/hooknb/{hook.key}"
    monkeypatch.setenv("JUPYTERHUB_PUBLIC_URL", "")
    monkeypatch.setenv("JUPYTERHUB_PUBLIC_HUB_URL", "https://hub.example/base/hub/")
    assert hook.publish() == f"https://hub.example/user/someone/hooknb/{hook.key}"
    with pytest.raises(SettingError, match="while_away"):
        hook.publish(while_away=200)
    folder.chmod(0o755)
    with pytest.raises(PublicationError, match="chmod 700"):
        runtime.webhook("other").publish()
    folder.chmod(0o700)
    hook.close()
    with pytest.raises(hooknb.ServerError, match="closed"):
        hook.publish()
    with (
        hooknb.Runtime(port=0, deterministic=True) as guessed,
        pytest.raises(SettingError, match="guessed"),
    ):
        guessed.webhook("orders").publish()
    with (
        hooknb.Runtime(":memory:", host="127.0.0.2", port=0) as elsewhere,
        pytest.raises(SettingError, match="host"),
    ):
        elsewhere.webhook("orders").publish()


def test_a_server_that_redirects_to_a_login_is_not_the_relay(folder, runtime) -> None:
    def redirect(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")

    with kernel(redirect) as port:
        write_down(folder, f"http://127.0.0.1:{port}/")
        with pytest.raises(PublicationError, match=r"responds with 302 .*; install hooknb"):
            runtime.webhook("orders").publish()


def test_the_public_url_is_that_of_a_hook_once_it_is_published(published, relay) -> None:
    hook = published.webhook("orders")
    assert hook.url == hook.local_url
    assert hook.publish() == hook.url == f"{relay.url}hooknb/{hook.key}"
    hook.unpublish()
    assert hook.url == hook.local_url


def test_a_public_url_that_leads_nowhere_is_said(folder, relay) -> None:
    with hooknb.Runtime(":memory:", port=0, public_url=f"{relay.url}nothing/") as runtime:
        with pytest.raises(PublicationError, match=r"no Jupyter server .*; public_url is not"):
            runtime.webhook("orders").publish()
        write_down(folder, relay.url)  # its own address is what tells
        assert runtime.webhook("orders").publish().startswith(f"{relay.url}nothing/hooknb/")
