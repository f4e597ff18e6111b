"""Ids in order, as runs of consecutive ones: a million deliveries are a handful of them."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import overload

__all__ = ["IdRuns"]


class IdRuns(Sequence[int]):
    """A sequence of rising ids that knows the first, the last and the place of each run.

    Parameters
    ----------
    runs
        First and last id of each, in order, not touching each other.
    """

    def __init__(self, runs: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts = array("q")
        self._lasts = array("q")
        self._places = array("q")
        for first, last in runs:
            self.extend(first, last)

    def __len__(self) -> int:
        if not self._places:
            return 0
        return self._places[-1] + self._lasts[-1] - self._firsts[-1] + 1

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[int]: ...
    def __getitem__(self, at: int | slice) -> int | Sequence[int]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(at)
        run = bisect_right(self._places, place) - 1
        return self._firsts[run] + place - self._places[run]

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(range(first, last + 1) for first, last in self._runs())

    def _runs(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def append(self, number: int) -> None:
        """Add an id above all others."""
        self.extend(number, number)

    def extend(self, first: int, last: int) -> None:
        """Add all ids from one above all others to another."""
        if self._lasts and self._lasts[-1] + 1 == first:
            self._lasts[-1] = last
        else:
            self._places.append(len(self))
            self._firsts.append(first)
            self._lasts.append(last)

    def copy(self) -> IdRuns:
        """Return another one of the same ids."""
        return IdRuns(self._runs())

    def without(self, gone: Sequence[int]) -> IdRuns:
        """Return another one without some ids, which are in order; what is not there is ignored."""
        left: list[tuple[int, int]] = []
        at = 0
        for start, last in self._runs():
            first = start
            at = bisect_left(gone, first, at)
            while at < len(gone) and gone[at] <= last:
                if first < gone[at]:
                    left.append((first, gone[at] - 1))
                first = gone[at] + 1
                at += 1
            if first <= last:
                left.append((first, last))
        return IdRuns(left)
