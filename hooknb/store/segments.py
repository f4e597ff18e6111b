"""Segments: what the frame of variables takes out of deliveries, kept by columns.

A delivery never changes, so what is taken out of it need not be taken out again. The accepted
deliveries of a hook are cut into ranges; of each complete one the table has the ids and times, and
a row for each configured variable, or one for all leaves where the variables are inferred. The
writer makes them while hardly anybody sends. They only save time: whatever is missing or damaged
is read from the bodies, and a trigger deletes a range with the first of its deliveries.
"""

from __future__ import annotations

import json
import struct
import zlib
from functools import partial
from operator import itemgetter
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, bindparam, func, select

from hooknb import paths, payloads
from hooknb.errors import StoreError
from hooknb.paths import MISSING
from hooknb.payloads.headers import HeaderMap, masked, parse_head
from hooknb.records import read_body
from hooknb.store.kept_values import KeptValues, pack, unpack
from hooknb.store.prepared import Prepared
from hooknb.store.queries import VARIABLE_ROWS
from hooknb.store.schema import deliveries, workflows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from hooknb.store.store import Store
    from hooknb.store.writer import Transaction

__all__ = [
    "READ_PART",
    "Leaf",
    "Segment",
    "Segments",
    "Variables",
    "make_getter",
    "read_ranges",
    "read_segment",
]

Variables: TypeAlias = "tuple[tuple[str, str], ...]"
"""Part and path of each configured variable; none where they are inferred."""

_MAX_DELIVERIES: Final = 4_096  # of a range; `pack` takes up to 65,536
_MAX_BYTES: Final = 4 * 2**20  # of the bodies of a range; the last one may go beyond
_MAX_LEAVES: Final = 500  # of a range
_STEP_DELIVERIES: Final = 250
_STEP_BYTES: Final = 256 * 1024
_MIN_NEW: Final = 256  # deliveries after which it is looked whether a range is complete
_MAX_CHANGES: Final = 500  # of rows, since it looked last: about a hundred deliveries
_FORMAT: Final = 1  # raised where anything of what is kept is to be taken out anew

_IDS: Final = "ids"
_LEAVES: Final = "leaves"
_VARIABLE: Final = "variable:"

# It is made with the first range, and is no part of a store without one.
_metadata: Final = MetaData()
_segments: Final = Table(
    "segments",
    _metadata,
    Column("workflow_id", Integer, primary_key=True),
    Column("first", Integer, primary_key=True),  # id of the range's first delivery
    Column("name", Text, primary_key=True),
    Column("last", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
# Whoever deletes, also an earlier version that knows of no segments.
_TRIGGERS: Final = (
    """
    CREATE TRIGGER IF NOT EXISTS segments_of_deleted_delivery AFTER DELETE ON deliveries BEGIN
        DELETE FROM segments
        WHERE workflow_id = old.workflow_id AND last >= old.id AND first = (
            SELECT max(first) FROM segments
            WHERE workflow_id = old.workflow_id AND first <= old.id
        );
    END
    """,
)
_MINE: Final = deliveries.c.workflow_id == bindparam("of")
_IS_ACCEPTED: Final = deliveries.c.reason.is_(None)
_NEXT: Final = Prepared(
    select(deliveries.c.id, func.length(deliveries.c.body))
    .where(_MINE, _IS_ACCEPTED, deliveries.c.id > bindparam("after"))
    .order_by(deliveries.c.id)
    .limit(bindparam("limit", type_=Integer))
)
_ROWS: Final = Prepared(
    VARIABLE_ROWS.where(
        deliveries.c.id > bindparam("after"), deliveries.c.id <= bindparam("upto")
    ).limit(bindparam("limit", type_=Integer))
)
_COUNT: Final = Prepared(
    select(func.count()).where(
        _MINE,
        _IS_ACCEPTED,
        deliveries.c.id >= bindparam("first"),
        deliveries.c.id <= bindparam("last"),
    )
)
_LAST_DELIVERY: Final = Prepared(
    select(workflows.c.last_delivery).where(workflows.c.id == bindparam("of"))
)
_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE name = 'segments'"
_RANGES: Final = (
    "SELECT first, last FROM segments WHERE workflow_id = ? AND name = 'ids' AND first > ? "
    "ORDER BY first"
)


# -- what is taken out ----------------------------------------------------------------------------

READ_PART: Final[dict[str, Callable[[tuple[Any, ...]], Any]]] = {
    "headers": lambda row: HeaderMap(parse_head(row[3])),
    "query": lambda row: payloads.parse_query_string(row[4]),
    "body": lambda row: read_body(row[7], row[5], row[6], size=row[1], is_accepted=True),
}
"""How each part is read from a row of :func:`hooknb.store.queries.read_variable_rows`."""


def make_getter(part: str, path: str) -> Callable[[Any], Any]:
    """Return what takes a variable out of its part."""
    if part != "headers":
        return paths.compile(path)

    def take(headers: HeaderMap) -> Any:
        value = headers.get(path)
        return None if value is None else masked(path, value)

    return take


class Leaf(NamedTuple):
    """A leaf of a range.

    Attributes
    ----------
    part, keys
        Where it stands.
    times
        How many deliveries have it, ``null`` among them.
    values
        What stands there.
    """

    part: str
    keys: tuple[str, ...]
    times: int
    values: KeptValues


class Segment(NamedTuple):
    """What is kept of a range.

    Attributes
    ----------
    last
        The last id of the range.
    ids, times
        64 bits each: the ids of its deliveries, and when they were received.
    variables
        Those that were asked for, in this order.
    leaves
        In the order in which they were first seen, where no variables were asked for.
    """

    last: int
    ids: memoryview
    times: memoryview
    variables: list[KeptValues]
    leaves: list[Leaf]


def _name(part: str, path: str) -> str:
    return _VARIABLE + json.dumps([part, path])  # ASCII, whatever the path is


def _names(variables: Variables) -> list[str]:
    return [_name(part, path) for part, path in variables] or [_LEAVES]


class _Extraction:
    """Takes what is to be kept out of the deliveries of one range."""

    def __init__(self, variables: Variables) -> None:
        self.ids: list[int] = []
        self.times: list[int] = []
        self._values: dict[str, list[Any]] = {}
        self._getters: dict[str, list[tuple[Callable[[Any], Any], list[Any]]]] = {}
        for part, path in variables:
            values: list[Any] = []
            self._values[_name(part, path)] = values
            self._getters.setdefault(part, []).append((make_getter(part, path), values))
        self._leaves: dict[tuple[str, ...], list[tuple[int, Any]]] = {}
        self._has_room = True

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        start = len(self.ids)
        self.ids += map(itemgetter(0), rows)
        self.times += map(itemgetter(2), rows)
        for part, getters in self._getters.items():
            read = [READ_PART[part](row) for row in rows]
            for take, values in getters:
                values.extend(map(take, read))
        if not self._getters:
            for at, row in enumerate(rows, start):
                if row[4] and (query := READ_PART["query"](row)):
                    self._add_leaves(at, "query", query)
                if (body := READ_PART["body"](row)) is not MISSING:
                    self._add_leaves(at, "body", body)

    def _add_leaves(self, at: int, part: str, value: Any) -> None:
        work: list[tuple[tuple[str, ...], Any]] = [((part,), value)] if self._has_room else []
        while work:
            keys, value = work.pop()
            if type(value) is dict and value:
                # In the order of the document, which is that of the columns.
                work += [((*keys, key), value[key]) for key in reversed(value)]
            else:
                self._leaves.setdefault(keys, []).append((at, value))
        self._has_room = len(self._leaves) <= _MAX_LEAVES

    def pack(self, rows: dict[str, bytes]) -> Iterator[None]:
        """Put the name and the bytes of each row there, a step with each turn.

        Of what cannot be kept there are none.
        """
        count = len(self.ids)
        rows[_IDS] = struct.pack(f"<I{2 * count}q", count, *self.ids, *self.times)
        for name, values in self._values.items():
            rows[name] = pack(values) or b""
            yield
        if not self._values:
            rows[_LEAVES] = b""
            yield from self._pack_leaves(rows)

    def _pack_leaves(self, rows: dict[str, bytes]) -> Iterator[None]:
        inner = {keys[:end] for keys in self._leaves for end in range(2, len(keys))}
        # A column shows objects where other deliveries have a leaf: such ranges are not kept.
        if not self._has_room or not inner.isdisjoint(self._leaves):
            return
        heads, columns = [], []
        for keys, found in self._leaves.items():
            values: list[Any] = [None] * len(self.ids)
            for at, value in found:
                values[at] = value
            packed = pack(values)
            if packed is None or not all(type(key) is str for key in keys):
                return
            heads.append([keys, len(found), len(packed)])
            columns.append(packed)
            yield
        head = json.dumps(heads).encode()
        rows[_LEAVES] = struct.pack("<I", len(head)) + head + b"".join(columns)


def _unpacked_leaves(data: memoryview) -> list[Leaf]:
    [size] = struct.unpack_from("<I", data)
    at = 4 + size
    leaves = []
    for (part, *keys), times, length in json.loads(bytes(data[4:at])):
        leaves.append(Leaf(part, tuple(keys), times, unpack(data[at : at + length])))
        at += length
    return leaves


def _checksum(workflow_id: int, first: int, last: int, name: str, data: memoryview) -> bytes:
    place = f"{_FORMAT} {workflow_id} {first} {last} {name}".encode()
    return struct.pack("<I", zlib.crc32(data, zlib.crc32(place)))


def _sealed(workflow_id: int, first: int, last: int, name: str, data: bytes) -> bytes:
    """Return bytes with what shows that they are those of this row, undamaged."""
    return _checksum(workflow_id, first, last, name, memoryview(data)) + data


def _opened(workflow_id: int, first: int, last: int, name: str, sealed: bytes) -> memoryview | None:
    """Return what was sealed; ``None`` where it is damaged, or where nothing could be kept."""
    data = memoryview(sealed)[4:]
    is_right = _checksum(workflow_id, first, last, name, data) == sealed[:4]
    return data if data and is_right else None


# -- making them ----------------------------------------------------------------------------------


class Segments:
    """The making of segments, by the writer.

    Parameters
    ----------
    is_on
        Whether any are made. Those that are there are read all the same.
    """

    fault = "columns cannot be kept"

    def __init__(self, *, is_on: bool) -> None:
        self._is_on = is_on
        self._wanted: dict[int, Variables] = {}  # replaced as a whole, never changed
        self._lock = Lock()
        self._complete: dict[int, Variables] = {}  # whose ranges have all of it, and nothing else
        self._upto: dict[int, int] = {}  # up to where ranges were made, or given up
        self._looked: dict[int, int] = {}  # the last delivery when the next range was incomplete
        self._changes = 0

    @property
    def is_on(self) -> bool:
        """Whether there may be something to do."""
        return self._is_on and bool(self._wanted)

    def keep(self, workflow_id: int, variables: Variables | None) -> None:
        """Set what is kept of a workflow from now on; ``None`` makes no more; from any thread."""
        with self._lock:
            others = {at: it for at, it in self._wanted.items() if at != workflow_id}
            self._wanted = others if variables is None else {**others, workflow_id: variables}

    def run(self, connection: Connection, transaction: Transaction) -> Iterator[None]:
        """Make the next range that is missing, a step with each turn; see :meth:`Retention.run`.

        There is a rest after each, for whatever else wants the interpreter; and none is made while
        many send.
        """
        if not self._is_quiet(connection):
            return
        for workflow_id in self._wanted:
            for is_end in self.make(workflow_id, connection, transaction):
                yield
                if is_end:
                    return

    def make_all(self, connection: Connection, transaction: Transaction) -> Iterator[None]:
        """Make what is missing without a rest, also what was given up or is being made."""
        self._upto.clear()
        self._complete.clear()
        self._looked.clear()
        for workflow_id in self._wanted if self._is_on else ():
            for _ in self.make(workflow_id, connection, transaction):
                yield

    def _is_quiet(self, connection: Connection) -> bool:
        [(changes,)] = _run(connection, "SELECT total_changes()")
        before, self._changes = self._changes, changes
        return bool(changes - before <= _MAX_CHANGES)

    def make(
        self, workflow_id: int, connection: Connection, transaction: Transaction
    ) -> Iterator[bool]:
        """Make all that is missing of a workflow; yield whether a range has just been finished."""
        variables = self._wanted.get(workflow_id)
        if variables is None:
            return
        if self._complete.get(workflow_id) != variables:
            if _run(connection, _TABLE):
                transaction(partial(_forget_others, workflow_id, _names(variables)))
                for bounds, lacking in _lacking(connection, workflow_id, variables):
                    yield from self._make(workflow_id, lacking, bounds, connection, transaction)
            self._complete[workflow_id] = variables
        while (found := self._next(connection, workflow_id)) is not None:
            self._upto[workflow_id] = found[1]  # deleted meanwhile, it is not begun again
            yield from self._make(workflow_id, variables, found, connection, transaction)

    def _next(self, connection: Connection, workflow_id: int) -> tuple[int, int] | None:
        """Return the first and last id of the next range, where it is complete."""
        rows = _LAST_DELIVERY.run(connection, _LAST_DELIVERY.row(of=workflow_id)).fetchall()
        last_delivery = rows[0][0] if rows else 0
        after = self._upto.get(workflow_id)
        if after is None:
            after = 0
            if _run(connection, _TABLE):
                found = "SELECT coalesce(max(last), 0) FROM segments WHERE workflow_id = ?"
                [(after,)] = _run(connection, found, (workflow_id,))
            self._upto[workflow_id] = after
        new = last_delivery - max(after, self._looked.get(workflow_id, 0))
        if new < min(_MIN_NEW, _MAX_DELIVERIES):
            return None
        parameters = _NEXT.row(of=workflow_id, after=after, limit=_MAX_DELIVERIES)
        rows = _NEXT.run(connection, parameters).fetchall()
        size = 0
        for at, (number, length) in enumerate(rows, 1):
            size += length or 0
            if size >= _MAX_BYTES or at == _MAX_DELIVERIES:
                return rows[0][0], number
        self._looked[workflow_id] = last_delivery
        return None

    def _make(
        self,
        workflow_id: int,
        variables: Variables,
        bounds: tuple[int, int],
        connection: Connection,
        transaction: Transaction,
    ) -> Iterator[bool]:
        first, last = bounds
        extraction = _Extraction(variables)
        after, limit = first - 1, 16
        while after < last:
            parameters = _ROWS.row(of=workflow_id, after=after, upto=last, limit=limit)
            rows = _ROWS.run(connection, parameters).fetchall()
            if not rows:
                break
            try:
                extraction.add(rows)
            except Exception:  # noqa: BLE001 - the writer lives on; frames say what is wrong with it
                return
            after = rows[-1][0]
            average = sum(row[1] for row in rows) // len(rows) + 1
            limit = max(1, min(_STEP_DELIVERIES, _STEP_BYTES // average))
            yield False
        if not extraction.ids or (extraction.ids[0], extraction.ids[-1]) != bounds:
            return  # some were deleted
        packed: dict[str, bytes] = {}
        for _ in extraction.pack(packed):
            yield False
        sealed = [
            (name, _sealed(workflow_id, first, last, name, data)) for name, data in packed.items()
        ]
        transaction(partial(_write, workflow_id, bounds, len(extraction.ids), sealed))
        yield True


def _run(
    connection: Connection, statement: str, parameters: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """Read without beginning a transaction."""
    cursor = connection.connection.cursor()
    rows: list[tuple[Any, ...]] = cursor.execute(statement, parameters).fetchall()
    cursor.close()
    return rows


def _forget_others(workflow_id: int, names: list[str], connection: Connection) -> None:
    """Delete the columns that are not wanted any more."""
    kept = [_IDS, *names]
    connection.execute(
        _segments.delete().where(
            _segments.c.workflow_id == workflow_id, _segments.c.name.not_in(kept)
        )
    )


def _lacking(
    connection: Connection, workflow_id: int, variables: Variables
) -> Iterator[tuple[tuple[int, int], Variables]]:
    """Yield the ranges that lack some of the columns, and which."""
    found: dict[tuple[int, int], set[str]] = {}
    names = "SELECT first, last, name FROM segments WHERE workflow_id = ? ORDER BY first"
    for first, last, name in _run(connection, names, (workflow_id,)):
        found.setdefault((first, last), set()).add(name)
    for bounds, there in found.items():
        lacking = tuple(it for it in variables if _name(*it) not in there)
        if lacking or (not variables and _LEAVES not in there):
            yield bounds, lacking


def _write(
    workflow_id: int,
    bounds: tuple[int, int],
    count: int,
    sealed: list[tuple[str, bytes]],
    connection: Connection,
) -> None:
    """Keep a range, if every delivery that was read is still there, and no other range of it."""
    first, last = bounds
    parameters = _COUNT.row(of=workflow_id, first=first, last=last)
    [(left,)] = _COUNT.run(connection, parameters).fetchall()
    if left != count:
        return
    _metadata.create_all(connection)
    for trigger in _TRIGGERS:
        connection.exec_driver_sql(trigger)
    found = _run(
        connection,
        "SELECT DISTINCT first, last FROM segments "
        "WHERE workflow_id = ? AND first <= ? AND last >= ?",
        (workflow_id, last, first),
    )
    if found not in ([], [bounds]):
        return  # another process cut them otherwise
    connection.connection.cursor().executemany(
        "INSERT OR REPLACE INTO segments (workflow_id, first, name, last, data) "
        "VALUES (?, ?, ?, ?, ?)",
        [(workflow_id, first, name, last, data) for name, data in sealed],
    )


# -- reading them ---------------------------------------------------------------------------------


def _rows(store: Store, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
    # Where more than these pages cannot be read, the bodies cannot either, and that is said.
    try:
        return store.rows(statement, parameters)
    except StoreError:
        return []


def read_ranges(store: Store, workflow_id: int, after: int) -> list[tuple[int, int]]:
    """Return the first and last ids of the ranges that begin after an id, in order."""
    return _rows(store, _RANGES, (workflow_id, after)) if _rows(store, _TABLE) else []


def read_segment(
    store: Store, workflow_id: int, first: int, variables: Variables
) -> Segment | None:
    """Return what is kept of a range; ``None`` where it is not there, or is damaged."""
    names = _names(variables)
    marks = ", ".join("?" * (len(names) + 1))
    rows = _rows(
        store,
        "SELECT name, last, data FROM segments "  # noqa: S608 - places of parameters only
        f"WHERE workflow_id = ? AND first = ? AND name IN ({marks})",
        (workflow_id, first, _IDS, *names),
    )
    found = {name: _opened(workflow_id, first, last, name, sealed) for name, last, sealed in rows}
    opened = [found.get(name) for name in (_IDS, *names)]
    data = [it for it in opened if it is not None]
    if len(data) < len(opened):
        return None
    [count] = struct.unpack_from("<I", data[0])
    ids, times = data[0][4 : 4 + 8 * count], data[0][4 + 8 * count :]
    if not variables:
        return Segment(rows[0][1], ids, times, [], _unpacked_leaves(data[1]))
    return Segment(rows[0][1], ids, times, [unpack(it) for it in data[1:]], [])
