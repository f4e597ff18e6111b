"""Waiting for deliveries that a filter finds, and telling what was received instead."""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING, Any, Final

from hooknb.errors import RecordNotFoundError, ServerError, WaitTimeoutError
from hooknb.history.table import compile_filter
from hooknb.history.table.rows import Row, Rows
from hooknb.history.table.scanning import Scan
from hooknb.history.table.shown_text import cut, plain
from hooknb.history.table.table_columns import Column, Columns
from hooknb.records import Delivery
from hooknb.settings import checked_count, checked_timeout
from hooknb.store import queries

if TYPE_CHECKING:
    from hooknb.history.table import Filter
    from hooknb.intake.served import HookState
    from hooknb.store import Store

__all__ = ["wait_for"]

_PIECE_SECONDS: Final = 0.05  # seconds of looking, after which the time is looked at
# What waits to be written where another program holds the store is announced before it is there.
_RETRY_SECONDS: Final = 1.0  # seconds
_MAX_ROWS: Final = 10
_MAX_CELL_CHARACTERS: Final = 72  # characters of a cell


def wait_for(
    store: Store,
    state: HookState,
    text: str,
    n: int,
    timeout: float | None,
) -> list[Delivery]:
    """Wait for deliveries; see :meth:`hooknb.Hook.wait_for`.

    Blocks the calling thread, which is not the hook's server's, and sleeps until a delivery
    arrives or an execution ends.
    """
    __tracebackhide__ = True  # pytest shows the line of the test, and the table
    search = _Search(store, state.workflow_id, compile_filter(text), checked_count(n, 1))
    timeout = checked_timeout(timeout)
    end = None if timeout is None else time.monotonic() + timeout

    while True:
        with state.changed:
            before = (state.arrived, state.unfinished)
        if state.closed:
            message = (
                f"hook {state.name!r} was closed during the wait; make it again to wait for more"
            )
            raise ServerError(message)
        store.flush()
        found = search.look(end)
        if found is not None:
            return found
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            message = _message(store, state, search, f"{timeout:g} s")
            raise WaitTimeoutError(message)
        with state.changed:
            if before == (state.arrived, state.unfinished) and not state.closed:
                state.changed.wait(_RETRY_SECONDS if left is None else min(left, _RETRY_SECONDS))


class _Search:
    """Checks each new delivery once; again once it has a response, where the filter needs that."""

    def __init__(self, store: Store, workflow_id: int, wanted_filter: Filter, n: int) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._scan = Scan(store, workflow_id, wanted_filter)
        self.text = wanted_filter.text
        self.wanted = n
        self.found: set[int] = set()
        self.unfinished = 0

    def look(self, end: float | None) -> list[Delivery] | None:
        """Return the first ones where all are there and have ended; looks until ``end``."""
        self.found.update(self._scan.again()[1])
        ids = array("q", queries.read_ids(self._store, self._workflow_id, self._scan.last))
        while ids and self._scan.last < ids[-1] and len(self.found) < self.wanted:
            now = time.monotonic()
            self.found.update(self._scan.go(ids, now + _PIECE_SECONDS))
            if end is not None and now > end:
                break
        # A hook that was cleared meanwhile has forgotten some.
        self.found = set(queries.keep_known(self._store, self._workflow_id, self.found))
        first = sorted(self.found)[: self.wanted]
        self.unfinished = len(queries.keep_running(self._store, self._workflow_id, first))
        if len(first) < self.wanted or self.unfinished:
            return None
        try:
            return [self._store.delivery(self._workflow_id, number) for number in first]
        except RecordNotFoundError:
            return None


# -- what was received instead


def _message(store: Store, state: HookState, search: _Search, after: str) -> str:
    which = f" matching {search.text!r}" if search.text else ""
    found = min(len(search.found), search.wanted)
    few = "delivery" if search.wanted == 1 else "deliveries"
    said = f"{state.name}: after {after}, {found} of {search.wanted} {few}{which} had arrived"
    if search.unfinished:
        said += f", and {search.unfinished} of their executions had not ended"
    newest = queries.read_newest_ids(store, state.workflow_id, _MAX_ROWS)
    if not newest:
        return (
            f"{said}. Nothing was received: send first, in another thread or cell where it waits "
            "for a response, or give a longer timeout."
        )
    total = store.counts(state.workflow_id).deliveries
    cut_off = f" (the newest {_MAX_ROWS} of {total})" if total > len(newest) else ""
    return f"{said}. Received{cut_off}:\n\n{_table(store, state, search, newest)}"


def _table(store: Store, state: HookState, search: _Search, ids: list[int]) -> str:
    trigger = state.served.workflow.trigger
    configured = any(variables for _, variables in trigger.parts)
    columns = Columns(store, state.workflow_id).read(trigger) if configured else []
    rows = Rows(store, state.workflow_id).read(dict(enumerate(ids)), columns)
    lines = [["id", "found", "response", "execution", "received"]]
    lines += [
        [
            str(row.id),
            "yes" if row.id in search.found else "no",
            "-" if row.status is None else str(row.status),
            _outcome(row),
            _variables(columns, row) or _body(store, state, row.id),
        ]
        for row in rows
    ]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _outcome(row: Row) -> str:
    what = "refused" if row.refused else row.execution or ""
    return _printable(what if row.reason is None else f"{what}: {row.reason}")


def _variables(columns: list[Column], row: Row) -> str:
    """Write the configured variables that were received; credentials among them are masked."""
    pairs = zip(columns, row.cells, strict=True)
    return _printable(", ".join(f"{column.title}: {cell}" for column, cell in pairs if cell))


def _body(store: Store, state: HookState, number: int) -> str:
    """Write the start of a body."""
    try:
        delivery = store.delivery(state.workflow_id, number)
    except RecordNotFoundError:
        return ""
    value: Any = delivery.body
    if value is None:
        value = delivery.raw[: 4 * _MAX_CELL_CHARACTERS].decode("utf-8", "replace")
    return _printable(plain(value) or f"{delivery.method} without a body")


def _printable(text: str) -> str:
    shown = "".join(
        character if character.isprintable() else " "
        for character in text[: 2 * _MAX_CELL_CHARACTERS]
    )
    return cut(" ".join(shown.split()), _MAX_CELL_CHARACTERS)
