from __future__ import annotations

import json
from http.client import parse_headers
from io import BytesIO

import pytest

from hooknb import paths
from hooknb.errors import PayloadError
from hooknb.payloads import parse, parse_query_string
from hooknb.payloads.json_faults import find_fault
from hooknb.workflow.variables import parse_body

LIMIT = 10 * 2**20


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_json_is_read_as_rfc_8259_has_it(corpus):
    files = sorted((corpus / "conformance" / "JSONTestSuite").glob("[yn]_*.json"))
    assert files
    for file in files:
        raw = file.read_bytes()
        if file.name.startswith("y_"):
            assert parse(raw, content_type="application/json", max_size=LIMIT) == json.loads(raw), (
                file.name
            )
            assert find_fault(raw) is None, file.name
        elif raw:
            with pytest.raises(PayloadError, match=r"line \d+, column \d+ \(byte \d+\)"):
                parse(raw, content_type="application/json", max_size=LIMIT)
            assert find_fault(raw) is not None, file.name


def test_queries_are_read_as_qs_does(corpus):
    rows = lines(corpus / "conformance" / "qs_default.jsonl")
    assert rows
    for row in rows:
        assert parse_query_string(row["query"]) == row["result"], row["query"]


def test_real_bodies_are_read_and_their_variables_lead_back(corpus):
    rows = lines(corpus / "payloads" / "index.jsonl")
    assert rows
    for row in rows:
        raw = (corpus / "payloads" / row["file"]).read_bytes()
        if row["content_type"] == "application/json" and not row["json_top"]:
            with pytest.raises(PayloadError):
                parse(raw, content_type=row["content_type"], max_size=LIMIT)
            continue
        value = parse(raw, content_type=row["content_type"], max_size=LIMIT)
        if row["json_top"]:
            assert value == json.loads(raw), row["file"]
            for variable in parse_body(value):
                assert paths.get(value, variable.path) is variable.sample, (
                    row["file"],
                    variable.path,
                )
        assert parse_query_string(row["query"] or "") is not None


def test_real_requests_are_read(corpus):
    captures = sorted((corpus / "captures").glob("*.http"))
    assert captures
    for capture in captures:
        stream = BytesIO(capture.read_bytes())
        stream.readline()
        headers = parse_headers(stream)
        if "chunked" in headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(stream.readline().split(b";")[0], 16):
                body += stream.read(size)
                stream.readline()
        else:
            body = stream.read(int(headers.get("Content-Length", 0)))
        parse(
            body,
            content_type=headers.get("Content-Type"),
            content_encoding=headers.get("Content-Encoding"),
            max_size=LIMIT,
        )
