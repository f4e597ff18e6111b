"""The columns and rows of the table."""

from __future__ import annotations

import gzip
import json

import pytest
from source import Source

from hooknb.history.table import short_titles
from hooknb.store import Store, queries
from hooknb.workflow import Trigger
from hooknb.workflow.variables import Variable, parse_body
from stored import START


def names(source: Source) -> list[str]:
    return [column.name for column in source.feed.columns()]


def cells(source: Source) -> list[list[str]]:
    source.feed.refresh()
    return [row.cells for row in source.feed.rows(range(source.feed.matched))]


# -- columns --------------------------------------------------------------------------------------


def test_configured_variables_are_the_columns(source: Source) -> None:
    source.trigger = Trigger(
        headers=(Variable("X-Id"),),
        query=(Variable("page"),),
        body=(Variable("order.id", alias="Order", type="integer"), Variable("note", type="text")),
    )
    columns = source.feed.columns()
    assert [(column.name, column.title, column.numeric) for column in columns] == [
        ("headers.X-Id", "headers.X-Id", False),
        ("query.page", "query.page", False),
        ("body.order.id", "Order", True),
        ("body.note", "body.note", False),
    ]


def test_short_titles_leave_out_the_body_but_where_another_reads_the_same(source: Source) -> None:
    alias = Variable("sum", alias="total")
    source.trigger = Trigger(
        headers=(Variable("X-Id"),),
        query=(Variable("id"), Variable("page")),
        body=(*map(Variable, ("id", "order.id", "X-Id", "total", "query.page", "[0]", "")), alias),
    )
    assert short_titles(source.feed.columns()) == [
        *("headers.X-Id", "query.id", "query.page"),
        *("body.id", "order.id", "body.X-Id", "body.total", "body.query.page", "body[0]", "body"),
        "total",
    ]


def test_containers_are_columns_only_where_there_is_nothing_else(source: Source) -> None:
    variables = parse_body({"order": {"id": 1}, "items": [1]})
    source.trigger = Trigger(body=tuple(variables))
    assert names(source) == ["body.order.id", "body.items[0]"]
    containers = [variable for variable in variables if variable.type in {"object", "list"}]
    source.trigger = Trigger(body=tuple(containers))
    assert names(source) == ["body.order", "body.items"]


def test_numbers_are_told_by_what_came_where_no_type_is_known(source: Source) -> None:
    source.trigger = Trigger(
        body=(Variable("a"), Variable("b"), Variable("c"), Variable("d"), Variable("e"))
    )
    assert not any(column.numeric for column in source.feed.columns())
    source.send({"a": 1, "b": True, "c": None, "d": "1", "e": None})
    source.send({"a": 2.5, "b": 1, "c": None, "d": 2})
    source.send({"a": None, "e": 10**30})
    assert [column.numeric for column in source.feed.columns()] == [
        True, False, False, False, True
    ]  # fmt: skip


def test_up_to_five_leaves_are_found(source: Source) -> None:
    assert names(source) == []
    source.send({})
    source.send({"rare": 1, "order": {"id": 1, "tags": ["a"]}, "odd.key": None}, query="page=1")
    source.send({"order": {"id": 2, "tags": []}, "z": {}, "odd.key": None}, query="page=1")
    source.refuse(raw=b'{"never": 1}')
    assert names(source) == [
        "query.page", "body.order.id", "body.order.tags", 'body["odd.key"]', "body.z"
    ]  # fmt: skip
    assert [column.numeric for column in source.feed.columns()][:3] == [False, True, False]


def test_found_columns_stay_until_they_are_to_be_found_anew(source: Source) -> None:
    source.send({"a": 1})
    assert names(source) == ["body.a"]
    source.send({"b": 1})
    assert names(source) == ["body.a"]
    source.trigger = Trigger(body=(Variable("c"),))
    assert names(source) == ["body.c"]
    source.trigger = Trigger()
    assert names(source) == ["body.b", "body.a"]
    source.feed.refresh()
    source.store.clear(source.id)
    source.send({"d": 1})
    source.feed.refresh()
    assert names(source) == ["body.d"]


def test_what_was_accepted_last_comes_first(source: Source) -> None:
    sent = [source.send(raw=b"x" * size) for size in (3, 5, 7)]
    source.refuse(raw=b"xx")
    newest = queries.read_newest_accepted
    assert newest(source.store, source.id, 2) == [(sent[2], 7), (sent[1], 5)]
    assert [number for number, _ in newest(source.store, source.id, 9)] == sent[::-1]
    assert newest(source.store, source.id + 1, 9) == []


def test_a_body_that_is_one_value(source: Source) -> None:
    source.send([1, 2])
    assert names(source) == ["body"]
    assert cells(source) == [["[1,2]"]]


# -- cells ----------------------------------------------------------------------------------------


def test_cells_show_values_as_they_are(source: Source) -> None:
    values = {
        "text": 'a "b"\n\t\x00é',
        "huge": 2**80,
        "float": 0.1,
        "one": 1.0,
        "true": True,
        "null": None,
        "list": [1, {"é": "x"}],
        "object": {},
        "long": "x" * 81,
        "fits": "y" * 80,
    }
    source.trigger = Trigger(body=tuple(Variable(name) for name in (*values, "missing")))
    source.send(values)
    assert cells(source) == [
        [
            'a "b"\n\t\x00é',
            "1208925819614629174706176",
            "0.1",
            "1.0",
            "true",
            "null",
            '[1,{"é":"x"}]',
            "{}",
            "x" * 79 + "…",
            "y" * 80,
            "",
        ]
    ]


def test_cells_of_headers_hide_credentials(source: Source) -> None:
    source.trigger = Trigger(
        headers=(Variable("x-request-id"), Variable("Authorization"), Variable("Cookie"))
    )
    source.send(head=b"X-Request-Id: 7\r\nAuthorization: Bearer secret\r\nCookie: a=secret\r\n")
    source.send(head=b"")
    assert cells(source) == [["7", "Bearer •••••", "•••••"], ["", "", ""]]


def test_bodies_of_every_kind(source: Source) -> None:
    source.trigger = Trigger(
        query=(Variable("q"),), body=(Variable("a"), Variable("file"), Variable(""))
    )
    boundary = (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="f.png"\r\n'
        b"Content-Type: image/png\r\n\r\n\x89PNG\r\n--x--\r\n"
    )
    source.send(raw=b"a=%C3%A9&b=2", content_type="application/x-www-form-urlencoded", query="q=+x")
    source.send(raw=boundary, content_type="multipart/form-data; boundary=x")
    source.send(raw=b"hello", content_type="text/plain")
    source.send(raw=b"\x00\xff", content_type="application/octet-stream")
    source.send(raw=gzip.compress(b'{"a": 12345678901234567890}'), content_encoding="gzip")
    source.send({"a": "ü"})
    source.send(raw=json.dumps({"a": "ü"}).encode("utf-16"))
    source.send(raw=b"")
    source.refuse(raw=b'{"a": ')
    source.refuse(raw=b'{"a": 5}')
    shown = cells(source)
    assert shown[0] == [" x", "é", "", '{"a":"é","b":"2"}']
    assert shown[1][1:3] == ["1", "f.png (image/png, 4 bytes)"]
    assert shown[2] == ["", "", "", "hello"]
    assert shown[3] == ["", "", "", "2 bytes"]
    assert shown[4][1] == "12345678901234567890"
    assert shown[5][1] == shown[6][1] == "ü"
    assert shown[7] == shown[8] == ["", "", "", ""]
    assert shown[9][1] == "5"


def test_large_bodies_are_left_in_the_store(source: Source) -> None:
    source.trigger = Trigger(query=(Variable("q"),), body=(Variable("a"),))
    source.send(raw=b'{"a": 1, "x": "' + b"x" * 300_000 + b'"}', query="q=1")
    bomb = gzip.compress(b'{"a": 1, "x": "' + b"x" * 300_000 + b'"}')
    source.send(raw=bomb, content_encoding="gzip", query="q=2")
    assert cells(source) == [["1", "…"], ["2", "…"]]
    source.trigger = Trigger()
    assert names(source) == ["query.q"]


def test_deep_bodies(source: Source) -> None:
    source.send(raw=b'{"a":' + b"[" * 499 + b"]" * 499 + b"}")
    source.send(raw=b'{"a":' * 500 + b"1" + b"}" * 500)
    assert len(cells(source)) == 2
    source.trigger = Trigger(body=(Variable("a"),))
    assert cells(source)[0][0] == "[" * 79 + "…"
    assert cells(source)[1][0] == ('{"a":' * 16)[:79] + "…"


# -- rows -----------------------------------------------------------------------------------------


def test_a_row_tells_what_became_of_a_delivery(source: Source) -> None:
    first, second, third = source.send({"a": 1}, owner="x"), *source.refuse(2)
    source.feed.refresh()
    row, refused, _ = source.feed.rows([0, 1, 2])
    assert (row.ordinal, row.id, row.received_us) == (0, first, START)
    assert (row.status, row.refused, row.reason, row.took_ms) == (None, False, None, None)
    assert (row.execution, row.cells) == ("queued", ["1"])
    assert (refused.id, refused.refused, refused.reason) == (second, True, "invalid json")
    assert (refused.execution, refused.cells) == (None, [""])
    source.response(first, 202, duration_us=1234)
    source.response(third, 400)
    source.end(first, status=-2, reason="KeyError: 'amount'\nmore", started_at=None)
    row, last = source.feed.rows([0, 2])
    assert (row.status, row.took_ms, row.execution) == (202, 1.234, "error")
    assert row.reason == "KeyError: 'amount'"
    assert last.status == 400
    assert row.as_list() == [
        0, first, START / 1000, 202, False, "KeyError: 'amount'", ["1"], 1.234, "error"
    ]  # fmt: skip
    json.dumps(row.as_list())


@pytest.mark.parametrize(("status", "word"), [(-1, "failed"), (-3, "aborted")])
def test_why_an_execution_did_not_end_well(source: Source, status: int, word: str) -> None:
    number = source.send(1)
    source.end(number, status=status, reason="timeout")
    source.feed.refresh()
    [row] = source.feed.rows([0])
    assert (row.execution, row.reason) == (word, "timeout")


def test_rows_come_as_they_are_asked_for(source: Source) -> None:
    ids = source.send_all([source.new(number) for number in range(5)])
    source.feed.refresh()
    rows = source.feed.rows([4, 0, -1, 5, 10**9, 4])
    assert [(row.ordinal, row.id) for row in rows] == [(4, ids[4]), (0, ids[0])]


def test_cells_follow_the_columns(source: Source) -> None:
    source.send({"a": 1, "b": 2})
    source.trigger = Trigger(body=(Variable("a"),))
    assert cells(source) == [["1"]]
    source.trigger = Trigger(body=(Variable("b"), Variable("a")))
    assert cells(source) == [["2", "1"]]


def test_cells_are_kept_within_bounds(source: Source) -> None:
    source.send_all([source.new({"a": number}) for number in range(3000)])
    source.feed.refresh()
    for start in range(0, 3000, 500):
        rows = source.feed.rows(range(start, start + 500))
        assert [row.cells for row in rows] == [[str(n)] for n in range(start, start + 500)]
    assert len(source.feed._rows._cells) <= 2000
    assert [row.cells for row in source.feed.rows(range(3000))][2999] == ["2999"]


def test_what_cannot_be_sent_is_escaped(store: Store) -> None:
    source = Source(store)
    source.trigger = Trigger(query=(Variable("a"),))
    source.send(query="a=%ED%A0%80")
    for row in cells(source):
        row[0].encode()
