"""Finding deliveries: a filter asked of what the store keeps, a piece at a time."""

from __future__ import annotations

import json
import time
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from hooknb.history.delivery import StoredRequest

if TYPE_CHECKING:
    from hooknb.history.feed.filters import Filter
    from hooknb.store import Store

__all__ = ["Scan", "matching_ids"]

_FIRST: Final = 16  # rows of the first piece, while nothing is known of their size and cost
_MOST: Final = 1_000
_MOST_IN_SQL: Final = 10_000  # rows that a condition in SQL is asked of at once
_BYTES: Final = 4 * 2**20  # of one piece, about
_PIECE: Final = 0.01  # seconds that a piece should take
_MOST_OPEN: Final = 1_000  # unanswered deliveries that are asked again
_BEYOND: Final = 2**63 - 1  # no id is greater

_JOINED: Final = (
    "FROM deliveries d LEFT JOIN responses a "
    "ON a.workflow_id = d.workflow_id AND a.delivery_id = d.id WHERE "
)


class Scan:
    """Asks a filter of deliveries in the order of their ids, a piece at a time.

    Parameters
    ----------
    store, workflow_id
        What to read.
    asked
        The filter.

    Attributes
    ----------
    last
        The id up to which everything was asked.
    """

    def __init__(self, store: Store, workflow_id: int, asked: Filter) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._filter = asked
        self._size = _FIRST
        # Those that had no answer yet, where the filter looks at it; an ordered set.
        self._open: dict[int, None] = {}
        self.last = 0

    def go(self, ids: array[int], end: float) -> Iterator[int]:
        """Go on, and give those that are found.

        Parameters
        ----------
        ids
            The ids of the workflow, in order.
        end
            When to stop, by :func:`time.monotonic`; one at least is asked.
        """
        while ids and self.last < ids[-1]:
            if self._filter.where is not None:
                yield from self._ask_store(ids)
            else:
                yield from self._ask_each(ids[-1], end)
            if time.monotonic() >= end:
                return

    def again(self) -> tuple[list[int], set[int]]:
        """Ask again of those that have been answered meanwhile.

        Returns
        -------
        tuple
            Their ids, and which of them are found now.
        """
        if not self._open:
            return [], set()
        rows = self._store.rows(
            f"SELECT {_columns(self._filter)} {_JOINED}"  # noqa: S608 - own words
            "d.workflow_id = ? AND a.status IS NOT NULL "
            "AND d.id IN (SELECT value FROM json_each(?))",
            (self._workflow_id, json.dumps(list(self._open))),
        )
        for row in rows:
            del self._open[row[0]]
        found = {
            number for number, _, *values in rows if self._filter.matches(StoredRequest(values))
        }
        return [row[0] for row in rows], found

    def _ask_store(self, ids: array[int]) -> list[int]:
        upto = ids[min(bisect_right(ids, self.last) + _MOST_IN_SQL, len(ids)) - 1]
        condition, parameters = self._filter.where or ("1", ())
        rows = self._store.rows(
            f"SELECT d.id, a.status IS NULL, {condition} {_JOINED}"
            "d.workflow_id = ? AND d.id > ? AND d.id <= ? ORDER BY d.id",
            (*parameters, self._workflow_id, self.last, upto),
        )
        self._keep_open(number for number, is_open, _ in rows if is_open)
        self.last = upto
        return [number for number, _, found in rows if found]

    def _ask_each(self, upto: int, end: float) -> Iterator[int]:
        started = time.monotonic()
        rows = self._store.rows(
            f"SELECT {_columns(self._filter)} {_JOINED}"
            "d.workflow_id = ? AND d.id > ? AND d.id <= ? ORDER BY d.id LIMIT ?",
            (self._workflow_id, self.last, upto, self._size),
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
            while len(self._open) > _MOST_OPEN:
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
        condition, parameters = asked.where
        rows = store.rows(
            f"SELECT d.id {_JOINED}d.workflow_id = ? AND {condition} ORDER BY d.id DESC LIMIT ?",
            (workflow_id, *parameters, _BEYOND if limit is None else min(limit, _BEYOND)),
        )
        return [row[0] for row in reversed(rows)]
    found: list[int] = []
    for number in _newest_first(store, workflow_id, asked):
        found.append(number)
        if len(found) == limit:
            break
    return found[::-1]


def _newest_first(store: Store, workflow_id: int, asked: Filter) -> Iterator[int]:
    before, size = _BEYOND, _FIRST
    while True:
        started = time.monotonic()
        rows = store.rows(
            f"SELECT {_columns(asked)} {_JOINED}"
            "d.workflow_id = ? AND d.id < ? ORDER BY d.id DESC LIMIT ?",
            (workflow_id, before, size),
        )
        for number, _, *values in rows:
            if asked.matches(StoredRequest(values)):
                yield number
        if len(rows) < size:
            return
        before = rows[-1][0]
        size = _next_size(size, rows, time.monotonic() - started)


def _columns(asked: Filter) -> str:
    """Name what is read of a delivery; what the filter does not look at stays in the store."""
    head = "d.head" if asked.needs_head else "x''"
    body = "d.body" if asked.needs_body else "x''"
    size = "length(d.body)" if asked.needs_body else "0"
    return (
        f"d.id, {size}, d.method, d.query, d.content_type, d.content_encoding, {head}, {body}, "
        "d.size, d.reason, d.detail, a.status"
    )


def _next_size(size: int, rows: Sequence[Sequence[Any]], took: float) -> int:
    """Give how many rows to read next, by the bytes and the time of those before."""
    if not rows:
        return size
    average: int = sum(row[1] for row in rows) // len(rows) + 1
    wanted = 2 * size if took < _PIECE else size // 2
    return max(1, min(wanted, _MOST, _BYTES // average))
