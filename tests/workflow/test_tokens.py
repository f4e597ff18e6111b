"""Tokens in a header field."""

from __future__ import annotations

import subprocess
import sys

import pyarrow.parquet
import pytest

import hooknb
from hooknb import Bearer, HeaderToken, Scheme, SettingError, Signature
from hooknb.payloads.headers import MASK


def test_a_bearer_token_lets_in(runtime):
    hook = runtime.webhook("orders", auth=Bearer(["new", "old"]))
    assert hook.send(json=1).status == 200
    assert hook.send(json=1, headers={"Authorization": "bearer old"}).status == 200
    for value, reason in (
        ("Bearer other", "token does not match"),
        ("Basic new", "malformed token"),
        ("Bearer", "malformed token"),
    ):
        response = hook.send(json=1, headers={"Authorization": value})
        assert (response.status, hook.delivery(response.delivery).reason) == (401, reason)
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="hooknb"'


def test_a_header_token_lets_in(runtime):
    hook = runtime.webhook("orders", auth=HeaderToken("x-api-key", "sécret"))
    assert hook.send(json=1).status == 200
    assert hook.replay(1).status == 200
    response = hook.send(json=1, headers={"X-API-KEY": "secret"})
    assert hook.delivery(response.delivery).reason == "token does not match"
    hook.configure(auth=HeaderToken("X-Other", "s"))
    assert hook.send(json=1).status == 200
    hook.configure(auth=HeaderToken("X-Api-Key", "s"))
    response = hook.send(json=1, headers={"X-Api-Key": ""})
    assert response.status == 401


def test_what_no_sender_could_send_is_refused():
    for token in ("", "a\nb", " a", "a ", None, []):
        with pytest.raises(SettingError, match=r"^auth\.token: "):
            Bearer(token)
    with pytest.raises(SettingError, match=r"^auth\.name: "):
        HeaderToken("X Key", "s")


def test_the_token_of_a_known_sender_is_shown_nowhere(runtime):
    for name in ("gitlab", "telegram", "buildkite-token"):
        hook = runtime.webhook(name, auth=Signature(name, secret="s3cret"), accept="text/plain")
        response = hook.send(json=1)
        kept = hook.delivery(response.delivery)
        assert (response.status, kept.outcome) == (415, "refused")
        assert "s3cret" not in repr((kept, kept.headers, kept.header_map))
        assert "s3cret" not in repr(hook.frame("deliveries", body=True).to_dict())


@pytest.mark.parametrize(
    "auth",
    [
        HeaderToken("X-Door", "s3cret"),
        Signature(scheme=Scheme(kind="token", header="X-Till", encoding="plain"), secret="s3cret"),
    ],
)
def test_a_header_that_holds_the_token_of_a_hook_is_masked_whatever_its_name(auth, tmp_path):
    path = tmp_path / "hooks.db"
    with hooknb.Runtime(path, port=0) as runtime:
        hook = runtime.webhook("orders", auth=auth)
        kept = hook.delivery(hook.send(json=1).delivery)
        assert kept.outcome == "accepted"
        for value in (
            (kept, kept.headers, kept.header_map),
            hook.frame("deliveries", body=True).to_dict(),
        ):
            assert "s3cret" not in repr(value)
        hook.export(tmp_path / "all.jsonl")
        assert "s3cret" not in (tmp_path / "all.jsonl").read_text()
        hook.archive(tmp_path / "archive")
        [file] = (tmp_path / "archive" / "deliveries").iterdir()
        assert "s3cret" not in repr(pyarrow.parquet.read_table(file).to_pylist())
        assert "s3cret" not in repr(hook.to_arrow("deliveries", body=True).to_pylist())
        response = hook.replay(tmp_path / "all.jsonl")[0]  # with the token of today
        assert response.status == 200
    # A process of its own, which knows the hook from the store alone.
    out = tmp_path / "cli.jsonl"
    command = [sys.executable, "-m", "hooknb", "export", "orders", str(out), "--store", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert MASK in out.read_text()
    assert "s3cret" not in out.read_text()
