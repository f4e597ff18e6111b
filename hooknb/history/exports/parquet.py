"""Parquet, for tables: ``pandas.read_parquet``, DuckDB, Polars."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import IO, Any, Final

from hooknb.errors import SettingError
from hooknb.history.exports.values import encoded, shown
from hooknb.paths import MISSING
from hooknb.payloads.headers import Headers
from hooknb.records import Delivery

__all__ = ["write"]

_MOST_ROWS: Final = 10_000  # of one row group
_MOST_BYTES: Final = 32 * 2**20  # of what came in one row group


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
            if len(rows) == _MOST_ROWS or size >= _MOST_BYTES:
                writer.write_table(arrow.Table.from_pylist(rows, schema))
                rows, size = [], 0
        writer.write_table(arrow.Table.from_pylist(rows, schema))


def _schema(arrow: Any) -> Any:
    text = arrow.string()
    fields = arrow.list_(arrow.struct([("name", text), ("value", text)]))
    return arrow.schema(
        [
            ("id", arrow.int64()),
            ("workflow", text),
            ("received_at", arrow.timestamp("us", tz="UTC")),
            ("method", text),
            ("subpath", text),
            ("query_string", text),
            ("content_type", text),
            ("headers", fields),
            ("raw", arrow.binary()),
            ("body", text),
            ("size", arrow.int64()),
            ("remote", text),
            ("outcome", text),
            ("reason", text),
            ("detail", text),
            ("status", arrow.int64()),
            ("response_headers", fields),
            ("response_body", arrow.binary()),
            ("duration_ms", arrow.float64()),
        ]
    )


def _row(delivery: Delivery, *, secrets: bool) -> dict[str, Any]:
    body, response = delivery.body_or_missing, delivery.response
    is_read = body is not MISSING and not isinstance(body, bytes)
    return {
        "id": delivery.id,
        "workflow": delivery.workflow,
        "received_at": delivery.received_at,
        "method": delivery.method,
        "subpath": delivery.subpath,
        "query_string": delivery.query_string,
        "content_type": delivery.content_type,
        "headers": _pairs(delivery.headers, secrets=secrets),
        "raw": delivery.raw,
        "body": encoded(body).decode() if is_read else None,
        "size": delivery.size,
        "remote": delivery.remote,
        "outcome": delivery.outcome,
        "reason": delivery.reason,
        "detail": delivery.detail,
        "status": delivery.status,
        "response_headers": None if response is None else _pairs(response.headers, secrets=secrets),
        "response_body": None if response is None else response.body,
        "duration_ms": delivery.duration_ms,
    }


def _pairs(fields: Iterable[tuple[str, str]], *, secrets: bool) -> list[dict[str, str]]:
    pairs = shown(Headers(fields), secrets=secrets)
    return [{"name": name, "value": value} for name, value in pairs]
