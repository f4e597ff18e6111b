from __future__ import annotations

import contextlib
import gzip
import json
import os
import resource
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

import hooknb
from hooknb import Hook, Response, Runtime
from hooknb.server import http, reader
from wire import SentResponse, Wire, exchange, request

JSON = ("Content-Type", "application/json")
Serve = Callable[..., Hook]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Give a function that makes a hook on a runtime of the given settings."""
    with contextlib.ExitStack() as stack:

        def make(settings: dict[str, Any], **hook_settings: Any) -> Hook:
            runtime = stack.enter_context(Runtime(":memory:", port=0, **settings))
            return runtime.webhook("orders", **hook_settings)

        yield make


@pytest.fixture
def hook(runtime: Runtime) -> Hook:
    return runtime.webhook("orders")


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def unsized(hook: Hook, *headers: tuple[str, str], query: str = "") -> bytes:
    """Write the head of a request without a length."""
    raw = request(hook, headers=(JSON, *headers), query=query)
    return raw.replace(b"Content-Length: 0\r\n", b"")


def check_problem(response: SentResponse, status: int) -> dict[str, Any]:
    """Check that an answer is a problem document, and give it."""
    assert response.status == status, response
    assert response.header("Content-Type") == "application/problem+json"
    problem = json.loads(response.body)
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert b"Traceback" not in response.body
    assert b".py" not in response.body
    return problem


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- what is kept ---------------------------------------------------------------------------------


def test_headers_keep_order_case_and_repeated_names(hook):
    fields = (
        ("X-B", "1"),
        ("x-a", "one"),
        ("X-b", "2"),
        ("X-A", "two"),
        ("X-B", ""),
        ("X-Late", "\xe9\xff"),
        ("x-b", "3, 4"),
        JSON,
    )
    response = exchange(hook, request(hook, b"{}", headers=fields))
    assert response.status == 200
    delivery = hook.delivery(response.delivery)
    assert delivery.headers == [("Host", "localhost"), *fields, ("Content-Length", "2")]
    assert delivery.header_map["x-B"] == "1, 2, , 3, 4"


def test_a_chunked_body_is_joined(hook):
    head = unsized(hook, ("Transfer-Encoding", "chunked"))
    response = exchange(hook, head + chunked(b'{"a"', b": [1,", b" 2]}"))
    assert response.status == 200
    delivery = hook.delivery(response.delivery)
    assert delivery.raw == b'{"a": [1, 2]}'
    assert delivery.body == {"a": [1, 2]}


def test_a_chunked_body_may_come_byte_by_byte(hook):
    with Wire(hook) as wire:
        body = chunked(b'{"a"', b": 1}")
        wire.send(unsized(hook, ("Transfer-Encoding", "chunked")))
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(body)):
            wire.send(body[at : at + 1])
        assert hook.delivery(wire.response().delivery).body == {"a": 1}


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("Deflate", lambda raw: zlib.compress(raw, wbits=-15)),
    ],
)
def test_a_compressed_body_is_kept_compressed_and_parsed(hook, coding, compress):
    raw = compress(b'{"a": "' + b"x" * 5000 + b'"}')
    for head, body in [
        (request(hook, raw, headers=(JSON, ("Content-Encoding", coding))), b""),
        (
            unsized(hook, ("Content-Encoding", coding), ("Transfer-Encoding", "chunked")),
            chunked(raw[:7], raw[7:]),
        ),
    ]:
        response = exchange(hook, head + body)
        assert response.status == 200
        delivery = hook.delivery(response.delivery)
        assert delivery.raw == raw
        assert delivery.size == len(raw)
        assert delivery.body == {"a": "x" * 5000}


def test_the_method_and_the_raw_query_are_kept(serve):
    hook = serve({}, methods="*")
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
        response = exchange(hook, request(hook, method=method, query="a=%zz&a=+&?b=/"))
        assert response.status == 200
        assert response.body == b"ok"
        delivery = hook.delivery(response.delivery)
        assert (delivery.method, delivery.query_string) == (method, "a=%zz&a=+&?b=/")


def test_head_is_answered_without_a_body(serve):
    hook = serve({}, methods="*")
    with Wire(hook) as wire:
        wire.send(request(hook, method="HEAD"))
        response = wire.response(head_only=True)
        assert (response.status, response.header("Content-Length")) == (200, "2")
        wire.send(request(hook, method="GET"))  # nothing of a body stands in between
        assert wire.response().body == b"ok"


# -- connections ----------------------------------------------------------------------------------


def test_a_connection_is_kept(hook):
    with Wire(hook) as wire:
        for number in range(5):
            wire.send(request(hook, b"%d" % number))
            assert hook.delivery(wire.response().delivery).body == number


def test_pipelined_requests_are_answered_in_order(hook):
    with Wire(hook) as wire:
        wire.send(b"".join(request(hook, b"%d" % number) for number in range(30)))
        ids = [wire.response().delivery for _ in range(30)]
    assert [hook.delivery(number).body for number in ids] == list(range(30))
    assert ids == sorted(ids)


def test_http_1_0_is_answered_and_hung_up_on_unless_it_asks_otherwise(hook):
    with Wire(hook) as wire:
        wire.send(request(hook, b"1").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert wire.response().status == 200
        assert wire.is_closed()
    kept = request(hook, b"1", headers=(JSON, ("Connection", "keep-alive")))
    with Wire(hook) as wire:
        for _ in range(2):
            wire.send(kept.replace(b"HTTP/1.1", b"HTTP/1.0"))
            response = wire.response()
            assert response.status == 200
            assert response.header("Connection") == "keep-alive"


def test_a_sender_that_asks_for_it_is_hung_up_on(hook):
    with Wire(hook) as wire:
        wire.send(request(hook, b"1", headers=(JSON, ("Connection", "close"))))
        response = wire.response()
        assert (response.status, response.header("Connection")) == (200, "close")
        assert wire.is_closed()


def test_a_sender_that_expects_100_is_told_to_go_on(hook):
    with Wire(hook) as wire:
        wire.send(request(hook, length=2, headers=(JSON, ("Expect", "100-continue"))))
        assert wire.response().status == 100
        wire.send(b"[]")
        response = wire.response()
        assert response.status == 200
    assert hook.delivery(response.delivery).raw == b"[]"


def test_a_sender_that_expects_100_is_refused_before_it_sends(serve):
    hook = serve({}, max_body=10)
    with Wire(hook) as wire:
        wire.send(request(hook, length=11, headers=(JSON, ("Expect", "100-continue"))))
        check_problem(wire.response(), 413)
        assert wire.is_closed()
    assert hook.deliveries["reason"].tolist() == ["too large"]


# -- too much -------------------------------------------------------------------------------------


def test_a_body_within_the_limit_is_taken(serve):
    hook = serve({}, max_body=1000)
    assert exchange(hook, request(hook, b'"' + b"x" * 998 + b'"')).status == 200
    assert exchange(hook, request(hook, b'"' + b"x" * 999 + b'"')).status == 413


def test_a_length_beyond_the_limit_is_refused_after_all_was_written(serve):
    hook = serve({}, max_body=100_000)
    body = b'"' + b"x" * (20 * 2**20) + b'"'
    with Wire(hook) as wire:
        wire.send(request(hook, body))  # more than any buffer of a socket holds
        check_problem(wire.response(), 413)
        assert wire.is_closed()
    [delivery] = [hook.delivery(number) for number in hook.deliveries.index]
    assert (delivery.outcome, delivery.reason) == ("refused", "too large")
    assert delivery.raw == body[: 64 * 1024]
    assert exchange(hook, request(hook, b"1")).status == 200


def test_a_chunked_body_that_grows_beyond_the_limit_is_refused(serve):
    hook = serve({}, max_body=100_000)
    head = unsized(hook, ("Transfer-Encoding", "chunked"))
    with Wire(hook) as wire:
        wire.send(head + chunked(*[b" " * 60_000] * 100))
        check_problem(wire.response(), 413)
        assert wire.is_closed()
    assert hook.deliveries["reason"].tolist() == ["too large"]
    assert len(hook.delivery(hook.deliveries.index[0]).raw) == 64 * 1024


def test_a_chunked_body_without_end_is_cut_off(serve):
    hook = serve({"body_timeout": 60.0}, max_body=1000)
    piece = b"%x\r\n%b\r\n" % (2**20, b" " * 2**20)
    with Wire(hook) as wire:
        wire.send(unsized(hook, ("Transfer-Encoding", "chunked")))
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                wire.send(piece)
            pytest.fail("a gigabyte was read")
    assert exchange(hook, request(hook, b"1")).status == 200


@pytest.mark.parametrize("is_pipelined", [False, True])
def test_a_sender_that_is_faster_than_the_server_does_not_hold_up_others(serve, is_pipelined):
    hook = serve({}, max_body=2**30)
    stop = threading.Event()
    piece = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" if is_pipelined else b"1\r\n \r\n"

    def send(wire: Wire) -> None:
        with contextlib.suppress(OSError):
            while not stop.is_set():
                wire.send(piece * 10_000)

    def receive(wire: Wire) -> None:
        with contextlib.suppress(OSError):
            while wire.socket.recv(2**20):
                pass

    with Wire(hook) as wire, ThreadPoolExecutor() as threads:
        if not is_pipelined:
            wire.send(unsized(hook, ("Transfer-Encoding", "chunked")))
        threads.submit(send, wire)
        threads.submit(receive, wire)
        try:
            for _ in range(3):
                assert exchange(hook, request(hook, b"1")).status == 200
        finally:
            stop.set()
            wire.socket.shutdown(socket.SHUT_RDWR)


def test_a_body_in_tiny_chunks_takes_no_more_memory_than_it_has_bytes(hook):
    raw = unsized(hook, ("Transfer-Encoding", "chunked")) + chunked(b"[ ", *[b"  "] * 50_000, b"1]")
    tracemalloc.start()
    try:
        assert exchange(hook, raw).status == 200
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_500_000


def test_a_content_type_that_cannot_be_read_gets_a_response(serve):
    hook = serve({}, accept=["*/*"])
    content_type = ("Content-Type", "application/json; charset*=x; charset*0*=y")
    response = exchange(hook, request(hook, b"[1]", headers=(content_type,)))
    assert hook.delivery(response.delivery).body == [1]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_grows_beyond_the_limit_when_decompressed_is_refused(serve, coding):
    hook = serve({}, max_body=100_000)
    plain = b'"' + b"x" * 50_000_000 + b'"'
    raw = gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)
    assert len(raw) < 100_000  # small enough as it is sent
    with Wire(hook) as wire:
        wire.send(request(hook, raw, headers=(JSON, ("Content-Encoding", coding))))
        check_problem(wire.response(), 413)
        assert wire.is_closed()
    assert hook.deliveries["reason"].tolist() == ["too large"]


# -- nonsense -------------------------------------------------------------------------------------

START = b"POST /hook/KEY HTTP/1.1\r\nHost: localhost\r\n"
BAD_HEADS = {
    "no words": b"\r\n \r\n\r\n",
    "one word": b"GET\r\n\r\n",
    "no version": b"POST /hook/KEY\r\n\r\n",
    "HTTP/2": b"POST /hook/KEY HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "spaces": b"POST /hook/KEY a HTTP/1.1\r\n\r\n",
    "null in target": b"POST /hook/KEY?\x00 HTTP/1.1\r\n\r\n",
    "null in name": START + b"X\x00: a\r\n\r\n",
    "null in value": START + b"X: a\x00b\r\n\r\n",
    "no colon": START + b"X\r\n\r\n",
    "no name": START + b": x\r\n\r\n",
    "carriage return": START + b"X: a\rb\r\n\r\n",
    "length of words": START + b"Content-Length: two\r\n\r\n[]",
    "length below 0": START + b"Content-Length: -2\r\n\r\n[]",
    "length with a plus": START + b"Content-Length: +2\r\n\r\n[]",
    "length of other digits": START + b"Content-Length: \xb2\r\n\r\n[]",
    "two lengths": START + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
    "length and chunks": START
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": START + b"Transfer-Encoding: gzip\r\n\r\n[]",
}
BAD_BODIES = {
    "chunks of words": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n",
    "chunks below 0": b"Transfer-Encoding: chunked\r\n\r\n-2\r\n[]\r\n0\r\n\r\n",
    "chunk too long": b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]]\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("raw", BAD_HEADS.values(), ids=BAD_HEADS)
def test_nonsense_is_answered_400_and_the_server_goes_on(hook, raw):
    with Wire(hook) as wire:
        wire.send(raw.replace(b"KEY", hook.key.encode()))
        response = wire.response()
        check_problem(response, 400)
        assert response.header("X-Hooknb-Delivery") is None
        assert wire.is_closed()
    assert exchange(hook, request(hook, b"1")).status == 200
    assert len(hook.deliveries) == 1


@pytest.mark.parametrize("raw", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_body_without_a_clear_end_is_refused_and_kept(hook, raw):
    with Wire(hook) as wire:
        wire.send(START.replace(b"KEY", hook.key.encode()) + raw)
        response = wire.response()
        check_problem(response, 400)
        assert wire.is_closed()
    delivery = hook.delivery(response.delivery)
    assert (delivery.outcome, delivery.reason) == ("refused", "malformed")
    assert exchange(hook, request(hook, b"1")).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        START + b"X: " + b"x" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 500_000,
        START + b"\r\n".join(b"X-%d: y" % n for n in range(256)) + b"\r\n\r\n",
        START + b"\r\n".join(b"X:" for _ in range(20_000)),
    ],
    ids=["a long field", "a long target", "257 fields", "20,000 fields"],
)
def test_a_head_that_is_too_large_gets_431_and_the_server_goes_on(hook, raw):
    with Wire(hook) as wire:
        with contextlib.suppress(ConnectionError):
            wire.send(raw)
        check_problem(wire.response(), 431)
        assert wire.is_closed()
    assert exchange(hook, request(hook, b"1")).status == 200


def test_a_head_of_20_000_fields_is_read_no_further_than_its_257th(hook, monkeypatch):
    read = []
    usual = reader._Message.on_header
    monkeypatch.setattr(
        reader._Message, "on_header", lambda *args: (read.append(1), usual(*args))[1]
    )
    head = START + b"\r\n".join(b"X:" for _ in range(15_000)) + b"\r\n\r\n"
    assert len(head) < 64 * 1024
    check_problem(exchange(hook, head), 431)
    assert len(read) == 257


def test_many_headers_within_the_limit_are_taken(hook):
    fields = tuple((f"X-{number}", "y" * 50) for number in range(100))
    response = exchange(hook, request(hook, b"1", headers=(JSON, *fields)))
    assert response.status == 200
    assert tuple(hook.delivery(response.delivery).headers[2:-1]) == fields


FOREIGN = {
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)), "http://"),
    "a byte of TLS": (b"\x16", "http://"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1"),
}


@pytest.mark.parametrize(("raw", "remedy"), FOREIGN.values(), ids=FOREIGN)
def test_tls_and_http_2_are_closed_at_once_and_said_in_the_log(hook, caplog, raw, remedy):
    for _ in range(3):
        with Wire(hook) as wire:
            wire.send(raw)
            assert wire.is_closed()
    [record] = caplog.records  # once, however many come
    assert (record.name, record.levelname) == ("hooknb.server", "WARNING")
    assert remedy in record.getMessage()
    assert exchange(hook, request(hook, b"1")).status == 200


def test_connect_is_refused(hook):
    check_problem(exchange(hook, b"CONNECT localhost:80 HTTP/1.1\r\nHost: a\r\n\r\n"), 501)


def test_any_token_is_a_method(serve):
    hook = serve({}, methods="*")
    for method in ("FROB", "M-SEARCH", "SOURCE", "get", "!#$%&'*+-.^_`|~9Az"):
        response = exchange(hook, request(hook, method=method))
        assert response.status == 200
        assert hook.delivery(response.delivery).method == method


def test_http_1_0_is_not_told_to_go_on(hook):
    expecting = request(hook, b"1", headers=(JSON, ("Expect", "100-continue")))
    assert exchange(hook, expecting.replace(b"HTTP/1.1", b"HTTP/1.0")).status == 200


def test_http_1_0_with_chunks_is_closed_after_the_response(hook):
    fields = (("Transfer-Encoding", "chunked"), ("Connection", "keep-alive"))
    with Wire(hook) as wire:
        wire.send(unsized(hook, *fields).replace(b"HTTP/1.1", b"HTTP/1.0") + chunked(b"[1]"))
        response = wire.response()
        assert (response.status, response.header("Connection")) == (200, "close")
        assert wire.is_closed()
    assert hook.delivery(response.delivery).raw == b"[1]"


def test_a_body_is_read_although_its_sender_offers_another_protocol(hook):
    fields = (("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"))  # as curl --http2 says
    for head, body in [
        (request(hook, b"[1]", headers=(JSON, *fields)), b""),
        (unsized(hook, *fields, ("Transfer-Encoding", "chunked")), chunked(b"[1]")),
    ]:
        response = exchange(hook, head + body)
        assert hook.delivery(response.delivery).raw == b"[1]"


def test_a_message_is_read_whole_wherever_it_is_cut(hook):
    fields = (("Transfer-Encoding", "chunked"), ("Content-Type", "application/json"))
    one = unsized(hook, *fields).replace(b"Content-Type: application/json\r\n", b"", 1)
    raw = one + b"2;a=b\r\n[1\r\n1\r\n]\r\n0\r\nX: y\r\n\r\n"
    with Wire(hook) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(1, len(raw)):
            wire.send(raw[:at])
            wire.send(raw[at:])
        ids = [wire.response().delivery for _ in range(1, len(raw))]
    kept = [hook.delivery(number) for number in ids]
    assert {(delivery.method, delivery.raw) for delivery in kept} == {("POST", b"[1]")}
    assert {delivery.head for delivery in kept} == {one.partition(b"\r\n")[2].strip()}


# -- slow and silent senders ----------------------------------------------------------------------


def test_slow_senders_of_headers_are_shed(serve):
    hook = serve({"header_timeout": 0.3})
    raw = request(hook, b"1")
    for part in (b"", b"POST ", raw[:-5]):
        with Wire(hook) as wire:
            wire.send(part)
            assert wire.is_closed()
    assert len(hook.deliveries) == 0
    assert exchange(hook, raw).status == 200


def test_headers_that_trickle_in_are_shed(serve):
    hook = serve({"header_timeout": 0.3})
    with Wire(hook) as wire:
        wire.send(b"POST / HTTP/1.1\r\n")
        wire.socket.settimeout(0.05)
        with contextlib.suppress(ConnectionError):
            for _ in range(600):
                wire.send(b"X: y\r\n")
                with contextlib.suppress(TimeoutError):
                    assert wire.socket.recv(1) == b""
                    break
            else:
                pytest.fail("it was listened to for half a minute")


def test_half_a_body_is_kept_as_refused(serve):
    hook = serve({"body_timeout": 0.3})
    with Wire(hook) as wire:
        wire.send(request(hook, length=100) + b'{"a": 1')
        assert wire.is_closed()
    with Wire(hook) as wire:
        wire.send(unsized(hook, ("Transfer-Encoding", "chunked")) + b"5\r\n[1, 2\r\n")
        assert wire.is_closed()
    with Wire(hook) as wire:
        wire.send(request(hook, length=100) + b"[[")  # and hangs up by itself
    wait_until(lambda: len(hook.deliveries) == 3)
    assert hook.deliveries["outcome"].tolist() == ["refused"] * 3
    assert hook.deliveries["reason"].tolist() == ["incomplete body"] * 3
    assert [hook.delivery(number).raw for number in hook.deliveries.index] == [
        b'{"a": 1',
        b"[1, 2",
        b"[[",
    ]
    assert exchange(hook, request(hook, b"1")).status == 200


def test_3000_idle_connections_keep_nobody_out(serve):
    hook = serve({"max_connections": 200})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8000)), hard))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        silent = []
        for number in range(3000):
            silent.append(stack.enter_context(Wire(hook)))
            if number % 3:
                part = b"POST " if number % 3 == 1 else request(hook, length=5) + b"["
                silent[-1].send(part)
            if number % 500 == 499:
                assert exchange(hook, request(hook, b"1")).status == 200
        assert exchange(hook, request(hook, b"1")).status == 200
        wait_until(lambda: sum(is_open(wire) for wire in silent) <= 200)


def is_open(wire: Wire) -> bool:
    """Tell, without waiting, whether the server has not ended a connection."""
    wire.socket.settimeout(0)
    try:
        return wire.socket.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    finally:
        wire.socket.settimeout(30.0)


def test_idle_connections_do_not_end_an_upload_that_makes_progress(serve):
    hook = serve({"max_connections": 20})
    with contextlib.ExitStack() as stack:
        upload = stack.enter_context(Wire(hook))
        upload.send(request(hook, length=102) + b'"')
        for number in range(100):
            for _ in range(3):
                stack.enter_context(Wire(hook))
            # Has come when the server has answered a later connection.
            upload.send(b"x")
            assert exchange(hook, request(hook, b"%d" % number)).status == 200
        upload.send(b'"')
        response = upload.response()
        assert response.status == 200
        assert hook.delivery(response.delivery).size == 102


def test_the_body_that_has_been_silent_for_longest_goes_before_a_fresh_head(serve, monkeypatch):
    now = 0.0
    monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=lambda: now))
    hook = serve({"max_connections": 5})
    with contextlib.ExitStack() as stack:
        halves = [stack.enter_context(Wire(hook)) for _ in range(5)]
        for wire in halves:
            wire.send(request(hook, length=5, headers=(JSON, ("Expect", "100-continue"))))
            assert wire.response().status == 100
            now += 1
        fresh = [stack.enter_context(Wire(hook)) for _ in range(4)]
        for wire in fresh:
            wire.send(request(hook, b"1"))
            assert wire.response().status == 200
            now += 0.001
        assert all(wire.is_closed() for wire in halves[:4])
        halves[4].send(b"[1,2]")
        assert halves[4].response().status == 200


def test_a_connection_is_turned_away_where_all_others_wait_for_responses(serve):
    release = threading.Event()
    hook = serve({"max_connections": 3}, sync=True, nodes=[lambda _: release.wait(30)])
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(Wire(hook)) for _ in range(3)]
        for wire in waiting:
            wire.send(request(hook, b"1"))
        wait_until(lambda: hook.executions["status"].tolist().count("started") == 3)
        for _ in range(5):
            with Wire(hook) as wire:
                response = wire.response()
                assert (response.status, response.header("Retry-After")) == (503, "5")
                assert wire.is_closed()
        release.set()
        assert [wire.response().status for wire in waiting] == [200] * 3


def test_a_connection_that_does_not_read_gets_no_further_responses(serve):
    hook = serve({"body_timeout": 1.0}, response=Response(200, body="x" * 2**20))
    server = hook._runtime._hosting._server._server
    with Wire(hook) as wire:
        wire.send(request(hook, b"1") * 300)
        wait_until(lambda: len(hook.deliveries) > 0)
        wait_until(lambda: not server._connections)
        # What the buffers of two sockets hold, and no more.
        assert len(hook.deliveries) < 100
    assert exchange(hook, request(hook, b"1")).status == 200


def test_a_large_response_comes_whole_although_the_connection_ends_with_it(serve):
    body = "x" * (20 * 2**20)
    hook = serve({}, response=Response(200, body=body))
    response = exchange(hook, request(hook, b"1", headers=(JSON, ("Connection", "close"))))
    assert len(response.body) == len(body)


def test_without_descriptors_the_server_waits_and_says_so_once(hook, monkeypatch, caplog):
    attempts = []
    warn = http.HttpServer.warn
    monkeypatch.setattr(
        http.HttpServer, "warn", lambda *args: (attempts.append(time.monotonic()), warn(*args))
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        sender = stack.enter_context(socket.socket())
        sender.settimeout(30)
        files = stack.enter_context(contextlib.ExitStack())
        lowest = files.enter_context(open(os.devnull)).fileno()  # noqa: PTH123 - of a number
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, hard))
        with contextlib.suppress(OSError):
            while True:
                files.enter_context(open(os.devnull))  # noqa: PTH123
        sender.connect(("127.0.0.1", urlsplit(hook.url).port))
        sender.sendall(request(hook, b"1"))
        while len(attempts) < 4 and not time.sleep(0.01):
            pass
        files.close()
        assert sender.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert attempts[3] - attempts[0] >= 3 * 0.9 * http._EXHAUSTED_PAUSE
    [record] = [record for record in caplog.records if record.name == "hooknb.server"]
    assert record.levelname == "WARNING"
    assert "ulimit -n" in record.getMessage()


def test_requests_that_are_being_answered_are_not_shed(serve):
    release = threading.Event()
    hook = serve({"max_connections": 5}, sync=True, nodes=[lambda _: release.wait(30)])
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(Wire(hook)) for _ in range(3)]
        for wire in waiting:
            wire.send(request(hook, b"1"))
        wait_until(lambda: hook.executions["status"].tolist().count("started") == 3)
        for _ in range(20):
            stack.enter_context(Wire(hook))
        release.set()
        assert [wire.response().status for wire in waiting] == [200] * 3


# -- callers that hang up -------------------------------------------------------------------------


def test_a_caller_that_hangs_up_does_not_stop_the_execution(serve):
    entered, release = threading.Event(), threading.Event()

    def node(_: Any) -> str:
        entered.set()
        return str(release.wait(30))

    hook = serve({}, sync=True, nodes=[node])
    with Wire(hook) as wire:
        wire.send(request(hook, b"1"))
        assert entered.wait(30)
    release.set()
    hook.wait()
    assert hook.executions["status"].tolist() == ["resolved"]
    assert hook.jobs["result"].tolist() == ["True"]
    assert exchange(hook, request(hook, b"1")).status == 200


def test_a_caller_that_hangs_up_at_once_is_kept(hook):
    for _ in range(20):
        with Wire(hook) as wire:
            wire.send(request(hook, b"1"))
    hook.wait()
    wait_until(lambda: len(hook.deliveries) == 20)
    assert set(hook.deliveries["outcome"]) == {"accepted"}


# -- who may come in ------------------------------------------------------------------------------


def test_a_foreign_host_is_refused_and_kept(hook):
    for host in ("evil.example", "evil.example:8080", "localhost.evil.example"):
        response = exchange(hook, request(hook, b"1", host=host))
        check_problem(response, 403)
        delivery = hook.delivery(response.delivery)
        assert (delivery.outcome, delivery.reason, delivery.raw) == ("refused", "host", b"1")


def test_its_own_names_and_addresses_are_let_in(hook):
    port = hook.url.split("/")[2].split(":")[1]
    for host in ("localhost", "127.0.0.1", f"LocalHost:{port}", f"127.0.0.1:{port}", "[::1]:80"):
        assert exchange(hook, request(hook, b"1", host=host)).status == 200, host


def test_the_host_of_an_absolute_target_counts_instead_of_the_field(hook):
    def response(target: str, field: str) -> SentResponse:
        raw = f"POST {target}/hook/{hook.key} HTTP/1.1\r\nHost: {field}\r\n\r\n"
        return exchange(hook, raw.encode())

    assert response("http://localhost", "evil.example").status == 200
    assert response("HTTP://LocalHost:80", "evil.example").status == 200
    check_problem(response("http://evil.example", "localhost"), 403)
    check_problem(response("http://localhost,evil.example", "localhost"), 400)
    check_problem(response("http://evil.example@localhost", "localhost"), 400)


def test_allowed_hosts_lets_a_name_in(serve):
    hook = serve({"allowed_hosts": ["Hooks.example"]})
    assert exchange(hook, request(hook, b"1", host="hooks.example:443")).status == 200
    assert exchange(hook, request(hook, b"1", host="other.example")).status == 403


def test_unknown_keys_all_get_the_same_404(hook):
    def bytes_of(target: str, method: str = "POST", host: str = "localhost") -> bytes:
        with Wire(hook) as wire:
            raw = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            wire.send(raw.encode())
            lines = wire.rest().split(b"\r\n")
        return b"\r\n".join(line for line in lines if not line.startswith(b"Date: "))

    first = bytes_of("/hook/nobody")
    assert first.startswith(b"HTTP/1.1 404 ")
    assert b"X-Hooknb-Delivery" not in first
    assert json.loads(first.partition(b"\r\n\r\n")[2])["status"] == 404
    for target in (
        "/",
        "/hook/",
        "/hook",
        f"/hook/{hook.key[:-1]}",
        f"/hook/{hook.key}x",
        f"/Hook/{hook.key}",
        f"//hook/{hook.key}",
        "/hook/nobody?a=1",
        "/../etc/passwd",
        "*",
    ):
        assert bytes_of(target) == first, target
    assert bytes_of("/hook/nobody", method="GET") == first
    assert bytes_of("/hook/nobody", host="evil.example") == first
    assert len(hook.deliveries) == 0


def test_a_disabled_hook_looks_like_none_and_keeps_what_came(hook):
    hook.enabled = False
    response = exchange(hook, request(hook, b"[1]"))
    check_problem(response, 404)
    delivery = hook.delivery(response.delivery)
    assert (delivery.outcome, delivery.reason, delivery.raw) == ("refused", "disabled", b"[1]")
    assert response.body == exchange(hook, b"POST /hook/x HTTP/1.0\r\n\r\n").body
    hook.enabled = True
    assert exchange(hook, request(hook, b"[1]")).status == 200


# -- refusals -------------------------------------------------------------------------------------


def test_every_refusal_is_a_problem_document(serve):
    hook = serve({}, max_body=1000, auth=hooknb.BasicAuth("u", "p"))
    good = ("Authorization", "Basic dTpw")
    refusals = {
        "method": (405, request(hook, method="GET", headers=(good,))),
        "no credentials": (401, request(hook, b"1")),
        "malformed credentials": (401, request(hook, b"1", headers=(("Authorization", "x"),))),
        "wrong user name": (401, request(hook, b"1", headers=(("Authorization", "Basic eDpw"),))),
        "wrong password": (401, request(hook, b"1", headers=(("Authorization", "Basic dTp4"),))),
        "too large": (413, request(hook, b"1" * 1001, headers=(JSON, good))),
        "content type text/csv": (
            415,
            request(hook, b"1", headers=(good, ("Content-Type", "text/csv"))),
        ),
        "no content type": (415, request(hook, b"1", headers=(good,))),
        "content encoding": (
            415,
            request(hook, b"1", headers=(JSON, good, ("Content-Encoding", "br"))),
        ),
        "invalid json": (400, request(hook, b"[1,]", headers=(JSON, good))),
        "invalid compression": (
            400,
            request(hook, b"1", headers=(JSON, good, ("Content-Encoding", "gzip"))),
        ),
        "host": (403, request(hook, b"1", headers=(JSON, good), host="evil.example")),
    }
    for reason, (status, raw) in refusals.items():
        response = exchange(hook, raw)
        problem = check_problem(response, status)
        delivery = hook.delivery(response.delivery)
        assert (delivery.outcome, delivery.reason) == ("refused", reason)
        assert delivery.detail == problem["detail"]
        assert delivery.status == status
    assert exchange(hook, request(hook, method="GET", headers=(good,))).header("Allow") == "POST"
    assert len(hook.executions) == 0


@pytest.mark.parametrize(
    ("body", "says"), [(b'{"a": 1}', True), (b" [1]", True), (b"a=1", False), (b"", False)]
)
def test_json_that_was_sent_as_a_form_gets_the_remedy(serve, body, says):
    hook = serve({})
    form = ("Content-Type", "application/x-www-form-urlencoded")  # as `curl -d` says by itself
    response = exchange(hook, request(hook, body, headers=(form,)))
    assert ("curl --json" in response.body.decode()) == says
    if body:
        detail = hook.delivery(response.delivery).detail
        accept = eval(detail.split("accept=")[1].removesuffix("."))  # noqa: S307 - what is told can be written
        hook.configure(accept=accept)
        assert exchange(hook, request(hook, body, headers=(form,))).status == 200


def test_a_node_that_raises_gives_500_and_no_traceback(serve):
    def node(_: Any) -> None:
        message = "a secret of the house"
        raise LookupError(message)

    hook = serve({}, sync=True, nodes=[node])
    response = exchange(hook, request(hook, b"1"))
    check_problem(response, 500)
    assert b"secret" not in response.body
    assert "a secret of the house" in hook.jobs["error"].iloc[0]


def test_a_timeout_gives_408(serve):
    release = threading.Event()
    hook = serve({}, sync=True, nodes=[lambda _: release.wait(30)], timeout=0.1)
    check_problem(exchange(hook, request(hook, b"1")), 408)
    release.set()
    assert hook.executions[["status", "reason"]].values.tolist() == [["aborted", "timeout"]]


def test_a_full_queue_gives_503(serve):
    release = threading.Event()
    hook = serve({"max_queued": 2}, nodes=[lambda _: release.wait(30)])
    statuses = [exchange(hook, request(hook, b"1")) for _ in range(5)]
    assert [response.status for response in statuses] == [200, 200, 200, 503, 503]
    check_problem(statuses[-1], 503)
    assert statuses[-1].header("Retry-After") == "5"
    release.set()
    hook.wait()
    assert len(hook.executions) == 3
    assert hook.deliveries["reason"].tolist()[3:] == ["backlog"] * 2


def test_refused_ones_are_kept_up_to_1000_and_64_kib_each(hook):
    keep = request(hook, b"1")
    big = request(hook, b"x" * 100_000)
    with Wire(hook) as wire:
        wire.send(keep)
        first = wire.response().delivery
        for start in range(0, 1100, 100):
            hundred = range(start, start + 100)
            wire.send(b"".join(request(hook, b"no %d" % number) for number in hundred))
            assert {wire.response().status for _ in range(100)} == {400}
        wire.send(big)
        last = wire.response().delivery
    frame = hook.deliveries
    refused = frame[frame["outcome"] == "refused"]
    assert len(refused) == 1000
    assert frame.index[0] == first  # what was accepted stays
    assert hook.delivery(refused.index[0]).raw == b"no 101"
    assert (hook.delivery(last).size, hook.delivery(last).raw) == (100_000, b"x" * 65_536)
    with pytest.raises(hooknb.RecordNotFoundError):
        hook.delivery(first + 1)


# -- the caller's thread --------------------------------------------------------------------------


@pytest.mark.parametrize("sync", [False, True])
def test_the_main_thread_may_call_its_own_hook(serve, sync):
    assert threading.current_thread() is threading.main_thread()
    response = Response(201, body={"a": 1}) if sync else None
    hook = serve({}, sync=sync, nodes=[lambda context: context.body, *([response] if sync else [])])
    response = hook.send(json=[1])
    assert response.status == (201 if sync else 200)
    assert hook.delivery(response.delivery or 0).body == [1]


@pytest.mark.parametrize("sync", [False, True])
def test_senders_are_answered_while_the_main_thread_computes(serve, sync):
    hook = serve({}, sync=sync, nodes=[lambda context: context.body])
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(lambda: [exchange(hook, request(hook, b"1")) for _ in range(20)])
        total = 0
        while not sending.done():
            total += 1
        assert [response.status for response in sending.result()] == [200] * 20
