"""The depth of a request in a chain of executions that send requests to hooks.

A hook that sends to its own URL would loop forever. Every request sent by an execution carries its
depth in a header, and one that is too deep is refused.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

__all__ = ["HEADER", "current", "of_header"]

HEADER: Final = "X-Hooknb-Depth"

current: ContextVar[int] = ContextVar("hooknb_depth", default=0)
"""The depth of the current execution; 0 outside executions."""


def of_header(value: str | None) -> int:
    """Return the depth in a header; 0 if it is missing or not a whole number below 10,000."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 5 else 0  # noqa: PLR2004 - no chain is longer
