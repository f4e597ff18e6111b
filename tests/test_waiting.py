from __future__ import annotations

import asyncio
import re
import threading
import time

import pytest

import hooknb
from hooknb.errors import ServerError, SettingError, WaitTimeoutError
from hooknb.payloads.headers import MASK


def later(call, *arguments) -> threading.Thread:
    """Call it on a thread that begins when the caller may be waiting already."""
    thread = threading.Timer(0.05, call, arguments)
    thread.start()
    return thread


def test_what_is_there_already_counts(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("orders")
    for number in range(3):
        hook.send(json={"n": number})
    assert hook.wait_for().body == {"n": 0}
    assert hook.wait_for("body.n > 0").id == 2
    assert [delivery.id for delivery in hook.wait_for("body.n > 0", n=2)] == [2, 3]
    assert [delivery.id for delivery in hook.wait_for(n=2)] == [1, 2]


def test_what_comes_later_is_waited_for(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("orders")
    hook.send(json={"status": "open"})
    thread = later(lambda: [hook.send(json={"status": status}) for status in ("new", "paid")])
    assert hook.wait_for('body.status == "paid"', timeout=30).id == 3
    thread.join()


def test_executions_have_ended_then(runtime: hooknb.Runtime) -> None:
    may_end = threading.Event()

    def node(_context) -> str:
        may_end.wait(30)
        return "done"

    hook = runtime.webhook("orders", nodes=[node])
    hook.send(json={})
    with pytest.raises(WaitTimeoutError, match="1 of their executions had not ended"):
        hook.wait_for(timeout=0.1)
    later(may_end.set)
    execution = hook.execution(hook.wait_for(timeout=30).id)
    assert execution.status is hooknb.Status.RESOLVED
    assert [job.result for job in execution.jobs] == ["done"]


def test_the_executions_of_others_are_not_waited_for(runtime: hooknb.Runtime) -> None:
    may_end = threading.Event()

    def node(context) -> None:
        if context.body["slow"]:
            may_end.wait(30)

    hook = runtime.webhook("orders", nodes=[node], concurrency=2)
    hook.send(json={"slow": True})
    hook.send(json={"slow": False})
    assert hook.wait_for("body.slow == false", timeout=30).id == 2
    assert hook.execution(1).status is hooknb.Status.STARTED
    may_end.set()


def test_answers_that_come_later_are_seen(runtime: hooknb.Runtime) -> None:
    may_end = threading.Event()

    def node(_context) -> None:
        may_end.wait(30)

    hook = runtime.webhook("orders", sync=True, nodes=[node, hooknb.Response(418)])
    sender = threading.Thread(target=hook.send, kwargs={"json": {}})
    sender.start()
    later(may_end.set)
    assert hook.wait_for("418", timeout=30).status == 418
    sender.join(30)


def test_refused_ones_are_found(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("orders")
    hook.send(method="PUT")
    assert hook.wait_for("refused").reason == "method"
    assert hook.wait_for("405").id == 1


def test_what_was_cleared_counts_no_more(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("orders")
    hook.send(json={"n": 1})
    hook.clear()
    with pytest.raises(
        WaitTimeoutError, match=r"0 of 1 delivery had arrived\. Nothing was received"
    ):
        hook.wait_for(timeout=0)

    def go_on() -> None:
        hook.send(json={"n": 2})
        time.sleep(0.05)
        hook.clear()
        hook.send(json={"n": 3})
        hook.send(json={"n": 4})

    thread = later(go_on)
    assert [delivery.body["n"] for delivery in hook.wait_for(n=2, timeout=30)] == [3, 4]
    thread.join()


def test_a_hook_that_is_closed_is_waited_for_no_more(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("orders")
    thread = later(hook.close)
    with pytest.raises(ServerError, match="was closed during the wait"):
        hook.wait_for(timeout=30)
    thread.join()
    with pytest.raises(ServerError, match="is closed"):
        hook.wait_for()


def test_it_is_refused_on_the_servers_thread(runtime: hooknb.Runtime) -> None:
    said = []

    async def node(_context) -> None:
        try:
            runtime.hooks["orders"].wait_for()
        except ServerError as error:
            said.append(str(error))
        await asyncio.to_thread(runtime.hooks["other"].wait_for)

    other = runtime.webhook("other")
    other.send(json={})
    hook = runtime.webhook("orders", nodes=[node])
    hook.send(json={})
    assert hook.execution(hook.wait_for().id).status is hooknb.Status.RESOLVED
    assert "await asyncio.to_thread(hook.wait_for, …)" in said[0]


def test_a_node_may_wait_for_the_nodes_of_another_hook() -> None:
    with hooknb.Runtime(":memory:", port=0, workers=1) as runtime:
        other = runtime.webhook("other", nodes=[lambda _context: 1])

        def node(_context) -> int:
            other.send(json={})
            other.send(json={})
            return other.wait_for(n=2, timeout=20)[-1].id

        hook = runtime.webhook("orders", nodes=[node])
        hook.send(json={})
        [job] = hook.execution(hook.wait_for(timeout=30).id).jobs
        assert job.result == 2


# -- what was received instead


def test_a_table_says_what_was_received_instead(runtime: hooknb.Runtime) -> None:
    def total(context) -> float:
        return context.body["amount"] * 1.25

    hook = runtime.webhook("orders", nodes=[total])
    hook.send(json={"amount": 4})
    hook.send(data=b'{"amount: 4}\n', headers={"Content-Type": "application/json"})
    hook.send(json={"note": "line\nbreak\u202e" + "x" * 100})
    hook.send(method="GET")
    hook.wait()
    with pytest.raises(WaitTimeoutError) as caught:
        hook.wait_for("body.amount > 3", n=2, timeout=0.1)
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "orders: after 0.1 s, 1 of 2 deliveries matching 'body.amount > 3' had arrived. Received:"
    )
    assert [re.split(r" {2,}", line) for line in lines[2:]] == [
        ["id", "found", "response", "execution", "received"],
        ["1", "yes", "200", "resolved", '{"amount":4}'],
        ["2", "no", "400", "refused: invalid json", '{"amount: 4}'],
        ["3", "no", "200", "error: KeyError: 'amount'", lines[5].rpartition("  ")[2]],
        ["4", "no", "405", "refused: method", "GET without a body"],
    ]
    assert lines[5].endswith("x…")
    assert "\u202e" not in lines[5]
    assert max(map(len, lines)) < 130


def test_variables_are_shown_where_they_are_configured(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook(
        "orders",
        headers=["Authorization", "Cookie"],
        body=[hooknb.Variable("order.id", alias="number"), "status"],
    )
    hook.send(
        json={"order": {"id": 7, "card": "4111"}, "status": "open"},
        headers={"Authorization": "Bearer sesame", "Cookie": "session=hunter2"},
    )
    with pytest.raises(WaitTimeoutError) as caught:
        hook.wait_for("paid", timeout=0.1)
    text = str(caught.value)
    assert f"Bearer {MASK}" in text
    assert "number: 7, " in text
    for secret in ("sesame", "hunter2", "4111", hook.key):
        assert secret not in text


def test_the_table_has_ten_rows_at_most(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("orders")
    for number in range(12):
        hook.send(json={"n": number})
    with pytest.raises(WaitTimeoutError, match=r"Received \(the newest 10 of 12\)") as caught:
        hook.wait_for("body.n > 99", timeout=0.1)
    ids = [line.split()[0] for line in str(caught.value).splitlines()[3:]]
    assert ids == [str(number) for number in range(3, 13)]


@pytest.mark.parametrize("n", [0, -1, True, 1.5, "2", None])
def test_n_is_a_number_of_deliveries(runtime: hooknb.Runtime, n) -> None:
    with pytest.raises(SettingError, match=r"n: .* is not a number of deliveries"):
        runtime.webhook("orders").wait_for(n=n)


def test_what_is_no_filter_is_said_at_once(runtime: hooknb.Runtime) -> None:
    with pytest.raises(SettingError, match="filter"):
        runtime.webhook("orders").wait_for("body.amount >", timeout=None)


def test_the_first_line_of_wait_says_what_it_counts_from() -> None:
    assert hooknb.Hook.wait.__doc__ is not None
    first = hooknb.Hook.wait.__doc__.splitlines()[0]
    assert "since this call" in first
