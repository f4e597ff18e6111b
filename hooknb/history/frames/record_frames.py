"""The frames of deliveries, executions and jobs: a row for each record, read as they arrive."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import numpy as np
import pandas as pd

from hooknb import payloads
from hooknb.history.frames.chunks import Read, ReadListed, chunks, read_of
from hooknb.history.frames.typed_arrays import (
    category,
    frame,
    integers,
    milliseconds,
    objects,
    repeated,
    text,
    times,
    times_of,
    words,
)
from hooknb.paths import MISSING
from hooknb.payloads.headers import HeaderMap, parse_head
from hooknb.records import Status, decode_result, read_body
from hooknb.store import queries

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from hooknb.history.frames.typed_arrays import Array
    from hooknb.store import Store

__all__ = ["DeliveryRows", "ExecutionRows", "JobRows"]

Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

_MAX_IDS: Final = 10_000  # from the first to the last of a part
_NONE: Final = -1  # neither a status nor a duration
_OUTCOME: Final = category("accepted", "refused")
_EXECUTION_STATUS: Final = category(*(status.word for status in Status))
_JOB_WORDS: Final = {status: status.label for status in Status}
_JOB_STATUS: Final = category(*_JOB_WORDS.values())


class _Rows(ABC):
    """Reads one frame and keeps it, to read only what is new the next time.

    Parameters
    ----------
    store, workflow_id
        What to read.
    """

    read_rows: Read
    """Reads the rows after an id, as :func:`hooknb.history.frames.chunks.chunks` wants it."""

    width: int
    """How many values a row has behind id and size."""

    _read_listed: ReadListed

    left_out: Collection[str] = ()
    """The columns that only windows have."""

    def __init__(self, store: Store, workflow_id: int) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._names: Sequence[str] | None = None
        self.reset()

    def window(self, ids: Sequence[int], names: Sequence[str] | None) -> pd.DataFrame:
        """Return the rows of some ids alone, in order; what was read before does not count.

        Parameters
        ----------
        ids
            In order.
        names
            The columns, which are extracted alone; ``None`` for all.
        """
        self._names = names
        read = read_of(ids, self._read_listed)
        parts = chunks(self._store, read, self._workflow_id, after=0)
        made = pd.concat([self._table([]), *map(self._table, parts)])
        return made if names is None else made[list(names)]

    @property
    def names(self) -> list[str]:
        """The columns of a window."""
        return list(self._columns([()] * self.width))

    @property
    def kept_names(self) -> list[str]:
        """The columns of the frame."""
        return [name for name in self.names if name not in self.left_out]

    def reset(self) -> None:
        """Forget what was read."""
        self._frame = self._table([])[self.kept_names]

    def read(self) -> pd.DataFrame:
        """Return the frame."""
        if len(self._frame):
            self._drop_expired()
        if len(self._frame) and self._is_cleared():
            self.reset()
        self._extend()
        return self._frame

    @abstractmethod
    def _is_cleared(self) -> bool:
        """Tell whether the workflow was cleared since."""

    def _delivery_ids(self) -> pd.Index[int]:
        """Return the id of each row's delivery."""
        return self._frame.index

    def _drop_expired(self) -> None:
        """Drop what retention has deleted."""
        upto, left = queries.read_unexpired(self._store, self._workflow_id)
        if not upto:
            return
        numbers = self._delivery_ids()
        gone = (numbers <= upto) & ~numbers.isin(left)
        if gone.any():
            self._frame = self._frame[~gone]

    def _extend(self) -> None:
        last = int(self._frame.index[-1]) if len(self._frame) else 0
        tables = [
            self._table(rows)
            for rows in chunks(self._store, self.read_rows, self._workflow_id, after=last)
        ]
        if tables:
            self._frame = pd.concat([self._frame, *tables])

    def _table(self, rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
        # Without a row there are still the columns.
        ids, _, *values = zip(*rows, strict=True) if rows else [()] * (2 + self.width)
        columns = self._columns(values)
        names = columns if self._names is None else self._names
        return frame({name: columns[name]() for name in names}, ids)

    @abstractmethod
    def _columns(self, values: Sequence[Sequence[Any]]) -> dict[str, Callable[[], Array]]:
        """Return what makes each column of the values behind id and size."""


class DeliveryRows(_Rows):
    """The frame of deliveries.

    A head takes a dozen microseconds to parse and a body as long, where all the rest of a delivery
    takes one: both are in windows alone.
    """

    width = 13
    left_out = ("headers", "body")

    def read(self) -> pd.DataFrame:
        """Return the frame."""
        super().read()
        self._drop_old()
        self._take_responses()
        return self._frame

    def _extend(self) -> None:
        last = int(self._frame.index[-1]) if len(self._frame) else 0
        _, upto = queries.read_id_bounds(self._store, self._workflow_id)
        columns = _DeliveryColumns()
        while last < upto:
            part = queries.read_delivery_columns(
                self._store, self._workflow_id, last, upto, _MAX_IDS
            )
            if part is None:
                break
            last = columns.add(part)
        if len(columns.ids):
            added = columns.frame(self.kept_names)
            self._frame = pd.concat([self._frame, added]) if len(self._frame) else added

    def _read_listed(
        self, store: Store, workflow_id: int, ids: Sequence[int]
    ) -> list[tuple[Any, ...]]:
        head = self._names is None or "headers" in self._names
        body = self._names is None or "body" in self._names
        return queries.read_listed_delivery_rows(store, workflow_id, ids, head=head, body=body)

    def _is_cleared(self) -> bool:
        # Old refused ones go by themselves (`_drop_old` sees to that); accepted ones all at once.
        is_accepted = ~self._is_refused()
        place = int(is_accepted.argmax())
        if not is_accepted[place]:
            return False
        first = int(self._frame.index[place])
        return not queries.has_record(self._store, self._workflow_id, first)

    def _is_refused(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.equal(self._frame["outcome"].cat.codes.to_numpy(), 1)

    def _drop_old(self) -> None:
        """Drop the refused ones that the store keeps no longer: always the oldest."""
        oldest = queries.read_oldest_refused(self._store, self._workflow_id)
        gone = self._is_refused()
        if oldest is not None:
            gone &= self._frame.index.to_numpy() < oldest
        if gone.any():
            self._frame = self._frame[~gone]

    def _take_responses(self) -> None:
        """Fill in the responses that were sent after their deliveries were read."""
        status, duration = self._frame["status"], self._frame["duration_ms"]
        waiting = self._frame.index[status.isna()]
        runs = _runs(waiting.to_numpy())
        rows = queries.read_responses_between(self._store, self._workflow_id, runs)
        if rows:
            ids, statuses, durations = zip(*rows, strict=True)
            status, duration = status.copy(), duration.copy()
            status.loc[list(ids)] = integers(statuses)
            duration.loc[list(ids)] = [value / 1000 for value in durations]
            self._frame = self._frame.assign(status=status, duration_ms=duration)

    def _columns(self, values: Sequence[Sequence[Any]]) -> dict[str, Callable[[], Array]]:
        (
            received,
            method,
            subpath,
            kind,
            encoding,
            size,
            remote,
            reason,
            status,
            duration,
            head,
            query,
            raw,
        ) = values

        def headers() -> Array:
            # A sender's heads differ little or not at all; each cell has a dict of its own.
            made = {block: HeaderMap(parse_head(block)).masked() for block in set(head)}
            return objects([made[block].copy() for block in head])

        def queries_of() -> Array:
            parse = payloads.parse_query_string
            return objects([parse(string) if string else {} for string in query])

        def bodies() -> Array:
            read = [
                read_body(*item, size=count, is_accepted=why is None)
                for *item, count, why in zip(raw, kind, encoding, size, reason, strict=True)
            ]
            return objects([None if body is MISSING else body for body in read])

        return {
            "received_at": lambda: times(received),
            "method": lambda: text(method),
            "subpath": lambda: text(subpath),
            "content_type": lambda: text([payloads.media_type(value) or None for value in kind]),
            "size": lambda: pd.array(size, dtype="int64").to_numpy(),
            "remote": lambda: text(remote),
            "outcome": lambda: words(
                ["accepted" if why is None else "refused" for why in reason], _OUTCOME
            ),
            "reason": lambda: text(reason),
            "status": lambda: integers(status),
            "duration_ms": lambda: milliseconds([0] * len(duration), duration),
            "headers": headers,
            "query": queries_of,
            "body": bodies,
        }


class _DeliveryColumns:
    """Columns of deliveries, gathered in parts as the store has them.

    Attributes
    ----------
    ids
        Arrays of them, one for each part.
    """

    def __init__(self) -> None:
        self.ids: list[Numbers] = []
        self._received: list[Numbers] = []
        self._sizes: list[Numbers] = []
        self._statuses: list[Numbers] = []
        self._durations: list[Numbers] = []
        # Texts are few and repeat: each is kept once, and a row has its number.
        self._texts = [_Texts() for _ in range(6)]

    def add(self, part: queries.DeliveryColumns) -> int:
        """Add a part, and return its last id."""
        ids = _numbers(part.ids)
        self.ids.append(ids)
        self._received.append(_numbers(part.received_us))
        self._sizes.append(_numbers(part.sizes))
        rows = msgspec.json.decode(part.others, type=list[list[Any]])
        others, *texts = zip(*rows, strict=True) if rows else [()] * (1 + len(self._texts))
        places = np.searchsorted(ids, np.asarray(others, dtype=np.int64))
        for column, first, values in zip(self._texts, part.texts, texts, strict=True):
            column.add(len(ids), first, places, values)
        responded = _numbers(part.responded or "")
        # What was deleted between the two has a response and no row.
        known = np.isin(responded, ids)
        places = np.searchsorted(ids, responded[known])
        for gathered, numbers in (
            (self._statuses, part.statuses),
            (self._durations, part.durations_us),
        ):
            made = np.full(len(ids), _NONE, dtype=np.int64)
            made[places] = _numbers(numbers or "")[known]
            gathered.append(made)
        return int(ids[-1])

    def frame(self, names: Sequence[str]) -> pd.DataFrame:
        """Return them as a frame with these columns."""
        method, subpath, kind, remote, reason, query = self._texts
        status, duration = np.concatenate(self._statuses), np.concatenate(self._durations)
        waits = status == _NONE
        is_refused = np.array([why is not None for why in reason.distinct])[reason.codes()]
        parse = payloads.parse_query_string
        queried = [parse(string) if string else {} for string in query.distinct]
        is_flat = [all(isinstance(value, str) for value in made.values()) for made in queried]
        columns: dict[str, Array] = {
            "received_at": times_of(np.concatenate(self._received)),
            "method": method.array(),
            "subpath": subpath.array(),
            "content_type": kind.array(lambda value: payloads.media_type(value) or None),
            "size": np.concatenate(self._sizes),
            "remote": remote.array(),
            "outcome": pd.Categorical.from_codes(is_refused.astype(np.int8), dtype=_OUTCOME),
            "reason": reason.array(),
            "status": pd.arrays.IntegerArray(np.where(waits, 0, status), waits),
            "duration_ms": np.where(waits, np.nan, duration / 1000),
            # Each cell has a dict of its own, and lists in it.
            "query": objects(
                [
                    queried[code].copy() if is_flat[code] else parse(query.distinct[code] or "")
                    for code in query.codes().tolist()
                ]
            ),
        }
        return frame({name: columns[name] for name in names}, np.concatenate(self.ids))


class _Texts:
    """A column of text in which values repeat.

    Attributes
    ----------
    distinct
        Those that are different, ``None`` too.
    """

    def __init__(self) -> None:
        self.distinct: list[str | None] = []
        self._known: dict[str | None, int] = {}
        self._codes: list[Numbers] = []

    def add(
        self, size: int, first: str | None, places: Numbers, values: Sequence[str | None]
    ) -> None:
        """Add so many rows with the first text, but at some places with other values."""
        for value in dict.fromkeys((first, *values)):
            if value not in self._known:
                self._known[value] = len(self.distinct)
                self.distinct.append(value)
        codes = np.full(size, self._known[first], dtype=np.int64)
        codes[places] = list(map(self._known.__getitem__, values))
        self._codes.append(codes)

    def codes(self) -> Numbers:
        """Return the place of each row's text among the values."""
        return np.concatenate(self._codes)

    def array(self, change: Callable[[str | None], str | None] | None = None) -> Array:
        """Return the text of each row, or what it is changed to."""
        return repeated(
            self.distinct if change is None else list(map(change, self.distinct)), self.codes()
        )


def _numbers(text: str) -> Numbers:
    return np.fromstring(text, dtype=np.int64, sep=",")


def _runs(ids: Numbers) -> list[tuple[int, int]]:
    """Return the first and the last of each run of ids, which are in order."""
    if not len(ids):
        return []
    breaks = np.flatnonzero(np.diff(ids) > 1)
    firsts = ids[np.concatenate(([0], breaks + 1))]
    lasts = ids[np.concatenate((breaks, [-1]))]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


class ExecutionRows(_Rows):
    """The frame of executions."""

    read_rows = staticmethod(queries.read_execution_rows)
    width = 10
    _read_listed = staticmethod(queries.read_executions_again)

    def reset(self) -> None:
        """Forget what was read."""
        self._open: set[int] = set()
        super().reset()

    def _is_cleared(self) -> bool:
        first = int(self._frame.index[0])
        return not queries.has_record(self._store, self._workflow_id, first, "executions")

    def _extend(self) -> None:
        """Read what is new, and again what had not ended: it may end in any order."""
        before, self._open = self._open, set()
        super()._extend()
        if before:
            rows = queries.read_executions_again(self._store, self._workflow_id, list(before))
            again = self._table(rows)
            kept = self._frame[~self._frame.index.isin(before)]
            self._frame = pd.concat([kept, again]).sort_index()

    def _columns(self, values: Sequence[Sequence[Any]]) -> dict[str, Callable[[], Array]]:
        (ids, revision, status, reason, started, finished, response, missing, recovered, owner) = (
            values
        )
        self._open.update(number for number, who in zip(ids, owner, strict=True) if who is not None)
        return {
            "delivery": lambda: pd.array(ids, dtype="int64").to_numpy(),
            "revision": lambda: pd.array(revision, dtype="int64").to_numpy(),
            "status": lambda: words([Status(code).word for code in status], _EXECUTION_STATUS),
            "reason": lambda: text(reason),
            "started_at": lambda: times(started),
            "finished_at": lambda: times(finished),
            "duration_ms": lambda: milliseconds(started, finished),
            "response_status": lambda: integers(response),
            "missing": lambda: objects(
                [[] if names is None else json.loads(names) for names in missing]
            ),
            "recovered": lambda: pd.array(recovered, dtype="int64").to_numpy().astype(bool),
        }


class JobRows(_Rows):
    """The frame of jobs."""

    read_rows = staticmethod(queries.read_job_rows)
    width = 9
    _read_listed = staticmethod(queries.read_listed_job_rows)

    def read(self) -> pd.DataFrame:
        """Return the frame: what has ended is kept, what runs is read each time."""
        ended = super().read()
        running = queries.read_running_jobs(self._store, self._workflow_id)
        return pd.concat([ended, self._table(running)]).sort_index() if running else ended

    def _is_cleared(self) -> bool:
        first = int(self._frame.index[0])
        return not queries.has_record(self._store, self._workflow_id, first, "jobs")

    def _delivery_ids(self) -> pd.Index[int]:
        numbers: pd.Index[int] = pd.Index(self._frame["execution"])
        return numbers

    def _columns(self, values: Sequence[Sequence[Any]]) -> dict[str, Callable[[], Array]]:
        (execution, node, kind, status, started, finished, result, output, error) = values
        return {
            "execution": lambda: pd.array(execution, dtype="int64").to_numpy(),
            "node": lambda: text(node),
            "type": lambda: text(kind),
            "status": lambda: words([_JOB_WORDS[Status(code)] for code in status], _JOB_STATUS),
            "started_at": lambda: times(started),
            "finished_at": lambda: times(finished),
            "duration_ms": lambda: milliseconds(started, finished),
            "result": lambda: objects([decode_result(value) for value in result]),
            "output": lambda: text(output),
            "error": lambda: text(error),
        }
