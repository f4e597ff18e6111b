from __future__ import annotations

import io
import json
import os
import re
import stat
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hooknb
from hooknb.errors import SettingError
from hooknb.history import exports
from hooknb.payloads.headers import MASK
from hooknb.records import Delivery, SentResponse
from hooknb.store.single import size_batches

ODD_BODIES = [
    b"",
    b"\xff\x00\r\n\x1f\x8b",
    b'{"a": 1, "a": 9007199254740993}',
    b'{"a": 1',
    b"[]",
    "ü".encode(),
]

latin = st.characters(codec="latin-1", exclude_categories=["Cc"])
tokens = st.text("abcXYZ-_!0", min_size=1, max_size=12)
values = st.text(latin, max_size=30).map(lambda text: text.strip(" \t"))
fields = st.lists(st.tuples(tokens, values), max_size=6)
secret_fields = st.lists(st.sampled_from(["Cookie", "cookie", "AUTHORIZATION"]), max_size=2)


def head_of(pairs: list[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("latin-1")


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    kinds = ["application/json", "text/plain", "application/octet-stream", "image/png", ""]
    kind = draw(
        st.sampled_from([*kinds, "application/x-www-form-urlencoded", "multipart/form-data"])
    )
    head = [*draw(fields), *([("Content-Type", kind)] if kind else [])]
    reason = draw(st.none() | st.just("invalid json"))
    raw = draw(st.binary(max_size=200) | st.sampled_from(ODD_BODIES))
    response = st.builds(
        SentResponse,
        status=st.integers(100, 599),
        headers=fields.map(tuple),
        body=st.binary(max_size=40),
        is_cut=st.booleans(),
    )
    return Delivery(
        id=draw(st.integers(1, 2**63 - 1)),
        workflow=draw(st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable())),
        received_at=draw(
            st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone
        ),
        method=draw(tokens),
        subpath=draw(st.sampled_from(["", "/api/v2/alerts"])),
        query_string=draw(st.text(latin, max_size=30)),
        head=head_of(head),
        raw=raw,
        size=len(raw) + draw(st.integers(0, 5)),
        remote="127.0.0.1",
        outcome="accepted" if reason is None else "refused",
        reason=reason,
        detail=None if reason is None else "The body is not JSON.",
        response=draw(st.none() | response),
        duration_ms=draw(st.none() | st.floats(0, 1e6)),
    )


many = st.lists(deliveries(), max_size=4)
in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@given(many)
@in_a_folder
def test_json_lines_give_back_what_was_written(tmp_path: Path, came: list[Delivery]) -> None:
    path = tmp_path / "came.jsonl"
    assert exports.export(came, path) == len(came)
    assert list(exports.read_lines(path)) == came
    assert len(path.read_bytes().splitlines()) == len(came)


@given(many)
@in_a_folder
def test_parquet_gives_back_what_was_written(tmp_path: Path, came: list[Delivery]) -> None:
    path = tmp_path / "came.parquet"
    assert exports.export(came, path) == len(came)
    frame = pd.read_parquet(path)
    assert frame["id"].tolist() == [delivery.id for delivery in came]
    assert frame["received_at"].tolist() == [delivery.received_at for delivery in came]
    assert str(frame["received_at"].dtype) == "datetime64[us, UTC]"
    for name in ("workflow", "method", "query_string", "raw", "size", "remote", "outcome"):
        assert frame[name].tolist() == [getattr(delivery, name) for delivery in came]
    for name in ("content_type", "reason", "detail", "status", "duration_ms"):
        written = [None if pd.isna(value) else value for value in frame[name]]
        assert written == [getattr(delivery, name) for delivery in came]
    for delivery, pairs, body in zip(came, frame["headers"], frame["response_body"], strict=True):
        assert [(pair["name"], pair["value"]) for pair in pairs] == delivery.headers
        assert body == (None if delivery.response is None else delivery.response.body)


# The objects of HAR 1.2 with the members that it does not call optional, and their types.
NUMBER = (int, float)
PAIR = {"name": str, "value": str}
HAR = {
    "startedDateTime": str,
    "time": NUMBER,
    "request": {
        "method": str,
        "url": str,
        "httpVersion": str,
        "cookies": [PAIR],
        "headers": [PAIR],
        "queryString": [PAIR],
        "headersSize": int,
        "bodySize": int,
    },
    "response": {
        "status": int,
        "statusText": str,
        "httpVersion": str,
        "cookies": [PAIR],
        "headers": [PAIR],
        "content": {"size": int, "mimeType": str},
        "redirectURL": str,
        "headersSize": int,
        "bodySize": int,
    },
    "cache": {},
    "timings": {"send": NUMBER, "wait": NUMBER, "receive": NUMBER},
}
OPTIONAL = {"postData", "text", "encoding", "mimeType", "params"}


def check_har(value: Any, shape: Any) -> None:
    if isinstance(shape, dict):
        assert isinstance(value, dict)
        extra = {name for name in value.keys() - shape.keys() if not name.startswith("_")}
        assert shape.keys() <= value.keys()
        assert extra <= OPTIONAL
        for name, inner in shape.items():
            check_har(value[name], inner)
    elif isinstance(shape, list):
        assert isinstance(value, list)
        for item in value:
            check_har(item, shape[0])
    else:
        assert isinstance(value, shape)


@given(many)
@in_a_folder
def test_har_is_as_har_1_2_has_it(tmp_path: Path, came: list[Delivery]) -> None:
    path = tmp_path / "came.har"
    assert exports.export(came, path) == len(came)
    log = json.loads(path.read_bytes())["log"]
    assert log["version"] == "1.2"
    assert log["creator"] == {"name": "hooknb", "version": hooknb.__version__}
    for entry, delivery in zip(log["entries"], came, strict=True):
        check_har(entry, HAR)
        request = entry["request"]
        assert datetime.fromisoformat(entry["startedDateTime"]) == delivery.received_at
        assert [(pair["name"], pair["value"]) for pair in request["headers"]] == delivery.headers
        assert request["url"].isascii()
        assert ("postData" in request) == bool(delivery.raw)
        assert entry["response"]["status"] == (delivery.status or 0)


def test_har_of_what_really_came(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    hook = runtime.webhook("ä/b", accept=["*/*"])
    hook.send(json={"a": 1}, params="x=1&x=%C3%BC&y")
    hook.send(data=b"\xff\x00", headers={"Content-Type": "image/png"})
    hook.send(method="GET")
    assert hook.export(tmp_path / "came.har") == 3
    first, second, third = json.loads((tmp_path / "came.har").read_bytes())["log"]["entries"]
    assert first["request"]["queryString"] == [
        {"name": "x", "value": "1"},
        {"name": "x", "value": "ü"},
        {"name": "y", "value": ""},
    ]
    assert first["request"]["url"] == f"{runtime.local_url}/hook/%C3%A4%2Fb?x=1&x=%C3%BC&y"
    assert hook.key not in json.dumps([first, second, third])
    assert first["request"]["postData"]["text"] == '{"a":1}'
    assert first["response"]["content"]["text"] == "ok"
    assert first["response"]["statusText"] == "OK"
    assert second["request"]["postData"]["text"] == "/wA="
    assert second["request"]["postData"]["_encoding"] == "base64"
    assert (third["_outcome"], third["_reason"]) == ("refused", "method")


def test_what_was_written_is_sent_again_byte_for_byte(
    runtime: hooknb.Runtime, tmp_path: Path
) -> None:
    settings = {"methods": "*", "accept": ["*/*"], "auth": hooknb.BasicAuth("me", "first")}
    hook = runtime.webhook("first", **settings)
    for body in ODD_BODIES:
        hook.send(
            data=body, params="a[b]=%ff&&=", headers=[("X-A", "1"), ("x-a", "Ã¼"), ("X-E", "")]
        )
    hook.send(method="DELETE", headers={"Cookie": "session=1", "Accept": "text/html"})
    hook.send(data=b'{"a', headers={"Content-Type": "application/json"})
    path = tmp_path / "came.jsonl"
    assert hook.export(path) == len(ODD_BODIES) + 2

    settings["auth"] = hooknb.BasicAuth("me", "other")
    other = runtime.webhook("other", **settings)
    responses = other.replay(path)
    assert [response.status for response in responses] == [200] * (len(ODD_BODIES) + 1) + [400]
    for number, response in enumerate(responses, 1):
        before, after = hook.delivery(number), other.delivery(response.delivery)
        assert (after.method, after.query_string) == (before.method, before.query_string)
        assert (after.raw, after.reason) == (before.raw, before.reason)
        left_out = {"host", "cookie", "authorization", "content-length"}
        assert [field for field in after.headers if field[0].lower() not in left_out] == [
            field for field in before.headers if field[0].lower() not in left_out
        ]


def test_credentials_are_written_only_where_that_is_asked_for(
    runtime: hooknb.Runtime, tmp_path: Path
) -> None:
    hook = runtime.webhook("orders", auth=hooknb.BasicAuth("me", "sesame"))
    hook.send(json={}, headers={"Cookie": "session=hunter2"})
    token = hook.delivery(1).header_map["Authorization"].split()[1]
    for name in exports.FORMATS:
        path = tmp_path / f"came.{name}"
        hook.export(path, secrets=True)
        open_text = str(pd.read_parquet(path).to_dict()) if name == "parquet" else path.read_text()
        assert "hunter2" in open_text
        assert token in open_text
        hook.export(path)
        text = str(pd.read_parquet(path).to_dict()) if name == "parquet" else path.read_text()
        assert "hunter2" not in text
        assert token not in text
        assert MASK in text
    hook.export(tmp_path / "came.jsonl", secrets=True)
    [response] = hook.replay(tmp_path / "came.jsonl")
    assert hook.delivery(response.delivery).header_map["Cookie"] == "session=hunter2"


def test_json_lines_can_be_read_by_people_and_their_tools(
    runtime: hooknb.Runtime, tmp_path: Path
) -> None:
    hook = runtime.webhook("orders", accept=["*/*"])
    hook.send(json={"order": {"id": 9007199254740993}})
    hook.send(data={"a[b]": "%ff", "c": "ü"})
    hook.send(data=b"\x00")
    hook.export(tmp_path / "came.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "came.jsonl").read_bytes().splitlines()]
    assert [line["body"] for line in lines] == [
        {"order": {"id": 9007199254740993}},
        {"a": {"b": "%ff"}, "c": "ü"},
        None,
    ]
    assert lines[2]["raw"] == "AA=="


def test_files_of_forms_are_base64(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    hook = runtime.webhook("files", accept=["*/*"])
    head = b'Content-Disposition: form-data; name="f"; filename="a.bin"'
    hook.send(
        data=b"--b\r\n" + head + b"\r\n\r\n\x00\xff\r\n--b--",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    hook.export(tmp_path / "came.ndjson")
    line = json.loads((tmp_path / "came.ndjson").read_bytes())
    assert line["body"]["f"]["content"] == {"base64": "AP8="}
    assert [response.status for response in hook.replay(tmp_path / "came.ndjson")] == [200]


def test_progress_counts_what_is_written(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    hook = runtime.webhook("orders")
    for _ in range(3):
        hook.send(json={})
    came = [hook.delivery(number) for number in (1, 2, 3)]
    for name in exports.FORMATS:
        seen: list[int] = []
        assert exports.export(came, tmp_path / "file", name, seen.append) == 3
        assert seen == [1, 2, 3]


@pytest.mark.parametrize("name", exports.FORMATS)
def test_nothing_is_a_file_too(runtime: hooknb.Runtime, tmp_path: Path, name: str) -> None:
    hook = runtime.webhook("orders")
    assert hook.export(tmp_path / f"none.{name}") == 0
    if name == "parquet":
        assert len(pd.read_parquet(tmp_path / "none.parquet")) == 0
    elif name == "har":
        assert json.loads((tmp_path / "none.har").read_bytes())["log"]["entries"] == []
    else:
        assert hook.replay(tmp_path / "none.jsonl") == []


# -- the file


def failing(runtime: hooknb.Runtime) -> Any:
    hook = runtime.webhook("orders")
    hook.send(json={})
    yield hook.delivery(1)
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", exports.FORMATS)
def test_a_file_is_replaced_only_by_a_whole_one(
    runtime: hooknb.Runtime, tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"came.{name}"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        exports.export(failing(runtime), path)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208 - hidden ones as well


def test_a_file_is_its_owners_and_a_link_stays_one(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    hook = runtime.webhook("orders")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "file.jsonl")
    hook.export(tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink()
    assert stat.S_IMODE((tmp_path / "file.jsonl").stat().st_mode) == 0o600


def test_a_pipe_is_written_to(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    hook = runtime.webhook("orders")
    hook.send(json={})
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    hook.export(tmp_path / "pipe", "jsonl")
    reader.join(10)
    assert json.loads(read[0])["id"] == 1


@pytest.mark.parametrize(
    ("path", "format", "said"),
    [
        ("came.csv", None, r"path: 'came.csv' does not end in one of .jsonl, .har, .parquet"),
        ("came", None, "rename it, or set format to one of"),
        ("came.jsonl", "csv", "format: 'csv' is not a format; write one of jsonl, har, parquet"),
        ("no/such/came.jsonl", None, "cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_said(
    runtime: hooknb.Runtime, path: str, format: str | None, said: str
) -> None:
    with pytest.raises(SettingError, match=re.escape(said)):
        runtime.webhook("orders").export(path, format)


def test_without_pyarrow_the_remedy_is_named(
    runtime: hooknb.Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingError, match=r'pip install "hooknb\[parquet\]"'):
        runtime.webhook("orders").export(tmp_path / "came.parquet")
    assert list(tmp_path.iterdir()) == []


# -- reading


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"id": 1}', '{"method": "POST", "raw": "?"}', "\x00", "null"],
)
def test_a_line_that_is_no_delivery_is_named_and_nothing_is_sent(
    runtime: hooknb.Runtime, tmp_path: Path, line: str
) -> None:
    hook = runtime.webhook("orders")
    hook.send(json={})
    path = tmp_path / "came.jsonl"
    hook.export(path)
    path.write_text(f"{path.read_text()}\n{line}\n")
    with pytest.raises(SettingError, match=r"came.jsonl, line 3: that is not a delivery"):
        hook.replay(path)
    assert len(hook.deliveries) == 1


def test_a_file_that_is_not_there_is_said(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read: No such file"):
        runtime.webhook("orders").replay(tmp_path / "none.jsonl")


def test_what_was_not_kept_whole_is_not_sent(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    hook = runtime.webhook("orders", max_body=10)
    hook.send(json={})
    hook.send(json="x" * 100)
    hook.export(tmp_path / "came.jsonl")
    with pytest.raises(SettingError, match=r"delivery 2: .* take its line out of the file"):
        hook.replay(tmp_path / "came.jsonl")
    assert len(hook.deliveries) == 2


def test_headers_in_a_file_cannot_add_others(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    hook = runtime.webhook("orders")
    hook.send(json={}, headers={"X-A": "marker"})
    path = tmp_path / "came.jsonl"
    hook.export(path)
    path.write_text(path.read_text().replace("marker", r"a\r\nX-B: b"))
    with pytest.raises(SettingError, match=r"line 1: that is not a delivery: .*line break"):
        hook.replay(path)
    assert len(hook.deliveries) == 1


# -- snapshots


def test_a_snapshot_tells_what_is_the_same_in_every_run(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("orders", accept=["*/*"], methods=["POST", "PUT"])
    hook.send(
        json={"b": 1, "a": [1.0, True]},
        params={"q": "1"},
        headers={"x-shop": "7", "Authorization": "Bearer abc"},
    )
    hook.send(data=b"\x00", method="PUT", headers={"Content-Type": "x/y; boundary=1; a=b"})
    hook.send(data=b"{", headers={"Content-Type": "application/json"})
    came = [hook.delivery(number) for number in (1, 2, 3)]
    assert exports.snapshot(came, ["X-Shop", "Authorization", "X-Other"]) == [
        {
            "method": "POST",
            "query": {"q": "1"},
            "content_type": "application/json",
            "headers": {"X-Shop": "7", "Authorization": f"Bearer {MASK}"},
            "body": {"a": [1.0, True], "b": 1},
        },
        {"method": "PUT", "content_type": "x/y; a=b", "body": {"base64": "AA=="}},
        {
            "method": "POST",
            "refused": "invalid json",
            "content_type": "application/json",
            "raw": "{",
        },
    ]
    text = exports.as_text(exports.snapshot(came))
    assert text.index('"a"') < text.index('"b"')
    assert exports.as_text(json.load(io.StringIO(text))) == text


# -- what is not loaded, and what is not shown


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "A\r\nB"},
        {"method": "漢"},
        {"method": ""},
        {"query_string": "a b"},
        {"query_string": "a=1\r\nX: y"},
        {"query_string": "漢"},
    ],
)
def test_nothing_is_sent_where_one_line_cannot_be(
    runtime: hooknb.Runtime, tmp_path: Path, changes: dict[str, str]
) -> None:
    hook, path = runtime.webhook("orders"), tmp_path / "came.jsonl"
    hook.send(json=1)
    hook.export(path)
    line = json.loads(path.read_text())
    path.write_text(json.dumps(line) + "\n" + json.dumps({**line, **changes}) + "\n")
    with pytest.raises(SettingError, match=r"came\.jsonl, delivery 1: .*not valid in a request"):
        hook.replay(path)
    path.write_text(json.dumps({**line, "body": 0}).replace('"body": 0', f'"body": {"[" * 10**5}'))
    with pytest.raises(SettingError, match="line 1: that is not a delivery"):
        hook.replay(path)
    assert len(hook.deliveries) == 1


def test_a_pipe_is_not_loaded(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    hook, pipe = runtime.webhook("orders"), tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    with pytest.raises(SettingError, match="is not a regular file"):
        hook.replay(pipe)


def test_the_standard_output_is_written_to(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("orders")
    hook.send(json=1)
    reading, writing = os.pipe()
    assert hook.export(f"/dev/fd/{writing}", "jsonl") == 1
    os.close(writing)
    with os.fdopen(reading, "rb") as came:
        assert json.loads(came.read())["body"] == 1


@pytest.mark.parametrize("name", ["came.jsonl", "came.har"])
def test_cookies_that_were_set_are_masked(
    runtime: hooknb.Runtime, tmp_path: Path, name: str
) -> None:
    response = hooknb.Response(200, headers={"Set-Cookie": "sid=TOPSEC; Secure"})
    hook = runtime.webhook("orders", response=response)
    hook.send(json=1)
    hook.export(tmp_path / name)
    assert "TOPSEC" not in (tmp_path / name).read_text()
    hook.export(tmp_path / name, secrets=True)
    assert "TOPSEC" in (tmp_path / name).read_text()


def test_a_url_that_cannot_be_called_does_not_show_the_key(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("orders")
    with pytest.raises(SettingError, match=r"^method: ") as caught:
        hook.send(json=1, method="A B")
    assert hook.key not in str(caught.value)


def test_deliveries_are_read_together_as_they_are_read_alone(
    runtime: hooknb.Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = runtime.webhook("orders", accept=["*/*"])
    for size in (0, 10, 400, 20, 30, 1_000):
        hook.send(data=b"\xff" * size, headers={"X-Size": str(size)})
    hook.send(data=b"{", headers={"Content-Type": "application/json"}, params="a=1")
    hook.wait()
    store, of = hook._store, hook._workflow_id
    ids = hook.deliveries.index.tolist()
    alone = [hook.delivery(number) for number in ids]
    assert list(store.deliveries(of, ids)) == alone
    monkeypatch.setattr("hooknb.store.single._MAX_ROWS", 4)
    monkeypatch.setattr("hooknb.store.single._MAX_BYTES", 500)
    together = list(store.deliveries(of, [*ids, 99]))
    assert together == alone
    for one, other in zip(together, alone, strict=True):
        assert one.content_type == other.header_map.get("Content-Type")
        assert one.body == other.body
    batches = list(size_batches(store.rows, of, ids))
    assert [number for batch in batches for number in batch] == ids
    assert all(len(batch) <= 4 for batch in batches)
    kept = {it.id: len(it.head) + len(it.raw) for it in alone}
    assert all(sum(kept[it] for it in batch) <= 500 for batch in batches if len(batch) > 1)


def test_what_is_deleted_during_an_export_is_left_out(
    runtime: hooknb.Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hooknb.store.single._MAX_ROWS", 2)
    hook = runtime.webhook("orders")
    for number in range(6):
        hook.send(json=number)
    hook.wait()
    path = tmp_path / "orders.jsonl"
    assert exports.export(hook._each(), path, progress=lambda _: hook.clear()) == 2
    assert [delivery.body for delivery in exports.read_lines(path)] == [0, 1]


def test_parquet_is_the_same_over_several_row_groups(
    runtime: hooknb.Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = runtime.webhook("orders", response=hooknb.Response(200, headers={"X-Queue": "1"}))
    for number in range(8):
        hook.send(json={"n": number, "big": 2**70}, headers={"X-N": "x" * number})
    hook.wait()
    hook.export(tmp_path / "one.parquet")
    monkeypatch.setattr("hooknb.history.exports.parquet._MAX_ROWS", 5)
    monkeypatch.setattr("hooknb.history.exports.parquet._MAX_CONVERTED", 2)
    hook.export(tmp_path / "many.parquet")
    one, many = (pq.ParquetFile(tmp_path / f"{name}.parquet") for name in ("one", "many"))
    assert (one.num_row_groups, many.num_row_groups) == (1, 2)
    assert many.read().equals(one.read())
    assert json.loads(many.read()["body"][7].as_py()) == {"n": 7, "big": 2**70}


def test_several_spellings_of_json_are_one_line_with_the_same_value(
    runtime: hooknb.Runtime, tmp_path: Path
) -> None:
    hook = runtime.webhook("orders")
    bodies = [
        b'{\n  "a": 1,\r\n  "a": 9007199254740993\n}',
        '["ü", 1e300, -0.0]'.encode("utf-16"),
        b"123456789012345678901234567890",
    ]
    for body in bodies:
        hook.send(data=body, headers={"Content-Type": "application/json"})
    hook.wait()
    path = tmp_path / "orders.jsonl"
    hook.export(path)
    lines = path.read_bytes().splitlines()
    assert len(lines) == len(bodies)
    assert [json.loads(line)["body"] for line in lines] == list(map(json.loads, bodies))
