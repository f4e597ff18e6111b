"""A store that an earlier version made, brought to the tables of today."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hooknb import Response, Runtime
from hooknb.errors import StoreError
from hooknb.store import Reading
from hooknb.store.schema import VERSION
from hooknb.workflow import define

VERSION_1 = """
CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL);
INSERT INTO migrations VALUES (1, 0);
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


def made_by_version_1(path: Path) -> None:
    """Make a store in which two hooks were sent to by turns: 1, 3 and 2, 4."""
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(VERSION_1)
        for number, name in ((1, "orders"), (2, "other")):
            workflow = define(
                name, sync=True, nodes=[Response(201, body="x")] if number == 1 else None
            )
            old.execute(
                "INSERT INTO workflows VALUES (?, ?, ?, 1, NULL, 1, 0)",
                (number, name, f"key-{name}"),
            )
            old.execute("INSERT INTO revisions VALUES (?, 1, ?, 0)", (number, workflow.encode()))
        for number in (1, 2, 3, 4):
            workflow_id = 2 - number % 2
            old.execute(
                "INSERT INTO deliveries VALUES (?, ?, ?, 'POST', '', 'application/json', NULL, "
                "?, ?, 1, '127.0.0.1', NULL, NULL)",
                (number, workflow_id, number, b"Content-Type: application/json", b"%d" % number),
            )
            old.execute("INSERT INTO answers VALUES (?, 200, 7, x'5b5d', x'6f6b')", (number,))
            old.execute(
                "INSERT INTO executions VALUES (?, ?, 1, 1, NULL, 1, 2, 200, NULL, 0, NULL)",
                (number, workflow_id),
            )
            old.execute(
                "INSERT INTO jobs VALUES (?, ?, ?, 'n', 'code', 1, 1, 2, ?, 0, '', NULL)",
                (10 + number, number, workflow_id, str(number)),
            )


def test_what_an_old_store_holds_keeps_its_ids(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    made_by_version_1(path)
    with Runtime(path, port=0) as runtime:
        orders, other = runtime.serve("orders"), runtime.serve("other")
        assert (orders.url[-10:], orders.revision) == ("key-orders", 1)
        assert (list(orders.deliveries.index), list(other.deliveries.index)) == ([1, 3], [2, 4])
        for hook, number in ((orders, 1), (other, 2), (orders, 3), (other, 4)):
            delivery, execution = hook.delivery(number), hook.execution(number)
            assert (delivery.body, delivery.status, delivery.response.body) == (number, 200, b"ok")
            assert [(job.execution, job.result) for job in execution.jobs] == [(number, number)]
        assert list(other.jobs.index) == [12, 14]
        assert (orders.send(json={}).delivery, other.send(json={}).delivery) == (4, 5)
        orders.wait()
        assert list(orders.jobs.index) == [11, 13, 14]


def test_an_old_store_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    made_by_version_1(tmp_path / "old.db")
    described = []
    for name in ("old.db", "new.db"):
        Runtime(tmp_path / name, port=0).close()
        with closing(sqlite3.connect(tmp_path / name)) as store:
            described.append(
                sorted(
                    store.execute(
                        "SELECT type, name, coalesce(sql, '') FROM sqlite_master "
                        "WHERE name <> 'migrations'"
                    )
                )
            )
    assert described[0] == described[1]
    with closing(sqlite3.connect(tmp_path / "old.db")) as old:
        assert old.execute("SELECT max(version) FROM migrations").fetchone() == (VERSION,)
        assert old.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_store_without_a_column_that_was_added_since_gets_it_with_its_default(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    with Runtime(path, port=0) as runtime:
        assert runtime.webhook("orders").send(json={"n": 1}).delivery == 1
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("ALTER TABLE deliveries DROP COLUMN subpath")
    with pytest.raises(StoreError, match="written by an earlier hooknb"):
        Reading(path)
    with Runtime(path, port=0) as runtime:
        orders = runtime.webhook("orders", subpaths=True)
        assert orders.send(json={"n": 2}).delivery == 2
        assert [orders.delivery(number).subpath for number in (1, 2)] == ["", ""]
        assert orders.delivery(1).body == {"n": 1}
    with closing(Reading(path)) as reading:
        assert reading.version == VERSION


def test_an_old_store_that_cannot_be_brought_up_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    made_by_version_1(path)
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("CREATE VIEW responses AS SELECT 1")  # in the way of the new table
    with pytest.raises(Exception, match="responses"):
        Runtime(path, port=0)
    with closing(sqlite3.connect(path)) as old:
        assert old.execute("SELECT count(*) FROM answers").fetchone() == (4,)
        assert old.execute("SELECT max(version) FROM migrations").fetchone() == (1,)
