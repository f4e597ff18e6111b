"""A hook that is changed, tried out and searched: what each call of a panel's buttons does."""

from __future__ import annotations

import asyncio
import base64
import gzip
import inspect
import math
import os
import re
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import hooknb
from hooknb import BasicAuth, Response, Runtime, SettingError, Variable
from hooknb.workflow import WebhookSettings
from hooknb.workflow.notation import SETTINGS
from wire import exchange, request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def newest(hook: hooknb.Hook) -> hooknb.Delivery:
    return hook.delivery(hook.deliveries.index[-1])


def total(context):
    return context.body["amount"] * 2


# -- configure


def test_what_is_not_named_stays(runtime: Runtime) -> None:
    hook = runtime.webhook(
        "orders",
        body=["amount", Variable("id", "Id")],
        auth=BasicAuth("u", "p"),
        nodes=[total],
        timeout=5,
        enabled=False,
    )
    before = hook.workflow.settings()
    assert hook.configure(concurrency=3) is hook
    assert hook.revision == 2
    assert not hook.enabled
    assert hook.workflow.settings() == {**before, "concurrency": 3}
    hook.configure(enabled=True)
    assert (hook.revision, hook.enabled) == (2, True)
    hook.send(json={"amount": 2})
    hook.wait()
    assert hook.jobs["result"].tolist() == [4]


def test_nothing_new_is_no_revision(runtime: Runtime) -> None:
    hook = runtime.webhook("orders", body=["a"], nodes=[total], response=Response(202))
    settings = hook.workflow.settings()
    del settings["name"]
    assert hook.configure().revision == 1
    assert hook.configure(**settings).revision == 1
    assert hook.configure(body=["a"], nodes=[total], enabled=True).revision == 1
    assert [revision.number for revision in hook.revisions] == [1]


def test_every_setting_can_be_changed_and_set_back(runtime: Runtime) -> None:
    changes = {
        "sync": True,
        "methods": ("PUT",),
        "accept": "*/*",
        "auth": BasicAuth("u", "p"),
        "headers": ["X-A"],
        "query": ["a"],
        "body": ["b"],
        "response": Response(201),
        "nodes": [total],
        "timeout": 1.5,
        "max_body": 10,
        "concurrency": 2,
        "subpaths": True,
        "disabled_status": 410,
        "keep_days": 7.5,
        "keep_deliveries": 100,
        "keep_bytes": 10**9,
    }
    assert [*changes, "name"] == sorted([*changes, "name"], key=[*SETTINGS[1:], "name"].index)
    hook = runtime.webhook("all")
    first = hook.workflow
    for name, value in changes.items():
        hook.configure(**{name: value})
    assert hook.revision == 1 + len(changes)
    assert hook.workflow.settings().keys() == {"name", *changes}
    hook.revert(1)
    assert hook.workflow == first
    hook.configure(**changes)
    assert hook.workflow.settings().keys() == {"name", *changes}
    for name in ("auth", "headers", "query", "body", "response", "nodes", "timeout", "keep_days"):
        hook.configure(**{name: None})
        assert name not in hook.workflow.settings()


def test_the_keys_of_nodes_stay(runtime: Runtime) -> None:
    hook = runtime.webhook("keys", nodes=[total, hooknb.Condition("body.a == 1")])
    keys = [node.key for node in hook.workflow.nodes]
    hook.configure(nodes=[total, hooknb.Condition("body.a == 2")])
    assert [node.key for node in hook.workflow.nodes] == keys


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"colour": 1}, "colour: there is no such setting; write one of sync, methods, .* enabled"),
        ({"name": "other"}, "name: a hook cannot be renamed"),
        ({"enabled": "yes"}, "enabled: 'yes' is neither"),
        ({"max_body": 0}, "max_body"),
        ({"body": ["a", "a"]}, r"body\[1\]"),
        ({"nodes": [Response(200)]}, r"nodes\[0\]"),
        ({"body": ["b"], "timeout": -1}, "timeout"),
    ],
)
def test_a_wrong_setting_changes_nothing(runtime: Runtime, settings, message) -> None:
    hook = runtime.webhook("wrong", body=["a"])
    before = hook.workflow
    with pytest.raises(SettingError, match=message):
        hook.configure(**settings)
    assert (hook.workflow, hook.revision, hook.enabled) == (before, 1, True)


def test_of_changes_at_the_same_time_all_are_kept(runtime: Runtime) -> None:
    hook = runtime.webhook("threads")
    names = [f"a{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: hook.add_variable(f"body.{name}"), names))
        list(pool.map(lambda n: hook.configure(concurrency=n + 1, timeout=n + 1), range(8)))
    assert sorted(item.path for item in hook.workflow.trigger.body) == sorted(names)
    assert hook.workflow.timeout == hook.workflow.concurrency
    assert hook.send(json=1).status == 200


def test_it_is_served_while_it_is_changed(runtime: Runtime) -> None:
    hook = runtime.webhook("served", body=["a"])
    done = threading.Event()

    def change() -> None:
        for number in range(1, 40):
            hook.configure(concurrency=number)
        done.set()

    changing = threading.Thread(target=change)
    changing.start()
    statuses = {hook.send(json={"a": 1}).status}
    while not done.is_set():
        statuses.add(hook.send(json={"a": 1}).status)
    changing.join()
    assert statuses == {200}


def test_a_node_may_change_its_own_hook(runtime: Runtime) -> None:
    async def later(_context):
        hook.configure(timeout=7)

    hook = runtime.webhook(
        "node", nodes=[lambda _context: hook.add_variable("body.a") and None, later]
    )
    hook.send(json={"a": 1})
    hook.wait()
    assert hook.executions["status"].tolist() == ["resolved"]
    assert (hook.workflow.timeout, hook.workflow.trigger.body[0].path) == (7, "a")


def test_a_closed_hook_is_not_changed(runtime: Runtime) -> None:
    hook = runtime.webhook("closed")
    hook.close()
    again = runtime.webhook("closed")
    for call in (
        lambda: hook.configure(timeout=1),
        lambda: hook.add_variable("body"),
        lambda: hook.replay(1),
        hook.send_sample,
    ):
        with pytest.raises(hooknb.ServerError, match="is closed"):
            call()
    assert again.revision == 1


# -- take


def test_a_variable_is_taken_with_what_it_last_was(runtime: Runtime) -> None:
    hook = runtime.webhook("take")
    hook.send(json={"order": {"id": 1}, "old": "x"}, headers={"X-Id": "a"}, params="a[b]=1")
    hook.send(json={"order": {"id": 2**70, "null": None}})
    hook.send(data=b"{", headers={"Content-Type": "application/json"})
    assert hook.add_variable("body.order.id") is hook
    hook.add_variable("body.old", alias="Old").add_variable("body.order.null").add_variable(
        "body.never"
    )
    hook.add_variable("headers.x-ID").add_variable("query.a.b").add_variable("body")
    trigger = hook.workflow.trigger
    assert trigger.body == (
        Variable("order.id", type="integer", sample=2**70),
        Variable("old", "Old", "text", "x"),
        Variable("order.null", type="null"),
        Variable("never"),
        Variable("", type="object", sample={"order": {"id": 2**70, "null": None}}),
    )
    assert trigger.headers == (Variable("x-ID", type="text", sample="a"),)
    assert trigger.query == (Variable("a.b", type="text", sample="1"),)
    assert list(hook.variables.columns) == [
        "received_at",
        "headers.x-ID",
        "query.a.b",
        "body.order.id",
        "Old",
        "body.order.null",
        "body.never",
        "body",
    ]


def test_what_is_taken_already_only_gets_another_alias(runtime: Runtime) -> None:
    hook = runtime.webhook("again", body=["a", Variable("b.c", "C")])
    assert (
        hook.add_variable("body.a")
        .add_variable('body["b"].c')
        .add_variable("body.b.c", alias="C")
        .revision
        == 1
    )
    assert hook.add_variable("body.b.c", alias="Other").revision == 2
    assert hook.workflow.trigger.body == (Variable("a"), Variable("b.c", "Other"))
    with pytest.raises(SettingError, match="'Other' is taken"):
        hook.add_variable("body.d", alias="Other")
    with pytest.raises(SettingError, match="'order' is not a variable"):
        hook.add_variable("order")
    assert hook.revision == 2


def test_a_list_and_a_file_are_taken(runtime: Runtime) -> None:
    hook = runtime.webhook("parts", accept="*/*")
    hook.send(json=[{"sku": "x"}, {"sku": "y"}])
    hook.add_variable("body[0].sku").add_variable("body[*].sku")
    assert [item.sample for item in hook.workflow.trigger.body] == ["x", ["x", "y"]]
    hook.send(data=b"\x00\xff", headers={"Content-Type": "image/png"})
    hook.add_variable("body")
    assert hook.workflow.trigger.body[-1] == Variable("", type="file", sample=b"\x00\xff")


def test_no_secret_and_nothing_large_is_kept_with_the_definition(runtime: Runtime) -> None:
    hook = runtime.webhook("secret", auth=BasicAuth("shop", "s3cret"))
    hook.send(json={"a": "x" * 70_000}, headers={"Cookie": "session=s3cret"})
    hook.add_variable("headers.Authorization").add_variable("headers.Cookie").add_variable("body.a")
    text = f"{hook.workflow!r}{hook.workflow.to_json()}{hook.variables.to_csv()}"
    assert "s3cret" not in text
    assert base64.b64encode(b"shop:s3cret").decode() not in text
    assert hook.workflow.trigger.body == (Variable("a", type="text"),)


# -- replay


def test_a_delivery_is_sent_again_as_it_came(runtime: Runtime) -> None:
    hook = runtime.webhook("replay", methods="*", accept="*/*")
    fields = (
        ("x-Lower", "1"),
        ("X-Twice", "b"),
        ("X-Latin", "caf\xe9"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("X-Twice", "a"),
        ("Proxy-Authorization", "Basic x"),
        ("Authorization", "Bearer theirs"),
        ("X-Hooknb-Depth", "3"),
        ("Content-Encoding", "gzip"),
        ("Content-Type", "application/json"),
        ("TE", "trailers"),
        ("X-Empty", ""),
    )
    raw = gzip.compress(b'{"a": 1}')
    query = "a=%C3%BC&b[0]=1&&c=%zz&d=\xe9"
    sent = request(hook, raw, method="PATCH", query=query, headers=fields)
    number = exchange(hook, sent).delivery
    response = hook.replay(number)
    assert (response.status, response.delivery) == (200, number + 1)
    first, again = hook.delivery(number), hook.delivery(response.delivery)
    assert (again.raw, again.method, again.query_string) == (raw, "PATCH", query)
    assert again.body == first.body == {"a": 1}
    kept = [field for field in again.headers if field[0] not in {"Host", "Content-Length"}]
    left_out = {"Connection", "X-Hop", "Proxy-Authorization", "Authorization"}
    left_out |= {"X-Hooknb-Depth", "TE"}
    assert kept == [field for field in fields if field[0] not in left_out]


def test_chunks_are_sent_as_one_body(runtime: Runtime) -> None:
    hook = runtime.webhook("chunks")
    head = request(hook, method="PUT", headers=(("Transfer-Encoding", "chunked"),))
    hook.configure(methods="*", accept="*/*")
    number = exchange(hook, head + b"1\r\n[\r\n1\r\n]\r\n0\r\n\r\n").delivery
    again = hook.delivery(hook.replay(number).delivery)
    assert again.raw == b"[]"
    assert "Transfer-Encoding" not in again.header_map


@pytest.mark.parametrize(("length", "has_length"), [(None, False), (0, True)])
def test_no_body_stays_no_body(runtime: Runtime, length, has_length) -> None:
    hook = runtime.webhook("empty", methods="*")
    sent = request(hook, method="GET", headers=(), length=length)
    again = hook.delivery(hook.replay(exchange(hook, sent).delivery).delivery)
    assert again.raw == b""
    assert ("Content-Length" in again.header_map) == has_length


def test_the_credentials_are_those_of_the_hook(runtime: Runtime) -> None:
    hook = runtime.webhook("auth", auth=BasicAuth("ü", "p:ö"))
    refused = hook.send(json=1, headers={"Authorization": "Basic eDp5"})
    assert refused.status == 401
    assert hook.replay(refused.delivery).status == 200
    hook.configure(auth=None)
    assert "Authorization" not in hook.delivery(hook.replay(1).delivery).header_map


def test_what_was_cut_or_is_not_there_cannot_be_sent(runtime: Runtime) -> None:
    hook = runtime.webhook("cut", max_body=100_000)
    sent = hook.send(data=b"x" * 200_000)
    with pytest.raises(SettingError, match=r"delivery 1: .* 65,536 of its 200,000 bytes"):
        hook.replay(sent.delivery)
    for number in (2, 1.5, 0):
        with pytest.raises(hooknb.RecordNotFoundError):
            hook.replay(number)


def test_replay_takes_an_id_several_a_filter_or_a_file(runtime: Runtime, tmp_path: Path) -> None:
    hook = runtime.webhook("again")
    for number in (1, 2, 3):
        hook.send(json={"n": number})
    hook.export(tmp_path / "sent.jsonl")
    assert hook.replay(1).status == 200
    assert newest(hook).body == {"n": 1}
    hook.replay(np.array([3, 2]))
    assert [hook.delivery(id).body["n"] for id in hook.deliveries.index[-2:]] == [3, 2]
    sent = len(hook.deliveries)
    assert [response.status for response in hook.replay("body.n == 3")] == [200, 200]
    assert [hook.delivery(id).body["n"] for id in hook.deliveries.index[sent:]] == [3, 3]
    assert hook.replay("refused") == []
    assert len(hook.replay(tmp_path / "sent.jsonl")) == 3
    assert len(hook.replay(str(tmp_path / "sent.jsonl"))) == 3


def test_none_of_several_is_replayed_where_one_cannot_be(runtime: Runtime) -> None:
    hook = runtime.webhook("none", max_body=100_000)
    hook.send(json=1)
    hook.send(data=b"x" * 200_000)
    with pytest.raises(SettingError, match="delivery 2: "):
        hook.replay([1, 2])
    with pytest.raises(hooknb.RecordNotFoundError):
        hook.replay([1, 9])
    assert len(hook.deliveries) == 2


# -- delete


def test_a_deleted_hook_leaves_nothing_and_its_name_is_free(runtime: Runtime) -> None:
    kept = runtime.webhook("kept")
    kept.send(json=1)
    hook = runtime.webhook("gone", nodes=[total])
    hook.send(json={"amount": 1})
    hook.wait()
    key = hook.key
    hook.delete()
    assert hook.status == "closed"
    assert runtime.workflows() == ["kept"]
    with pytest.raises(hooknb.ServerError, match="is closed"):
        hook.delete()
    again = runtime.webhook("gone")
    assert again.key != key
    assert again.revision == 1
    assert [len(frame) for frame in (again.deliveries, again.executions, again.jobs)] == [0, 0, 0]
    assert len(kept.deliveries) == 1


def test_a_workflow_that_is_not_served_is_deleted_by_name(runtime: Runtime) -> None:
    runtime.webhook("orders").close()
    runtime.delete("orders")
    assert runtime.workflows() == []
    for name in ("orders", "a\x00b"):
        with pytest.raises(hooknb.RecordNotFoundError, match="there is no workflow"):
            runtime.delete(name)


# -- the face


def test_webhook_repeats_every_parameter_with_type_and_docstring() -> None:
    said = inspect.signature(hooknb.webhook, eval_str=False).parameters
    meant = dict(inspect.signature(Runtime.webhook, eval_str=False).parameters)
    del meant["self"]
    assert dict(said) == meant
    assert set(WebhookSettings.__annotations__) == set(meant) - {"name"}
    documented = (hooknb.webhook.__doc__ or "").split("Parameters\n")[1].split("Returns\n")[0]
    for name in meant:
        assert re.search(rf"^ +(\w+, )*{name}(, \w+)*$", documented, re.MULTILINE), name
    assert (
        documented.split()
        == (Runtime.webhook.__doc__ or "").split("Parameters\n")[1].split("Returns\n")[0].split()
    )


def test_a_setting_that_webhook_does_not_have_is_refused(runtime: Runtime) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        runtime.webhook("orders", colour="red")  # type: ignore[call-arg]
    assert runtime.workflows() == []


def test_what_is_not_api_of_a_runtime_is_private(runtime: Runtime) -> None:
    assert {name for name in dir(runtime) if not name.startswith("_")} == {
        *("close", "delete", "hooks", "serve", "webhook", "workflows"),
        *("local_url", "port", "settings"),
    }


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_shows_the_url_where_the_hook_is_made(tmp_path: Path) -> None:
    import pty

    program = "import hooknb; print(hooknb.webhook('orders').url)"
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "HOOKNB_STORE": ":memory:"},
        check=True,
        timeout=60,
    )
    assert os.read(ours, 1000).decode().strip() == f"orders: {done.stdout.decode().strip()}"
    os.close(ours)
    os.close(theirs)


def test_a_chain_of_replays_ends(runtime: Runtime) -> None:
    hook = runtime.webhook("loop", nodes=[lambda context: hook.replay(context.delivery.id).status])
    hook.send(json=1)
    hook.wait()
    assert hook.deliveries["status"].tolist()[-1] == 508
    assert len(hook.deliveries) == runtime.settings.max_depth + 2


def test_an_async_node_is_told_that_it_would_wait_for_itself(runtime: Runtime) -> None:
    async def node(_context):
        other.send_sample()

    other = runtime.webhook("other")
    hook = runtime.webhook("self", nodes=[node])
    hook.send(json=1)
    hook.wait()
    assert "asyncio.to_thread(hook.send_sample" in hook.execution(1).jobs[0].error


# -- samples


def test_a_sample_is_made_of_the_variables(runtime: Runtime) -> None:
    hook = runtime.webhook(
        "sample",
        auth=BasicAuth("u", "p"),
        body=[*hooknb.parse_body('{"a": {"b": [1, null]}, "c": "ü"}'), "later"],
        query=hooknb.parse_query("?items[0][sku]=a b&x=1"),
        headers=[Variable("X-Id", sample="7"), "X-None"],
    )
    response = hook.send_sample()
    assert response.status == 200
    came = hook.delivery(response.delivery)
    assert came.body == {"a": {"b": [1, None]}, "c": "ü"}
    assert came.query == {"items": [{"sku": "a b"}], "x": "1"}
    assert (came.header_map["X-Id"], came.method) == ("7", "POST")
    assert hook.execution(response.delivery).missing == ("headers.X-None", "body.later")


def test_without_samples_it_is_what_came_last_or_nothing(runtime: Runtime) -> None:
    hook = runtime.webhook("plain", body=["a"])
    assert hook.delivery(hook.send_sample().delivery).raw == b"{}"
    raw = gzip.compress(b'{"a":  1}')
    hook.send(data=raw, headers={"Content-Encoding": "gzip", "Content-Type": "application/x+json"})
    hook.send(data=b"{", headers={"Content-Type": "application/json"})
    came = hook.delivery(hook.send_sample().delivery)
    assert (came.raw, came.content_type, came.body) == (raw, "application/x+json", {"a": 1})
    hook.configure(accept="text/plain")
    response = hook.send_sample()
    assert (response.status, hook.delivery(response.delivery).raw) == (200, b"{}")


@pytest.mark.parametrize(
    "accept",
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/*",
     "image/*", "application/xml", "*/*"],
)  # fmt: skip
@pytest.mark.parametrize("methods", ["*", "GET", ("PUT", "HEAD")])
def test_the_hook_takes_its_own_sample(runtime: Runtime, accept, methods) -> None:
    hook = runtime.webhook("own", accept=accept, methods=methods, body=[Variable("a", sample="x")])
    assert hook.send_sample().status == 200
    hook.configure(body=None).clear()
    assert hook.send_sample().status == 200


def test_a_header_that_cannot_be_sent_is_named_without_its_value(runtime: Runtime) -> None:
    hook = runtime.webhook("header")
    for value, problem in (("a\r\ns3cret: b", "line breaks"), ("s3cret 漢", "Latin-1")):
        with pytest.raises(SettingError, match=rf"headers\['X-Id'\].*{problem}") as caught:
            hook.send(json=1, headers={"X-Id": value})
        assert "s3cret" not in str(caught.value)
    assert len(hook.deliveries) == 0


# -- search


def test_a_search_gives_rows_of_the_deliveries(runtime: Runtime) -> None:
    runtime.webhook("other").send(json={"amount": 200})
    hook = runtime.webhook("search")
    for amount in (50, 150, 250, 350):
        hook.send(json={"amount": amount})
    hook.send(data=b"{", headers={"Content-Type": "application/json"})
    frame = hook.search("body.amount > 100")
    assert [body["amount"] for body in frame["body"]] == [150, 250, 350]
    assert list(frame.columns) == list(hook.frame("deliveries", body=True).columns)
    assert [body["amount"] for body in hook.search("body.amount > 100", 2)["body"]] == [250, 350]
    assert hook.search("refused")["reason"].tolist() == ["invalid json"]
    assert hook.search("4xx").equals(hook.search("refused"))
    assert hook.search("").equals(hook.frame("deliveries", body=True))
    assert hook.search("")[list(hook.deliveries)].equals(hook.deliveries)
    assert len(hook.search("", limit=0)) == len(hook.search("nowhere")) == 0
    with pytest.raises(SettingError, match="filter"):
        hook.search("body.amount >")
    with pytest.raises(SettingError, match="limit"):
        hook.search("", limit="2")


# -- stored workflows


def test_a_stored_workflow_is_served_as_it_stands(tmp_path) -> None:
    with Runtime(tmp_path / "s.db") as runtime:
        hook = runtime.webhook("orders", body=["a"], auth=BasicAuth("u", "p"), nodes=[total])
        runtime.webhook("another")
        hook.configure(timeout=3)
        hook.configure(timeout=4)
        hook.revert(2)
        hook.enabled = False
        hook.send(json={"amount": 1})
        url, workflow = hook.url, hook.workflow
    with Runtime(tmp_path / "s.db") as runtime:
        assert runtime.workflows() == ["orders", "another"]
        with pytest.raises(SettingError, match=r"orders.*serve\('orders', functions=\[total"):
            runtime.serve("orders")
        assert runtime.hooks == {}
        hook = runtime.serve("orders", functions=[total])
        assert (hook.url, hook.workflow, hook.revision) == (url, workflow, 2)
        assert (hook.enabled, len(hook.deliveries)) == (False, 1)
        assert runtime.serve("orders") is hook
        hook.enabled = True
        assert hook.replay(1).status == 200
        hook.wait()
        assert hook.jobs["result"].tolist() == [2]
        assert len(hook.revisions) == 3
        with pytest.raises(hooknb.RecordNotFoundError, match=r"'order' .* 'orders', 'another'"):
            runtime.serve("order")
    with pytest.raises(hooknb.ServerError, match="closed"):
        runtime.workflows()


def test_other_code_is_another_revision(tmp_path) -> None:
    with Runtime(tmp_path / "s.db") as runtime:
        runtime.webhook("orders", nodes=[total])
    with Runtime(tmp_path / "s.db") as runtime:
        hook = runtime.serve("orders", {"total": lambda context: context.body})
        assert hook.revision == 2


def test_what_waited_is_run_when_it_is_served(tmp_path) -> None:
    code = """
    import hooknb, os, threading
    runtime = hooknb.Runtime("s.db")
    started = threading.Event()
    def wait(context):
        started.set()
        threading.Event().wait()
    hook = runtime.webhook("orders", nodes=[wait])
    hook.send(json=1), hook.send(json=2)
    started.wait()
    os._exit(0)
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, check=True, timeout=60
    )
    with Runtime(tmp_path / "s.db", port=0) as runtime:
        hook = runtime.serve("orders", {"wait": lambda context: context.body})
        hook.wait()
        assert hook.jobs["result"].tolist() == [1, 2]


def test_the_default_runtime_serves_what_is_stored(tmp_path) -> None:
    code = """
    import hooknb, os
    assert hooknb.workflows() == []
    assert hooknb.hooks() == {}
    try:
        hooknb.serve("orders")
    except hooknb.RecordNotFoundError as error:
        assert "it has none" in str(error)
    os.environ["HOOKNB_STORE"] = "other.db"  # nothing was decided so far
    url = hooknb.webhook("orders").url
    assert hooknb.workflows() == ["orders"]
    hooknb.hooks()["orders"].close()
    assert hooknb.serve("orders").url == url
    assert os.path.exists("other.db")
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "HOOKNB_STORE"},
        check=True,
        timeout=60,
    )


HALF = "\ud800"  # of a surrogate pair: a Python text, and no character of any encoding


@pytest.mark.parametrize(
    ("attempt", "place"),
    [
        (lambda hook: hook.add_variable(f"body.{HALF}"), r"body\[0\]"),
        (lambda hook: hook.configure(query=[HALF]), r"query\[0\]"),
        (lambda hook: hook.send(data=HALF), "data"),
    ],
)
def test_half_of_a_surrogate_pair_is_refused_with_its_place(
    runtime: Runtime, attempt: Callable[[hooknb.Hook], object], place: str
) -> None:
    hook = runtime.webhook("halves")
    with pytest.raises(SettingError, match=f"^{place}: .*half of a surrogate pair"):
        attempt(hook)
    assert hook.revision == 1
    assert hook.deliveries.empty


def test_no_workflow_has_half_of_a_surrogate_pair_as_its_name(runtime: Runtime) -> None:
    with pytest.raises(SettingError, match=r"^name: "):
        runtime.webhook(HALF)
    with pytest.raises(hooknb.RecordNotFoundError, match="no workflow"):
        runtime.serve(HALF)


# -- values and times that are none


@pytest.mark.parametrize("timeout", [math.nan, -1, "5", [], 10**400])
@pytest.mark.parametrize("call", ["wait", "wait_for", "send"])
def test_a_timeout_is_a_number_of_seconds(runtime: Runtime, call: str, timeout: object) -> None:
    hook = runtime.webhook("orders")
    with pytest.raises(SettingError, match=r"^timeout: .*seconds"):
        getattr(hook, call)(timeout=timeout)
    with pytest.raises(SettingError, match=r"^timeout: "):
        asyncio.run(hook.next(timeout=timeout))  # type: ignore[arg-type]


def test_for_ever_is_none_or_infinity(runtime: Runtime) -> None:
    hook = runtime.webhook("orders")
    assert hook.send(json=1, timeout=math.inf).status == 200
    assert hook.send(json=1, timeout=1e30).status == 200
    assert hook.send(json=1, timeout=4294968.0).status == 200  # 704 ms, in 32 bits
    hook.wait(timeout=math.inf)
    assert hook.wait_for("accepted", timeout=math.inf).id == 1


@pytest.mark.parametrize("n", [-1, 0.5, "", [], True, math.nan])
def test_a_number_of_deliveries_is_one(runtime: Runtime, n: object) -> None:
    with pytest.raises(SettingError, match=r"^n: "):
        runtime.webhook("orders").wait(n)  # type: ignore[arg-type]


def test_values_of_numpy_are_sent_kept_and_answered_as_numbers(runtime: Runtime) -> None:
    frame = pd.DataFrame({"amount": [42, 2**53 + 1], "paid": [True, False]})
    hook = runtime.webhook(
        "frames",
        sync=True,
        nodes=[
            hooknb.Code(lambda _: frame.amount.sum(), key="total"),
            Response(200, body={"total": "{{ nodes.total }}", "all": "{{ body.all }}"}),
        ],
    )
    body = {"amount": frame.amount[1], "paid": frame.paid[0], "all": np.arange(2000)}
    response = hook.send(json=body)
    assert hook.delivery(1).body == {"amount": 2**53 + 1, "paid": True, "all": [*range(2000)]}
    assert response.json() == {"total": 2**53 + 43, "all": [*range(2000)]}
    assert hook.send(json={"all": np.longdouble(1.5)}).json()["all"] == "1.5"
    assert hook.execution(1).jobs[0].result == 2**53 + 43
    assert not hook.execution(1).jobs[0].stored_as_repr


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"headers": {5: "x"}}, "headers"),
        ({"headers": "x"}, "headers"),
        ({"headers": [("A",)]}, "headers"),
        ({"json": {(1, 2): 3}}, "json"),
    ],
)
def test_what_cannot_be_sent_is_named(runtime: Runtime, settings: dict, place: str) -> None:
    hook = runtime.webhook("orders")
    with pytest.raises(SettingError, match=f"^{place}: "):
        hook.send(**settings)
    assert hook.deliveries.empty
