"""Which deliveries a feed knows, whatever comes and goes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source import Source

import hooknb
from hooknb import _clock
from hooknb.history.table import Feed
from hooknb.history.table.kept import without
from hooknb.store import Store
from stored import START


def kept(source: Source) -> list[int]:
    rows = source.store.rows(
        "SELECT id FROM deliveries WHERE workflow_id = ? ORDER BY id", (source.id,)
    )
    return [row[0] for row in rows]


def is_right(source: Source) -> bool:
    source.feed.refresh()
    counts = source.store.counts(source.id)
    return (list(source.feed.ids()), source.feed.total, source.feed.refused) == (
        kept(source),
        counts.deliveries,
        counts.refused,
    )


def test_it_begins_with_nothing(source: Source) -> None:
    assert not source.feed.refresh()
    assert (source.feed.total, source.feed.refused, source.feed.matched) == (0, 0, 0)
    assert source.feed.rows([0, 1, -1]) == []
    assert source.feed.median_ms() is None
    assert source.feed.columns() == []
    assert source.feed.scan(0)


def test_what_came_before_and_after_is_known_in_order(store: Store, source: Source) -> None:
    other = Source(store, "other")
    for _ in range(3):
        source.send(1)
        other.send(2)
        source.refuse()
    assert source.feed.refresh()
    assert is_right(source)
    assert not source.feed.refresh()
    other.send(3)
    assert not source.feed.refresh()
    source.send(4)
    source.refuse()
    assert source.feed.refresh()
    assert is_right(source)
    assert source.feed.generation == 0
    assert [source.feed.ordinal(number) for number in kept(source)] == list(range(8))
    assert source.feed.ordinal(kept(source)[-1] + 1) is None


def test_ids_are_a_copy(source: Source) -> None:
    source.send(1)
    source.feed.refresh()
    ids = source.feed.ids()
    source.send(2)
    source.feed.refresh()
    assert len(ids) == 1


def test_more_than_one_piece_at_a_time(source: Source) -> None:
    source.send(1)
    source.feed.refresh()
    source.send_all([source.new(1) for _ in range(20_001)])
    assert is_right(source)
    again = Source(source.store)
    assert is_right(again)


def test_pruning_takes_the_oldest_refused_out(source: Source) -> None:
    source.refuse(3)
    first = source.send(1)
    source.refuse(996)
    source.feed.refresh()
    assert source.feed.generation == 0
    source.refuse(4)
    assert source.feed.refresh()
    assert is_right(source)
    assert (source.feed.generation, source.feed.refused) == (1, 1000)
    assert source.feed.ids()[0] == first
    for times in (1, 250, 900):
        source.refuse(times)
        source.send(1)
        assert is_right(source)
    assert source.feed.generation == 4


def test_all_that_was_known_may_be_pruned_at_once(source: Source) -> None:
    source.refuse(10)
    source.feed.refresh()
    source.refuse(1500)
    assert is_right(source)
    assert source.feed.generation == 1
    # What was pruned since it was seen has come all the same.
    [(came, refused)] = source.feed.strip(START, buckets=1)
    assert came == refused > 1000


@pytest.mark.parametrize("times", [0, 1])
def test_clearing(source: Source, times: int) -> None:
    source.send(1)
    source.refuse(2)
    source.feed.refresh()
    source.store.clear(source.id)
    for _ in range(times):
        source.send(2)
        source.refuse()
    assert source.feed.refresh()
    assert is_right(source)
    assert source.feed.generation == 1
    assert source.feed.strip(START, buckets=1) == [(2 * times, times)]


@pytest.mark.parametrize("times", [0, 3])
def test_clearing_where_all_were_refused(source: Source, times: int) -> None:
    source.refuse(5)
    source.feed.refresh()
    source.store.clear(source.id)
    source.refuse(times) if times else None
    assert source.feed.refresh()
    assert is_right(source)
    assert source.feed.generation == 1
    assert source.feed.strip(START, buckets=1) == [(times, times)]


def test_deleted_rows_are_noticed(source: Source) -> None:
    ids = source.send_all([source.new(number) for number in range(6)])
    source.feed.refresh()
    source.delete(f"id = {ids[-1]}")
    assert source.feed.refresh()
    assert is_right(source)
    source.delete(f"id = {ids[0]}")
    assert is_right(source)
    refused = source.refuse(3)
    source.feed.refresh()
    source.delete(f"id = {refused[1]}")
    assert is_right(source)
    assert source.feed.generation == 3


def test_a_row_that_is_not_found_has_them_counted(source: Source) -> None:
    ids = source.send_all([source.new(number) for number in range(6)])
    source.feed.refresh()
    source.delete(f"id = {ids[2]}")
    assert [row.id for row in source.feed.rows(range(6))] == ids[:2] + ids[3:]
    assert source.feed.refresh()
    assert is_right(source)
    assert source.feed.generation == 1
    assert not source.feed.refresh()


STEPS = st.sampled_from(["send", "refuse", "flood", "other", "clear", "drop", "look", "filter"])


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, max_size=12))
def test_whatever_happens_ids_are_those_of_the_store(store: Store, steps: list[str]) -> None:
    source, other = Source(store), Source(store, "other")
    store.clear(source.id)
    text = ""
    for step in steps:
        if step == "send":
            source.send(1)
        elif step == "refuse":
            source.refuse(2)
        elif step == "flood":
            source.refuse(700)
        elif step == "other":
            other.send(1)
        elif step == "clear":
            store.clear(source.id)
        elif step == "drop" and kept(source):
            source.delete(f"id = {kept(source)[-1]}")
        elif step == "filter":
            text = "" if text else "refused"
            source.feed.set_filter(text)
        elif step == "look":
            source.feed.refresh()
            source.feed.scan(0)
    where = "AND reason IS NOT NULL" if text else ""
    rows = store.rows(
        f"SELECT id FROM deliveries WHERE workflow_id = ? {where} ORDER BY id",  # noqa: S608
        (source.id,),
    )
    assert source.seen() == [row[0] for row in rows]
    assert source.feed.total == len(kept(source))
    assert all(one < two for one, two in pairwise(source.feed.ids()))


@given(st.sets(st.integers(0, 50)), st.sets(st.integers(0, 50)))
def test_without_takes_out_what_is_there(ids: set[int], gone: set[int]) -> None:
    from array import array

    left = without(array("q", sorted(ids)), sorted(gone))
    assert list(left) == sorted(ids - gone)


# -- counts by time -------------------------------------------------------------------------------


def test_the_strip_counts_by_aligned_buckets(source: Source) -> None:
    start = START // 10_000_000 * 10_000_000
    source.send_all(
        [source.new(1, received_at=start + second * 1_000_000) for second in (0, 9, 10, 25)]
    )
    source.feed.refresh()
    source.refuse(received_at=start + 26_000_000)
    source.feed.refresh()
    now = start + 29_999_999
    assert source.feed.strip(now, buckets=4) == [(0, 0), (2, 0), (1, 0), (2, 1)]
    assert source.feed.strip(now, buckets=2, seconds=20) == [(3, 0), (2, 1)]
    assert source.feed.strip(now + 1, buckets=2) == [(2, 1), (0, 0)]
    assert len(source.feed.strip(now)) == 30
    again = Source(source.store)
    again.feed.refresh()
    assert again.feed.strip(now) == source.feed.strip(now)


def test_the_strip_reads_back_five_minutes_and_is_bounded(source: Source) -> None:
    source.send_all(
        [source.new(1, received_at=START + second * 1_000_000) for second in range(3000)]
    )
    source.feed.refresh()
    now = START + 2999 * 1_000_000
    strip = source.feed.strip(now)
    assert [came for came, _ in strip[:-1]] == [10] * 29
    assert len(source.feed._kept._seconds) < 3000
    source.send_all(
        [source.new(1, received_at=now + second * 1_000_000) for second in range(1, 3000)]
    )
    source.feed.refresh()
    assert len(source.feed._kept._seconds) <= 660
    assert [came for came, _ in source.feed.strip(now + 2999 * 1_000_000)[:-1]] == [10] * 29


def test_a_clock_that_was_set_back(source: Source) -> None:
    source.send(1, received_at=START)
    source.feed.refresh()
    source.send(1, received_at=START - 3_600_000_000)
    source.feed.refresh()
    assert source.feed.strip(START - 3_600_000_000, buckets=1) == [(1, 0)]


def test_the_median_of_the_newest_answers(source: Source) -> None:
    ids = source.send_all([source.new(1) for _ in range(4)])
    source.response(ids[0], duration_us=1000)
    source.response(ids[1], duration_us=3000)
    assert source.feed.median_ms() == 2.0
    source.response(ids[2], duration_us=9000)
    assert source.feed.median_ms() == 3.0


def test_the_strip_uses_the_clock_of_the_runtime() -> None:
    with hooknb.Runtime(":memory:", port=0, deterministic=True) as runtime:
        hook = runtime.webhook("orders")
        for number in range(3):
            hook.send(json={"n": number})
        feed = Feed(hook._store, hook._state.workflow_id, lambda: hook.workflow.trigger)
        feed.refresh()
        assert feed.now() == _clock.EPOCH + 3_000_000
        assert [total for total, _ in feed.strip(feed.now(), buckets=4, seconds=1)] == [0, 1, 1, 1]


def test_the_strip_of_other_runtimes_uses_the_time_of_day(source: Source) -> None:
    before = _clock.now()
    source.send()
    source.feed.refresh()
    assert before <= source.feed.now() <= _clock.now()
