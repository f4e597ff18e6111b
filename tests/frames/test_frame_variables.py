from __future__ import annotations

import gzip
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written import Hook

from hooknb import paths
from hooknb import records as stored_records
from hooknb.history.frames import Frames, chunks, variable_frame
from hooknb.payloads.headers import MASK
from hooknb.store import Store, queries
from hooknb.workflow import Trigger
from hooknb.workflow.variables import Variable

INFERRED = Trigger()


def inferred(hook: Hook) -> pd.DataFrame:
    return hook.frames.variables(INFERRED)


def plain(values: pd.Series) -> list[Any]:
    return [
        value if isinstance(value, (list, dict)) or not pd.isna(value) else None
        for value in values.array.to_numpy(dtype=object)
    ]


def test_an_empty_hook_has_the_one_column(hook: Hook) -> None:
    frame = inferred(hook)
    assert list(frame) == ["received_at"]
    assert frame["received_at"].dtype == "datetime64[us, UTC]"
    assert frame.index.dtype == "int64"
    assert frame.index.name == "id"
    assert frame.attrs["left_out"] == 0


def test_a_row_for_every_accepted_delivery(hook: Hook) -> None:
    first = hook.send({"a": 1}, received_at=1_234_567)
    hook.send({"a": 2}, reason="invalid json")
    last = hook.send()
    frame = inferred(hook)
    assert frame.index.tolist() == [first, last]
    assert frame["received_at"].iloc[0] == pd.Timestamp("1970-01-01T00:00:01.234567Z")
    assert frame["body.a"].tolist() == [1, pd.NA]


def test_leaves_of_query_and_body_are_columns(hook: Hook) -> None:
    hook.send({"a": 1, "b": {"c": "x", "d": [{"e": 1}]}, "f": {}}, query="q=1&p[r]=2&l=1&l=2")
    row = inferred(hook).iloc[0].drop("received_at").to_dict()
    assert row == {
        "query.q": "1", "query.p.r": "2", "query.l": ["1", "2"],
        "body.a": 1, "body.b.c": "x", "body.b.d": [{"e": 1}], "body.f": {},
    }  # fmt: skip
    assert list(row) == [
        "query.q", "query.p.r", "query.l", "body.a", "body.b.c", "body.b.d", "body.f"
    ]  # fmt: skip


def test_keys_that_look_like_paths_collide_with_none(hook: Hook) -> None:
    hook.send({"a.b": 1, "a": {"b": 2}})
    hook.send({"": 3, "0": 4, "A": {"B": 5}, 'q"': 6})
    frame = inferred(hook)
    assert plain(frame['body["a.b"]']) == [1, None]
    assert plain(frame["body.a.b"]) == [2, None]
    assert plain(frame['body[""]']) == [None, 3]
    assert plain(frame["body.0"]) == [None, 4]
    assert plain(frame["body.A.B"]) == [None, 5]
    assert plain(frame['body["q\\""]']) == [None, 6]


@pytest.mark.parametrize("body", [5, "text", True, [{"a": 1}], {}])
def test_a_body_that_is_no_object_is_one_column(hook: Hook, body: object) -> None:
    hook.send(body)
    assert list(inferred(hook)) == ["received_at", "body"]
    assert inferred(hook)["body"].tolist() == [body]


def test_no_query_and_no_body_are_no_columns(hook: Hook) -> None:
    hook.send(query="&")
    assert list(inferred(hook)) == ["received_at"]


def test_the_most_frequent_come_first_then_the_first_seen(hook: Hook) -> None:
    hook.send({"z": 1, "y": {"b": 1, "a": 1}})
    hook.send({"x": None, "a": 2})
    assert list(inferred(hook))[1:] == ["body.z", "body.y.b", "body.y.a", "body.x", "body.a"]
    hook.send({"a": 1, "x": 1})
    hook.send({"a": 1, "q": 1}, query="x=1")
    assert list(inferred(hook))[1:] == [
        "body.a", "body.x", "body.z", "body.y.b", "body.y.a", "query.x", "body.q"
    ]  # fmt: skip


def test_the_order_in_which_keys_came_does_not_depend_on_the_shape(hook: Hook) -> None:
    for body in ({"a": 1, "b": 1}, {"b": 2, "a": 2}, {"c": 3, "d": {"e": 3}}, {"b": 4, "f": 4}):
        hook.send(body)
    frame = inferred(hook)
    assert list(frame)[1:] == ["body.b", "body.a", "body.c", "body.d.e", "body.f"]
    assert plain(frame["body.b"]) == [1, 2, None, 4]
    assert plain(frame["body.a"]) == [1, 2, None, None]


def test_an_object_may_have_more_keys_than_the_first(hook: Hook) -> None:
    for body in ({"a": 1}, {"a": 2, "b": {}}, {"b": {}}):
        hook.send(body)
    frame = inferred(hook)
    assert plain(frame["body.a"]) == [1, 2, None]
    assert plain(frame["body.b"]) == [None, {}, {}]


def test_at_most_500_columns_and_the_rest_is_counted(hook: Hook) -> None:
    hook.send({f"k{number}": number for number in range(510)})
    frame = inferred(hook)
    assert frame.shape == (1, 501)
    assert frame.attrs["left_out"] == 10
    assert list(frame)[-1] == "body.k499"
    hook.send({"k509": 1})
    frame = inferred(hook)
    assert list(frame)[1] == "body.k509"
    assert frame["body.k509"].tolist() == [509, 1]
    assert frame.attrs["left_out"] == 10


def test_an_object_stands_where_other_deliveries_have_a_leaf(hook: Hook) -> None:
    hook.send({"a": {"b": 1}})
    assert list(inferred(hook))[1:] == ["body.a.b"]
    hook.send({"a": "x"})
    hook.send({"a": {"b": 2}})
    frame = inferred(hook)
    assert list(frame)[1:] == ["body.a.b", "body.a"]
    assert plain(frame["body.a.b"]) == [1, None, 2]
    assert plain(frame["body.a"]) == [{"b": 1}, "x", {"b": 2}]
    hook.send({"a": {"b": 3}})
    assert plain(inferred(hook)["body.a"]) == [{"b": 1}, "x", {"b": 2}, {"b": 3}]


def test_integers_stay_whole(hook: Hook) -> None:
    hook.send({"n": 9007199254740993, "h": 10**30})
    hook.send({})
    frame = inferred(hook)
    assert frame["body.n"].dtype == "Int64"
    assert frame["body.n"].iloc[0] == 9007199254740993
    assert frame["body.h"].iloc[0] == 10**30


def test_bodies_in_other_charsets_codings_and_types(hook: Hook) -> None:
    body = {"a": "ä"}
    hook.send(raw=json.dumps(body).encode("utf-16"))
    hook.send(raw=gzip.compress(json.dumps(body).encode()), content_encoding="gzip")
    hook.send(raw="a=ä".encode(), content_type="application/x-www-form-urlencoded")
    hook.send(raw=b"hello", content_type="text/plain")
    hook.send(raw=b"\x00", content_type="application/octet-stream")
    hook.send(raw=b"{ damaged")
    frame = inferred(hook)
    assert plain(frame["body.a"]) == ["ä", "ä", "ä", None, None, None]
    assert plain(frame["body"]) == [*[None] * 3, "hello", b"\x00", None]


def test_scalar_bodies_do_not_repeat_whole_bodies(hook: Hook) -> None:
    hook.send({"a": 1})
    hook.send("text")
    hook.send({"a": 2})
    assert plain(inferred(hook)["body"]) == [None, "text", None]
    for body in ({"a": 3}, {}, 5, [{"a": 4}], {"a": 5}):
        hook.send(body)
    frame = inferred(hook)
    assert list(frame)[1:] == ["body.a", "body"]
    assert plain(frame["body.a"]) == [1, None, 2, 3, None, None, None, 5]
    assert plain(frame["body"]) == [None, "text", None, None, {}, 5, [{"a": 4}], None]


def test_configured_variables(hook: Hook) -> None:
    trigger = Trigger(
        headers=(Variable("x-request-id"), Variable("Authorization", alias="Who")),
        query=(Variable("a[0]"),),
        body=(Variable("items.sku"), Variable("id", alias="Order"), Variable("")),
    )
    head = b"X-Request-Id: 1\r\nX-REQUEST-ID: 2\r\nauthorization: Bearer secret\r\n"
    body = {"id": 2**60, "items": [{"sku": "x"}, {"sku": "y"}]}
    hook.send(body, head=head, query="a=7&a=8")
    hook.send({"id": None})
    frame = hook.frames.variables(trigger)
    assert list(frame) == [
        "received_at", "headers.x-request-id", "Who", "query.a[0]",
        "body.items.sku", "Order", "body",
    ]  # fmt: skip
    assert frame.iloc[0].tolist()[1:] == ["1, 2", f"Bearer {MASK}", "7", ["x", "y"], 2**60, body]
    assert frame.iloc[1, 1:6].isna().all()
    assert frame["Order"].dtype == "Int64"
    assert frame.attrs["left_out"] == 0


def test_configured_variables_stand_there_before_anything_came(hook: Hook) -> None:
    frame = hook.frames.variables(Trigger(body=(Variable("a"),)))
    assert list(frame) == ["received_at", "body.a"]
    assert len(frame) == 0


def test_other_variables_make_another_frame(hook: Hook) -> None:
    hook.send({"a": 1, "b": 2})
    one, other = Trigger(body=(Variable("a"),)), Trigger(body=(Variable("b"),))
    assert list(hook.frames.variables(one)) == ["received_at", "body.a"]
    assert hook.frames.variables(other)["body.b"].tolist() == [2]
    assert list(inferred(hook)) == ["received_at", "body.a", "body.b"]
    aliased = Trigger(body=(Variable("a", alias="A"),))
    assert list(hook.frames.variables(aliased)) == ["received_at", "A"]


def test_a_hook_that_is_cleared_while_it_is_read_again(hook: Hook) -> None:
    hook.send({"a": {"b": 1}})
    inferred(hook)
    hook.send({"a": 1})
    source = hook.frames._variables._source
    restart = source.restart
    source.restart = lambda: (hook.store.clear(hook.id), restart())
    assert list(inferred(hook)) == ["received_at"]


def test_a_cleared_hook_starts_anew(hook: Hook) -> None:
    hook.send({"a": 1})
    hook.send({"a": 2})
    inferred(hook)
    hook.store.clear(hook.id)
    assert list(inferred(hook)) == ["received_at"]
    hook.send({"b": 1})
    inferred(hook)
    hook.store.clear(hook.id)
    last = hook.send({"c": 1})
    frame = inferred(hook)
    assert list(frame) == ["received_at", "body.c"]
    assert frame.index.tolist() == [last]


def test_another_workflow_is_not_seen(hook: Hook) -> None:
    other = Hook(hook.store, "other")
    hook.send({"a": 1})
    other.send({"b": 1})
    assert list(inferred(hook)) == ["received_at", "body.a"]
    hook.store.clear(other.id)
    assert len(inferred(hook)) == 1


def test_a_frame_is_the_users_own(hook: Hook) -> None:
    hook.send({"a": 1, "b": "x"})
    frame = inferred(hook)
    frame["body.a"] = 5
    frame.loc[frame.index[0], "body.b"] = "y"
    frame.index.name = "other"
    frame.attrs["left_out"] = 7
    again = inferred(hook)
    assert again["body.a"].tolist() == [1]
    assert again["body.b"].tolist() == ["x"]
    assert again.index.name == "id"
    assert again.attrs == {"left_out": 0}


def test_only_what_is_new_is_read(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    hook.send({"a": 1})
    inferred(hook)
    read: list[bytes] = []
    decode = stored_records._decode
    monkeypatch.setattr(stored_records, "_decode", lambda raw: read.append(raw) or decode(raw))
    hook.send({"a": 2})
    assert inferred(hook)["body.a"].tolist() == [1, 2]
    inferred(hook)
    assert read == [b'{"a": 2}']


def test_a_frame_that_was_interrupted_is_read_again(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_FIRST_ROWS", 1)
    monkeypatch.setattr(chunks, "_MAX_ROWS", 1)
    for body in ({"a": 0}, {"a": 1}, {"b": 2}):
        hook.send(body)
    decode = stored_records._decode

    def interrupt(raw: bytes) -> Any:
        if b"2" in raw:
            raise KeyboardInterrupt
        return decode(raw)

    with monkeypatch.context() as patch:
        patch.setattr(stored_records, "_decode", interrupt)
        with pytest.raises(KeyboardInterrupt):
            inferred(hook)
    assert inferred(hook)["body.a"].tolist() == [0, 1, pd.NA]


def test_large_bodies_are_read_a_few_at_a_time(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_FIRST_ROWS", 2)
    monkeypatch.setattr(chunks, "_MAX_BYTES", 100)
    for number in range(7):
        hook.send({"a": "x" * 40, "n": number})
    parts = list(chunks.chunks(hook.store, queries.read_variable_rows, hook.id, after=0))
    assert [len(part) for part in parts] == [2, 1, 1, 1, 1, 1]
    assert inferred(hook)["body.n"].tolist() == list(range(7))


def test_a_wide_frame_is_not_fragmented(hook: Hook) -> None:
    hook.send({f"k{number}": number for number in range(200)})
    assert len(inferred(hook)._mgr.blocks) == 2


def test_deep_bodies(hook: Hook) -> None:
    body: Any = 1
    for _ in range(490):
        body = {"a": body}
    hook.send(body)
    assert inferred(hook)["body" + ".a" * 490].tolist() == [1]


# -- what the standard library reads ---------------------------------------------------------------

keys = st.sampled_from(["a", "b", "a.b", "", "[0]", "0"]) | st.text(max_size=2)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(2**53 - 1, 2**53 + 1)
    | st.integers(2**63 - 1, 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=2)
    | st.lists(st.integers(), max_size=2)
)
objects = st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=4), max_leaves=8)
bodies = st.lists(objects.map(json.dumps), min_size=1, max_size=12)


def found(value: Any, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(value, dict) and value:
        return {
            path: leaf
            for key, inner in value.items()
            for path, leaf in found(inner, (*prefix, key)).items()
        }
    return {prefix: value}


def at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def named(path: tuple[str, ...]) -> str:
    text = paths.format(path)
    return "body" + ("" if not text or text.startswith("[") else ".") + text


@settings(max_examples=50, deadline=None)
@given(bodies, st.data())
def test_every_value_is_what_the_standard_library_reads(texts: list[str], data: Any) -> None:
    store = Store(":memory:", stored=lambda _deliveries: None)
    try:
        hook = Hook(store)
        for text in texts:
            hook.send(raw=text.encode())
            if data.draw(st.booleans()):
                inferred(hook)
        grown = inferred(hook)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("_FIRST_ROWS", "_MAX_ROWS"):
                patch.setattr(chunks, name, data.draw(st.integers(1, 4)))
            patch.setattr(variable_frame, "_EARLY", data.draw(st.integers(0, 8)))
            at_once = Frames(store, hook.id).variables(INFERRED)
    finally:
        store.close()
    values = [json.loads(text) for text in texts]
    times: dict[tuple[str, ...], int] = {}
    for value in values:
        for path in found(value):
            times[path] = times.get(path, 0) + 1
    expected = sorted(times, key=lambda path: -times[path])
    for frame in (grown, at_once):
        assert list(frame)[1:] == [named(path) for path in expected]
        for path in expected:
            column = frame[named(path)]
            wanted = [at(value, path) for value in values]
            if not path:
                wanted = [None if isinstance(value, dict) and value else value for value in values]
            if column.dtype == "float64":
                # Integers among fractions, where a float holds them exactly.
                assert all(value is None or value == float(value) for value in wanted)
                wanted = [None if value is None else float(value) for value in wanted]
            assert list(map(repr, plain(column))) == list(map(repr, wanted))
    assert grown.dtypes.to_dict() == at_once.dtypes.to_dict()


def test_what_is_written_into_a_frame_reaches_neither_an_earlier_nor_a_later_one(
    hook: Hook,
) -> None:
    hook.send({"n": 1, "t": "a", "b": True})
    first, second = inferred(hook), inferred(hook)
    second.loc[1, ["body.n", "body.t"]] = [9, "z"]
    hook.send({"n": 2, "t": "b", "b": True})
    third = inferred(hook)
    first.loc[1, "body.n"] = 7
    third.loc[1, "body.n"] = 8
    fourth = inferred(hook)
    assert fourth["body.n"].tolist() == [1, 2]
    assert fourth["body.t"].tolist() == ["a", "b"]
    assert fourth["body.b"].tolist() == [True, True]
    assert [frame["body.n"].tolist() for frame in (first, second, third)] == [[7], [9], [8, 2]]
