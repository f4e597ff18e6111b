"""The command line: what its commands do, print and refuse, and that each of them is documented."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import hooknb
from hooknb import BasicAuth, Delay, Hook, Response, Runtime
from hooknb.cli import app
from hooknb.cli.following import Entry, Follower
from hooknb.cli.terminal import as_json, escape
from hooknb.history.table import compile_filter
from hooknb.store import Reading

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
NASTY = "\x1b[31m[bold]red[/bold]\x9b2J\u202egnp\r\x07"


def run(*arguments: object, code: int = 0, env: dict[str, str] | None = None, **settings: Any):
    """Run a command in this process."""
    done = CliRunner().invoke(
        app, [str(argument) for argument in arguments], env=env or {}, **settings
    )
    assert done.exit_code == code, done.output
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def store(stored_runtime: Runtime) -> Path:
    """Give the path of a store that is served."""
    path = stored_runtime._store.path
    assert path is not None
    return path


# -- documentation


def commands() -> dict[str, Any]:
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_every_command_and_option_says_what_it_does_and_stands_in_the_readme() -> None:
    section = README.split("## On the command line")[1].split("\n## ")[0].replace("\\|", "|")
    assert set(commands()) == {"doctor", "send", "tail", "export", "rescue"}
    for name, command in commands().items():
        assert command.help, name
        assert f"hooknb {name}" in section
        for parameter in command.params:
            where = f"hooknb {name} {parameter.name}"
            if parameter.param_type_name == "option":
                assert parameter.help, where
                assert f"`{parameter.opts[0]}" in section, where
            else:
                # Arguments have theirs since typer keeps it.
                assert parameter.help, where
                assert parameter.metavar in section, where


@pytest.mark.parametrize("name", [None, "doctor", "send", "tail", "export", "rescue"])
def test_help_is_complete(name: str | None) -> None:
    shown = run(*([] if name is None else [name]), "--help", env={"COLUMNS": "200"}).output
    assert "Usage: " in shown
    expected = commands() if name is None else [p.name for p in commands()[name].params]
    assert len(expected) > 1


def test_the_command_and_the_module_are_the_same_and_hooknb_stays_light() -> None:
    for command in ([Path(sys.executable).with_name("hooknb")], [sys.executable, "-m", "hooknb"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"hooknb {hooknb.__version__}\n"
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, hooknb; assert not {'typer', 'rich', 'click'} & set(sys.modules)",
        ],
        check=True,
    )


def test_a_wrong_call_is_told_from_what_is_wrong(store: Path) -> None:
    run("send", code=2)
    run("dance", code=2)
    failed = run("tail", "nobody", "--store", store, code=1)
    assert "no hook of that name" in failed.stderr
    assert failed.stdout == ""


@pytest.mark.parametrize("command", [("send", "orders"), ("tail",), ("export", "orders", "o.har")])
def test_a_store_that_is_not_there_is_never_made(command, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOOKNB_STORE", raising=False)
    for extra in ([], ["--store", "other/store.db"]):
        failed = run(*command, *extra, code=1)
        assert "there is no store at" in failed.stderr
    assert list(tmp_path.iterdir()) == []


# -- texts


def test_what_a_terminal_would_obey_is_escape() -> None:
    shown = escape(NASTY + "\ud800\U000e0041\u2028\n", keep="\n")
    assert shown == (
        "\\x1b[31m[bold]red[/bold]\\x9b2J\\u202egnp\\x0d\\x07\\ud800\\U000e0041\\u2028\n"
    )
    assert json.loads(as_json({NASTY: "\x7f"})) == {NASTY: "\x7f"}
    assert as_json("\x7fé\u202e").isascii()
    assert "\x7f" not in as_json("\x7f")


# -- send


def test_a_hook_is_sent_to_by_its_name_with_its_credentials(
    stored_runtime: Runtime, store: Path
) -> None:
    hook = stored_runtime.webhook("orders", auth=BasicAuth("me", "s3cret!"), methods=["PUT"])
    done = run("send", "orders", "--json", '{"id": 9007199254740993}', "--store", store)
    assert "200 OK" in done.stdout
    assert "X-Hooknb-Delivery: 1" in done.stdout
    assert done.stdout.endswith("\nok\n")
    assert "s3cret" not in done.output
    assert hook.key not in done.output
    delivery = hook.delivery(1)
    assert delivery.method == "PUT"
    assert delivery.raw == b'{"id": 9007199254740993}'


def test_query_headers_and_bodies_of_every_kind(
    stored_runtime: Runtime, store: Path, tmp_path: Path
) -> None:
    hook = stored_runtime.webhook("any", methods="*", accept="*/*")
    file = tmp_path / "body.json"
    file.write_bytes(b"[1]")
    where = ("--store", store)
    pair = ("--query", "a=1&2", "--query", "b=", "--header", "X-One: 1", "--header", "x-one:  two")
    run("send", "any", "--data", "text", *pair, *where)
    run("send", "any", "--file", file, "--method", "PATCH", *where)
    run("send", "any", "--file", "-", "--header", "Content-Type: a/b", *where, input=b"\0\xff")
    run("send", "any", "--json", "{}", "--header", "content-type: application/x+json", *where)
    run("send", "any", *where)
    first, second, third, fourth, fifth = map(hook.delivery, range(1, 6))
    assert first.query == {"a": "1&2", "b": ""}
    assert [field for field in first.headers if field[0].lower() == "x-one"] == [
        ("X-One", "1"),
        ("x-one", "two"),
    ]
    assert (first.raw, first.content_type) == (b"text", None)
    assert (second.raw, second.content_type, second.method) == (
        b"[1]",
        "application/json",
        "PATCH",
    )
    assert (third.raw, third.content_type) == (b"\0\xff", "a/b")
    assert (fourth.raw, fourth.content_type) == (b"{}", "application/x+json")
    assert (fifth.raw, fifth.method) == (b"", "POST")


def test_a_url_is_sent_to_with_its_query_and_credentials(runtime: Runtime) -> None:
    hook = runtime.webhook("orders", auth=BasicAuth("a b", "p@ss"))
    url = hook.url_with_credentials
    done = run("send", f"{url}?a=1", "--query", "b=2", "--json", "{}")
    assert "200 OK" in done.stdout
    assert hook.delivery(1).query_string == "a=1&b=2"
    done = run("send", hook.url, "--json", "{}", "--fail", code=1)
    assert "401" in done.stdout
    run("send", hook.url, "--json", "{}")


def test_what_cannot_be_sent_is_said(stored_runtime: Runtime, store: Path) -> None:
    stored_runtime.webhook("orders")
    for arguments, problem in (
        (["orders", "--json", "{"], "is not JSON"),
        (["orders", "--json", "{}", "--data", "x"], "one body"),
        (["orders", "--header", "s3cret"], "colon is missing"),
        (["orders", "--header", "A: b\r\nC: d"], "not a header"),
        (["orders", "--query", "s3cret"], "equals sign"),
        (["orders", "--file", "nothing.json"], "cannot be read"),
        (["orders", "--method", "A B"], "not a method"),
        (["ftp://example.org/"], "write http:// or https://"),
        (["http://[::1/"], "write one such as"),
        (["http://a..b/"], "host"),
        (["http://127.0.0.1:1/€ ?ü"], "no response from 127.0.0.1:1: "),
        (["https://127.0.0.1:1/"], "no response from 127.0.0.1:1: "),
        (["shop"], "which has: orders"),
    ):
        failed = run("send", *arguments, "--store", store, code=1)
        assert problem in failed.stderr.replace("\n", " ")
        assert "s3cret" not in failed.output
        assert failed.stdout == ""


def test_credentials_go_nowhere_while_nobody_serves_the_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Runtime(path, port=0) as runtime:
        hook = runtime.webhook("orders", auth=BasicAuth("me", "s3cret!"))
        port = int(hook.url.split(":")[2].split("/")[0])
    with socket.create_server(("127.0.0.1", port)) as stranger:
        stranger.settimeout(0)
        failed = run("send", "orders", "--json", "{}", "--store", path, code=1)
        assert "is not being served" in failed.stderr.replace("\n", " ")
        with pytest.raises(BlockingIOError):
            stranger.accept()


def test_answers_are_shown_written_out_and_in_colour_on_a_terminal(
    stored_runtime: Runtime, store: Path
) -> None:
    text = Response(201, headers={"X-Odd": "[red]x"}, body=NASTY)
    stored_runtime.webhook("text", sync=True, nodes=[text])
    data = Response(200, body={"big": 9007199254740993, "text": NASTY + "\x7f", "b": "[bold]"})
    stored_runtime.webhook("data", sync=True, nodes=[data])
    plain = run("send", "text", "--json", "{}", "--store", store).stdout
    assert "X-Odd: [red]x" in plain
    assert plain.endswith(escape(NASTY) + "\n")
    for name in ("text", "data"):
        done = run("send", name, "--json", "{}", "--store", store, env={"FORCE_COLOR": "1"})
        assert "\x1b[32m20" in done.stdout
        left = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
        assert escape(left, keep="\n") == left
        assert "[bold]" in left
    assert '"big": 9007199254740993' in run("send", "data", "--json", "{}", "--store", store).stdout
    raw = run("send", "text", "--json", "{}", "--raw", "--store", store)
    assert raw.stdout_bytes == NASTY.encode()


@pytest.mark.parametrize("extra", [(), ("--raw",)])
def test_a_terminal_gets_nothing_raw(
    extra: tuple[str, ...], stored_runtime: Runtime, store: Path
) -> None:
    stored_runtime.webhook("text", sync=True, nodes=[Response(200, body=NASTY)])
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hooknb", "send", "text", "--json", "{}", *extra]
    process = subprocess.Popen([*command, "--store", store], stdout=theirs, stderr=theirs)
    os.close(theirs)
    pieces = []
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(ours, 4096):
            pieces.append(piece)
    os.close(ours)
    assert process.wait() == 0
    shown = b"".join(pieces).decode().replace("\r\n", "\n")
    left = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert escape(left, keep="\n") == left
    assert escape(NASTY) in left


# -- tail


SERVING = """
import sys, hooknb
runtime = hooknb.Runtime(sys.argv[1], port=0)
hook = runtime.webhook("orders", body=["status"])
print(hook.url, flush=True)
sys.stdin.read()
runtime.close()
"""


@contextmanager
def served(path: Path) -> Iterator[str]:
    """Serve a hook of a store in a process of its own; give its URL."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVING, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as kernel:
        yield kernel.stdout.readline().strip()
        kernel.stdin.close()


@contextmanager
def tailing(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run `hooknb tail` in a process of its own; Ctrl-C must end it without a word."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hooknb", "tail", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(60, process.kill)
    guard.start()
    with process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            left, said = process.communicate()
            guard.cancel()
    assert (left, said, process.returncode) == ("", "", 0)


def test_what_another_process_gets_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with served(path) as url:
        run("send", url, "--json", '{"status": "before"}')
        with tailing("orders", "--json", "--store", path) as tail:
            assert json.loads(tail.stdout.readline())["variables"] == {"body.status": "before"}
            run("send", url, "--json", '{"status": "after"}')
            seen = json.loads(tail.stdout.readline())
            run("send", url, "--data", "no", "--header", "Content-Type: application/json")
            refused = json.loads(tail.stdout.readline())
    assert seen["id"] == 2
    assert (seen["hook"], seen["method"], seen["status"]) == ("orders", "POST", 200)
    assert (seen["outcome"], seen["reason"]) == ("accepted", None)
    assert seen["variables"] == {"body.status": "after"}
    assert (refused["status"], refused["reason"]) == (400, "invalid json")


def test_lines_are_escape(stored_runtime: Runtime, store: Path, monkeypatch) -> None:
    def fail(_context: Any) -> None:
        raise ValueError(NASTY)

    name = "or[red]ders"
    hook = stored_runtime.webhook(name, nodes=[fail])
    hook.send(json={"text": NASTY})
    hook.wait()
    monkeypatch.setenv("FORCE_COLOR", "1")
    with tailing("--store", store) as tail:
        line = tail.stdout.readline()
    assert "\x1b[32m  200" in line
    left = re.sub(r"\x1b\[[0-9;]*m", "", line)
    assert escape(left, keep="\n") == left
    assert name in left
    assert "ValueError: \\x1b[31m[bold]red[/bold]" in left
    assert "body.text=\\x1b[31m[bold]red" in left


def news(follower: Follower, runtime: Runtime) -> list[Entry]:
    """Give what is new, once all that was answered is on the disk."""
    runtime._store.flush()
    return list(follower.news())


def followed(path: Path, text: str = "", names: dict[int, str] | None = None) -> Follower:
    return Follower(Reading(path), names, compile_filter(text))


def test_the_newest_come_first_and_later_ones_are_news(
    stored_runtime: Runtime, store: Path
) -> None:
    first, second = stored_runtime.webhook("first"), stored_runtime.webhook("second")
    for number in range(4):
        (first, second)[number % 2].send(json={"n": number})
    first.wait()
    second.wait()
    stored_runtime._store.flush()
    both, one = followed(store), followed(store, names={1: "first"})
    assert [(seen.id, seen.hook) for seen in both.newest(3)] == [
        (1, "second"),
        (2, "first"),
        (2, "second"),
    ]
    assert [seen.id for seen in one.newest(10)] == [1, 2]
    assert list(both.newest(0)) == []
    assert news(both, stored_runtime) == []
    late = stored_runtime.webhook("late")
    for hook in (first, second, late):
        hook.send(json={})
        hook.wait()
    assert [seen.hook for seen in news(both, stored_runtime)] == ["first", "second", "late"]
    assert [seen.hook for seen in news(one, stored_runtime)] == ["first"]
    assert news(both, stored_runtime) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("", [1, 2, 3]), ("4xx", [3]), ("body.n > 1", [2]), ('"invalid json"', [3]), ("pending", [])],
)
def test_only_what_a_filter_finds_is_followed(
    text: str, found: list[int], stored_runtime: Runtime, store: Path
) -> None:
    hook = stored_runtime.webhook("orders")
    before, after = followed(store, text), followed(store, text)
    assert list(after.newest(10)) == []
    hook.send(json={"n": 1})
    hook.send(json={"n": 2})
    hook.send(data="{", headers={"Content-Type": "application/json"})
    hook.wait()
    stored_runtime._store.flush()
    assert [seen.id for seen in before.newest(10)] == found
    assert [seen.id for seen in news(after, stored_runtime)] == found


def test_who_waits_and_what_fails_later_is_given_twice(
    stored_runtime: Runtime, store: Path, monkeypatch
) -> None:
    monkeypatch.setattr("hooknb.cli.following._PENDING_SECONDS", 0.0)
    gate, arrived = threading.Event(), threading.Event()

    def wait(_context: Any) -> None:
        arrived.set()
        gate.wait(30)

    def fail(_context: Any) -> None:
        gate.wait(30)
        raise KeyError("amount")

    slow = stored_runtime.webhook("slow", sync=True, nodes=[wait, Response(202)])
    failing = stored_runtime.webhook("failing", nodes=[fail])
    follower = followed(store)
    assert list(follower.newest(5)) == []
    waiting = threading.Thread(target=slow.send, kwargs={"json": {}})
    waiting.start()
    arrived.wait(30)
    failing.send(json={})
    assert [(seen.hook, seen.status) for seen in news(follower, stored_runtime)] == [
        ("slow", None),
        ("failing", 200),
    ]
    assert news(follower, stored_runtime) == []
    gate.set()
    waiting.join()
    slow.wait()
    failing.wait()
    assert [(seen.hook, seen.status, seen.reason) for seen in news(follower, stored_runtime)] == [
        ("slow", 202, None),
        ("failing", 200, "KeyError: 'amount'"),
    ]
    assert news(follower, stored_runtime) == []


def test_a_store_that_goes_away_is_said(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Runtime(path, port=0) as runtime:
        runtime.webhook("orders")
        follower = followed(path)
        assert list(follower.newest(5)) == []
        path.rename(tmp_path / "moved.db")
        with pytest.raises(hooknb.StoreUnavailableError, match="deleted or replaced"):
            list(follower.news())
        (tmp_path / "moved.db").rename(path)


def test_cleared_deliveries_do_not_disturb(stored_runtime: Runtime, store: Path) -> None:
    hook = stored_runtime.webhook("orders", nodes=[Delay(0.01)])
    follower = followed(store)
    assert list(follower.newest(5)) == []
    hook.send(json={})
    hook.wait()
    hook.clear()
    assert news(follower, stored_runtime) == []
    hook.send(json={})
    hook.wait()
    assert [seen.id for seen in news(follower, stored_runtime)] == [2]


# -- export


def test_deliveries_are_exported_with_a_filter(
    stored_runtime: Runtime, store: Path, tmp_path: Path
) -> None:
    hook = stored_runtime.webhook("orders")
    for number in range(3):
        hook.send(json={"n": number}, headers={"Authorization": "Bearer s3cret"})
    target = tmp_path / "out.jsonl"
    done = run("export", "orders", target, "--filter", "body.n > 0", "--store", store)
    assert done.stdout == f"2 deliveries written to {target}\n"
    lines = target.read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [2, 3]
    assert "s3cret" not in target.read_text()
    other = tmp_path / "out"
    run("export", "orders", other, "--format", "har", "--secrets", "--store", store)
    assert len(json.loads(other.read_text())["log"]["entries"]) == 3
    assert "s3cret" in other.read_text()


def test_long_work_has_a_progress_bar(stored_runtime: Runtime, store: Path, tmp_path: Path) -> None:
    stored_runtime.webhook("orders").send(json={})
    target = tmp_path / "out.har"
    done = run("export", "orders", target, "--store", store, env={"FORCE_COLOR": "1"})
    assert "1/1" in done.stderr
    assert "1/1" not in done.stdout


def test_what_cannot_be_exported_is_said(store: Path, stored_runtime: Runtime, tmp_path) -> None:
    hook: Hook = stored_runtime.webhook("orders")
    hook.send(json={})
    for arguments, problem in (
        (["orders", tmp_path / "out.txt"], "rename it"),
        (["orders", tmp_path / "out.har", "--format", "xml"], "not a format"),
        (["orders", tmp_path / "out.har", "--filter", "body."], "filter"),
        (["orders", tmp_path / "nowhere" / "out.har"], "cannot be written"),
        (["shop", tmp_path / "out.har"], "which has: orders"),
    ):
        failed = run("export", *arguments, "--store", store, code=1)
        assert problem in failed.stderr.replace("\n", " ")
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("out")] == []
