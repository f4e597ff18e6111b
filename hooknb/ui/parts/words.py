"""Words that several parts of the panel say the same way."""

from __future__ import annotations

from typing import Final

from hooknb.records import Status

__all__ = ["RUNNING", "counted"]

RUNNING: Final = frozenset({Status.QUEUED.word, Status.STARTED.word})
"""What frames and feeds call the status of an execution that has not ended."""


def counted(number: int, word: str) -> str:
    """Count something: ``1 node``, ``1,200 nodes``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
