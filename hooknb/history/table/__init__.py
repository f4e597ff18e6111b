"""What a view shows of a hook's deliveries, as small plain data: no widgets, no frames."""

from __future__ import annotations

from hooknb.history.table.details import Details, details
from hooknb.history.table.feed import Feed
from hooknb.history.table.filters import Filter, compile_filter
from hooknb.history.table.flow import FlowCounts
from hooknb.history.table.rows import Row
from hooknb.history.table.scanning import Search, matching_ids
from hooknb.history.table.shown_text import file_text, is_file
from hooknb.history.table.table_columns import Column, short_titles

__all__ = [
    "Column",
    "Details",
    "Feed",
    "Filter",
    "FlowCounts",
    "Row",
    "Search",
    "compile_filter",
    "details",
    "file_text",
    "is_file",
    "matching_ids",
    "short_titles",
]
