"""Signatures of senders: what they sign verifies, nothing else does, over real sockets too."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
from dataclasses import replace
from functools import cache
from importlib import resources

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

import hooknb
from hooknb import Bearer, Scheme, SettingError, Signature, Workflow
from hooknb._clock import Clock
from hooknb.payloads.headers import MASK, HeaderMap, Headers
from hooknb.server import Request
from hooknb.workflow.auth import AllOf, Outgoing, find_provider, load_providers
from hooknb.workflow.auth.providers import read_providers

NOW = 1_700_000_000_000_000  # microseconds
URL = "https://example.org/hooks/orders"
JSON = {
    "id": 1,
    "passcode": "",
    "webhookTimestamp": 0,
    "signature": {"token": "t" * 50},
    "notificationItems": [
        {
            "NotificationRequestItem": {
                "pspReference": "7914073381342284",
                "merchantReference": "TestPayment",
                "merchantAccountCode": "TestMerchant",
                "amount": {"currency": "EUR", "value": value},
                "eventCode": "AUTHORISATION",
                "success": "true",
            }
        }
        for value in (1130, 1)
    ],
    "value": [{"id": "a"}, {"id": "b"}],
}
BODY = json.dumps(JSON).encode()
NAMES = sorted(load_providers())


@cache
def private_key(kind):
    """Return a private key in PEM."""
    key = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }[kind]()
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def public_key(kind, form):
    """Return its public key as senders show it."""
    key = serialization.load_pem_private_key(private_key(kind).encode(), None).public_key()
    raw, der = serialization.Encoding.Raw, serialization.Encoding.DER
    if kind == "ed25519":
        content = key.public_bytes(raw, serialization.PublicFormat.Raw)
    else:
        content = key.public_bytes(der, serialization.PublicFormat.SubjectPublicKeyInfo)
    return content.hex() if form == "hex" else base64.b64encode(content).decode()


def secret_of(name):
    scheme = find_provider(name).signature
    if scheme.has_public_key:
        return private_key(scheme.kind)
    key = bytes(range(32))
    texts = {"utf8": "s3cret", "hex": key.hex(), "base64": base64.b64encode(key).decode()}
    return texts.get(scheme.key, f"whsec_{base64.b64encode(key).decode()}")


def outgoing(body=BODY, content_type="application/json"):
    return Outgoing(
        method="POST",
        query="a=1&b=2",
        fields=Headers([("Content-Type", content_type)]),
        content=body,
        subpath="/below",
        url=URL,
        sent_at=NOW,
    )


def received(sent, *, at=NOW, method=None):
    """Return what the server makes of a request that came through the relay."""
    headers = HeaderMap(sent.fields)
    below = f"{sent.subpath}?{sent.query}"
    return Request(
        method=method or sent.method,
        target=f"/hook/key{below}",
        headers={
            "-".join(word.capitalize() for word in name.split("-")): value
            for name, value in headers.items()
        },
        head=b"",
        length=len(sent.content or b""),
        chunked=False,
        is_1_0=False,
        received_at=at,
        public_url=URL + below,
    )


def judge(auth, sent, **changes):
    """Return why a request is refused: by its head, or by its body."""
    request = received(sent, **changes)
    return auth.check(request) or auth.check(request, sent.content or b"")


# -- every row


@pytest.mark.parametrize("name", NAMES)
def test_what_a_row_signs_it_verifies(name):
    auth = Signature(name, secret=secret_of(name))
    bodies = [(BODY, "application/json")] if name != "mandrill" else []
    if "{form}" in auth.description.signed:
        bodies.append((b"From=%2B1&Body=a+b&To=%2B2&To=%2B1", "application/x-www-form-urlencoded"))
    for body, content_type in bodies:
        sent = auth.apply(outgoing(body, content_type))
        assert judge(auth, sent) is None
        assert auth.apply(sent) == sent  # what it carries wins
        unsigned = judge(auth, outgoing(body, content_type))
        assert unsigned.reason in {"missing signature", "missing token"}
        assert unsigned.status == 401
        other = Signature(name, secret=other_secret(name))
        assert judge(other, sent).reason in {"signature does not match", "token does not match"}


def other_secret(name):
    scheme = find_provider(name).signature
    if scheme.has_public_key:
        key = {
            "rsa": lambda: rsa.generate_private_key(65537, 2048),
            "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
            "ed25519": ed25519.Ed25519PrivateKey.generate,
        }[scheme.kind]()
        return (
            key.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode()
        )
    return (
        secret_of(name).replace("s3cret", "other").replace("0001", "0002").replace("AAEC", "AAED")
    )


@pytest.mark.parametrize("name", [n for n in NAMES if find_provider(n).signature.has_public_key])
def test_a_public_key_verifies_and_does_not_sign(name):
    scheme = find_provider(name).signature
    sent = Signature(name, secret=secret_of(name)).apply(outgoing())
    auth = Signature(name, secret=public_key(scheme.kind, scheme.key))
    assert judge(auth, sent) is None
    assert auth.apply(outgoing()) == outgoing()
    with pytest.raises(SettingError, match=r"^auth\.secret: it is not a public key"):
        Signature(name, secret="AAAA")


@pytest.mark.parametrize("name", NAMES)
def test_a_row_names_its_sender_and_its_source(name):
    provider = find_provider(name)
    assert provider.title
    assert provider.source
    assert set(name) <= set(string.ascii_lowercase + string.digits + "-")
    assert "://" not in provider.source


def test_the_known_senders_are_many():
    assert len(NAMES) >= 60
    assert [name for name in ("github", "stripe", "gitlab", "telegram") if name not in NAMES] == []


# -- nothing else verifies

BOUND = [n for n in NAMES if "{body}" in find_provider(n).signature.signed]
BOUND = [n for n in BOUND if find_provider(n).signature.binds_body]


@given(
    name=st.sampled_from(BOUND),
    body=st.binary(min_size=1, max_size=200),
    place=st.integers(min_value=0),
    byte=st.integers(1, 255),
)
@settings(deadline=None)
def test_one_changed_byte_of_the_body_never_verifies(name, body, place, byte):
    auth = Signature(name, secret=secret_of(name))
    if auth.description.timestamp.startswith("json:"):
        body = BODY
    sent = auth.apply(outgoing(body))
    assert judge(auth, sent) is None
    changed = bytearray(sent.content)
    changed[place % len(changed)] ^= byte
    assert judge(auth, replace(sent, content=bytes(changed))) is not None
    assert judge(auth, replace(sent, content=sent.content + b" ")) is not None
    assert judge(auth, replace(sent, content=sent.content[:-1])) is not None


@given(
    name=st.sampled_from(BOUND),
    place=st.integers(min_value=0),
    character=st.sampled_from(string.printable[:95]),
)
@settings(deadline=None)
def test_one_changed_character_of_signature_time_or_id_never_verifies(name, place, character):
    auth = Signature(name, secret=secret_of(name))
    sent = auth.apply(outgoing())
    assert judge(auth, sent) is None
    for index, (field, value) in enumerate(sent.fields):
        if field == "Content-Type":
            continue
        at = place % len(value)
        if value[at] == character:
            continue
        fields = list(sent.fields)
        fields[index] = (field, value[:at] + character + value[at + 1 :])
        assert judge(auth, replace(sent, fields=Headers(fields))) is not None, fields[index]


@given(
    name=st.sampled_from(NAMES),
    values=st.lists(st.text(st.characters(max_codepoint=255), max_size=80), min_size=5, max_size=5),
    body=st.binary(max_size=80) | st.just(BODY) | st.just(b'{"signature": []}'),
)
@settings(deadline=None, max_examples=300)
def test_malformed_headers_never_raise_and_never_verify(name, values, body):
    scheme = find_provider(name).signature
    names = [*scheme.headers, "Content-Type"]
    names += [
        source.partition(":")[2]
        for source in (scheme.timestamp, scheme.id)
        if source.startswith("header:")
    ]
    fields = Headers((field.replace("*", "1"), text) for field, text in zip(names, values))  # noqa: B905 - as many as there are names
    assert judge(Signature(name, secret=secret_of(name)), replace(outgoing(body), fields=fields))


def test_every_item_of_a_list_must_be_signed():
    auth = Signature("adyen", secret=secret_of("adyen"))
    sent = auth.apply(outgoing())
    value = json.loads(sent.content)
    value["notificationItems"][1]["NotificationRequestItem"]["amount"]["value"] = 100_000
    forged = replace(sent, content=json.dumps(value).encode())
    assert judge(auth, forged).reason == "signature does not match"
    del value["notificationItems"][1]["NotificationRequestItem"]["additionalData"]
    unsigned = replace(sent, content=json.dumps(value).encode())
    assert judge(auth, unsigned).reason == "missing signature"
    nothing = replace(sent, content=b'{"notificationItems": []}')
    assert judge(auth, nothing).reason == "missing signature"
    assert not auth.description.binds_body


def test_a_body_that_twilio_does_not_sign_must_come_with_its_hash():
    auth = Signature("twilio", secret="12345")
    form = "application/x-www-form-urlencoded"
    sent = auth.apply(outgoing(b"a=1", form))
    assert judge(auth, replace(sent, content=b"a=2")).reason == "signature does not match"
    hashed = auth.apply(outgoing(b"{}"))
    assert "bodySHA256=" in hashed.query
    assert judge(auth, replace(hashed, content=b"[]")).reason == "signature does not match"
    as_json = Headers([("Content-Type", "application/json"), *sent.fields[1:]])
    unbound = replace(sent, content=b"{}", fields=as_json)
    assert judge(auth, unbound).reason == "signature does not match"


# -- times, keys and places


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(0, None), (300, None), (-300, None), (301, "stale timestamp"), (-301, "stale timestamp")],
)
def test_a_timestamp_may_differ_by_the_tolerance_and_no_more(seconds, reason):
    auth = Signature("stripe", secret="whsec_1")
    sent = auth.apply(outgoing())
    failure = auth.check(received(sent, at=NOW + seconds * 1_000_000))
    assert (failure and failure.reason) == reason


def test_a_timestamp_is_judged_to_the_microsecond():
    auth = Signature("stripe", secret="whsec_1")
    assert judge(auth, auth.apply(outgoing()), at=NOW + 300_000_001).reason == "stale timestamp"


@pytest.mark.parametrize("unit", ["s", "ms", "iso", "http"])
def test_every_unit_of_time_is_written_and_read(unit):
    scheme = Scheme(
        header="X-Sig",
        timestamp="header:X-Time",
        unit=unit,
        tolerance=1,
        signed="{timestamp}.{body}",
    )
    auth = Signature(scheme=scheme, secret="s")
    sent = auth.apply(outgoing())
    assert judge(auth, sent) is None
    assert judge(auth, sent, at=NOW + 2_000_000).reason == "stale timestamp"
    fields = Headers([*sent.fields[:1], ("X-Time", "yesterday"), sent.fields[-1]])
    assert judge(auth, replace(sent, fields=fields)).reason == "malformed signature"


@given(text=st.text(st.characters(max_codepoint=255), max_size=40))
@settings(deadline=None)
def test_any_text_is_read_as_a_time_or_refused(text):
    for unit in ("s", "ms", "iso", "http"):
        scheme = Scheme(
            header="X-Sig", timestamp="header:X-Time", unit=unit, signed="{timestamp}{body}"
        )
        auth = Signature(scheme=scheme, secret="s")
        fields = Headers([("X-Time", text), ("X-Sig", "0" * 64)])
        assert judge(auth, replace(outgoing(), fields=fields)) is not None


def test_several_secrets_are_accepted_and_the_first_signs():
    old, new = (Signature("github", secret=secret) for secret in ("old", "new"))
    both = Signature("github", secret=["new", "old"])
    assert judge(both, old.apply(outgoing())) is None
    assert judge(both, new.apply(outgoing())) is None
    assert judge(old, both.apply(outgoing())).reason == "signature does not match"
    assert both.apply(outgoing()) == new.apply(outgoing())


def test_the_words_describe_a_sender_that_is_not_known():
    scheme = Scheme(
        header=["X-Sig", "X-Sig-Old"],
        format="positional",
        timestamp="position:0",
        tolerance=60,
        signed="{method} {path}\n{query}\n{header:Content-Type}\n{timestamp}{{{body}}}",
        digest="sha512",
        encoding="base64",
        prefix="v1:",
        key="base64",
    )
    auth = Signature(scheme=scheme, secret="c2VjcmV0")
    sent = auth.apply(outgoing())
    assert judge(auth, sent) is None
    assert judge(auth, sent, method="PUT").reason == "signature does not match"
    assert judge(auth, replace(sent, query="a=1&b=3")).reason == "signature does not match"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, r"scheme\.header: write one of header, query and field"),
        ({"header": "A", "query": "b"}, r"scheme\.header: write one of"),
        ({"header": "A", "signed": "{bdoy}"}, r"scheme\.signed: \{bdoy\} is not a part"),
        ({"header": "A", "signed": "{body"}, r"scheme\.signed: .*double a brace"),
        ({"header": "A", "signed": "{timestamp}"}, r"scheme\.timestamp: "),
        ({"header": "A", "timestamp": "X-Time"}, r"scheme\.timestamp: 'X-Time' is not a source"),
        ({"header": "A", "timestamp": "position:x"}, r"scheme\.timestamp: 'position:x' is not a"),
        (
            {"header": "A", "signed": "{position:7}"},
            r"scheme\.signed: 'position:7' is not a source",
        ),
        ({"header": "A", "signed": "{json:a..b}"}, r"path 'a\.\.b'"),
        ({"field": "a..b"}, r"path 'a\.\.b'"),
        ({"header": "A", "tolerance": 5}, r"scheme\.tolerance: "),
        ({"header": "A", "digest": "md5"}, r"scheme: Invalid enum value 'md5'"),
        ({"header": "A", "format": "pairs"}, r"scheme\.pair: "),
        ({"header": "A", "kind": "digest"}, r"scheme\.signed: a digest needs \{secret\}"),
        ({"header": "A", "encoding": "plain"}, r"scheme\.encoding: "),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(words, message):
    with pytest.raises(SettingError, match=message):
        Scheme(**words)


def test_a_name_or_a_secret_that_cannot_be_is_refused():
    with pytest.raises(SettingError, match=r"^auth\.name: 'GitHub' is not .* 'github'"):
        Signature("GitHub", secret="s")
    with pytest.raises(SettingError, match=r"^auth\.name: write the name of a sender, or"):
        Signature(secret="s")
    for secret in ("", " ", [], ["a", ""], 5):
        with pytest.raises(SettingError, match=r"^auth\.secret: "):
            Signature("github", secret=secret)
    with pytest.raises(SettingError, match=r"^auth\.secret: it is not hex") as error:
        Signature("adyen", secret="s3cret")
    assert "s3cret" not in str(error.value)


def test_urls_are_those_that_the_sender_may_know():
    auth = Signature("square", secret="s")
    sent = auth.apply(outgoing())
    request = received(sent)
    behind = replace(
        request, public_url=None, headers={**request.headers, "Host": "example.org:443"}
    )
    assert auth.check(behind, BODY).reason == "signature does not match"  # another path
    for url in ("http://h:8765/hook/key", "https://h:8765/hook/key"):
        direct = replace(auth.apply(replace(outgoing(), url=url)), url="")
        head = replace(received(direct), public_url=None)
        head.headers["Host"] = "h:8765"
        assert auth.check(head, BODY) is None
        head.headers["Host"] = "other:8765"
        assert auth.check(head, BODY).reason == "signature does not match"
    for url in ("https://h/hook/key", "https://h:443/hook/key"):
        head = replace(
            received(auth.apply(replace(outgoing(), url=url))),
            public_url="https://h/hook/key/below?a=1&b=2",
        )
        assert auth.check(head, BODY) is None
    own = Signature("square", secret="s", url=URL)
    assert own.check(replace(request, public_url=None), BODY) is None
    with pytest.raises(SettingError, match=r"^auth\.url: write the whole URL"):
        Signature("square", secret="s", url="example.org")


# -- over sockets


def test_a_wrong_signature_gets_a_401_and_is_kept_with_the_reason(runtime):
    hook = runtime.webhook("orders", auth=Signature("stripe", secret=["whsec_new", "whsec_old"]))
    assert hook.send(json={"a": 1}).status == 200
    assert hook.replay(1).status == 200
    assert hook.send_sample().status == 200
    wrong = {
        "missing signature": {"Stripe-Signature": ""},
        "malformed signature": {"Stripe-Signature": "i'm not even a real signature"},
        "stale timestamp": {"Stripe-Signature": f"t=1,v1={'0' * 64}"},
    }
    signed = hook.workflow.trigger.auth.apply(replace(outgoing(b'{"a": 1}'), sent_at=None))
    wrong["signature does not match"] = dict(signed.fields)
    for reason, headers in wrong.items():
        response = hook.send(json={"a": 2}, headers=headers)
        assert response.status == 401
        kept = hook.delivery(response.delivery)
        assert (kept.outcome, kept.reason) == ("refused", reason)
        assert kept.raw == b'{"a":2}'
        assert "whsec" not in response.text + str(kept.detail) + repr(kept)
    assert len(hook.deliveries) == 7


def test_a_body_is_judged_before_it_is_parsed(runtime):
    hook = runtime.webhook("orders", auth=Signature("github", secret="s"))
    bad = hook.send(data=b"{", headers={"X-Hub-Signature-256": f"sha256={'0' * 64}"})
    assert bad.status == 401
    assert hook.send(data=b"{", headers={"Content-Type": "application/json"}).status == 400


def test_the_clock_of_the_runtime_judges_a_timestamp():
    with hooknb.Runtime(":memory:", port=0, deterministic=True) as runtime:
        hook = runtime.webhook("orders", auth=Signature("stripe", secret="s"))
        assert hook.send(json=1).status == 200
        signed = hook.workflow.trigger.auth.apply(
            replace(outgoing(b"1"), sent_at=Clock().now(), query="", subpath="")
        )
        late = hook.send(data=b"1", headers=list(signed.fields))
        assert (late.status, hook.delivery(late.delivery).reason) == (401, "stale timestamp")


def test_several_schemes_must_all_be_satisfied(runtime):
    both = [Signature("github", secret="s"), Bearer("t0ken")]
    hook = runtime.webhook("orders", auth=both)
    assert hook.send(json=1).status == 200
    assert hook.replay(1).status == 200
    one = hook.send(json=1, headers={"Authorization": "Bearer other"})
    assert (one.status, hook.delivery(one.delivery).reason) == (401, "token does not match")
    other = hook.send(json=1, headers={"X-Hub-Signature-256": f"sha256={'0' * 64}"})
    assert hook.delivery(other.delivery).reason == "signature does not match"
    hook.configure(auth=both[:1])
    assert hook.workflow.trigger.auth == both[0]
    for nothing in ([], [None], "github"):
        with pytest.raises(SettingError, match=r"^auth: write"):
            hook.configure(auth=nothing)


def test_curl_carries_the_signature(runtime):
    hook = runtime.webhook("orders", auth=Signature("github", secret="s3cret"))
    assert "X-Hub-Signature-256: sha256=" in hook.curl()
    assert "s3cret" not in hook.curl()


# -- written and read


@pytest.mark.parametrize(
    "auth",
    [
        Signature("stripe", secret="s3cret"),
        Signature("twilio", secret=["s3cret", "s3cret2"], url=URL),
        Signature(scheme=Scheme(header=["A", "B"], signed="{body}{url}"), secret="s3cret"),
        Signature("adyen", secret="00ff"),
        Bearer("s3cret"),
        hooknb.HeaderToken("X-Api-Key", ["s3cret", "s3cret2"]),
    ],
)
def test_a_definition_is_written_without_its_secret(auth):
    workflow = hooknb.workflow.define("a", auth=auth)
    assert Workflow.decode(workflow.encode()) == workflow
    shown = workflow.to_json()
    assert json.loads(shown)["auth"][auth.secret_field] is None
    for text in (shown, workflow.to_python(), repr(workflow), repr(auth), str(auth)):
        assert "s3cret" not in text
        assert "00ff" not in text
    secret = getattr(auth, auth.secret_field)
    if isinstance(secret, str):
        assert Workflow.from_json(shown, password=secret) == workflow
    left = Workflow.from_json(shown)
    assert not left.trigger.auth.is_complete
    with pytest.raises(SettingError, match=r"^auth\.\w+: it was left out of the JSON"):
        hooknb.workflow.define(**left.settings())


def test_several_schemes_are_a_list_in_a_definition():
    auth = [Signature("github", secret="s3cret1"), Bearer("s3cret2")]
    workflow = hooknb.workflow.define("a", auth=auth)
    assert Workflow.decode(workflow.encode()) == workflow
    shown = workflow.to_json()
    assert json.loads(shown)["auth"] == [
        {"type": "signature", "name": "github", "secret": None},
        {"type": "bearer", "token": None},
    ]
    assert Workflow.from_json(shown, password=["s3cret1", "s3cret2"]) == workflow
    with pytest.raises(SettingError, match=r"^password: "):
        Workflow.from_json(shown, password=["1", "2", "3"])
    with pytest.raises(SettingError, match=r"it was left out of the JSON"):
        hooknb.workflow.define(**Workflow.from_json(shown, password="1").settings())
    cell = workflow.to_python()
    assert 'auth=[hooknb.Signature("github", secret=password), hooknb.Bearer(password_)]' in cell
    assert "s3cret" not in cell + repr(workflow)


# -- tokens of JSON


def token(claims, header=None):
    """Sign a token by hand."""
    parts = ({"alg": "HS256"} if header is None else header, claims)
    texts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in parts]
    content = b".".join(texts)
    digest = hmac.digest(b"s3cret", content, "sha256")
    return f"{content.decode()}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    ("changes", "header", "reason"),
    [
        ({}, None, None),
        ({"exp": 1_700_000_000, "nbf": 1_700_000_000}, None, None),
        ({"exp": 1_699_999_999}, None, "stale timestamp"),
        ({"nbf": 1_700_000_001}, None, "stale timestamp"),
        ({"iat": 1_699_999_939}, None, "stale timestamp"),
        ({"iat": None}, None, "malformed token"),
        ({"exp": "never"}, None, "malformed token"),
        ({"iss": "other"}, None, "token does not match"),
        ({"hash": "0" * 64}, None, "token does not match"),
        ({"hash": None}, None, "token does not match"),
        ({}, {"alg": "none"}, "token does not match"),
        ({}, {"alg": "HS512"}, "token does not match"),
        ({}, {"alg": "HS256", "crit": ["b64"]}, "token does not match"),
        ({}, [], "token does not match"),
    ],
)
def test_a_token_of_json_is_judged_by_its_claims(changes, header, reason):
    scheme = Scheme(
        kind="jwt",
        header="Authorization",
        prefix="Bearer ",
        issuer="us",
        body_claim="hash",
        tolerance=60,
    )
    digest = hashlib.sha256(BODY).hexdigest()
    claims = {"iss": "us", "iat": NOW // 1_000_000, "hash": digest} | changes
    text = token(claims, header)
    auth = Signature(scheme=scheme, secret="s3cret")

    def failure_of(text):
        fields = Headers([("Authorization", f"Bearer {text}")])
        return judge(auth, replace(outgoing(), fields=fields))

    failure = failure_of(text)
    assert (failure and failure.reason) == reason
    for other in (
        f"{text[:-1]}{'A' if text[-1] != 'A' else 'B'}",
        text.rpartition(".")[0],
        "a.b.c",
    ):
        assert failure_of(other).reason in {"token does not match", "malformed token"}
    assert auth.description.binds_body
    assert not msgspec.structs.replace(scheme, body_claim="").binds_body


# -- what would let in anybody


@pytest.mark.parametrize(
    "auth",
    [
        lambda: Signature("github", secret=MASK),
        lambda: Signature("github", secret=["s3cret", MASK]),
        lambda: Bearer(MASK),
        lambda: hooknb.HeaderToken("X-Api-Key", MASK),
        lambda: hooknb.BasicAuth("shop", MASK),
        lambda: [Bearer("t0ken"), hooknb.BasicAuth("shop", MASK)],
    ],
)
def test_the_mask_of_a_secret_is_not_a_secret(auth):
    with pytest.raises(SettingError, match=r"^auth\.\w+: it was left out of the text"):
        hooknb.workflow.define("a", auth=auth())


def test_no_schemes_are_not_several():
    for make in (
        lambda: AllOf(()),
        lambda: Workflow.from_json('{"name": "a", "auth": []}'),
        lambda: Workflow.decode(b'{"version": 1, "name": "a", "auth": []}'),
    ):
        with pytest.raises(SettingError, match=r"^auth: the list is empty"):
            make()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"signed": ""}, r"scheme\.signed: nothing of the request is signed"),
        ({"signed": "hello"}, r"scheme\.signed: nothing of the request is signed"),
        (
            {"kind": "digest", "signed": "{secret}"},
            r"scheme\.signed: nothing of the request is signed",
        ),
        (
            {"timestamp": "header:X-Time", "tolerance": 60},
            r"scheme\.tolerance: the timestamp is not signed",
        ),
        (
            {"timestamp": "query:ts", "tolerance": 60, "signed": "{method}{header:X-Time}"},
            r"scheme\.tolerance: the timestamp is not signed",
        ),
        (
            {"timestamp": "header:X-Time", "tolerance": 60, "kind": "token"},
            r"scheme\.tolerance: the timestamp is not signed",
        ),
        ({"header": "X Sig"}, r"scheme\.header: 'X Sig' is not the name of a header"),
        ({"header": ("A", "X\r\nSig")}, r"scheme\.header: .* is not the name of a header"),
        ({"header": "*"}, r"scheme\.header: '\*' is not the name of a header"),
        ({"kind": "jwt", "digest": "sha1"}, r"scheme\.digest: "),
    ],
)
def test_a_description_that_proves_nothing_is_refused(words, message):
    with pytest.raises(SettingError, match=message):
        Scheme(**{"header": "X-Sig", **words})


@pytest.mark.parametrize(
    "words",
    [
        {"timestamp": "json:time", "signed": "{body}"},
        {"timestamp": "form:time", "signed": "{form}"},
        {"timestamp": "query:ts", "signed": "{query}"},
        {"timestamp": "query:ts", "signed": "{url}"},
        {"timestamp": "header:X-Time", "signed": "{header:x-time}"},
    ],
)
def test_a_timestamp_is_signed_where_what_holds_it_is(words):
    assert Scheme(header="X-Sig", tolerance=60, **words).tolerance == 60


def test_a_body_that_is_not_a_form_is_refused_where_only_forms_are_signed():
    auth = Signature("mandrill", secret="s3cret")
    form = "application/x-www-form-urlencoded"
    empty = auth.apply(outgoing(b"", form))
    assert judge(auth, empty) is None
    as_json = Headers([("Content-Type", "application/json"), *empty.fields[1:]])
    forged = replace(empty, content=BODY, fields=as_json)
    assert judge(auth, forged).reason == "signature does not match"
    # What the form held, moved into the query.
    sent = auth.apply(outgoing(b"mandrill_events=[]", form))
    moved = replace(sent, query=sent.query + "mandrill_events[]", content=BODY, fields=as_json)
    assert judge(auth, moved).reason == "signature does not match"


@pytest.mark.parametrize("secret", ["s3cret\n", " s3cret", "s3cret ", ["new", "old\n"]])
def test_a_shared_secret_does_not_begin_or_end_with_blanks(secret):
    with pytest.raises(SettingError, match=r"^auth\.secret: it begins or ends with blanks"):
        Signature("github", secret=secret)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "https://[x"}, r"^auth\.url: write the whole URL"),
        ({"url": "https://"}, r"^auth\.url: write the whole URL"),
        ({"url": "https://example.org/?a=1"}, r"^auth\.url: write the whole URL"),
        ({"url": 5}, r"^auth\.url: write the whole URL"),
        ({"name": ["square"]}, r"^auth\.name: \['square'\] is not a known sender"),
        ({"name": "", "scheme": "square"}, r"^auth\.scheme: write hooknb\.Scheme"),
    ],
)
def test_settings_of_a_wrong_type_are_named(changes, message):
    with pytest.raises(SettingError, match=message):
        Signature(**{"name": "square", "secret": "s", **changes})


def test_a_token_in_the_body_is_any_text():
    scheme = Scheme(kind="token", field="passcode", encoding="plain")
    auth = Signature(scheme=scheme, secret="schlüssel→")
    sent = outgoing(json.dumps({"passcode": "schlüssel→"}).encode())
    assert judge(auth, sent) is None
    other = outgoing(json.dumps({"passcode": "schlüssel?"}).encode())
    assert judge(auth, other).reason == "token does not match"
    unsure = Signature(scheme=scheme, secret="schl?ssel")
    assert judge(unsure, outgoing(b'{"passcode": "schl\xe2\x86\x92ssel"}')).status == 401


def test_a_part_that_is_signed_and_missing_is_refused():
    signed = "{header:X-Tenant}{id}.{body}"
    auth = Signature(scheme=Scheme(header="X-Sig", id="header:X-Id", signed=signed), secret="s")
    fields = Headers([("Content-Type", "text/plain"), ("X-Tenant", "7"), ("X-Id", "8")])
    sent = auth.apply(replace(outgoing(b"9.1"), fields=fields))
    assert judge(auth, sent) is None
    signature = sent.fields[-1]
    for fields, body in (
        ([("X-Id", "78"), signature], b"9.1"),
        ([("X-Tenant", "78"), ("X-Id", ""), signature], b"9.1"),
        ([("X-Tenant", "78.9"), signature], b"1"),
    ):
        failure = judge(auth, replace(sent, fields=Headers(fields), content=body))
        assert failure.reason == "malformed signature"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"signed": "{pair:t}.{body}"}, r"^scheme\.signed: 'pair:t' needs format='pairs'"),
        ({"timestamp": "pair:t"}, r"^scheme\.timestamp: 'pair:t' needs format='pairs'"),
        ({"signed": "{position:0}{body}"}, r"^scheme\.signed: .* needs format='positional'"),
        ({"signed": "{header:X Y}"}, r"^scheme\.signed: 'header:X Y' is not a source"),
        ({"signed": "{header:X-Sig}"}, r"^scheme\.signed: 'header:X-Sig' holds the signature"),
        ({"signed": "{}"}, r"^scheme\.signed: \{\} is not a part; .*X-Time\}$"),
    ],
)
def test_a_part_that_is_never_there_is_refused(words, message):
    with pytest.raises(SettingError, match=message):
        Scheme(**{"header": "x-sig", **words})


def test_a_list_is_not_a_body_whose_elements_are_signed():
    auth = Signature("adyen", secret=secret_of("adyen"))
    value = json.loads(auth.apply(outgoing()).content)
    forged = json.dumps([value, {"total": 1}]).encode()
    assert judge(auth, outgoing(forged)).reason == "missing signature"


@pytest.mark.parametrize("name", ["iat", "exp", "nbf"])
def test_a_time_in_a_token_that_no_clock_shows_is_malformed(name):
    scheme = Scheme(kind="jwt", header="X-Token", tolerance=60)
    auth = Signature(scheme=scheme, secret="s3cret")
    for time in (10**400, -(10**400), True):
        text = token({"iat": NOW // 1_000_000, name: time})
        failure = judge(auth, replace(outgoing(), fields=Headers([("X-Token", text)])))
        assert failure.reason == "malformed token"


@pytest.mark.parametrize("words", [{}, {"kind": "jwt"}, {"kind": "token", "encoding": "plain"}])
def test_a_public_key_is_not_a_shared_secret(words):
    pem = (
        serialization.load_pem_private_key(private_key("rsa").encode(), None)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
        .strip()
    )
    for secret in (pem, ["s3cret", pem], pem.replace("PUBLIC KEY", "CERTIFICATE")):
        with pytest.raises(SettingError, match=r"^auth\.secret: it is a public key, which every"):
            Signature(scheme=Scheme(header="X-Sig", **words), secret=secret)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('like = "nope"', r"^providers\.toml\[shop\]: it is like 'nope', which has no signature"),
        ('like = "whatsapp"', r"^providers\.toml\[shop\]: it is like 'whatsapp', which has no"),
        ("", r"^providers\.toml\[shop\]: it has neither signature nor like"),
        ('signature = {headr = "X"}', r"^providers\.toml\[shop\]: .* unknown field `headr`"),
        (
            'signature = {header = "X", signed = "{bdy}"}',
            r"^providers\.toml\[shop\]: .*\{bdy\} is not a part",
        ),
    ],
)
def test_a_row_that_is_wrong_is_named(row, message):
    text = resources.files("hooknb.workflow.auth").joinpath("providers.toml").read_text("utf-8")
    with pytest.raises(SettingError, match=message):
        read_providers(f'{text}\n[shop]\ntitle = "Shop"\nsource = "a page"\n{row}\n')


def test_a_signature_shows_what_is_set_as_it_is_written():
    auth = Signature("square", secret="s3cret", url=URL)
    assert repr(auth) == f"Signature('square', secret='•••••', url='{URL}')"
    scheme = Scheme(header="X-Sig", prefix="v1=")
    shown = "Signature(scheme=Scheme(header='X-Sig', prefix='v1='), secret='•••••')"
    assert repr(Signature(scheme=scheme, secret="s3cret")) == shown


def test_a_parameter_whose_name_only_ends_like_the_signature_does_not_stop_signing():
    auth = Signature("shopify-query", secret="s")
    sent = auth.apply(replace(outgoing(), query="xhmac=1"))
    assert judge(auth, sent) is None
    assert auth.apply(sent) == sent
    assert judge(auth, auth.apply(replace(outgoing(), query="a=hmac=1"))) is None
