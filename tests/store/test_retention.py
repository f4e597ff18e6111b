"""What is deleted of a store because it is too old or too much, and what is not."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import hooknb
from hooknb import Hook, Runtime, SettingError
from hooknb._clock import Clock, FixedClock
from hooknb.history.frames import Frames
from hooknb.history.table import Feed
from hooknb.store import Limits, NewDelivery, Store
from hooknb.store.retention import MAX_STEP_DELIVERIES, Retention
from hooknb.workflow import define
from stored import START, Stored

DAY = 86_400 * 1_000_000


class SetClock(Clock):
    """A clock that stands where it is put."""

    time = START

    def now(self) -> int:
        return self.time


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    target = ":memory:" if request.param == "memory" else tmp_path / "store.db"
    with closing(Store(target, lambda _: None, SetClock())) as made:
        yield made


@pytest.fixture
def orders(store: Store) -> Stored:
    return Stored(store)


def expire(
    store: Store,
    of_hooks: dict[int, Limits] | None = None,
    of_store: Limits = Limits(),  # noqa: B008 - it is a tuple
    on_step: Callable[[Any], None] = lambda _: None,
) -> int:
    """Delete what is too much, now; return the number of steps."""
    retention = Retention(store.clock, of_store)
    for workflow_id, limits in (of_hooks or {}).items():
        retention.limit(workflow_id, limits)

    def go(connection: Any, transaction: Any) -> int:
        steps = 0
        for _ in retention.run(connection, transaction):
            on_step(connection)
            steps += 1
        return steps

    steps: int = store._writer.run(go)
    return steps


def kept(hook: Stored, table: str = "deliveries", column: str = "id") -> list[int]:
    rows = hook.store.rows(
        f"SELECT {column} FROM {table} WHERE workflow_id = ? ORDER BY 1",  # noqa: S608 - own names
        (hook.id,),
    )
    return [row[0] for row in rows]


def counted(store: Store) -> dict[str, tuple[int, int]]:
    """Count and measure what is really there."""
    rows = store.rows(
        "SELECT w.name, count(d.id), coalesce(sum(length(d.head) + length(d.body)), 0) "
        "FROM workflows w LEFT JOIN deliveries d ON d.workflow_id = w.id GROUP BY w.id"
    )
    return {name: (count, size) for name, count, size in rows}


def known(store: Store) -> dict[str, tuple[int, int]]:
    return {size.name: (size.deliveries, size.bytes) for size in store.sizes()}


# -- what goes ------------------------------------------------------------------------------------


def test_by_number_the_oldest_go_with_all_that_belongs_to_them(orders: Stored) -> None:
    for number in range(8):
        sent = orders.send(number, owner="o")
        orders.end(sent, orders.job("a"), orders.job("b"))
        orders.response(sent)
    expire(orders.store, {orders.id: Limits(deliveries=3)})
    assert kept(orders) == [6, 7, 8]
    assert kept(orders, "executions") == [6, 7, 8]
    assert kept(orders, "responses", "delivery_id") == [6, 7, 8]
    assert kept(orders, "jobs", "execution_id") == [6, 6, 7, 7, 8, 8]
    assert orders.send("next") == 9  # no id is given again
    assert known(orders.store) == counted(orders.store)


def test_by_age_they_go_when_their_time_is_over(orders: Stored) -> None:
    clock = orders.store.clock
    assert isinstance(clock, SetClock)
    for day in range(5):
        orders.send(day, received_at=START + day * DAY)
    limits = {orders.id: Limits(days=2.5)}
    for day, left in ((2, [1, 2, 3, 4, 5]), (3, [2, 3, 4, 5]), (4, [3, 4, 5]), (9, [])):
        clock.time = START + day * DAY
        expire(orders.store, limits)
        assert kept(orders) == left


def test_by_bytes_heads_and_bodies_count(orders: Stored) -> None:
    for _ in range(10):
        orders.send(raw=b"x" * 900, head=b"h" * 100)
    expire(orders.store, {orders.id: Limits(bytes=3_999)})
    assert kept(orders) == [8, 9, 10]
    assert known(orders.store) == {"orders": (3, 3_000)} == counted(orders.store)


def test_refused_ones_go_too(orders: Stored) -> None:
    orders.refuse(3)
    orders.send(1)
    expire(orders.store, {orders.id: Limits(deliveries=2)})
    assert kept(orders) == [3, 4]


def test_of_a_store_the_oldest_of_all_hooks_go(store: Store) -> None:
    hooks = [Stored(store, name) for name in ("a", "b", "c")]
    for number in range(600):
        store.submit(hooks[number % 2].new(number, received_at=START + number))
    hooks[2].send_all([hooks[2].new(n, received_at=START + 595 + n) for n in range(3)])
    steps = expire(store, of_store=Limits(deliveries=10))
    # 593 … 599 of the first two, and 595, 596, 597 of the third
    assert [kept(hook) for hook in hooks] == [[298, 299, 300], [297, 298, 299, 300], [1, 2, 3]]
    assert known(store) == counted(store)
    assert steps >= 590 // MAX_STEP_DELIVERIES


def test_of_a_hook_and_of_its_store_the_smaller_age_holds(store: Store) -> None:
    clock = store.clock
    assert isinstance(clock, SetClock)
    hooks = [Stored(store, name) for name in ("short", "long", "other")]
    for hook in hooks:
        for day in range(6):
            hook.send(day, received_at=START + day * DAY)
    clock.time = START + 6 * DAY
    limits = {hooks[0].id: Limits(days=1), hooks[1].id: Limits(days=9)}
    expire(store, limits, Limits(days=3))
    assert [kept(hook) for hook in hooks] == [[6], [4, 5, 6], [4, 5, 6]]


def test_a_fixed_clock_is_that_of_the_newest_delivery(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "store.db", lambda _: None, FixedClock())) as store:
        orders = Stored(store)
        for number in range(9):
            orders.send(number)
        expire(store, {orders.id: Limits(days=3 / 86_400)})  # a second between two of them
        assert kept(orders) == [6, 7, 8, 9]


def test_nothing_goes_without_a_limit(orders: Stored) -> None:
    orders.send(1, received_at=0)
    assert expire(orders.store) == 0
    assert kept(orders) == [1]


# -- what stays -----------------------------------------------------------------------------------


def test_what_has_not_ended_stays_until_it_has(orders: Stored) -> None:
    limits = {orders.id: Limits(deliveries=1)}
    waiting = [orders.send(number, owner="o") for number in range(2)]
    for number in range(4):
        orders.send(number)
    running = orders.send("running", owner="o", status=0)
    expire(orders.store, limits)
    assert kept(orders) == [*waiting, running]
    orders.end(waiting[1])
    expire(orders.store, limits)
    assert kept(orders) == [waiting[0], running]


def test_many_that_have_not_ended_hold_up_no_others(orders: Stored) -> None:
    many = 2 * MAX_STEP_DELIVERIES + 50
    waiting = orders.send_all([orders.new(n, owner="o") for n in range(many)])
    orders.send_all([orders.new(n) for n in range(500)])
    expire(orders.store, {orders.id: Limits(deliveries=10)})
    assert kept(orders) == waiting
    other = Stored(orders.store, "other")
    last = other.send_all([other.new(n, received_at=START + 10**9) for n in range(5)])
    expire(orders.store, of_store=Limits(deliveries=many))
    assert (kept(orders), kept(other)) == (waiting, [])
    assert last == [1, 2, 3, 4, 5]


# -- a step at a time -----------------------------------------------------------------------------


def test_a_step_is_bounded_in_deliveries_jobs_and_bytes(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "store.db", lambda _: None)) as store:
        plain, busy, large = (Stored(store, name) for name in ("plain", "busy", "large"))
        plain.send_all([plain.new(n) for n in range(1_000)])
        for number in range(8):
            sent = busy.send(number, owner="o")
            busy.end(sent, *[busy.job("a")] * 900)
        large.send_all([large.new(raw=bytes(6 * 2**20)) for _ in range(7)])
        changes: list[int] = []
        sizes: list[int] = []
        statements: list[int] = []

        def note(connection: Any) -> None:
            driver = connection.connection.driver_connection
            [(size,)] = driver.execute("SELECT sum(kept_bytes) FROM workflows").fetchall()
            changes.append(driver.total_changes)
            sizes.append(size)
            statements.append(0)

        def listen(_text: str) -> None:
            if statements:
                statements[-1] += 1

        store._writer.run(
            lambda connection, _: connection.connection.driver_connection.set_trace_callback(listen)
        )
        expire(
            store, {hook.id: Limits(deliveries=1) for hook in (plain, busy, large)}, on_step=note
        )
        assert [len(kept(hook)) for hook in (plain, busy, large)] == [1, 1, 1]
        deleted = [after - before for before, after in pairwise(changes)]
        # Deliveries and their executions, or jobs, and the counts of the workflow.
        assert max(deleted) <= 2_000 + 2 * MAX_STEP_DELIVERIES + 2
        freed = [before - after for before, after in pairwise(sizes)]
        assert max(freed) <= 16 * 2**20
        assert max(statements) <= 20
        assert len(changes) >= 999 // MAX_STEP_DELIVERIES + 7 // 2 + 6 // 2


def test_a_sender_that_comes_in_between_waits_for_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    is_done = threading.Event()
    step = Retention._delete_oldest

    def stored(deliveries: list[NewDelivery]) -> None:
        events.extend("stored" for item in deliveries if item.caller == "between")

    with closing(Store(tmp_path / "store.db", stored)) as store:
        orders = Stored(store)
        orders.send_all([orders.new(n) for n in range(2_000)])

        def noted(self: Retention, *arguments: Any) -> bool:
            events.append("step")
            if events.count("step") == 3:
                store.submit(orders.new("between", caller="between"))
            is_more = step(self, *arguments)
            if not is_more:
                is_done.set()
            return is_more

        monkeypatch.setattr(Retention, "_delete_oldest", noted)
        store.limit(orders.id, Limits(deliveries=100))
        assert is_done.wait(60)
        store.flush()
    assert events[:5] == ["step", "step", "step", "stored", "step"]
    assert events.count("step") >= 1_900 // MAX_STEP_DELIVERIES


def test_a_limit_that_is_changed_holds_from_the_next_step(orders: Stored) -> None:
    orders.send_all([orders.new(n) for n in range(10 * MAX_STEP_DELIVERIES)])
    retention = Retention(orders.store.clock, Limits())
    retention.limit(orders.id, Limits(deliveries=1))

    def go(connection: Any, transaction: Any) -> None:
        for step, _ in enumerate(retention.run(connection, transaction), 1):
            if step == 2:
                retention.limit(orders.id, Limits())

    orders.store._writer.run(go)
    assert len(kept(orders)) == 8 * MAX_STEP_DELIVERIES


def test_pages_are_given_back(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(Store(path, lambda _: None)) as store:
        orders = Stored(store)
        orders.send_all([orders.new(raw=os.urandom(20_000)) for _ in range(300)])
        expire(store, {orders.id: Limits(deliveries=2)})
        assert store.rows("PRAGMA freelist_count") == [(0,)]
        assert path.stat().st_size < 300_000


KILLED = """
import os, sys
from hooknb.store import Limits, Store
from hooknb.store.retention import Retention

store = Store(os.environ["STORE"], lambda _: None)
retention = Retention(store.clock, Limits(deliveries=1))

def go(connection, transaction):
    for _ in retention.run(connection, transaction):
        print("step", flush=True)
        sys.stdin.readline()

store._writer.run(go)
"""


@pytest.mark.parametrize("steps", [1, 4, 9])
def test_a_kill_in_the_middle_leaves_a_whole_store(tmp_path: Path, steps: int) -> None:
    path, total = tmp_path / "store.db", 4_000
    with closing(Store(path, lambda _: None)) as store:
        orders = Stored(store)
        for sent in orders.send_all([orders.new(n, owner="o") for n in range(total)]):
            store.submit(orders.new_end(sent, orders.job("a")), orders.new_response(sent))
    with subprocess.Popen(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "STORE": str(path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        for _ in range(steps):
            assert process.stdout.readline() == "step\n"
            process.stdin.write("\n")
            process.stdin.flush()
        process.kill()
    with closing(Store(path, lambda _: None)) as store:
        assert store.rows("PRAGMA integrity_check") == [("ok",)]
        left = kept(orders := Stored(store))
        assert left == list(range(total - len(left) + 1, total + 1))
        assert 1 < len(left) <= total - steps * MAX_STEP_DELIVERIES
        assert kept(orders, "executions") == kept(orders, "jobs", "execution_id") == left
        assert kept(orders, "responses", "delivery_id") == left
        assert known(store) == counted(store)
        expire(store, {orders.id: Limits(deliveries=1)})
        assert kept(orders) == [total]


# -- counts ---------------------------------------------------------------------------------------


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.sampled_from(["send", "refuse", "keep", "shrink", "clear", "other"]), max_size=9)
)
def test_counts_are_those_of_what_is_there(
    monkeypatch: pytest.MonkeyPatch, deeds: list[str]
) -> None:
    monkeypatch.setattr("hooknb.store.operations.KEPT_REFUSED", 5)
    with closing(Store(":memory:", lambda _: None)) as store:
        orders, other = Stored(store), Stored(store, "other")
        frames = Frames(store, orders.id)
        feed = Feed(store, orders.id, lambda: define("orders").trigger)
        for at, deed in enumerate(deeds):
            if deed == "send":
                orders.send_all([orders.new({"a": at}, owner="o") for _ in range(4)])
                orders.end(kept(orders)[-1], orders.job("a"))
            elif deed == "refuse":
                orders.refuse(3, raw=b"{" * at)
            elif deed == "keep":
                expire(store, {orders.id: Limits(deliveries=2)})
            elif deed == "shrink":
                expire(store, of_store=Limits(bytes=150))
            elif deed == "clear":
                store.clear(orders.id)
            else:
                other.send("x" * at)
            assert known(store) == counted(store)
            feed.refresh()
            assert list(feed.ids()) == kept(orders)
            assert feed.refused == store.counts(orders.id).refused
            assert_frames_are_fresh(frames, store, orders.id)


def assert_frames_are_fresh(frames: Frames, store: Store, workflow_id: int) -> None:
    """Compare frames that were read before with those of somebody who comes now."""
    fresh = Frames(store, workflow_id)
    trigger = define("orders").trigger
    for read in ("deliveries", "executions", "jobs"):
        assert_frame_equal(getattr(frames, read)(), getattr(fresh, read)())
    assert_frame_equal(frames.variables(trigger), fresh.variables(trigger))


def test_a_feed_drops_what_expired_in_the_middle(orders: Stored) -> None:
    orders.send("first", owner="o")
    orders.send_all([orders.new(n) for n in range(3)])
    orders.send("last", owner="o")
    feed = Feed(orders.store, orders.id, lambda: define("orders").trigger)
    feed.refresh()
    feed.set_filter("first")
    assert feed.scan(60)
    generation = feed.generation
    expire(orders.store, {orders.id: Limits(deliveries=1)})
    assert feed.refresh()
    assert (feed.total, list(feed.ids()), feed.generation) == (2, [1], generation)
    feed.set_filter("")
    assert list(feed.ids()) == [1, 5]
    assert not feed.refresh()


def test_an_older_store_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(Store(path, lambda _: None)) as store:
        for name in ("orders", "other"):
            Stored(store, name).send_all([Stored(store, name).new(name) for _ in range(3)])
    with closing(sqlite3.connect(path)) as old, old:
        for column in ("kept_deliveries", "kept_bytes", "expired_upto"):
            old.execute(f"ALTER TABLE workflows DROP COLUMN {column}")
    with closing(Store(path, lambda _: None)) as store:
        assert known(store) == counted(store)
        assert known(store)["orders"][0] == 3


def test_how_many_came_since_is_found_without_counting(orders: Stored) -> None:
    orders.send_all([orders.new(n, received_at=START + n) for n in range(100)])
    expire(orders.store, {orders.id: Limits(deliveries=60)})
    count = orders.store.count_since
    assert [count(orders.id, START + at) for at in (70, 99, 100)] == [30, 1, 0]
    assert count(Stored(orders.store, "none").id, START) == 0


# -- a served hook --------------------------------------------------------------------------------


def until_kept(hook: Hook, number: int) -> None:
    end = time.monotonic() + 60
    while hook._store.counts(hook._workflow_id).deliveries != number:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("target", [":memory:", "store.db"])
def test_a_served_hook_keeps_what_it_says(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Runtime(target, port=0) as runtime:
        hook = runtime.webhook("orders", nodes=[lambda context: context.body["n"]])
        other = runtime.webhook("other")
        for number in range(12):
            hook.send(json={"n": number})
            other.send(json={})
        hook.wait()
        frames = [hook.deliveries, hook.executions, hook.jobs, hook.variables]
        assert [len(frame) for frame in frames] == [12] * 4
        assert hook.configure(keep_deliveries=5).revision == 2
        until_kept(hook, 5)
        ids = [8, 9, 10, 11, 12]
        assert hook.deliveries.index.tolist() == hook.executions.index.tolist() == ids
        assert hook.jobs["execution"].tolist() == hook.variables.index.tolist() == ids
        assert_frames_are_fresh(hook._kept_frames, hook._store, hook._workflow_id)
        assert hook.send(json={"n": 12}).delivery == 13
        hook.wait()
        until_kept(hook, 5)
        assert hook.variables["body.n"].tolist() == [8, 9, 10, 11, 12]
        assert len(other.deliveries) == 12


def test_a_runtime_keeps_what_it_says_of_all_hooks(tmp_path: Path) -> None:
    with Runtime(tmp_path / "store.db", port=0, keep_deliveries=4) as runtime:
        hooks = [runtime.webhook(name) for name in ("a", "b")]
        for number in range(6):
            for hook in hooks:
                hook.send(json=number)
        for hook in hooks:
            until_kept(hook, 2)
            assert hook.frame("deliveries", body=True)["body"].tolist() == [4, 5]


def test_a_sender_that_waits_gets_its_response(runtime: Runtime) -> None:
    entered, release = threading.Event(), threading.Event()

    def node(context: hooknb.Context) -> None:
        if context.body == "wait":
            entered.set()
            release.wait(60)

    hook = runtime.webhook(
        "orders", sync=True, nodes=[node, hooknb.Response(201)], keep_deliveries=1
    )
    responses: list[Any] = []
    sender = threading.Thread(target=lambda: responses.append(hook.send(json="wait")))
    sender.start()
    assert entered.wait(60)
    for number in range(3):
        hook.send(json=number)
    until_kept(hook, 1)
    assert hook.frame("deliveries", body=True)["body"].tolist() == ["wait"]
    release.set()
    sender.join()
    assert [response.status for response in responses] == [201]


# -- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["keep_days", "keep_deliveries", "keep_bytes"])
@pytest.mark.parametrize("value", [0, -1, "3", True, float("nan")])
def test_a_wrong_limit_is_refused(runtime: Runtime, name: str, value: Any) -> None:
    with pytest.raises(SettingError, match=name):
        runtime.webhook("orders", **{name: value})
    with pytest.raises(SettingError, match=name):
        Runtime(":memory:", **{name: value})
