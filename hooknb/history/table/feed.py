"""The feed: what a table of a hook's deliveries shows, read as they arrive."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Final

from hooknb.history.table.filters import compile_filter
from hooknb.history.table.kept import Kept, without
from hooknb.history.table.rows import Row, Rows
from hooknb.history.table.scanning import Scan
from hooknb.history.table.table_columns import Column, Columns
from hooknb.store import queries

if TYPE_CHECKING:
    from hooknb.store import Store
    from hooknb.workflow import Trigger

__all__ = ["Feed"]

_MAX_RESPONSES: Final = 500  # whose median is returned


class Feed:
    """The deliveries of a hook as a table shows them: counted, filtered, a few rows at a time.

    Only ids are kept, as runs, and eight bytes for each that a filter finds; rows are read when
    they are asked for. A view is all deliveries, or those that a filter finds, oldest first; an
    ordinal is a position in it, from 0.

    Used by one thread at a time. Everything reads the store in the calling thread.

    Parameters
    ----------
    store, workflow_id
        Whose deliveries.
    trigger
        Returns the hook's current trigger, for its variables.
    """

    def __init__(self, store: Store, workflow_id: int, trigger: Callable[[], Trigger]) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._trigger = trigger
        self._kept = Kept(store, workflow_id)
        self._columns = Columns(store, workflow_id)
        self._rows = Rows(store, workflow_id)
        self._filter = compile_filter("")
        self._scan = Scan(store, workflow_id, self._filter)
        self._found: array[int] | None = None
        self._generation = 0

    # -- what is there --------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Read which deliveries are new, and notice what was cleared or pruned.

        The first time costs the same for any number of deliveries, unless some are missing among
        them (refused ones that were pruned): then all ids are read, in the database. Later only
        what is new is read.

        Returns
        -------
        bool
            Whether any were added or removed. Responses and ends of executions do not count:
            rows are read afresh each time.

        Raises
        ------
        StoreUnavailableError
            The store cannot be read.
        """
        change = self._kept.refresh()
        if change.void:
            self._columns.reset()
            self._start_over()
        elif change.gone:
            self._take_out(change.gone)
        return change.void or bool(change.gone) or change.added > 0

    @property
    def generation(self) -> int:
        """A number that rises whenever ordinals that were given before are void.

        So it does where a filter was set, the hook was cleared, refused deliveries of the view
        were pruned, or a later response changed what a filter finds among earlier ones.
        """
        return self._generation

    @property
    def total(self) -> int:
        """How many deliveries are kept."""
        return len(self._kept.ids)

    @property
    def refused(self) -> int:
        """How many of them were refused."""
        return len(self._kept.refused)

    def now(self) -> int:
        """Return the time of the hook's runtime, in microseconds since 1970.

        A fixed clock stands still while deliveries arrive: by it, it is the second of the newest.
        """
        clock = self._store.clock
        return max(clock.now(), self._kept.newest_us) if clock.is_fixed else clock.now()

    def strip(self, now_us: int, buckets: int = 30, seconds: int = 10) -> list[tuple[int, int]]:
        """Count deliveries by time; read nothing.

        Parameters
        ----------
        now_us
            As of :meth:`now`; the last bucket is the one that it falls into.
        buckets, seconds
            How many, and how long each is; they begin at multiples of ``seconds``. Together at
            most five minutes: what is older is not known.

        Returns
        -------
        list of tuple
            All and refused deliveries of each bucket, oldest first. Refused ones that were pruned
            since they were seen are still counted.
        """
        return self._kept.strip(now_us, buckets, seconds)

    def median_ms(self) -> float | None:
        """Return the median time to the response, over the newest 500 deliveries that have one.

        Returns
        -------
        float or None
            Milliseconds; ``None`` without a response.
        """
        durations = queries.read_durations(self._store, self._workflow_id, _MAX_RESPONSES)
        return median(durations) / 1000 if durations else None

    # -- the table ------------------------------------------------------------------------------

    def columns(self) -> list[Column]:
        """Return the columns: the configured variables, or up to five leaves of the deliveries.

        They stay the same until the configured variables change or the hook is cleared. Of the
        configured ones objects and lists are left out, unless there is nothing else. Leaves are
        found in the newest 20 accepted deliveries, the most frequent first; lists are kept whole.
        """
        return list(self._columns.read(self._trigger()))

    def ids(self) -> Sequence[int]:
        """Return the ids of the view, oldest first: the position of each is its ordinal.

        They stay as they are. Where nothing is filtered that costs nothing for any number of them.
        """
        return self._kept.ids.copy() if self._found is None else self._found[:]

    def ordinal(self, number: int) -> int | None:
        """Return the ordinal of a delivery, or ``None`` where it is not in the view."""
        view = self._view
        at = bisect_left(view, number)
        return at if at < len(view) and view[at] == number else None

    def rows(self, ordinals: Sequence[int]) -> list[Row]:
        """Read rows, as they are now.

        60 rows of small bodies take a few milliseconds the first time. Cells are kept for the
        next time; bodies beyond 256 KiB are not read, and their cells are ``…``.

        Parameters
        ----------
        ordinals
            Positions in the view, in any order. Those out of range, and deliveries that are gone,
            are left out.

        Raises
        ------
        StoreUnavailableError
            The store cannot be read.
        """
        view = self._view
        wanted = {ordinal: view[ordinal] for ordinal in ordinals if 0 <= ordinal < len(view)}
        rows = self._rows.read(wanted, self._columns.read(self._trigger()))
        if len(rows) < len(wanted):
            self._kept.suspect()
        return rows

    # -- the filter -----------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        """Show only what a filter finds; :meth:`scan` looks for it.

        Parameters
        ----------
        text
            As of :func:`hooknb.history.table.compile_filter`; an empty one shows everything.

        Raises
        ------
        SettingError
            The text is not a filter; the one before stays.
        """
        made = compile_filter(text)
        if made.text != self._filter.text:
            self._filter = made
            self._start_over()

    def scan(self, seconds: float) -> bool:
        """Go on checking deliveries against the filter, oldest first, so that ordinals stay.

        Those whose response was sent since are checked again, where the filter looks at responses.

        Parameters
        ----------
        seconds
            How long to go on. At least one delivery is checked, and takes as long as it takes
            (see :meth:`hooknb.history.table.Filter.matches`).

        Returns
        -------
        bool
            Whether all that :meth:`refresh` knows have been checked.
        """
        if self._found is None:
            return True
        end = time.monotonic() + seconds
        self._check_answered()
        self._found.extend(self._scan.go(self._kept.ids, end))
        return not self._kept.ids or self._scan.last >= self._kept.ids[-1]

    @property
    def matched(self) -> int:
        """How many rows the view has."""
        return len(self._view)

    @property
    def scanned(self) -> int:
        """How many deliveries were checked against the filter; all of them where there is none."""
        if self._found is None:
            return len(self._kept.ids)
        return bisect_right(self._kept.ids, self._scan.last)

    @property
    def _view(self) -> Sequence[int]:
        return self._kept.ids if self._found is None else self._found

    def _start_over(self) -> None:
        self._generation += 1
        self._scan = Scan(self._store, self._workflow_id, self._filter)
        self._found = None if self._filter.is_empty else array("q")

    def _take_out(self, gone: Sequence[int]) -> None:
        """Take what was pruned out of the view; ordinals are void only where it was in it."""
        if self._found is not None:
            left = without(self._found, gone)
            if len(left) == len(self._found):
                return
            self._found = left
        self._generation += 1

    def _check_answered(self) -> None:
        responded, found = self._scan.again()
        if self._found is None or not responded:
            return
        before = set(responded).intersection(self._found)
        if before == found:
            return
        last = self._found[-1] if self._found else 0
        if before or min(found) < last:
            self._generation += 1
        kept = without(self._found, sorted(before))
        self._found = array("q", sorted([*kept, *found]))
