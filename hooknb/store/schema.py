"""The tables, and the migrations that made them.

A migration and the record of it are one transaction. Tables are described once more with
SQLAlchemy for the statements; a test holds the two descriptions together.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    inspect,
)

from hooknb.errors import StoreError, StoreVersionError

__all__ = ["MIGRATIONS", "check", "metadata", "migrate"]

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
)

revisions = Table(
    "revisions",
    metadata,
    Column("workflow_id", Integer, ForeignKey("workflows.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("definition", LargeBinary, nullable=False),  # JSON, credentials included
    Column("created_at", Integer, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("workflow_id", Integer, ForeignKey("workflows.id"), nullable=False),
    Column("received_at", Integer, nullable=False),
    Column("method", Text, nullable=False),
    Column("query", Text, nullable=False),  # as it stood in the URL
    Column("content_type", Text),
    Column("content_encoding", Text),
    Column("head", LargeBinary, nullable=False),  # the header fields as they came
    Column("body", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),  # bytes that came, which is more where body was cut
    Column("remote", Text, nullable=False),
    Column("reason", Text),  # why it was refused; null where it was accepted
    Column("detail", Text),
    Column("subpath", Text, nullable=False, server_default=""),  # what was appended to the URL
    sqlite_autoincrement=True,  # an id is never given again, also after a hook was cleared
)

responses = Table(
    "answers",
    metadata,
    Column("delivery_id", Integer, primary_key=True),
    Column("status", Integer, nullable=False),
    Column("duration_us", Integer, nullable=False),
    Column("headers", LargeBinary, nullable=False),  # JSON pairs
    Column("body", LargeBinary, nullable=False),
)

executions = Table(
    "executions",
    metadata,
    Column("id", Integer, primary_key=True),  # that of its delivery
    Column("workflow_id", Integer, ForeignKey("workflows.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("status", Integer),  # the code; null while queued
    Column("reason", Text),
    Column("started_at", Integer),
    Column("finished_at", Integer),
    Column("response_status", Integer),
    Column("missing", Text),  # JSON list
    Column("recovered", Integer, nullable=False),
    Column("owner", Text),  # the runtime that will end it; null once it has ended
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("execution_id", Integer, nullable=False),
    Column("workflow_id", Integer, ForeignKey("workflows.id"), nullable=False),
    Column("node", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("started_at", Integer, nullable=False),
    Column("finished_at", Integer),
    Column("result", Text),
    Column("is_repr", Integer, nullable=False),
    Column("output", Text, nullable=False),
    Column("error", Text),
)

_FIRST = """
CREATE TABLE workflows (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, key TEXT NOT NULL UNIQUE,
    enabled INTEGER NOT NULL, port INTEGER, current INTEGER NOT NULL,
    created_at INTEGER NOT NULL);
CREATE TABLE revisions (
    workflow_id INTEGER NOT NULL REFERENCES workflows (id), number INTEGER NOT NULL,
    definition BLOB NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (workflow_id, number));
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, workflow_id INTEGER NOT NULL REFERENCES workflows (id),
    received_at INTEGER NOT NULL, method TEXT NOT NULL, query TEXT NOT NULL, content_type TEXT,
    content_encoding TEXT, head BLOB NOT NULL, body BLOB NOT NULL, size INTEGER NOT NULL,
    remote TEXT NOT NULL, reason TEXT, detail TEXT);
CREATE INDEX deliveries_of_workflow ON deliveries (workflow_id);
CREATE INDEX refused_of_workflow ON deliveries (workflow_id) WHERE reason IS NOT NULL;
CREATE TABLE answers (
    delivery_id INTEGER PRIMARY KEY, status INTEGER NOT NULL, duration_us INTEGER NOT NULL,
    headers BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE executions (
    id INTEGER PRIMARY KEY, workflow_id INTEGER NOT NULL REFERENCES workflows (id),
    revision INTEGER NOT NULL, status INTEGER, reason TEXT, started_at INTEGER,
    finished_at INTEGER, response_status INTEGER, missing TEXT, recovered INTEGER NOT NULL,
    owner TEXT);
CREATE INDEX executions_of_workflow ON executions (workflow_id);
CREATE INDEX unfinished_of_workflow ON executions (workflow_id) WHERE owner IS NOT NULL;
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, execution_id INTEGER NOT NULL,
    workflow_id INTEGER NOT NULL REFERENCES workflows (id), node TEXT NOT NULL, type TEXT NOT NULL,
    status INTEGER NOT NULL, started_at INTEGER NOT NULL, finished_at INTEGER, result TEXT,
    is_repr INTEGER NOT NULL, output TEXT NOT NULL, error TEXT);
CREATE INDEX jobs_of_workflow ON jobs (workflow_id);
CREATE INDEX jobs_of_execution ON jobs (execution_id);
"""

_SUBPATH = "ALTER TABLE deliveries ADD COLUMN subpath TEXT NOT NULL DEFAULT ''"

MIGRATIONS: Final[tuple[str, ...]] = (_FIRST, _SUBPATH)
"""SQL scripts in order; the first makes version 1."""


def check(connection: Connection) -> int:
    """Give the version of a store, 0 for an empty database; changes nothing.

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
    version: int = connection.exec_driver_sql("SELECT max(version) FROM migrations").scalar() or 0
    if version > len(MIGRATIONS):
        message = (
            f"it has version {version} and this hooknb knows versions up to {len(MIGRATIONS)}; "
            "update hooknb, or name another store"
        )
        raise StoreVersionError(message)
    return version


def migrate(connection: Connection, now: int) -> None:
    """Bring a store to this version, inside the transaction that the caller has begun.

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
    if found == 0:
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS migrations "
            "(version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)"
        )
    for version in range(found + 1, len(MIGRATIONS) + 1):
        for statement in MIGRATIONS[version - 1].split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement.strip().rstrip(";"))
        connection.exec_driver_sql("INSERT INTO migrations VALUES (?, ?)", (version, now))
