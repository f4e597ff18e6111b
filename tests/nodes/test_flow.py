"""Loop, Parallel, Delay, End."""

from __future__ import annotations

import asyncio

import pytest

import hooknb
from hooknb import Calculation, Condition, Delay, End, Loop, Output, Parallel, SettingError
from hooknb.workflow.nodes import walk


@pytest.mark.parametrize(
    ("over", "items"),
    [
        ("{{ body.list }}", ["a", None, {"b": 1}]),
        (["x", "{{ body.three }}"], ["x", 3]),
        ((1, 2), [1, 2]),
        (3, [0, 1, 2]),
        (0, []),
        ([], []),
        ("{{ body.three }}", [0, 1, 2]),
        ("{{ query.n }}", [0, 1]),
        ("{{ body.none }}", []),
        ("{{ body.null }}", []),
    ],
)
def test_a_loop_runs_its_nodes_for_each_element(run, over, items):
    ran = run(
        Loop(over, [Output({"item": "{{ item }}", "index": "{{ index }}"})], key="loop"),
        body={"list": ["a", None, {"b": 1}], "three": 3, "null": None},
        params="n=2",
    )
    expected = [{"item": item, "index": index} for index, item in enumerate(items)]
    assert ran.result("loop") == expected
    assert len(ran.execution.jobs) == len(items) + 1


def test_the_result_is_what_the_last_node_of_each_turn_gave(run):
    ran = run(
        Loop(3, [Calculation("item * 10", key="ten"), Calculation("nodes.ten + 1")], key="loop"),
        Loop(2, [], key="empty"),
    )
    assert ran.result("loop") == [1, 11, 21]
    assert ran.result("empty") == [None, None]


def test_loops_inside_of_loops_see_their_own_item(run):
    inner = Loop("{{ item }}", [Calculation("item + index", key="sum")], key="inner")
    ran = run(Loop("{{ body }}", [inner, Output("{{ item }}")], key="outer"), body=[[1, 2], [3]])
    assert ran.result("outer") == [[1, 2], [3]]
    assert [job.result for job in ran.execution.jobs if job.node == "inner"] == [[1, 3], [3]]


@pytest.mark.parametrize(
    ("came", "problem"),
    [
        ({"a": 1}, "dict is neither a list nor a whole number"),
        ("abc", "str is neither"),
        (1.5, "float is neither"),
        (True, "bool is neither"),
        (-1, "-1 is below 0"),
        (11, "11 turns are more than 10"),
        ([0] * 11, "11 turns are more than 10"),
        (2**70, "turns are more than 10"),
    ],
)
def test_what_cannot_be_gone_over_is_an_error_before_the_first_turn(run, came, problem):
    ran = run(Loop("{{ body }}", [Output(1)], max_items=10, key="loop"), body=came)
    assert ran.status == "error"
    assert problem in ran.job("loop").error
    assert ran.keys == ["loop"]


def test_a_node_that_changes_the_list_does_not_change_the_turns(run):
    ran = run(
        Loop("{{ body }}", [lambda context: context.body.append(1)], max_items=10, key="loop"),
        body=[1, 2],
    )
    assert ran.result("loop") == [None, None]


def test_an_end_inside_of_a_loop_ends_the_execution(run):
    ran = run(
        Loop(5, [Output("{{ item }}", key="o"), Condition("item < 2", no=[End("failed")])]),
        Output(1, key="after"),
    )
    assert ran.status == "failed"
    assert [job.result for job in ran.execution.jobs if job.node == "o"] == [0, 1, 2]


def test_a_loop_lets_others_have_their_turn(run):
    ran = run(Parallel([[Loop(1000, [Output(1)])], [Output("asked", key="beside")]]))
    assert ran.status == "resolved"
    assert ran.keys.index("beside") < 100


@pytest.mark.parametrize("mode", ["all", "any", "race"])
def test_branches_run_at_the_same_time(run, mode):
    meet = []

    async def first(_context):
        meet.append(1)
        while len(meet) < 2:  # noqa: ASYNC110 - the other branch is what is waited for
            await asyncio.sleep(0.001)
        return "first"

    async def second(_context):
        meet.append(2)
        if mode != "all":
            await asyncio.sleep(30)
        return "second"

    ran = run(Parallel([[first], [second]], mode, key="both"), timeout=10)
    assert ran.result("both") == ["first", "second" if mode == "all" else None]


@pytest.mark.parametrize(("mode", "status"), [("all", "error"), ("any", "resolved")])
def test_what_a_branch_that_fails_means_is_for_the_mode_to_say(run, mode, status):
    ran = run(Parallel([[Calculation("1 / 0")], [Delay(0.02), Output("well")]], mode, key="both"))
    assert ran.status == status
    if status == "resolved":
        assert ran.result("both") == [None, "well"]


@pytest.mark.parametrize(("seconds", "waited"), [(0, 0), (0.01, 0.01), ("{{ body.s }}", 0.02)])
def test_a_delay_waits_and_goes_on(run, seconds, waited):
    ran = run(Delay(seconds, key="delay"), Output(1, key="after"), body={"s": "0.02"})
    assert ran.status == "resolved"
    assert ran.keys == ["delay", "after"]
    assert ran.result("delay") == waited


def test_a_delay_may_end_the_execution_as_failed(run):
    ran = run(Delay(0.01, "failed", key="delay"), Output(1, key="after"))
    assert (ran.status, ran.execution.reason) == ("failed", "failed after a delay of 0.01 seconds")
    assert ran.keys == ["delay"]


@pytest.mark.parametrize("came", [-1, 86_401, "abc", True, None, [], "-1", "1e9", "nan"])
def test_a_time_that_is_none_is_an_error_that_says_what_came(run, came):
    ran = run(Delay("{{ body }}", key="delay"), body=came)
    assert ran.status == "error"
    assert f"seconds: {came!r} is not a number from 0 to 86,400" in ran.job("delay").error


def test_a_missing_time_is_an_error(run):
    ran = run(Delay("{{ body.none }}", key="delay"), body={})
    assert "seconds: its template resolved to nothing" in ran.job("delay").error


@pytest.mark.parametrize(
    ("node", "status", "response", "reason"),
    [
        (End(), "resolved", 200, None),
        (End("failed"), "failed", 500, None),
        (End("failed", "no {{ body.what }}: {{ body.list }}"), "failed", 500, "no stock: [1]"),
        (End("failed", "{{ body.number }}"), "failed", 500, "7"),
        (End("failed", "{{ body.none }}"), "failed", 500, None),
    ],
)
def test_an_end_ends_the_execution(run, node, status, response, reason):
    ran = run(node, Output(1, key="after"), body={"what": "stock", "list": [1], "number": 7})
    assert (ran.status, ran.response.status, ran.execution.reason) == (status, response, reason)
    assert ran.keys == ["end"]


def test_an_end_in_a_branch_ends_all_of_it(run):
    ran = run(Condition("true", yes=[End()]), Output(1, key="after"))
    assert ran.status == "resolved"
    assert "after" not in ran.keys


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: Loop("body.items", []), "over"),
        (lambda: Loop(None, []), "over"),
        (lambda: Loop({"a": 1}, []), "over"),
        (lambda: Loop(-1, []), "over"),
        (lambda: Loop(1.5, []), "over"),
        (lambda: Loop(1, [], max_items=0), "max_items"),
        (lambda: Loop(1, [], max_items=True), "max_items"),
        (lambda: Loop(1, "x"), "nodes"),
        (lambda: Loop(1, [{"type": "loop", "over": -1, "nodes": []}]), "nodes[0].over"),
        (lambda: Parallel("x"), "branches"),
        (lambda: Parallel([]), "branches"),
        (lambda: Parallel([Output(1)]), "branches[0]"),
        (lambda: Parallel([[], [5]]), "branches[1][0]"),
        (lambda: Parallel([[{"type": "end", "status": "x"}]]), "branches[0][0].status"),
        (lambda: Parallel([[]], mode="first"), "mode"),
        (lambda: Parallel([[]], mode=["all"]), "mode"),
        (lambda: Delay("soon"), "seconds"),
        (lambda: Delay("5"), "seconds"),
        (lambda: Delay(-1), "seconds"),
        (lambda: Delay(86_401), "seconds"),
        (lambda: Delay(float("nan")), "seconds"),
        (lambda: Delay(None), "seconds"),
        (lambda: Delay(seconds=True), "seconds"),
        (lambda: Delay(1, "aborted"), "status"),
        (lambda: End("error"), "status"),
        (lambda: End(["failed"]), "status"),
        (lambda: End("failed", 5), "reason"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(make, setting):
    with pytest.raises(SettingError) as caught:
        make()
    assert caught.value.setting == setting


def test_the_places_of_nodes_below(runtime):
    hook = runtime.webhook(
        "places",
        nodes=[
            Loop(1, [Output(1), Output(2)]),
            Parallel([[Output(3)], [Output(4), Output(5)]]),
        ],
    )
    places = {node.key: place for place, node in walk(hook.workflow.nodes)}
    assert places == {
        "loop": "nodes[0]",
        "output": "nodes[0].nodes[0]",
        "output_2": "nodes[0].nodes[1]",
        "parallel": "nodes[1]",
        "output_3": "nodes[1].branches[0][0]",
        "output_4": "nodes[1].branches[1][0]",
        "output_5": "nodes[1].branches[1][1]",
    }


def test_every_type_stands_in_the_register_and_in_the_package():
    types = {
        "calculation",
        "code",
        "condition",
        "delay",
        "end",
        "loop",
        "output",
        "parallel",
        "query",
        "request",
        "response",
        "switch",
    }
    registered = hooknb.workflow.nodes.node_types()
    assert types <= registered.keys()
    for name in types:
        assert getattr(hooknb, name.capitalize()) is registered[name]
