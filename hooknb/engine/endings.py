"""How nodes end executions, and how errors are written down."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any, Final

from hooknb.records import Status
from hooknb.workflow.nodes import Node

__all__ = [
    "SIGNALS",
    "Ended",
    "ExecutorGone",
    "NodeFailed",
    "Responded",
    "describe",
    "one_line",
    "unwrapped",
]

# Frames of the machinery, which a traceback leaves out.
_LONGEST: Final = 16 * 1024  # characters of an error's message that are kept
_DESCRIBED: Final = ("/hooknb/engine/", "/hooknb/workflow/nodes/")


class Responded(Exception):  # noqa: N818 - a signal, not an error
    """The caller has its answer: the execution ends here as resolved."""


class Ended(Exception):  # noqa: N818 - a signal, not an error
    """A node ends the execution with a status of its choice."""

    def __init__(self, status: Status, reason: str | None = None, result: Any = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.result = result
        self.node: Node | None = None


class ExecutorGone(Exception):  # noqa: N818 - a signal, not an error
    """The executor takes no more work, as the interpreter is ending; nothing was begun."""


class NodeFailed(Exception):  # noqa: N818 - carries what the job already tells
    """A node raised; its job says what."""


SIGNALS: Final = (Responded, Ended, ExecutorGone, NodeFailed, asyncio.CancelledError)


def unwrapped(error: BaseException) -> BaseException | None:
    """Return what a node raised: Python wraps a ``StopIteration`` that leaves a coroutine."""
    wrapped = isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration)
    return error.__cause__ if wrapped else error


def one_line(error: BaseException | None) -> str:
    """Write an error's type and message, whatever its ``__str__`` does."""
    return "".join(traceback.format_exception_only(error)).strip()[:1000]


def describe(error: BaseException | None) -> str:
    """Write type and message on the first line, then the traceback of the node's own frames."""
    frames = [
        frame
        for frame in traceback.extract_tb(None if error is None else error.__traceback__)
        if not any(part in frame.filename for part in _DESCRIBED)
    ]
    head = "".join(traceback.format_exception_only(error)).strip()  # also of a wrong __str__
    body = "".join(traceback.format_list(frames))
    head = head if len(head) <= _LONGEST else f"{head[:_LONGEST]}…"
    return f"{head}\n\nTraceback (most recent call last):\n{body}{head}" if body else head
