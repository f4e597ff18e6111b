"""Calculation, Output, Query."""

from __future__ import annotations

import re
import subprocess
import sys
import threading

import pytest

from hooknb import Calculation, Context, Loop, Output, Query, Response, SettingError
from hooknb.expressions import evaluate
from hooknb.workflow.nodes.query import _compiled


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("body.amount * 2", 14),
        ("double(body.amount) * 1.5", 10.5),
        ('body.name + "!"', "Ann!"),
        ("body.tags.map(tag, tag + tag)", ["aa", "bb"]),
        ("{'n': nodes.first}", {"n": 3}),
        ("body.amount > 5", True),
        ("query.q", "x"),
        ('headers["x-id"] == "none" || true', True),
        ("null", None),
    ],
)
def test_the_result_of_a_calculation_is_its_value(run, expression, value):
    ran = run(
        Output(3, key="first"),
        Calculation(expression, key="sum"),
        body={"amount": 7, "name": "Ann", "tags": ["a", "b"]},
        params="q=x",
    )
    assert ran.result("sum") == value


def test_a_calculation_that_does_not_apply_is_an_error_of_the_node(run):
    ran = run(Calculation("body.none + 1", key="sum"), body={})
    assert ran.status == "error"
    assert "ExpressionError" in ran.job("sum").error


@pytest.mark.parametrize("text", ["1 +", "", None, 5, "nothing + 1"])
def test_a_calculation_that_is_no_expression_is_refused(text):
    with pytest.raises(SettingError) as caught:
        Calculation(text)
    assert caught.value.setting == "expression"


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (5, 5),
        ("{{ body.n }}", 2**70),
        ("{{ body.none }}", None),
        ({"a": ["{{ body.n }}", "x"], "b": "{{ body.none }}"}, {"a": [2**70, "x"]}),
        (None, None),
    ],
)
def test_the_result_of_an_output_is_its_rendered_value(run, value, result):
    assert run(Output(value, key="out"), body={"n": 2**70}).result("out") == result


BODY = {"orders": [{"id": 1, "sum": 5}, {"id": 2, "sum": 15}], "n": 2**60 + 1, "null": None}


@pytest.mark.parametrize(
    ("language", "query", "result"),
    [
        ("jmespath", "orders[0].id", 1),
        ("jmespath", "orders[?sum > `10`].id", [2]),
        ("jmespath", "{first: orders[0].id, n: n}", {"first": 1, "n": 2**60 + 1}),
        ("jmespath", "none.none", None),
        ("jsonpath", "$.orders[?@.sum > 10].id", [2]),
        ("jsonpath", "$..id", [1, 2]),
        ("jsonpath", "$.n", [2**60 + 1]),
        ("jsonpath", "$.none", []),
        ("jsonpath", "$", [BODY]),
        ("jsonata", "$sum(orders.sum)", 20),
        ("jsonata", "orders[sum > 10].id", 2),
        ("jsonata", "orders.{'id': id}", [{"id": 1}, {"id": 2}]),
        ("jsonata", "none", None),
        ("jsonata", "[1..3]", [1, 2, 3]),
        ("jsonata", "$.`null`", None),
    ],
)
def test_three_languages_ask_the_body(run, language, query, result):
    ran = run(Query(query, language=language, key="ask"), body=BODY)
    assert ran.result("ask") == result


@pytest.mark.parametrize("language", ["jmespath", "jsonpath", "jsonata"])
@pytest.mark.parametrize("text", ["plain", '{"a": 1}', "[{"])
def test_a_text_is_a_value_and_not_read_as_json(run, language, text):
    whole = {"jmespath": "@", "jsonpath": "$", "jsonata": "$"}[language]
    ran = run(Query(whole, language=language, key="ask"), body=text)
    assert ran.result("ask") == ([text] if language == "jsonpath" else text)
    inside = {"jmespath": "a[0]", "jsonpath": "$[0, 'a', 0:2]", "jsonata": "a"}[language]
    ran = run(Query(inside, language=language, key="ask"), body=text)
    assert ran.result("ask") == ([] if language == "jsonpath" else None)


@pytest.mark.parametrize("language", ["jmespath", "jsonpath", "jsonata"])
def test_over_chooses_the_value_and_a_missing_one_gives_none(run, language):
    query = {"jmespath": "id", "jsonpath": "$.id", "jsonata": "id"}[language]
    ran = run(
        Output({"id": 9}, key="made"),
        Query(query, "{{ nodes.made }}", language, key="ask"),
        Query(query, "{{ body.none }}", language, key="none"),
        body={},
    )
    assert ran.result("ask") in (9, [9])
    assert ran.job("none").result is None
    assert ran.status == "resolved"


@pytest.mark.parametrize(
    ("language", "query", "problem"),
    [
        ("jmespath", "a..b", "column 3"),
        ("jmespath", "a[", "at its end"),
        ("jmespath", "#", "column 1"),
        ("jmespath", "", "column 1"),
        ("jsonpath", "$.a[?@.b = 1]", "column 10"),
        ("jsonpath", "a", "column 1"),
        ("jsonpath", "$[", "at its end"),
        ("jsonata", "a b", "column 3"),
        ("jsonata", "", "column 1"),
    ],
)
def test_a_query_that_does_not_compile_is_refused_with_its_column(language, query, problem):
    with pytest.raises(SettingError) as caught:
        Query(query, language=language)
    assert caught.value.setting == "query"
    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"query": 5}, "query"),
        ({"query": "a", "language": "xpath"}, "language"),
        ({"query": "a", "language": None}, "language"),
        ({"query": "a", "over": "body"}, "over"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(settings, setting):
    with pytest.raises(SettingError) as caught:
        Query(**settings)
    assert caught.value.setting == setting


@pytest.mark.parametrize(
    ("language", "query"),
    [
        ("jmespath", "foo(@)"),
        ("jmespath", "length(n)"),
        ("jsonata", "orders + 1"),
        ("jsonata", "$substring"),
        ("jsonata", "($f := function($n) { $f($n + 1) + 1 }; $f(0))"),
    ],
)
def test_a_query_that_does_not_apply_is_an_error_of_the_node(run, language, query):
    ran = run(Query(query, language=language, key="ask"), body=BODY)
    assert ran.status == "error"
    assert "ExpressionError" in ran.job("ask").error


@pytest.mark.parametrize(
    ("language", "query", "seconds"),
    [
        ("jsonata", "($f := function($n) { $f($n + 1) }; $f(0))", 0.05),
        ("jsonpath", "$..*[?count($..*) > 0]..*", 0),
    ],
)
def test_a_query_that_goes_on_for_ever_is_given_up(run, monkeypatch, language, query, seconds):
    monkeypatch.setattr("hooknb.workflow.nodes.query._SECONDS", seconds)
    body: list = []
    for _ in range(80):
        body = [body]
    ran = run(Query(query, language=language, key="ask"), body=body)
    assert ran.status == "error"
    assert re.search(r"took longer than|timeout after 50", ran.job("ask").error)


def test_a_query_is_compiled_once():
    Query("orders[9].id")
    before = _compiled.cache_info().misses
    Query("orders[9].id")
    assert _compiled.cache_info().misses == before


def test_jsonata_tells_the_time_of_each_run(run):
    node = Query("$millis()", language="jsonata", key="ask")
    first = run(node).result("ask")
    second = run(Output(1), node).result("ask")
    assert second > first


@pytest.mark.parametrize(
    ("language", "module"), [("jsonpath", "jsonpath"), ("jsonata", "jsonata.jsonata")]
)
def test_a_language_that_is_not_installed_names_the_extra(monkeypatch, language, module):
    monkeypatch.setitem(sys.modules, module, None)
    _compiled.cache_clear()
    with pytest.raises(SettingError, match=r'pip install "hooknb\[query\]"') as caught:
        Query("a", language=language)
    assert caught.value.setting == "language"


def test_jsonata_does_not_change_the_processs_recursion_limit():
    code = (
        "import sys, hooknb; before = sys.getrecursionlimit();"
        "hooknb.Query('a', language='jsonata');"
        "assert sys.getrecursionlimit() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


STUBBORN = "a" * 60 + "b"  # Python's own engine takes 2**60 steps for (a+)+$


@pytest.mark.parametrize(
    ("language", "query", "result"),
    [
        ("jsonpath", "$[?match(@, '(a+)+')]", []),
        ("jsonpath", "$[?search(@, '(a+)+$')]", []),
        ("jsonpath", "$[?search(@, '(a+)+b')]", [STUBBORN]),
        ("jsonata", "$contains($[0], /(a+)+$/)", False),
        ("jsonata", "$replace($[0], /(A+)+(b)?$/i, '[$2]')", "[b]"),
        ("jsonata", "$replace($[0], /^(a)+/, 'é\\\\d$1$9$$')", "é\\da$b"),
        ("jsonata", "$match($[0], /(a+)+b/).index", 0),
        ("jsonata", "$split($[0], /(?:a+)+b/)", ["", ""]),
        ("jsonata", "$eval('$contains($[0], /(a+)+$/)')", False),
    ],
)
def test_a_regular_expression_in_a_query_does_not_backtrack(run, language, query, result):
    ran = run(Query(query, language=language, key="ask"), body=[STUBBORN])
    assert ran.result("ask") == result


@pytest.mark.parametrize(
    ("query", "timestamp", "result"),
    [
        ('$toMillis($, "[Yw][Mw][Dw][dw]!")', "one and " * 60, None),
        ('$toMillis($, "[MNn][FNn][MNn][FNn]!")', "a" * 900, None),
        ('$toMillis($, "(a+)+[Y]")', "a" * 60, None),
        ('$toMillis($, "[D1o] [MNn] [Y0001]")', "3rd October 2019", 1_570_060_800_000),
        (
            '$toMillis($, "[Y0001]-[M01]-[D01] [h]:[m] [PN]")',
            "2019-10-03 3:04 PM",
            1_570_115_040_000,
        ),
        ('$eval("$toMillis($, \\"[Yw]\\")")', "Two Thousand and Nineteen", 1_546_300_800_000),
        ("$toMillis($)", "2019-10-03", 1_570_060_800_000),
    ],
)
def test_reading_a_time_in_jsonata_does_not_backtrack(run, query, timestamp, result):
    ran = run(Query(query, "{{ body[0] }}", language="jsonata", key="ask"), body=[timestamp])
    assert ran.result("ask") == result


@pytest.mark.parametrize(
    ("language", "query"),
    [
        ("jsonata", '$pad("x", body[1])'),
        ("jsonata", '$pad("x", -body[1])'),
        ("jsonata", '$fromMillis(0, "[Y,30000000]")'),
        ("jsonata", '$fromMillis(0, "[f,*-3000000000]")'),
        ("jsonata", '$toMillis(body[0], "[YA]")'),
        ("jmespath", " | ".join(["join('', [@, @, @, @, @, @, @, @])"] * 8)),
        ("jmespath", " | ".join(["body[0]", *["[@, @, @, @, @, @, @, @]"] * 8, "to_string(@)"])),
        ("jmespath", " | ".join(["[@, @, @, @, @, @, @, @]"] * 9)),
    ],
)
def test_a_query_does_not_make_more_of_a_value_than_memory_holds(run, language, query):
    over = "{{ body[0] }}" if query.startswith("join") else {"body": "{{ body }}"}
    ran = run(Query(query, over, language=language, key="ask"), body=["a" * 2_000, 30_000_000])
    assert ran.status == "error"
    assert "more than" in ran.job("ask").error


@pytest.mark.parametrize(
    ("language", "query"),
    [
        ("jsonpath", "$[?search(@, '(?=a)b')]"),
        ("jsonpath", "$[?match(@, '(')]"),
        ("jsonata", r"$contains('a', /(a)\1/)"),
    ],
)
def test_a_pattern_that_would_have_to_backtrack_is_refused_when_it_is_defined(language, query):
    with pytest.raises(SettingError, match="not a valid RE2 regular expression"):
        Query(query, language=language)


def test_an_expression_over_many_values_of_another_node_is_evaluated_on_a_worker(run, monkeypatch):
    threads = []

    def noted(text, scope, **bounds):
        threads.append(threading.current_thread().name)
        return evaluate(text, scope, **bounds)

    monkeypatch.setattr("hooknb.workflow.nodes.functions.evaluate", noted)
    few, many = [Output([0] * count, key="made") for count in (10, 50_000)]
    ask = Calculation("size(nodes.made)", key="ask")
    assert run(few, ask).result("ask") == 10
    assert threads == ["hooknb-server"]
    assert run(many, ask).result("ask") == 50_000
    assert threads[2] == "hooknb-worker"


@pytest.mark.parametrize(
    "node",
    [
        Output("{{ body.a.b }}", key="ask"),
        Query("[0]", "{{ body.a.b }}", key="ask"),
        Loop("{{ body.a.b }}", [Output(1)], key="ask"),
        Response(body="{{ body.a.b }}", key="ask"),
    ],
    ids=lambda node: node.type_name,
)
def test_templates_are_filled_on_a_worker_where_what_came_is_large(run, monkeypatch, node):
    threads = []
    render = Context.render

    def noted(self, value):
        threads.append(threading.current_thread().name)
        return render(self, value)

    monkeypatch.setattr(Context, "render", noted)
    for size, thread in ((10, "hooknb-server"), (100_000, "hooknb-worker")):
        threads.clear()
        ran = run(node, body={"a": [{"b": 1}], "c": "c" * size})
        assert ran.status == "resolved"
        assert threads[0] == thread


def test_an_expression_over_too_many_values_is_an_error_of_the_node(run):
    def made(_context):
        return [0] * 330_000

    ran = run(made, Calculation("size(nodes.made)", key="ask"))
    assert ran.status == "error"
    assert "names more than 100,000 values" in ran.job("ask").error
