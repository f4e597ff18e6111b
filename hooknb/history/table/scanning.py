"""Finding deliveries: a filter run over the stored ones, a piece at a time."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from hooknb.history.delivery import StoredRequest
from hooknb.store import queries

if TYPE_CHECKING:
    from hooknb.history.table.filters import Filter
    from hooknb.store import Store

__all__ = ["Scan", "matching_ids", "newest_matching"]

_FIRST_ROWS: Final = 16  # rows of the first piece, while nothing is known of their size and cost
_MAX_ROWS: Final = 1_000
_MAX_ROWS_IN_STORE: Final = 10_000  # rows that the store judges at once
_MAX_BYTES: Final = 4 * 2**20  # of one piece, about
_PIECE_SECONDS: Final = 0.01  # seconds that a piece should take
_MAX_OPEN: Final = 1_000  # deliveries without a response that are checked again


class Scan:
    """Checks deliveries against a filter in the order of their ids, a piece at a time.

    Parameters
    ----------
    store, workflow_id
        What to read.
    asked
        The filter.

    Attributes
    ----------
    last
        The id up to which everything was checked.
    """

    def __init__(self, store: Store, workflow_id: int, asked: Filter) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._filter = asked
        self._size = _FIRST_ROWS
        # Those without a response, where the filter looks at it; an ordered set.
        self._open: dict[int, None] = {}
        self.last = 0

    def go(self, ids: array[int], end: float) -> Iterator[int]:
        """Go on, and yield those that match.

        Parameters
        ----------
        ids
            The ids of the workflow, in order.
        end
            When to stop, by :func:`time.monotonic`; at least one is checked.
        """
        while ids and self.last < ids[-1]:
            if self._filter.where is not None:
                yield from self._check_in_store(ids, self._filter.where)
            else:
                yield from self._check_each(ids[-1], end)
            if time.monotonic() >= end:
                return

    def again(self) -> tuple[list[int], set[int]]:
        """Check again those whose response was sent meanwhile.

        Returns
        -------
        tuple
            Their ids, and which of them are found now.
        """
        if not self._open:
            return [], set()
        rows = queries.read_responded_requests(
            self._store, self._workflow_id, list(self._open), **_parts(self._filter)
        )
        for row in rows:
            del self._open[row[0]]
        found = {
            number for number, _, *values in rows if self._filter.matches(StoredRequest(values))
        }
        return [row[0] for row in rows], found

    def _check_in_store(self, ids: array[int], condition: queries.Condition) -> list[int]:
        upto = ids[min(bisect_right(ids, self.last) + _MAX_ROWS_IN_STORE, len(ids)) - 1]
        rows = queries.judge_deliveries(self._store, self._workflow_id, condition, self.last, upto)
        self._keep_open(row.id for row in rows if row.is_pending)
        self.last = upto
        return [row.id for row in rows if row.is_found]

    def _check_each(self, upto: int, end: float) -> Iterator[int]:
        started = time.monotonic()
        rows = queries.read_requests_after(
            self._store,
            self._workflow_id,
            self.last,
            upto,
            self._size,
            **_parts(self._filter),
        )
        for number, _, *values in rows:
            self.last = number
            if values[-1] is None:
                self._keep_open((number,))
            if self._filter.matches(StoredRequest(values)):
                yield number
            if time.monotonic() >= end:
                break
        else:
            self.last = self.last if len(rows) == self._size else upto
        self._size = _next_size(self._size, rows, time.monotonic() - started)

    def _keep_open(self, numbers: Iterable[int]) -> None:
        if self._filter.needs_response:
            self._open.update(dict.fromkeys(numbers))
            while len(self._open) > _MAX_OPEN:
                del self._open[next(iter(self._open))]


def matching_ids(
    store: Store, workflow_id: int, asked: Filter, limit: int | None = None
) -> list[int]:
    """Find the deliveries of a workflow that a filter finds.

    Blocks while it reads: 100,000 small deliveries take a tenth of a second for a status or an
    outcome, some seconds for a text or an expression. Bodies are read a few megabytes at a time.

    Parameters
    ----------
    store, workflow_id
        Where to look.
    asked
        The filter.
    limit
        Only the newest so many of them; ``None`` is all.

    Returns
    -------
    list of int
        Their ids, oldest first.
    """
    if limit is not None and limit <= 0:
        return []
    if asked.where is not None:
        return queries.find_ids(store, workflow_id, asked.where, limit)
    found: list[int] = []
    for number in _newest_first(store, workflow_id, asked):
        found.append(number)
        if len(found) == limit:
            break
    return found[::-1]


def newest_matching(
    store: Store, workflow_id: int, asked: Filter, ids: Sequence[int]
) -> Iterator[int]:
    """Yield those of some ids that a filter finds, newest first; read as they are taken.

    Parameters
    ----------
    store, workflow_id
        Where to look.
    asked
        The filter.
    ids
        Ids of deliveries in order. What lies between the first and the last is read.
    """
    if not ids:
        return
    wanted = set(ids)
    if asked.where is not None:
        numbers: Iterable[int] = reversed(queries.find_ids(store, workflow_id, asked.where))
    else:
        numbers = _newest_first(store, workflow_id, asked, before=ids[-1] + 1, after=ids[0] - 1)
    yield from (number for number in numbers if number in wanted)


def _newest_first(
    store: Store, workflow_id: int, asked: Filter, *, before: int = queries.MAX_ID, after: int = 0
) -> Iterator[int]:
    size = _FIRST_ROWS
    while True:
        started = time.monotonic()
        rows = queries.read_requests_before(store, workflow_id, before, size, **_parts(asked))
        for number, _, *values in rows:
            if number <= after:
                return
            if asked.matches(StoredRequest(values)):
                yield number
        if len(rows) < size:
            return
        before = rows[-1][0]
        size = _next_size(size, rows, time.monotonic() - started)


def _parts(asked: Filter) -> dict[str, bool]:
    """Name what is read of a delivery; what the filter does not look at stays in the store."""
    return {"head": asked.needs_head, "body": asked.needs_body}


def _next_size(size: int, rows: Sequence[Sequence[Any]], took: float) -> int:
    """Return how many rows to read next, by the bytes and the time of those before."""
    if not rows:
        return size
    average: int = sum(row[1] for row in rows) // len(rows) + 1
    wanted = 2 * size if took < _PIECE_SECONDS else size // 2
    return max(1, min(wanted, _MAX_ROWS, _MAX_BYTES // average))
