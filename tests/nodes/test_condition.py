from __future__ import annotations

import asyncio
import threading

import pytest

import hooknb
from hooknb import Case, Condition, End, Output, Response, SettingError, Switch


@pytest.mark.parametrize(
    "condition",
    [
        "body.amount > 10",
        {"all": [{"left": "{{ body.amount }}", "operator": ">", "right": 10}]},
        lambda context: context.body["amount"] > 10,
    ],
    ids=["expression", "rules", "function"],
)
@pytest.mark.parametrize(("amount", "branch"), [(11, "yes"), (9, "no")])
def test_a_condition_runs_its_branch_and_goes_on_after_it(run, condition, amount, branch):
    ran = run(
        Condition(condition, yes=[Output("y", key="yes")], no=[Output("n", key="no")], key="ask"),
        Output("on", key="after"),
        body={"amount": amount},
    )
    assert ran.status == "resolved"
    assert ran.keys == [branch, "ask", "after"]
    assert ran.result("ask") is (branch == "yes")


def test_an_async_function_is_awaited_on_the_servers_loop(run):
    async def ask(context):
        await asyncio.sleep(0)
        return context.body

    ran = run(Condition(ask, yes=[Output(1, key="yes")], key="ask"), body=[0])
    assert ran.keys == ["yes", "ask"]
    assert ran.result("ask") is True


def test_a_plain_function_runs_off_the_loop_and_what_it_prints_is_kept(run, capsys):
    def ask(_context):
        print("asked in", threading.current_thread().name)  # noqa: T201
        return []

    ran = run(Condition(ask, no=[], key="ask"))
    assert ran.job("ask").output.startswith("asked in hooknb-worker")
    assert ran.result("ask") is False
    assert capsys.readouterr().out == ""


def test_a_false_condition_without_branches_ends_the_execution_as_failed(run):
    ran = run(Condition("body.paid", key="ask"), Output(1, key="after"), body={"paid": False})
    assert (ran.status, ran.response.status) == ("failed", 500)
    assert ran.execution.reason == "the condition does not hold: body.paid"
    assert ran.keys == ["ask"]
    assert ran.job("ask").status is hooknb.Status.FAILED
    assert ran.job("ask").result is False


def test_a_true_condition_without_branches_goes_on(run):
    ran = run(Condition("body.paid", key="ask"), Output(1, key="after"), body={"paid": True})
    assert ran.keys == ["ask", "after"]
    assert ran.result("ask") is True


@pytest.mark.parametrize("branches", [{"yes": []}, {"no": []}, {"yes": [], "no": []}])
@pytest.mark.parametrize("paid", [True, False])
def test_empty_branches_fall_through(run, branches, paid):
    ran = run(
        Condition("body.paid", key="ask", **branches), Output(1, key="after"), body={"paid": paid}
    )
    assert ran.status == "resolved"
    assert ran.keys == ["ask", "after"]


def test_an_expression_that_gives_no_boolean_is_an_error_that_names_the_type(run):
    ran = run(Condition("body.amount", yes=[], key="ask"), body={"amount": 5})
    assert ran.status == "error"
    assert "ExpressionError: 'body.amount' gave int, not true or false" in ran.job("ask").error


def test_what_a_function_raises_is_the_nodes_error(run):
    ran = run(Condition(lambda context: context.body["no"], key="ask"), body={})
    assert ran.status == "error"
    assert ran.job("ask").error.startswith("KeyError: 'no'")


def test_a_response_inside_a_branch_answers_and_ends(run):
    ran = run(Condition("true", yes=[Response(202)]), Output(1, key="after"))
    assert ran.response.status == 202
    assert "after" not in ran.keys


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: Condition("body."), "condition"),
        (lambda: Condition(""), "condition"),
        (lambda: Condition(7), "condition"),
        (lambda: Condition(int), "condition"),
        (lambda: Condition({"all": [{"left": 1, "operator": "?"}]}), "condition.all[0].operator"),
        (lambda: Condition("true", yes="no"), "yes"),
        (lambda: Condition("true", no=[1]), "no[0]"),
        (lambda: Condition("true", yes=[{"type": "response", "status": 99}]), "yes[0].status"),
        (lambda: Switch("x"), "cases"),
        (lambda: Switch([5]), "cases[0]"),
        (lambda: Switch([("true", [], 1)]), "cases[0]"),
        (lambda: Switch([{"nodes": []}]), "cases[0]"),
        (lambda: Switch([{"condition": "true", "node": []}]), "cases[0]"),
        (lambda: Switch([("true", []), ("body.", [])]), "cases[1].condition"),
        (lambda: Switch([("true", [5])]), "cases[0].nodes[0]"),
        (lambda: Switch([("true", [{"type": "end", "status": "x"}])]), "cases[0].nodes[0].status"),
        (lambda: Switch([{"condition": "true", "name": 5}]), "cases[0].name"),
        (lambda: Switch([Case("true", name="a"), Case("true", name="a")]), "cases[1].name"),
        (lambda: Switch([], otherwise=[5]), "otherwise[0]"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(make, setting):
    with pytest.raises(SettingError) as caught:
        make()
    assert caught.value.setting == setting


def test_places_are_whole_inside_of_a_hook(runtime):
    inner = {"type": "condition", "condition": "body."}
    nodes = [Output(1), {"type": "switch", "cases": [{"condition": "true", "nodes": [inner]}]}]
    with pytest.raises(SettingError) as caught:
        runtime.webhook("wrong", nodes=nodes)
    assert caught.value.setting == "nodes[1].cases[0].nodes[0].condition"


def test_nodes_below_get_keys_of_their_own_that_stay(runtime):
    def nodes(*more):
        return [
            *more,
            Condition("true", yes=[Output(1)], no=[Output(2)]),
            Switch([("true", [Output(3)]), Case(lambda _c: 1, [Output(4)])], otherwise=[Output(5)]),
        ]

    first = runtime.webhook("keys", nodes=nodes())
    before = [node.key for _, node in hooknb.workflow.nodes.walk(first.workflow.nodes)]
    assert before == [
        "condition",
        "output",
        "output_2",
        "switch",
        "output_3",
        "output_4",
        "output_5",
    ]
    second = runtime.webhook("keys", nodes=nodes(Output(0)))
    after = [node.key for _, node in hooknb.workflow.nodes.walk(second.workflow.nodes)]
    assert after == ["output_6", *before]


def test_another_function_is_another_revision_and_the_same_is_not(runtime):
    def ask(context):
        return context.body

    def other(context):
        return not context.body

    def revision(*functions):
        nodes = [Condition(functions[0], yes=[]), Switch([(functions[1], [])])]
        return runtime.webhook("same", nodes=nodes).revision

    assert [revision(ask, ask), revision(ask, ask)] == [1, 1]
    assert [revision(other, ask), revision(other, other)] == [2, 3]


@pytest.mark.parametrize(
    ("body", "result", "ran_key"), [(1, "one", "a"), (2, 1, "b"), (3, 2, "c"), (4, None, "d")]
)
def test_the_first_case_that_holds_wins(run, body, result, ran_key):
    ran = run(
        Switch(
            [
                Case("body == 1", [Output(0, key="a")], name="one"),
                (
                    {"any": [{"left": "{{ body }}", "operator": "<=", "right": 2}]},
                    [Output(0, key="b")],
                ),
                (lambda context: context.body <= 3, [Output(0, key="c")]),
            ],
            otherwise=[Output(0, key="d")],
            key="switch",
        ),
        Output(0, key="after"),
        body=body,
    )
    assert ran.keys == [ran_key, "switch", "after"]
    assert ran.result("switch") == result


def test_no_condition_is_asked_after_the_one_that_holds(run):
    ran = run(Switch([("true", []), ("body.none.none", [])], key="switch"), body={})
    assert ran.status == "resolved"
    assert ran.result("switch") == 0


def test_a_switch_without_otherwise_falls_through(run):
    ran = run(Switch([("false", [End("failed")])], key="switch"), Output(1, key="after"))
    assert ran.status == "resolved"
    assert ran.keys == ["switch", "after"]
