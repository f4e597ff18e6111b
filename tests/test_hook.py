"""A hook: one URL, a switch, requests to oneself, waiting."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
import urllib.request

import pytest

import hooknb
from hooknb import BasicAuth, Response, Runtime


def test_the_same_name_is_the_same_hook_and_a_change_is_a_revision(runtime: Runtime) -> None:
    hook = runtime.webhook("orders", body=["a"])
    url = hook.url
    assert runtime.webhook("orders", body=["a"]) is hook
    assert hook.revision == 1
    assert runtime.webhook("orders", body=["a", "b"]) is hook
    assert (hook.url, hook.revision) == (url, 2)
    runtime.webhook("orders", body=["a", "b"], auth=BasicAuth("u", "one"))
    runtime.webhook("orders", body=["a", "b"], auth=BasicAuth("u", "two"))
    assert hook.revision == 4


def test_a_changed_function_is_a_revision(runtime: Runtime) -> None:
    def node(context):
        return context.body

    hook = runtime.webhook("code", nodes=[node])
    assert runtime.webhook("code", nodes=[node]).revision == 1

    def node(context):
        return context.body, 2

    assert runtime.webhook("code", nodes=[node]) is hook
    assert hook.revision == 2


def test_keys_are_long_and_of_the_hook_alone(runtime: Runtime) -> None:
    keys = {runtime.webhook(f"h{n}").key for n in range(20)}
    assert len(keys) == 20
    assert all(len(base64.urlsafe_b64decode(f"{key}==")) == 16 for key in keys)


def test_the_switch(runtime: Runtime) -> None:
    hook = runtime.webhook("switch")
    hook.enabled = False
    response = hook.send(json=1)
    assert (response.status, hook.delivery(1).reason) == (404, "disabled")
    hook.enabled = True
    assert hook.send(json=1).status == 200
    with pytest.raises(ValueError, match="enabled: 'yes' is neither"):
        hook.enabled = "yes"


def test_send_sends_what_it_is_told(runtime: Runtime) -> None:
    hook = runtime.webhook("echo", accept="*/*", methods="*", auth=BasicAuth("ü", "p:w ö"))
    response = hook.send(json={"big": 2**80}, params={"a[b]": ["1", "2"]}, headers={"X-One": "1"})
    delivery = hook.delivery(response.delivery)
    assert delivery.body == {"big": 2**80}
    assert delivery.query == {"a": {"b": ["1", "2"]}}
    assert ("X-One", "1") in delivery.headers
    form = hook.delivery(hook.send(data={"a": "1 &", "b": ["2", "3"]}).delivery)
    assert form.body == {"a": "1 &", "b": ["2", "3"]}
    raw = hook.delivery(hook.send(data=b"\x00\xff", headers=[("X-A", "1"), ("X-A", "2")]).delivery)
    assert (raw.raw, raw.body) == (b"\x00\xff", b"\x00\xff")
    assert raw.header_map["x-a"] == "1, 2"
    assert hook.delivery(hook.send(method="DELETE").delivery).method == "DELETE"
    assert hook.send(json=1, headers={"Authorization": "Basic eDp5"}).status == 401
    with pytest.raises(ValueError, match="json or data"):
        hook.send(json=1, data=b"")


def test_an_async_node_that_would_wait_for_its_own_thread_is_told(runtime: Runtime) -> None:
    other = runtime.webhook("other")

    async def node(_context):
        other.send(json=1)

    hook = runtime.webhook("self", nodes=[node])
    hook.send(json=1)
    hook.wait()
    assert "asyncio.to_thread" in hook.execution(1).jobs[0].error


def test_a_node_may_send_to_its_own_server(runtime: Runtime) -> None:
    other = runtime.webhook("other")
    hook = runtime.webhook("chain", nodes=[lambda c: other.send(json=c.body).status])
    hook.send(json=7)
    hook.wait()
    assert hook.execution(1).jobs[0].result == 200
    assert other.frame("deliveries", body=True)["body"].tolist() == [7]


def test_wait_counts_from_the_call(runtime: Runtime) -> None:
    hook = runtime.webhook("wait")
    hook.send(json=1)
    hook.wait()
    sender = threading.Timer(0.1, lambda: (hook.send(json=2), hook.send(json=3)))
    sender.start()
    hook.wait(2)
    sender.join()
    assert len(hook.deliveries) == 3
    with pytest.raises(
        TimeoutError, match=r"0 of 1 more deliveries arrived.*3 deliveries had arrived"
    ):
        hook.wait(1, timeout=0.01)


def test_next_gives_the_next_delivery(runtime: Runtime) -> None:
    hook = runtime.webhook("next")
    hook.send(json="before")

    async def cell():
        waiting = asyncio.create_task(hook.next(timeout=10))
        await asyncio.sleep(0)
        await asyncio.to_thread(hook.send, json="after")
        return await waiting

    assert asyncio.run(cell()).body == "after"
    with pytest.raises(TimeoutError, match="no delivery arrived within"):
        asyncio.run(hook.next(timeout=0.01))


def test_a_refused_delivery_is_a_delivery(runtime: Runtime) -> None:
    hook = runtime.webhook("refuse")
    assert hook.send(data=b"{", headers={"Content-Type": "application/json"}).status == 400
    frame = hook.deliveries
    assert frame["outcome"].tolist() == ["refused"]
    assert frame["status"].tolist() == [400]
    assert len(hook.executions) == 0


def test_clear_forgets_what_came(runtime: Runtime) -> None:
    other = runtime.webhook("other")
    other.send(json=1)
    gate = threading.Event()
    hook = runtime.webhook("clear", nodes=[lambda _c: gate.wait(30)])
    for number in range(3):
        hook.send(json=number)
    assert len(hook.deliveries) == 3
    hook.clear()
    gate.set()
    hook.wait()
    for frame in (hook.deliveries, hook.executions, hook.jobs, hook.variables):
        assert len(frame) == 0
    assert len(other.deliveries) == 1
    assert hook.send(json=9).delivery == 4


def test_a_closed_hook_says_so_and_can_be_served_again(runtime: Runtime) -> None:
    hook = runtime.webhook("closed")
    hook.send(json=1)
    hook.close()
    hook.close()
    with pytest.raises(hooknb.HooknbError, match="is closed"):
        hook.send(json=2)
    assert len(hook.deliveries) == 1
    assert "closed" not in runtime.hooks
    again = runtime.webhook("closed")
    assert again.url == hook.url
    with pytest.raises(hooknb.ServerError, match="is closed"):
        hook.enabled = False  # it is not this one that is served
    assert again.enabled
    assert again.send(json=2).status == 200


def test_a_key_is_not_saved_with_a_notebook(runtime: Runtime) -> None:
    """The summary is part of the file, which is sent around; ``hook.url`` is asked for."""
    hook = runtime.webhook("orders", auth=BasicAuth("shop", "s3cret"))
    base = hook.url.removesuffix(hook.key).partition("//")[2]
    assert base.endswith("/hook/")
    for text in (repr(hook), hook._repr_html_(), *hook._repr_mimebundle_().values()):
        assert hook.key not in text
        assert f"//shop:•••••@{base}•••••" in text


def test_nothing_shows_a_secret(runtime: Runtime) -> None:
    hook = runtime.webhook("secret", auth=BasicAuth("shop", "s3cret"), headers=["Authorization"])
    hook.send(json=1)
    token = base64.b64encode(b"shop:s3cret").decode()
    delivery = hook.delivery(1)
    shown = [
        repr(hook),
        hook._repr_html_(),
        repr(hook.workflow),
        repr(hook.workflow.trigger.auth),
        repr(delivery),
        repr(delivery.headers),
        repr(delivery.header_map),
        repr(runtime),
        hook.frame("deliveries", body=True).to_csv(),
        hook.variables.to_csv(),
        repr(hook.execution(1)),
    ]
    for text in shown:
        assert "s3cret" not in text
        assert token not in text
    assert ("Authorization", f"Basic {token}") in delivery.headers


def test_the_url_with_credentials_opens_the_hook(runtime: Runtime) -> None:
    hook = runtime.webhook("userinfo", auth=BasicAuth("a@b", "p:/ä?"))
    assert "a%40b:p%3A%2F%C3%A4%3F@127.0.0.1" in hook.url_with_credentials
    assert runtime.webhook("open").url_with_credentials == runtime.webhook("open").url


def test_a_main_thread_that_computes_does_not_hold_up_an_answer(runtime: Runtime) -> None:
    hook = runtime.webhook("spin")
    answered = threading.Event()

    def post() -> None:
        request = urllib.request.Request(hook.url, b"1", {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as response:
            assert response.status == 200
        answered.set()

    thread = threading.Thread(target=post)
    thread.start()
    end = time.monotonic() + 20
    while not answered.is_set():
        assert time.monotonic() < end
    thread.join()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": ""}, "name: '' is not a name"),
        ({"name": "a\nb"}, "name: .* without line breaks"),
        ({"methods": ()}, "methods: name at least one"),
        ({"methods": "G T"}, "methods: 'G T' is not a method"),
        ({"accept": "json"}, "accept"),
        ({"auth": ("u", "p")}, "auth: write hooknb.BasicAuth"),
        ({"body": ["a..b"]}, r"path 'a\.\.b'"),
        ({"body": "a"}, "body"),
        ({"body": ["a", "a"]}, r"body\[1\]: the name 'body\.a' is taken by body\[0\]"),
        ({"headers": ["X Y"]}, "X Y"),
        ({"response": "ok"}, "response: write hooknb.Response"),
        ({"response": Response(200, body="{{ body }}")}, "response: it is fixed"),
        ({"response": Response(200, headers={"A": "{{ body }}"})}, "response: it is fixed"),
        ({"nodes": ["total"]}, r"nodes\[0\]: 'total' is neither"),
        ({"nodes": "total"}, "nodes: write a list"),
        ({"timeout": 0}, "timeout: 0 is not"),
        ({"timeout": float("nan")}, "timeout: nan is not"),
        ({"max_body": 0}, "max_body: 0 is not a whole number from 1 up"),
        ({"concurrency": 1.5}, "concurrency: 1.5 is not"),
        ({"enabled": 1}, "enabled: 1 is neither"),
        ({"sync": "yes"}, "sync: 'yes' is neither"),
    ],
)
def test_a_wrong_setting_is_an_error_in_the_cell(runtime: Runtime, settings, message) -> None:
    settings = {"name": "wrong", **settings}
    with pytest.raises(ValueError, match=message) as caught:
        runtime.webhook(settings.pop("name"), **settings)
    assert isinstance(caught.value, hooknb.HooknbError)
    assert runtime.hooks == {}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BasicAuth("", "p"), "auth.user: .* both"),
        (lambda: BasicAuth("u", ""), "auth.password: .* both"),
        (lambda: BasicAuth("u:v", "p"), "auth.user: a colon"),
        (lambda: BasicAuth("u", "p\n"), "auth.password: .*control"),
        (lambda: Response(99), "status: 99 is not a status code, use 200 to 599"),
        (lambda: Response(200, headers={"A\r\nB": "c"}), "is not a header name"),
        (lambda: Response(200, headers={"A": "b\r\nC: d"}), "is not a header value"),
        (lambda: Response(200, headers={"Content-Length": "1"}), "written by the server"),
        (lambda: Response(204, body="x"), "has no body"),
        (lambda: Response(200, body=object()), "cannot be sent as JSON"),
    ],
)
def test_a_setting_that_cannot_be_sent_is_refused(make, message) -> None:
    with pytest.raises(hooknb.SettingError, match=message):
        make()


def test_the_configured_answer_goes_out_at_once(runtime: Runtime) -> None:
    hook = runtime.webhook("queue", response=Response(202, headers={"X-Queue": "1"}, body="queued"))
    response = hook.send(json=1)
    assert (response.status, response.headers["X-Queue"], response.body) == (202, "1", b"queued")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    json_hook = runtime.webhook("json", response=Response(200, body={"n": 2**70}))
    response = json_hook.send(json=1)
    assert (response.headers["Content-Type"], response.json()) == ("application/json", {"n": 2**70})
    empty = runtime.webhook("empty", response=Response(204))
    response = empty.send(json=1)
    assert (response.status, response.body, response.headers.get("Content-Length")) == (
        204,
        b"",
        None,
    )
