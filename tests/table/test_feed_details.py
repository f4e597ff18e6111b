"""Everything about one delivery, and what nodes have done."""

from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from source import Source

import hooknb
from hooknb import RecordNotFoundError, Runtime
from hooknb.history.table import Details, FlowCounts, details
from hooknb.history.table.value_tree import MAX_LINES, tree
from hooknb.paths import MISSING
from hooknb.paths import get as get_path
from hooknb.store import Store
from hooknb.workflow import Trigger
from hooknb.workflow.variables import Variable
from stored import START


def shown(source: Source, number: int) -> Details:
    made = details(source.store, source.id, number, source.trigger)
    assert msgspec.json.decode(msgspec.json.encode(made)) == made
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    return made


# -- trees ----------------------------------------------------------------------------------------


def test_a_value_as_lines() -> None:
    lines, more = tree(
        {"id": 2**80, "order": {"odd.key": "é\n", "none": None}, "list": [1.0, True, [], {}]},
        "body",
    )
    assert more == 0
    assert lines == [
        [0, None, "object", "{", "body", False, 3],
        [1, "id", "integer", "1208925819614629174706176", "body.id", True, 0],
        [1, "order", "object", "{", "body.order", False, 2],
        [2, "odd.key", "text", '"é\\n"', 'body.order["odd.key"]', True, 0],
        [2, "none", "null", "null", "body.order.none", True, 0],
        [1, None, "end", "}", None, False, 0],
        [1, "list", "list", "[", "body.list", False, 4],
        [2, "0", "number", "1.0", "body.list[0]", True, 0],
        [2, "1", "boolean", "true", "body.list[1]", True, 0],
        [2, "2", "list", "[]", "body.list[2]", True, 0],
        [2, "3", "object", "{}", "body.list[3]", True, 0],
        [1, None, "end", "]", None, False, 0],
        [0, None, "end", "}", None, False, 0],
    ]


def test_a_plain_value_and_none_at_all() -> None:
    assert tree("x", "body") == ([[0, None, "text", '"x"', "body", True, 0]], 0)
    assert tree(None, "body") == ([[0, None, "null", "null", "body", True, 0]], 0)
    assert tree(MISSING, "body") == ([], 0)
    assert tree([1], "body")[0][1][4] == "body[0]"


def test_files() -> None:
    file = {"filename": "a.png", "content_type": "image/png", "content": b"1234"}
    lines, _ = tree({"file": file, "bytes": b"x"}, "body")
    assert [line[2:4] for line in lines[1:3]] == [
        ["file", "a.png (image/png, 4 bytes)"],
        ["file", "1 byte"],
    ]


def test_long_values_and_keys_are_cut() -> None:
    lines, _ = tree({"a": "x" * 5000, "k" * 3000: 1, "n": 10**3999}, "body")
    assert len(lines[1][3]) == 2000
    assert lines[1][3].startswith('"xxx')
    assert lines[1][3].endswith("…")
    assert len(lines[2][1]) == 2000
    assert lines[2][4] is None
    assert len(lines[3][3]) == 2000


def test_many_values_are_left_out_and_counted() -> None:
    value = {"list": [{"n": number} for number in range(5000)], "last": 1}
    lines, more = tree(value, "body")
    assert MAX_LINES - 1 <= len(lines) <= MAX_LINES
    values = [line for line in lines if line[2] != "end"]
    assert len(values) + more == 3 + 2 * 5000
    assert [line[2] for line in lines[-2:]] == ["end", "end"]


def test_deep_values() -> None:
    value: Any = 1
    for _ in range(500):
        value = {"key": [value]} if not isinstance(value, dict) else {"key": value}
    lines, more = tree(value, "body")
    assert more == 0
    assert lines[250][4] == "body" + ".key" * 250
    assert lines[400][4] is None
    assert lines[-1] == [0, None, "end", "}", None, False, 0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_a_tree_closes_what_it_opens_and_its_names_lead_there(value: Any) -> None:
    lines, more = tree(value, "body")
    assert more == 0
    open_at = []
    for depth, label, kind, text, name, is_leaf, children in lines:
        text.encode()
        if kind == "end":
            assert open_at.pop() == depth
            continue
        assert depth == len(open_at)
        assert (label is None) == (depth == 0)
        found = get_path(value, name.removeprefix("body").removeprefix("."))
        assert len(text) > 2000 or is_leaf == (not isinstance(found, (dict, list)) or not found)
        if is_leaf:
            assert json.loads(text) == found
        else:
            assert children == len(found)
            open_at.append(depth)
    assert not open_at


# -- details --------------------------------------------------------------------------------------


def test_everything_about_a_delivery(source: Source) -> None:
    source.trigger = Trigger(
        headers=(Variable("authorization"),),
        query=(Variable("a"),),
        body=(Variable("n", alias="Number"), Variable("gone")),
    )
    number = source.send(
        {"n": 1},
        query="a=x",
        head=b"Host: h\r\nAuthorization: Basic c2VjcmV0\r\nCookie: secret=1\r\n",
        missing='["body.gone"]',
    )
    made = shown(source, number)
    assert made["response"] is None
    assert made["duration_ms"] is None
    source.response(number, 201, headers=b'[["Content-Type","text/plain"]]', body="é".encode())
    made = shown(source, number)
    assert (made["id"], made["received"]) == (number, "2023-11-14T22:13:20.000000+00:00")
    assert (made["method"], made["size"], made["remote"]) == ("POST", 8, "127.0.0.1")
    assert (made["outcome"], made["reason"], made["detail"]) == ("accepted", None, None)
    assert made["duration_ms"] == 1.5
    assert [line[4] for line in made["body"]["lines"]] == ["body", "body.n", None]
    assert [line[4] for line in made["query"]["lines"]] == ["query", "query.a", None]
    assert (made["body"]["note"], made["query"]["note"]) == (None, None)
    assert made["headers"] == [
        ["Host", "h", False], ["Authorization", "Basic •••••", True], ["Cookie", "•••••", True]
    ]  # fmt: skip
    assert made["variables"] == [
        ["headers.authorization", "headers.authorization", "Basic •••••"],
        ["query.a", "query.a", "x"],
        ["Number", "body.n", "1"],
        ["body.gone", "body.gone", None],
    ]
    assert made["response"] == {
        "status": 201,
        "headers": [["Content-Type", "text/plain"]],
        "text": "é",
        "binary": False,
        "size": 2,
    }
    assert made["raw"] == {
        "text": '{"n": 1}',
        "hex": "00000000  7b 22 6e 22 3a 20 31 7d" + " " * 26 + '{"n": 1}',
        "size": 8,
        "kept": 8,
        "in_text": 8,
        "in_hex": 8,
    }
    assert made["execution"] is not None
    assert made["execution"]["missing"] == ["body.gone"]
    assert "secret" not in json.dumps(made)


def test_a_refused_delivery(source: Source) -> None:
    [number] = source.refuse(
        reason="invalid json", detail="The body is not JSON.", raw=b'{"a": ', size=6
    )
    made = shown(source, number)
    assert (made["outcome"], made["reason"]) == ("refused", "invalid json")
    assert made["detail"] == "The body is not JSON."
    assert made["execution"] is None
    assert made["body"]["lines"] == []
    assert made["body"]["note"].startswith("The body is not JSON")
    [number] = source.refuse(raw=b"x" * 100, size=1000)
    made = shown(source, number)
    assert made["body"]["note"] == "the first 100 of 1,000 bytes were kept"
    assert (made["raw"]["size"], made["raw"]["kept"], made["raw"]["in_text"]) == (1000, 100, 100)


def test_bodies_that_are_no_text(source: Source) -> None:
    empty = shown(source, source.send(raw=b""))
    assert (empty["body"]["lines"], empty["body"]["note"]) == ([], "no body")
    assert (empty["raw"]["text"], empty["raw"]["hex"]) == ("", "")
    assert empty["query"]["note"] == "no query"
    binary = shown(source, source.send(raw=bytes(range(256)), content_type="image/png"))
    assert binary["body"]["lines"] == [[0, None, "file", "256 bytes", "body", True, 0]]
    assert binary["raw"]["text"] is None
    assert len(binary["raw"]["hex"].splitlines()) == 16
    packed = shown(source, source.send(raw=gzip.compress(b'{"a":1}'), content_encoding="gzip"))
    assert packed["raw"]["text"] is None
    assert packed["body"]["lines"][1][1] == "a"
    bomb = source.send(raw=gzip.compress(b" " * 20_000_000), content_encoding="gzip")
    assert shown(source, bomb)["body"]["lines"] == []


def test_large_bodies_are_shown_in_part(source: Source) -> None:
    raw = b'{"x": "' + "é".encode() * 6_000_000 + b'"}'
    made = shown(source, source.send(raw=raw))
    assert made["body"]["lines"] == []
    assert made["body"]["note"] == (
        "12,000,009 bytes are too many for a tree; see hook.delivery(…).body"
    )
    # The 64 KiB end in the middle of a character.
    assert made["raw"]["text"] == '{"x": "' + "é" * 32764
    assert (made["raw"]["in_text"], made["raw"]["in_hex"]) == (64 * 1024, 8 * 1024)
    assert len(made["raw"]["hex"].splitlines()) == 512
    whole = shown(source, source.send(raw=b'{"x": "' + b"y" * 100_000 + b'"}'))
    assert whole["body"]["note"] is None
    assert whole["raw"]["in_text"] < whole["raw"]["size"]
    number = source.send(1)
    source.response(number, body=b"\xff" + b"x" * 100_000)
    response = shown(source, number)["response"]
    assert response is not None
    assert (response["binary"], response["text"], response["size"]) == (True, "", 100_001)


def test_what_is_not_there(store: Store, source: Source) -> None:
    number = source.send(1)
    with pytest.raises(RecordNotFoundError, match=f"no delivery {number + 1}"):
        shown(source, number + 1)
    with pytest.raises(RecordNotFoundError):
        shown(Source(store, "other"), number)


def test_the_jobs_of_an_execution(source: Source) -> None:
    number = source.send(1)
    source.end(
        number,
        source.job("inner", started_at=START + 1000, result={"é": 1}, output="hello"),
        source.job("outer", type="condition", result=True),
        source.job("way", type="switch", started_at=START + 2000, finished_at=START + 2500),
        source.job("odd", started_at=START + 3000, finished_at=START + 3000, result=object),
        source.job(
            "bad", started_at=START + 4000, finished_at=START + 4000,
            status=-2, error="KeyError: 'a'\n\nTraceback",
        ),
        status=-2,
        reason="KeyError: 'a'",
    )  # fmt: skip
    execution = shown(source, number)["execution"]
    assert execution is not None
    assert (execution["status"], execution["reason"]) == ("error", "KeyError: 'a'")
    assert (execution["duration_ms"], execution["revision"]) == (2.5, 1)
    assert (execution["recovered"], execution["missing"], execution["more"]) == (False, [], 0)
    jobs = {job["node"]: job for job in execution["jobs"]}
    assert list(jobs) == ["outer", "inner", "way", "odd", "bad"]
    assert jobs["inner"] == {
        "node": "inner",
        "type": "code",
        "status": "resolved",
        "tone": "ok",
        "start_ms": 1.0,
        "duration_ms": 1.0,
        "result": '{"é": 1}',
        "output": "hello",
        "error": None,
        "branch": None,
    }
    assert (jobs["outer"]["branch"], jobs["way"]["branch"]) == ("yes", "otherwise")
    assert jobs["odd"]["result"] == "<class 'object'>"
    assert jobs["way"]["result"] == ""
    assert jobs["bad"]["error"].startswith("KeyError: 'a'\n")


def test_jobs_that_run_and_many_of_them(source: Source) -> None:
    number = source.send(1, status=0, owner="x")
    source.running(
        number,
        *[source.job("turn") for _ in range(300)],
        source.job("slow", status=0, started_at=START, finished_at=None),
    )
    execution = shown(source, number)["execution"]
    assert execution is not None
    assert (execution["status"], execution["duration_ms"]) == ("started", None)
    assert (len(execution["jobs"]), execution["more"]) == (200, 101)
    slow = execution["jobs"][0]
    assert (slow["node"], slow["status"], slow["duration_ms"]) == ("slow", "pending", None)


def test_whatever_a_job_holds_can_be_sent(source: Source) -> None:
    number = source.send(1)
    source.end(
        number,
        source.job("half", result={"a": "\ud800"}, output="\udc80", error="\ud800"),
        source.job("nan", result=[float("nan"), "x" * 50_000], output="y" * 50_000),
        source.job("repr", result="\ud800"),
    )
    execution = shown(source, number)["execution"]
    assert execution is not None
    half, long, _ = sorted(execution["jobs"], key=lambda job: ["half", "nan", "repr"].index(
        job["node"]
    ))  # fmt: skip
    assert half["result"] == '{"a": "\\ud800"}'
    assert len(long["result"]) == len(long["output"]) == 10_000


def test_a_delivery_of_a_hook(runtime: Runtime) -> None:
    def total(context):
        print("computing")  # noqa: T201
        return context.body["amount"] * 2

    def is_large(context):
        return context.nodes["total"] > 100

    hook = runtime.webhook(
        "orders",
        body=["amount"],
        nodes=[
            total,
            hooknb.Condition(is_large, key="large", yes=[lambda _: 1 / 0], no=[]),
        ],
    )
    hook.send(json={"amount": 10})
    hook.send(json={"amount": 100})
    hook.wait()
    runtime._store.flush()
    [(workflow_id,)] = runtime._store.rows("SELECT id FROM workflows")
    trigger = Trigger(body=(Variable("amount"),))
    good = details(runtime._store, workflow_id, 1, trigger)
    assert good["variables"] == [["body.amount", "body.amount", "10"]]
    assert good["response"] is not None
    assert (good["response"]["status"], good["response"]["text"]) == (200, "ok")
    assert good["execution"] is not None
    first, large = good["execution"]["jobs"]
    assert (first["node"], first["result"], first["output"]) == ("total", "20", "computing\n")
    assert (large["branch"], good["execution"]["status"]) == ("no", "resolved")
    bad = details(runtime._store, workflow_id, 2, trigger)
    assert bad["execution"] is not None
    assert bad["execution"]["reason"] == "ZeroDivisionError: division by zero"
    flow = FlowCounts(runtime._store, workflow_id)
    assert flow.refresh()
    assert flow.nodes["large"]["branches"] == {"no": 1, "yes": 1}
    assert flow.nodes["large"]["errors"] == 0
    assert flow.nodes["total"]["runs"] == 2
    assert sum(node["errors"] for node in flow.nodes.values()) == 1


# -- what nodes have done -------------------------------------------------------------------------


def test_runs_times_errors_and_ways_are_counted(store: Store, source: Source) -> None:
    flow, other = FlowCounts(store, source.id), Source(store, "other")
    assert not flow.refresh()
    assert flow.nodes == {}
    first, second = source.send(1), source.send(2)
    source.end(
        first,
        source.job("if", type="condition", result=True),
        source.job("way", type="switch", result="paid"),
        source.job("code", finished_at=START + 1000),
    )
    foreign = other.send(1)
    other.end(foreign, other.job("code"))
    assert flow.refresh()
    assert not flow.refresh()
    source.end(
        second,
        source.job("if", type="condition", result=False, status=-1),
        source.job("way", type="switch", result=0),
        source.job("way", type="switch"),
        source.job("way", type="switch", status=-3),
        source.job("way", type="switch", status=-2, error="a node inside of it failed", result="é"),
        source.job("code", finished_at=START + 3000, status=-2, error="KeyError: 1"),
    )
    assert flow.refresh()
    assert flow.nodes == {
        "if": {"runs": 2, "mean_ms": 2.0, "errors": 0, "branches": {"yes": 1, "no": 1}},
        "way": {
            "runs": 5,
            "mean_ms": 2.0,
            "errors": 0,
            "branches": {"paid": 1, "0": 1, "otherwise": 1, "é": 1},
        },
        "code": {"runs": 2, "mean_ms": 2.0, "errors": 1, "branches": {}},
    }
    again = FlowCounts(store, source.id)
    again.refresh()
    assert again.nodes == flow.nodes


def test_jobs_that_run_count_once_they_have_ended(store: Store, source: Source) -> None:
    flow = FlowCounts(store, source.id)
    slow, quick = source.send(1, status=0, owner="x"), source.send(2)
    running = source.job("slow", status=0, finished_at=None)
    source.running(slow, source.job("first"), running)
    source.end(quick, source.job("first"))
    flow.refresh()
    assert {key: node["runs"] for key, node in flow.nodes.items()} == {"first": 2}
    source.end(slow, source.job("slow"))
    flow.refresh()
    assert {key: node["runs"] for key, node in flow.nodes.items()} == {"first": 2, "slow": 1}


@pytest.mark.parametrize("times", [0, 1, 3])
def test_counts_of_a_cleared_hook_begin_at_nothing(
    store: Store, source: Source, times: int
) -> None:
    flow = FlowCounts(store, source.id)
    number = source.send(1)
    source.end(number, source.job("a"), source.job("b"))
    flow.refresh()
    store.clear(source.id)
    for _ in range(times):
        number = source.send(1)
        source.end(number, source.job("a"))
    assert flow.refresh()
    assert {key: node["runs"] for key, node in flow.nodes.items()} == (
        {"a": times} if times else {}
    )
    assert not flow.refresh()
