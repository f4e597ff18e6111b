"""Reading many records at once: for frames, tables, filters and waiting.

Rows of which hundreds of thousands are read are plain tuples, in the order that the function says;
the others are named.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import (
    Integer,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    union_all,
)

from hooknb.store.prepared import Prepared
from hooknb.store.schema import (
    FIXED_RESPONSE,
    RESPONSE_OF_DELIVERY,
    deliveries,
    executions,
    fixed_responses,
    jobs,
    responses,
    workflows,
)

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.sql.elements import CompilerElement

    from hooknb.store.store import Store

__all__ = [
    "ANY",
    "MAX_ID",
    "VARIABLE_ROWS",
    "Comparison",
    "Condition",
    "DeliveryColumns",
    "DeliveryDetails",
    "ExecutionDetails",
    "Found",
    "JobCounts",
    "JobDetails",
    "KnownBounds",
    "KnownIds",
    "RequestRow",
    "RowFacts",
    "Scanned",
    "check_ids",
    "count_between",
    "count_deliveries",
    "count_jobs",
    "count_refused",
    "find_deliveries",
    "find_ids",
    "has_record",
    "judge_deliveries",
    "keep_known",
    "keep_running",
    "read_counts_by_second",
    "read_delivery_columns",
    "read_delivery_details",
    "read_durations",
    "read_execution_details",
    "read_execution_rows",
    "read_executions_again",
    "read_id_bounds",
    "read_ids",
    "read_ids_between",
    "read_job_counts",
    "read_job_details",
    "read_job_rows",
    "read_known_bounds",
    "read_last_job_id",
    "read_listed_delivery_rows",
    "read_listed_job_rows",
    "read_listed_variable_rows",
    "read_mark",
    "read_new_ids",
    "read_newest_accepted",
    "read_newest_ids",
    "read_newest_requests",
    "read_oldest_refused",
    "read_requests_after",
    "read_requests_before",
    "read_requests_listed",
    "read_requests_of",
    "read_responded_requests",
    "read_responses_between",
    "read_row_facts",
    "read_running_jobs",
    "read_seconds_of",
    "read_variable_rows",
    "read_window_ids",
]

MAX_ID: Final = 2**63 - 1
"""No id is greater."""

_SECOND: Final = 1_000_000  # microseconds

RequestRow: TypeAlias = tuple[Any, ...]
"""Method, query string, content type, content encoding, head, body, size, reason, detail, status.

``status`` is that of the response; what was not asked for is empty.
"""


class _Query:
    """A statement that is compiled when it is first read."""

    def __init__(self, statement: CompilerElement) -> None:
        self._statement = statement

    @cached_property
    def _prepared(self) -> Prepared:
        return Prepared(self._statement)

    def read(self, store: Store, **parameters: Any) -> list[tuple[Any, ...]]:
        """Read its rows in the calling thread, in one snapshot."""
        return store.rows(self._prepared.text, self._prepared.row(**parameters))

    def value(self, store: Store, **parameters: Any) -> Any:
        """Read the one value of its one row."""
        [(value,)] = self.read(store, **parameters)
        return value


_OF: Final[ColumnElement[int]] = bindparam("of", type_=Integer)
_AFTER: Final[ColumnElement[int]] = bindparam("after", type_=Integer)
_UPTO: Final[ColumnElement[int]] = bindparam("upto", type_=Integer)
_LIMIT: Final[ColumnElement[int]] = bindparam("limit", type_=Integer)
_NUMBER: Final[ColumnElement[int]] = bindparam("number", type_=Integer)
_MAX_BYTES: Final[ColumnElement[int]] = bindparam("max_bytes", type_=Integer)

_MINE: Final = deliveries.c.workflow_id == _OF
_REFUSED: Final = deliveries.c.reason.is_not(None)
_AND_RESPONSES: Final = deliveries.outerjoin(responses, RESPONSE_OF_DELIVERY)
_EXECUTION_OF_DELIVERY: Final = and_(
    executions.c.workflow_id == deliveries.c.workflow_id, executions.c.id == deliveries.c.id
)
# As JSON, since a statement has at most some thousand parameters.
_LISTED: Final = select(func.json_each(bindparam("ids")).table_valued("value").c.value)


# -- which deliveries there are -------------------------------------------------------------------

# The index alone serves all of it, and in one snapshot: the rows behind it may be many megabytes.
_REFUSED_IDS: Final = select(literal_column("2").label("kind"), deliveries.c.id).where(
    _MINE, _REFUSED
)
_BOUNDS_AND_COUNT: Final = _Query(
    union_all(
        select(literal_column("0").label("kind"), func.min(deliveries.c.id).label("id")).where(
            _MINE
        ),
        select(literal_column("1"), func.max(deliveries.c.id)).where(_MINE),
        _REFUSED_IDS,
        select(literal_column("3"), workflows.c.kept_deliveries).where(workflows.c.id == _OF),
    ).order_by("kind", "id")
)
_COUNT_BETWEEN: Final = _Query(
    select(func.count())
    .select_from(deliveries)
    .where(_MINE, deliveries.c.id.between(_AFTER, _UPTO))
)
_IDS_BETWEEN: Final = _Query(
    select(deliveries.c.id)
    .where(_MINE, deliveries.c.id.between(_AFTER, _UPTO))
    .order_by(deliveries.c.id)
)
_SECONDS: Final = _Query(
    select(deliveries.c.id, deliveries.c.received_at // _SECOND).where(
        _MINE, deliveries.c.id.in_(_LISTED)
    )
)
_NEW_IDS: Final = _Query(
    select(deliveries.c.id, deliveries.c.received_at, _REFUSED)
    .where(_MINE, deliveries.c.id > _AFTER)
    .order_by(deliveries.c.id)
    .limit(_LIMIT)
)
_IDS: Final = _Query(
    select(deliveries.c.id).where(_MINE, deliveries.c.id > _AFTER).order_by(deliveries.c.id)
)
_NEWEST_IDS: Final = _Query(
    select(deliveries.c.id).where(_MINE).order_by(deliveries.c.id.desc()).limit(_LIMIT)
)
_BOUNDS: Final = _Query(
    select(
        *(
            func.coalesce(select(end(deliveries.c.id)).where(_MINE).scalar_subquery(), 0)
            for end in (func.min, func.max)
        )
    )
)
_KNOWN: Final = _Query(select(deliveries.c.id).where(_MINE, deliveries.c.id.in_(_LISTED)))
_RUNNING: Final = _Query(
    select(executions.c.id).where(
        executions.c.owner.is_not(None),
        executions.c.workflow_id == _OF,
        executions.c.id.in_(_LISTED),
    )
)
_BY_SECOND: Final = _Query(
    select(
        (deliveries.c.received_at // _SECOND).label("second"),
        func.count(),
        func.count(deliveries.c.reason),
    )
    .where(_MINE, deliveries.c.id.between(_AFTER, _UPTO))
    .group_by("second")
)
_COUNT: Final = _Query(
    select(func.count()).select_from(deliveries).where(_MINE, deliveries.c.id <= _UPTO)
)
_COUNT_REFUSED: Final = _Query(select(func.count()).select_from(deliveries).where(_MINE, _REFUSED))
_OLDEST_REFUSED: Final = _Query(select(func.min(deliveries.c.id)).where(_MINE, _REFUSED))


def _is_there_or_unknown(name: str) -> ColumnElement[bool]:
    number: ColumnElement[int] = bindparam(name, type_=Integer)
    return or_(number.is_(None), exists().where(_MINE, deliveries.c.id == number))


_CHECK: Final = _Query(
    select(
        select(func.min(deliveries.c.id)).where(_MINE, _REFUSED).scalar_subquery(),
        select(func.count())
        .select_from(deliveries)
        .where(_MINE, _REFUSED, deliveries.c.id <= _UPTO)
        .scalar_subquery(),
        _is_there_or_unknown("first"),
        _is_there_or_unknown("last"),
    )
)
_EXPIRED: Final = _Query(select(workflows.c.expired_upto).where(workflows.c.id == _OF))
_IDS_UPTO: Final = _Query(
    select(deliveries.c.id).where(_MINE, deliveries.c.id <= _UPTO).order_by(deliveries.c.id)
)
_HAS: Final = {
    table.name: _Query(select(exists().where(table.c.workflow_id == _OF, table.c.id == _NUMBER)))
    for table in (deliveries, executions, jobs)
}


class KnownIds(NamedTuple):
    """Whether known ids are still there; see :func:`check_ids`."""

    oldest_refused: int | None
    refused: int
    has_first: bool
    has_last: bool


class KnownBounds(NamedTuple):
    """The first and the last delivery there is, the refused ones, and how many the store counts."""

    first: int
    last: int
    refused: list[int]
    kept: int


def read_known_bounds(store: Store, workflow_id: int) -> KnownBounds | None:
    """Return which deliveries there are at most, in one snapshot; ``None`` where there is none."""
    kinds: list[list[int]] = [[], [], [], []]
    for kind, number in _BOUNDS_AND_COUNT.read(store, of=workflow_id):
        kinds[kind].append(number)
    [first], [last], refused, count = kinds
    return None if first is None else KnownBounds(first, last, refused, *count)


def count_between(store: Store, workflow_id: int, first: int, last: int) -> int:
    """Count the deliveries from an id to another."""
    count: int = _COUNT_BETWEEN.value(store, of=workflow_id, after=first, upto=last)
    return count


def read_ids_between(store: Store, workflow_id: int, first: int, last: int) -> list[int]:
    """Return the ids of the deliveries from an id to another, in order."""
    rows = _IDS_BETWEEN.read(store, of=workflow_id, after=first, upto=last)
    return [number for (number,) in rows]


def read_seconds_of(store: Store, workflow_id: int, ids: Sequence[int]) -> dict[int, int]:
    """Return the second since 1970 in which each of some deliveries was received."""
    return dict(_SECONDS.read(store, of=workflow_id, ids=json.dumps(list(ids))))


def read_new_ids(
    store: Store, workflow_id: int, after: int, limit: int
) -> list[tuple[int, int, int]]:
    """Return id, time in microseconds and whether it was refused, of the first after an id."""
    return _NEW_IDS.read(store, of=workflow_id, after=after, limit=limit)


def read_ids(store: Store, workflow_id: int, after: int = 0) -> list[int]:
    """Return the ids of the deliveries after an id, in order."""
    return [number for (number,) in _IDS.read(store, of=workflow_id, after=after)]


def read_newest_ids(store: Store, workflow_id: int, limit: int) -> list[int]:
    """Return the ids of the newest deliveries, oldest first."""
    rows = _NEWEST_IDS.read(store, of=workflow_id, limit=limit)
    return [number for (number,) in reversed(rows)]


def read_id_bounds(store: Store, workflow_id: int) -> tuple[int, int]:
    """Return the first and the last id of the deliveries, 0 and 0 where there is none."""
    [(first, last)] = _BOUNDS.read(store, of=workflow_id)
    return first, last


def keep_known(store: Store, workflow_id: int, ids: Iterable[int]) -> list[int]:
    """Return those of some ids that are still deliveries of the workflow."""
    rows = _KNOWN.read(store, of=workflow_id, ids=json.dumps(list(ids)))
    return [number for (number,) in rows]


def keep_running(store: Store, workflow_id: int, ids: Iterable[int]) -> list[int]:
    """Return those of some ids whose executions have not ended."""
    rows = _RUNNING.read(store, of=workflow_id, ids=json.dumps(list(ids)))
    return [number for (number,) in rows]


def check_ids(
    store: Store, workflow_id: int, upto: int, first: int | None, last: int | None
) -> KnownIds:
    """Return the oldest refused id, how many are refused up to an id, and whether two are there.

    ``first`` and ``last`` are ids, or ``None``, which counts as being there.
    """
    [row] = _CHECK.read(store, of=workflow_id, upto=upto, first=first, last=last)
    return KnownIds._make(row)


def read_counts_by_second(
    store: Store, workflow_id: int, first: int, last: int
) -> list[tuple[int, int, int]]:
    """Return second since 1970, deliveries and refused ones in it, of the ids between two."""
    return _BY_SECOND.read(store, of=workflow_id, after=first, upto=last)


def count_deliveries(store: Store, workflow_id: int, upto: int) -> int:
    """Count the deliveries up to an id."""
    count: int = _COUNT.value(store, of=workflow_id, upto=upto)
    return count


def count_refused(store: Store, workflow_id: int) -> int:
    """Count the refused deliveries."""
    count: int = _COUNT_REFUSED.value(store, of=workflow_id)
    return count


def read_oldest_refused(store: Store, workflow_id: int) -> int | None:
    """Return the id of the oldest refused delivery."""
    oldest: int | None = _OLDEST_REFUSED.value(store, of=workflow_id)
    return oldest


def read_unexpired(store: Store, workflow_id: int) -> tuple[int, list[int]]:
    """Return the highest id that retention has deleted, 0 for none, and those left up to it.

    The latter are few: their executions have not ended, or had not when it came by.
    """
    upto: int = _EXPIRED.value(store, of=workflow_id) or 0
    rows = _IDS_UPTO.read(store, of=workflow_id, upto=upto) if upto else []
    return upto, [number for (number,) in rows]


def has_record(store: Store, workflow_id: int, number: int, table: str = "deliveries") -> bool:
    """Tell whether there is a delivery of that id, or an execution or job by the table's name."""
    return bool(_HAS[table].value(store, of=workflow_id, number=number))


# -- requests -------------------------------------------------------------------------------------


def _request(head: Any, body: Any, size: Any, status: Any) -> list[Any]:
    """Return the columns of a :data:`RequestRow` behind the id and the bytes of the body."""
    return [
        deliveries.c.id,
        size,
        deliveries.c.method,
        deliveries.c.query,
        deliveries.c.content_type,
        deliveries.c.content_encoding,
        head,
        body,
        deliveries.c.size,
        deliveries.c.reason,
        deliveries.c.detail,
        status,
    ]


_BODY_BYTES: Final = func.length(deliveries.c.body)
_SMALL_BODY: Final = case((_BODY_BYTES <= _MAX_BYTES, deliveries.c.body))
_EMPTY: Final[ColumnElement[bytes]] = literal_column("x''")
_NO_STATUS: Final[ColumnElement[None]] = literal_column("NULL")

_REQUESTS: Final = _Query(
    select(*_request(deliveries.c.head, _SMALL_BODY, _BODY_BYTES, _NO_STATUS)).where(
        _MINE, deliveries.c.id.in_(_LISTED)
    )
)
_NEWEST_REQUESTS: Final = _Query(
    select(*_request(deliveries.c.head, _SMALL_BODY, _BODY_BYTES, _NO_STATUS))
    .where(_MINE, deliveries.c.reason.is_(None))
    .order_by(deliveries.c.id.desc())
    .limit(_LIMIT)
)
_NEWEST_ACCEPTED: Final = _Query(
    select(deliveries.c.id, deliveries.c.size)
    .where(_MINE, deliveries.c.reason.is_(None))
    .order_by(deliveries.c.id.desc())
    .limit(_LIMIT)
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A column of deliveries compared with a value.

    Attributes
    ----------
    column
        ``status``, ``size``, ``method``, ``reason`` or ``outcome``, or ``received_at``
        (microseconds since 1970).
    sign
        ``==``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
    value
        Of the column's type, or ``None``.
    """

    column: str
    sign: str
    value: int | str | None

    @property
    def clause(self) -> ColumnElement[bool]:
        """The same as a clause on deliveries joined with their responses."""
        columns: dict[str, ColumnElement[Any]] = {
            **deliveries.columns,
            "status": responses.c.status,
            "outcome": case((deliveries.c.reason.is_(None), "accepted"), else_="refused"),
        }
        column, value = columns[self.column], literal(self.value)
        if self.sign in {"==", "!="}:
            is_other = column.is_distinct_from(value)
            return is_other if self.sign == "!=" else ~is_other
        compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
        clause: ColumnElement[bool] = compare[self.sign](column, value)
        return clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What is read of deliveries, and of which.

    Attributes
    ----------
    head, body
        Whether these are read; they are empty otherwise.
    narrow
        What holds of each.
    pending
        Whether those without a response are read in any case.
    """

    head: bool
    body: bool
    narrow: tuple[Comparison, ...] = ()
    pending: bool = False

    @property
    def statement(self) -> Select[Any]:
        """The rows of a workflow."""
        columns = _request(
            deliveries.c.head if self.head else _EMPTY,
            deliveries.c.body if self.body else _EMPTY,
            _BODY_BYTES if self.body else literal_column("0"),
            responses.c.status,
        )
        wanted = select(*columns).select_from(_AND_RESPONSES).where(_MINE)
        if not self.narrow:
            return wanted
        holds = and_(*(comparison.clause for comparison in self.narrow))
        return wanted.where(or_(holds, responses.c.status.is_(None)) if self.pending else holds)


@lru_cache(maxsize=64)
def _requests_after(scanned: Scanned) -> _Query:
    wanted = scanned.statement.where(deliveries.c.id > _AFTER, deliveries.c.id <= _UPTO)
    return _Query(wanted.order_by(deliveries.c.id).limit(_LIMIT))


@lru_cache(maxsize=64)
def _requests_before(scanned: Scanned) -> _Query:
    wanted = scanned.statement.where(deliveries.c.id > _AFTER, deliveries.c.id < _UPTO)
    return _Query(wanted.order_by(deliveries.c.id.desc()).limit(_LIMIT))


@lru_cache(maxsize=64)
def _requests_listed(scanned: Scanned) -> _Query:
    wanted = scanned.statement.where(deliveries.c.id.in_(_LISTED))
    return _Query(wanted.order_by(deliveries.c.id))


@lru_cache(maxsize=4)
def _responded_requests(scanned: Scanned) -> _Query:
    wanted = scanned.statement
    return _Query(wanted.where(responses.c.status.is_not(None), deliveries.c.id.in_(_LISTED)))


def read_requests_of(
    store: Store, workflow_id: int, ids: Sequence[int], max_bytes: int
) -> list[tuple[Any, ...]]:
    """Return id, bytes of the body and a :data:`RequestRow` of deliveries; without status.

    The body is ``None`` where it has more than ``max_bytes`` bytes.
    """
    return _REQUESTS.read(store, of=workflow_id, ids=json.dumps(ids), max_bytes=max_bytes)


def read_newest_requests(
    store: Store, workflow_id: int, limit: int, max_bytes: int
) -> list[tuple[Any, ...]]:
    """Return what :func:`read_requests_of` does of the newest accepted ones, newest first."""
    return _NEWEST_REQUESTS.read(store, of=workflow_id, limit=limit, max_bytes=max_bytes)


def read_newest_accepted(store: Store, workflow_id: int, limit: int) -> list[tuple[int, int]]:
    """Return id and size in bytes of the newest accepted deliveries, newest first."""
    return _NEWEST_ACCEPTED.read(store, of=workflow_id, limit=limit)


def read_requests_after(
    store: Store, workflow_id: int, scanned: Scanned, *, after: int, upto: int, limit: int
) -> list[tuple[Any, ...]]:
    """Return id, bytes of the body and a :data:`RequestRow` of deliveries in order."""
    query = _requests_after(scanned)
    return query.read(store, of=workflow_id, after=after, upto=upto, limit=limit)


def read_requests_before(
    store: Store, workflow_id: int, scanned: Scanned, *, after: int, before: int, limit: int
) -> list[tuple[Any, ...]]:
    """Return what :func:`read_requests_after` does, newest first."""
    query = _requests_before(scanned)
    return query.read(store, of=workflow_id, after=after, upto=before, limit=limit)


def read_requests_listed(
    store: Store, workflow_id: int, scanned: Scanned, ids: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Return what :func:`read_requests_after` does, of some ids."""
    return _requests_listed(scanned).read(store, of=workflow_id, ids=json.dumps(ids))


def read_responded_requests(
    store: Store, workflow_id: int, scanned: Scanned, ids: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Return what :func:`read_requests_after` does of those that have a response by now."""
    return _responded_requests(scanned).read(store, of=workflow_id, ids=json.dumps(ids))


# -- conditions that the store evaluates ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on deliveries that the store evaluates without reading requests.

    Attributes
    ----------
    kind
        ``any`` of them, ``accepted``, ``refused``, ``pending`` (without a response), or those whose
        status is ``within`` or ``outside`` the bounds.
    low, high
        The bounds of the status, both included.
    """

    kind: Literal["any", "accepted", "refused", "pending", "within", "outside"]
    low: int = 0
    high: int = 0

    def holds(self, reason: str | None, status: int | None) -> bool:
        """Tell whether it is true of a delivery, by its reason and the status of its response."""
        if self.kind in {"accepted", "refused"}:
            return (reason is None) == (self.kind == "accepted")
        if self.kind in {"within", "outside"}:
            is_within = status is not None and self.low <= status <= self.high
            return status is not None and is_within == (self.kind == "within")
        return self.kind == "any" or status is None

    @property
    def clause(self) -> ColumnElement[bool]:
        """The same as a clause on deliveries joined with their responses."""
        status = responses.c.status
        clauses: dict[str, ColumnElement[bool]] = {
            "any": true(),
            "accepted": deliveries.c.reason.is_(None),
            "refused": _REFUSED,
            "pending": status.is_(None),
            "within": status.between(self.low, self.high),
            "outside": ~status.between(self.low, self.high),
        }
        return clauses[self.kind]


ANY: Final = Condition("any")
"""True of every delivery."""


class Found(NamedTuple):
    """A delivery, whether it waits for its response, and whether a condition holds."""

    id: int
    is_pending: int
    is_found: int | None


@lru_cache(maxsize=64)
def _judged(condition: Condition) -> _Query:
    return _Query(
        select(deliveries.c.id, responses.c.status.is_(None), condition.clause)
        .select_from(_AND_RESPONSES)
        .where(_MINE, deliveries.c.id > _AFTER, deliveries.c.id <= _UPTO)
        .order_by(deliveries.c.id)
    )


@lru_cache(maxsize=64)
def _newest_found(condition: Condition, narrow: tuple[Comparison, ...]) -> _Query:
    return _Query(
        select(deliveries.c.id)
        .select_from(_AND_RESPONSES)
        .where(_MINE, condition.clause, *(comparison.clause for comparison in narrow))
        .order_by(deliveries.c.id.desc())
        .limit(_LIMIT)
    )


@lru_cache(maxsize=64)
def _found_of(condition: Condition) -> _Query:
    listed = func.json_each(bindparam("keys")).table_valued("key", "value").alias("listed")
    key = listed.c.value
    return _Query(
        select(deliveries.c.workflow_id, deliveries.c.id)
        .select_from(
            listed.join(
                deliveries,
                and_(
                    deliveries.c.workflow_id == key.op("->>")(literal_column("0")),
                    deliveries.c.id == key.op("->>")(literal_column("1")),
                ),
            ).outerjoin(responses, RESPONSE_OF_DELIVERY)
        )
        .where(condition.clause)
        .order_by(listed.c.key)
    )


def judge_deliveries(
    store: Store, workflow_id: int, condition: Condition, after: int, upto: int
) -> list[Found]:
    """Judge the deliveries after an id and up to another, in order."""
    rows = _judged(condition).read(store, of=workflow_id, after=after, upto=upto)
    return list(map(Found._make, rows))


def find_ids(
    store: Store,
    workflow_id: int,
    condition: Condition,
    limit: int | None = None,
    narrow: tuple[Comparison, ...] = (),
) -> list[int]:
    """Return the ids of the newest deliveries of which all conditions hold, oldest first."""
    most = MAX_ID if limit is None else min(limit, MAX_ID)
    rows = _newest_found(condition, narrow).read(store, of=workflow_id, limit=most)
    return [number for (number,) in reversed(rows)]


def find_deliveries(
    store: Store, condition: Condition, keys: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return those workflows and ids of which a condition holds, in the same order."""
    return _found_of(condition).read(store, keys=json.dumps(keys))


# -- frames ---------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _delivery_rows(*, head: bool, body: bool) -> Select[Any]:
    columns = [
        deliveries.c.id,
        deliveries.c.size,
        deliveries.c.received_at,
        deliveries.c.method,
        deliveries.c.subpath,
        deliveries.c.content_type,
        deliveries.c.content_encoding,
        deliveries.c.size,
        deliveries.c.remote,
        deliveries.c.reason,
        responses.c.status,
        responses.c.duration_us,
        deliveries.c.head if head else _EMPTY,
        deliveries.c.query,
        deliveries.c.body if body else _EMPTY,
    ]
    return select(*columns).select_from(_AND_RESPONSES).where(_MINE)


@lru_cache(maxsize=4)
def _listed_delivery_rows(*, head: bool, body: bool) -> _Query:
    wanted = _delivery_rows(head=head, body=body).where(deliveries.c.id.in_(_LISTED))
    return _Query(wanted.order_by(deliveries.c.id))


_TEXTS: Final = (
    deliveries.c.method,
    deliveries.c.subpath,
    deliveries.c.content_type,
    deliveries.c.remote,
    deliveries.c.reason,
    deliveries.c.query,
)
_FIRST_TEXTS: Final = _Query(
    select(deliveries.c.id, *_TEXTS)
    .where(_MINE, deliveries.c.id > _AFTER, deliveries.c.id <= _UPTO)
    .order_by(deliveries.c.id)
    .limit(1)
)
_IS_BETWEEN: Final = deliveries.c.id.between(_AFTER, _UPTO)
# SQLite does the work of a part in one step, in which other threads run: a row handed to Python
# takes as long as five that are not.
_DELIVERY_COLUMNS: Final = _Query(
    select(
        func.group_concat(deliveries.c.id),
        func.group_concat(deliveries.c.received_at),
        func.group_concat(deliveries.c.size),
        func.json_group_array(func.json_array(deliveries.c.id, *_TEXTS)).filter(
            or_(
                *(
                    column.is_distinct_from(bindparam(f"first_{column.name}", type_=Text))
                    for column in _TEXTS
                )
            )
        ),
    ).where(_MINE, _IS_BETWEEN)
)
_RESPONSE_COLUMNS: Final = _Query(
    select(
        func.group_concat(responses.c.delivery_id),
        func.group_concat(responses.c.status),
        func.group_concat(responses.c.duration_us),
    ).where(responses.c.workflow_id == _OF, responses.c.delivery_id.between(_AFTER, _UPTO))
)
VARIABLE_ROWS: Final = (
    select(
        deliveries.c.id,
        deliveries.c.size,
        deliveries.c.received_at,
        deliveries.c.head,
        deliveries.c.query,
        deliveries.c.content_type,
        deliveries.c.content_encoding,
        deliveries.c.body,
    )
    .where(_MINE, deliveries.c.reason.is_(None))
    .order_by(deliveries.c.id)
)
_VARIABLE_ROWS: Final = _Query(
    VARIABLE_ROWS.where(
        deliveries.c.id > _AFTER, deliveries.c.id < bindparam("before", type_=Integer)
    ).limit(_LIMIT)
)
_LISTED_VARIABLE_ROWS: Final = _Query(VARIABLE_ROWS.where(deliveries.c.id.in_(_LISTED)))
_RUNS: Final = func.json_each(bindparam("runs")).table_valued("value").alias("runs")
# An outer join, since SQLite would otherwise compare every response with every run.
_RESPONSES: Final = _Query(
    select(responses.c.delivery_id, responses.c.status, responses.c.duration_us).select_from(
        _RUNS.outerjoin(
            responses,
            and_(
                responses.c.workflow_id == _OF,
                responses.c.delivery_id.between(
                    _RUNS.c.value.op("->>")(literal_column("0")),
                    _RUNS.c.value.op("->>")(literal_column("1")),
                ),
            ),
        )
    )
)
_EXECUTIONS: Final = select(
    executions.c.id,
    literal_column("0"),
    executions.c.id,
    executions.c.revision,
    executions.c.status,
    executions.c.reason,
    executions.c.started_at,
    executions.c.finished_at,
    executions.c.response_status,
    executions.c.missing,
    executions.c.recovered,
    executions.c.owner,
).where(executions.c.workflow_id == _OF)
_EXECUTION_ROWS: Final = _Query(
    _EXECUTIONS.where(executions.c.id > _AFTER).order_by(executions.c.id).limit(_LIMIT)
)
_EXECUTIONS_AGAIN: Final = _Query(
    _EXECUTIONS.where(executions.c.id.in_(_LISTED)).order_by(executions.c.id)
)
_JOBS: Final = select(
    jobs.c.id,
    func.coalesce(func.length(jobs.c.result), 0) + func.length(jobs.c.output),
    jobs.c.execution_id,
    jobs.c.node,
    jobs.c.type,
    jobs.c.status,
    jobs.c.started_at,
    jobs.c.finished_at,
    jobs.c.result,
    jobs.c.output,
    jobs.c.error,
).where(jobs.c.workflow_id == _OF)
_JOB_ROWS: Final = _Query(
    _JOBS.where(jobs.c.finished_at.is_not(None), jobs.c.id > _AFTER)
    .order_by(jobs.c.id)
    .limit(_LIMIT)
)
_LISTED_JOB_ROWS: Final = _Query(_JOBS.where(jobs.c.id.in_(_LISTED)).order_by(jobs.c.id))
_RUNNING_JOBS: Final = _Query(_JOBS.where(jobs.c.finished_at.is_(None)).order_by(jobs.c.id))


class DeliveryColumns(NamedTuple):
    """Columns of deliveries, in the order of their ids.

    Attributes
    ----------
    ids, received_us, sizes, responded, statuses, durations_us
        Whole numbers with commas between them. The last three are those of the responses: the ids
        of their deliveries, status, and microseconds; ``None`` where there is none.
    texts
        Method, subpath, content type, remote, reason and query string of the first one.
    others
        A list as JSON: the id and these texts of each delivery that differs from the first one.
    """

    ids: str
    received_us: str
    sizes: str
    texts: tuple[str | None, ...]
    others: str
    responded: str | None
    statuses: str | None
    durations_us: str | None


def read_delivery_columns(
    store: Store, workflow_id: int, after: int, upto: int, limit: int
) -> DeliveryColumns | None:
    """Return the columns of deliveries after an id, up to another, without heads and bodies.

    ``limit`` is the greatest number of ids from the first one to the last one; ``None`` where there
    is no delivery.
    """
    while first := _FIRST_TEXTS.read(store, of=workflow_id, after=after, upto=upto):
        [(start, *texts)] = first
        part = {"of": workflow_id, "after": start, "upto": min(upto, start + limit - 1)}
        named = {f"first_{column.name}": text for column, text in zip(_TEXTS, texts, strict=True)}
        [(ids, received, sizes, others)] = _DELIVERY_COLUMNS.read(store, **part, **named)
        if ids is not None:
            [sent] = _RESPONSE_COLUMNS.read(store, **part)
            return DeliveryColumns(ids, received, sizes, tuple(texts), others, *sent)
        after = part["upto"]  # they were deleted meanwhile
    return None


def read_variable_rows(
    store: Store, workflow_id: int, after: int, limit: int, *, before: int = MAX_ID
) -> list[tuple[Any, ...]]:
    """Return accepted deliveries after an id and before another, in order.

    Id, size, time in microseconds, head, query string, content type, content encoding, body.
    """
    return _VARIABLE_ROWS.read(store, of=workflow_id, after=after, before=before, limit=limit)


def read_responses_between(
    store: Store, workflow_id: int, runs: Sequence[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    """Return id, status and duration in microseconds of the deliveries that have a response.

    ``runs`` are the first and the last id of each run of deliveries to look at.
    """
    rows = _RESPONSES.read(store, of=workflow_id, runs=json.dumps(runs)) if runs else []
    return [row for row in rows if row[0] is not None]


def read_execution_rows(
    store: Store, workflow_id: int, after: int, limit: int
) -> list[tuple[Any, ...]]:
    """Return executions after an id, in order.

    Id and 0 first, then: id, revision, status code, reason, start, end (microseconds), status of
    the response, missing (JSON), recovered, owner (``None`` once it has ended).
    """
    return _EXECUTION_ROWS.read(store, of=workflow_id, after=after, limit=limit)


def read_executions_again(
    store: Store, workflow_id: int, ids: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Return what :func:`read_execution_rows` does of some ids, in order."""
    return _EXECUTIONS_AGAIN.read(store, of=workflow_id, ids=json.dumps(ids)) if ids else []


def read_job_rows(store: Store, workflow_id: int, after: int, limit: int) -> list[tuple[Any, ...]]:
    """Return jobs that have ended, after an id, in order.

    Id and characters first, then: id of the execution, node, type, status code, start, end
    (microseconds), result (JSON), output, error.
    """
    return _JOB_ROWS.read(store, of=workflow_id, after=after, limit=limit)


def read_running_jobs(store: Store, workflow_id: int) -> list[tuple[Any, ...]]:
    """Return what :func:`read_job_rows` does of the jobs that run, in order."""
    return _RUNNING_JOBS.read(store, of=workflow_id)


def read_listed_delivery_rows(
    store: Store, workflow_id: int, ids: Sequence[int], *, head: bool, body: bool
) -> list[tuple[Any, ...]]:
    """Return the deliveries of some ids, in order.

    Id and size first, then: time in microseconds, method, subpath, content type, content encoding,
    size, remote, reason, status, duration in microseconds, head, query string, body.

    ``head`` and ``body`` tell whether these are read; they are empty otherwise.
    """
    query = _listed_delivery_rows(head=head, body=body)
    return query.read(store, of=workflow_id, ids=json.dumps(ids))


def read_listed_variable_rows(
    store: Store, workflow_id: int, ids: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Return what :func:`read_variable_rows` does of some ids, in order."""
    return _LISTED_VARIABLE_ROWS.read(store, of=workflow_id, ids=json.dumps(ids))


def read_listed_job_rows(
    store: Store, workflow_id: int, ids: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Return what :func:`read_job_rows` does of some ids, in order; also of those that run."""
    return _LISTED_JOB_ROWS.read(store, of=workflow_id, ids=json.dumps(ids))


_IDS_OF: Final[dict[str, Select[Any]]] = {
    "deliveries": select(deliveries.c.id),
    "variables": select(deliveries.c.id).where(deliveries.c.reason.is_(None)),
    "executions": select(executions.c.id).join(deliveries, _EXECUTION_OF_DELIVERY),
    "jobs": select(jobs.c.id).join(
        deliveries,
        and_(
            deliveries.c.workflow_id == jobs.c.workflow_id, deliveries.c.id == jobs.c.execution_id
        ),
    ),
}


@lru_cache(maxsize=32)
def _window_ids(kind: str, *, since: bool, until: bool, listed: bool) -> _Query:
    wanted = _IDS_OF[kind].where(_MINE)
    if since:
        wanted = wanted.where(deliveries.c.received_at >= bindparam("since", type_=Integer))
    if until:
        wanted = wanted.where(deliveries.c.received_at < bindparam("until", type_=Integer))
    if listed:
        wanted = wanted.where(deliveries.c.id.in_(_LISTED))
    return _Query(wanted.order_by(wanted.selected_columns.id.desc()).limit(_LIMIT))


def read_window_ids(
    store: Store,
    workflow_id: int,
    kind: str,
    *,
    last: int | None = None,
    since: int | None = None,
    until: int | None = None,
    of: Sequence[int] | None = None,
) -> list[int]:
    """Return the ids of the records in a window, oldest first.

    ``kind`` is the name of a frame. The window is that of the deliveries that the records belong
    to: received at ``since`` or later and before ``until`` (microseconds since 1970), and one
    ``of`` these ids. ``last`` is the number of records, the newest.
    """
    parameters: dict[str, Any] = {
        "since": since,
        "until": until,
        "ids": None if of is None else json.dumps(of),
    }
    query = _window_ids(
        kind, since=since is not None, until=until is not None, listed=of is not None
    )
    given = {name: value for name, value in parameters.items() if value is not None}
    limit = MAX_ID if last is None else min(last, MAX_ID)
    rows = query.read(store, of=workflow_id, limit=limit, **given)
    return [number for (number,) in reversed(rows)]


# -- tables ---------------------------------------------------------------------------------------

_DURATIONS: Final = _Query(
    select(responses.c.duration_us).where(
        responses.c.workflow_id == _OF,
        responses.c.delivery_id.in_(
            select(deliveries.c.id).where(_MINE).order_by(deliveries.c.id.desc()).limit(_LIMIT)
        ),
    )
)
_ROW_FACTS: Final = _Query(
    select(
        deliveries.c.id,
        deliveries.c.received_at,
        deliveries.c.reason,
        responses.c.status,
        responses.c.duration_us,
        executions.c.id,
        executions.c.status,
        executions.c.reason,
    )
    .select_from(_AND_RESPONSES.outerjoin(executions, _EXECUTION_OF_DELIVERY))
    .where(_MINE, deliveries.c.id.in_(_LISTED))
)


class RowFacts(NamedTuple):
    """What a row of the table shows beside its cells; times in microseconds."""

    id: int
    received_us: int
    refusal: str | None
    status: int | None
    duration_us: int | None
    execution: int | None
    code: int | None
    reason: str | None


def read_durations(store: Store, workflow_id: int, limit: int) -> list[int]:
    """Return the microseconds to the responses of the newest deliveries that have one."""
    return [row[0] for row in _DURATIONS.read(store, of=workflow_id, limit=limit)]


def read_row_facts(store: Store, workflow_id: int, ids: Sequence[int]) -> list[RowFacts]:
    """Return what rows of the table show beside their cells, in any order."""
    rows = _ROW_FACTS.read(store, of=workflow_id, ids=json.dumps(ids))
    return list(map(RowFacts._make, rows))


# -- nodes ----------------------------------------------------------------------------------------

_BRANCHES: Final = case(
    (
        jobs.c.type.in_([literal_column("'condition'"), literal_column("'switch'")]),
        func.substr(jobs.c.result, 1, bindparam("max_characters")),
    )
)
_LAST_JOB: Final = _Query(select(func.max(jobs.c.id)).where(jobs.c.workflow_id == _OF))
_JOB_COUNTS: Final = _Query(
    select(
        jobs.c.node,
        jobs.c.type,
        jobs.c.status,
        _BRANCHES.label("branch"),
        (jobs.c.error == bindparam("inside")).label("is_inside"),
        func.count(),
        func.sum(jobs.c.finished_at - jobs.c.started_at),
        func.max(jobs.c.id),
    )
    .where(
        jobs.c.workflow_id == _OF,
        jobs.c.id > _AFTER,
        jobs.c.id <= _UPTO,
        jobs.c.finished_at.is_not(None),
    )
    .group_by(jobs.c.node, jobs.c.type, jobs.c.status, "branch", "is_inside")
)
_MARK: Final = _Query(
    select(jobs.c.execution_id, jobs.c.started_at, jobs.c.node).where(
        jobs.c.workflow_id == _OF, jobs.c.id == _NUMBER
    )
)


class JobCounts(NamedTuple):
    """Jobs of one node that ended alike."""

    node: str
    type: str
    status: int
    result: str | None
    is_inside: int | None
    times: int
    microseconds: int
    last: int


def read_last_job_id(store: Store, workflow_id: int) -> int | None:
    """Return the greatest id of a job."""
    last: int | None = _LAST_JOB.value(store, of=workflow_id)
    return last


def read_job_counts(
    store: Store, workflow_id: int, after: int, upto: int, *, inside: str, max_characters: int
) -> list[JobCounts]:
    """Count the jobs that ended, after an id and up to another, by node and by how they ended.

    ``inside`` is the error of those whose node did not fail by itself; of the results of Conditions
    and Switches so many characters are read.
    """
    rows = _JOB_COUNTS.read(
        store,
        of=workflow_id,
        after=after,
        upto=upto,
        inside=inside,
        max_characters=max_characters,
    )
    return list(map(JobCounts._make, rows))


def read_mark(store: Store, workflow_id: int, number: int) -> tuple[Any, ...] | None:
    """Return what tells a job from a later one with its id; ``None`` where there is none."""
    rows = _MARK.read(store, of=workflow_id, number=number)
    return rows[0] if rows else None


# -- one delivery ---------------------------------------------------------------------------------

_CUT: Final[ColumnElement[int]] = bindparam("cut", type_=Integer)
_RESPONSE_BODY: Final = func.coalesce(responses.c.body, fixed_responses.c.body)
_DELIVERY_DETAILS: Final = _Query(
    select(
        deliveries.c.received_at,
        deliveries.c.method,
        deliveries.c.query,
        deliveries.c.content_type,
        deliveries.c.content_encoding,
        deliveries.c.head,
        case(
            (_BODY_BYTES <= _MAX_BYTES, deliveries.c.body),
            else_=func.substr(deliveries.c.body, 1, _CUT),
        ),
        _BODY_BYTES,
        deliveries.c.size,
        deliveries.c.remote,
        deliveries.c.reason,
        deliveries.c.detail,
        responses.c.status,
        responses.c.duration_us,
        func.coalesce(responses.c.headers, fixed_responses.c.headers),
        func.substr(_RESPONSE_BODY, 1, _CUT),
        responses.c.size,
    )
    .select_from(_AND_RESPONSES.outerjoin(fixed_responses, FIXED_RESPONSE))
    .where(_MINE, deliveries.c.id == _NUMBER)
)
_EXECUTION_DETAILS: Final = _Query(
    select(
        executions.c.status,
        executions.c.reason,
        executions.c.started_at,
        executions.c.finished_at,
        executions.c.revision,
        executions.c.recovered,
        executions.c.missing,
    ).where(executions.c.workflow_id == _OF, executions.c.id == _NUMBER)
)
_OF_EXECUTION: Final = and_(jobs.c.workflow_id == _OF, jobs.c.execution_id == _NUMBER)
_JOB_DETAILS: Final = _Query(
    select(
        jobs.c.node,
        jobs.c.type,
        jobs.c.status,
        jobs.c.started_at,
        jobs.c.finished_at,
        func.substr(jobs.c.result, 1, _CUT),
        jobs.c.is_repr,
        func.substr(jobs.c.output, 1, _CUT),
        func.substr(jobs.c.error, 1, _CUT),
    )
    .where(_OF_EXECUTION)
    .order_by(jobs.c.started_at, jobs.c.id.desc())
    .limit(_LIMIT)
)
_COUNT_JOBS: Final = _Query(select(func.count()).select_from(jobs).where(_OF_EXECUTION))


class DeliveryDetails(NamedTuple):
    """A delivery and its response, both bodies cut where they are large; times in microseconds."""

    received_us: int
    method: str
    query_string: str
    content_type: str | None
    content_encoding: str | None
    head: bytes
    raw: bytes
    kept: int
    size: int
    remote: str
    reason: str | None
    detail: str | None
    status: int | None
    duration_us: int | None
    response_headers: bytes
    response_body: bytes
    response_size: int


class ExecutionDetails(NamedTuple):
    """An execution; times in microseconds."""

    status: int | None
    reason: str | None
    started_us: int | None
    finished_us: int | None
    revision: int
    recovered: int
    missing: str | None


class JobDetails(NamedTuple):
    """A job, its texts cut where they are long; times in microseconds."""

    node: str
    type: str
    status: int
    started_us: int
    finished_us: int | None
    result: str | None
    is_repr: int
    output: str
    error: str | None


def read_delivery_details(
    store: Store, workflow_id: int, number: int, *, max_bytes: int, cut: int
) -> DeliveryDetails | None:
    """Return a delivery; ``None`` where there is none of that id.

    Of a body of more than ``max_bytes`` bytes, and of the response's, the first ``cut`` are read.
    """
    rows = _DELIVERY_DETAILS.read(
        store, of=workflow_id, number=number, max_bytes=max_bytes, cut=cut
    )
    return DeliveryDetails._make(rows[0]) if rows else None


def read_execution_details(store: Store, workflow_id: int, number: int) -> ExecutionDetails | None:
    """Return an execution; ``None`` where there is none of that id."""
    rows = _EXECUTION_DETAILS.read(store, of=workflow_id, number=number)
    return ExecutionDetails._make(rows[0]) if rows else None


def read_job_details(
    store: Store, workflow_id: int, execution: int, *, limit: int, cut: int
) -> list[JobDetails]:
    """Return the first jobs of an execution in the order of their starts, texts cut."""
    rows = _JOB_DETAILS.read(store, of=workflow_id, number=execution, limit=limit, cut=cut)
    return list(map(JobDetails._make, rows))


def count_jobs(store: Store, workflow_id: int, execution: int) -> int:
    """Count the jobs of an execution."""
    count: int = _COUNT_JOBS.value(store, of=workflow_id, number=execution)
    return count
