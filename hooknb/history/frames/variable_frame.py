"""The frame of variables: those that are configured, or else every leaf received."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from hooknb import payloads
from hooknb.history.frames.chunks import Read, chunks, read_of
from hooknb.history.frames.growing_column import Column
from hooknb.history.frames.leaves import Leaves
from hooknb.history.frames.typed_arrays import frame, joined, times, times_of
from hooknb.paths import MISSING
from hooknb.records import read_body
from hooknb.store import queries, segments
from hooknb.store.segments import Segment
from hooknb.workflow.variables import Variable, column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from hooknb.history.frames.typed_arrays import Array
    from hooknb.store import Store
    from hooknb.workflow import Trigger

__all__ = ["VariableRows", "variable_key"]

_MAX_COLUMNS: Final = 500
_EARLY: Final = 5_000  # rows that are better read again at once than after all the others

_Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

Key = tuple[tuple[str, str, str], ...]
"""Part, path and column of every configured variable."""


def variable_key(trigger: Trigger) -> Key:
    """Return what a trigger configures; nothing where the variables are inferred."""
    return tuple(
        (part, variable.path, column(part, variable))
        for part, variables in trigger.parts
        for variable in variables
    )


class _Source(Protocol):
    """Takes the variables out of deliveries."""

    def add(self, start: int, rows: Sequence[tuple[Any, ...]]) -> None:
        """Take them out of rows of `read_variable_rows`, the first of which is number ``start``."""

    def add_kept(self, start: int, segment: Segment) -> bool:
        """Take what the store keeps of rows in their place; return whether that was possible."""

    @property
    def stale(self) -> bool:
        """Whether every row must be added once more."""

    def restart(self) -> None:
        """Forget the values."""

    def columns(self) -> tuple[dict[str, Column], int]:
        """Return the columns by name, and how many were left out."""


class VariableRows:
    """Reads the frame of variables and keeps what it has read.

    Parameters
    ----------
    store, workflow_id
        What to read.
    ids
        Of the rows, in order; ``None`` for all.
    """

    def __init__(self, store: Store, workflow_id: int, ids: Sequence[int] | None = None) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._wanted = ids
        self.reset()

    def reset(self, key: Key = ()) -> None:
        """Forget what was read, and take these variables from now on."""
        self._key = key
        self._source: _Source = _Configured(key) if key else _Inferred()
        self._frame: pd.DataFrame | None = None
        self._forget_rows()

    def _forget_rows(self) -> None:
        self._ids = np.empty(0, dtype=np.int64)
        self._times: Array = times([])
        self._last = 0

    def read(self, key: Key) -> pd.DataFrame:
        """Return the frame; see :meth:`hooknb.history.frames.Frames.variables`."""
        if key != self._key or self._is_cleared():
            self.reset(key)
        before = self._last
        self._extend()
        while self._source.stale:
            self._forget_rows()
            self._source.restart()
            self._extend()
        if self._frame is None or self._last != before:
            self._frame = self._make_frame()
        return self._frame

    def _is_cleared(self) -> bool:
        # What has expired is part of the types and the order of columns: all are read again.
        if not self._ids.size:
            return False
        upto, left = queries.read_unexpired(self._store, self._workflow_id)
        known = self._ids[self._ids <= upto]
        if not np.isin(known, left).all():
            return True
        return not queries.has_record(self._store, self._workflow_id, int(self._ids[0]))

    def _extend(self) -> None:
        """Read what is new, or stop where starting again is faster."""
        ids, moments = [self._ids], []
        for new, received in self._add_new():
            ids.append(new)
            moments.append(received)
            if self._source.stale and sum(map(len, ids)) <= _EARLY:
                break
        if moments:
            self._last = int(ids[-1][-1])
            self._ids = np.concatenate(ids)
            self._times = joined(self._times, times_of(np.concatenate(moments)))

    def _add_new(self) -> Iterator[tuple[_Numbers, _Numbers]]:
        """Add what is new, whole ranges from what is kept of them; yield ids and times of each."""
        row, after = len(self._ids), self._last
        ranges = segments.read_ranges(self._store, self._workflow_id, after)
        for first, last in [*ranges, (queries.MAX_ID, queries.MAX_ID)]:
            read = self._rows_before(first)
            for rows in chunks(self._store, read, self._workflow_id, after=after):
                self._source.add(row, rows)
                row += len(rows)
                after = rows[-1][0]
                yield _numbers(rows, 0), _numbers(rows, 2)
            segment = self._read_segment(first, last)
            # What does not come out of one is read from the bodies, before the next one.
            if segment is not None and self._source.add_kept(row, segment):
                ids = np.frombuffer(segment.ids, dtype="<i8")
                row += len(ids)
                after = last
                yield ids, np.frombuffer(segment.times, dtype="<i8")

    def _rows_before(self, before: int) -> Read:
        if self._wanted is None:
            return partial(queries.read_variable_rows, before=before)
        ids = self._wanted[: bisect_left(self._wanted, before)]
        return read_of(ids, queries.read_listed_variable_rows)

    def _read_segment(self, first: int, last: int) -> Segment | None:
        """Read what is kept of a range, where all of it is wanted."""
        if first == queries.MAX_ID:
            return None
        wanted = self._wanted
        if wanted is not None:
            wanted = wanted[bisect_left(wanted, first) : bisect_right(wanted, last)]
            if not wanted or (wanted[0], wanted[-1]) != (first, last):
                return None
        variables = tuple((part, path) for part, path, _ in self._key)
        segment = segments.read_segment(self._store, self._workflow_id, first, variables)
        if segment is None or wanted is None:
            return segment
        return segment if np.array_equal(np.frombuffer(segment.ids, dtype="<i8"), wanted) else None

    def _make_frame(self) -> pd.DataFrame:
        columns, left_out = self._source.columns()
        length = len(self._ids)
        arrays = {name: values.array(length) for name, values in columns.items()}
        made = frame({"received_at": self._times, **arrays}, self._ids)
        made.attrs["left_out"] = left_out
        return made


class _Inferred:
    """Every leaf of query and body, the most frequent first, and then the first seen."""

    def __init__(self) -> None:
        numbers = count()
        self._query = Leaves(numbers)
        self._body = Leaves(numbers)

    @property
    def stale(self) -> bool:
        return self._query.stale or self._body.stale

    def restart(self) -> None:
        self._query.restart()
        self._body.restart()

    def add(self, start: int, rows: Sequence[tuple[Any, ...]]) -> None:
        queries: dict[int, Any] = {}
        bodies: list[Any] = []
        for number, (_, size, _, _, text, kind, encoding, raw) in enumerate(rows, start):
            bodies.append(read_body(raw, kind, encoding, size=size, is_accepted=True))
            # A query without pairs is left out, as a missing body is.
            if text and (query := payloads.parse_query_string(text)):
                queries[number] = query
        firsts = self._query.add(list(queries), list(queries.values()))
        numbers: Sequence[int] = range(start, start + len(bodies))
        if MISSING in bodies:
            numbers = [start + at for at, body in enumerate(bodies) if body is not MISSING]
            firsts |= self._body.add(numbers, [body for body in bodies if body is not MISSING])
        else:
            firsts |= self._body.add(numbers, bodies)
        for number in sorted(firsts):
            if number in queries:
                self._query.number(queries[number])
            if bodies[number - start] is not MISSING:
                self._body.number(bodies[number - start])

    def add_kept(self, start: int, segment: Segment) -> bool:
        parts = {"query": self._query, "body": self._body}
        if not all(parts[leaf.part].may_add(leaf) for leaf in segment.leaves):
            return False
        for leaf in segment.leaves:
            parts[leaf.part].add_kept(start, leaf)
        return True

    def columns(self) -> tuple[dict[str, Column], int]:
        leaves = [("query", leaf) for leaf in self._query.all()]
        leaves += [("body", leaf) for leaf in self._body.all()]
        leaves.sort(key=lambda item: (-item[1].times, item[1].order))
        columns = {
            column(part, Variable(leaf.path)): leaf.column
            for part, leaf in leaves[:_MAX_COLUMNS]
            if leaf.column is not None
        }
        return columns, max(0, len(leaves) - _MAX_COLUMNS)


class _Configured:
    """The variables that a trigger names, in the order of headers, query and body."""

    stale = False

    def __init__(self, key: Key) -> None:
        self._key = key
        self.restart()

    def restart(self) -> None:
        self._columns = {name: Column() for _, _, name in self._key}
        self._takers: dict[str, list[tuple[Callable[[Any], Any], Column]]] = {
            "headers": [], "query": [], "body": []
        }  # fmt: skip
        for part, path, name in self._key:
            self._takers[part].append((segments.make_getter(part, path), self._columns[name]))

    def add(self, start: int, rows: Sequence[tuple[Any, ...]]) -> None:
        numbers = range(start, start + len(rows))
        for part, takers in self._takers.items():
            if takers:
                values = list(map(segments.READ_PART[part], rows))
                for take, filled in takers:
                    filled.add(numbers, list(map(take, values)))

    def add_kept(self, start: int, segment: Segment) -> bool:
        for (*_, name), values in zip(self._key, segment.variables, strict=True):
            self._columns[name].add_kept(start, values)
        return True

    def columns(self) -> tuple[dict[str, Column], int]:
        return self._columns, 0


def _numbers(rows: Sequence[tuple[Any, ...]], place: int) -> _Numbers:
    return np.fromiter((row[place] for row in rows), dtype=np.int64, count=len(rows))
