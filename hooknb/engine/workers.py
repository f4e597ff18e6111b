"""Worker threads for the plain functions of Code nodes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any

__all__ = ["Workers"]

_Work = tuple[Future[Any], Callable[[], Any]]


class Workers(Executor):
    """A pool of daemon threads.

    The standard library's pool joins its threads when the interpreter ends; a node that never
    returns would then keep the process from ending. These are left behind.

    Parameters
    ----------
    most
        Threads at the most; they are started as they are needed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0  # threads that wait for work, less what waits for a thread
        self._threads = 0
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a function called on a worker thread."""
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                message = "the worker threads have been shut down"
                raise RuntimeError(message)
            self._idle -= 1
            self._start_if_needed()
            self._queue.put((future, lambda: fn(*args, **kwargs)))
        return future

    def lend(self) -> None:
        """Allow one thread more, for one that is held: by a node that was cut off, by waiting."""
        with self._lock:
            self._most += 1
            if not self._closed:
                self._start_if_needed()

    def give_back(self) -> None:
        """Take back what was lent: the thread that was held is free, or has ended."""
        with self._lock:
            self._most -= 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - Executor's signature
        """End the threads that are idle; those at work end after it, and nobody waits for them."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in range(self._threads):
                    self._queue.put(None)

    def _start_if_needed(self) -> None:
        if self._idle < 0 and self._threads < self._most:
            self._threads += 1
            self._idle += 1
            threading.Thread(target=self._run, name="hooknb-worker", daemon=True).start()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            future, function = work
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                    future.set_exception(error)
            del future, function, work
            with self._lock:
                if self._threads > self._most:
                    self._threads -= 1
                    return
                self._idle += 1
