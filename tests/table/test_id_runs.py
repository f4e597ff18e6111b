"""Runs of ids, and the first look at many deliveries."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source import Source

from hooknb.history.table import Feed, kept
from hooknb.history.table.id_runs import IdRuns
from hooknb.store import Store, queries
from stored import START

IDS = st.sets(st.integers(1, 60)).map(sorted)


def runs_of(ids: list[int]) -> IdRuns:
    made = IdRuns()
    for number in ids:
        made.append(number)
    return made


@given(IDS, IDS, st.integers(0, 61))
def test_runs_are_the_ids_that_were_added(ids: list[int], gone: list[int], other: int) -> None:
    made = runs_of(ids)
    assert list(made) == ids
    assert len(made) == len(ids)
    assert [made[at] for at in range(-len(ids), len(ids))] == ids + ids
    assert list(made[1:7]) == ids[1:7]
    assert bisect_left(made, other) == bisect_left(ids, other)
    assert bisect_right(made, other) == bisect_right(ids, other)
    left = made.without(array("q", gone))
    assert list(left) == sorted({*ids} - {*gone})
    assert list(made) == ids
    again = left.copy()
    again.append(100)
    assert list(left) == sorted({*ids} - {*gone})
    assert list(again) == [*left, 100]
    for at in (len(ids), -len(ids) - 1):
        with pytest.raises(IndexError):
            made[at]


@pytest.mark.parametrize("count", [10, 3_000])
def test_the_first_look_reads_as_little_of_few_as_of_many(
    source: Source, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    source.send_all([source.new(1) for _ in range(count)])
    rows = 0
    read = queries._Query.read

    def counting(query: Any, store: Store, **way: Any) -> Any:
        nonlocal rows
        found = read(query, store, **way)
        rows += len(found)
        return found

    monkeypatch.setattr(queries._Query, "read", counting)
    feed = Feed(source.store, source.id, lambda: source.trigger)
    feed.refresh()
    assert (feed.total, feed.ids()[-1]) == (
        count,
        source.store.rows("SELECT max(id) FROM deliveries")[0][0],
    )
    assert rows < 50


@given(st.sets(st.integers(1, 40)), st.integers(1, 10))
@settings(deadline=None)
def test_what_is_missing_in_the_middle_is_found_by_halving(gone: set[int], most: int) -> None:
    store = Store(":memory:", stored=lambda _: None)
    try:
        source = Source(store)
        source.send_all([source.new(1) for _ in range(40)])
        source.delete(f"id IN ({', '.join(map(str, gone))})")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kept, "_MAX_ROWS", most)
            assert source.seen() == sorted({*range(1, 41)} - gone)
            feed = Feed(store, source.id, lambda: source.trigger)
            feed.refresh()
            feed.refresh()
            assert list(feed.ids()) == sorted({*range(1, 41)} - gone)
    finally:
        store.close()


@given(
    st.lists(st.tuples(st.integers(0, 400_000), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 60),
)
@settings(deadline=None)
def test_seconds_found_by_halving_are_those_counted(
    gaps: list[tuple[int, bool]], counted: int
) -> None:
    store = Store(":memory:", stored=lambda _: None)
    try:
        source = Source(store)
        at, made = START, []
        for gap, is_refused in gaps:
            at += 1_000 * gap
            made.append(source.new(1, received_at=at, reason="x" if is_refused else None))
        source.send_all(made)
        strips = []
        for most in (counted, 10_000):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(kept, "_MAX_COUNTED", most)
                feed = Feed(store, source.id, lambda: source.trigger)
                feed.refresh()
                strips.append(feed.strip(at, 30, 10))
        assert strips[0] == strips[1]
    finally:
        store.close()
