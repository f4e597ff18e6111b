"""Parquet, for tables: ``pandas.read_parquet``, DuckDB, Polars."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from datetime import datetime
from typing import IO, Any, Final

from hooknb.errors import SettingError
from hooknb.history.exports.values import body_as_json, shown
from hooknb.payloads.headers import Headers
from hooknb.records import Delivery

__all__ = ["write"]

_MAX_ROWS: Final = 10_000  # of one row group
_MAX_BYTES: Final = 32 * 2**20  # of the bodies in one row group

_COLUMNS: Final[dict[str, type]] = {
    "id": int,
    "workflow": str,
    "received_at": datetime,
    "method": str,
    "subpath": str,
    "query_string": str,
    "content_type": str,
    "headers": list,
    "raw": bytes,
    "body": str,
    "size": int,
    "remote": str,
    "outcome": str,
    "reason": str,
    "detail": str,
    "status": int,
    "response_headers": list,
    "response_body": bytes,
    "duration_ms": float,
}


def write(deliveries: Iterable[Delivery], file: IO[bytes], *, secrets: bool) -> None:
    """Write deliveries as rows, oldest first; see :func:`hooknb.history.exports.export`.

    Columns: id, workflow, received_at (UTC, microseconds), method, subpath, query_string,
    content_type, headers (pairs of name and value), raw (the bytes of the body), body (what they
    say, as JSON text; missing where they are bytes only or cannot be read), size, remote, outcome,
    reason, detail, status, response_headers, response_body (bytes), duration_ms.

    Raises
    ------
    SettingError
        pyarrow is not installed.
    """
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise SettingError(
            "format",
            'Parquet is written by pyarrow, which is not installed: pip install "hooknb[parquet]", '
            "or write .jsonl",
        ) from None
    schema = _schema(arrow)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        size = 0
        for delivery in deliveries:
            rows.append(_row(delivery, secrets=secrets))
            size += len(delivery.raw)
            if len(rows) == _MAX_ROWS or size >= _MAX_BYTES:
                writer.write_table(arrow.Table.from_pylist(rows, schema))
                rows, size = [], 0
        writer.write_table(arrow.Table.from_pylist(rows, schema))


def _schema(arrow: Any) -> Any:
    pairs = arrow.list_(arrow.struct([("name", arrow.string()), ("value", arrow.string())]))
    types = {
        str: arrow.string(),
        int: arrow.int64(),
        bytes: arrow.binary(),
        float: arrow.float64(),
        datetime: arrow.timestamp("us", tz="UTC"),
        list: pairs,
    }
    return arrow.schema([(name, types[kind]) for name, kind in _COLUMNS.items()])


def _row(delivery: Delivery, *, secrets: bool) -> dict[str, Any]:
    body, response = body_as_json(delivery), delivery.response
    return {name: getattr(delivery, name, None) for name in _COLUMNS} | {
        "headers": _pairs(delivery.headers, secrets=secrets),
        "body": None if body is None else body.decode(),
        "response_headers": None if response is None else _pairs(response.headers, secrets=secrets),
        "response_body": None if response is None else response.body,
    }


def _pairs(fields: Iterable[tuple[str, str]], *, secrets: bool) -> list[dict[str, str]]:
    pairs = shown(Headers(fields), secrets=secrets)
    return [{"name": name, "value": value} for name, value in pairs]
