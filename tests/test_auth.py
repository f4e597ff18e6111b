"""Schemes of authentication: one object checks what comes and applies itself to what is sent."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
from dataclasses import replace
from typing import ClassVar

import pytest

import hooknb
from hooknb import BasicAuth, Runtime, SettingError, Workflow
from hooknb.payloads.headers import Headers
from hooknb.workflow import auth as schemes
from hooknb.workflow.auth import Auth, AuthFailure, IncomingRequest, Outgoing

SIGNATURE = "X-Signature"


class Signed(Auth, frozen=True, tag="signed"):
    """A scheme of somebody else's: the body is signed with a shared key."""

    secret_field: ClassVar[str] = "shared"
    needs_body: ClassVar[bool] = True

    shared: str
    prefix: str = "v1="

    @property
    def carriers(self) -> frozenset[str]:
        return frozenset({SIGNATURE.lower()})

    def _signature(self, body: bytes) -> str:
        digest = hmac.digest(self.shared.encode(), body, hashlib.sha256)
        return self.prefix + digest.hex()

    def check(self, request: IncomingRequest, body: bytes | None = None) -> AuthFailure | None:
        if body is None:
            return None
        came = request.headers.get(SIGNATURE, "")
        if hmac.compare_digest(came, self._signature(body)):
            return None
        return AuthFailure(reason="wrong signature", detail="The signature is wrong.")

    def apply(self, request: Outgoing) -> Outgoing:
        field = (SIGNATURE, self._signature(request.content or b""))
        return replace(request, fields=Headers([*request.fields, field]))


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> Signed:
    monkeypatch.setattr(schemes, "SCHEMES", (*schemes.SCHEMES, Signed))
    monkeypatch.setattr(hooknb, "Signed", Signed, raising=False)
    return Signed("s3cret")


def test_another_scheme_is_one_class(runtime: Runtime, signed: Signed) -> None:
    hook = runtime.webhook("signed", auth=signed)
    assert hook.send(json={"a": 1}).status == 200
    assert hook.replay(1).status == 200
    hook.configure(auth=Signed("other"))
    right = hook.workflow.trigger.auth
    hook.configure(auth=None)
    assert hook.send(json={"a": 1}).status == 200
    hook.configure(auth=right)
    assert hook.url_with_credentials == hook.url
    assert "s3cret" not in repr(signed)


def test_a_scheme_that_needs_the_body_is_asked_once_it_has_come(
    runtime: Runtime, signed: Signed
) -> None:
    hook = runtime.webhook("signed", auth=signed)
    body = b'{"a": 1}'
    right = signed.apply(Outgoing(method="POST", query="", fields=Headers(), content=body))
    for fields, status in ((right.fields, 200), ([], 401)):
        command = ["curl", "-s", "-o", "-", "-w", "%{http_code}", "--json", body.decode(), hook.url]
        for name, value in fields:
            command += ["-H", f"{name}: {value}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        assert done.stdout.endswith(str(status))
    [refused] = hook.deliveries[hook.deliveries["outcome"] == "refused"].to_dict("records")
    assert refused["reason"] == "wrong signature"


def test_a_scheme_is_written_and_read_with_its_type_and_without_its_secret(signed: Signed) -> None:
    workflow = hooknb.workflow.define("a", auth=signed)
    shown = json.loads(workflow.to_json())
    assert shown["auth"] == {"type": "signed", "shared": None}
    assert Workflow.decode(workflow.encode()) == workflow
    assert Workflow.from_json(workflow.to_json(), password="s3cret") == workflow
    with pytest.raises(SettingError, match=r"^auth\.shared: .*password=…"):
        hooknb.workflow.define(
            **{**workflow.settings(), "auth": Workflow.from_json(workflow.to_json()).trigger.auth}
        )
    with pytest.raises(SettingError, match=r"^auth\.type: 'other' is not a scheme"):
        Workflow.from_json('{"name": "a", "auth": {"type": "other"}}')
    assert 'getpass.getpass("Shared: ")' in workflow.to_python()
    assert "s3cret" not in workflow.to_python()
    assert "auth=hooknb.Signed(password" in workflow.to_python()


def test_basic_credentials_are_stored_as_they_were_before_there_were_schemes() -> None:
    workflow = hooknb.workflow.define("a", auth=BasicAuth("shop", "s3cret"))
    assert json.loads(workflow.encode())["auth"] == {"user": "shop", "password": "s3cret"}
    for stored in (
        b'{"version":1,"name":"a","auth":{"user":"shop","password":"s3cret"}}',
        b'{"version":1,"name":"a","auth":{"type":"basic","user":"shop","password":"s3cret"}}',
    ):
        assert Workflow.decode(stored) == workflow


def test_what_a_request_carries_already_wins() -> None:
    own = Headers([("authorization", "Bearer x")])
    request = Outgoing(method="GET", query="", fields=own, content=None)
    assert BasicAuth("a", "b").apply(request) is request
