"""Frames as tables of other libraries, each value exactly."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any, Final

from hooknb.errors import SettingError
from hooknb.history.exports.values import as_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

__all__ = ["as_arrow", "as_duckdb", "as_polars"]

_MAX_DIGITS: Final = 38  # of a decimal that Arrow, Polars and DuckDB all have
_MAX_ROWS: Final = 5_000  # converted in one call, which keeps other threads waiting
_JSON: Final = {"hooknb": "json"}


def _load(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise SettingError(
            name, f'it is not installed; run pip install "hooknb[{extra}]"'
        ) from None


def as_arrow(frame: pd.DataFrame) -> Any:
    """Return a frame as a ``pyarrow.Table``; see :meth:`hooknb.Hook.to_arrow`."""
    arrow = _load("pyarrow", "parquet")
    columns = [frame.index.to_series(), *(frame[name] for name in frame)]
    names = ["id", *map(str, frame)]
    made = [_column(arrow, values) for values in columns]
    fields = [
        arrow.field(name, array.type, metadata=note)
        for name, (array, note) in zip(names, made, strict=True)
    ]
    return arrow.Table.from_arrays([array for array, _ in made], schema=arrow.schema(fields))


def as_polars(frame: pd.DataFrame) -> Any:
    """Return a frame as a ``polars.DataFrame``; see :meth:`hooknb.Hook.to_polars`."""
    return _load("polars", "polars").from_arrow(as_arrow(frame))


def as_duckdb(frame: pd.DataFrame) -> Any:
    """Return a frame as a ``duckdb.DuckDBPyRelation``; see :meth:`hooknb.Hook.to_duckdb`."""
    return _load("duckdb", "duckdb").from_arrow(as_arrow(frame))


def _column(arrow: Any, values: pd.Series[Any]) -> tuple[Any, dict[str, str] | None]:
    """Return a column and the metadata of its field."""
    if values.dtype != object:
        kind = None if str(values.dtype) != "str" else arrow.string()
        parts = [arrow.Array.from_pandas(part, type=kind) for part in _parts(values)]
        return arrow.chunked_array(parts), None
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int} and max(len(str(abs(it))) for it in values if it is not None) <= _MAX_DIGITS:
        decimal = importlib.import_module("decimal")
        parts = [
            arrow.array(
                [None if it is None else decimal.Decimal(it) for it in part],
                arrow.decimal128(_MAX_DIGITS, 0),
            )
            for part in _parts(values)
        ]
        return arrow.chunked_array(parts), None
    if kinds in ({str}, {bytes}):
        text = arrow.string() if kinds == {str} else arrow.binary()
        return arrow.chunked_array([arrow.array(list(it), text) for it in _parts(values)]), None
    parts = [arrow.array(list(map(_as_text, part)), arrow.string()) for part in _parts(values)]
    return arrow.chunked_array(parts), _JSON


def _parts(values: pd.Series[Any]) -> Iterator[pd.Series[Any]]:
    for start in range(0, max(1, len(values)), _MAX_ROWS):
        yield values.iloc[start : start + _MAX_ROWS]


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    text = json.dumps(as_json(value), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode()
