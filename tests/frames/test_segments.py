"""What is kept of the frame of variables: the same frames, and no trace of what was deleted."""

from __future__ import annotations

import json
import sqlite3
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from written import Hook

from hooknb import Runtime, SettingError
from hooknb.history.frames import Frames, growing_column
from hooknb.paths import MISSING
from hooknb.store import Limits, Reading, Store, queries, segments
from hooknb.store.kept_values import pack, unpack
from hooknb.workflow import Trigger
from hooknb.workflow.variables import Variable

if TYPE_CHECKING:
    import pandas as pd

INFERRED = Trigger()
CONFIGURED = Trigger(body=(Variable("n"), Variable("deep.s")), query=(Variable("q"),))


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(Store(":memory:", lambda _: None, kept_columns=True)) as made:
        yield made


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_MAX_DELIVERIES", 4)


def keep(hook: Hook, trigger: Trigger = INFERRED) -> list[tuple[int, int]]:
    """Make all segments, and return their ranges."""
    variables = [(part, variable.path) for part, them in trigger.parts for variable in them]
    hook.store.keep_columns(hook.id, tuple(variables))
    hook.store.make_segments()
    return segments.read_ranges(hook.store, hook.id, 0)


def names(hook: Hook) -> set[str]:
    return {name for (name,) in hook.store.rows("SELECT DISTINCT name FROM segments")}


def read(hook: Hook, trigger: Trigger = INFERRED, ids: Sequence[int] | None = None) -> pd.DataFrame:
    """Read a frame anew."""
    frames = Frames(hook.store, hook.id)
    if ids is None:
        return frames.variables(trigger)
    return frames.window("variables", trigger, ids)


def without(hook: Hook, *asked: Any) -> pd.DataFrame:
    """Read a frame anew, from the bodies alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "read_ranges", lambda *_: [])
        return read(hook, *asked)


def without_bodies(patch: pytest.MonkeyPatch, *left: int) -> None:
    """Let no body be read but those of these ids."""
    real = queries.read_variable_rows

    def read_rows(*asked: Any, **more: Any) -> list[tuple[Any, ...]]:
        rows = real(*asked, **more)
        assert {row[0] for row in rows} <= set(left)
        return rows

    patch.setattr(queries, "read_variable_rows", read_rows)


def assert_same(frame: pd.DataFrame, other: pd.DataFrame) -> None:
    assert_frame_equal(frame, other, check_exact=True)
    assert frame.attrs == other.attrs
    for name in frame:
        # Equal values may be of other types: 1, 1.0 and True.
        assert list(map(repr, frame[name])) == list(map(repr, other[name]))


# -- the values -----------------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(2**53 - 1, 2**53 + 1)
    | st.integers(2**63 - 1, 2**64)
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["\ud800", "\0", "é", "", -0.0])
)
columns = st.one_of(
    st.lists(kind | st.sampled_from([None, MISSING]), max_size=12)
    for kind in (
        st.booleans(), st.integers(-(2**63), 2**63 - 1), st.integers(), st.floats(),
        st.text(max_size=3), scalars | st.lists(scalars, max_size=2),
        st.dictionaries(st.text(max_size=1), scalars | st.lists(scalars), max_size=3),
    )
)  # fmt: skip


def bits(value: Any) -> Any:
    return struct.pack("<d", value) if type(value) is float else repr(value)


@given(columns)
def test_values_come_back_exactly(values: list[Any]) -> None:
    packed = pack(values)
    if packed is None:  # a NaN whose bits JSON does not have
        assert "nan" in repr(values)
        return
    kept = unpack(memoryview(packed))
    there = [value for value in values if value is not None and value is not MISSING]
    places = [at for at, value in enumerate(values) if value is not None and value is not MISSING]
    formats = {"int": "q", "float": "d", "bool": "?"}
    if kept.kind in formats:
        back = list(struct.unpack(f"<{kept.number}{formats[kept.kind]}", kept.data))
    else:
        back = kept.texts() if kept.kind == "text" else kept.objects
    assert list(map(bits, back)) == list(map(bits, there))
    if kept.places is None:
        assert places == list(range(len(values)))
    else:
        assert list(struct.unpack(f"<{kept.number}H", kept.places)) == places


@pytest.mark.parametrize("value", [(1, 2), b"bytes", {1: 2}, 10**5000], ids=type)
def test_what_json_does_not_have_is_not_kept(value: Any) -> None:
    assert pack([value, None]) is None


# -- frames ---------------------------------------------------------------------------------------

keys = st.sampled_from(["n", "deep", "s", "a.b", ""])
objects = st.recursive(
    scalars | st.lists(scalars, max_size=2),
    lambda inner: st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
alike = st.fixed_dictionaries({"n": st.integers(), "deep": st.fixed_dictionaries({"s": st.text()})})
received = st.lists(
    st.tuples(
        st.sampled_from(["accepted", "accepted", "accepted", "refused", "no json"]),
        alike | objects,
        st.sampled_from(["", "q=1", "q=2&q=3", "p[r]=x"]),
    ),
    max_size=20,
)
paths = st.lists(st.sampled_from(["n", "deep.s", "deep", "", "missing"]), max_size=3, unique=True)


def receive(hook: Hook, deliveries: list[tuple[str, Any, str]]) -> None:
    for kind, body, query in deliveries:
        if kind == "refused":
            hook.refuse()
        else:
            raw = b"{" if kind == "no json" else json.dumps(body).encode()
            hook.send(raw=raw, query=query)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(received, received), st.tuples(paths, paths), st.integers(1, 7), st.data())
def test_frames_with_segments_are_those_without(
    parts: tuple[Any, Any], configurations: tuple[Any, Any], size: int, data: Any
) -> None:
    with (
        closing(Store(":memory:", lambda _: None, kept_columns=True)) as store,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(segments, "_MAX_DELIVERIES", size)
        patch.setattr(growing_column, "_MIN_TEXTS", data.draw(st.integers(0, 3)))
        hook = Hook(store)
        for deliveries, configured in zip(parts, configurations, strict=True):
            trigger = Trigger(
                body=tuple(map(Variable, configured)),
                query=(Variable("q"),) if configured else (),
                headers=(Variable("Content-Type"),) if configured else (),
            )
            receive(hook, deliveries)
            accepted = len(read(hook, trigger))
            assert len(keep(hook, trigger)) == accepted // size
            for asked in (trigger, INFERRED, CONFIGURED):
                assert_same(read(hook, asked), without(hook, asked))
                assert_same(hook.frames.variables(asked), without(hook, asked))
            ids = read(hook, trigger).index.tolist()
            start = data.draw(st.integers(0, len(ids)))
            window = ids[start : data.draw(st.integers(start, len(ids)))]
            assert_same(read(hook, trigger, window), without(hook, trigger, window))


@pytest.mark.parametrize("trigger", [INFERRED, CONFIGURED])
def test_whole_ranges_are_read_without_a_body(
    hook: Hook, trigger: Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(10):
        hook.send({"n": at, "deep": {"s": f"text {at}"}}, query=f"q={at}")
    expected = read(hook, trigger)
    assert keep(hook, trigger) == [(1, 4), (5, 8)]
    without_bodies(monkeypatch, 9, 10)
    assert_same(read(hook, trigger), expected)


def test_a_range_ends_with_the_bytes_of_its_bodies(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_MAX_BYTES", 1_000)
    for size in (10, 2_000, 10, 10, 10):
        hook.send({"text": "x" * size})
    assert keep(hook) == [(1, 2)]
    assert_same(read(hook), without(hook))


def test_a_range_with_a_leaf_where_another_has_an_object_is_read_from_its_bodies(
    hook: Hook,
) -> None:
    for body in [{"a": {"b": 1}}] * 4 + [{"a": 5}] * 4 + [{"a": {"b": 1, "c": 2}}, {"a": 1}] * 4:
        hook.send(body)
    assert len(keep(hook)) == 4
    frame = read(hook)
    assert frame["body.a"].tolist()[:5] == [{"b": 1}] * 4 + [5]
    assert_same(frame, without(hook))


def test_a_range_of_many_leaves_is_read_from_its_bodies(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_MAX_LEAVES", 3)
    for at in range(8):
        hook.send({f"key {at}": 1} if at < 4 else {"n": at})
    assert len(keep(hook)) == 2
    assert_same(read(hook), without(hook))
    without_bodies(monkeypatch, 1, 2, 3, 4)
    read(hook)


def test_a_revision_keeps_the_columns_that_it_still_has(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(8):
        hook.send({"n": at, "deep": {"s": "x"}})
    keep(hook, CONFIGURED)
    kept = "SELECT rowid FROM segments WHERE name LIKE '%\"n\"]'"
    rows = hook.store.rows(kept)
    changed = Trigger(body=(Variable("n", alias="Other"), Variable("more")))
    keep(hook, changed)
    assert names(hook) == {"ids", 'variable:["body", "n"]', 'variable:["body", "more"]'}
    assert hook.store.rows(kept) == rows
    without_bodies(monkeypatch)
    assert read(hook, changed)["Other"].tolist() == list(range(8))
    keep(hook)
    assert names(hook) == {"ids", "leaves"}


@pytest.mark.parametrize("trigger", [INFERRED, CONFIGURED])
@pytest.mark.parametrize("change", ["flipped", "cut", "empty", "of another range", "gone"])
def test_what_is_damaged_is_read_from_the_bodies(hook: Hook, trigger: Trigger, change: str) -> None:
    for at in range(8):
        hook.send({"n": at, "deep": {"s": f"text {at}"}}, query="q=1")
    expected = read(hook, trigger)
    keep(hook, trigger)
    rows = hook.store.rows("SELECT rowid, first, name, data FROM segments")
    others = {(name, first): data for _, first, name, data in rows}

    def damage(connection: Any) -> None:
        cursor = connection.connection.cursor()
        for number, first, name, data in rows:
            if change == "gone":
                cursor.execute("DELETE FROM segments WHERE rowid = ?", (number,))
                continue
            changed = {
                "flipped": data[:-1] + bytes([data[-1] ^ 1]),
                "cut": data[:-1],
                "empty": b"",
                "of another range": others[name, 6 - first],
            }[change]
            cursor.execute("UPDATE segments SET data = ? WHERE rowid = ?", (changed, number))

    hook.store._writer.call(damage)
    assert_same(read(hook, trigger), expected)


# -- what is deleted ------------------------------------------------------------------------------


def test_what_is_deleted_leaves_no_segment(hook: Hook) -> None:
    other = Hook(hook.store, "other")
    for at in range(12):
        hook.send({"n": at})
        other.send({"n": at})
    keep(other)
    assert keep(hook) == [(1, 4), (5, 8), (9, 12)]
    hook.store._writer.call(
        lambda connection: connection.exec_driver_sql(
            "DELETE FROM deliveries WHERE workflow_id = 1 AND id = 6"
        )
    )
    assert segments.read_ranges(hook.store, hook.id, 0) == [(1, 4), (9, 12)]
    assert read(hook)["body.n"].tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    hook.store.clear(hook.id)
    assert segments.read_ranges(hook.store, hook.id, 0) == []
    assert read(hook).empty
    assert len(segments.read_ranges(hook.store, other.id, 0)) == 3
    hook.store.delete("other")
    assert hook.store.rows("SELECT * FROM segments") == []
    for at in range(5):
        hook.send({"n": at})
    assert keep(hook) == [(13, 16)]
    assert_same(read(hook), without(hook))


def work(store: Store) -> int:
    """Do what the writer does while nobody waits; return its steps."""
    made = segments.Segments(is_on=True)
    made.keep(1, ())
    return run(store, made)


def run(store: Store, made: segments.Segments) -> int:
    def steps(connection: Any, transaction: Any) -> int:
        count, before = 0, -1
        while count > before:
            before = count
            count += len([*made.run(connection, transaction)])
        return count

    count: int = store._writer.run(steps)
    return count


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hook]:
    """A hook of whose deliveries nothing is kept yet, since the writer does not do so itself."""
    monkeypatch.setattr(segments, "_MAX_CHANGES", 10_000)
    with closing(Store(tmp_path / "store.db", lambda _: None)) as store:
        hook = Hook(store)
        for at in range(10):
            hook.send({"n": at})
        yield hook


def test_retention_does_not_make_the_oldest_range_again_and_again(idle: Hook) -> None:
    made = segments.Segments(is_on=True)
    made.keep(idle.id, ())
    assert run(idle.store, made) > 0
    assert segments.read_ranges(idle.store, idle.id, 0) == [(1, 4), (5, 8)]
    idle.store.limit(idle.id, Limits(deliveries=4))
    idle.store._writer.run(lambda *of: [*idle.store._retention.run(*of)])
    idle.store.limit(idle.id, Limits())
    assert segments.read_ranges(idle.store, idle.id, 0) == []
    assert run(idle.store, made) == 0
    for at in range(4):
        idle.send({"n": at})
    run(idle.store, made)
    assert segments.read_ranges(idle.store, idle.id, 0) == [(9, 12)]
    assert_same(read(idle), without(idle))


@pytest.mark.parametrize("steps", range(1, 9))
def test_a_writer_that_ends_between_steps_leaves_what_is_right(idle: Hook, steps: int) -> None:
    def stop(connection: Any, transaction: Any) -> None:
        made = segments.Segments(is_on=True)
        made.keep(idle.id, ())
        running = made.run(connection, transaction)
        for _ in range(steps):
            if next(running, running) is running:
                running = made.run(connection, transaction)

    idle.store._writer.run(stop)
    assert_same(read(idle), without(idle))
    work(idle.store)
    assert segments.read_ranges(idle.store, idle.id, 0) == [(1, 4), (5, 8)]
    assert_same(read(idle), without(idle))


def test_deliveries_that_are_deleted_between_steps_are_in_no_segment(idle: Hook) -> None:
    def steps(connection: Any, transaction: Any) -> None:
        made = segments.Segments(is_on=True)
        made.keep(idle.id, ())
        for number in (2, 7):  # a range each
            for _ in made.run(connection, transaction):
                gone = f"DELETE FROM deliveries WHERE id = {number}"  # noqa: S608 - a number
                transaction(lambda it, gone=gone: it.exec_driver_sql(gone))

    idle.store._writer.run(steps)
    assert_same(read(idle), without(idle))
    assert read(idle)["body.n"].tolist() == [0, 2, 3, 4, 5, 7, 8, 9]


def test_nothing_is_made_while_many_send(idle: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_MAX_CHANGES", 0)
    assert work(idle.store) == 0
    monkeypatch.setattr(segments, "_MAX_CHANGES", 10_000)
    assert work(idle.store) > 0


def test_a_body_that_fails_costs_only_its_range(
    idle: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = segments.READ_PART["body"]

    def fail(row: tuple[Any, ...]) -> Any:
        if row[0] == 2:
            raise RecursionError
        return real(row)

    with monkeypatch.context() as patch:
        patch.setitem(segments.READ_PART, "body", fail)
        work(idle.store)
    assert segments.read_ranges(idle.store, idle.id, 0) == [(5, 8)]
    assert_same(read(idle), without(idle))


# -- processes and settings -----------------------------------------------------------------------


@pytest.mark.parametrize("variables", [{}, {"body": ["n"]}])
def test_another_opening_reads_what_the_first_one_kept(
    tmp_path: Path, variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    with Runtime(path, port=0) as runtime:
        hook = runtime.webhook("orders", **variables)
        for at in range(8):
            hook.send(json={"n": at, "s": f"text {at}"})
        runtime._store.make_segments()
        expected = hook.variables
    without_bodies(monkeypatch)
    trigger = Trigger(body=tuple(map(Variable, variables.get("body", ()))))
    with closing(Reading(path)) as reading:
        frame = Frames(reading, 1).variables(trigger)
    expected_attrs, expected.attrs = expected.attrs, frame.attrs
    assert_same(frame, expected)
    expected.attrs = expected_attrs
    with Runtime(path, port=0) as runtime:
        assert_same(runtime.webhook("orders", **variables).variables, expected)
    with Runtime(path, port=0, kept_columns=False) as runtime:
        assert_same(runtime.webhook("orders", **variables).variables, expected)


def test_kept_columns_can_be_left_out(tmp_path: Path) -> None:
    for target, is_on in ((tmp_path / "store.db", False), (":memory:", True)):
        with Runtime(target, port=0, kept_columns=is_on) as runtime:
            hook = runtime.webhook("orders")
            for at in range(8):
                hook.send(json={"n": at})
            runtime._store.make_segments()
            assert runtime._store.rows("SELECT * FROM sqlite_master WHERE name = 'segments'") == []
    with pytest.raises(SettingError, match="kept_columns"):
        Runtime(":memory:", kept_columns="yes")  # type: ignore[arg-type]


def test_a_process_of_an_earlier_version_deletes_the_segments_too(idle: Hook) -> None:
    work(idle.store)
    with closing(sqlite3.connect(str(idle.store.path))) as connection, connection:
        connection.execute("DELETE FROM deliveries WHERE id = 1")
    assert segments.read_ranges(idle.store, idle.id, 0) == [(5, 8)]
    with closing(Reading(str(idle.store.path))) as reading:
        frame = Frames(reading, idle.id).variables(INFERRED)
    assert frame.index.tolist() == list(range(2, 11))


@pytest.mark.parametrize("what", ["segments", "sqlite_autoindex_segments_1"])
def test_pages_of_segments_that_are_damaged_cost_only_time(idle: Hook, what: str) -> None:
    work(idle.store)
    expected = without(idle)
    path = idle.store.path
    assert path is not None
    idle.store.close()
    with closing(sqlite3.connect(path)) as connection:
        [(page,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (what,))
        [(size,)] = connection.execute("PRAGMA page_size")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with closing(Reading(path)) as reading:
        assert_same(Frames(reading, idle.id).variables(INFERRED), expected)


def test_a_served_hook_keeps_its_columns_by_itself(tmp_path: Path) -> None:
    with Runtime(tmp_path / "store.db", port=0) as runtime:
        hook = runtime.webhook("orders")
        for at in range(8):
            hook.send(json={"n": at})
        while len(segments.read_ranges(runtime._store, 1, 0)) < 2:  # a second each
            time.sleep(0.05)
        assert hook.variables["body.n"].tolist() == list(range(8))
