from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect

from hooknb import (
    Calculation,
    Hook,
    RecordNotFoundError,
    Response,
    Runtime,
    SettingError,
    StoreError,
    StoreUnavailableError,
    StoreVersionError,
)
from hooknb.payloads import parse_query_string
from hooknb.payloads.headers import parse_head
from hooknb.records import Status
from hooknb.store import StartExecution, Store
from hooknb.store.schema import VERSION, metadata
from stored import START, Stored
from wire import Wire, exchange, request

NOBODY = 65534
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def content(path: Path) -> dict[str, str]:
    """Give what a folder holds: names and digests of everything in it."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


# -- the promises of every backend ----------------------------------------------------------------


@pytest.fixture(scope="module", params=["memory", "file"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path | str:
    return ":memory:" if request.param == "memory" else tmp_path_factory.mktemp("s") / "store.db"


@pytest.fixture(scope="module")
def store(target: Path | str) -> Iterator[Store]:
    with closing(Store(target, lambda _: None)) as made:
        yield made


@pytest.fixture(scope="module")
def orders(store: Store) -> Stored:
    return Stored(store)


@pytest.fixture
def backed(target: Path | str, tmp_path: Path) -> Iterator[Runtime]:
    place = target if isinstance(target, str) else tmp_path / "store.db"
    with Runtime(place, port=0) as made:
        yield made


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    raw=st.binary(max_size=2000),
    head=st.binary(max_size=500),
    query=st.text(max_size=200),
    method=st.text(min_size=1, max_size=20),
    content_type=st.none() | st.text(max_size=80),
    size=st.integers(0, 2**63 - 1),
    received_at=st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
)
def test_whatever_comes_is_read_back_exactly(store, orders, **fields):
    number = orders.send(**fields)
    kept = store.delivery(orders.id, number)
    assert (kept.raw, kept.head, kept.size) == (fields["raw"], fields["head"], fields["size"])
    assert (kept.query_string, kept.method) == (fields["query"], fields["method"])
    assert (kept.received_at - EPOCH) // timedelta(microseconds=1) == fields["received_at"]
    assert kept.headers == parse_head(fields["head"])
    assert kept.query == parse_query_string(fields["query"])
    assert store.rows(
        "SELECT content_type FROM deliveries WHERE workflow_id = ? AND id = ?",
        (orders.id, number),
    ) == [(fields["content_type"],)]


token = st.text("abcXYZ019-_!#", min_size=1, max_size=12).map(lambda name: f"X-{name}")
value = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=40
).map(lambda text: text.strip(" \t\xa0\x85"))


@pytest.fixture(scope="module")
def wired(target: Path | str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hook]:
    place = target if isinstance(target, str) else tmp_path_factory.mktemp("wired") / "store.db"
    with Runtime(place, port=0) as runtime:
        yield runtime.webhook("any", accept="*/*", methods="*")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    body=st.binary(max_size=2000),
    fields=st.lists(st.tuples(token, value), max_size=8),
    query=st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=60
    ),
    method=st.sampled_from(["POST", "PUT", "GET", "M-SEARCH"]),
)
def test_whatever_is_sent_is_read_back_exactly(wired, body, fields, query, method):
    kind = ("Content-Type", "application/octet-stream")
    raw = request(wired, body, method=method, query=query, headers=(kind, *fields))
    response = exchange(wired, raw)
    assert response.status == 200
    kept = wired.delivery(response.delivery)
    assert kept.raw == body
    assert kept.body == (body or None)
    assert kept.query_string == query
    assert [pair for pair in kept.headers if pair[0].startswith("X-")] == fields


def test_a_poisoned_delivery_does_not_stop_the_others(store, orders):
    release = threading.Event()
    held = threading.Thread(target=store._writer.call, args=(lambda _: release.wait(30),))
    held.start()
    group = [orders.new(number) for number in range(5)]
    group[2] = orders.new(2, query="\ud800")
    group[3] = orders.new(3, size=2**70)
    for delivery in group:
        store.submit(delivery)
    release.set()  # only now are they written: in one group
    held.join()
    store.flush()
    assert [delivery.error is None for delivery in group] == [True, True, False, False, True]
    for number in (0, 1, 4):
        assert store.delivery(orders.id, group[number].id).raw == b"%d" % number


def test_a_poisoned_answer_does_not_stop_the_others(store, orders):
    number = orders.send(owner="somebody")
    for _ in range(2):  # the second has a key that is taken
        store.submit(orders.new_response(number))
    store.submit(orders.new_end(number))
    store.flush()
    after = orders.send("after")
    assert store.delivery(orders.id, after).body == "after"
    assert store.delivery(orders.id, number).status == 200
    assert store.execution(orders.id, number).status is Status.RESOLVED
    assert store._writer._waiting == []


def test_an_execution_starts_and_ends(store, orders):
    number = orders.send(owner="somebody")
    assert store.execution(orders.id, number).status is Status.QUEUED
    store.submit(StartExecution(workflow_id=orders.id, id=number, started_at=START))
    store.flush()
    assert store.execution(orders.id, number).status is Status.STARTED
    orders.end(number, finished_at=START + 1_000_000)
    execution = store.execution(orders.id, number)
    assert execution.status is Status.RESOLVED
    assert execution.duration_ms == 1000.0
    with pytest.raises(RecordNotFoundError):
        store.execution(orders.id + 1, number)


def test_an_equal_definition_is_no_new_revision(store):
    first = store.define("same", b"1", enabled=True)
    assert store.define("same", b"1", enabled=False).revision == first.revision
    second = store.define("same", b"2", enabled=True)
    assert (second.revision, second.key) == (first.revision + 1, first.key)
    assert store.define("other", b"1", enabled=True).key != first.key


def test_an_earlier_revision_can_be_the_current_one_again(backed):
    store = backed._store
    made = store.define("reverted", b"1", enabled=True)
    number = made.workflow_id
    store.define("reverted", b"2", enabled=True)
    store.define("other", b"9", enabled=True)
    store.set_revision(number, 1)
    assert store.define("reverted", b"1", enabled=True).revision == 1
    assert store.define("reverted", b"2", enabled=True).revision == 3
    revisions = store.revisions(number)
    assert [(one, data) for one, _, data in revisions] == [(1, b"1"), (2, b"2"), (3, b"2")]
    times = [at for _, at, _ in revisions]
    assert times == sorted(times)
    assert times[0].tzinfo is UTC
    for missing in (0, 4):
        with pytest.raises(RecordNotFoundError, match=f"no revision {missing} of this hook"):
            store.set_revision(number, missing)
    assert store.define("reverted", b"2", enabled=True).revision == 3


def test_clear_leaves_nothing_and_no_id_is_given_again(backed):
    entered, release = threading.Event(), threading.Event()

    def node(context: Any) -> None:
        if context.body == "wait":
            entered.set()
            release.wait(30)

    hook = backed.webhook("orders", nodes=[node])
    other = backed.webhook("other", nodes=[lambda context: context.body])
    kept = other.send(json=1).delivery
    for number in range(3):
        last = hook.send(json=number).delivery
    assert hook.send(data=b"{", headers={"Content-Type": "application/json"}).status == 400
    hook.wait()
    other.wait()
    assert [len(frame) for frame in (hook.deliveries, hook.executions, hook.jobs)] == [4, 3, 3]
    hook.send(json="wait")
    hook.send(json="behind it")
    assert entered.wait(30)

    hook.clear()
    release.set()  # what was running ends after its record has gone
    hook.wait()

    assert [len(frame) for frame in (hook.deliveries, hook.executions, hook.jobs)] == [0, 0, 0]
    backed._store.flush()
    counts = {
        table: backed._store.rows(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - own names
        for table in ("deliveries", "responses", "executions", "jobs")
    }
    assert counts == {"deliveries": 1, "responses": 1, "executions": 1, "jobs": 1}
    assert other.delivery(kept).body == 1
    with pytest.raises(RecordNotFoundError):
        hook.delivery(last)
    assert hook.send(json=1).delivery > last + 3


# -- ids ------------------------------------------------------------------------------------------


def test_ids_count_from_1_in_each_hook(backed):
    first = backed.webhook("first", nodes=[lambda context: context.delivery.id])
    second = backed.webhook("second", nodes=[lambda context: context.delivery.id])
    sent = [hook.send(json=number).delivery for number in range(3) for hook in (first, second)]
    assert sent == [1, 1, 2, 2, 3, 3]
    for hook in (first, second):
        hook.wait()
        assert hook.deliveries.index.tolist() == [1, 2, 3]
        assert hook.executions.index.tolist() == [1, 2, 3]
        assert hook.jobs.index.tolist() == [1, 2, 3]
        assert hook.jobs["result"].tolist() == [1, 2, 3]
        assert hook.delivery(2).body == 1
    first.clear()
    assert first.send(json=3).delivery == 4
    first.wait()
    assert first.jobs.index.tolist() == [4]
    assert second.deliveries.index.tolist() == [1, 2, 3]


def test_ids_go_on_where_another_process_left_off(tmp_path):
    path = tmp_path / "store.db"
    with Runtime(path, port=0) as one, Runtime(path, port=0) as two:
        hooks = one.webhook("orders"), two.webhook("orders")
        assert [hooks[turn % 2].send(json={}).delivery for turn in range(4)] == [1, 2, 3, 4]
        hooks[0].clear()
    with Runtime(path, port=0) as again:
        assert again.webhook("orders").send(json={}).delivery == 5


# -- removing a workflow --------------------------------------------------------------------------


def test_a_deleted_workflow_leaves_nothing_behind(store):
    doomed, other = Stored(store, "doomed", b"1"), Stored(store, "neighbour", b"1")
    store.define("doomed", b"2", enabled=True)
    for hook in (doomed, other):
        hook.response(hook.send(owner="somebody"), revision=1)
    doomed.refuse()
    end = doomed.new_end(1, doomed.job("n"))
    store.submit(end)
    store.delete("doomed")
    store.submit(end)  # what was running ends after its workflow has gone
    late = doomed.new()
    store.submit(late)
    store.flush()
    assert late.error is not None
    assert "doomed" not in store.names()
    for table in metadata.tables.values():
        if "workflow_id" in table.c:
            left = store.rows(f"SELECT DISTINCT workflow_id FROM {table.name}")  # noqa: S608
            assert (doomed.id,) not in left
            assert table.name == "jobs" or (other.id,) in left
    assert store.delivery(other.id, 1).response.body == b"ok"
    again = store.define("doomed", b"1", enabled=True)
    assert again.workflow_id > max(doomed.id, other.id)
    assert again.revision == 1


def test_what_comes_late_for_a_deleted_workflow_is_left_out_without_a_word(store, caplog):
    doomed, other = Stored(store, "doomed", b"1"), Stored(store, "neighbour", b"1")
    ids = doomed.send(owner="somebody"), other.send(owner="somebody")
    late = [
        hook.new_response(number, revision=1)
        for hook, number in zip((doomed, other), ids, strict=True)
    ]
    ends = [
        hook.new_end(number, hook.job("n"))
        for hook, number in zip((doomed, other), ids, strict=True)
    ]
    store.delete("doomed")
    store.submit(*late, *ends)
    store.flush()
    assert not caplog.records
    assert store.delivery(other.id, ids[1]).response.body == b"ok"
    assert [job.node for job in store.execution(other.id, ids[1]).jobs] == ["n"]


def test_a_workflow_that_comes_after_a_deleted_one_is_another(backed):
    store = backed._store
    gone = Stored(store, "gone", b"1")
    store.submit(gone.new(owner="somebody"))
    store.delete("gone")
    made = Stored(store, "made", b"1")
    delivery = made.new(owner="somebody")
    store.submit(delivery, gone.new_end(1))
    store.flush()
    assert delivery.id == 1
    assert store.execution(made.id, 1).status is Status.QUEUED


# -- responses ------------------------------------------------------------------------------------


def test_a_fixed_response_is_kept_once_for_each_revision(backed):
    hook = backed.webhook("orders", response=Response(202, body="x" * 50_000))
    first = [exchange(hook, request(hook, b"1")) for _ in range(3)]
    hook.configure(response=Response(201, body="y"))
    second = exchange(hook, request(hook, b"1"))
    backed._store.flush()
    for response in (*first, second):
        kept = hook.delivery(response.delivery).response
        assert (kept.status, kept.body, kept.is_cut) == (response.status, response.body, False)
        assert dict(kept.headers)["Content-Type"] == response.header("Content-Type")
    rows = backed._store.rows("SELECT body IS NULL, size FROM responses ORDER BY delivery_id")
    assert rows == [(1, 50_000)] * 3 + [(1, 1)]
    bodies = backed._store.rows("SELECT length(body) FROM fixed_responses ORDER BY revision")
    assert bodies == [(50_000,), (1,)]
    hook.clear()
    assert backed._store.rows("SELECT * FROM fixed_responses") == []
    assert hook.delivery(exchange(hook, request(hook, b"1")).delivery).response.body == b"y"


def test_of_a_large_response_only_the_beginning_is_kept(tmp_path):
    with Runtime(tmp_path / "store.db", port=0, max_kept_response=100) as runtime:
        echo = runtime.webhook("echo", sync=True, nodes=[Response(200, body="{{ body }}")])
        fixed = runtime.webhook("fixed", response=Response(200, body="0123456789" * 20))
        for hook, sent in ((echo, b"x" * 101), (echo, b"x" * 100), (fixed, b"")):
            body = b"0123456789" * 20 if hook is fixed else sent
            response = exchange(hook, request(hook, b'"%s"' % sent))
            assert response.body == body
            kept = hook.delivery(response.delivery).response
            assert (kept.body, kept.is_cut) == (body[:100], len(body) > 100)
    with pytest.raises(SettingError, match="max_kept_response"):
        Runtime(":memory:", max_kept_response=-1)


# -- while it cannot be written -------------------------------------------------------------------


@contextmanager
def locked(runtime: Runtime) -> Iterator[None]:
    pragma(runtime, "busy_timeout = 50")
    with closing(sqlite3.connect(runtime._store.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def pragma(runtime: Runtime, text: str) -> Any:
    """Ask for a setting of the writing connection, or change it, also while it cannot write."""
    connection = runtime._store._writer._connection.connection.driver_connection
    row = connection.execute(f"PRAGMA {text}").fetchone()
    return None if row is None else row[0]


@contextmanager
def full(runtime: Runtime) -> Iterator[None]:
    before = pragma(runtime, "max_page_count")
    pragma(runtime, f"max_page_count = {pragma(runtime, 'page_count')}")
    yield
    pragma(runtime, f"max_page_count = {before}")


@contextmanager
def read_only(runtime: Runtime) -> Iterator[None]:
    pragma(runtime, "query_only = ON")
    yield
    pragma(runtime, "query_only = OFF")


@pytest.mark.parametrize("failing", [locked, full, read_only])
def test_a_store_that_cannot_be_written_says_503_and_loses_nothing(stored_runtime, failing):
    runtime = stored_runtime
    entered, release = threading.Event(), threading.Event()

    def node(context: Any) -> None:
        if context.body == "wait":
            entered.set()
            release.wait(30)

    hook = runtime.webhook("orders", nodes=[node])
    answering = runtime.webhook("sync", sync=True, nodes=[Response(201)])
    effects: list[Any] = []
    acting = runtime.webhook(
        "acts", sync=True, nodes=[Calculation("1"), lambda c: effects.append(c.body), Response(201)]
    )
    acknowledged = {
        exchange(hook, request(hook, body)).delivery: body for body in (b"1", b'"wait"', b"2")
    }
    assert entered.wait(30)
    with failing(runtime):
        release.set()
        hook.wait()  # three executions end, and cannot be written down
        with Wire(hook) as wire:
            big = b'"' + b"x" * 50_000 + b'"'
            wire.send(request(hook, big) + request(answering, big) + request(acting, big))
            wire.send(request(hook, b"{" + big))
            refused = [wire.response() for _ in range(4)]
    assert not effects
    for response in refused[:3]:
        assert response.status == 503
        assert response.header("Retry-After") == "5"
        assert response.header("X-Hooknb-Delivery") is None
        assert response.header("Content-Type") == "application/problem+json"
        assert b"store" in response.body
        assert b"Traceback" not in response.body
    assert refused[3].status == 400  # what is wrong with it is wrong whether it is kept or not

    for body in (b"3", b"4"):
        response = exchange(hook, request(hook, body))
        assert response.status == 200
        acknowledged[response.delivery] = body
    assert exchange(answering, request(answering, b"1")).status == 201
    assert exchange(acting, request(acting, b"1")).status == 201
    assert effects == [1]
    hook.wait()
    runtime.close()

    with Runtime(runtime._store.path, port=0) as again:
        hook = again.webhook("orders", nodes=[node])
        assert hook.deliveries.index.tolist() == sorted(acknowledged)
        for number, body in acknowledged.items():
            assert hook.delivery(number).raw == body
            assert hook.delivery(number).status == 200
        executions = hook.executions
        assert executions["status"].tolist() == ["resolved"] * 5
        assert executions["finished_at"].notna().all()
        assert not executions["recovered"].any()
        assert sorted(hook.jobs["execution"]) == sorted(acknowledged)


# -- opening --------------------------------------------------------------------------------------


@contextmanager
def unprivileged() -> Iterator[None]:
    """Have the system's permissions bind also who runs the tests as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    for number, data in enumerate([b"x", b"a,b,c\n" * 1000, b"SQLite format 3\0" + b"\xff" * 5000]):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(data)
        before = content(tmp_path)
        with pytest.raises(StoreError, match=r"not a database|malformed") as caught:
            Runtime(path, port=0)
        assert str(path) in str(caught.value)
        assert "name another file" in str(caught.value)
        assert not isinstance(caught.value, StoreUnavailableError)
        assert content(tmp_path) == before


@pytest.mark.parametrize("table", ["songs", "migrations"])
def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path, table):
    path = tmp_path / "music.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"CREATE TABLE {table} (title TEXT)")
        other.execute(f"INSERT INTO {table} VALUES ('Blue Moon')")  # noqa: S608 - own names
    before = content(tmp_path)
    with pytest.raises(StoreError, match="another program's") as caught:
        Runtime(path, port=0)
    assert str(path) in str(caught.value)
    assert "name a new file" in str(caught.value)
    assert content(tmp_path) == before


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "store.db"
    Runtime(path, port=0).close()
    newer = VERSION + 1
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("INSERT INTO migrations VALUES (?, 0)", (newer,))
    before = content(tmp_path)
    with pytest.raises(StoreVersionError, match=f"version {newer}") as caught:
        Runtime(path, port=0)
    assert str(path) in str(caught.value)
    assert "update hooknb" in str(caught.value)
    assert content(tmp_path) == before


def test_a_locked_store_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("hooknb.store.database.BUSY_TIMEOUT", 0.05)
    path = tmp_path / "store.db"
    Runtime(path, port=0).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailableError, match="locked") as caught:
            Runtime(path, port=0)
        other.execute("ROLLBACK")
    assert str(path) in str(caught.value)
    assert "another program holds it" in str(caught.value)
    Runtime(path, port=0).close()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    for path in (tmp_path / "store.db", tmp_path / "new" / "store.db"):
        with unprivileged(), pytest.raises(StoreUnavailableError, match="Permission") as caught:
            Runtime(path, port=0)
        assert str(path) in str(caught.value)
        assert "writable" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    path = tmp_path / "store.db"
    Runtime(path, port=0).close()
    path.chmod(0o444)
    before = content(tmp_path)
    with unprivileged(), pytest.raises(StoreUnavailableError, match="Permission") as caught:
        Runtime(path, port=0)
    assert str(path) in str(caught.value)
    assert content(tmp_path) == before


def test_what_can_be_no_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file" / "store.db", tmp_path / ("x" * 300)):
        with pytest.raises(StoreUnavailableError) as caught:
            Runtime(path, port=0)
        assert str(path) in str(caught.value)
        assert "name another store" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://localhost/hooks", "mysql://x", "sqlite+nothing:///a.db", "://"]
)
def test_another_kind_of_database_is_refused(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match="sqlite:///") as caught:
        Runtime(url, port=0)
    assert caught.value.setting == "store"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", [":memory:", "sqlite://", "sqlite:///:memory:"])
def test_memory_leaves_no_file(tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    with Runtime(target, port=0) as runtime:
        hook = runtime.webhook("orders")
        assert hook.delivery(hook.send(json=1).delivery).body == 1
    assert list(tmp_path.iterdir()) == []


def test_any_name_of_a_file_is_taken_as_it_is(tmp_path):
    path = tmp_path / "a?b#c%20 d.db"
    with Runtime(path, port=0) as runtime:
        runtime.webhook("orders")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_sqlite_url_names_a_file(tmp_path):
    path = tmp_path / "a b.db"
    with Runtime(f"sqlite:///{path}", port=0) as runtime:
        assert runtime._store.path == path
        runtime.webhook("orders")
    with Runtime(path, port=0) as runtime:
        assert runtime._store.ports()


def test_folder_and_files_are_for_their_owner_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Runtime(port=0) as runtime:
        hook = runtime.webhook("orders")
        hook.send(json=1)
        folder = tmp_path / ".hooknb"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
        assert (folder / ".gitignore").read_text() == "*\n"
        del files[".gitignore"]
        assert {"store.db", "store.db-wal", "store.db-shm"} < set(files)
        assert set(files.values()) == {0o600}
    left = {file.name for file in folder.iterdir()}
    assert left == {".gitignore", "store.db"}


def test_a_folder_of_ones_own_is_made_and_has_no_gitignore(tmp_path):
    folder = tmp_path / "a" / "b"
    with Runtime(folder / "store.db", port=0):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert not (folder / ".gitignore").exists()


def test_the_migrated_schema_is_the_described_one(tmp_path):
    path = tmp_path / "store.db"
    Runtime(path, port=0).close()
    engine = create_engine(f"sqlite:///{path}")
    found = inspect(engine)
    assert set(found.get_table_names()) == set(metadata.tables)
    for name, table in metadata.tables.items():
        columns = found.get_columns(name)
        keys = found.get_pk_constraint(name)["constrained_columns"]
        assert [column["name"] for column in columns] == [column.name for column in table.columns]
        assert keys == [column.name for column in table.primary_key]
        for column, described in zip(columns, table.columns, strict=True):
            where = f"{name}.{described.name}"
            compiled = str(described.type.compile(engine.dialect))
            assert str(column["type"]) == compiled, where
            if not described.primary_key:
                assert column["nullable"] == described.nullable, where
        unique = {tuple(item["column_names"]) for item in found.get_unique_constraints(name)}
        assert unique == {(column.name,) for column in table.columns if column.unique}
        pointing = {
            (tuple(key["constrained_columns"]), key["referred_table"])
            for key in found.get_foreign_keys(name)
        }
        assert pointing == {
            ((key.parent.name,), key.column.table.name) for key in table.foreign_keys
        }
    engine.dispose()
    with closing(sqlite3.connect(path)) as db:
        statement = "SELECT sql FROM sqlite_master WHERE name = 'workflows'"
        assert "AUTOINCREMENT" in db.execute(statement).fetchone()[0]
        assert db.execute("SELECT version FROM migrations").fetchall() == [(VERSION,)]


def test_what_is_acknowledged_is_on_disk(stored_runtime):
    assert pragma(stored_runtime, "journal_mode") == "wal"
    assert pragma(stored_runtime, "synchronous") == 2  # FULL
    assert pragma(stored_runtime, "foreign_keys") == 1
    hook = stored_runtime.webhook("orders")
    number = exchange(hook, request(hook, b"[1]")).delivery
    with closing(sqlite3.connect(stored_runtime._store.path)) as other:
        [body] = other.execute("SELECT body FROM deliveries WHERE id = ?", (number,)).fetchone()
    assert body == b"[1]"


def test_readers_cannot_write(stored_runtime):
    with pytest.raises(StoreUnavailableError, match="readonly"):
        stored_runtime._store.rows("DELETE FROM deliveries")


@pytest.mark.parametrize("url", ["sqlite://store.db", "sqlite://data/store.db", "sqlite:///"])
def test_a_url_that_names_no_file_is_refused(tmp_path, monkeypatch, url):
    """Two slashes make a host of what was meant as a folder, and nothing would be kept."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match="three slashes"):
        Runtime(url, port=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["~nobody-of-that-name/x.db", "sqlite:///~nobody-of-that-name/x.db"]
)
def test_a_home_that_is_none_is_refused(path):
    with pytest.raises(SettingError, match=r"^store: .*home"):
        Runtime(path, port=0)
