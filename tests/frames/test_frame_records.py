from __future__ import annotations

import gzip
import itertools
import json
from contextlib import closing
from threading import Thread
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from written import Hook

from hooknb.history.frames import Frames, chunks, record_frames, typed_arrays
from hooknb.payloads.headers import MASK
from hooknb.store import Store, queries
from hooknb.store.schema import deliveries
from hooknb.workflow import Trigger
from hooknb.workflow.variables import Variable
from stored import START

DTYPES = {
    "deliveries": {
        "received_at": "datetime64[us, UTC]",
        "method": "str",
        "subpath": "str",
        "content_type": "str",
        "size": "int64",
        "remote": "str",
        "outcome": "category",
        "reason": "str",
        "status": "Int64",
        "duration_ms": "float64",
        "query": "object",
    },
    "executions": {
        "delivery": "int64",
        "revision": "int64",
        "status": "category",
        "reason": "str",
        "started_at": "datetime64[us, UTC]",
        "finished_at": "datetime64[us, UTC]",
        "duration_ms": "float64",
        "response_status": "Int64",
        "missing": "object",
        "recovered": "bool",
    },
    "jobs": {
        "execution": "int64",
        "node": "str",
        "type": "str",
        "status": "category",
        "started_at": "datetime64[us, UTC]",
        "finished_at": "datetime64[us, UTC]",
        "duration_ms": "float64",
        "result": "object",
        "output": "str",
        "error": "str",
    },
}
CATEGORIES = {
    ("deliveries", "outcome"): ["accepted", "refused"],
    ("executions", "status"): ["queued", "started", "resolved", "failed", "error", "aborted"],
    ("jobs", "status"): ["queued", "pending", "resolved", "failed", "error", "aborted"],
}


def parsed(hook: Hook) -> pd.DataFrame:
    """Return all deliveries with headers and bodies."""
    ids = queries.read_ids(hook.store, hook.id)
    return hook.frames.window("deliveries", Trigger(), ids)


def queued(hook: Hook, body: Any = None) -> int:
    return hook.send(body, owner="somebody")


def fill(hook: Hook) -> None:
    hook.send({"a": 1}, reason="x")
    hook.end(queued(hook), hook.job("total"))


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("filled", [False, True])
def test_the_columns_and_their_types_are_always_the_same(
    hook: Hook, name: str, *, filled: bool
) -> None:
    if filled:
        fill(hook)
    frame = getattr(hook.frames, name)()
    assert frame.dtypes.astype(str).to_dict() == DTYPES[name]
    assert frame.index.name == "id"
    assert frame.index.dtype == "int64"
    for (of, column), words in CATEGORIES.items():
        if of == name:
            assert frame[column].cat.categories.tolist() == words
    assert (len(frame) > 0) == filled


@pytest.mark.parametrize("name", DTYPES)
def test_a_frame_is_the_users_own(hook: Hook, name: str) -> None:
    fill(hook)
    before = getattr(hook.frames, name)()
    spoilt = getattr(hook.frames, name)()
    for column in list(spoilt):
        spoilt[column] = 0
    spoilt["more"] = 1
    spoilt.index.name = None
    pd.testing.assert_frame_equal(getattr(hook.frames, name)(), before)


@pytest.mark.parametrize("name", DTYPES)
def test_a_cleared_hook_starts_anew(hook: Hook, name: str) -> None:
    fill(hook)
    assert len(getattr(hook.frames, name)())
    hook.store.clear(hook.id)
    assert len(getattr(hook.frames, name)()) == 0
    for count in range(1, 4):
        hook.store.clear(hook.id)
        for _ in range(count):
            number = queued(hook)
            hook.end(number, hook.job(f"node {count}"))
        frame = getattr(hook.frames, name)()
        assert len(frame) == count
        if name == "jobs":
            assert set(frame["node"]) == {f"node {count}"}


@pytest.mark.parametrize("name", DTYPES)
def test_another_workflow_is_not_seen(hook: Hook, name: str) -> None:
    other = Hook(hook.store, "other")
    fill(hook)
    rows = len(getattr(hook.frames, name)())
    number = queued(other)
    other.end(number, other.job("total"))
    assert len(getattr(hook.frames, name)()) == rows
    hook.store.clear(other.id)
    assert len(getattr(hook.frames, name)()) == rows


@pytest.mark.parametrize("name", [*DTYPES, "variables"])
def test_growing_gives_the_same_as_reading_at_once(
    hook: Hook, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_FIRST_ROWS", 2)
    arguments = (Trigger(),) if name == "variables" else ()
    for number in range(7):
        delivery = queued(hook, {"a": number})
        getattr(hook.frames, name)(*arguments)
        hook.end(delivery, hook.job("total", output=str(number)))
        hook.response(delivery)
    grown = getattr(hook.frames, name)(*arguments)
    at_once = getattr(Frames(hook.store, hook.id), name)(*arguments)
    pd.testing.assert_frame_equal(grown, at_once)
    assert grown.index.tolist() == list(range(1, 8))


def test_threads_wait_for_one_another(hook: Hook) -> None:
    for number in range(50):
        hook.send({"a": number})
    lengths: list[int] = []
    threads = [
        Thread(target=lambda: lengths.append(len(hook.frames.deliveries()))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [50] * 8


# -- deliveries ------------------------------------------------------------------------------------


def test_a_delivery(hook: Hook) -> None:
    head = b"X-A: 1\r\nx-a: 2\r\nAuthorization: Basic c2VjcmV0\r\nCookie: a=b\r\n"
    number = hook.send(
        {"a": 2**70},
        head=head,
        query="a=1&a=2",
        received_at=1,
        content_type="application/vnd.x+json",
        remote="::1",
    )
    hook.response(number, 202, duration_us=1234)
    frame = parsed(hook)
    assert frame.drop(columns="reason").loc[number].to_dict() == {
        "received_at": pd.Timestamp(1, unit="us", tz="UTC"),
        "method": "POST",
        "subpath": "",
        "content_type": "application/vnd.x+json",
        "size": len(json.dumps({"a": 2**70})),
        "remote": "::1",
        "outcome": "accepted",
        "status": 202,
        "duration_ms": 1.234,
        "headers": {"X-A": "1, 2", "Authorization": f"Basic {MASK}", "Cookie": MASK},
        "query": {"a": ["1", "2"]},
        "body": {"a": 2**70},
    }
    assert frame["reason"].isna().all()
    assert type(frame["headers"].iloc[0]) is dict


def test_a_content_type_has_no_parameters_and_the_headers_have_them(hook: Hook) -> None:
    written = "Application/JSON; charset=utf-8"
    hook.send(1, content_type=written, head=f"Content-Type: {written}\r\n".encode())
    hook.send(2, content_type=None, head=b"")
    hook.send(3, content_type="", head=b"Content-Type:\r\n")
    frame = parsed(hook)
    assert frame["content_type"].iloc[0] == "application/json"
    assert frame["headers"].iloc[0] == {"Content-Type": written}
    assert frame["content_type"].isna().tolist() == [False, True, True]


def test_a_column_has_one_kind_of_missing_value(hook: Hook) -> None:
    trigger = Trigger(headers=(Variable("X"),), query=(Variable("q"),), body=(Variable("a"),))
    seen: dict[tuple[str, str], set[str]] = {}
    ends = itertools.cycle([None, START])
    for number, value in enumerate([1, None, 1.5, "text", True, {"b": 1}, [], 2**70, None]):
        delivery = hook.send({"a": value} if number % 4 else None, query="q=1" * (number % 2))
        hook.send(raw=b"", content_type=None, reason="no" if number % 3 else None)
        if number % 2:
            hook.response(delivery)
        if number % 3:
            error = None if number % 2 else "ValueError"
            job = hook.job("a", status=-2, finished_at=next(ends), result=value, error=error)
            hook.end(delivery, job, reason=error)
        frames = {
            "deliveries": hook.frames.deliveries(),
            "parsed": parsed(hook),
            "executions": hook.frames.executions(),
            "jobs": hook.frames.jobs(),
            "variables": hook.frames.variables(trigger),
            "inferred": hook.frames.variables(Trigger()),
        }
        for name, frame in frames.items():
            for column, values in frame.items():
                gaps = [repr(value) for value in values.astype(object)[values.isna()]]
                assert len(set(gaps)) <= 1, (name, column, gaps)
                seen.setdefault((name, str(column)), set()).update(gaps)
    assert seen["parsed", "body"] == {"None"}
    assert seen["deliveries", "status"] == {"<NA>"}
    assert seen["jobs", "finished_at"] == {"NaT"}


def test_refused_deliveries_show_what_can_be_read(hook: Hook) -> None:
    deep = b"[" * 600 + b"]" * 600
    bomb = gzip.compress(b'"' + b"x" * (11 * 2**20) + b'"')
    for raw, encoding in (
        (b'{"a": 1}', None),
        (b"{", None),
        (b"", None),
        (deep, None),
        (bomb, "gzip"),
    ):
        hook.send(raw=raw, reason="wrong password", content_encoding=encoding)
    frame = parsed(hook)
    assert frame["outcome"].tolist() == ["refused"] * 5
    assert frame["reason"].tolist() == ["wrong password"] * 5
    assert frame["body"].tolist() == [{"a": 1}, None, None, None, None]


def test_an_accepted_body_may_be_of_any_size(hook: Hook) -> None:
    text = "x" * (11 * 2**20)
    hook.send(raw=gzip.compress(json.dumps(text).encode()), content_encoding="gzip")
    assert parsed(hook)["body"].tolist() == [text]


def test_texts_among_objects_stay_objects(hook: Hook) -> None:
    assert typed_arrays.frame({"a": typed_arrays.objects(["text"])}, [1])["a"].dtype == "object"
    hook.send("text")
    assert parsed(hook)["body"].dtype == "object"
    number = queued(hook)
    hook.end(number, hook.job("total", result="text"))
    assert hook.frames.jobs()["result"].dtype == "object"


def test_an_answer_that_comes_later_is_filled_in(hook: Hook) -> None:
    numbers = [hook.send() for _ in range(3)]
    hook.response(numbers[1])
    assert hook.frames.deliveries()["status"].tolist() == [pd.NA, 200, pd.NA]
    early = hook.frames.deliveries()
    hook.response(numbers[0], 500, duration_us=3000)
    frame = hook.frames.deliveries()
    assert frame["status"].tolist() == [500, 200, pd.NA]
    assert frame["duration_ms"].tolist()[:2] == [3.0, 1.5]
    assert frame["duration_ms"].isna().tolist() == [False, False, True]
    assert early["status"].tolist() == [pd.NA, 200, pd.NA]
    assert frame.dtypes.astype(str).to_dict() == DTYPES["deliveries"]


def test_refused_deliveries_that_were_pruned_are_gone(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hooknb.store.operations.KEPT_REFUSED", 2)
    first = hook.send()
    refused = [hook.send(reason="x") for _ in range(2)]
    assert hook.frames.deliveries().index.tolist() == [first, *refused]
    last = hook.send()
    refused.append(hook.send(reason="x"))
    assert hook.frames.deliveries().index.tolist() == [first, refused[1], last, refused[2]]
    refused += [hook.send(reason="x") for _ in range(2)]
    assert hook.frames.deliveries().index.tolist() == [first, last, *refused[-2:]]


def test_a_hook_that_only_refused_is_cleared(hook: Hook) -> None:
    hook.send(reason="x")
    hook.frames.deliveries()
    hook.store.clear(hook.id)
    assert len(hook.frames.deliveries()) == 0
    last = hook.send(reason="x")
    assert hook.frames.deliveries().index.tolist() == [last]


def test_old_rows_are_not_read_again(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    hook.response(hook.send({"a": 1}))
    hook.frames.deliveries()
    read: list[str] = []
    columns = queries.read_delivery_columns

    def look(*asked: Any) -> queries.DeliveryColumns | None:
        part = columns(*asked)
        read.append("" if part is None else part.ids)
        return part

    monkeypatch.setattr(queries, "read_delivery_columns", look)
    hook.send({"a": 2})
    hook.send({"a": 3})
    assert len(hook.frames.deliveries()) == 3
    assert len(hook.frames.deliveries()) == 3
    assert read == ["2,3"]


def test_neither_a_head_nor_a_body_is_read_for_deliveries(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []
    rows = Store.rows

    def look(store: Store, *statement: Any) -> list[tuple[Any, ...]]:
        found = rows(store, *statement)
        read.extend(cell for row in found for cell in row)
        return found

    monkeypatch.setattr(Store, "rows", look)
    for number in range(5):
        hook.response(hook.send({"a": number}, remote=str(number % 2)))
        assert len(hook.frames.deliveries()) == number + 1
    assert read
    assert not [cell for cell in read if isinstance(cell, bytes)]


texts = st.sampled_from(["", "a", "\x00", 'é"\\\n', "\U0001f600", "b=1&b=%00"])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.booleans(),  # whether the frame is read before it
            st.fixed_dictionaries(
                {"method": texts, "subpath": texts, "remote": texts, "query": texts},
                optional={"content_type": st.none() | texts, "reason": texts},
            ),
            st.sampled_from(["responded", "waits", "deleted"]),
        ),
        max_size=12,
    ),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_columns_read_in_parts_are_those_of_the_rows(
    received: list[tuple[bool, dict[str, Any], str]], size: int, late: int
) -> None:
    with closing(Store(":memory:", stored=lambda _: None)) as store:
        hook = Hook(store)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(record_frames, "_MAX_IDS", size)
            for number, (is_read, values, becomes) in enumerate(received):
                if is_read:
                    hook.frames.deliveries()
                delivery = hook.send({"n": number}, **values)
                if becomes == "responded":
                    hook.response(delivery, 200 + number, duration_us=number)
                elif becomes == "deleted":
                    gone = delete(deliveries).where(deliveries.c.id == delivery)
                    store._writer.call(lambda connection, gone=gone: connection.execute(gone))
            waiting = hook.frames.deliveries()["status"].isna()
            for delivery in waiting.index[waiting][late::2].tolist():
                hook.response(delivery, 500)
            frame = hook.frames.deliveries()
        wanted = parsed(hook)[list(frame)]
        pd.testing.assert_frame_equal(frame, wanted)
        again = Frames(store, hook.id).deliveries()
        pd.testing.assert_frame_equal(again, wanted)


# -- executions ------------------------------------------------------------------------------------


def test_an_execution(hook: Hook) -> None:
    number = hook.send(missing='["body.a", "headers.X"]', revision=3, received_at=1_000)
    hook.end(
        number,
        status=-1,
        reason="condition",
        started_at=None,
        finished_at=3_500,
        response_status=422,
    )
    row = hook.frames.executions().loc[number]
    assert row["delivery"] == number
    assert row["revision"] == 3
    assert row["status"] == "failed"
    assert row["reason"] == "condition"
    assert row["started_at"] == pd.Timestamp(1_000, unit="us", tz="UTC")
    assert row["finished_at"] == pd.Timestamp(3_500, unit="us", tz="UTC")
    assert row["duration_ms"] == 2.5
    assert row["response_status"] == 422
    assert row["missing"] == ["body.a", "headers.X"]
    assert row["recovered"] == False  # noqa: E712 - a numpy boolean


def test_an_execution_that_has_not_ended(hook: Hook) -> None:
    queued(hook)
    frame = hook.frames.executions()
    assert frame["status"].tolist() == ["queued"]
    assert frame["missing"].tolist() == [[]]
    assert (
        frame[["reason", "started_at", "finished_at", "duration_ms", "response_status"]]
        .isna()
        .all(axis=None)
    )


def test_executions_end_in_any_order(hook: Hook) -> None:
    numbers = [queued(hook) for _ in range(4)]
    assert hook.frames.executions()["status"].tolist() == ["queued"] * 4
    hook.end(numbers[2])
    numbers.append(queued(hook))
    frame = hook.frames.executions()
    assert frame.index.tolist() == numbers
    assert frame["status"].tolist() == ["queued", "queued", "resolved", "queued", "queued"]
    hook.end(numbers[4], status=-2)
    hook.end(numbers[0], status=-3, reason="timeout")
    frame = hook.frames.executions()
    assert frame.index.tolist() == numbers
    assert frame["status"].tolist() == ["aborted", "queued", "resolved", "queued", "error"]


def test_an_execution_that_was_taken_over_is_seen_to_be_recovered(hook: Hook) -> None:
    number = hook.send(status=0, owner="a runtime that is gone")
    later = queued(hook)
    hook.end(later)
    assert hook.frames.executions()["recovered"].tolist() == [False, False]
    assert hook.store.claim(hook.id, 2) == [(number, True)]
    frame = hook.frames.executions()
    assert frame["recovered"].tolist() == [True, False]
    assert frame["status"].tolist() == ["queued", "resolved"]
    assert frame["revision"].tolist() == [2, 1]


def test_ended_executions_are_not_read_again(hook: Hook) -> None:
    hook.end(queued(hook))
    hook.frames.executions()
    assert hook.frames._executions._open == set()


# -- jobs ------------------------------------------------------------------------------------------


def test_jobs(hook: Hook) -> None:
    first, second = queued(hook), queued(hook)
    hook.end(
        second,
        hook.job("total", result={"a": [1]}, output="hi\n"),
        hook.job("total"),
    )
    assert hook.frames.jobs()["execution"].tolist() == [second, second]
    failed = hook.job("total", status=-2, error="ValueError: x", finished_at=None)
    hook.end(first, failed, hook.job("total", status=0), status=-2)
    frame = hook.frames.jobs()
    assert frame["execution"].tolist() == [second, second, first, first]
    assert frame["node"].tolist() == ["total"] * 4
    assert frame["type"].tolist() == ["code"] * 4
    assert frame["status"].tolist() == ["resolved", "resolved", "error", "pending"]
    assert frame["started_at"].iloc[0] == pd.Timestamp(START, unit="us", tz="UTC")
    assert frame["finished_at"].isna().tolist() == [False, False, True, False]
    assert frame["duration_ms"].iloc[0] == 2.0
    assert frame["result"].tolist() == [{"a": [1]}, None, None, None]
    assert frame["output"].tolist() == ["hi\n", "", "", ""]
    assert frame["error"].isna().tolist() == [True, True, False, True]
    assert frame["error"].iloc[2] == "ValueError: x"


def test_headers_of_equal_heads_are_dicts_of_their_own(hook: Hook) -> None:
    hook.send({"a": 1})
    hook.send({"a": 2})
    first, second = parsed(hook)["headers"]
    first["Host"] = "changed"
    assert second["Host"] == "localhost"


def test_equal_queries_are_values_of_their_own(hook: Hook) -> None:
    for query in ("a=1", "a=1&a=2"):
        hook.send({}, query=query)
        hook.send({}, query=query)
    flat, other_flat, nested, other = hook.frames.deliveries()["query"]
    flat["a"] = "changed"
    nested["a"].append("3")
    assert (other_flat, other) == ({"a": "1"}, {"a": ["1", "2"]})
