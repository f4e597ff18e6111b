"""What a view shows of a hook's deliveries, as small plain data: no widgets, no frames."""

from __future__ import annotations

from hooknb.feed.accepted import accepted
from hooknb.feed.columns import Column, short_titles
from hooknb.feed.details import Details, details
from hooknb.feed.feed import Feed
from hooknb.feed.filters import Filter, compile_filter
from hooknb.feed.flow import FlowCounts
from hooknb.feed.rows import Row
from hooknb.feed.scanning import matching_ids

__all__ = [
    "Column",
    "Details",
    "Feed",
    "Filter",
    "FlowCounts",
    "Row",
    "accepted",
    "compile_filter",
    "details",
    "matching_ids",
    "short_titles",
]
