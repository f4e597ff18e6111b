"""Mutated input: never another error than the documented one, never more than linear time."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from hooknb import Runtime, paths
from hooknb.errors import PathError, PayloadError
from hooknb.expressions.templates import render
from hooknb.payloads import decode_multipart, parse, parse_query_string
from hooknb.payloads.headers import parse_head
from wire import exchange, request

SEED = 20_261
MULTIPART = (
    b'--B\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n'
    b"Content-Type: text/plain\r\n\r\nx\r\n--B--\r\n"
)
SCOPE = {"body": {"a": [1, {"b": "c"}]}, "query": {}, "headers": {}, "nodes": {}}


def _path(raw: bytes) -> None:
    parsed = paths.parse(raw.decode("latin-1"))
    assert paths.parse(paths.format(parsed)) == parsed


def _type(raw: bytes) -> None:
    parse(MULTIPART, content_type=raw.decode("latin-1"), max_size=10**6)


READERS: dict[str, tuple[Callable[[bytes], Any], tuple[type[Exception], ...], list[bytes]]] = {
    "query": (
        lambda raw: parse_query_string(raw.decode("latin-1")),
        (),
        [
            b"a[b][0]=1&a[]=2&",
            b"a[",
            b"[]",
            b"%zz%E9",
            b"&",
            b"a=1&a=2&",
            b"]",
            b"+",
            b"constructor",
        ],
    ),
    "path": (
        _path,
        (PathError,),
        [b"a.b", b"[0]", b'["a\\"b"]', b"[*]", b".", b"[", b"'", b"\\u00e9", b"9", b"-"],
    ),
    "template": (
        lambda raw: render(raw.decode("latin-1"), SCOPE),
        (),
        [b"{{ body.a[1].b }}", b"{{", b"}}", b'| "x"', b"{{ now", b"$context.body", b"|", b"["],
    ),
    "header": (
        parse_head.__wrapped__,  # without its cache
        (),
        [b"Host: a\r\n", b" folded\r\n", b":", b"\r", b"\n", b"\0", b"X", b"\t"],
    ),
    "multipart": (
        lambda raw: decode_multipart(raw, "B"),
        (PayloadError,),
        [MULTIPART, b"--B\r\n", b"\r\n", b"Content-Disposition: form-data; name=a\r\n", b";", b'"'],
    ),
    "content type": (
        _type,
        (PayloadError,),
        [b"multipart/form-data; boundary=B", b";", b"charset*0*=utf-8''x", b'"', b"=", b"json"],
    ),
    "JSON": (
        lambda raw: parse(raw, content_type="application/json", max_size=10**7),
        (PayloadError,),
        [b'{"a": [1, 2.5e3]}', b"[", b"{", b'"\\ud800"', b"9" * 50, b"]", b",", b"null", b"\xff"],
    ),
}


def mutated(chance: random.Random, tokens: list[bytes]) -> bytes:
    text = bytearray().join(chance.choices(tokens, k=chance.randrange(1, 12)))
    for _ in range(chance.randrange(6)):
        at = chance.randrange(len(text) + 1)
        kind = chance.randrange(3)
        if kind == 0:
            text[at:at] = bytes([chance.randrange(256)])
        elif kind == 1:
            del text[at : at + chance.randrange(1, 5)]
        else:
            text[at:at] = text[: chance.randrange(len(text) + 1)]
    return bytes(text)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_raises_nothing_but_its_documented_error(name, scale, tell):
    read, errors, tokens = READERS[name]
    chance, turns, refused = random.Random(f"{SEED} {name}"), scale(400, 40_000), 0  # noqa: S311 - noise
    for turn in range(turns):
        raw = mutated(chance, tokens)
        try:
            read(raw)
        except errors:
            refused += 1
        except Exception as error:
            message = f"seed {SEED}, turn {turn}: {raw!r}"
            raise AssertionError(message) from error
    tell(f"{name} reader, {turns:,} mutated inputs", f"{refused:,} refused, no other error")


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_no_more_than_linear_time(name):
    read, errors, tokens = READERS[name]

    def seconds(raw: bytes) -> float:
        """Return the least processor time of three turns."""
        taken = []
        for _ in range(3):
            began = time.thread_time()
            with contextlib.suppress(*errors):
                read(raw)
            taken.append(time.thread_time() - began)
        return min(taken)

    for token in tokens:
        few = seconds(token * 1_000)
        many = seconds(token * 16_000)
        # Linear: 16 times; square: 256 times.
        assert many < max(few, 0.0005) * 64, token


def test_malformed_http_gets_a_response_or_a_closed_connection(tmp_path, scale, tell):
    turns, chance = scale(200, 4000), random.Random(SEED)  # noqa: S311 - noise
    statuses: dict[str, int] = {}
    with Runtime(tmp_path / "store.db", port=0) as runtime:
        hook = runtime.webhook("orders", accept="*/*")
        whole = request(hook, b'{"a": 1}')
        chunked = whole.partition(b"Content-Length")[0] + (
            b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n[1,2,\r\n2\r\n3]\r\n0\r\nX: y\r\n\r\n"
        )
        for turn in range(turns):
            raw = bytearray(chance.choice([whole, chunked, whole + chunked]))
            for _ in range(chance.randrange(1, 6)):
                at = chance.randrange(len(raw) + 1)
                piece = chance.choice(
                    [b"", b"\r\n", b"\n", b"\0", b" ", b":", bytes([chance.randrange(256)])]
                )
                raw[at : at + chance.randrange(4)] = piece
            received = b""
            with socket.create_connection(("127.0.0.1", runtime.port or 0), timeout=30) as sender:
                try:
                    sender.sendall(raw)
                    sender.shutdown(socket.SHUT_WR)
                    while piece := sender.recv(65536):  # a hang is a timeout, which fails
                        received += piece
                except ConnectionError:
                    pass
            status = received[9:12].decode()
            statuses[status] = statuses.get(status, 0) + 1
            assert status == "" or status in {"200", "417", "501"} or status[0] == "4", (SEED, turn)
        assert exchange(hook, whole).status == 200
        assert hook.deliveries["status"].isin([200, 400, 403, 404, 405, 408, 413, 415]).all()
    seen = ", ".join(
        f"{count:,} of {status or 'closed'}" for status, count in sorted(statuses.items())
    )
    tell(f"{turns:,} malformed requests on sockets", f"{seen}; none hung, server alive")
