"""The rows of a workflow as an archive keeps them, and back into a store.

Columns are named as the store names them; those of a response stand beside its delivery.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Integer, LargeBinary, Text, bindparam, func, insert, select

from hooknb.store.prepared import Prepared
from hooknb.store.schema import (
    FIXED_RESPONSE,
    RESPONSE_OF_DELIVERY,
    count_kept,
    deliveries,
    executions,
    fixed_responses,
    jobs,
    responses,
)
from hooknb.store.single import size_batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Table

    from hooknb.store.store import Store

__all__ = ["ARCHIVED_COLUMNS", "REQUIRED_COLUMNS", "read_archived", "restore_rows"]

_MAX_EXECUTIONS: Final = 50  # whose jobs are read at once
_NOT_KEPT: Final = frozenset({"workflow_id", "owner"})
_TYPES: Final[dict[type[Any], type]] = {Integer: int, Text: str, LargeBinary: bytes}
_RESPONSE: Final = {
    "status": responses.c.status,
    "duration_us": responses.c.duration_us,
    "response_headers": func.coalesce(responses.c.headers, fixed_responses.c.headers),
    "response_body": func.coalesce(responses.c.body, fixed_responses.c.body),
    "response_size": responses.c.size,
}
_OF_RESPONSE: Final = ("status", "duration_us", "headers", "body", "size")
_TABLES: Final = {"deliveries": deliveries, "executions": executions, "jobs": jobs}


def _own(table: Table) -> dict[str, type]:
    return {
        column.name: _TYPES[type(column.type)]
        for column in table.columns
        if column.name not in _NOT_KEPT
    }


ARCHIVED_COLUMNS: Final[dict[str, dict[str, type]]] = {
    "deliveries": _own(deliveries)
    | dict(zip(_RESPONSE, (int, int, bytes, bytes, int), strict=True)),
    "executions": _own(executions),
    "jobs": _own(jobs),
}
"""The columns of each kind of record and their types; ``None`` may stand in any of them."""


REQUIRED_COLUMNS: Final = {
    kind: frozenset(
        column.name
        for column in table.columns
        if column.name not in _NOT_KEPT and not column.nullable and column.server_default is None
    )
    for kind, table in _TABLES.items()
}
"""Those that an archive of any hooknb has; the others may have been added since."""


def _prepared(kind: str) -> Prepared:
    table = _TABLES[kind]
    wanted = [table.c[name] for name in _own(table)]
    number = jobs.c.execution_id if kind == "jobs" else table.c.id
    statement = select(*wanted)
    if kind == "deliveries":
        statement = (
            select(*wanted, *_RESPONSE.values())
            .outerjoin(responses, RESPONSE_OF_DELIVERY)
            .outerjoin(fixed_responses, FIXED_RESPONSE)
        )
    listed = select(func.json_each(bindparam("ids")).table_valued("value").c.value)
    statement = statement.where(table.c.workflow_id == bindparam("of"), number.in_(listed))
    return Prepared(statement.order_by(table.c.id))


_STATEMENTS: Final = {kind: _prepared(kind) for kind in _TABLES}


def read_archived(
    store: Store, workflow_id: int, kind: str, ids: Iterable[int]
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield rows of :data:`ARCHIVED_COLUMNS`, as many as may be in memory at once.

    Parameters
    ----------
    store, workflow_id
        What to read.
    kind
        ``deliveries``, ``executions`` or ``jobs``.
    ids
        Of the deliveries that the records belong to, in order.
    """
    statement = _STATEMENTS[kind]
    for batch in size_batches(store.rows, workflow_id, ids):
        step = _MAX_EXECUTIONS if kind == "jobs" else len(batch) or 1
        for start in range(0, len(batch), step):
            part = json.dumps(batch[start : start + step])
            yield store.rows(statement.text, statement.row(of=workflow_id, ids=part))


def restore_rows(
    store: Store, workflow_id: int, kind: str, rows: Iterable[Sequence[Mapping[str, Any]]]
) -> None:
    """Put rows of :func:`read_archived`, by the names of their columns, into an empty store."""
    table = _TABLES[kind]
    # An archive of an earlier hooknb lacks the columns that were added since.
    defaults = {name: getattr(table.c[name].server_default, "arg", None) for name in _own(table)}

    def write(connection: Connection, part: Sequence[Mapping[str, Any]]) -> None:
        made = [
            {
                name: default if row.get(name) is None else row[name]
                for name, default in defaults.items()
            }
            | {"workflow_id": workflow_id}
            for row in part
        ]
        if made:
            connection.execute(insert(table), made)
        sent = [
            {
                "workflow_id": workflow_id,
                "delivery_id": row["id"],
                **dict(zip(_OF_RESPONSE, (row[name] for name in _RESPONSE), strict=True)),
            }
            for row in part
            if kind == "deliveries" and row["status"] is not None
        ]
        if sent:
            connection.execute(insert(responses), sent)

    for part in rows:
        store.change(lambda connection, part=part: write(connection, part))  # type: ignore[misc]
    store.change(count_kept)
