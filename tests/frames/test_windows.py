"""Windows: rows of a frame that are read alone, and what they say of themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written import Hook

from hooknb import records as stored_records
from hooknb.errors import SettingError
from hooknb.history.frame_windows import KINDS, Window
from hooknb.history.frames import Frames, chunks
from hooknb.history.frames.leaves import Leaves
from hooknb.store import Store, queries
from hooknb.workflow import Trigger
from hooknb.workflow.variables import Variable
from stored import START

if TYPE_CHECKING:
    from hooknb import Runtime

CONFIGURED = Trigger(query=(Variable("q"),), body=(Variable("n", alias="Number"), Variable("s")))
INFERRED = Trigger()


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(START / 1_000_000, UTC) + timedelta(milliseconds=at)


def window(hook: Hook, kind: str, trigger: Trigger = INFERRED, **asked: Any) -> pd.DataFrame:
    columns = asked.pop("columns", None)
    ids, _ = Window(**asked).ids(hook.store, hook.id, kind)
    return hook.frames.window(kind, trigger, ids, columns)


def whole(hook: Hook, kind: str, trigger: Trigger = INFERRED) -> pd.DataFrame:
    if kind == "deliveries":  # with headers and bodies
        ids = queries.read_ids(hook.store, hook.id)
        return hook.frames.window("deliveries", trigger, ids)
    return hook.frames.variables(trigger) if kind == "variables" else getattr(hook.frames, kind)()


def plain(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return the values with one sign for what is missing."""
    return {
        name: [
            None if pd.api.types.is_scalar(value) and pd.isna(value) else value for value in column
        ]
        for name, column in frame.items()
    } | {"id": frame.index.tolist()}


def receive(hook: Hook, at: int, kind: str) -> None:
    """Receive one delivery, which becomes what its kind says."""
    received = START + 1000 * at
    body = {"n": at, "s": f"text {at}", "deep": {"flag": at % 2 == 0, "list": [at]}}
    if kind == "refused":
        hook.refuse(received_at=received)
        return
    number = hook.send(
        body,
        query=f"q={at}",
        received_at=received,
        owner=None if kind == "stored" else 1,
    )
    if kind == "ended":
        hook.response(number, 200 if at % 2 else 404)
        hook.end(number, hook.job("first", result=at), hook.job("second", result=[at]))
    elif kind == "running":
        hook.running(number, hook.job("first", finished_at=None, status=0))


received = st.lists(
    st.tuples(
        st.integers(0, 20), st.sampled_from(["refused", "stored", "ended", "running", "queued"])
    ),
    max_size=12,
)
asked_windows = st.fixed_dictionaries(
    {},
    optional={
        "last": st.integers(0, 8),
        "since": st.integers(0, 21).map(moment),
        "until": st.integers(0, 21).map(lambda at: moment(at).isoformat()),
        "where": st.sampled_from(["404", "refused", "pending", "body.n > 7", "text 1", '"q=2"']),
    },
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(received, asked_windows, st.integers(1, 4), st.data())
def test_a_window_equals_the_slice_of_the_whole_frame(
    kinds: list[tuple[int, str]], asked: dict[str, Any], size: int, data: Any
) -> None:
    store = Store(":memory:", stored=lambda _deliveries: None)
    try:
        hook = Hook(store)
        for at, kind in kinds:
            receive(hook, at, kind)
        deliveries = whole(hook, "deliveries")
        times = deliveries["received_at"]
        chosen = pd.Series(data=True, index=deliveries.index)
        if "since" in asked:
            chosen &= times >= asked["since"]
        if "until" in asked:
            chosen &= times < pd.Timestamp(asked["until"])
        if "where" in asked:
            found, _ = Window(where=asked["where"]).ids(store, hook.id, "deliveries")
            chosen &= deliveries.index.isin(found)
        chosen_ids = deliveries.index[chosen]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunks, "_FIRST_ROWS", size)
            patch.setattr(chunks, "_MAX_ROWS", size)
            for kind in KINDS:
                frame = whole(hook, kind, CONFIGURED)
                of = frame["execution"] if kind == "jobs" else frame.index
                wanted = frame[of.isin(chosen_ids)]
                if "last" in asked:
                    wanted = wanted.iloc[max(0, len(wanted) - asked["last"]) :]
                columns = data.draw(
                    st.none() | st.lists(st.sampled_from(list(frame)), min_size=1, unique=True)
                )
                got = window(hook, kind, CONFIGURED, columns=columns, **asked)
                assert list(got) == (list(frame) if columns is None else columns)
                assert plain(got) == plain(wanted[list(got)])
                if kind == "variables":
                    inferred = whole(hook, kind)
                    columns = data.draw(
                        st.lists(st.sampled_from(list(inferred)), min_size=1, unique=True)
                    )
                    got = window(hook, kind, INFERRED, columns=columns, **asked)
                    assert plain(got) == plain(inferred.loc[wanted.index, columns])
                else:
                    assert got.dtypes.to_dict() == wanted[list(got)].dtypes.to_dict()
    finally:
        store.close()


def test_a_time_between_two_microseconds_is_after_the_first(hook: Hook) -> None:
    for number in range(3):
        hook.send({"n": number}, received_at=START + number)
    second = hook.frames.deliveries()["received_at"].iloc[1].as_unit("ns")
    after = second + pd.Timedelta(1, "ns")
    assert window(hook, "deliveries", since=second).index.tolist() == [2, 3]
    assert window(hook, "deliveries", since=after).index.tolist() == [3]
    assert window(hook, "deliveries", until=after).index.tolist() == [1, 2]


def test_inferred_variables_of_a_window_are_those_of_its_rows(hook: Hook) -> None:
    for body in ({"a": 1}, {"b": "x"}, {"b": "y", "c": [1]}):
        hook.send(body)
    frame = window(hook, "variables", last=2)
    assert plain(frame.drop(columns="received_at")) == {
        "body.b": ["x", "y"],
        "body.c": [None, [1]],
        "id": [2, 3],
    }
    hook.send([5])
    assert plain(window(hook, "variables", last=2, columns=["body", "body.b"])) == {
        "body": [None, [5]],
        "body.b": ["y", None],
        "id": [3, 4],
    }


def test_inferred_variables_that_are_named_are_extracted_alone(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for body in ({"a": {"x": 1}}, {"a": 1}, {"b": "x"}, {"b": "y", "c": [1]}):
        hook.send(body)
    sliced = whole(hook, "variables")[["body.a", "body.b"]].iloc[:1]
    monkeypatch.setattr(Leaves, "add", lambda *_: pytest.fail("all leaves are taken apart"))
    until = moment(1)
    assert plain(window(hook, "variables", until=until, columns=["body.a", "body.b"])) == plain(
        sliced
    )
    narrow = window(hook, "variables", last=2, columns=["body.c", "body.a"])
    assert plain(narrow) == {"body.c": [None, [1]], "body.a": [None, None], "id": [3, 4]}


def test_a_window_reads_only_its_rows_and_the_bodies_that_it_shows(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        hook.send({"n": number})
    read: list[Any] = []
    rows = Store.rows

    def count(store: Store, *statement: Any) -> list[tuple[Any, ...]]:
        found = rows(store, *statement)
        read.extend(found)
        return found

    monkeypatch.setattr(Store, "rows", count)
    assert window(hook, "deliveries", last=3)["body"].tolist() == [
        {"n": 17},
        {"n": 18},
        {"n": 19},
    ]
    assert sum(b'{"n"' in cell for row in read for cell in row if isinstance(cell, bytes)) == 3
    read.clear()
    frame = window(hook, "deliveries", where="accepted", columns=["status", "received_at"])
    assert len(frame) == 20
    assert not any(cell for row in read for cell in row if isinstance(cell, bytes))


def test_rows_that_were_deleted_meanwhile_are_left_out(hook: Hook) -> None:
    for number in range(5):
        hook.send({"n": number})
    frame = Frames(hook.store, hook.id).window("variables", CONFIGURED, [1, 3, 99, 4], ["Number"])
    assert frame["Number"].tolist() == [0, 2, 3]
    read = chunks.read_of([1, 98, 99, 4, 5], queries.read_listed_variable_rows)
    assert [row[0] for row in read(hook.store, hook.id, 0, 2)] == [1, 4]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"last": -1}, "last: -1 is not a number of rows; write one such as 100"),
        ({"last": True}, "last: True is not a number of rows"),
        ({"last": 1.5}, "last: 1.5 is not a number of rows"),
        ({"since": 5}, "since: 5 is not a time; write an aware datetime"),
        ({"since": pd.NaT}, "since: NaT is not a time"),
        ({"since": "yesterday"}, "since: 'yesterday' is not a time"),
        ({"until": "2026-01-31"}, "until: '2026-01-31' has no time zone"),
        ({"until": datetime(2026, 1, 31)}, "until: .* has no time zone"),  # noqa: DTZ001 - that
        ({"where": ">= 4000"}, "filter: '>= 4000' is not a status"),
        ({"where": 400}, "filter: a text is expected"),
        ({"columns": "body"}, r"columns: 'body' is not a list; write the names of columns in \[\]"),
        ({"columns": [1]}, "columns: 1 is not the name of a column"),
        ({"columns": ["bodies"]}, "columns: 'bodies' is not a variable"),
        ({"columns": ["headers.Host"]}, "columns: 'headers.Host' is not a column of variables"),
        ({"body": True}, "body: variables has no bodies; ask for those of 'deliveries'"),
    ],
)
def test_what_is_not_a_window_is_refused(
    runtime: Runtime, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        runtime.webhook("orders").frame("variables", **asked)


def test_what_is_not_a_frame_or_a_column_of_it_is_refused(runtime: Runtime) -> None:
    hook = runtime.webhook("orders", body=["a"])
    with pytest.raises(SettingError, match="kind: 'rows' is not a frame; they are deliveries, "):
        hook.frame("rows")
    with pytest.raises(SettingError, match="columns: 'x' is not a column of jobs; they are exec"):
        hook.frame("jobs", columns=["x"])
    with pytest.raises(SettingError, match=r"they are received_at, body\.a"):
        hook.frame("variables", columns=["body.b"])


def test_frames_say_what_they_hold(runtime: Runtime) -> None:
    hook = runtime.webhook("orders")
    for number in range(3):
        hook.send(json={"n": number})
    hook.wait(timeout=60)
    held = {"hook": "orders", "revision": 1}
    for kind in KINDS:
        every = getattr(hook, kind)
        assert (
            every.attrs.items() >= (held | {"kind": kind, "window": {}, "rows": len(every)}).items()
        )
    since = moment(0)
    frame = hook.frame("variables", last=2, since=since, where="accepted")
    asked = {"last": 2, "since": since.isoformat(), "where": "accepted"}
    assert frame.attrs.items() >= (held | {"window": asked, "rows": 2}).items()
    assert hook.search("accepted", 1).attrs["window"] == {"last": 1, "where": "accepted"}


def test_deliveries_have_bodies_when_they_are_asked_for(runtime: Runtime) -> None:
    hook = runtime.webhook("orders")
    hook.send(json=[1])
    without = hook.frame("deliveries")
    assert list(without) == list(hook.deliveries)
    assert {"headers", "body"}.isdisjoint(without)
    assert (without.attrs["body"], hook.deliveries.attrs["body"]) == (False, False)
    with_bodies = hook.frame("deliveries", body=True)
    assert list(with_bodies.drop(columns=["headers", "body"])) == list(without)
    assert with_bodies.attrs["body"]
    assert with_bodies["body"].tolist() == [[1]]
    assert with_bodies["headers"][1]["Content-Type"] == "application/json"
    assert list(hook.frame("deliveries", columns=["status"], body=True)) == ["status", "body"]
    assert hook.frame("deliveries", columns=["body"])["body"].tolist() == [[1]]
    assert hook.frame("deliveries", where="body[0] == 1").index.tolist() == [1]
    assert hook.frame("deliveries", where="body[0] == 2").empty


def test_a_search_reads_the_rows_that_it_returns(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = runtime.webhook("orders")
    for number in range(4):
        hook.send(json={"n": number})
    hook.wait(timeout=60)
    decoded: list[bytes] = []
    decode = stored_records._decode
    monkeypatch.setattr(stored_records, "_decode", lambda raw: decoded.append(raw) or decode(raw))
    found = hook.search("accepted", 1)
    assert decoded == [b'{"n":3}']
    pd.testing.assert_frame_equal(found, hook.frame("deliveries", body=True).iloc[-1:])
