"""Frames as tables of Arrow, Polars and DuckDB."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import hooknb
from hooknb.errors import SettingError
from hooknb.history import arrow_tables

BODIES: list[Any] = [
    {"n": 1, "big": 2**70, "huge": 10**50, "mixed": 1, "tags": ["a", None], "text": "ü", "f": 0.5},
    {"big": -1, "huge": 1, "mixed": "1", "tags": [], "text": None, "f": None},
]


@pytest.fixture
def hook(runtime: hooknb.Runtime) -> hooknb.Hook:
    made = runtime.webhook("orders")
    for body in BODIES:
        made.send(json=body)
    made.wait()
    return made


def test_arrow_has_every_value_exactly(hook: hooknb.Hook) -> None:
    table = hook.to_arrow("variables")
    frame = hook.frame("variables")
    assert table.column_names == ["id", *frame]
    assert table["id"].to_pylist() == frame.index.tolist()
    assert table.schema.field("received_at").type == pa.timestamp("us", tz="UTC")
    assert table["received_at"].to_pylist() == frame["received_at"].tolist()
    assert table.schema.field("body.n").type == pa.int64()
    assert table["body.n"].to_pylist() == [1, None]
    assert table.schema.field("body.big").type == pa.decimal128(38, 0)
    assert table["body.big"].to_pylist() == [Decimal(2**70), Decimal(-1)]
    assert table["body.text"].to_pylist() == ["ü", None]
    assert table["body.f"].to_pylist() == [0.5, None]
    for name in ("huge", "mixed", "tags"):
        assert table.schema.field(f"body.{name}").metadata == {b"hooknb": b"json"}
        read = [json.loads(text) for text in table[f"body.{name}"].to_pylist()]
        assert read == [body[name] for body in BODIES]


@pytest.mark.parametrize("kind", ["deliveries", "executions", "variables", "jobs"])
def test_every_frame_is_a_table_also_without_a_row(runtime: hooknb.Runtime, kind: Any) -> None:
    empty = runtime.webhook("empty")
    assert empty.to_arrow(kind).num_rows == 0
    assert empty.to_arrow(kind).column_names == ["id", *empty.frame(kind)]


def test_a_table_takes_the_windows_of_a_frame(hook: hooknb.Hook) -> None:
    table = hook.to_arrow("deliveries", last=1, columns=["size", "outcome"], body=True)
    assert table.column_names == ["id", "size", "outcome", "body"]
    assert table["id"].to_pylist() == [2]
    assert table["outcome"].to_pylist() == ["accepted"]
    assert json.loads(table["body"][0].as_py()) == BODIES[1]
    with pytest.raises(SettingError, match="is not a frame"):
        hook.to_arrow("nothing")  # type: ignore[arg-type]


def test_polars_and_duckdb_have_the_same_values(hook: hooknb.Hook) -> None:
    pytest.importorskip("polars")
    pytest.importorskip("duckdb")
    table = hook.to_arrow("variables")
    assert hook.to_polars("variables").to_arrow().to_pylist() == table.to_pylist()
    relation = hook.to_duckdb("variables").project('id, "body.big", "body.tags"')
    assert relation.fetchall() == [
        (row["id"], row["body.big"], row["body.tags"]) for row in table.to_pylist()
    ]


@pytest.mark.parametrize(
    ("library", "extra", "call"),
    [
        ("pyarrow", "parquet", "as_arrow"),
        ("polars", "polars", "as_polars"),
        ("duckdb", "duckdb", "as_duckdb"),
    ],
)
def test_a_missing_library_names_the_extra_to_install(
    hook: hooknb.Hook, monkeypatch: pytest.MonkeyPatch, library: str, extra: str, call: str
) -> None:
    frame = hook.frame("deliveries")  # which pandas makes by pyarrow, where that is installed
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SettingError, match=rf'{library}.*pip install "hooknb\[{extra}\]"'):
        getattr(arrow_tables, call)(frame)
