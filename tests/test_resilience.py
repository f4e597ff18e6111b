"""What went wrong once: each of these stopped the server, lost something, or showed a secret."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import redirect_stdout

import pytest
import rich.console

import hooknb
from hooknb import BasicAuth, Runtime, Status
from hooknb.intake import admission
from hooknb.intake.served import Served
from wire import exchange, request


def run(code: str, folder) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])


def test_a_cell_may_print_while_nodes_run(tmp_path):
    run(
        """
        import threading, hooknb
        runtime = hooknb.Runtime(":memory:")
        hook = runtime.webhook("n", nodes=[lambda context: 1])
        done = threading.Event()
        def sender():
            for _ in range(150):
                hook.send(json=1)
            done.set()
        threading.Thread(target=sender, daemon=True).start()
        while not done.is_set():
            print("row", "of", "a", "b")
        hook.wait()
        """,
        tmp_path,
    )


def test_a_coroutine_that_was_left_behind_holds_up_nobody(runtime: Runtime):
    hook, other = runtime.webhook("n"), runtime.webhook("other")
    loop = asyncio.new_event_loop()

    async def leave() -> asyncio.Task:
        task = loop.create_task(hook.next())
        await asyncio.sleep(0.05)
        return task

    task = loop.run_until_complete(leave())
    loop.close()
    for target in (hook, other, hook):
        assert target.send(json=1, timeout=10).status == 200
    task._log_destroy_pending = False
    task.get_coro().close()


class Rude:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error


class UnprintableError(Exception):
    def __str__(self) -> str:
        return self.detail


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_a_result_whose_repr_ends_the_process_does_not(runtime: Runtime, error: BaseException):
    async def on_the_loop(_context):
        return Rude(error)

    hook = runtime.webhook("n", nodes=[lambda _c: Rude(error), on_the_loop])
    for _ in range(2):
        assert hook.send(json=1).status == 200
    hook.wait()
    assert all("whose repr raised" in job.result for job in hook.execution(1).jobs)


def test_a_task_that_ends_the_process_does_not_end_the_server(runtime: Runtime):
    async def node(_context):
        async def sub():
            sys.exit(1)

        await asyncio.gather(sub())

    hook = runtime.webhook("n", nodes=[node], timeout=5)
    hook.send(json=1)
    hook.wait()
    assert hook.execution(1).status in {Status.ERROR, Status.ABORTED}
    assert hook.send(json=1).status == 200


def test_an_error_that_cannot_be_written_ends_its_execution(runtime: Runtime):
    def node(_context):
        raise UnprintableError

    hook = runtime.webhook("n", sync=True, nodes=[node])
    assert hook.send(json=1, timeout=10).status == 500
    assert hook.execution(1).reason.startswith("test_resilience.UnprintableError")


def test_an_async_node_that_would_stop_its_own_thread_is_told(runtime: Runtime):
    async def waits(_context):
        hook.wait(timeout=30)

    async def closes(_context):
        runtime.close()

    hook = runtime.webhook("n", nodes=[waits])
    hook.send(json=1)
    runtime.webhook("m", nodes=[closes]).send(json=1)
    for name in ("n", "m"):
        runtime.hooks[name].wait()
    assert "block the thread" in hook.execution(1).jobs[0].error
    assert "cannot be closed by" in runtime.hooks["m"].execution(1).jobs[0].error


def test_text_that_utf8_cannot_hold_is_kept_as_escapes(runtime: Runtime):
    def node(context):
        print("name \udcff")  # noqa: T201
        if context.body:
            raise ValueError("\udcff")
        return "\udcff"

    hook = runtime.webhook("n", nodes=[node])
    hook.send(json=0)
    hook.send(json=1)
    hook.wait()
    first, second = hook.execution(1), hook.execution(2)
    assert (first.status, second.status) == (Status.RESOLVED, Status.ERROR)
    assert first.jobs[0].output == "name \\udcff\n"
    assert first.jobs[0].result == "\udcff"
    assert "\\udcff" in second.reason


def test_an_upload_that_crosses_a_new_start_of_its_hook_is_run(runtime: Runtime):
    ran = []

    def node(context):
        ran.append(context.body)

    hook = runtime.webhook("n", nodes=[node])
    with socket.create_connection(("127.0.0.1", runtime.port)) as sender:
        head = request(hook, b"12345")
        sender.sendall(head[:-3])
        time.sleep(0.1)
        hook.close()
        hook = runtime.webhook("n", nodes=[node])
        sender.sendall(head[-3:])
        assert b" 200 " in sender.recv(1000)
    hook.wait()
    assert ran == [12345]
    assert hook.executions["status"].tolist() == ["resolved"]


def test_an_executor_that_ends_first_leaves_what_waits(tmp_path):
    run(
        """
        import time, hooknb
        from concurrent.futures import ThreadPoolExecutor
        runtime = hooknb.Runtime("s.db", executor=ThreadPoolExecutor(1))
        hook = runtime.webhook("n", nodes=[lambda c: time.sleep(0.3), lambda c: 1])
        for number in range(4):
            hook.send(json=number)
        """,
        tmp_path,
    )
    with Runtime(tmp_path / "s.db") as runtime:
        hook = runtime.webhook("n", nodes=[lambda _c: 1])
        hook.wait()
        assert hook.executions["status"].tolist() == ["resolved"] * 4


def test_credentials_that_a_node_returns_are_masked(runtime: Runtime):
    hook = runtime.webhook(
        "n",
        auth=BasicAuth("u", "s3cret"),
        nodes=[lambda c: c.headers, lambda c: {"all": [c.delivery.headers]}],
    )
    hook.send(json=1)
    hook.wait()
    text = hook.jobs.to_csv()
    assert "dTpzM2NyZXQ=" not in text
    assert "Basic •••••" in text
    assert "dTpzM2NyZXQ=" not in repr(hook.delivery(1).headers[:9])


def test_rich_shows_no_password():
    console = rich.console.Console(file=io.StringIO())
    console.print(BasicAuth("u", "s3cret"))
    assert "s3cret" not in console.file.getvalue()


def test_a_large_body_is_read_beside_the_others(runtime: Runtime):
    hook = runtime.webhook("n", accept="*/*")
    value = b"%61%62" * 150
    body = b"&".join(b"a%d[b]=%b" % (number, value) for number in range(10_000))
    form = ("Content-Type", "application/x-www-form-urlencoded")
    responses = []
    thread = threading.Thread(
        target=lambda: responses.append(exchange(hook, request(hook, body, headers=(form,))))
    )
    thread.start()
    others = 0
    while thread.is_alive():
        assert exchange(hook, request(hook, b"1")).status == 200
        others += 1
    thread.join()
    assert responses[0].status == 200
    assert others > 3
    assert len(hook.delivery(responses[0].delivery).body) == 10_000


def test_lengths_and_charsets_that_break_readers_are_answered(runtime: Runtime):
    hook = runtime.webhook("n", accept="*/*")
    head = b"POST /hook/%b HTTP/1.1\r\nHost: localhost\r\n" % hook.key.encode()
    assert exchange(hook, head + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n").status == 400
    for charset in ("unicode_escape", "raw_unicode_escape", "utf-7", "idna"):
        kind = ("Content-Type", f"application/json; charset={charset}")
        response = exchange(hook, request(hook, b'"\\ud800\xff"', headers=(kind,)))
        assert response.status == 400
    kind = ("Content-Type", "multipart/form-data; x=" + '";' * 20_000)
    assert exchange(hook, request(hook, b"1", headers=(kind,))).status == 400
    absolute = b"POST http://localhost/hook/%b HTTP/1.1\r\n" % hook.key.encode()
    rest = b"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n1"
    assert exchange(hook, absolute + rest).status == 200


def test_a_closed_store_in_memory_says_so_and_a_repr_never_raises():
    with Runtime(":memory:") as runtime:
        hook = runtime.webhook("n")
        hook.send(json=1)
    assert "not readable" in repr(hook)
    with pytest.raises(hooknb.StoreError, match="in memory and is closed"):
        hook.deliveries  # noqa: B018


def test_whoever_awaits_the_next_delivery_is_told_of_the_end(runtime: Runtime):
    hook = runtime.webhook("n")

    async def cell():
        waiting = asyncio.create_task(hook.next(timeout=20))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(hook.close)
        await waiting

    with pytest.raises(hooknb.ServerError, match="was closed"):
        asyncio.run(cell())


def test_the_default_runtime_that_could_not_start_is_made_anew(tmp_path):
    run(
        """
        import os, socket, hooknb
        os.environ["HOOKNB_STORE"] = ":memory:"
        with socket.create_server(("127.0.0.1", 0)) as busy:
            os.environ["HOOKNB_PORT"] = str(busy.getsockname()[1])
            try:
                hooknb.webhook("n")
            except hooknb.PortInUseError:
                os.environ["HOOKNB_PORT"] = "0"
            assert hooknb.webhook("n").send(json=1).status == 200
        """,
        tmp_path,
    )


def test_the_last_of_several_runtimes_gives_the_switch_interval_back():
    before = sys.getswitchinterval()
    one, two = Runtime(":memory:"), Runtime(":memory:")
    one.webhook("a")
    two.webhook("a")
    one.close()
    assert sys.getswitchinterval() == pytest.approx(0.0001)
    two.close()
    assert sys.getswitchinterval() == pytest.approx(before)


def test_nodes_that_only_waited_for_a_worker_add_none():
    gate = threading.Event()

    def node(context):
        if context.body == 0:
            gate.wait(30)

    before = threading.active_count()
    with Runtime(":memory:", workers=1) as busy:
        hook = busy.webhook("n", nodes=[node], timeout=0.2, concurrency=20)
        for number in range(20):
            hook.send(json=number)
        hook.wait()
        # The server, the writer, the worker that is held, and the one in its place.
        assert threading.active_count() - before == 4
        gate.set()


def test_names_of_what_is_missing_are_those_of_the_columns(runtime: Runtime):
    hook = runtime.webhook("n", body=["[0].sku", '["a.b"]'], query=['["x.y"]'])
    hook.send(json={})
    assert hook.execution(1).missing == ('query["x.y"]', "body[0].sku", 'body["a.b"]')


def test_a_cell_that_redirects_its_output_keeps_its_own(runtime: Runtime):
    hook = runtime.webhook("n", nodes=[lambda _c: print("from a node")])  # noqa: T201
    with redirect_stdout(io.StringIO()) as own:
        print("from the cell")  # noqa: T201
        hook.send(json=1)
        hook.wait()
    assert own.getvalue() == "from the cell\n"
    assert hook.execution(1).jobs[0].output == "from a node\n"


def test_bodies_that_are_slow_to_read_hold_up_nothing_else(runtime: Runtime, monkeypatch):
    gate, reading = threading.Event(), []

    def slow(trigger, request, raw, size):
        if raw:
            reading.append(threading.current_thread().name)
            gate.wait(20)
        return read_body(trigger, request, raw, size)

    read_body = admission.read_body
    monkeypatch.setattr(admission, "read_body", slow)
    large = runtime.webhook("large")

    async def elsewhere(_context):
        return await asyncio.to_thread(threading.current_thread)

    other = runtime.webhook("other", sync=True, accept="*/*", nodes=[elsewhere])
    senders = [
        threading.Thread(target=large.send, kwargs={"json": "a" * 50_000}) for _ in range(40)
    ]
    for sender in senders:
        sender.start()
    try:
        while len(reading) < 2:
            time.sleep(0.01)
        assert other.send(timeout=10).status == 200
        assert reading == ["hooknb-worker"] * 2
    finally:
        gate.set()
        for sender in senders:
            sender.join()
    assert len(large.deliveries) == 40


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_variables_are_looked_for_in_large_bodies_beside_the_server(
    runtime: Runtime, monkeypatch, encoding
):
    threads = []
    parse = Served.parse

    def noted(self, *request):
        threads.append(threading.current_thread().name)
        return parse(self, *request)

    monkeypatch.setattr(Served, "parse", noted)
    hook = runtime.webhook("orders", query=["q"], body=["items.id", "items.sku"])
    body = json.dumps({"items": [{"id": number} for number in range(9_000)]}).encode()
    headers = {"Content-Type": "application/json"}
    if encoding:
        body, headers["Content-Encoding"] = gzip.compress(body), encoding
    assert hook.send(data=body, headers=headers).status == 200
    assert threads == ["hooknb-worker"]
    assert hook.execution(1).missing == ("query.q", "body.items.sku")
