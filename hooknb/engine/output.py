"""What nodes print goes into their jobs, and never into whichever cell happens to be running."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

__all__ = ["Output", "capturing", "current_output"]

MOST: Final = 64 * 1024
"""Characters of a node's output that are kept; the rest is counted."""


class Output:
    """The text that one node printed, to standard output or standard error."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._kept = 0
        self._left_out = 0

    def write(self, text: str) -> int:
        """Take text, up to the limit."""
        room = max(MOST - self._kept, 0)
        part = text[:room]
        if part:
            self._parts.append(part)
            self._kept += len(part)
        self._left_out += len(text) - len(part)
        return len(text)

    @property
    def text(self) -> str:
        """What was printed; a note at its end says how much was left out."""
        text = "".join(self._parts)
        return f"{text}\n… {self._left_out} more characters" if self._left_out else text


current_output: ContextVar[Output | None] = ContextVar("hooknb_output", default=None)


class _Stream:
    """Stands in for a standard stream while nodes run, and passes on what is not theirs."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def write(self, text: str) -> int:
        output = current_output.get()
        written: int = (self._original if output is None else output).write(text)
        return written

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if current_output.get() is None:
            self._original.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


_lock = threading.Lock()
_running = 0


@contextmanager
def capturing() -> Iterator[None]:
    """Have the standard streams look at :data:`current_output`, while any node runs.

    The streams are put back when the last one ends, unless somebody else replaced them since.
    """
    global _running  # noqa: PLW0603 - the standard streams are the process's
    with _lock:
        _running += 1
        for name in ("stdout", "stderr"):
            if not isinstance(getattr(sys, name), _Stream):
                setattr(sys, name, _Stream(getattr(sys, name)))
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if _running == 0 and isinstance(stream, _Stream):
                    setattr(sys, name, stream._original)  # noqa: SLF001 - made here
