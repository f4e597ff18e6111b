"""The tables, each described once, and how an old store is brought to them."""

from __future__ import annotations

from dataclasses import MISSING, fields
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    and_,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.schema import CreateColumn

from hooknb.errors import StoreError, StoreVersionError
from hooknb.records import ReceivedRequest

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

__all__ = [
    "FIXED_RESPONSE",
    "RECEIVED",
    "RESPONSE_OF_DELIVERY",
    "STORED_BYTES",
    "VERSION",
    "check",
    "count_kept",
    "deliveries",
    "executions",
    "fixed_responses",
    "jobs",
    "lacking",
    "metadata",
    "migrate",
    "received_values",
    "responses",
    "revisions",
    "workflows",
]

VERSION: Final = 2
"""The version of the tables below; columns that have a default are added without another one."""

metadata = MetaData()

migrations = Table(
    "migrations",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("applied_at", Integer, nullable=False),  # microseconds since 1970, UTC; so are all times
)

workflows = Table(
    "workflows",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("key", Text, nullable=False, unique=True),
    Column("enabled", Integer, nullable=False),
    Column("port", Integer),  # the one it was served on last
    Column("current", Integer, nullable=False),  # the number of its current revision
    Column("created_at", Integer, nullable=False),
    # The last ids given in this workflow: an id is never given again, also after a clearing.
    Column("last_delivery", Integer, nullable=False, server_default="0"),
    Column("last_job", Integer, nullable=False, server_default="0"),
    # What is kept of it, so that nobody has to count a million rows to see what is too much.
    Column("kept_deliveries", Integer, nullable=False, server_default="0"),
    Column("kept_bytes", Integer, nullable=False, server_default="0"),
    # The highest id that retention has deleted. Of those up to it only the unfinished are there.
    Column("expired_upto", Integer, nullable=False, server_default="0"),
    # Executions that still run for a deleted workflow must not end up in a later one.
    sqlite_autoincrement=True,
)


def _workflow_id() -> Column[int]:
    return Column("workflow_id", Integer, ForeignKey("workflows.id"), primary_key=True)


revisions = Table(
    "revisions",
    metadata,
    _workflow_id(),
    Column("number", Integer, primary_key=True),
    Column("definition", LargeBinary, nullable=False),  # JSON, credentials included
    Column("created_at", Integer, nullable=False),
)

_TYPES: Final[dict[type, type[TypeEngine[Any]]]] = {str: Text, int: Integer, bytes: LargeBinary}


def _received_columns() -> dict[str, Column[Any]]:
    hints = get_type_hints(ReceivedRequest)
    columns: dict[str, Column[Any]] = {}
    for field in fields(ReceivedRequest):
        name = field.metadata.get("column", field.name)
        default = None if field.default in {MISSING, None} else str(field.default)
        is_nullable = NoneType in get_args(hints[field.name])
        [kind] = {*(get_args(hints[field.name]) or (hints[field.name],))} - {NoneType}
        columns[field.name] = Column(
            name, _TYPES[kind], nullable=is_nullable, server_default=default
        )
    return columns


RECEIVED: Final = _received_columns()
"""The columns of a received request, by the names of its fields."""

received_values: Final = attrgetter(*RECEIVED)
"""Returns what stands in these columns for a :class:`~hooknb.records.ReceivedRequest`."""

deliveries = Table(
    "deliveries",
    metadata,
    _workflow_id(),
    Column("id", Integer, primary_key=True),  # counts from 1 in each workflow
    Column("received_at", Integer, nullable=False),
    Column("content_type", Text),
    Column("content_encoding", Text),
    Column("reason", Text),  # why it was refused; null where it was accepted
    Column("detail", Text),
    *RECEIVED.values(),
)
Index(
    "refused_of_workflow",
    deliveries.c.workflow_id,
    deliveries.c.id,
    sqlite_where=deliveries.c.reason.is_not(None),
    postgresql_where=deliveries.c.reason.is_not(None),
)

responses = Table(
    "responses",
    metadata,
    _workflow_id(),
    Column("delivery_id", Integer, primary_key=True),
    Column("status", Integer, nullable=False),
    Column("duration_us", Integer, nullable=False),
    Column("revision", Integer),  # whose fixed response it is; headers and body are kept there
    Column("headers", LargeBinary),  # JSON pairs
    Column("body", LargeBinary),
    Column("size", Integer, nullable=False),  # bytes that were sent, also where body was cut
    sqlite_with_rowid=False,  # one tree to write instead of two; so in those below
)

fixed_responses = Table(
    "fixed_responses",
    metadata,
    _workflow_id(),
    Column("revision", Integer, primary_key=True),
    Column("headers", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

executions = Table(
    "executions",
    metadata,
    _workflow_id(),
    Column("id", Integer, primary_key=True),  # that of its delivery
    Column("revision", Integer, nullable=False),
    Column("status", Integer),  # the code; null while queued
    Column("reason", Text),
    Column("started_at", Integer),
    Column("finished_at", Integer),
    Column("response_status", Integer),
    Column("missing", Text),  # JSON list
    Column("recovered", Integer, nullable=False),
    Column("owner", Text),  # the runtime that will end it; null once it has ended
    sqlite_with_rowid=False,
)
Index(
    "unfinished_of_workflow",
    executions.c.workflow_id,
    executions.c.id,
    sqlite_where=executions.c.owner.is_not(None),
    postgresql_where=executions.c.owner.is_not(None),
)

jobs = Table(
    "jobs",
    metadata,
    _workflow_id(),
    Column("id", Integer, primary_key=True),  # counts from 1 in each workflow
    Column("execution_id", Integer, nullable=False),
    Column("node", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("started_at", Integer, nullable=False),
    Column("finished_at", Integer),
    Column("result", Text),
    Column("is_repr", Integer, nullable=False),
    Column("output", Text, nullable=False),
    Column("error", Text),
    sqlite_with_rowid=False,
)
Index("jobs_of_execution", jobs.c.workflow_id, jobs.c.execution_id)

STORED_BYTES: Final = func.length(RECEIVED["head"]) + func.length(RECEIVED["raw"])
"""The bytes that are kept of a request: its head and its body, without its response and jobs."""

RESPONSE_OF_DELIVERY: Final = and_(
    responses.c.workflow_id == deliveries.c.workflow_id, responses.c.delivery_id == deliveries.c.id
)
"""What a response is joined to its delivery on."""

FIXED_RESPONSE: Final = and_(
    fixed_responses.c.workflow_id == responses.c.workflow_id,
    fixed_responses.c.revision == responses.c.revision,
)
"""What headers and body of a fixed response are joined to a response on."""

# Version 1 numbered deliveries over all workflows, and called responses answers. SQLite cannot
# change the key of a table: everything is copied into the tables of today.
_RENAMED: Final = ("jobs", "executions", "answers", "deliveries", "revisions", "workflows")
_FROM_1: Final = """
INSERT INTO workflows
    (id, name, key, enabled, port, current, created_at, last_delivery, last_job)
SELECT id, name, key, enabled, port, current, created_at,
    (SELECT coalesce(max(d.id), 0) FROM old_deliveries d WHERE d.workflow_id = w.id),
    (SELECT coalesce(max(j.id), 0) FROM old_jobs j WHERE j.workflow_id = w.id)
FROM old_workflows w;
INSERT INTO responses (workflow_id, delivery_id, status, duration_us, headers, body, size)
SELECT d.workflow_id, a.delivery_id, a.status, a.duration_us, a.headers, a.body, length(a.body)
FROM old_answers a JOIN old_deliveries d ON d.id = a.delivery_id
"""


def check(connection: Connection) -> int:
    """Return the version of a store, 0 for an empty database; change nothing.

    Raises
    ------
    StoreVersionError
        The store was written by a newer hooknb.
    StoreError
        The database belongs to something else.
    """
    found = inspect(connection)
    tables = found.get_table_names()
    if not tables:
        return 0
    ours = "migrations" in tables and {
        column["name"] for column in found.get_columns("migrations")
    } == set(migrations.columns.keys())
    if not ours:
        some = ", ".join(sorted(tables)[:3])
        message = f"it is another program's database (it has the tables {some}); name a new file"
        raise StoreError(message)
    version: int = connection.execute(select(func.max(migrations.c.version))).scalar() or 0
    if version > VERSION:
        message = (
            f"it has version {version} and this hooknb knows versions up to {VERSION}; "
            "update hooknb, or name another store"
        )
        raise StoreVersionError(message)
    return version


def lacking(connection: Connection) -> list[Column[Any]]:
    """Return the columns that a store of this version does not have yet."""
    found = inspect(connection)
    return [
        column
        for table in metadata.tables.values()
        for names in ({column["name"] for column in found.get_columns(table.name)},)
        for column in table.columns
        if column.name not in names
    ]


def migrate(connection: Connection, now: int) -> int:
    """Bring a store to this version, inside the transaction that the caller has begun.

    Return the version that it had, 0 for an empty database.

    Parameters
    ----------
    connection
        Holds the write lock.
    now
        Microseconds since 1970.

    Raises
    ------
    StoreError
        As of :func:`check`.
    """
    found = check(connection)
    if found == VERSION:
        added = lacking(connection)
        for column in added:
            made = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {made}")
        if any(column is workflows.c.kept_bytes for column in added):
            count_kept(connection)
        return found
    if found == 1:
        _replace_version_1(connection)
        count_kept(connection)
    else:
        metadata.create_all(connection)
    connection.execute(insert(migrations).values(version=VERSION, applied_at=now))
    return found


def count_kept(connection: Connection) -> None:
    """Count what is kept of every workflow; it is kept up with each change from then on."""
    mine = deliveries.c.workflow_id == workflows.c.id
    connection.execute(
        update(workflows).values(
            kept_deliveries=select(func.count())
            .select_from(deliveries)
            .where(mine)
            .scalar_subquery(),
            kept_bytes=select(func.coalesce(func.sum(STORED_BYTES), 0))
            .where(mine)
            .scalar_subquery(),
        )
    )


def _replace_version_1(connection: Connection) -> None:
    execute = connection.exec_driver_sql
    for table in _RENAMED:
        for index in inspect(connection).get_indexes(table):
            execute(f"DROP INDEX {index['name']}")
        execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    metadata.create_all(connection)
    for statement in _FROM_1.split(";"):
        execute(statement)
    for new in (revisions, deliveries, executions, jobs):
        old = Table(f"old_{new.name}", MetaData(), autoload_with=connection, resolve_fks=False)
        names = [column.name for column in new.columns if column.name in old.columns]
        rows = select(*(old.columns[name] for name in names))
        connection.execute(insert(new).from_select(names, rows))
    for table in _RENAMED:
        execute(f"DROP TABLE old_{table}")
