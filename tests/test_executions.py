"""Executions: in turn, with their jobs, never the end of the server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

import hooknb
from hooknb import Response, Runtime, Status, _clock
from hooknb.records import ReceivedRequest


def test_first_in_first_out_one_at_a_time(runtime: Runtime) -> None:
    seen, running, most = [], 0, 0

    def node(context):
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.005)
        seen.append(context.body)
        running -= 1

    hook = runtime.webhook("turns", nodes=[node])
    for number in range(20):
        assert hook.send(json=number).status == 200
    hook.wait()
    assert seen == list(range(20))
    assert most == 1


def test_concurrency_runs_as_many_at_a_time_and_no_more(runtime: Runtime) -> None:
    gate, lock, running, most = threading.Event(), threading.Lock(), 0, 0

    def node(_context):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 3:
                gate.set()
        assert gate.wait(10)
        time.sleep(0.02)
        with lock:
            running -= 1

    hook = runtime.webhook("three", nodes=[node], concurrency=3)
    for number in range(9):
        hook.send(json=number)
    hook.wait()
    assert most == 3
    assert all(hook.execution(n).status is Status.RESOLVED for n in range(1, 10))


def test_a_caller_of_an_asynchronous_hook_never_waits_for_a_node(runtime: Runtime) -> None:
    gate = threading.Event()
    hook = runtime.webhook("later", nodes=[lambda _context: gate.wait(30)])
    assert hook.send(json=1).status == 200
    assert hook.send(json=2).status == 200
    assert hook.execution(2).status is Status.QUEUED
    with pytest.raises(TimeoutError, match="2 executions are queued or running"):
        hook.wait(timeout=0.05)
    gate.set()
    hook.wait()
    assert hook.execution(2).status is Status.RESOLVED


def test_nodes_see_the_results_of_earlier_ones_under_their_keys(runtime: Runtime) -> None:
    def total(context):
        return context.body["amount"] * 2

    async def report(context):
        await asyncio.sleep(0)
        return {"total": context.nodes["total"], "id": context.execution.id}

    hook = runtime.webhook("chain", nodes=[total, report])
    hook.send(json={"amount": 21})
    hook.wait()
    execution = hook.execution(1)
    assert [(job.node, job.type, job.result) for job in execution.jobs] == [
        ("total", "code", 42),
        ("report", "code", {"total": 42, "id": 1}),
    ]
    assert all(job.duration_ms >= 0 for job in execution.jobs)


def test_two_nodes_of_one_name_get_keys_of_their_own(runtime: Runtime) -> None:
    hook = runtime.webhook("same", nodes=[lambda _c: 1, lambda _c: 2])
    hook.send(json=0)
    hook.wait()
    assert [(job.node, job.result) for job in hook.execution(1).jobs] == [
        ("code", 1),
        ("code_2", 2),
    ]


def test_the_context_has_every_part(runtime: Runtime) -> None:
    seen = {}

    def look(context):
        seen.update(
            header=context.headers["x-request-id"],
            query=context.query,
            body=context.body,
            variables=context.variables,
            method=context.delivery.method,
            revision=context.execution.revision,
            recovered=context.execution.recovered,
        )

    hook = runtime.webhook(
        "parts",
        headers=["X-Request-Id"],
        query=["a.b"],
        body=[hooknb.Variable("order.id", alias="Order"), "absent"],
        nodes=[look],
    )
    hook.send(json={"order": {"id": 2**70}}, params="a[b]=1", headers={"x-request-ID": "r1"})
    hook.wait()
    assert seen == {
        "header": "r1",
        "query": {"a": {"b": "1"}},
        "body": {"order": {"id": 2**70}},
        "variables": {"headers.X-Request-Id": "r1", "query.a.b": "1", "Order": 2**70},
        "method": "POST",
        "revision": 1,
        "recovered": False,
    }
    assert hook.execution(1).missing == ("body.absent",)


def test_prints_go_into_the_job_and_not_into_the_cell(runtime: Runtime, capsys) -> None:
    async def second(_context):
        print("from the loop")  # noqa: T201
        await asyncio.sleep(0.01)
        print("to stderr", file=sys.stderr)  # noqa: T201

    def first(_context):
        print("from a worker")  # noqa: T201

    before = sys.stdout
    hook = runtime.webhook("prints", nodes=[first, second])
    hook.send(json=1)
    hook.wait()
    assert [job.output for job in hook.execution(1).jobs] == [
        "from a worker\n",
        "from the loop\nto stderr\n",
    ]
    assert capsys.readouterr() == ("", "")
    assert sys.stdout is before


def test_a_megabyte_of_print_is_cut_and_counted(runtime: Runtime) -> None:
    hook = runtime.webhook("loud", nodes=[lambda _c: print("x" * 2**20)])  # noqa: T201
    hook.send(json=1)
    hook.wait()
    output = hook.execution(1).jobs[0].output
    assert len(output) < 70_000
    assert output.endswith(f"… {2**20 - 2**16 + 1} more characters")


def _raise(error: BaseException):
    raise error


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), SystemExit(3), KeyboardInterrupt(), StopIteration(1), TimeoutError("own")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("is_async", [False, True])
def test_whatever_a_node_raises_ends_its_execution_only(
    runtime: Runtime, error: BaseException, *, is_async: bool
) -> None:
    async def fail_on_loop(_context):
        _raise(error)

    def fail(_context):
        _raise(error)

    hook = runtime.webhook("fails", nodes=[fail_on_loop if is_async else fail, lambda _c: 1])
    hook.send(json=1)
    hook.wait()
    execution = hook.execution(1)
    assert execution.status is Status.ERROR
    [job] = execution.jobs
    assert job.status is Status.ERROR
    assert job.error.startswith(type(error).__name__)
    assert execution.reason.startswith(type(error).__name__)
    assert "in _raise" in job.error
    assert "hooknb/engine" not in job.error
    assert hook.send(json=2).status == 200


def test_a_result_that_cannot_be_stored_is_kept_as_its_repr(runtime: Runtime) -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    hook = runtime.webhook("odd", nodes=[lambda _c: {1, 2}, lambda _c: Rude(), lambda _c: b"\xff"])
    hook.send(json=1)
    hook.wait()
    first, second, third = hook.execution(1).jobs
    assert (first.result, first.stored_as_repr) == ("{1, 2}", True)
    assert second.stored_as_repr
    assert "whose repr raised RuntimeError" in second.result
    assert (third.result, third.stored_as_repr) == ("b'\\xff'", True)


def test_results_are_exact(runtime: Runtime) -> None:
    values = [2**70, 0.1, "é😀", [1, None, {"a": True}], {"b": []}]
    hook = runtime.webhook("exact", nodes=[lambda c: c.body])
    for value in values:
        hook.send(json=value)
    hook.wait()
    stored = [hook.execution(n).jobs[0].result for n in range(1, len(values) + 1)]
    assert stored == values
    assert not any(hook.execution(n).jobs[0].stored_as_repr for n in range(1, len(values) + 1))


def test_a_timeout_aborts_and_the_next_one_runs(runtime: Runtime) -> None:
    gate = threading.Event()

    def endless(context):
        if context.body == "endless":
            gate.wait(30)
        return "done"

    hook = runtime.webhook("bounded", nodes=[endless], timeout=0.1)
    hook.send(json="endless")
    hook.send(json="quick")
    hook.wait()
    gate.set()
    cut, ran = hook.execution(1), hook.execution(2)
    assert (cut.status, cut.reason) == (Status.ABORTED, "timeout")
    assert [job.status for job in cut.jobs] == [Status.ABORTED]
    assert ran.status is Status.RESOLVED


def test_endless_nodes_do_not_use_up_the_workers() -> None:
    gate = threading.Event()
    with Runtime(":memory:", workers=2) as runtime:
        stuck = runtime.webhook("stuck", nodes=[lambda _c: gate.wait(30)], timeout=0.05)
        for number in range(6):
            stuck.send(json=number)
        stuck.wait()
        fine = runtime.webhook("fine", nodes=[lambda _c: 1])
        fine.send(json=1)
        fine.wait(timeout=10)
        gate.set()


def test_endless_nodes_do_not_use_up_the_workers_after_a_backlog() -> None:
    gate, late = threading.Event(), threading.Event()
    with Runtime(":memory:", workers=1) as runtime:
        many = runtime.webhook("many", concurrency=20, nodes=[lambda _c: gate.wait(30)])
        for number in range(20):
            many.send(json=number)
        gate.set()
        many.wait()
        endless = runtime.webhook("endless", timeout=0.1, nodes=[lambda _c: late.wait(30)])
        endless.send(json=1)
        endless.wait()
        fine = runtime.webhook("fine", sync=True, timeout=5, nodes=[lambda _c: 1])
        assert [fine.send(json=number).status for number in range(3)] == [200] * 3
        late.set()


def test_any_executor_will_do() -> None:
    names = []
    with (
        ThreadPoolExecutor(1, thread_name_prefix="mine") as pool,
        Runtime(":memory:", executor=pool) as runtime,
    ):
        hook = runtime.webhook(
            "pool", nodes=[lambda _c: names.append(threading.current_thread().name)]
        )
        hook.send(json=1)
        hook.wait()
    assert names
    assert names[0].startswith("mine")


def test_a_synchronous_caller_gets_the_first_response(runtime: Runtime) -> None:
    after = []
    hook = runtime.webhook(
        "sync",
        sync=True,
        nodes=[
            lambda c: c.body,
            Response(201, headers={"X-A": "b"}, body={"ok": True}),
            lambda _c: after.append(1),
        ],
    )
    response = hook.send(json=5)
    assert (response.status, response.headers["x-a"], response.json()) == (201, "b", {"ok": True})
    execution = hook.execution(1)
    assert (execution.status, execution.response_status) == (Status.RESOLVED, 201)
    assert [job.node for job in execution.jobs] == ["code", "response"]
    assert after == []


def test_a_synchronous_caller_without_a_response_gets_200_500_or_408(runtime: Runtime) -> None:
    fine = runtime.webhook("fine", sync=True, nodes=[lambda _c: 1])
    wrong = runtime.webhook("wrong", sync=True, nodes=[lambda c: c.body["absent"]])
    gate = threading.Event()
    slow = runtime.webhook("slow", sync=True, nodes=[lambda _c: gate.wait(30)], timeout=0.1)
    bare = runtime.webhook("bare", sync=True)
    assert fine.send(json={}).status == 200
    response = wrong.send(json={})
    assert (response.status, response.headers["content-type"]) == (500, "application/problem+json")
    assert b"KeyError" not in response.body
    assert slow.send(json={}).status == 408
    assert slow.execution(slow.deliveries.index[0]).reason == "timeout"
    gate.set()
    assert bare.send(json={}).status == 200


def test_closing_waits_for_what_runs_and_aborts_what_does_not_end(tmp_path) -> None:
    gate = threading.Event()
    with Runtime(tmp_path / "s.db", drain=0.2) as runtime:
        quick = runtime.webhook("quick", nodes=[lambda _c: time.sleep(0.05)])
        stuck = runtime.webhook("stuck", nodes=[lambda _c: gate.wait(30)])
        quick.send(json=1)
        stuck.send(json=1)
        stuck.send(json=2)
    gate.set()
    with Runtime(tmp_path / "s.db") as runtime:
        quick = runtime.webhook("quick")
        assert quick.execution(1).status is Status.RESOLVED
        stuck = runtime.webhook("stuck", nodes=[lambda _c: 1])
        stuck.wait()
        assert (stuck.execution(1).status, stuck.execution(1).reason) == (
            Status.ABORTED,
            "shutdown",
        )
        # What had not begun is run now.
        waited = stuck.execution(2)
        assert (waited.status, waited.recovered) == (Status.RESOLVED, False)


def test_too_many_waiting_executions_turn_new_deliveries_away() -> None:
    gate = threading.Event()
    with Runtime(":memory:", max_queued=3) as runtime:
        hook = runtime.webhook("busy", nodes=[lambda _c: gate.wait(30)])
        statuses = []
        with contextlib.suppress(TimeoutError):
            for number in range(6):
                response = hook.send(json=number)
                statuses.append(response.status)
        assert statuses == [200, 200, 200, 200, 503, 503]
        assert response.headers["Retry-After"]
        gate.set()
        hook.wait()
        assert [hook.execution(n).status for n in range(1, 5)] == [Status.RESOLVED] * 4
        assert hook.delivery(5).reason == "backlog"
        assert hook.send(json=7).status == 200


@pytest.mark.parametrize("where", ["worker", "loop"])
def test_no_cycle_keeps_alive_what_a_node_that_raised_had_in_its_hands(
    runtime: Runtime, where: str
) -> None:
    class Held:
        pass

    kept: list[weakref.ref[Held]] = []

    def node(_context):
        held = Held()
        kept.append(weakref.ref(held))
        raise ValueError(held is None)

    async def on_the_loop(context):
        node(context)

    hook = runtime.webhook("orders", nodes=[on_the_loop if where == "loop" else node])
    gc.disable()
    try:
        hook.send(json={})
        hook.wait()
        hook.send(json={})  # a worker holds its last work until it has the next
        hook.wait()
        assert kept[0]() is None
    finally:
        gc.enable()


def test_a_status_says_itself_whether_it_is_over_and_bad() -> None:
    told = {
        status.name: (status.is_over, status.is_bad, status.label, status.tone) for status in Status
    }
    assert told == {
        "QUEUED": (False, False, "queued", "wait"),
        "STARTED": (False, False, "pending", "wait"),
        "RESOLVED": (True, False, "resolved", "ok"),
        "FAILED": (True, True, "failed", "bad"),
        "ERROR": (True, True, "error", "bad"),
        "ABORTED": (True, True, "aborted", "bad"),
    }


def test_a_job_tells_whether_a_node_below_it_failed_or_the_node_itself(runtime: Runtime) -> None:
    def wrong(_context):
        raise ValueError("a node inside of it failed?")

    hook = runtime.webhook("orders", nodes=[hooknb.Loop(1, [hooknb.Code(wrong, key="own")])])
    hook.send(json={})
    hook.wait()
    jobs = {job.node: job for job in hook.execution(1).jobs}
    assert {key: job.is_nested_failure for key, job in jobs.items()} == {"own": False, "loop": True}


def test_of_a_long_queue_a_part_alone_stays_in_memory(runtime: Runtime) -> None:
    gate, seen = threading.Event(), []

    def node(context):
        assert gate.wait(30)
        seen.append(context.delivery.body)

    def count_held() -> int:
        gc.collect()
        return sum(isinstance(item, ReceivedRequest) for item in gc.get_objects())

    hook = runtime.webhook("long", nodes=[node])
    before = count_held()  # of other tests in this process
    for number in range(300):
        assert hook.send(json=number).status == 200
    held = count_held() - before
    gate.set()
    hook.wait()
    assert held < 280
    assert seen == list(range(300))


def test_an_execution_takes_the_time_when_its_turn_comes(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour, ahead = 3_600_000_000, [0]  # microseconds
    real = _clock.now
    monkeypatch.setattr(_clock, "now", lambda: real() + ahead[0])
    release = threading.Event()
    hook = runtime.webhook("orders", concurrency=1, nodes=[hooknb.Code(lambda _: release.wait(60))])
    for number in range(2):
        hook.send(json=number)
    ahead[0] = hour  # the machine sleeps, or somebody sets the clock
    release.set()
    hook.wait()
    first, second = hook.executions["started_at"].astype("int64")
    assert second - first >= hour
