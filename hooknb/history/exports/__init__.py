"""Deliveries in files: JSON lines that can be sent again, HAR, Parquet, and snapshots of tests."""

from __future__ import annotations

from hooknb.history.exports.jsonl import read_lines
from hooknb.history.exports.snapshot import as_text, snapshot
from hooknb.history.exports.writing import FORMATS, export, format_of

__all__ = ["FORMATS", "as_text", "export", "format_of", "read_lines", "snapshot"]
