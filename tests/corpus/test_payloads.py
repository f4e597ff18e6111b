from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pandas as pd
import pytest

import hooknb
from hooknb import Delivery, Hook
from hooknb.workflow.auth.basic import decode_basic
from wire import SentResponse, Wire, exchange, request

MISSING = object()
STEP = re.compile(r'\[(?P<index>\d+)\]|\["(?P<quoted>(?:[^"\\]|\\.)*)"\]|\.?(?P<key>[^.\[\]"]+)')


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)


def walk(value: Any, path: str) -> Any:
    """Follow a path through a value, by the grammar and nothing of the package's own."""
    at = 0
    while at < len(path):
        step = STEP.match(path, at)
        assert step is not None, path
        at = step.end()
        if step["index"] is not None:
            value = value[int(step["index"])]
        elif step["quoted"] is not None:
            value = value[json.loads(f'"{step["quoted"]}"')]
        else:
            value = value[step["key"]]
    return value


def in_form(raw: bytes) -> dict[str, str]:
    pairs = parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=True)
    assert not any("[" in name for name, _ in pairs)  # what is nested is looked at elsewhere
    return dict(pairs)


def expected_body(row: dict[str, Any], raw: bytes) -> Any:
    if row["json_top"] is not None:
        return json.loads(raw)
    return in_form(raw) if "form" in row["content_type"] else raw


class Sent(NamedTuple):
    """A payload, and what became of it."""

    row: dict[str, Any]
    raw: bytes
    fields: tuple[tuple[str, str], ...]
    hook: Hook
    response: SentResponse

    @property
    def is_valid(self) -> bool:
        return self.row["content_type"] != "application/json" or self.row["json_top"] is not None

    @property
    def delivery(self) -> Delivery:
        return self.hook.delivery(self.response.delivery)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hooknb.Runtime]:
    with hooknb.Runtime(tmp_path_factory.mktemp("corpus") / "store.db", port=0) as made:
        yield made


@pytest.fixture(scope="module")
def payloads(corpus: Path, runtime: hooknb.Runtime) -> list[Sent]:
    """Send every payload, a hook for each provider, over eight connections that are kept."""
    folder = corpus / "payloads"
    rows = lines(folder / "index.jsonl")
    hooks = {row["provider"]: None for row in rows}
    served = {name: runtime.webhook(name, accept="*/*") for name in hooks}

    def send(part: list[dict[str, Any]]) -> list[Sent]:
        sent = []
        with Wire(next(iter(served.values()))) as wire:
            for row in part:
                raw = (folder / row["file"]).read_bytes()
                hook = served[row["provider"]]
                given = {name: str(value) for name, value in (row["headers"] or {}).items()}
                fields = (("Content-Type", row["content_type"]), *given.items())
                wire.send(
                    request(
                        hook,
                        raw,
                        method=row["method"],
                        query=row["query"] or "",
                        headers=fields,
                    )
                )
                sent.append(Sent(row, raw, fields, hook, wire.response()))
        return sent

    with ThreadPoolExecutor(8) as pool:
        return [sent for part in pool.map(send, [rows[at::8] for at in range(8)]) for sent in part]


def test_all_1949_are_answered(payloads):
    assert len(payloads) == 1949
    assert Counter(sent.response.status for sent in payloads) == {200: 1943, 400: 6}
    for sent in payloads:
        assert sent.response.status == (200 if sent.is_valid else 400), sent.row["file"]
        assert sent.response.body == b"ok" or not sent.is_valid


def test_all_are_kept_byte_for_byte(payloads):
    for sent in payloads:
        delivery = sent.delivery
        assert delivery.raw == sent.raw, sent.row["file"]
        assert hashlib.sha256(delivery.raw).hexdigest() == sent.row["sha256"]
        assert delivery.size == len(sent.raw)
        assert delivery.method == sent.row["method"]
        assert delivery.query_string == (sent.row["query"] or "")
        assert delivery.outcome == ("accepted" if sent.is_valid else "refused")


def test_headers_are_kept_in_order_and_as_written(payloads):
    for sent in payloads:
        length = ("Content-Length", str(len(sent.raw)))
        assert sent.delivery.headers == [("Host", "localhost"), *sent.fields, length]


def test_every_listed_path_leads_to_what_the_standard_library_reads(payloads):
    count = 0
    for sent in payloads:
        if not sent.is_valid:
            continue
        expected, body = expected_body(sent.row, sent.raw), sent.delivery.body
        assert is_same(body, expected), sent.row["file"]
        if isinstance(expected, bytes):
            continue
        listed = hooknb.parse_body(sent.raw if sent.row["json_top"] else body)
        for variable in listed:
            value = walk(expected, variable.path)
            assert is_same(hooknb.paths.get(body, variable.path, MISSING), value), variable
            assert is_same(variable.sample, value), variable
        count += len(listed)
    assert count > 100_000


def test_every_value_within_lists_of_twenty_is_listed(payloads):
    for sent in payloads:
        if sent.row["json_top"] is None:
            continue
        values = 0
        pending = [json.loads(sent.raw)]
        while pending:
            value = pending.pop()
            inner = list(value.values()) if isinstance(value, dict) else value[:20]
            values += len(inner)
            pending += [item for item in inner if isinstance(item, (dict, list))]
        listed = [variable.path for variable in hooknb.parse_body(sent.raw)]
        assert len(listed) == len(set(listed)) == values, sent.row["file"]


def leaves(value: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*keys, key))
    else:
        yield keys


def stands_at(value: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def shows(cell: Any, value: Any) -> bool:
    """Tell whether a cell of a frame is that value: pandas' scalars and gaps for Python's own."""
    if value is None:
        return cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell))
    if isinstance(value, int) and isinstance(cell, float):
        return cell == value and abs(value) <= 2**53  # among fractions, where a float is exact
    return is_same(cell, value)


def test_the_variables_of_every_provider_hold_these_values(payloads):
    cells = 0
    for hook in {sent.hook for sent in payloads}:
        mine = [sent for sent in payloads if sent.hook is hook and sent.is_valid]
        mine.sort(key=lambda sent: sent.response.delivery)
        bodies = [expected_body(sent.row, sent.raw) for sent in mine]
        times = Counter(keys for body in bodies for keys in leaves(body))
        ranked = sorted(times, key=lambda keys: -times[keys])  # as first seen among equals
        names = [
            hooknb.workflow.variables.column("body", hooknb.Variable(hooknb.paths.format(keys)))
            for keys in ranked
        ]

        frame = hook.variables

        assert list(frame.columns) == ["received_at", *names[:500]]
        assert frame.attrs["left_out"] == max(0, len(names) - 500)
        assert list(frame.index) == [sent.response.delivery for sent in mine]
        for name, keys in zip(names[:500], ranked, strict=False):
            for cell, body in zip(frame[name].tolist(), bodies, strict=True):
                # An object has its own columns: the whole of it is not repeated in that of `body`.
                value = None if body and not keys and isinstance(body, dict) else body
                assert shows(cell, stands_at(value, keys)), (hook.name, name, cell)
                cells += 1
    assert cells > 300_000


def test_the_deliveries_of_every_provider_hold_these_values(payloads):
    for hook in {sent.hook for sent in payloads}:
        mine = [sent for sent in payloads if sent.hook is hook]
        mine.sort(key=lambda sent: sent.response.delivery)

        frame = hook.frame("deliveries", body=True)

        assert list(frame.index) == [sent.response.delivery for sent in mine]
        rows = zip(frame.to_dict("records"), mine, strict=True)
        for shown, sent in rows:
            assert shown["status"] == sent.response.status
            assert shown["size"] == len(sent.raw)
            kind = (sent.row["content_type"] or "").partition(";")[0].strip().lower()
            assert (shown["content_type"] or "") == kind
            assert shown["method"] == sent.row["method"]
            assert shown["outcome"] == ("accepted" if sent.is_valid else "refused")
            headers = {name: shown["headers"][name] for name, _ in sent.fields}
            secret = {name for name, _ in sent.fields if name == "Authorization"}
            assert {k: v for k, v in headers.items() if k not in secret} == {
                name: value for name, value in sent.fields if name not in secret
            }
            for name in secret:
                assert dict(sent.fields)[name].partition(" ")[2] not in headers[name]
            expected = expected_body(sent.row, sent.raw) if sent.is_valid else None
            assert is_same(shown["body"], expected), sent.row["file"]


# -- requests as they were on the wire ------------------------------------------------------------


def in_multipart(content_type: str, raw: bytes) -> dict[str, Any]:
    message = message_from_bytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw, policy=HTTP
    )
    found: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="Content-Disposition")
        content = part.get_payload(decode=True)
        if part.get_filename() is None:
            found[name] = content.decode()
        else:
            found[name] = {
                "filename": part.get_filename(),
                "content_type": part.get_content_type(),
                "content": content,
            }
    return found


FORMS = {
    "apprise-002": {
        "version": "1.0",
        "title": "Título",
        "message": "body & é + done",
        "type": "info",
        "a": ["1"],
        "b.c": "2",
    },
    "nodered-004": {"a": "1", "b.c": "x y+z", "items": ["1", "2"], "o": ""},
}


def test_18_captured_requests_are_taken_as_they_are(corpus, runtime):
    captures = sorted((corpus / "captures").glob("*.http"))
    assert len(captures) == 18
    for capture in captures:
        head, _, raw = capture.read_bytes().partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        _, mark, query = target.partition("?")
        hook = runtime.webhook(capture.stem, accept="*/*", methods="*")
        host = hook.url.split("/")[2]
        fields = [f"{f[:5]} {host}" if f.lower().startswith("host:") else f for f in fields]
        start = f"{method} /hook/{hook.key}{mark}{query} {version}"

        response = exchange(
            hook, "\r\n".join([start, *fields]).encode("latin-1") + b"\r\n\r\n" + raw
        )

        assert response.status == 200, capture.name
        delivery = hook.delivery(response.delivery)
        named = {name.lower(): value for name, value in delivery.headers}
        if named.get("transfer-encoding") == "chunked":
            raw = b"".join(re.findall(rb"(?s)[0-9a-f]+\r\n(.*?)\r\n(?=[0-9a-f]+\r\n)", raw))
        assert delivery.raw == raw
        assert delivery.method == method
        assert delivery.query_string == query
        assert [f"{name}: {value}" for name, value in delivery.headers] == fields
        kind = named.get("content-type", "")
        if not raw:
            expected = None
        elif kind.startswith("application/json"):
            expected = json.loads(raw)
        elif kind == "application/x-www-form-urlencoded":
            expected = FORMS[capture.stem]
        elif kind.startswith("multipart/"):
            expected = in_multipart(kind, raw)
        else:
            expected = raw
        assert is_same(delivery.body, expected), capture.name


# -- conformance ----------------------------------------------------------------------------------


def test_json_conformance_over_http(corpus, runtime):
    files = sorted((corpus / "conformance" / "JSONTestSuite").glob("*.json"))
    hook = runtime.webhook("json")
    counts = Counter()
    with Wire(hook) as wire:
        for file in files:
            raw = file.read_bytes()
            wire.send(request(hook, raw))
            response = wire.response()
            kind = file.name[0]
            counts[kind] += 1
            if file.name == "n_structure_no_data.json":
                assert raw == b""
                assert response.status == 200
                assert hook.delivery(response.delivery).body_or_missing is hooknb.paths.MISSING
            elif kind == "y":
                assert response.status == 200, file.name
                assert is_same(hook.delivery(response.delivery).body, json.loads(raw)), file.name
            elif kind == "n":
                assert response.status == 400, file.name
                assert json.loads(response.body)["status"] == 400
                assert hook.delivery(response.delivery).raw == raw[: 64 * 1024]
            else:
                assert response.status in {200, 400}, file.name
    assert counts["y"] == 95
    assert counts["n"] == 188


def test_queries_of_qs_over_http(corpus, runtime):
    rows = lines(corpus / "conformance" / "qs_default.jsonl")
    hook = runtime.webhook("qs")
    with Wire(hook) as wire:
        for row in rows:
            # What cannot stand in a request line is written as its sender would have to.
            query = re.sub(
                r"[^\x21-\x7e]+",
                lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()),
                row["query"],
            )
            wire.send(request(hook, query=query))
            response = wire.response()
            assert response.status == 200, row["query"]
            delivery = hook.delivery(response.delivery)
            assert delivery.query_string == query
            assert delivery.query == row["result"], row["query"]
    assert len(rows) == 63


def test_credentials_of_rfc_7617_over_http(corpus, runtime):
    rows = lines(corpus / "conformance" / "basic_auth.jsonl")
    assert len(rows) == 6
    configured = 0
    for row in rows:
        decoded = decode_basic(row["header"])
        if row["expect"] == "invalid":
            assert decoded is None, row["id"]
            continue
        assert decoded is not None
        assert decoded.decode() == f"{row['user']}:{row['password']}", row["id"]
        if not row["user"] or not row["password"]:
            with pytest.raises(hooknb.SettingError):
                hooknb.BasicAuth(row["user"], row["password"])
            continue
        auth = hooknb.BasicAuth(row["user"], row["password"])
        hook = runtime.webhook(row["id"], auth=auth)
        configured += 1
        for other in rows:
            response = exchange(hook, request(hook, headers=(("Authorization", other["header"]),)))
            assert response.status == (200 if other is row else 401), (row["id"], other["id"])
            challenge = response.header("WWW-Authenticate")
            assert other is row or challenge == 'Basic realm="hooknb", charset="UTF-8"'
        assert exchange(hook, request(hook, headers=())).status == 401
    assert configured == 2
