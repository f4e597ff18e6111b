"""The one thread that writes: it takes what has queued up and writes it in one transaction.

Many deliveries share one fsync in this way (group commit), and each is on disk before anybody is
told that it was taken.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from hooknb._clock import Clock, FixedClock
from hooknb.errors import StoreError, StoreUnavailableError
from hooknb.store.operations import Call, NewDelivery, Operation, apply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

__all__ = ["Writer"]

_LOG = logging.getLogger("hooknb.store")

_MOST: Final = 1000  # operations of one transaction
_PATIENCE: Final = 0.02  # seconds that an end or a response waits for company
_LOOK: Final = 0.5  # seconds between looks at the file while nothing is written
_GONE: Final = (
    "the store's file was deleted or replaced while it is served: senders get 503, and nothing is "
    "stored. Put the file back, or restart the kernel to begin with a new one"
)
_REST: Final = 1.0  # seconds after which it looks again what there is to do
_RETRY: Final = 0.5  # seconds between tries while the store cannot be written
_MOST_WAITING: Final = 1_000_000  # ends and responses that wait for it; a bound for the memory


Transaction: TypeAlias = Callable[[Callable[["Connection"], Any]], Any]
"""Runs a function of the connection in a transaction and returns what it returned."""


class _IdleWork(Protocol):
    """What the writer does while nobody waits, a short step at a time."""

    fault: str
    """What is said of it where the store cannot be written."""

    @property
    def is_on(self) -> bool: ...

    def run(self, connection: Connection, transaction: Transaction, /) -> Iterator[None]: ...


class _Stop:
    pass


class Writer:
    """Owns the store's only writing connection.

    Parameters
    ----------
    connection
        Used by the writer's thread alone from now on, and closed by it.
    guard
        Held during each transaction (an in-memory store has one connection for all).
    stored
        Called on the writer's thread after each transaction, with its deliveries; each has its
        ``id``, or its ``error``.
    clock
        Of the runtime. A fixed one tells when each delivery came by its id.
    idle
        What is done while nobody waits, each after the one before.
    is_there
        Tells whether the file that is written is still the store's; ``None`` in memory.
    max_kept_response
        Bytes of a response's body that are kept; ``None`` for all.
    """

    def __init__(
        self,
        connection: Connection,
        guard: AbstractContextManager[Any],
        stored: Callable[[list[NewDelivery]], None],
        clock: Clock,
        idle: Sequence[_IdleWork],
        *,
        is_there: Callable[[], bool] | None = None,
        max_kept_response: int | None = None,
    ) -> None:
        self._connection = connection
        self._failed: type[Exception] = connection.dialect.loaded_dbapi.Error
        self._may_pass: type[Exception] = connection.dialect.loaded_dbapi.OperationalError
        self._guard = guard
        self._stored = stored
        self._apply = partial(
            apply,
            arrival=clock.arrival if isinstance(clock, FixedClock) else None,
            max_kept_response=max_kept_response,
        )
        self._idle = idle
        self._steps: Iterator[_IdleWork] | None = None
        self._rest_end = time.monotonic()
        self._faults: set[str] = set()
        self._is_there = is_there
        self._was_there = True
        self._queue: SimpleQueue[list[Operation] | Call | _Stop] = SimpleQueue()
        # Ends and responses that could not be written yet; they must not be lost for a full disk.
        self._waiting: list[Operation] = []
        self._thread = threading.Thread(target=self._run, name="hooknb-writer", daemon=True)
        self._thread.start()

    def submit(self, operations: list[Operation]) -> None:
        """Ask for writes; returns at once, from any thread."""
        self._queue.put(operations)

    def call(self, function: Callable[[Connection], Any] | None) -> Any:
        """Run a function in a transaction of its own and return its result; blocks until then.

        Everything that was submitted before is written first, where the store can be written.
        ``None`` waits for that alone.

        Raises
        ------
        StoreError
            Where the store cannot be written.
        """
        return self._wait(Call(function=function))

    def run(self, function: Callable[[Connection, Transaction], Any]) -> Any:
        """As :meth:`call`, for a function that makes transactions of its own by the second."""
        return self._wait(
            Call(function=lambda transaction: function(self._connection, transaction), is_own=True)
        )

    def _wait(self, call: Call) -> Any:
        self._queue.put(call)
        while True:
            try:
                return call.future.result(timeout=1.0)
            except TimeoutError:
                if not self._thread.is_alive() and not call.future.done():
                    message = "the store has been closed"
                    raise StoreError(message) from None

    def close(self) -> None:
        """Write what was submitted, then end the thread; blocks until then."""
        if self._thread.is_alive():
            self._queue.put(_Stop())
            self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            operations, call, stopping = self._take()
            if not operations:
                self._look()  # a transaction looks by itself
            self._write([*self._waiting, *operations])
            if call is not None:
                self._run_call(call)
            elif not operations and not stopping:
                self._take_step()
        if self._waiting:
            _LOG.error("%d ends and responses could not be stored", len(self._waiting))
        self._connection.close()

    def _take(self) -> tuple[list[Operation], Call | None, bool]:
        """Wait for something to do, then take what there is, up to a call or the stop.

        Somebody waits for a delivery or a call; anything else waits a little for one of them, so
        that it does not cost an fsync of its own.
        """
        operations: list[Operation] = []
        urgent, end = False, None
        if self._waiting:
            end = time.monotonic() + _RETRY
        while len(operations) < _MOST:
            try:
                if urgent:
                    item = self._queue.get_nowait()
                else:
                    item = self._queue.get(timeout=self._left(end))
            except (Empty, ValueError):  # ValueError: the time is over
                break
            if isinstance(item, Call):
                return operations, item, False
            if isinstance(item, _Stop):
                return operations, None, True
            operations += item
            urgent = urgent or any(isinstance(operation, NewDelivery) for operation in item)
            if end is None:
                end = time.monotonic() + _PATIENCE
        return operations, None, False

    def _left(self, end: float | None) -> float | None:
        if end is not None:
            return end - time.monotonic()
        look = math.inf if self._is_there is None else _LOOK
        if any(work.is_on for work in self._idle):
            look = max(0.0, min(look, self._rest_end - time.monotonic()))
        return None if look == math.inf else look

    def _look(self) -> bool:
        """Return whether the file is there, and say once that it is not, or is again."""
        is_there = self._is_there is None or self._is_there()
        if is_there != self._was_there:
            self._was_there = is_there
            _LOG.warning("%s", "the store's file is there again" if is_there else _GONE)
        return is_there

    def _transaction(self, work: Callable[[Connection], Any]) -> Any:
        if not self._look():
            raise StoreUnavailableError(_GONE)
        with self._guard:
            try:
                with self._connection.begin():
                    return work(self._connection)
            except (OperationalError, self._may_pass) as error:
                # Locked, full, read-only: it may pass. Whatever else is a fault of what is written.
                raise StoreUnavailableError(str(getattr(error, "orig", error))) from error
            finally:
                if self._connection.in_transaction():
                    self._connection.rollback()

    def _take_step(self) -> None:
        """Take a step of what is to be done where one is due; who comes meanwhile waits for it."""
        if self._waiting or time.monotonic() < self._rest_end:
            return
        if self._steps is None:
            self._steps = self._run_idle()
        with self._guard:
            if next(self._steps, None) is None:
                self._steps, self._rest_end = None, time.monotonic() + _REST

    def _run_idle(self) -> Iterator[_IdleWork]:
        for work in self._idle:
            if not work.is_on:
                continue
            try:
                for _ in work.run(self._connection, self._transaction):
                    yield work
                self._faults.discard(work.fault)
            except Exception as error:  # noqa: BLE001 - senders wait for this thread
                if work.fault not in self._faults:
                    _LOG.warning("%s: %s", work.fault, error)
                self._faults.add(work.fault)

    def _run_own(self, function: Callable[[Transaction], Any]) -> Any:
        with self._guard:
            return function(self._transaction)

    def _write(self, operations: list[Operation]) -> None:
        if not operations:
            return
        self._waiting = []
        try:
            self._transaction(lambda connection: self._apply(connection, operations))
        except StoreUnavailableError as error:
            self._keep(operations, error)
        except Exception as error:  # noqa: BLE001 - one row that cannot be written stops no other
            if len(operations) == 1:
                self._drop(operations[0], error)
            else:
                for operation in operations:
                    self._write_one(operation)
        deliveries = [item for item in operations if isinstance(item, NewDelivery)]
        if deliveries:
            self._stored(deliveries)

    def _write_one(self, operation: Operation) -> None:
        try:
            self._transaction(lambda connection: self._apply(connection, [operation]))
        except StoreUnavailableError as error:
            self._keep([operation], error)
        except Exception as error:  # noqa: BLE001 - as above
            self._drop(operation, error)

    def _keep(self, operations: list[Operation], error: StoreUnavailableError) -> None:
        """Return deliveries their error; hold everything else until the store can be written."""
        for operation in operations:
            if isinstance(operation, NewDelivery):
                operation.error = error
            elif len(self._waiting) < _MOST_WAITING:
                self._waiting.append(operation)

    def _drop(self, operation: Operation, error: Exception) -> None:
        if isinstance(operation, NewDelivery):
            operation.error = error
        else:
            _LOG.error("%s could not be stored: %s", type(operation).__name__, error)

    def _run_call(self, call: Call) -> None:
        try:
            run = self._run_own if call.is_own else self._transaction
            call.future.set_result(call.function and run(call.function))
        except (SQLAlchemyError, self._failed, StoreError) as error:
            wrapped = error if isinstance(error, StoreError) else StoreError(str(error))
            call.future.set_exception(wrapped)
        except BaseException as error:  # noqa: BLE001 - it belongs to the one who called
            call.future.set_exception(error)
