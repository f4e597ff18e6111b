"""Finding deliveries: a filter run over the stored ones, a piece at a time."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from hooknb.history.delivery import StoredRequest
from hooknb.history.table.progress import Progress
from hooknb.store import queries
from hooknb.store.text_index import open_candidates

if TYPE_CHECKING:
    from hooknb.history.table.filters import Filter
    from hooknb.store import Store

__all__ = ["Scan", "Search", "matching_ids"]

_FIRST_ROWS: Final = 16  # rows of the first piece, while nothing is known of their size and cost
_MAX_ROWS: Final = 1_000
_MAX_ROWS_IN_STORE: Final = 10_000  # rows that the store judges at once
_PAGE_IDS: Final = 5_000  # candidates that the index is asked for at once
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
        self._rows = _Rows(store, workflow_id, asked, pending=asked.needs_response)
        self._size = _FIRST_ROWS
        # Those without a response, where the filter looks at it; an ordered set.
        self._open: dict[int, None] = {}
        self.last = 0

    def go(self, ids: Sequence[int], end: float) -> Iterator[int]:
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
        rows = self._rows.responded(list(self._open))
        for row in rows:
            del self._open[row[0]]
        found = {
            number for number, _, *values in rows if self._filter.matches(StoredRequest(values))
        }
        return [row[0] for row in rows], found

    def _check_in_store(self, ids: Sequence[int], condition: queries.Condition) -> list[int]:
        upto = ids[min(bisect_right(ids, self.last) + _MAX_ROWS_IN_STORE, len(ids)) - 1]
        rows = queries.judge_deliveries(self._store, self._workflow_id, condition, self.last, upto)
        self._keep_open(row.id for row in rows if row.is_pending)
        self.last = upto
        return [row.id for row in rows if row.is_found]

    def _check_each(self, upto: int, end: float) -> Iterator[int]:
        started = time.monotonic()
        rows, known = self._rows.after(self.last, upto, self._size)
        for number, _, *values in rows:
            self.last = number
            if values[-1] is None:
                self._keep_open((number,))
            if self._filter.matches(StoredRequest(values)):
                yield number
            if time.monotonic() >= end:
                break
        else:
            self.last = known
        self._size = _next_size(self._size, rows, time.monotonic() - started)

    def _keep_open(self, numbers: Iterable[int]) -> None:
        if self._filter.needs_response:
            self._open.update(dict.fromkeys(numbers))
            while len(self._open) > _MAX_OPEN:
                del self._open[next(iter(self._open))]


class Search:
    """Finds deliveries, newest first; an interrupt (Ctrl-C) leaves what was found so far.

    Blocks while it reads: 100,000 small deliveries take a tenth of a second for a status or an
    outcome, and a second or two for an expression, or for a text without an index. Bodies are read
    a few megabytes at a time. A search that takes longer than a second shows its progress.

    Parameters
    ----------
    store, workflow_id
        Where to look.
    asked
        The filter.
    within
        What else holds of the deliveries.

    Attributes
    ----------
    stopped
        Where it was interrupted, as a sentence; ``None`` if it was not.
    """

    def __init__(
        self,
        store: Store,
        workflow_id: int,
        asked: Filter,
        within: tuple[queries.Comparison, ...] = (),
    ) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._filter = asked
        self._within = within
        self.stopped: str | None = None

    def run(self, limit: int | None = None) -> list[int]:
        """Return the ids of what is found, oldest first; of more than ``limit`` the newest."""
        limit = queries.MAX_ID if limit is None else max(0, limit)
        first, last = queries.read_id_bounds(self._store, self._workflow_id)
        found: list[int] = []
        at = last + 1
        try:
            with Progress(last - first + 1) as progress:
                for at, ids in self._pieces(limit):
                    found += ids[: limit - len(found)]
                    if len(found) >= limit:
                        break
                    progress.tell(last + 1 - at)
        except KeyboardInterrupt:
            total = queries.count_deliveries(self._store, self._workflow_id, last)
            older = queries.count_deliveries(self._store, self._workflow_id, at - 1)
            self.stopped = (
                f"the search was interrupted at delivery {total - older:,} of {total:,}, counted "
                f"from the newest: those before id {at} were not looked at"
            )
        return found[::-1]

    def _pieces(self, limit: int) -> Iterator[tuple[int, list[int]]]:
        """Yield an id, down to which everything was checked, and what was found since."""
        asked = self._filter
        if asked.where is not None:
            found = queries.find_ids(
                self._store, self._workflow_id, asked.where, limit, self._within
            )
            yield 1, found[::-1]
            return
        rows_of = _Rows(self._store, self._workflow_id, asked, self._within)
        at, size = queries.MAX_ID, _FIRST_ROWS
        while at > 1:
            started = time.monotonic()
            rows, at = rows_of.before(at, size)
            yield (
                at,
                [number for number, _, *it in rows if asked.matches(StoredRequest(it))],
            )
            size = _next_size(size, rows, time.monotonic() - started)


def matching_ids(
    store: Store, workflow_id: int, asked: Filter, limit: int | None = None
) -> list[int]:
    """Find the deliveries of a workflow that a filter finds; see :class:`Search`.

    Returns
    -------
    list of int
        Their ids, oldest first; of more than ``limit`` the newest.

    Raises
    ------
    KeyboardInterrupt
        It was interrupted.
    """
    search = Search(store, workflow_id, asked)
    found = search.run(limit)
    if search.stopped is not None:
        raise KeyboardInterrupt(search.stopped)
    return found


class _Rows:
    """Reads the deliveries that a filter has to check, and passes over those that it need not.

    Everything that filters read comes through here. What the filter does not look at stays in the
    store, what its comparisons exclude too, and a text is looked for where the index has it.

    Parameters
    ----------
    store, workflow_id
        Where to look.
    asked
        The filter.
    within
        What else holds of the deliveries.
    pending
        Whether those without a response are read in any case, to be checked again later.
    """

    def __init__(
        self,
        store: Store,
        workflow_id: int,
        asked: Filter,
        within: tuple[queries.Comparison, ...] = (),
        *,
        pending: bool = False,
    ) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._scanned = queries.Scanned(
            head=asked.needs_head,
            body=asked.needs_body,
            narrow=(*asked.narrow, *within),
            pending=pending,
        )
        self._candidates = (
            open_candidates(store, workflow_id, asked.needle) if asked.needle else None
        )
        # Candidates from one id on and below another, which a search reads a piece at a time.
        self._page: list[int] = []
        self._first = self._end = 0
        # What is above this id is not indexed; not known yet below 0.
        self._plain = -1

    def before(self, before: int, size: int) -> tuple[list[Any], int]:
        """Read the newest before an id, and return down to which id none is left to be checked."""
        after = 0
        if self._candidates is not None and not 0 <= self._plain < before - 1:
            if not self._first < before <= self._end:
                ids, self._first = self._candidates.newest(0, before, _PAGE_IDS)
                self._page, self._end = (ids or [])[::-1], before
                if ids is None:
                    self._plain, self._end = self._first, 0
            if self._end:
                at = bisect_left(self._page, before)
                part = self._page[max(0, at - size) : at]
                return self._listed(part)[::-1], part[0] if at > size else self._first
        if self._candidates is not None:
            after = self._plain
        elif self._scanned.narrow:
            top = min(before, queries.read_id_bounds(self._store, self._workflow_id)[1] + 1)
            after = max(0, top - _MAX_ROWS_IN_STORE)
        rows = queries.read_requests_before(
            self._store,
            self._workflow_id,
            self._scanned,
            after=after,
            before=before,
            limit=size,
        )
        return rows, rows[-1][0] if len(rows) == size else after + 1

    def after(self, after: int, upto: int, size: int) -> tuple[list[Any], int]:
        """Read the oldest after an id, and return up to which id none is left to be checked."""
        if self._candidates is not None and not 0 <= self._plain <= after:
            if not self._first <= after + 1 < self._end:
                ids, known = self._candidates.oldest(after, upto, _PAGE_IDS)
                self._page, self._first, self._end = ids or [], after + 1, known + 1
                if ids is None:
                    self._plain, self._end = after, 0
            if self._end:
                at = bisect_right(self._page, after)
                part = self._page[at : at + size]
                is_last = at + size >= len(self._page)
                return self._listed(part), self._end - 1 if is_last else part[-1]
        elif self._scanned.narrow:
            upto = min(upto, after + _MAX_ROWS_IN_STORE)
        rows = queries.read_requests_after(
            self._store,
            self._workflow_id,
            self._scanned,
            after=after,
            upto=upto,
            limit=size,
        )
        return rows, rows[-1][0] if len(rows) == size else upto

    def responded(self, ids: list[int]) -> list[Any]:
        """Read those of some ids that have a response by now."""
        return queries.read_responded_requests(self._store, self._workflow_id, self._scanned, ids)

    def _listed(self, ids: list[int]) -> list[Any]:
        if not ids:
            return []
        return queries.read_requests_listed(self._store, self._workflow_id, self._scanned, ids)


def _next_size(size: int, rows: Sequence[Sequence[Any]], took: float) -> int:
    """Return how many rows to read next, by the bytes and the time of those before."""
    if not rows:
        return size
    average: int = sum(row[1] for row in rows) // len(rows) + 1
    wanted = 2 * size if took < _PIECE_SECONDS else size // 2
    return max(1, min(wanted, _MAX_ROWS, _MAX_BYTES // average))
