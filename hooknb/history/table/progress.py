"""How far a search is, shown to whoever waits for it."""

from __future__ import annotations

import contextlib
import html
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Progress"]

_PATIENCE: Final = 1.0  # seconds that a search takes, and has before it, until it is shown
_PAUSE: Final = 0.2  # seconds between two looks


class Progress:
    """A bar below the cell, or in the terminal; it goes when the search ends.

    It is shown for searches of the main thread that have taken a second and will take another one,
    so a short one shows nothing. Neither does one where nobody looks: without a kernel and without
    a terminal.

    Parameters
    ----------
    total
        What there is to be done.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._started = self._told = time.monotonic()
        self._bar: _NotebookBar | _TerminalBar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.end()

    def tell(self, done: int) -> None:
        """Say how much is done."""
        now = time.monotonic()
        if now < self._told + _PAUSE or not 0 < done < self._total:
            return
        self._told = now
        if self._bar is None:
            taken = now - self._started
            if taken < _PATIENCE or taken * (self._total - done) / done < _PATIENCE:
                return
            self._bar = _bar(self._total)
        if self._bar is not None:
            self._bar.show(done)


def _bar(total: int) -> _NotebookBar | _TerminalBar | None:
    if threading.current_thread() is not threading.main_thread():
        return None  # what another thread displays lands in any cell
    ipython = sys.modules.get("IPython")
    if ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None:
        return _NotebookBar(total)
    return _TerminalBar(total) if sys.stderr is not None and sys.stderr.isatty() else None


class _NotebookBar:
    """The browser's own progress element, without a widget that would have to be closed."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._handle: Any = None

    def show(self, done: int) -> None:
        from IPython.display import display

        said = html.escape(f"searched {done:,} of {self._total:,} deliveries; interrupt to stop")
        bundle = {
            "text/plain": said,
            "text/html": f"<progress value={done} max={self._total}></progress> {said}",
        }
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)

    def end(self) -> None:
        if self._handle is not None:
            self._handle.update({"text/plain": "", "text/html": ""}, raw=True)


class _TerminalBar:
    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar

        self._bar = Bar(console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("searching", total=total)
        self._bar.start()

    def show(self, done: int) -> None:
        self._bar.update(self._task, completed=done)

    def end(self) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            self._bar.stop()
