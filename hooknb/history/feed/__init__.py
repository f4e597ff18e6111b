"""What a view shows of a hook's deliveries, as small plain data: no widgets, no frames."""

from __future__ import annotations

from hooknb.history.feed.columns import Column, short_titles
from hooknb.history.feed.details import Details, details
from hooknb.history.feed.feed import Feed
from hooknb.history.feed.filters import Filter, compile_filter
from hooknb.history.feed.flow import FlowCounts
from hooknb.history.feed.rows import Row
from hooknb.history.feed.scanning import matching_ids

__all__ = [
    "Column",
    "Details",
    "Feed",
    "Filter",
    "FlowCounts",
    "Row",
    "compile_filter",
    "details",
    "matching_ids",
    "short_titles",
]
