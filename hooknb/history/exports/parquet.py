"""Parquet, for tables: ``pandas.read_parquet``, DuckDB, Polars."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import accumulate
from operator import attrgetter
from typing import IO, Any, Final

from hooknb.errors import SettingError
from hooknb.history.exports.values import body_as_json, shown, shown_head
from hooknb.payloads.headers import Headers
from hooknb.records import Delivery

__all__ = ["write"]

_MAX_ROWS: Final = 10_000  # of one row group
_MAX_BYTES: Final = 32 * 2**20  # of the bodies in one row group
_MAX_CONVERTED: Final = 500  # rows converted in one call, which keeps other threads waiting

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
        for batches in _row_groups(arrow, schema, deliveries, secrets=secrets):
            writer.write_table(arrow.Table.from_batches(batches, schema))


def _row_groups(
    arrow: Any, schema: Any, deliveries: Iterable[Delivery], *, secrets: bool
) -> Iterator[list[Any]]:
    """Yield the batches of each row group."""
    batches: list[Any] = []
    rows: list[Delivery] = []
    converted = size = 0
    for delivery in deliveries:
        rows.append(delivery)
        size += len(delivery.raw)
        is_full = converted + len(rows) == _MAX_ROWS or size >= _MAX_BYTES
        if is_full or len(rows) == _MAX_CONVERTED:
            batches.append(_batch(arrow, schema, rows, secrets=secrets))
            converted, rows = converted + len(rows), []
        if is_full:
            yield batches
            batches, converted, size = [], 0, 0
    yield [*batches, _batch(arrow, schema, rows, secrets=secrets)]


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


def _batch(arrow: Any, schema: Any, rows: list[Delivery], *, secrets: bool) -> Any:
    responses = [delivery.response for delivery in rows]
    made: dict[str, list[Any]] = {
        "headers": [shown_head(delivery.head, secrets=secrets) for delivery in rows],
        "body": list(map(body_as_json, rows)),
        "response_headers": [
            None if it is None else shown(Headers(it.headers), secrets=secrets) for it in responses
        ],
        "response_body": [None if it is None else it.body for it in responses],
    }
    columns = []
    for name, kind in _COLUMNS.items():
        values = made.get(name) or list(map(attrgetter(name), rows))
        convert = _pairs if kind is list else arrow.array
        columns.append(convert(values, schema.field(name).type))
    return arrow.record_batch(columns, schema=schema)


def _pairs(lists: list[Any], kind: Any) -> Any:
    """Convert lists of pairs; ``from_arrays`` takes half the time of a ``dict`` for each pair."""
    arrow = importlib.import_module("pyarrow")
    flat = [pair for pairs in lists if pairs is not None for pair in pairs]
    names, values = ([pair[at] for pair in flat] for at in (0, 1))
    texts = [arrow.array(texts, arrow.string()) for texts in (names, values)]
    ends = accumulate(0 if pairs is None else len(pairs) for pairs in lists)
    missing = arrow.array([pairs is None for pairs in lists], arrow.bool_())
    return arrow.ListArray.from_arrays(
        arrow.array([0, *ends], arrow.int32()),
        arrow.StructArray.from_arrays(texts, fields=list(kind.value_type)),
        type=kind,
        mask=missing,
    )
