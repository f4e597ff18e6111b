"""Frames are built in parts, so that other threads run meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooknb import records as stored_records
from hooknb.history.frames import growing_column, typed_arrays
from hooknb.history.frames.collection import collection_held_off
from hooknb.history.frames.growing_column import Column
from hooknb.workflow import Trigger

if TYPE_CHECKING:
    from written import Hook


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    assert gc.isenabled()
    yield
    gc.enable()


def test_collection_is_held_off_in_nested_blocks_until_the_last_is_left() -> None:
    with collection_held_off():
        with collection_held_off():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collection_is_on_again_after_an_error() -> None:
    with pytest.raises(KeyError), collection_held_off():
        raise KeyError
    assert gc.isenabled()


def test_collection_that_was_off_stays_off() -> None:
    gc.disable()
    with collection_held_off():
        pass
    assert not gc.isenabled()


def test_collection_is_held_off_until_the_last_of_several_threads_is_done() -> None:
    entered, leave = Event(), Event()

    def hold() -> None:
        with collection_held_off():
            entered.set()
            leave.wait(30)

    thread = Thread(target=hold)
    with collection_held_off():
        thread.start()
        assert entered.wait(30)
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_what_was_made_meanwhile_is_not_collected_as_young_and_nothing_is_frozen() -> None:
    with collection_held_off():
        made = [[] for _ in range(5_000)]
    assert len(gc.get_objects(generation=2)) > len(made) > len(gc.get_objects(generation=0))
    assert gc.get_freeze_count() == 0


def test_what_users_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        with collection_held_off():
            pass
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()


def test_a_frame_is_read_while_collection_is_held_off(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    decode = stored_records._decode

    def look(raw: bytes) -> Any:
        seen.append(gc.isenabled())
        return decode(raw)

    monkeypatch.setattr(stored_records, "_decode", look)
    hook.send({"a": 1})
    hook.frames.variables(Trigger())
    assert seen == [False]
    assert gc.isenabled()


@given(st.lists(st.none() | st.text(max_size=3), max_size=20), st.integers(1, 7))
def test_text_made_in_parts_is_what_is_made_at_once(values: list[str | None], size: int) -> None:
    whole = pd.Series(pd.array(typed_arrays.objects(values), dtype="str"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typed_arrays, "_MAX_VALUES", size)
        parts = typed_arrays.text(values)
        pd.testing.assert_series_equal(pd.Series(parts), whole)
        back = typed_arrays.as_objects(parts)
    assert [None if pd.isna(value) else value for value in back] == values


@given(st.lists(st.none() | st.text(max_size=2), min_size=1, max_size=20), st.integers(1, 7))
def test_a_column_of_text_becomes_objects_in_parts(values: list[str | None], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typed_arrays, "_MAX_VALUES", size)
        column = Column()
        column.add(range(len(values)), values)
        column.array(len(values))
        column.add(range(len(values), len(values) + 1), [[1]])
        assert list(column.array(len(values) + 1)) == [*values, [1]]


@given(
    st.lists(st.lists(st.none() | st.text(max_size=2), min_size=1, max_size=5), max_size=5),
    st.integers(0, 2),
    st.integers(1, 4),
)
def test_text_that_arrives_in_pieces_with_gaps_is_what_is_made_at_once(
    pieces: list[list[str | None]], gap: int, least: int
) -> None:
    column, rows = Column(), list[str | None]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growing_column, "_MIN_TEXTS", least)
        for values in pieces:
            column.add(range(len(rows), len(rows) + len(values)), values)
            rows += [*values, *[None] * gap]
        made = column.array(len(rows))
    if any(row is not None for row in rows):
        whole = pd.Series(pd.array(typed_arrays.objects(rows), dtype="str"))
        pd.testing.assert_series_equal(pd.Series(made), whole)
    else:
        assert list(made) == rows


def test_half_of_a_surrogate_pair_is_kept_among_other_values() -> None:
    column = Column()
    values = ["\ud800", *["b"] * growing_column._MIN_TEXTS]
    column.add(range(len(values)), values)
    column.add(range(len(values), len(values) + 2), [1, "c"])
    assert list(column.array(len(values) + 2)) == [*values, 1, "c"]


def test_text_without_arrow_is_the_same_text() -> None:
    values = ["a", None, "ü" * 300] * 200
    made = []
    for storage in ("python", "pyarrow"):
        with pd.option_context("mode.string_storage", storage):
            column = Column()
            column.add(range(len(values)), values)
            column.add(range(len(values) + 1, len(values) + 2), ["last"])
            made.append(column.array(len(values) + 2))
    assert [array.dtype.storage for array in made] == ["python", "pyarrow"]  # type: ignore[union-attr]
    plain = [[None if pd.isna(value) else value for value in array] for array in made]
    assert plain == [[*values, None, "last"]] * 2
