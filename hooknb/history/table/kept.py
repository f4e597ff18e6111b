"""Which deliveries are kept: their ids, the refused among them, and how many in each second."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hooknb.history.table.id_runs import IdRuns
from hooknb.store import queries
from hooknb.store.operations import KEPT_REFUSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hooknb.store import Store

__all__ = ["Change", "Kept", "without"]

_SECOND: Final = 1_000_000
_FIRST_SECONDS: Final = (
    330  # seconds whose counts are read at first: five minutes, and the buckets' edges
)
_MAX_SECONDS: Final = 2 * _FIRST_SECONDS
_MAX_COUNTED: Final = 10_000  # deliveries that are counted one by one at first; beyond, by halving
_MAX_ROWS: Final = 10_000  # of one statement: an in-memory store writes nothing meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What changed among the known ids.

    Attributes
    ----------
    void
        Nothing that was known before holds: the hook was cleared, or rows were deleted.
    gone
        Deliveries that the store keeps no longer, in order: pruned or expired ones.
    added
        How many were added.
    """

    void: bool
    gone: Sequence[int]
    added: int


class Kept:
    """The ids of a workflow's deliveries, read as they arrive.

    Parameters
    ----------
    store, workflow_id
        What to read.

    Attributes
    ----------
    ids
        In order. Not to be changed.
    refused
        Those of the refused among them, in order. Not to be changed.
    """

    def __init__(self, store: Store, workflow_id: int) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._forget()

    def _forget(self) -> None:
        self._suspect = False
        self.ids = IdRuns()
        self.refused = array("q")
        self._last = 0
        # Deliveries and refused ones by the second of their receipt, in order of arrival.
        self._seconds: dict[int, list[int]] = {}

    @property
    def newest_us(self) -> int:
        """The second in which the newest one was received, in microseconds since 1970."""
        return next(reversed(self._seconds), 0) * _SECOND

    def suspect(self) -> None:
        """Have them counted the next time: one that should be there was not found."""
        self._suspect = True

    def refresh(self) -> Change:
        """Read which are new, and notice which are gone; see :meth:`Feed.refresh`."""
        expired = self._drop_expired() if self.ids else ()
        pruned = self._drop() if self.ids else ()
        void = pruned is None
        if void:
            self._forget()
        before = len(self.ids)
        if not self._last:
            self._read_all(is_counted=not void)
        self._read_new()
        gone = sorted([*expired, *(pruned or ())])
        return Change(void=void, gone=gone, added=len(self.ids) - before)

    def strip(self, now_us: int, buckets: int, seconds: int) -> list[tuple[int, int]]:
        """Count by time; see :meth:`hooknb.history.table.Feed.strip`."""
        last = now_us // (seconds * _SECOND)
        made = []
        for bucket in range(last - buckets + 1, last + 1):
            found = [
                counts
                for second in range(bucket * seconds, (bucket + 1) * seconds)
                if (counts := self._seconds.get(second)) is not None
            ]
            made.append((sum(counts[0] for counts in found), sum(counts[1] for counts in found)))
        return made

    def _drop_expired(self) -> Sequence[int]:
        """Drop what retention has deleted and return it."""
        upto, unexpired = queries.read_unexpired(self._store, self._workflow_id)
        left = frozenset(unexpired)
        known = self.ids[: bisect_right(self.ids, upto)]
        gone = [number for number in known if number not in left]
        if gone:
            self.ids, self.refused = self.ids.without(gone), without(self.refused, gone)
        return gone

    def _drop(self) -> Sequence[int] | None:
        """Drop the refused ones that were pruned and return them; ``None`` where all is void.

        Only the oldest refused ones go by themselves. So what is known holds where the others
        are all there, and so are the first and the last of the accepted ones.
        """
        oldest, count, has_first, has_last = queries.check_ids(
            self._store, self._workflow_id, self._last, *self._ends()
        )
        at = len(self.refused) if oldest is None else bisect_left(self.refused, oldest)
        if not has_first or not has_last or count != len(self.refused) - at:
            return None
        # Pruning leaves a thousand; where there are fewer, they were cleared and others arrived.
        all_are_gone = bool(self.refused) and at == len(self.refused)
        if all_are_gone and queries.count_refused(self._store, self._workflow_id) < KEPT_REFUSED:
            return None
        gone = self.refused[:at]
        if gone:
            del self.refused[:at]
            self.ids = self.ids.without(gone)
        if self._suspect:
            self._suspect = False
            total = queries.count_deliveries(self._store, self._workflow_id, self._last)
            if total < len(self.ids):
                return None
        return gone

    def _ends(self) -> tuple[int | None, int | None]:
        """Return the first and the last accepted one."""
        ids, refused = self.ids, self.refused
        if len(refused) == len(ids):
            return None, None
        first, last = 0, -1
        while first < len(refused) and ids[first] == refused[first]:
            first += 1
        while -last <= len(refused) and ids[last] == refused[last]:
            last -= 1
        return ids[first], ids[last]

    def _read_all(self, *, is_counted: bool) -> None:
        known = queries.read_known_bounds(self._store, self._workflow_id)
        if known is None:
            return
        first, last, refused, kept = known
        if is_counted and kept == last - first + 1:
            self.ids = IdRuns([(first, last)])
            # Counting a million takes a moment: the first look goes without.
            self._suspect = True
        else:
            self._read_runs(first, last)
        self.refused = array("q", refused)
        if self.ids:
            self._last = self.ids[-1]
            self._read_seconds()

    def _read_runs(self, first: int, last: int) -> None:
        """Read where ids are missing, by counting halves: whole ones are not looked into."""
        left = [(first, last)]
        while left:
            first, last = left.pop()
            if last - first >= _MAX_ROWS:
                count = queries.count_between(self._store, self._workflow_id, first, last)
                if count == last - first + 1:
                    self.ids.extend(first, last)
                elif count:
                    middle = (first + last) // 2
                    left += [(middle + 1, last), (first, middle)]
                continue
            for number in queries.read_ids_between(self._store, self._workflow_id, first, last):
                self.ids.append(number)

    def _read_seconds(self) -> None:
        """Count the newest, going back in ever longer pieces until five minutes are behind."""
        counted: dict[int, list[int]] = {}
        end, size, newest = len(self.ids) - 1, min(1_000, _MAX_COUNTED), None
        least = len(self.ids) - _MAX_COUNTED
        while end >= max(0, least):
            start = max(0, end - size + 1)
            rows = queries.read_counts_by_second(
                self._store, self._workflow_id, self.ids[start], self.ids[end]
            )
            for second, total, refused in rows:
                _count(counted, second, total, refused)
            latest = max((row[0] for row in rows), default=None)
            newest = latest if newest is None else newest
            if newest is not None and (latest is None or latest < newest - _FIRST_SECONDS):
                break
            end, size = start - 1, min(4 * size, _MAX_ROWS)
        else:
            if end >= 0 and newest is not None:
                self._count_by_halving(counted, end, newest - _FIRST_SECONDS)
        for second in sorted(counted)[-_MAX_SECONDS:]:
            self._seconds[second] = counted[second]

    def _count_by_halving(self, counted: dict[int, list[int]], end: int, oldest: int) -> None:
        """Count those up to a place that were received in a second or later.

        As their times rise with their ids, some hundred of them are read, and not all; where the
        clock was set back meanwhile, some are counted in another second.
        """
        seconds = self._read_places([0, end])
        pieces = [(0, end, seconds[0], seconds[end])]
        _count(counted, seconds[end], 1, 0)
        while pieces:
            middles = self._read_places([(first + last) // 2 for first, last, *_ in pieces])
            halves = [
                half
                for first, last, since, until in pieces
                for middle in ((first + last) // 2,)
                for half in (
                    (first, middle, since, middles[middle]),
                    (middle, last, middles[middle], until),
                )
            ]
            pieces = []
            for first, last, since, until in halves:
                if until < oldest:
                    continue
                if since == until or last - first <= 1:
                    _count(counted, since, last - first, 0)
                else:
                    pieces.append((first, last, since, until))
        refused = self.refused[: bisect_right(self.refused, self.ids[end])]
        for second in queries.read_seconds_of(self._store, self._workflow_id, refused).values():
            if second in counted:
                _count(counted, second, 0, 1)

    def _read_places(self, places: Sequence[int]) -> dict[int, int]:
        """Return the second of each of some places; of what is gone meanwhile 0."""
        ids = {place: self.ids[place] for place in places}
        read = queries.read_seconds_of(self._store, self._workflow_id, list(ids.values()))
        return {place: read.get(number, 0) for place, number in ids.items()}

    def _read_new(self) -> None:
        while True:
            rows = queries.read_new_ids(self._store, self._workflow_id, self._last, _MAX_ROWS)
            for number, received, is_refused in rows:
                self.ids.append(number)
                counts = self._seconds.setdefault(received // _SECOND, [0, 0])
                counts[0] += 1
                if is_refused:
                    self.refused.append(number)
                    counts[1] += 1
            if rows:
                self._last = rows[-1][0]
            while len(self._seconds) > _MAX_SECONDS:
                # By arrival, not by time: clocks are set back.
                del self._seconds[next(iter(self._seconds))]
            if len(rows) < _MAX_ROWS:
                return


def _count(counted: dict[int, list[int]], second: int, total: int, refused: int) -> None:
    counts = counted.setdefault(second, [0, 0])
    counts[0] += total
    counts[1] += refused


def without(ids: array[int], gone: Sequence[int]) -> array[int]:
    """Return sorted ids without some, which are sorted too; ids not among them are ignored.

    Pieces are copied as memory: a hundred thousand ids take a tenth of a millisecond.
    """
    left = array("q")
    start = 0
    for number in gone:
        at = bisect_left(ids, number, start)
        if at < len(ids) and ids[at] == number:
            left.extend(ids[start:at])
            start = at + 1
    left.extend(ids[start:])
    return left
