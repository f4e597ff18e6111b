"""Filters: what a line of text finds."""

from __future__ import annotations

import contextlib
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source import Source

from hooknb import Runtime, SettingError
from hooknb.expressions import cel
from hooknb.history.table import compile_filter, matching_ids
from hooknb.store import Store


def found(source: Source, text: str) -> list[int]:
    """Give what a filter finds, which every way to ask it must agree about."""
    made = compile_filter(text)
    ids = matching_ids(source.store, source.id, made)
    source.feed.set_filter(text)
    assert source.seen() == ids
    rows = source.store.rows(
        "SELECT id FROM deliveries WHERE workflow_id = ? ORDER BY id", (source.id,)
    )
    records = [source.store.delivery(source.id, row[0]) for row in rows]
    assert [record.id for record in records if made.matches(record)] == ids
    return ids


# -- the grammar ----------------------------------------------------------------------------------


def test_nothing_finds_everything(source: Source) -> None:
    ids = [source.send(1), *source.refuse()]
    assert found(source, "  ") == ids
    assert compile_filter("").is_empty
    assert not compile_filter("x").is_empty


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("200", [200]),
        ("2xx", [200, 299]),
        ("2XX", [200, 299]),
        ("!=2xx", [400, 404, 500]),
        ("= 4xx", [400, 404]),
        (">=400", [400, 404, 500]),
        ("> 400", [404, 500]),
        ("<300", [200, 299]),
        ("<= 299", [200, 299]),
        ("!= 200", [299, 400, 404, 500]),
        ("==404", [404]),
        ("pending", [None]),
        ("status >= 400 && status != 404", [400, 500]),
        ("status == null", [None]),
    ],
)
def test_statuses(source: Source, text: str, statuses: list[int | None]) -> None:
    ids = {}
    for status in (200, 299, 400, 404, 500, None):
        ids[status] = source.send(1)
        if status is not None:
            source.response(ids[status], status)
    assert found(source, text) == [ids[status] for status in statuses]


def test_outcomes(source: Source) -> None:
    accepted, refused = source.send(1), source.refuse(2)
    assert found(source, "Accepted") == [accepted]
    assert found(source, "refused") == refused
    assert found(source, 'outcome == "refused"') == refused


def test_text_is_found_in_what_people_see(source: Source) -> None:
    first = source.send({"type": "charge.refunded", "note": "Naïve"}, method="PUT")
    second = source.send({"note": 1}, query="ref=Caf%C3%A9+au%20lait")
    [third] = source.refuse(
        reason="wrong password", detail="The user name is wrong.", content_type="text/odd"
    )
    assert found(source, "CHARGE.refunded") == [first]
    assert found(source, "naïve") == found(source, "NAÏVE") == [first]
    assert found(source, "put") == [first]
    assert found(source, "café au") == [second]
    assert found(source, "caf%c3") == [second]
    assert found(source, "wrong password") == [third]
    assert found(source, "user name is") == [third]
    assert found(source, "text/ODD") == [third]
    assert found(source, '"type": "charge') == [first]
    assert found(source, "localhost") == []


def test_quotes_make_text_of_anything(source: Source) -> None:
    first = source.send("a > b && refused 200 body.x")
    source.response(first, 500)
    for text in ('"200"', "'refused'", '"a > b"', '"body.x"', '"pending"'):
        assert found(source, text) == ([] if "pending" in text else [first])
    second = source.send("it's")
    assert found(source, '"it\'s"') == [second]


def test_text_in_bodies_of_every_kind(source: Source) -> None:
    ids = [
        source.send({"a": "Größe"}),  # \u escapes
        source.send(raw='{"a":"Größe"}'.encode()),
        source.send(raw='{"a":"Größe"}'.encode("utf-16")),
        source.send(raw="Größe".encode("latin-1"), content_type="text/plain; charset=latin-1"),
        source.send(raw=gzip.compress(b'{"a": "Gr\\u00f6\\u00dfe"}'), content_encoding="gzip"),
        source.send(raw=gzip.compress("Größe".encode()), content_encoding="gzip"),
    ]
    source.send({"a": "\\u00zz"}, content_type="text/plain")
    source.send(raw=b"\\u00f6 no JSON")
    source.send(raw=b"no gzip", content_encoding="gzip")
    source.refuse(raw=gzip.compress(b"x" * 500_000), content_encoding="gzip")
    binary = source.send(raw=b"\0\1\2\3Grand\xff", content_type="image/png")
    assert found(source, "grand") == [binary]
    source.delete(f"id = {binary}")
    assert found(source, "größe") == ids
    assert found(source, "gr") == ids


def test_expressions(source: Source) -> None:
    small = source.send({"amount": 5, "tags": ["x"], "paid": True}, query="a=1")
    large = source.send(
        {"amount": 500, "items": [{"sku": "s"}]},
        head=b"Content-Type: application/json\r\nX-Kind: big\r\nCookie: secret\r\n",
    )
    [refused] = source.refuse(reason="wrong password", method="PUT", size=2000, raw=b"{")
    assert found(source, "body.amount > 100") == [large]
    assert found(source, "body.amount > 1 && query.a == '1'") == [small]
    assert found(source, 'headers["x-kind"] == "big"') == [large]
    assert found(source, 'headers["X-KIND"] == "big"') == [large]
    assert found(source, "body.paid") == [small]
    assert found(source, "!has(body.paid)") == [large, refused]
    assert found(source, '"x" in body.tags') == [small]
    assert found(source, "size(body.items) == 1") == [large]
    assert found(source, "body.items.exists(status, status.sku == 's')") == [large]
    assert found(source, "method == 'PUT'") == [refused]
    assert found(source, "method in ['PUT', 'GET']") == [refused]
    assert found(source, "reason.contains('password')") == [refused]
    assert found(source, "reason == null") == [small, large]
    assert found(source, "size > 1000") == [refused]
    assert found(source, "body.amount") == []
    assert found(source, "body.amount > 'x'") == []
    assert found(source, "query.a == '1' || body.amount == 500") == [small, large]
    assert found(source, "now > timestamp('2024-01-01T00:00:00Z')") == [small, large, refused]


def test_big_integers_are_exact_enough_to_be_found(source: Source) -> None:
    number = source.send({"id": 9007199254740993})
    source.send({"id": 9007199254740992})
    assert found(source, "body.id == 9007199254740993") == [number]


@pytest.mark.parametrize(
    "text",
    [
        "paid",
        "status",
        "body",
        "reason",
        "a=1",
        "2024-01-01",
        "<html>",
        "a => b",
        "status.failed",
        "the body.amount was wrong",
        "size (large)",
        "12345",
        "R&D",
    ],
)
def test_what_is_text(source: Source, text: str) -> None:
    number = source.send(text)
    source.send("else")
    assert found(source, text) == [number]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("body.amount >", "is not CEL; line 1, column"),
        ("body.items[", "is not CEL"),
        ("status >=", "is not CEL"),
        ("status = 200", "two values are compared with =="),
        ("a > b", "there is no a in a filter; use one of body, query"),
        ("nodes.x == 1", "there is no nodes in a filter"),
        ("item == 1", "there is no item in a filter"),
        ("status == 200 && other == 1", "there is no other in a filter"),
        ("status == 200 && 'x", "line 1, column 18"),
        ("<4xx", "write <400"),
        (">1000", "is not a status; write one such as >=400"),
        ("x" * 5000, "5,000 characters"),
        (17, "a text is expected"),
    ],
)
def test_what_is_no_filter(text: str, problem: str) -> None:
    with pytest.raises(SettingError) as error:
        compile_filter(text)
    assert problem in error.value.problem
    assert error.value.setting == "filter"
    assert "item." not in str(error.value)


def test_the_remedy_is_to_put_it_in_quotes(source: Source) -> None:
    number = source.send("<b>x</b>")
    with pytest.raises(SettingError, match="put it in quotes"):
        compile_filter("<b>x</b>")
    assert found(source, '"<b>x</b>"') == [number]


@given(st.text(max_size=30))
def test_any_text_is_a_filter_or_a_setting_error(text: str) -> None:
    with contextlib.suppress(SettingError):
        assert compile_filter(text).text == text.strip()


def test_what_a_filter_looks_at_is_known() -> None:
    assert not compile_filter("4xx").needs_body
    assert compile_filter("4xx").needs_response
    assert compile_filter("4xx").where is not None
    assert compile_filter("paid").needs_body
    assert not compile_filter("query.a == '1'").needs_body
    assert compile_filter("headers.a == '1'").needs_head
    assert compile_filter("body.a == 1 && status == 200").needs_response


def test_loops_of_expressions_are_ended(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cel, "_MAX_SECONDS", 0.1)  # of processor time, for one delivery
    source.send(list(range(3000)))
    assert found(source, "body.all(a, body.all(b, body.all(c, a + b + c >= 0)))") == []


# -- asking the store -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["4xx", "body.n >= 0", "n", ""])
def test_a_limit_gives_the_newest(source: Source, text: str) -> None:
    ids = source.send_all([source.new({"n": number}) for number in range(50)])
    for number in ids:
        source.response(number, 404)
    made = compile_filter(text)
    assert matching_ids(source.store, source.id, made, limit=3) == ids[-3:]
    assert matching_ids(source.store, source.id, made, limit=0) == []
    assert matching_ids(source.store, source.id, made, limit=1000) == ids
    assert matching_ids(source.store, source.id, made, limit=10**30) == ids


def test_other_workflows_are_left_out(store: Store, source: Source) -> None:
    other = Source(store, "other")
    mine = []
    for number in range(100):
        other.send({"n": number})
        mine.append(source.send({"n": number}))
    assert found(source, "body.n >= 0") == mine
    assert found(source, "accepted") == mine


# -- the view -------------------------------------------------------------------------------------


def test_the_view_holds_what_is_found_and_ordinals_stay(source: Source) -> None:
    ids = source.send_all([source.new({"n": number}) for number in range(100)])
    source.feed.refresh()
    source.feed.set_filter("body.n >= 90")
    assert source.feed.generation == 1
    assert (source.feed.matched, source.feed.scanned, source.feed.total) == (0, 0, 100)
    assert not source.feed.scan(0)
    assert source.feed.scanned == 1
    while not source.feed.scan(1):
        pass
    assert (source.feed.matched, source.feed.scanned) == (10, 100)
    assert [row.id for row in source.feed.rows([0, 9])] == [ids[90], ids[99]]
    assert source.feed.ordinal(ids[95]) == 5
    assert source.feed.ordinal(ids[5]) is None
    new = source.send({"n": 1000})
    source.feed.refresh()
    assert source.feed.scan(1)
    assert source.feed.generation == 1
    assert source.feed.ids()[-1] == new
    with pytest.raises(SettingError):
        source.feed.set_filter("body.n >")
    assert source.feed.matched == 11
    source.feed.set_filter(" body.n >= 90 ")
    assert (source.feed.generation, source.feed.matched) == (1, 11)
    source.feed.set_filter("")
    assert (source.feed.generation, source.feed.matched, source.feed.scanned) == (2, 101, 101)
    assert source.feed.scan(0)


def test_pruning_under_a_filter(source: Source) -> None:
    source.refuse(1000)
    source.feed.set_filter("accepted")
    number = source.send(1)
    assert source.seen() == [number]
    generation = source.feed.generation
    source.refuse(500)
    assert source.seen() == [number]
    assert source.feed.generation == generation
    source.feed.set_filter("refused")
    assert len(source.seen()) == 1000
    generation = source.feed.generation
    source.refuse(1)
    assert len(source.seen()) == 1000
    assert source.feed.generation == generation + 1


def test_clearing_under_a_filter(source: Source) -> None:
    source.send({"n": 1})
    source.feed.set_filter("body.n == 1")
    assert source.feed.generation == 1
    assert len(source.seen()) == 1
    source.store.clear(source.id)
    assert source.seen() == []
    assert source.feed.generation == 2
    number = source.send({"n": 1})
    assert source.seen() == [number]


@pytest.mark.parametrize("text", ["200", "status == 200", "body.n >= 0 && status == 200"])
def test_answers_that_come_later_are_looked_at(source: Source, text: str) -> None:
    ids = source.send_all([source.new({"n": number}) for number in range(4)])
    source.response(ids[1], 200)
    source.feed.set_filter(text)
    assert source.seen() == [ids[1]]
    generation = source.feed.generation
    source.response(ids[2], 500)
    assert source.seen() == [ids[1]]
    source.response(ids[3], 200)
    assert source.seen() == [ids[1], ids[3]]
    assert source.feed.generation == generation
    source.response(ids[0], 200)
    assert source.seen() == [ids[0], ids[1], ids[3]]
    assert source.feed.generation == generation + 1


def test_who_is_answered_waits_no_longer(source: Source) -> None:
    ids = source.send_all([source.new(1) for _ in range(3)])
    source.feed.set_filter("pending")
    assert source.seen() == ids
    source.response(ids[1])
    generation = source.feed.generation
    assert source.seen() == [ids[0], ids[2]]
    assert source.feed.generation == generation + 1


def test_few_that_wait_are_remembered(source: Source) -> None:
    source.send_all([source.new(1) for _ in range(1500)])
    source.feed.set_filter("200")
    assert source.seen() == []
    assert len(source.feed._scan._open) == 1000


def test_large_bodies_are_read_a_few_at_a_time(source: Source) -> None:
    large = json.dumps({"n": 1, "x": "y" * 1_000_000}).encode()
    ids = source.send_all([source.new(raw=large) for _ in range(30)])
    assert found(source, "body.n == 1") == ids
    assert source.feed._scan._size <= 8


def test_a_delivery_that_really_came(runtime: Runtime) -> None:
    hook = runtime.webhook("orders", accept=["*/*"])
    hook.send(json={"amount": 200}, headers={"X-Kind": "big"})
    hook.send(data=b"amount=100", headers={"Content-Type": "application/x-www-form-urlencoded"})
    first, second = hook.delivery(1), hook.delivery(2)
    for text in ("200", "body.amount == 200", "headers['X-kind'] == 'big'", "accepted"):
        assert compile_filter(text).matches(first)
    assert compile_filter("body.amount == '100'").matches(second)
    assert compile_filter("amount=100").matches(second)
