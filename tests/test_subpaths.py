"""Paths below a hook, and what a hook that is switched off responds."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import hooknb
from hooknb import BasicAuth, Hook, Runtime, SettingError
from tests.wire import exchange


def post(hook: Hook, appended: str, *, head: str = "") -> Any:
    target = urlsplit(hook.url).path + appended
    block = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}Content-Type: application/json\r\n"
    return exchange(hook, f"{block}Content-Length: 3\r\n\r\n[1]".encode("latin-1"))


def test_a_trailing_slash_is_the_hook(runtime: Runtime) -> None:
    hook = runtime.webhook("orders")
    for appended in ("", "/", "/?a=1"):
        response = post(hook, appended)
        assert response.status == 200
        assert hook.delivery(response.delivery).subpath == ""
    assert hook.delivery(3).query == {"a": "1"}


def test_what_a_sender_appends_is_refused_with_404_and_kept(runtime: Runtime) -> None:
    hook = runtime.webhook("orders")
    for appended in ("/api/v2/alerts", "//", "/a/"):
        response = post(hook, appended)
        assert response.status == 404
        kept = hook.delivery(response.delivery)
        assert (kept.outcome, kept.reason, kept.raw) == ("refused", "subpath", b"[1]")
        assert kept.subpath == appended
        assert "subpaths=True" in (kept.detail or "")
    assert not len(hook.executions)


def test_what_a_sender_appends_is_part_of_the_delivery_where_the_hook_says_so(
    runtime: Runtime,
) -> None:
    hook = runtime.webhook("orders", subpaths=True, nodes=[path_of])
    appended = ["/api/v2/alerts", "", "/a%2Fb/\xfc", "/"]
    for text in appended:
        assert post(hook, f"{text}?x=1").status == 200
    hook.wait()
    expected = ["/api/v2/alerts", "", "/a%2Fb/\xfc", ""]
    assert hook.deliveries["subpath"].tolist() == expected
    assert [hook.delivery(id).subpath for id in range(1, 5)] == expected
    assert hook.jobs["result"].tolist() == expected
    assert hook.delivery(1).query_string == "x=1"


def path_of(context: Any) -> str:
    subpath: str = context.delivery.subpath
    return subpath


def test_a_key_of_another_hook_is_no_subpath(runtime: Runtime) -> None:
    hook = runtime.webhook("orders", subpaths=True)
    target = urlsplit(hook.url).path
    for other in (f"{target}x/a", f"/hook//{hook.key}", f"/hooks/{hook.key}"):
        raw = f"POST {other} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
        response = exchange(hook, raw.encode())
        assert response.status == 404
        assert response.header("X-Hooknb-Delivery") is None


def test_a_replay_and_a_command_have_the_subpath(runtime: Runtime) -> None:
    hook = runtime.webhook("orders", subpaths=True)
    number = post(hook, "/a/b%20c?x=1").delivery
    again = hook.replay(number)
    kept = hook.delivery(int(again.headers["X-Hooknb-Delivery"]))
    assert (kept.subpath, kept.query_string) == ("/a/b%20c", "x=1")
    assert f"{hook.url}/a/b%20c?x=1" in hook.curl(number)


def test_an_export_has_the_subpath(runtime: Runtime, tmp_path: Path) -> None:
    hook = runtime.webhook("orders", subpaths=True)
    post(hook, "/a/b")
    for name in ("all.jsonl", "all.har"):
        hook.export(tmp_path / name)
        assert "/a/b" in (tmp_path / name).read_text()
    [again] = hook.replay(tmp_path / "all.jsonl")
    assert again.status == 200
    assert hook.deliveries["subpath"].tolist() == ["/a/b", "/a/b"]


def test_a_hook_that_is_switched_off_may_say_gone_or_come_back(runtime: Runtime) -> None:
    for status, retry in ((404, None), (410, None), (503, "5")):
        hook = runtime.webhook("orders", disabled_status=status, enabled=False)
        response = post(hook, "")
        assert (response.status, response.header("Retry-After")) == (status, retry)
        kept = hook.delivery(response.delivery)
        assert (kept.outcome, kept.reason, kept.status) == ("refused", "disabled", status)
        hook.enabled = True
        assert post(hook, "").status == 200


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subpaths": 1}, "subpaths: 1 is neither True nor False"),
        ({"disabled_status": 500}, "disabled_status: 500 .* 404, 410 or 503"),
        ({"disabled_status": True}, "disabled_status: True .* 404, 410 or 503"),
    ],
)
def test_settings_of_paths_and_the_switch_are_checked(
    runtime: Runtime, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        runtime.webhook("orders", **settings)
    hook = runtime.webhook("orders")
    with pytest.raises(SettingError, match=message):
        hook.configure(**settings)


def test_credentials_are_asked_for_below_a_hook_too(runtime: Runtime) -> None:
    hook = runtime.webhook("orders", subpaths=True, auth=BasicAuth("a", "b"))
    assert post(hook, "/x").status == 401
    assert post(hook, "/x", head="Authorization: Basic YTpi\r\n").status == 200
    assert hooknb.Workflow.decode(hook.workflow.encode()).trigger.subpaths is True
