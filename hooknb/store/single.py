"""One record, whole: a delivery with what was answered, an execution with its jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from hooknb._clock import moment
from hooknb.errors import RecordNotFoundError
from hooknb.records import Delivery, Execution, Job, SentResponse, Status, decode_result

__all__ = ["Rows", "read_delivery", "read_execution"]

Rows: TypeAlias = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Reads rows of a statement with its parameters."""


def read_delivery(rows: Rows, workflow_id: int, number: int) -> Delivery:
    """Read one delivery.

    Raises
    ------
    RecordNotFoundError
        The workflow has none of that id.
    """
    found = rows(
        "SELECT w.name, d.received_at, d.method, d.subpath, d.query, d.head, d.body, d.size, "
        "d.remote, d.reason, d.detail, a.status, a.duration_us, coalesce(a.headers, f.headers), "
        "coalesce(a.body, f.body) FROM deliveries d JOIN workflows w ON w.id = d.workflow_id "
        "LEFT JOIN responses a ON a.workflow_id = d.workflow_id AND a.delivery_id = d.id "
        "LEFT JOIN fixed_responses f ON f.workflow_id = a.workflow_id "
        "AND f.revision = a.revision WHERE d.id = ? AND d.workflow_id = ?",
        (number, workflow_id),
    )
    if not found:
        message = f"there is no delivery {number} of this hook; hook.deliveries lists them"
        raise RecordNotFoundError(message)
    name, received, method, subpath, query, head, body, size, remote, reason, detail, *response = (
        found[0]
    )
    return Delivery(
        id=number,
        workflow=name,
        received_at=moment(received),
        method=method,
        subpath=subpath,
        query_string=query,
        head=head,
        raw=body,
        size=size,
        remote=remote,
        outcome="accepted" if reason is None else "refused",
        reason=reason,
        detail=detail,
        response=_response(response),
        duration_ms=None if response[1] is None else response[1] / 1000,
    )


def read_execution(rows: Rows, workflow_id: int, number: int) -> Execution:
    """Read one execution with its jobs.

    Raises
    ------
    RecordNotFoundError
        The workflow has none of that id.
    """
    found = rows(
        "SELECT w.name, e.revision, e.status, e.reason, e.started_at, e.finished_at, "
        "e.response_status, e.missing, e.recovered FROM executions e "
        "JOIN workflows w ON w.id = e.workflow_id WHERE e.id = ? AND e.workflow_id = ?",
        (number, workflow_id),
    )
    if not found:
        message = f"there is no execution {number} of this hook; hook.executions lists them"
        raise RecordNotFoundError(message)
    name, revision, status, reason, started, finished, response, missing, recovered = found[0]
    jobs = rows(
        "SELECT execution_id, node, type, status, started_at, finished_at, result, is_repr, "
        "output, error FROM jobs WHERE workflow_id = ? AND execution_id = ? ORDER BY id",
        (workflow_id, number),
    )
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
        jobs=tuple(_job(row) for row in jobs),
    )


def _response(row: Sequence[Any]) -> SentResponse | None:
    status, _, headers, body = row
    if status is None:
        return None
    pairs = msgspec.json.decode(headers, type=tuple[tuple[str, str], ...])
    return SentResponse(status=status, headers=pairs, body=body)


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
