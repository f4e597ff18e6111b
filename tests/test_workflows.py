"""Workflows as their callers see them: branches, answers, limits, chains."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import hooknb
from hooknb import Runtime, Status
from wire import Wire, request


def test_500_callers_at_once_get_their_own_answers():
    def double(context):
        time.sleep(0.05)
        return context.body * 2

    with Runtime(":memory:", workers=64) as runtime:
        hook = runtime.webhook(
            "many",
            sync=True,
            nodes=[double, hooknb.Response(200, body={"is": "{{ nodes.double }}"})],
        )
        wires = [Wire(hook) for _ in range(500)]
        try:
            for number, wire in enumerate(wires):
                wire.send(request(hook, str(number).encode()))
            for number, wire in enumerate(wires):
                response = wire.response()
                assert (response.status, response.body) == (200, b'{"is":%d}' % (number * 2))
        finally:
            for wire in wires:
                wire.__exit__(None, None, None)


def test_a_hook_that_calls_itself_is_stopped(runtime: Runtime):
    def again(context):
        return hook.send(json=context.body + 1).status

    hook = runtime.webhook("self", nodes=[again], concurrency=20)
    hook.send(json=0)
    hook.wait()
    frame = hook.deliveries
    assert frame["outcome"].tolist() == ["accepted"] * 9 + ["refused"]
    assert (frame["reason"].iloc[-1], frame["status"].iloc[-1]) == ("depth", 508)
    assert hook.execution(9).jobs[0].result == 508


def test_an_execution_that_runs_or_waits_can_be_cancelled(runtime: Runtime):
    entered, gate = threading.Event(), threading.Event()

    def node(_context):
        entered.set()
        gate.wait(30)

    hook = runtime.webhook("cancel", nodes=[node])
    hook.send(json=1)
    hook.send(json=2)
    assert entered.wait(10)
    assert hook.cancel(2)
    assert hook.cancel(1)
    hook.wait()
    gate.set()
    assert not hook.cancel(1)
    for number in (1, 2):
        execution = hook.execution(number)
        assert (execution.status, execution.reason) == (Status.ABORTED, "cancelled")
    assert [job.status for job in hook.execution(1).jobs] == [Status.ABORTED]
    assert hook.execution(2).started_at is None


def test_a_node_that_starts_threads_goes_on_and_so_does_the_server(runtime: Runtime):
    ended = threading.Event()

    def node(_context):
        threading.Thread(target=lambda: (time.sleep(0.05), ended.set())).start()
        return "started"

    hook = runtime.webhook("threads", nodes=[node])
    hook.send(json=1)
    hook.wait()
    assert hook.execution(1).jobs[0].result == "started"
    assert ended.wait(10)
    assert hook.send(json=2).status == 200


@pytest.mark.parametrize("waits", [True, False])
def test_what_was_done_is_kept_and_what_runs_is_pending(stored_runtime: Runtime, *, waits: bool):
    gate = threading.Event()

    async def pause(_context):
        await asyncio.sleep(30)

    hook = stored_runtime.webhook(
        "long", nodes=[lambda _c: "first", pause if waits else lambda _c: gate.wait(30)]
    )
    hook.send(json=1)
    end = time.monotonic() + 10
    while len(hook.jobs) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    frame = hook.jobs
    assert frame["status"].tolist() == ["resolved", "pending"]
    assert frame["result"].iloc[0] == "first"
    assert frame["finished_at"].isna().tolist() == [False, True]
    assert hook.execution(1).status is Status.STARTED
    hook.cancel(1)
    gate.set()
    assert hook.jobs["status"].tolist() == ["resolved", "aborted"]
    assert [job.status.word for job in hook.execution(1).jobs] == ["resolved", "aborted"]


def test_what_runs_is_written_once_where_there_is_no_news(runtime: Runtime):
    written = []
    submit = runtime._store.submit

    def watch(*operations):
        written.extend(type(operation).__name__ for operation in operations)
        submit(*operations)

    async def node(context):
        for _ in range(5):
            context.keep()

    hook = runtime.webhook("once", nodes=[node])
    runtime._store.submit = watch
    hook.send(json=1)
    hook.wait()
    assert written.count("NewJobs") == 1
    assert hook.jobs["status"].tolist() == ["resolved"]


@pytest.mark.parametrize("mode", ["all", "any", "race"])
def test_branches_at_the_same_time(runtime: Runtime, mode: str):
    async def quick(_context):
        return "quick"

    async def slow(_context):
        await asyncio.sleep(0.05 if mode == "all" else 30)
        return "slow"

    hook = runtime.webhook(
        mode, sync=True, nodes=[hooknb.Parallel([[slow], [quick]], mode=mode, key="both")]
    )
    assert hook.send(json=1).status == 200
    execution = hook.execution(1)
    assert execution.jobs[-1].result == (["slow", "quick"] if mode == "all" else [None, "quick"])
    statuses = {job.node: job.status.word for job in execution.jobs}
    assert statuses["slow"] == ("resolved" if mode == "all" else "aborted")


@pytest.mark.parametrize(
    ("mode", "status"), [("all", "error"), ("any", "resolved"), ("race", "error")]
)
def test_a_branch_that_fails(runtime: Runtime, mode: str, status: str):
    async def wrong(_context):
        raise ValueError("no")

    async def right(_context):
        await asyncio.sleep(0.05)
        return "right"

    hook = runtime.webhook(mode, sync=True, nodes=[hooknb.Parallel([[wrong], [right]], mode=mode)])
    hook.send(json=1)
    assert hook.execution(1).status.word == status
    statuses = {job.node: job.status.word for job in hook.execution(1).jobs}
    assert statuses["wrong"] == "error"
    assert statuses["right"] == ("resolved" if mode == "any" else "aborted")


def test_any_branch_may_answer(runtime: Runtime):
    async def slow(_context):
        await asyncio.sleep(30)

    hook = runtime.webhook(
        "answer",
        sync=True,
        nodes=[hooknb.Parallel([[slow], [hooknb.Response(202, body="here")]]), lambda _c: 1],
    )
    response = hook.send(json=1)
    assert (response.status, response.body) == (202, b"here")
    assert {job.node: job.status.word for job in hook.execution(1).jobs} == {
        "slow": "aborted",
        "response": "resolved",
        "parallel": "resolved",
    }


def test_revisions_say_what_changed_and_an_old_one_can_be_current_again(runtime: Runtime):
    def total(context):
        return context.body * 2

    hook = runtime.webhook("rev", sync=True, nodes=[total])
    runtime.webhook("rev", sync=True, nodes=[total], body=["a"], timeout=5)
    runtime.webhook("rev", sync=True, nodes=[hooknb.Calculation("body * 3", key="triple")])
    assert [revision.number for revision in hook.revisions] == [1, 2, 3]
    assert set(hook.revisions[1].changes) == {"body", "timeout"}
    assert "nodes: + triple" in hook.revisions[2].changes
    assert "nodes: - total" in hook.revisions[2].changes
    hook.send(json=4)
    assert hook.execution(1).jobs[0].result == 12

    hook.revert(1)
    assert hook.revision == 1
    hook.send(json=4)
    execution = hook.execution(2)
    assert (execution.revision, execution.jobs[0].result) == (1, 8)
    # Numbers are never given again.
    assert runtime.webhook("rev", sync=True, nodes=[total], body=["b"]).revision == 4
    with pytest.raises(hooknb.RecordNotFoundError, match=r"no revision 9; it has 1, 2, 3, 4"):
        hook.revert(9)


def test_an_old_revision_of_another_process_needs_its_functions(tmp_path):
    def total(context):
        return context.body * 2

    with Runtime(tmp_path / "s.db") as runtime:
        runtime.webhook("rev", sync=True, nodes=[total])
    with Runtime(tmp_path / "s.db") as runtime:
        hook = runtime.webhook("rev", sync=True)
        assert hook.revision == 2
        with pytest.raises(hooknb.SettingError, match=r"revert\(1, functions=\[total\]\)"):
            hook.revert(1)
        hook.revert(1, functions=[total])
        assert hook.revision == 1
        hook.send(json=4)
        assert hook.execution(1).jobs[0].result == 8

        def total(context):
            return context.body * 3

        runtime.webhook("rev", sync=True)
        hook.revert(1, functions={"total": total})
        assert hook.revision == 4
        hook.send(json=4)
        assert (hook.execution(2).revision, hook.execution(2).jobs[0].result) == (4, 12)


def test_keys_stay_the_same_across_revisions_and_processes(tmp_path):
    first, second, third = (f"body.n == {number}" for number in range(3))
    with Runtime(tmp_path / "s.db") as runtime:
        hook = runtime.webhook("keys", nodes=[hooknb.Calculation(text) for text in (first, second)])
        assert [node.key for node in hook.workflow.nodes] == ["calculation", "calculation_2"]
    with Runtime(tmp_path / "s.db") as runtime:
        hook = runtime.webhook(
            "keys", nodes=[hooknb.Calculation(text) for text in (third, first, second)]
        )
        assert [node.key for node in hook.workflow.nodes] == [
            "calculation_3",
            "calculation",
            "calculation_2",
        ]


def test_a_chain_of_hooks_is_not_stopped_by_too_few_workers():
    with Runtime(":memory:", workers=1, max_depth=5) as runtime:
        hook = runtime.webhook(
            "self", sync=True, nodes=[lambda c: hook.send(json=c.body + 1).status]
        )
        assert hook.send(json=0, timeout=20).status == 200
        assert hook.deliveries["status"].tolist() == [200] * 6 + [508]
        # What was lent is given back.
        assert hook.send(json=0, timeout=20).status == 200


def test_branches_that_are_cut_off_keep_no_worker():
    gate = threading.Event()

    async def quick(_context):
        await asyncio.sleep(0.02)

    with Runtime(":memory:", workers=2) as runtime:
        race = runtime.webhook(
            "race",
            sync=True,
            nodes=[hooknb.Parallel([[quick], [lambda _c: gate.wait(30)]], mode="race")],
        )
        for _ in range(5):
            assert race.send(json=1).status == 200
        plain = runtime.webhook("plain", sync=True, timeout=10, nodes=[lambda _c: 5])
        assert plain.send(json=1).status == 200
        gate.set()


def test_respond_takes_a_response_and_refuses_what_is_none(runtime: Runtime):
    def right(context):
        context.respond(hooknb.Response(201, body="{{ body.a }}"))

    def wrong(context):
        context.respond("hello")

    hook = runtime.webhook("right", sync=True, nodes=[right])
    response = hook.send(json={"a": "b"})
    assert (response.status, response.body) == (201, b"b")
    hook = runtime.webhook("wrong", sync=True, nodes=[wrong])
    assert hook.send(json=1, timeout=10).status == 500
    assert "'hello' is not a response" in hook.execution(1).reason


def test_a_node_that_stops_the_loop_does_not_stop_the_server(runtime: Runtime):
    async def node(_context):
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.05)
        return "went on"

    hook = runtime.webhook("stop", nodes=[node])
    assert hook.send(json=1).status == 200
    hook.wait()
    assert hook.execution(1).jobs[0].result == "went on"


@pytest.mark.parametrize("mode", ["all", "any", "race"])
@pytest.mark.parametrize(
    "other", [hooknb.End("failed", "no"), hooknb.Calculation("body.nope")], ids=["end", "error"]
)
def test_an_answer_decides_whatever_ends_beside_it(runtime: Runtime, mode: str, other: hooknb.Node):
    hook = runtime.webhook(
        "beside", sync=True, nodes=[hooknb.Parallel([[other], [hooknb.Response(202)]], mode=mode)]
    )
    response = hook.send(json={})
    execution = hook.execution(1)
    assert (response.status, execution.response_status) == (202, 202)
    assert execution.status is Status.RESOLVED


def test_a_cancellation_that_a_node_raises_is_its_error(runtime: Runtime):
    async def node(_context):
        task = asyncio.create_task(asyncio.sleep(5))
        task.cancel()
        await task

    async def fine(_context):
        await asyncio.sleep(0.02)
        return "fine"

    hook = runtime.webhook("raise", sync=True, nodes=[node])
    assert hook.send(json=1).status == 500
    assert hook.execution(1).status is Status.ERROR
    hook = runtime.webhook("any", sync=True, nodes=[hooknb.Parallel([[node], [fine]], mode="any")])
    assert hook.send(json=1).status == 200
    assert hook.execution(1).jobs[-1].result == [None, "fine"]


def test_an_end_decides_inside_of_any(runtime: Runtime):
    async def slow(_context):
        await asyncio.sleep(30)

    branches = [[hooknb.End("resolved", "enough")], [slow]]
    nodes = [hooknb.Parallel(branches, mode="any"), hooknb.Response(201)]
    hook = runtime.webhook("end", sync=True, nodes=nodes)
    assert hook.send(json=1).status == 200
    assert hook.execution(1).reason == "enough"


def test_a_branch_that_will_not_stop_is_left_behind(runtime: Runtime):
    ended = asyncio.Event()

    async def stubborn(_context):
        while not ended.is_set():
            try:
                await asyncio.sleep(0.5)
            except asyncio.CancelledError:
                continue

    nodes = [hooknb.Parallel([[hooknb.Response(202)], [stubborn]])]
    hook = runtime.webhook("stubborn", sync=True, nodes=nodes)
    assert hook.send(json=1, timeout=20).status == 202
    ended.set()


def test_a_long_loop_writes_its_jobs_as_it_goes(runtime: Runtime):
    hook = runtime.webhook("loop", nodes=[hooknb.Loop(2500, [hooknb.Output("{{ index }}")])])
    hook.send(json=1)
    hook.wait()
    frame = hook.jobs
    assert len(frame) == 2501
    assert frame["result"].tolist()[:2500] == list(range(2500))


def test_the_message_of_an_error_is_cut(runtime: Runtime):
    def node(_context):
        raise ValueError("z" * 2**20)

    hook = runtime.webhook("long", nodes=[node])
    hook.send(json=1)
    hook.wait()
    assert len(hook.execution(1).jobs[0].error) < 40_000


@pytest.mark.parametrize(
    "condition",
    ['"a" in body.items', {"left": "{{ body.items }}", "operator": "contains", "right": "a"}],
    ids=["cel", "rules"],
)
def test_a_condition_over_a_large_body_is_asked_on_a_worker(runtime: Runtime, condition):
    asked = []
    hook = runtime.webhook("large", nodes=[hooknb.Condition(condition, yes=[], no=[], key="has")])
    submit = runtime._hosting.executor.submit
    runtime._hosting.executor.submit = lambda *args: asked.append(1) or submit(*args)
    hook.send(json={"items": ["x"]})
    hook.wait()
    assert asked == []
    hook.send(json={"items": ["x" * 100] * 1000 + ["a"]})
    hook.wait()
    assert asked == [1]
    assert hook.jobs["result"].tolist() == [False, True]


def test_functions_of_one_name_keep_their_keys_where_the_cell_is_run_again(runtime) -> None:
    def same(_context):
        return 3

    def other():
        def same(_context):
            return 4

        return same

    def run():
        return runtime.webhook("twice", nodes=[same, same, other()])

    hook = run()
    keys = [node.key for node in hook.workflow.nodes]
    assert keys == ["same", "same_2", "same_3"]
    for _ in range(3):
        assert [node.key for node in run().workflow.nodes] == keys
    assert hook.revision == 1
