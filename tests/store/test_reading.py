"""A store read from outside: nothing of it is changed, whoever serves it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import hooknb
from hooknb import Runtime, SettingError, StoreError, StoreUnavailableError, StoreVersionError
from hooknb.store import Reading
from hooknb.store.ownership import living
from hooknb.store.schema import VERSION

NOBODY = 65534


def test_what_another_runtime_keeps_is_read_while_it_serves(stored_runtime: Runtime) -> None:
    hook = stored_runtime.webhook("orders")
    with closing(Reading(stored_runtime._store.path)) as reading:
        assert reading.names() == ["orders"]
        number = hook.send(json={"id": 1}).delivery
        hook.wait()
        assert reading.delivery(1, number).body == {"id": 1}
        assert reading.execution(1, number).status.word == "resolved"
        assert reading.version == VERSION
        assert reading.served_by() == [os.getpid()]
    assert hook.send(json={}).status == 200


def test_it_cannot_be_written(stored_runtime: Runtime) -> None:
    stored_runtime.webhook("orders")
    with closing(Reading(stored_runtime._store.path)) as reading:
        with pytest.raises(StoreError, match="reading only"):
            reading.define("other", b"{}", enabled=True)
        with pytest.raises(StoreError, match="reading only"):
            reading.claim(1, 1)
        with pytest.raises(StoreUnavailableError, match="readonly"):
            reading.rows("DELETE FROM deliveries RETURNING id")


def test_it_claims_nothing_and_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Runtime(path, port=0) as runtime:
        runtime.webhook("orders").send(json={})
    before = path.read_bytes()
    with closing(Reading(f"sqlite:///{path}")) as reading:
        assert reading.names() == ["orders"]
        assert reading.served_by() == []
        assert not list(tmp_path.glob("*.owner-*"))
    assert path.read_bytes() == before


def test_what_is_no_store_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        Reading(tmp_path / "new.db")
    with pytest.raises(SettingError, match="in memory"):
        Reading(":memory:")
    with pytest.raises(SettingError, match="postgresql"):
        Reading("postgresql://somewhere/db")
    with pytest.raises(StoreUnavailableError, match="directory"):
        Reading(tmp_path)
    text = tmp_path / "text.db"
    text.write_text("not a database")
    empty = tmp_path / "empty.db"
    empty.touch()
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE things (id)")
    for path, problem in ((text, "not a database"), (empty, "empty"), (other, "another program")):
        with pytest.raises(StoreError, match=problem):
            Reading(path)
    assert not (tmp_path / "new.db").exists()
    assert text.read_text() == "not a database"
    assert empty.stat().st_size == 0


def test_a_store_of_another_version_is_refused(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "store.db"
    with Runtime(path, port=0) as runtime:
        runtime.webhook("orders")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES (99, 0)")
    with pytest.raises(StoreVersionError, match="version 99"):
        Reading(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM migrations WHERE version = 99")
    monkeypatch.setattr("hooknb.store.reading.VERSION", VERSION + 1)
    with pytest.raises(StoreError, match="serve a hook on it once"):
        Reading(path)


def test_a_store_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Runtime(path, port=0) as runtime:
        runtime.webhook("orders")
    with closing(Reading(path)) as reading:
        assert reading.is_there
        path.rename(tmp_path / "moved.db")
        assert not reading.is_there
        path.touch()
        assert not reading.is_there


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_store_in_a_folder_that_cannot_be_written_is_read(tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("readable")
    with Runtime(folder / "store.db", port=0) as runtime:
        runtime.webhook("orders").send(json={"id": 1})
    for above in folder.parents:
        if above.stat().st_uid == os.geteuid() and above != Path(above.anchor):
            above.chmod(above.stat().st_mode | 0o055)
    folder.chmod(0o555)
    (folder / "store.db").chmod(0o444)
    os.seteuid(NOBODY)
    try:
        with closing(Reading(folder / "store.db")) as reading:
            assert reading.delivery(1, 1).body == {"id": 1}
    finally:
        os.seteuid(0)


def test_only_runtimes_that_live_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a [store].db"
    with Runtime(path, port=0) as first, Runtime(path, port=0) as second:
        assert first._store.owner != second._store.owner
        assert living(path) == [os.getpid()] * 2
    left = tmp_path / "a [store].db.owner-0000"
    left.touch()
    assert living(path) == []
    assert left.exists()
    assert hooknb.hooks() == {}


def test_where_there_is_no_store_those_below_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=r"name another store$"):
        Reading(".hooknb/store.db")
    with Runtime(tmp_path / "notebooks/.hooknb/store.db", port=0) as runtime:
        runtime.webhook("orders")
    with pytest.raises(StoreError, match=r"another store: there is notebooks/\.hooknb/store\.db$"):
        Reading(".hooknb/store.db")
