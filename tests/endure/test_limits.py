"""Bodies, heads, fields and chunks just below, at and just above each limit."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from hooknb import Hook, Response, Runtime
from hooknb.server import reader
from wire import Wire, exchange, request

MAX_BODY = 100_000
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    with Runtime(":memory:", port=0) as runtime:
        yield runtime.webhook("orders", max_body=MAX_BODY, accept="*/*")


def text(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


def chunked(hook: Hook, *pieces: bytes, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    head = request(hook, headers=(JSON, *headers, ("Transfer-Encoding", "chunked")))
    head = head.replace(b"Content-Length: 0\r\n", b"")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


def head_of(hook: Hook, size: int) -> bytes:
    """Write a request whose head has that many bytes, in fields of 1 kB."""
    bare = len(request(hook, b"1", headers=(JSON,))) - 1
    fields, left = [], size - bare
    while left:
        line = min(left, 1000) if left - min(left, 1000) != 1 else min(left, 1000) - 10
        if 0 < left - line < 6:
            line -= 6
        fields.append(("X", "y" * (line - len("X: \r\n"))))
        left -= line
    raw = request(hook, b"1", headers=(JSON, *fields))
    assert len(raw) - 1 == size
    return raw


def line_of(hook: Hook, size: int) -> bytes:
    """Write a chunk whose line, with its extension, has that many bytes."""
    head = request(hook, headers=(JSON, ("Transfer-Encoding", "chunked")))
    line = b"1;a=" + b"b" * (size - 6) + b"\r\n"
    return head.replace(b"Content-Length: 0\r\n", b"") + line + b"1\r\n0\r\n\r\n"


# What is made of a number, the limit, and the status beyond it.
LIMITS: dict[str, tuple[Any, int, int]] = {
    "body": (lambda hook, n: request(hook, text(n)), MAX_BODY, 413),
    "body in one chunk": (lambda hook, n: chunked(hook, text(n)), MAX_BODY, 413),
    "body in two chunks": (
        lambda hook, n: chunked(hook, text(n)[:50_000], text(n)[50_000:]),
        MAX_BODY,
        413,
    ),
    "body once decompressed": (
        lambda hook, n: request(
            hook, gzip.compress(text(n)), headers=(JSON, ("Content-Encoding", "gzip"))
        ),
        MAX_BODY,
        413,
    ),
    "head": (head_of, reader.MAX_HEAD_BYTES, 431),
    "fields": (
        # Host, Content-Type and Content-Length are three of them.
        lambda hook, n: request(hook, b"1", headers=(JSON, *[("X", "")] * (n - 3))),
        reader.MAX_FIELDS,
        431,
    ),
    "chunk line": (line_of, reader.MAX_CHUNK_LINE_BYTES, 400),
    "form fields": (
        lambda hook, n: request(hook, b"&".join([b"a=1"] * n), headers=(FORM,)),
        10_000,
        413,
    ),
    "nesting": (lambda hook, n: request(hook, b"[" * n + b"]" * n), 500, 400),
    "digits": (lambda hook, n: request(hook, b"9" * n), 4000, 400),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_where_it_is_said_to_be(hook, name, tell):
    make, limit, beyond = LIMITS[name]
    for number in (limit - 1, limit):
        assert exchange(hook, make(hook, number)).status == 200, number
    for number in (limit + 1, limit + 10):
        with Wire(hook) as wire:
            wire.send(make(hook, number))
            assert wire.response().status == beyond, number
    assert exchange(hook, request(hook, b"1")).status == 200
    tell(f"limit: {name}, {limit:,}", f"taken up to it, {beyond} from one more on")


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_response_is_sent_whole_and_kept_up_to_its_limit(more):
    with Runtime(":memory:", port=0, max_kept_response=5000) as runtime:
        size = 5000 + more
        hook = runtime.webhook("orders", sync=True, nodes=[Response(200, body="x" * size)])
        response = exchange(hook, request(hook, b"1"))
        assert len(response.body) == size
        hook.wait()
        kept = hook.delivery(response.delivery).response
        assert (len(kept.body), kept.is_cut) == (min(size, 5000), more > 0)
