"""How deep a request stands in a chain of executions that send requests to hooks.

A hook that sends to its own URL would go on for ever. Every request that is sent out of an
execution carries its depth in a header, and one that is too deep is refused.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

__all__ = ["HEADER", "current", "of_header"]

HEADER: Final = "X-Hooknb-Depth"

current: ContextVar[int] = ContextVar("hooknb_depth", default=0)
"""The depth of what is sent now: 0 outside of executions."""


def of_header(value: str | None) -> int:
    """Read the depth of a request; 0 where the header is missing or no small whole number."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 5 else 0  # noqa: PLR2004 - no chain is longer
