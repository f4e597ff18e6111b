"""Tokens in a header field."""

from __future__ import annotations

import pytest

from hooknb import Bearer, HeaderToken, SettingError, Signature


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
        assert "s3cret" not in repr(hook.deliveries.to_dict())
