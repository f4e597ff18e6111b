"""Definitions written down and read back: JSON, Python, and what is said about wrong ones."""

from __future__ import annotations

import asyncio
import getpass
import io
import json
import linecache
import shutil
import subprocess
import sys
import textwrap
from itertools import count
from typing import Any

import pytest
import rich.console
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hooknb
from hooknb import (
    BasicAuth,
    Code,
    Condition,
    Loop,
    Parallel,
    Response,
    Runtime,
    SettingError,
    Switch,
    Variable,
    Workflow,
)
from hooknb.workflow import define
from hooknb.workflow.nodes import node_types
from hooknb.workflow.nodes.sources import source_of


def total(context):
    return context.body["amount"] * 1.25


async def later(context):
    await asyncio.sleep(0)
    return context.body


def is_paid(context):
    # a comment, "quotes" and \ backslashes stay
    return context.body == {"status": 'paid "twice"'}


FUNCTIONS = [total, later, is_paid]
LAMBDAS = [lambda c: c.body, lambda c: (c.body or {}).get("ü 'x'", "\n")]

# -- any definition
# -----------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
    str.strip
)
keys = st.one_of(st.just(""), st.sampled_from(["response", "condition", "total", "a b", "x_2"]))
scalars = st.none() | st.booleans() | st.integers() | texts
scalars |= st.floats(allow_nan=False, allow_infinity=False) | st.binary(max_size=6)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(texts | st.sampled_from(["base64", "plain", "type"]), inner, max_size=3)
        | st.fixed_dictionaries({"function": inner, "source": inner})
    ),
    max_leaves=6,
)
sendable = values.filter(lambda value: not isinstance(value, float))
rules = st.recursive(
    st.fixed_dictionaries(
        {"left": scalars, "operator": st.sampled_from(["==", "<", "contains"]), "right": scalars}
    ),
    lambda inner: st.dictionaries(
        st.sampled_from(["all", "any"]), st.lists(inner, max_size=2), min_size=1, max_size=1
    ),
    max_leaves=4,
)
functions = st.sampled_from([*FUNCTIONS, *LAMBDAS])
conditions = st.sampled_from(["body.a == 1", "true", 'query.x == "response"']) | functions
conditions |= rules.filter(lambda rule: "left" not in rule)
responses = st.builds(
    Response,
    st.sampled_from([200, 202, 422, 599]),
    headers=st.dictionaries(
        st.sampled_from(["X-A", "Content-Type", "x_b"]), st.text("aä \t\"'", max_size=5)
    ),
    body=values,
    key=keys,
)
LEAVES = {
    "response": responses,
    "code": st.builds(Code, functions, key=keys),
    "calculation": st.builds(
        node_types()["calculation"], st.sampled_from(["1 + 1", "body.a"]), key=keys
    ),
    "query": st.builds(
        node_types()["query"], st.sampled_from(["a", "a.b[0]"]), over=st.just("{{ body.x }}")
    ),
    "request": st.builds(
        node_types()["request"],
        st.just("https://example.com/{{ body.id }}"),
        method=st.sampled_from(["GET", "POST"]),
        headers=st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.text("a'\"", max_size=3)),
        query=st.dictionaries(texts, texts, max_size=2),
        timeout=st.sampled_from([1, 2.5]),
        allow_hosts=st.lists(st.sampled_from(["a.example", "b.example"]), unique=True).map(tuple),
        key=keys,
    ),
    "delay": st.builds(node_types()["delay"], st.sampled_from([0, 1.5, "{{ body.s }}"]), key=keys),
    "end": st.builds(
        node_types()["end"],
        st.sampled_from(["resolved", "failed"]),
        reason=st.none() | texts,
        key=keys,
    ),
    "output": st.builds(node_types()["output"], values, key=keys),
}


def branching(inner):
    nodes = st.lists(inner | functions, max_size=2)
    return {
        "condition": st.builds(
            Condition, conditions, yes=st.none() | nodes, no=st.none() | nodes, key=keys
        ),
        "switch": st.builds(
            Switch, st.lists(st.tuples(conditions, nodes), max_size=2), otherwise=nodes, key=keys
        ),
        "loop": st.builds(Loop, st.just("{{ body.x }}") | st.integers(0, 9), nodes, key=keys),
        "parallel": st.builds(
            Parallel,
            st.lists(nodes, min_size=1, max_size=2),
            mode=st.sampled_from(["all", "race"]),
            key=keys,
        ),
    }


nodes = st.recursive(
    st.one_of(*LEAVES.values()),
    lambda inner: st.one_of(*branching(inner).values()),
    max_leaves=5,
)
variables = st.lists(
    st.sampled_from(["a", "a.b", "x[0].y", '["a.b"]', ""])
    | st.builds(
        Variable,
        st.sampled_from(["c", "d[*].e", '["ü\\"\'"]']),
        alias=st.none() | names,
        type=st.none() | st.sampled_from(["text", "list", "file"]),
        sample=values,
    ),
    max_size=3,
    unique_by=lambda item: item if isinstance(item, str) else item.path,
).filter(
    lambda items: len({getattr(item, "alias", None) or str(item) for item in items}) == len(items)
)
samples = st.dictionaries(texts, values.filter(lambda value: not isinstance(value, bytes)))
SETTINGS = st.fixed_dictionaries(
    {"name": names, "sync": st.just(value=True)},
    optional={
        "methods": st.sampled_from(["*", ("POST", "PUT"), ["GET"]]),
        "accept": st.sampled_from(["*/*", ("application/json", "text/plain")]),
        "auth": st.builds(BasicAuth, names.filter(lambda name: ":" not in name), names),
        "headers": st.lists(st.sampled_from(["X-A", Variable("X-B", alias="b")]), max_size=1),
        "query": variables | samples.map(hooknb.parse_query),
        "body": samples.map(hooknb.parse_body),
        "response": responses,
        "nodes": st.lists(nodes | functions, max_size=4),
        "timeout": st.floats(0.1, 1e6) | st.integers(1, 10**6),
        "max_body": st.sampled_from([1, 10 * 2**20, 3 * 2**20, 12345]),
        "concurrency": st.integers(1, 5),
        "subpaths": st.booleans(),
        "disabled_status": st.sampled_from([404, 410, 503]),
        "keep_days": st.floats(0.1, 1e4) | st.integers(1, 10_000),
        "keep_deliveries": st.integers(1, 10**9),
        "keep_bytes": st.integers(1, 2**60),
    },
)


@st.composite
def workflows(draw):
    chosen = draw(SETTINGS)
    try:
        return define(**chosen)
    except SettingError as error:  # two columns of one name
        assert "is taken by" in str(error)  # noqa: PT017 - nothing else may be refused
        return define(**{**chosen, "query": None, "headers": None})


any_workflow = workflows()
thorough = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def test_every_node_type_is_tried():
    ours = {name for name, kind in node_types().items() if kind.__module__.startswith("hooknb.")}
    assert {*LEAVES, *branching(st.nothing())} == ours


@thorough
@given(any_workflow)
def test_json_gives_back_the_same(workflow):
    for text in (workflow.to_json(secrets=True), workflow.encode().decode()):
        again = Workflow.from_json(text)
        assert again == workflow
        assert again.encode() == workflow.encode()
        assert again.to_json() == workflow.to_json()


@thorough
@given(any_workflow)
def test_functions_are_bound_by_name_or_known(workflow):
    known = hooknb.workflow.notation.known_functions(workflow.nodes)
    again = Workflow.decode(workflow.encode(), known=known)
    assert again.unbound == ()
    assert again == workflow
    if any(name == "<lambda>" for name in Workflow.decode(workflow.encode()).unbound):
        return  # they have no names, and their nodes may have the key of another function
    named = Workflow.decode(workflow.encode(), functions=globals())
    assert named.unbound == ()
    assert named == workflow


numbers = count()


def run(code, monkeypatch, password=None, **namespace):
    """Run a cell as a kernel does: its text can be found by ``inspect``."""
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: password)
    name = f"<cell {next(numbers)}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    namespace["__name__"] = "__main__"
    exec(compile(code, name, "exec"), namespace)  # noqa: S102 - as a kernel does
    return namespace


@thorough
@given(workflow=any_workflow)
def test_python_makes_the_same(workflow, monkeypatch):
    made = []
    monkeypatch.setattr(
        hooknb, "webhook", lambda name, **chosen: made.append(define(name, **chosen))
    )
    auth = workflow.trigger.auth
    code = workflow.to_python()
    run(code, monkeypatch, password=auth and auth.password)
    assert made == [workflow]
    assert made[0].to_python() == code


# -- JSON
# -----------------------------------------------------------------------------------------------


def test_json_is_for_people_and_leaves_defaults_out():
    workflow = define("orders", body=["status", Variable("id", alias="Order")], nodes=[total])
    assert json.loads(workflow.to_json()) == {
        "version": 1,
        "name": "orders",
        "body": ["status", {"path": "id", "alias": "Order"}],
        "nodes": [
            {"type": "code", "key": "total", "function": "total", "source": source_of(total)}
        ],
    }
    assert workflow.to_json().startswith('{\n  "version": 1,\n  "name": "orders",\n  "body": [')
    assert define("a").to_json() == '{\n  "version": 1,\n  "name": "a"\n}'


def test_the_password_is_left_out_unless_asked_for():
    workflow = define("a", auth=BasicAuth("shop", "s3cret"))
    assert "s3cret" not in workflow.to_json() + workflow.to_python()
    assert json.loads(workflow.to_json())["auth"] == {"user": "shop", "password": None}
    assert Workflow.from_json(workflow.to_json(), password="s3cret") == workflow
    assert Workflow.decode(workflow.encode()) == workflow
    without = Workflow.from_json(workflow.to_json())
    assert without != workflow
    assert Workflow.from_json(without.to_json(secrets=True)) == without
    with pytest.raises(SettingError, match=r"auth.password: .*from_json\(text, password=…\)"):
        define(**without.settings())
    with pytest.raises(SettingError, match="password: the definition has no auth"):
        Workflow.from_json(define("a").to_json(), password="x")


def nested(**fields):
    inner = {"type": "response", **fields}
    return {
        "name": "a",
        "sync": True,
        "nodes": [
            {"type": "delay", "seconds": 0},
            {"type": "condition", "condition": "true", "yes": [inner]},
        ],
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", r"^JSON: .*line 1, column 2"),
        ('{"name": "a",\n "sync": NaN}', r"^JSON: .*line 2"),
        ("[]", r"^JSON: an object is expected"),
        ("", r"^JSON: "),
        ({}, r"^name: it is missing"),
        ({"name": 5}, r"^name: 5 is not a name"),
        ({"name": "a", "version": 2}, r"^version: .*newer hooknb \(version 2.*update"),
        ({"name": "a", "version": "1"}, r"^version: '1' is not"),
        ({"name": "a", "colour": 1}, r"^colour: there is no such setting; .*concurrency"),
        ({"name": "a", "sync": 1}, r"^sync: 1 is neither"),
        ({"name": "a", "methods": 5}, r"^methods: 5 is neither"),
        ({"name": "a", "methods": ["GET", 5]}, r"^methods\[1\]: 5 is not text"),
        ({"name": "a", "accept": {"a": 1}}, r"^accept: .* is neither"),
        ({"name": "a", "accept": [1]}, r"^accept\[0\]: 1 is not text"),
        ({"name": "a", "auth": "x"}, r"^auth: write"),
        ({"name": "a", "auth": {"user": "a", "pass": "b"}}, r"^auth.pass: it has only"),
        ({"name": "a", "auth": {"user": 5, "password": "b"}}, r"^auth.user: .*both"),
        ({"name": "a", "auth": {"password": "b"}}, r"^auth.user: .*both"),
        ({"name": "a", "auth": {"user": "a", "password": 5}}, r"^auth.password: .*both"),
        ({"name": "a", "body": "a"}, r"^body: 'a' is not a list"),
        ({"name": "a", "body": ["a", 5]}, r"^body\[1\]: a path"),
        ({"name": "a", "body": ["a", {"path": 5}]}, r"^body\[1\]: .*not 5"),
        ({"name": "a", "body": [{"alias": "x"}]}, r"^body\[0\]: a variable needs its path"),
        ({"name": "a", "body": [{"path": "a", "x": 1}]}, r"^body\[0\].x: it has only path"),
        ({"name": "a", "headers": [{"path": "X Y"}]}, r"^headers\[0\]: "),
        ({"name": "a", "response": 5}, r"^response: write"),
        ({"name": "a", "response": {"status": 99}}, r"^response.status: 99 is not"),
        ({"name": "a", "response": {"key": 5}}, r"^response.key: 5 is not text"),
        ({"name": "a", "response": {"code": 5}}, r"^response.code: a response node has"),
        ({"name": "a", "nodes": {}}, r"^nodes: {} is not a list"),
        ({"name": "a", "nodes": ["total"]}, r"^nodes\[0\]: 'total' is neither"),
        ({"name": "a", "nodes": [{}]}, r"^nodes\[0\].type: None is not one of .*code"),
        ({"name": "a", "nodes": [{"type": []}]}, r"^nodes\[0\].type: \[\] is not"),
        ({"name": "a", "nodes": [{"type": "x"}]}, r"^nodes\[0\].type: 'x' is not one of"),
        ({"name": "a", "nodes": [{"type": "code", "function": "f"}]}, r"^nodes\[0\].function: 'f'"),
        (nested(status=99), r"^nodes\[1\].yes\[0\].status: 99 is not a status code, use 200 to 5"),
        (nested(key=5), r"^nodes\[1\].yes\[0\].key: 5 is not text"),
        (nested(headers=[]), r"^nodes\[1\].yes\[0\].headers: \[\] is not an object"),
        (nested(colour=5), r"^nodes\[1\].yes\[0\].colour: a response node has"),
        (nested(body={"base64": "?"}), r"^nodes\[1\].yes\[0\].body.base64: it is not Base64"),
        (nested(body={"base64": 5}), r"^nodes\[1\].yes\[0\].body.base64: it is not Base64"),
        ({"name": "a", "timeout": "5"}, r"^timeout: '5' is not"),
        ('{"name": "a", "timeout": 1' + "0" * 400 + "}", r"^timeout: 1000"),
        ({"name": "a", "concurrency": 1.5}, r"^concurrency: 1.5 is not"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(data, message):
    with pytest.raises(SettingError, match=message):
        Workflow.from_json(data if isinstance(data, str) else json.dumps(data))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), r"nodes\[0\].value: nan cannot be written"),
        ([1, {"a": float("inf")}], r"nodes\[0\].value\[1\].a: inf"),
        ({"a": "\ud800"}, r"nodes\[0\].value.a: .*surrogate"),
        ([10**5000], r"nodes\[0\].value\[0\]: .*4,000 digits"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(value, message):
    workflow = define("a", nodes=[node_types()["output"](value)])
    with pytest.raises(SettingError, match=message):
        workflow.encode()


def test_what_is_nested_too_deep_is_refused_and_else_read_back():
    def nested(levels):
        value = 1
        for _ in range(levels):
            value = [value]
        return define("a", nodes=[node_types()["output"](value)])

    refused = 0
    for levels in (100, 300, 480, 495, 600):
        try:
            data = nested(levels).encode()
        except SettingError as error:
            refused += 1
            assert "nested too deep" in str(error)  # noqa: PT017 - which one depends on the stack
        else:
            assert Workflow.decode(data) == nested(levels)
    assert 2 <= refused <= 4
    holds_itself = []
    holds_itself.append(holds_itself)
    with pytest.raises(SettingError):
        define("a", nodes=[node_types()["output"](holds_itself)]).encode()


def test_numbers_keep_every_digit():
    workflow = define("a", response=Response(body=[2**200, 0.1, -0.0, 1.0, 1]))
    assert str(2**200) in workflow.to_json()
    body = Workflow.from_json(workflow.to_json()).trigger.response.body
    assert [repr(number) for number in body] == [repr(2**200), "0.1", "-0.0", "1.0", "1"]


# -- equality
# -----------------------------------------------------------------------------------------------


def test_equal_means_the_same_data():
    assert Code(total) == Code(total)
    assert Code(total) != Code(total, key="other")
    assert Code(total) != Code(later, key="total")
    assert Response(body=1) != Response(body=True)
    assert Response(body=1) != Response(body=1.0)
    assert Response(body=(1, 2)) == Response(body=[1, 2])
    assert Response(body="x") != node_types()["output"]("x")
    assert hash(Response(body=[1])) == hash(Response(body=[1]))
    assert define("a", timeout=5) == define("a", timeout=5.0)
    assert define("a") != define("b")
    assert len({define("a"), define("a")}) == 1


# -- functions
# -----------------------------------------------------------------------------------------------


def test_text_of_a_function_is_never_run():
    hostile = {"type": "code", "key": "x", "function": "x", "source": "import os; os.abort()"}
    workflow = Workflow.from_json(json.dumps({"name": "a", "nodes": [hostile]}))
    assert workflow.unbound == ("x",)
    assert Workflow.from_json(workflow.to_json()) == workflow


def test_a_function_that_is_not_bound_is_an_error_of_its_job(runtime: Runtime):
    condition = Condition(is_paid, yes=[Code(lambda _: 1, key="one")])
    workflow = Workflow.from_json(define("a", nodes=[total, condition]).to_json())
    assert workflow.unbound == ("total", "is_paid", "<lambda>")
    hook = runtime.webhook(**workflow.settings())
    hook.send(json=1)
    hook.wait()
    [job] = hook.execution(1).jobs
    assert "define the function and pass it: from_json(text, functions=[total])" in job.error
    assert "SettingError" in job.error


def test_functions_are_bound_by_key_and_by_name(runtime: Runtime):
    condition = Condition(is_paid, yes=[Code(lambda _: 1, key="one")], key="paid")
    text = define("a", nodes=[total, condition]).to_json()
    listed = Workflow.from_json(text, functions=[total, is_paid])
    assert listed.unbound == ("<lambda>",)
    workflow = Workflow.from_json(
        text, functions={"total": total, "is_paid": lambda _: True, "one": lambda _: 2}
    )
    assert workflow.unbound == ()
    hook = runtime.webhook(**workflow.settings())
    hook.send(json={"amount": 4})
    hook.wait()
    results = {job.node: job.result for job in hook.execution(1).jobs}
    assert results == {"total": 5.0, "paid": True, "one": 2}
    assert workflow.nodes[0] == Code(total)
    assert workflow.nodes[1].yes[0].source == "lambda _: 2"


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ([later], r"functions\[0\]: no node calls later; the nodes call: total"),
        ([5], r"functions\[0\]: 5 is not a function"),
        ("total", "functions: write a list"),
        (5, "functions: write a list"),
        ({"total": 5}, r"functions\['total'\]: 5 is not a function"),
    ],
)
def test_what_cannot_be_bound_is_refused(functions, message):
    text = define("a", nodes=[total]).to_json()
    with pytest.raises(SettingError, match=message):
        Workflow.from_json(text, functions=functions)


def test_of_two_functions_of_a_name_the_text_decides():
    def make(number):
        if number == 1:

            def node(_context):
                return 1

        else:

            def node(_context):
                return 2

        return node

    one, two = make(1), make(2)
    workflow = define("a", nodes=[one, Code(two, key="second")])
    again = Workflow.from_json(workflow.to_json(), functions=[two, one])
    assert [node.function for node in again.nodes] == [one, two]


def test_the_source_of_a_lambda_is_the_lambda_alone():
    both = [lambda a: [a, lambda b: b], lambda c: c]
    assert [source_of(one) for one in both] == ["lambda a: [a, lambda b: b]", "lambda c: c"]
    assert source_of(both[0](1)[1]) == "lambda b: b"
    many = [
        lambda c: (
            c.body,
            1,
        )
    ]
    assert source_of(many[0]).startswith("lambda c: (\n")
    assert source_of(many[0]).endswith(")")


def test_a_function_without_text_is_told_by_its_code():
    namespace = {}
    exec("def a(c): return 1\ndef b(c): return 2\nf = lambda c: 3", namespace)  # noqa: S102 - it has no file
    exec("def c(c): return 1", namespace)  # noqa: S102 - likewise
    first, second, third = (source_of(namespace[name]) for name in "abc")
    assert first.startswith("# no source text; code ")
    assert first != second
    assert first == third
    assert source_of(namespace["f"]).startswith("# no source text; code ")


def test_a_response_needs_a_caller_that_waits():
    paid = Condition("true", yes=[Response(200)])
    message = r"nodes\[0\].yes\[0\]: a Response is for a waiting caller; set sync=True, or use"
    with pytest.raises(SettingError, match=message):
        define("a", nodes=[paid])
    assert define("a", nodes=[paid], sync=True).nodes[0].yes[0].key == "response"


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (Response(key=5), r"nodes\[0\].key: 5 is not text"),
        (Code(total, source=5), r"nodes\[0\].source: 5 is not text"),
    ],
)
def test_fields_are_checked_in_python_too(node, message):
    with pytest.raises(SettingError, match=message):
        define("a", sync=True, nodes=[node])


def test_a_type_of_ones_own_is_read_back():
    @hooknb.register
    class Mine(hooknb.Node, frozen=True, tag="test_notation"):
        places: tuple[str, ...]
        limits: dict[str, int] = {}  # noqa: RUF012 - msgspec copies it

    workflow = define("a", nodes=[Mine(("x", "y"), {"z": 1})])
    again = Workflow.from_json(workflow.to_json())
    assert again == workflow
    assert again.nodes[0].places == ("x", "y")
    text = workflow.to_json()
    with pytest.raises(SettingError, match=r"nodes\[0\].limits: \{'z': 'w'\} is not an object"):
        Workflow.from_json(text.replace('"z": 1', '"z": "w"'))
    with pytest.raises(SettingError, match=r"nodes\[0\]: .*places"):
        Workflow.from_json('{"name": "a", "nodes": [{"type": "test_notation"}]}')


# -- Python
# -----------------------------------------------------------------------------------------------


def example():
    return define(
        "payments",
        sync=True,
        auth=BasicAuth("shop", "s3cret"),
        query=hooknb.parse_query("?page=1"),
        body=["status", Variable("order.id", alias="Order")],
        nodes=[
            total,
            Condition(
                'body.status == "paid"',
                yes=[Response(body={"ok": True, "total": "{{ nodes.total }}"})],
                no=[Response(422, body={"error": "not paid"})],
            ),
        ],
    )


def test_the_cell_is_what_one_would_write():
    assert example().to_python() == textwrap.dedent(
        """\
        import getpass

        import hooknb

        password = getpass.getpass("Password of shop: ")


        def total(context):
            return context.body["amount"] * 1.25


        hook = hooknb.webhook(
            "payments",
            sync=True,
            auth=hooknb.BasicAuth("shop", password),
            query=hooknb.parse_query({"page": "1"}),
            body=["status", hooknb.Variable("order.id", alias="Order")],
            nodes=[
                total,
                hooknb.Condition(
                    'body.status == "paid"',
                    yes=[hooknb.Response(body={"ok": True, "total": "{{ nodes.total }}"})],
                    no=[hooknb.Response(422, body={"error": "not paid"})],
                ),
            ],
        )
        """
    )
    assert define("a").to_python() == 'import hooknb\n\nhook = hooknb.webhook("a")\n'


def test_ruff_would_change_nothing():
    code = example().to_python() + define("b", response=Response(202, body="it's")).to_python()
    ruff = shutil.which("ruff", path=str(sys.prefix) + "/bin")
    assert ruff is not None
    done = subprocess.run(
        [ruff, "format", "--isolated", "-"], input=code, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == code.split()
    assert done.stdout.startswith(example().to_python())


def test_the_cell_serves_the_same_hook(runtime: Runtime, monkeypatch):
    workflow = example()
    monkeypatch.setattr(hooknb, "webhook", runtime.webhook)
    hook = run(workflow.to_python(), monkeypatch, password="s3cret")["hook"]
    assert hook.workflow == workflow
    assert hook.revision == 1
    again = run(hook.workflow.to_python(), monkeypatch, password="s3cret")["hook"]
    assert (again.revision, again) == (1, hook)
    assert hook.send(json={"status": "paid", "amount": 4}).json() == {"ok": True, "total": 5.0}


def test_keys_that_something_names_are_written():
    found = node_types()["calculation"]("1 + 1")
    code = define(
        "a", sync=True, nodes=[found, Response(body="{{ nodes.calculation }}")]
    ).to_python()
    assert 'hooknb.Calculation("1 + 1", key="calculation")' in code
    assert "response" not in code


def test_functions_of_one_name_and_without_text(monkeypatch):
    def make(number):
        if number:

            def node(_context):
                return 1

        else:

            def node(_context):
                return 0

        return node

    workflow = define("a", nodes=[make(1), make(0), len, LAMBDAS[0]])
    made = []
    monkeypatch.setattr(
        hooknb, "webhook", lambda name, **chosen: made.append(define(name, **chosen))
    )
    code = workflow.to_python()
    assert "# len: its source is not known; define it above" in code
    namespace = run(code, monkeypatch)
    assert made == [workflow]
    assert [node.function(()) for node in made[0].nodes[:3]] == [1, 0, 0]
    assert namespace["hooknb"] is hooknb


SECRETS = ("pw1234", "abc999", "zzz777", "yyy555", "k3y3k", "b0dy1", "b0dy2")
CALL = hooknb.Request(
    "https://ann:pw1234@api.example.com/x?page=1&token=abc999",
    headers={"Authorization": "Bearer zzz777", "X-Api-Key": "k3y3k", "X-Plain": "seen"},
    query={"access_token": "yyy555", "q": "seen"},
    body={"token": "b0dy1", "users": [{"password": "b0dy2", "key": "seen", "secret": 5}]},
    key="call",
)


def test_credentials_of_requests_are_in_no_text_that_people_see() -> None:
    workflow = define("shop", nodes=[hooknb.Loop(2, [CALL], key="turns")])
    console = rich.console.Console(file=io.StringIO(), width=200)
    console.print(CALL, workflow)
    texts = [
        repr(CALL),
        repr(workflow),
        str(workflow.nodes),
        workflow.to_json(),
        workflow.to_python(),
        console.file.getvalue(),
    ]
    for text in texts:
        assert "seen" in text
        assert not [secret for secret in SECRETS if secret in text]
    assert all(secret in workflow.to_json(secrets=True) for secret in SECRETS)
    assert Workflow.decode(workflow.encode()) == workflow


def test_credentials_that_come_out_of_templates_are_shown_as_they_are() -> None:
    node = hooknb.Request(
        "https://{{ env.USER }}:{{ env.PW }}@api.example.com/?token={{ env.T }}",
        headers={"Authorization": "Bearer {{ env.TOKEN }}"},
        query={"key": "{{ body.key }}"},
        body=[{"token": "{{ env.TOKEN }}", "password": ""}],
        allow_hosts=["*"],
    )
    assert node.masked() is node


def test_a_definition_that_was_read_back_without_its_credentials_says_what_is_missing() -> None:
    read = Workflow.from_json(define("shop", nodes=[hooknb.Loop(2, [CALL])]).to_json())
    with pytest.raises(SettingError, match=r"nodes\[0\].nodes\[0\].url: its secret was left out"):
        define(**read.settings())
    [call] = define("shop", nodes=[hooknb.Request("https://a", body=CALL.body)]).nodes
    read = Workflow.from_json(define("shop", nodes=[call]).to_json())
    with pytest.raises(SettingError, match=r"nodes\[0\].body: its secret was left out"):
        define(**read.settings())


def test_the_cell_asks_for_the_credentials_and_makes_the_same_definition(
    monkeypatch: pytest.MonkeyPatch, runtime: hooknb.Runtime
) -> None:
    workflow = define("shop", nodes=[CALL])
    prompts = []

    def typed(prompt: str) -> str:
        prompts.append(prompt)
        names = {
            "url": CALL.url,
            **CALL.headers,
            **CALL.query,
            **CALL.body,
            **CALL.body["users"][0],
        }
        return names[prompt.partition(" ")[0]]

    monkeypatch.setattr(getpass, "getpass", typed)
    monkeypatch.setattr(hooknb, "webhook", runtime.webhook)
    cell: dict[str, Any] = {}
    exec(workflow.to_python(), cell)  # noqa: S102 - it is the cell under test
    assert cell["hook"].workflow == workflow
    assert prompts[1] == "Authorization of call (Bearer •••••): "
    assert not [secret for secret in SECRETS if secret in "".join(prompts)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://ann:pw1234@{{ body.host }}/?token=abc999"},
        {"url": "https://ann:pw1234@api.example.com/\\?token=abc999"},
        {"url": "ftp://ann:pw1234@api.example.com/?token=abc999"},
        {"url": "https://a", "headers": {"Authorization": "Bearer zzz777\r\nX: y"}},
        {"url": "https://a", "headers": {"Authorization": "zzz777", "X": 5}},
        {"url": ["https://ann:pw1234@api.example.com/?token=abc999"]},
        {"url": "https://a", "query": [["token", "abc999"]]},
        {"url": "https://a", "query": [{"token": "abc999"}]},
    ],
)
def test_credentials_of_requests_are_in_no_error(wrong: dict[str, Any]) -> None:
    data = {"name": "shop", "nodes": [{"type": "request", **wrong}]}
    with pytest.raises(SettingError) as caught:
        Workflow.from_json(json.dumps(data))
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


def test_a_definition_that_was_stored_with_the_former_name_of_max_items_still_loads() -> None:
    stored = '{"name": "shop", "nodes": [{"type": "loop", "over": 2, "nodes": [], "most": 5}]}'
    [loop] = Workflow.decode(stored).nodes
    assert isinstance(loop, Loop)
    assert loop.max_items == 5
    assert '"max_items": 5' in Workflow.decode(stored).to_json()
