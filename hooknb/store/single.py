"""One record, whole: a delivery with its response, an execution with its jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import Integer, bindparam, func, select

from hooknb._clock import moment
from hooknb.errors import RecordNotFoundError
from hooknb.records import Delivery, Execution, Job, SentResponse, Status, decode_result
from hooknb.store.prepared import Prepared
from hooknb.store.schema import (
    FIXED_RESPONSE,
    RECEIVED,
    RESPONSE_OF_DELIVERY,
    STORED_BYTES,
    deliveries,
    executions,
    fixed_responses,
    jobs,
    responses,
    workflows,
)

__all__ = ["Rows", "read_deliveries", "read_delivery", "read_execution", "size_batches"]

_MAX_ROWS: Final = 500  # read at once
_MAX_BYTES: Final = 8 * 2**20  # of the deliveries that are read at once; one may be larger

_LISTED: Final = select(func.json_each(bindparam("ids")).table_valued("value").c.value)
_RESPONSE_BODY: Final = func.coalesce(responses.c.body, fixed_responses.c.body)
_DELIVERIES: Final = (
    select(
        workflows.c.name,
        deliveries.c.received_at,
        deliveries.c.reason,
        deliveries.c.detail,
        responses.c.status,
        responses.c.duration_us,
        func.coalesce(responses.c.headers, fixed_responses.c.headers),
        _RESPONSE_BODY,
        responses.c.size,
        *RECEIVED.values(),
        deliveries.c.id,
        deliveries.c.content_type,
        deliveries.c.content_encoding,
    )
    .join_from(deliveries, workflows)
    .outerjoin(responses, RESPONSE_OF_DELIVERY)
    .outerjoin(fixed_responses, FIXED_RESPONSE)
    .where(deliveries.c.workflow_id == bindparam("of"))
)
_DELIVERY: Final = Prepared(
    _DELIVERIES.where(deliveries.c.id == bindparam("number", type_=Integer))
)
_LISTED_DELIVERIES: Final = Prepared(
    _DELIVERIES.where(deliveries.c.id.in_(_LISTED)).order_by(deliveries.c.id)
)
_SIZES: Final = Prepared(
    # SQLite says how long a body is without reading it.
    select(deliveries.c.id, STORED_BYTES + func.coalesce(func.length(_RESPONSE_BODY), 0))
    .select_from(deliveries)
    .outerjoin(responses, RESPONSE_OF_DELIVERY)
    .outerjoin(fixed_responses, FIXED_RESPONSE)
    .where(deliveries.c.workflow_id == bindparam("of"), deliveries.c.id.in_(_LISTED))
    .order_by(deliveries.c.id)
)
_EXECUTION: Final = Prepared(
    select(
        workflows.c.name,
        executions.c.revision,
        executions.c.status,
        executions.c.reason,
        executions.c.started_at,
        executions.c.finished_at,
        executions.c.response_status,
        executions.c.missing,
        executions.c.recovered,
    )
    .join_from(executions, workflows)
    .where(executions.c.workflow_id == bindparam("of"), executions.c.id == bindparam("number"))
)
_JOBS: Final = Prepared(
    select(
        jobs.c.execution_id,
        jobs.c.node,
        jobs.c.type,
        jobs.c.status,
        jobs.c.started_at,
        jobs.c.finished_at,
        jobs.c.result,
        jobs.c.is_repr,
        jobs.c.output,
        jobs.c.error,
    )
    .where(jobs.c.workflow_id == bindparam("of"), jobs.c.execution_id == bindparam("number"))
    .order_by(jobs.c.id)
)

_decode_pairs: Final = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode

Rows: TypeAlias = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Reads rows of a statement with its parameters."""


def read_delivery(rows: Rows, workflow_id: int, number: int) -> Delivery:
    """Read one delivery.

    Raises
    ------
    RecordNotFoundError
        The workflow has none of that id.
    """
    found = rows(_DELIVERY.text, _DELIVERY.row(of=workflow_id, number=number))
    if not found:
        message = f"there is no delivery {number} of this hook; hook.deliveries lists them"
        raise RecordNotFoundError(message)
    return _delivery(found[0])


def read_deliveries(rows: Rows, workflow_id: int, ids: Iterable[int]) -> Iterator[Delivery]:
    """Yield deliveries, some megabytes of them at a time.

    Parameters
    ----------
    rows
        Reads rows.
    workflow_id
        Whose deliveries.
    ids
        In order; those that are not there when they are due are left out.
    """
    for batch in size_batches(rows, workflow_id, ids):
        yield from _read_listed(rows, workflow_id, batch)


def size_batches(rows: Rows, workflow_id: int, ids: Iterable[int]) -> Iterator[list[int]]:
    """Yield the ids of deliveries that are there, as many at once as may be read at once."""
    rest = iter(ids)
    while part := list(islice(rest, _MAX_ROWS)):
        batch: list[int] = []
        total = 0
        sizes = rows(_SIZES.text, _SIZES.row(of=workflow_id, ids=json.dumps(part)))
        for number, size in sizes:
            if batch and total + size > _MAX_BYTES:
                yield batch
                batch, total = [], 0
            batch.append(number)
            total += size
        yield batch


def _read_listed(rows: Rows, workflow_id: int, ids: list[int]) -> Iterator[Delivery]:
    row = _LISTED_DELIVERIES.row(of=workflow_id, ids=json.dumps(ids))
    return map(_delivery, rows(_LISTED_DELIVERIES.text, row))


def _delivery(row: Sequence[Any]) -> Delivery:
    name, received, reason, detail, status, duration, headers, body, size, *request = row
    *request, number, kind, encoding = request
    made = Delivery(
        id=number,
        workflow=name,
        received_at=moment(received),
        outcome="accepted" if reason is None else "refused",
        reason=reason,
        detail=detail,
        response=None if status is None else _response(status, headers, body, size),
        duration_ms=None if duration is None else duration / 1000,
        **dict(zip(RECEIVED, request, strict=True)),
    )
    # What the store has in columns of their own is not parsed out of the head again.
    made.__dict__.update(content_type=kind, content_encoding=encoding)
    return made


def read_execution(rows: Rows, workflow_id: int, number: int) -> Execution:
    """Read one execution with its jobs.

    Raises
    ------
    RecordNotFoundError
        The workflow has none of that id.
    """
    found = rows(_EXECUTION.text, _EXECUTION.row(of=workflow_id, number=number))
    if not found:
        message = f"there is no execution {number} of this hook; hook.executions lists them"
        raise RecordNotFoundError(message)
    name, revision, status, reason, started, finished, response, missing, recovered = found[0]
    ran = rows(_JOBS.text, _JOBS.row(of=workflow_id, number=number))
    return Execution(
        id=number,
        workflow=name,
        revision=revision,
        status=Status(status),
        reason=reason,
        started_at=None if started is None else moment(started),
        finished_at=None if finished is None else moment(finished),
        response_status=response,
        missing=() if missing is None else tuple(json.loads(missing)),
        recovered=bool(recovered),
        jobs=tuple(_job(row) for row in ran),
    )


def _response(status: int, headers: bytes, body: bytes, size: int) -> SentResponse:
    return SentResponse(
        status=status, headers=_decode_pairs(headers), body=body, is_cut=len(body) < size
    )


def _job(row: Sequence[Any]) -> Job:
    execution, node, kind, status, started, finished, result, is_repr, output, error = row
    return Job(
        execution=execution,
        node=node,
        type=kind,
        status=Status(status),
        started_at=moment(started),
        finished_at=None if finished is None else moment(finished),
        result=decode_result(result),
        output=output,
        error=error,
        stored_as_repr=bool(is_repr),
    )
