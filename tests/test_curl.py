"""The shell commands are run by a shell, and what comes is what was to be sent."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hooknb
from hooknb import BasicAuth, Runtime, Variable
from hooknb.client.curl import command
from hooknb.payloads.headers import Headers
from hooknb.workflow.auth import Outgoing
from wire import exchange, request

SHELL = shutil.which("sh") or "/bin/sh"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")


def shell(text: str) -> str:
    """Run a command, given on standard input: an argument may be 128 KiB long at the most."""
    done = subprocess.run(
        [SHELL],
        input=f"{text}\n".encode(),
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "no_proxy": "*"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def newest(hook: hooknb.Hook) -> hooknb.Delivery:
    return hook.delivery(hook.deliveries.index[-1])


BODIES = [
    b"{}",
    b'{"a": "it\'s", "b": "\\"quoted\\"", "c": "$HOME `id` $(id) \\\\ !x"}',
    "grüße 漢字 🎉".encode(),
    b"two\nlines\n\n",
    b"\n",
    b"tab\tand\rreturn\r\n",
    b"100% %s %d %%",
    b"@file",
    b"-dash",
    b"--data",
    b"'",
    b"\\",
    b"\\n\\055",
    b"\x00",
    b"\x00\xff\x001",
    bytes(range(256)),
    "\u202emirrored\u200b".encode(),
    b"\xef\xbb\xbf[1]",
    b"half \xf0\x9f",
    b"-\x00",
    hashlib.shake_256(b"4").digest(5_000),
    b'{"a": "' + b"x" * 300_000 + b'"}',
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_the_bytes_of_a_body_come_as_they_were(runtime: Runtime, body: bytes) -> None:
    hook = runtime.webhook("raw", accept="*/*")
    sent = hook.send(data=body, headers={"Content-Type": "application/octet-stream"})
    assert shell(hook.curl(sent.delivery)) == "ok"
    came = newest(hook)
    assert came.id != sent.delivery
    assert came.raw == body
    assert (came.method, came.content_type) == ("POST", "application/octet-stream")


@given(
    content=st.binary(max_size=60)
    | st.text(max_size=40).map(lambda t: t.encode("utf-8", "replace"))
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_bytes_are(content: bytes) -> None:
    # Read back by the shell alone, which is what can go wrong.
    text = command("http://x", Outgoing(method="POST", query="", fields=Headers(), content=content))
    if not content:
        assert "data" not in text
    elif text.startswith("printf"):
        printed = text.partition(" | curl")[0]
        assert subprocess.check_output([SHELL], input=printed.encode()) == content
    else:
        printed = f"printf %s {text.partition('--data-raw ')[2]}"
        assert subprocess.check_output([SHELL], input=printed.encode()) == content


def test_fields_come_as_they_were(runtime: Runtime) -> None:
    hook = runtime.webhook("fields", accept="*/*")
    head = [
        ("X-Quotes", 'it\'s "so" `id` $HOME \\n 100%'),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
        ("x-lower", "a;b=c"),
        ("X-Empty", ""),
        ("X-Ends", "semicolon;"),
        ("X-Latin", "caf\xe9"),
        ("X-Utf8", "caf\xc3\xa9"),
        ("X-Control", "next\xc2\x85line"),
        ("X-Tab", "a\tb"),
        ("User-Agent", "sender/1"),
    ]
    number = exchange(hook, request(hook, b"\x00", headers=tuple(head))).delivery
    assert shell(hook.curl(number)) == "ok"
    came = [field for field in newest(hook).headers if field[0] in dict(head)]
    assert sorted(came) == sorted(head)
    assert newest(hook).content_type is None


@pytest.mark.parametrize(
    "query",
    ["", "a=1&b=2", "a[0][b]={x}&c=[1-3]", "q=it's&x=$HOME%20%27", "a=%zz&&=", "a=\xe9", "a=b?c=d"],
)
def test_the_query_comes_as_it_stood(runtime: Runtime, query: str) -> None:
    hook = runtime.webhook("query", methods="*")
    number = exchange(hook, request(hook, method="GET", query=query, headers=())).delivery
    assert hook.delivery(number).query_string == query
    assert shell(hook.curl(number)) == "ok"
    assert newest(hook).query_string == query.replace("\xe9", "%E9")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD", "PROPFIND"])
@pytest.mark.parametrize("body", [b"", b"[1]"])
def test_every_method(runtime: Runtime, method: str, body: bytes) -> None:
    hook = runtime.webhook("method", methods="*")
    headers = {"Content-Type": "application/json"} if body else {}
    sent = hook.send(data=body or None, method=method, headers=headers)
    said = shell(hook.curl(sent.delivery))
    assert said == "ok" or method == "HEAD"
    came = newest(hook)
    assert (came.id, came.method, came.raw) == (sent.delivery + 1, method, body)


def test_credentials_go_with_it(runtime: Runtime) -> None:
    auth = BasicAuth("sh'op ü", "p:\"w' $x %\u202e")
    hook = runtime.webhook("auth", auth=auth)
    assert shell(hook.curl()) == "ok"
    assert newest(hook).raw == b"{}"
    assert "Authorization" not in hook.curl(1)
    assert shell(hook.curl(1)) == "ok"


def test_the_sample_is_sent(runtime: Runtime) -> None:
    hook = runtime.webhook(
        "sample",
        body=[Variable("order.name", sample="O'Neil"), Variable("items[1]", sample="ü")],
        query=[Variable("a[0].b", sample="1 2")],
        headers=[Variable("X-Id", sample="7")],
    )
    assert shell(hook.curl()) == "ok"
    came = newest(hook)
    assert came.body == {"order": {"name": "O'Neil"}, "items": [None, "ü"]}
    assert came.query == {"a": [{"b": "1 2"}]}
    assert came.header_map["X-Id"] == "7"


def test_a_body_that_was_cut_is_no_command(runtime: Runtime) -> None:
    hook = runtime.webhook("cut", max_body=100_000)
    sent = hook.send(data=b"x" * 200_000)
    assert sent.status == 413
    with pytest.raises(hooknb.SettingError, match=r"65,536 of its 200,000 bytes were kept"):
        hook.curl(sent.delivery)
