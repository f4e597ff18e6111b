"""Nodes without an effect, which run while the delivery of a synchronous hook is stored."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hooknb import Calculation, Condition, Query, Response, Runtime
from hooknb.records import Status
from wire import Wire, exchange, request

ON_A_WORKER = Query("$", language="jsonata")  # which has no effect, and is not quick


@contextmanager
def no_worker(runtime: Runtime) -> Iterator[None]:
    """Keep every worker of a runtime that has one."""
    entered, release = threading.Event(), threading.Event()

    def hold(_context: Any) -> None:
        entered.set()
        release.wait(30)

    hook = runtime.webhook("hold", nodes=[hold])
    hook.send(json=1)
    assert entered.wait(30)
    try:
        yield
    finally:
        release.set()


@contextmanager
def slow_disk(runtime: Runtime) -> Iterator[threading.Event]:
    """Hold up the next transaction until the event is set."""
    writer, release = runtime._store._writer, threading.Event()
    write = writer._apply

    def held(*args: Any) -> None:
        release.wait(30)
        write(*args)

    writer._apply = held
    try:
        yield release
    finally:
        release.set()
        writer._apply = write


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_timeout_counts_from_the_first_node_on() -> None:
    with Runtime(":memory:", port=0, workers=1) as runtime:
        hook = runtime.webhook("n", sync=True, timeout=0.1, nodes=[ON_A_WORKER, Response(201)])
        with no_worker(runtime):
            response = exchange(hook, request(hook, b"1"))
        assert response.status == 408
        assert hook.execution(response.delivery).reason == "timeout"
        assert exchange(hook, request(hook, b"1")).status == 201


def test_a_timeout_may_pass_before_the_delivery_is_stored(stored_runtime: Runtime) -> None:
    ran = []
    hook = stored_runtime.webhook(
        "n", sync=True, timeout=0.1, nodes=[Calculation("1"), lambda c: ran.append(c.body)]
    )
    with slow_disk(stored_runtime) as release, Wire(hook) as wire:
        wire.send(request(hook, b"1"))
        wait_until(lambda: bool(hook._state.queue.running))
        wait_until(lambda: not hook._state.queue.running)
        release.set()
        response = wire.response()
    assert response.status == 408
    execution = hook.execution(response.delivery)
    assert (execution.status, execution.reason) == (Status.ABORTED, "timeout")
    assert not ran
    hook.wait(timeout=30)


def test_closing_waits_for_what_waits_for_its_delivery(tmp_path: Any) -> None:
    with Runtime(tmp_path / "s.db", port=0, drain=30) as runtime:
        hook = runtime.webhook("n", sync=True, nodes=[Calculation("1"), lambda c: c.body])
        with slow_disk(runtime) as release, Wire(hook) as wire:
            wire.send(request(hook, b"7"))
            wait_until(lambda: bool(hook._state.queue.running))
            closing = threading.Thread(target=hook.close)
            closing.start()
            wait_until(lambda: hook._state.queue.closed)
            release.set()
            assert wire.response().status == 200
            closing.join(30)
        assert hook.execution(1).status is Status.RESOLVED


def test_what_does_not_end_is_told_503_when_its_runtime_is_closed(tmp_path: Any) -> None:
    gate = threading.Event()
    with Runtime(tmp_path / "s.db", port=0, drain=0.1) as runtime:
        hook = runtime.webhook("n", sync=True, nodes=[lambda _c: gate.wait(30)])
        with Wire(hook) as wire:
            wire.send(request(hook, b"7"))
            wait_until(lambda: bool(hook._state.queue.running))
            runtime.close()
            assert wire.response().status == 503
    gate.set()
    with Runtime(tmp_path / "s.db", port=0) as runtime:
        execution = runtime.webhook("n").execution(1)
        assert (execution.status, execution.reason) == (Status.ABORTED, "shutdown")
        assert (execution.response_status, execution.recovered) == (503, False)


def test_cut_off_queries_do_not_use_up_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    from hooknb.workflow.nodes import query

    release = threading.Event()

    def endless(value: Any) -> Any:
        return value if value == 1 else release.wait(30)

    with Runtime(":memory:", port=0, workers=1) as runtime:
        hook = runtime.webhook("n", sync=True, timeout=0.2, nodes=[ON_A_WORKER, Response(201)])
        monkeypatch.setattr(query, "_compiled", lambda *_: query._Program(endless))
        try:
            for _ in range(3):
                assert hook.send(json=2).status == 408
            assert hook.send(json=1).status == 201
        finally:
            release.set()


@pytest.mark.parametrize("first", [[], [Calculation("1")], [ON_A_WORKER]])
def test_a_hook_that_sends_to_itself_stops(first: list[Any]) -> None:
    with Runtime(":memory:", port=0, max_depth=3) as runtime:
        hook = runtime.webhook(
            "self",
            sync=True,
            nodes=[
                *first,
                Condition("true", yes=[lambda c: hook.send(json=c.body).status]),
                Response(202),
            ],
        )
        assert hook.send(json=1).status == 202
        assert hook.deliveries["reason"].dropna().tolist() == ["depth"]
        assert len(hook.deliveries) == 5


def test_an_execution_sees_no_context_variable_of_another(runtime: Runtime) -> None:
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("v", default=None)
    seen = []
    gate = threading.Event()

    async def node(context: Any) -> None:
        seen.append(variable.get())
        variable.set(context.body)

    hook = runtime.webhook("n", nodes=[lambda _c: gate.wait(30), node])
    for number in range(3):
        hook.send(json=number)
    gate.set()
    hook.wait()
    assert seen == [None, None, None]


def test_a_caller_whose_executor_has_ended_is_told_to_come_back() -> None:
    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(1)
    with Runtime(":memory:", port=0, executor=executor) as runtime:
        for name, nodes in (("a", [lambda _c: 1]), ("b", [ON_A_WORKER])):
            hook = runtime.webhook(name, sync=True, nodes=nodes)
            executor.shutdown()
            assert exchange(hook, request(hook, b"1")).status == 503


def test_a_body_that_breaks_its_parser_gets_500(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = runtime.webhook("n")

    def broken(*_args: Any) -> Any:
        raise ValueError

    monkeypatch.setattr(hook._state.served, "parse", broken)
    for body in (b"1", b"1" + b" " * 40_000):
        response = exchange(hook, request(hook, body))
        assert response.status == 500
        assert hook.delivery(response.delivery).reason == "internal"


@pytest.mark.parametrize("sync", [False, True])
def test_what_a_closed_hook_had_in_flight_is_run_once_by_the_next(
    stored_runtime: Runtime, monkeypatch: pytest.MonkeyPatch, *, sync: bool
) -> None:
    runtime, ran = stored_runtime, []
    nodes = [Calculation("1"), lambda c: ran.append(c.execution.id)]
    hook = runtime.webhook("n", sync=sync, nodes=nodes)
    intake = runtime._hosting.intake
    let_go = intake.let_go

    def late(deliveries: Any) -> None:
        time.sleep(0.5)  # what holds up the loop
        let_go(deliveries)

    with slow_disk(runtime) as release, Wire(hook) as wire:
        wire.send(request(hook, b"7"))
        wait_until(lambda: bool(intake.grouping._being_written))
        monkeypatch.setattr(intake, "let_go", late)
        closing = threading.Thread(target=hook.close)
        closing.start()
        wait_until(lambda: hook._state.queue.closed)
        release.set()
        closing.join(30)
        hook = runtime.webhook("n", sync=sync, nodes=nodes)
        assert wire.response().status == 200
    hook.wait(timeout=30)
    assert ran == [1]
    assert hook._state.unfinished == 0
    assert hook.executions["status"].tolist() == ["resolved"]
