"""What nodes print goes into their jobs, and never into whichever cell happens to be running."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final

__all__ = ["Output", "capturing", "current_output", "printed_to"]

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
        self.original = original

    def write(self, text: str) -> int:
        output = current_output.get()
        written: int = (self.original if output is None else output).write(text)
        return written

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if current_output.get() is None:
            self.original.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


_lock = threading.Lock()
_running = 0
# `print` uses the stream that it found without holding on to it: one that is taken out of `sys`
# and freed meanwhile crashes the process.
_kept_alive: deque[_Stream] = deque(maxlen=1000)


class capturing:  # noqa: N801 - used like a function, as contextlib's own
    """Have the standard streams look at :data:`current_output`, while any node runs.

    The streams are put back when the last one ends, unless somebody else replaced them since.
    What a node prints from a thread of its own, or while a cell redirects the standard streams
    itself (``%%capture``), goes where those print.
    """

    def __enter__(self) -> None:
        """Put the streams in."""
        global _running  # noqa: PLW0603 - the standard streams are the process's
        with _lock:
            _running += 1
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if not isinstance(stream, _Stream):
                    setattr(sys, name, _stream_for(stream))

    def __exit__(self, *_error: object) -> None:
        """Take them out, if nobody needs them any more."""
        global _running  # noqa: PLW0603 - as above
        with _lock:
            _running -= 1
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if _running == 0 and isinstance(stream, _Stream):
                    setattr(sys, name, stream.original)


@contextmanager
def printed_to(output: Output, *, is_captured: bool) -> Iterator[Output]:
    """Have what the caller prints go into ``output``, where it may print anything at all."""
    token = current_output.set(output)
    try:
        with capturing() if is_captured else nullcontext():
            yield output
    finally:
        current_output.reset(token)


def _stream_for(original: Any) -> _Stream:
    for stream in reversed(_kept_alive):
        if stream.original is original:
            return stream
    made = _Stream(original)
    _kept_alive.append(made)
    return made
