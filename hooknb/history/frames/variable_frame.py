"""The frame of variables: those that are configured, or else every leaf received."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from hooknb import paths, payloads
from hooknb.history.frames.chunks import Read, chunks
from hooknb.history.frames.growing_column import Column
from hooknb.history.frames.leaves import Leaves
from hooknb.history.frames.typed_arrays import frame, joined, times
from hooknb.paths import MISSING
from hooknb.payloads.headers import HeaderMap, masked, parse_head
from hooknb.records import read_body
from hooknb.store import queries
from hooknb.workflow.variables import Variable, column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from hooknb.history.frames.typed_arrays import Array
    from hooknb.store import Store
    from hooknb.workflow import Trigger

__all__ = ["VariableRows", "variable_key"]

_MAX_COLUMNS: Final = 500
_EARLY: Final = 5_000  # rows that are better read again at once than after all the others

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
    read_rows
        Reads rows as :func:`hooknb.store.queries.read_variable_rows` does.
    """

    def __init__(
        self, store: Store, workflow_id: int, read_rows: Read = queries.read_variable_rows
    ) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._read_rows = read_rows
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
        ids: list[int] = []
        moments: list[int] = []
        start = len(self._ids)
        for rows in chunks(self._store, self._read_rows, self._workflow_id, after=self._last):
            self._source.add(start + len(ids), rows)
            ids += [row[0] for row in rows]
            moments += [row[2] for row in rows]
            if self._source.stale and start + len(ids) <= _EARLY:
                break
        if ids:
            self._last = ids[-1]
            self._ids = np.concatenate((self._ids, np.asarray(ids, dtype=np.int64)))
            self._times = joined(self._times, times(moments))

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
            taker = _header(path) if part == "headers" else paths.compile(path)
            self._takers[part].append((taker, self._columns[name]))

    def add(self, start: int, rows: Sequence[tuple[Any, ...]]) -> None:
        parts: dict[str, Callable[[tuple[Any, ...]], Any]] = {
            "headers": lambda row: HeaderMap(parse_head(row[3])),
            "query": lambda row: payloads.parse_query_string(row[4]),
            "body": lambda row: read_body(row[7], row[5], row[6], size=row[1], is_accepted=True),
        }
        numbers = range(start, start + len(rows))
        for part, takers in self._takers.items():
            if takers:
                values = list(map(parts[part], rows))
                for take, filled in takers:
                    filled.add(numbers, list(map(take, values)))

    def columns(self) -> tuple[dict[str, Column], int]:
        return self._columns, 0


def _header(name: str) -> Callable[[HeaderMap], Any]:
    def take(headers: HeaderMap) -> Any:
        value = headers.get(name)
        return None if value is None else masked(name, value)

    return take
