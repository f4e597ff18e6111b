"""Searching: with and without the index of texts, and what is left of an interrupted one."""

from __future__ import annotations

import gzip
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from source import Source

from hooknb import Hook, Runtime, SettingError
from hooknb.history.table import Search, compile_filter, matching_ids, progress, scanning
from hooknb.history.table.filters import _words
from hooknb.store import Limits, Store, queries, text_index
from hooknb.store.retention import Retention


@pytest.fixture
def indexed(tmp_path: Path) -> Iterator[Source]:
    with closing(Store(tmp_path / "store.db", lambda _: None, text_index=True)) as store:
        yield Source(store)


def index_all(store: Store) -> None:
    """Do what the writer does while nobody waits, now."""
    store._writer.run(lambda *way: [None for _ in store._index.run(*way)])


def candidates(source: Source, needle: str) -> list[int] | None:
    """Return what the index lists for a text, whatever is checked afterwards."""
    found = text_index.open_candidates(source.store, source.id, needle)
    if found is None:
        return None
    last = source.store.rows("SELECT max(id) FROM deliveries")[0][0] or 0
    return found.newest(0, last + 1, 1000)[0]


# -- with and without the index -------------------------------------------------------------------

ODD = [
    *("a", "b", "B", " ", '"', "'", "*", "-", "^", ":", "(", "{", "\\", "\n", "\0", "%", "+"),
    *(
        "AND",
        "OR",
        "NOT",
        "NEAR",
        "text",
        "ß",
        "SS",
        "İ",
        "\u0131",
        "\u017f",
        "K",
        "Σ",
        "ς",
        "é",
        "e\u0301",
    ),
    *("日", "本", "語", "😀", "\ufeff", "\ufffe", "\u2028", "\\u00e4", "ä", "Ä", "ﬀ", "\x1a"),
]
TEXTS = st.lists(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"]), max_size=8)
CODINGS: list[Callable[[str], dict[str, Any]]] = [
    lambda text: {"raw": json.dumps({"a": text}).encode()},
    lambda text: {"raw": json.dumps({"a": text}, ensure_ascii=False).encode()},
    lambda text: {"raw": json.dumps({"a": text}, ensure_ascii=False).encode("utf-16")},
    lambda text: {"raw": text.encode(), "content_type": "text/plain"},
    lambda text: {
        "raw": text.encode("latin-1", "replace"),
        "content_type": "text/plain; charset=latin-1",
    },
    lambda text: {"raw": text.encode(), "content_type": "text/plain; charset=utf-16-le"},
    lambda text: {
        "raw": text.encode("iso2022_jp", "replace"),
        "content_type": "text/plain; charset=iso-2022-jp",
    },
    lambda text: {"raw": gzip.compress(json.dumps(text).encode()), "content_encoding": "gzip"},
    lambda text: {"raw": text.encode(), "content_encoding": "gzip"},
    lambda text: {"raw": text.encode(), "reason": "invalid json", "detail": text},
    lambda text: {"raw": b"", "query": text, "content_type": text or None},
]


# What rarely comes by chance: escapes, and bytes that are read as another charset.
@example([("ääää", CODINGS[0])], "", 0, 0)
@example([("ääää", CODINGS[7])], "", 0, 0)
@example([("abcabcab", CODINGS[5])], "", 0, 0)
@example([("abc", CODINGS[9])], "", 0, 0)
@example([("a%20b+c", CODINGS[10])], "a b c", 0, 0)
@given(
    st.lists(st.tuples(TEXTS.map("".join), st.sampled_from(CODINGS)), min_size=1, max_size=6),
    TEXTS.map("".join),
    st.integers(0, 20),
    st.integers(0, 6),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
def test_the_index_changes_nothing_of_what_is_found(
    texts: list[tuple[str, Callable[[str], dict[str, Any]]]], other: str, start: int, later: int
) -> None:
    with closing(Store(":memory:", lambda _: None, text_index=True)) as store:
        source = Source(store)
        made = [source.new(**code(text)) for text, code in texts]
        source.send_all(made[:-later] if later else made)
        index_all(store)
        source.send_all(made[-later:] if later else [])  # which may be indexed or not
        some = texts[-1][0]
        for text in (other, some, some[start : start + 4], some.upper(), other[:3]):
            asked = _words(text, text)
            records = [store.delivery(source.id, item.id) for item in made]
            wanted = [record.id for record in records if asked.matches(record)]
            assert matching_ids(store, source.id, asked) == wanted
            source.feed._filter = asked
            source.feed._start_over()
            assert source.seen() == wanted


def test_the_index_leaves_few_to_be_read(indexed: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = indexed.send_all([indexed.new({"n": f"number {n:03}"}) for n in range(300)])
    index_all(indexed.store)
    read: list[int] = []
    as_stored = queries.read_requests_listed

    def listed(store: Store, workflow_id: int, scanned: Any, asked: list[int]) -> Any:
        read.extend(asked)
        return as_stored(store, workflow_id, scanned, asked)

    monkeypatch.setattr(queries, "read_requests_listed", listed)
    assert matching_ids(indexed.store, indexed.id, compile_filter("NUMBER 123")) == [ids[123]]
    assert len(read) < 30
    read.clear()
    indexed.feed.set_filter("number 123")
    assert indexed.seen() == [ids[123]]
    assert len(read) < 30


def test_what_is_not_indexed_is_found_too(indexed: Source) -> None:
    large = {"x": "y" * text_index._MAX_BYTES, "n": "needle"}
    inflated = gzip.compress(json.dumps(large).encode())
    wanted = [
        indexed.send(large),
        indexed.send(raw=inflated, content_encoding="gzip"),
        *indexed.refuse(raw=b"a needle"),
        indexed.send("needle"),
    ]
    indexed.send("else")
    index_all(indexed.store)
    late = indexed.send("another needle")
    assert candidates(indexed, "needle") is None or late in (candidates(indexed, "needle") or [])
    assert matching_ids(indexed.store, indexed.id, compile_filter("needle")) == [*wanted, late]
    assert matching_ids(indexed.store, indexed.id, compile_filter("needle"), 2) == [
        wanted[-1],
        late,
    ]


def test_pages_of_candidates_leave_none_out(
    indexed: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_FIRST_ROWS", 2)
    monkeypatch.setattr(scanning, "_MAX_ROWS", 3)
    monkeypatch.setattr(scanning, "_PAGE_IDS", 5)
    large = {"x": "y" * text_index._MAX_BYTES, "n": "needle"}
    made = [
        indexed.new(large) if n % 7 == 0
        else indexed.new(raw=b"needle", reason="invalid json") if n % 3 == 0
        else indexed.new("needle" if n % 2 else "else")
        for n in range(60)
    ]  # fmt: skip
    ids = indexed.send_all(made)
    index_all(indexed.store)
    wanted = [ids[n] for n in range(60) if n % 7 == 0 or n % 3 == 0 or n % 2]
    assert matching_ids(indexed.store, indexed.id, compile_filter("needle")) == wanted
    indexed.feed.set_filter("needle")
    assert indexed.seen() == wanted


def test_retention_takes_out_of_the_index(indexed: Source) -> None:
    ids = indexed.send_all([indexed.new("a secret word") for _ in range(20)])
    large = indexed.send({"x": "y" * text_index._MAX_BYTES})
    index_all(indexed.store)
    assert candidates(indexed, "secret") == [large, *reversed(ids)]
    retention = Retention(indexed.store.clock, Limits())
    retention.limit(indexed.id, Limits(deliveries=5))
    indexed.store._writer.run(lambda *way: [None for _ in retention.run(*way)])
    assert candidates(indexed, "secret") == [large, *reversed(ids[-4:])]
    retention.limit(indexed.id, Limits(deliveries=1))
    indexed.send("another")
    indexed.store._writer.run(lambda *way: [None for _ in retention.run(*way)])
    assert indexed.store.rows("SELECT count(*) FROM text_left_out") == [(0,)]
    index_all(indexed.store)
    assert candidates(indexed, "secret") == []


def test_clearing_and_deleting_take_the_index_away(indexed: Source) -> None:
    other = Source(indexed.store, "other")
    for source in (indexed, other):
        source.send_all([source.new("a secret word") for _ in range(3)])
    index_all(indexed.store)
    tables = "SELECT name FROM sqlite_master WHERE name LIKE 'text_of%' ORDER BY 1"
    before = len(indexed.store.rows(tables))
    indexed.store.clear(indexed.id)
    assert len(indexed.store.rows(tables)) == before // 2
    assert candidates(indexed, "secret") is None
    assert matching_ids(indexed.store, indexed.id, compile_filter("secret")) == []
    number = indexed.send("a secret word")
    index_all(indexed.store)
    assert candidates(indexed, "secret") == [number]
    indexed.store.delete("other")
    indexed.store.delete("orders")
    index_all(indexed.store)
    assert indexed.store.rows(tables) == []
    assert indexed.store.rows("SELECT count(*) FROM text_indexes") == [(0,)]


def test_a_search_whose_index_is_cleared_meanwhile_goes_on_without(
    indexed: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_PAGE_IDS", 10)
    ids = indexed.send_all([indexed.new("needle") for _ in range(40)])
    index_all(indexed.store)
    rows = scanning._Rows(indexed.store, indexed.id, compile_filter("needle"))
    found, at = rows.before(queries.MAX_ID, 10)
    found, at = rows.before(at, 10)
    assert [row[0] for row in found] == ids[:-11:-1]
    indexed.store._writer.run(lambda *way: indexed.store._index.switch(*way, on=False))
    found, _ = rows.before(at, 10)
    assert [row[0] for row in found] == ids[-11:-21:-1]


def test_an_old_store_is_indexed_once_it_is_switched_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    def is_indexed(store: Store) -> bool:
        found = "SELECT count(*) FROM sqlite_master WHERE name = 'text_indexes'"
        return store.rows(found) == [(1,)]

    with closing(Store(path, lambda _: None)) as store:
        old = Source(store)
        ids = old.send_all([old.new(f"word {n}") for n in range(250)])
        assert not is_indexed(store)
    for wanted, on in ((True, True), (None, True), (False, False), (None, False)):
        with closing(Store(path, lambda _: None, text_index=wanted)) as store:
            again = Source(store)
            assert is_indexed(store) == store._index.is_on == on
            index_all(store)
            assert (candidates(again, "word 17") is not None) == on
            asked = compile_filter("word 17")
            assert matching_ids(store, again.id, asked) == [ids[17], *ids[170:180]]


def test_the_writer_indexes_by_itself(tmp_path: Path) -> None:
    with Runtime(tmp_path / "store.db", port=0, text_index=True) as runtime:
        hook = runtime.webhook("orders")
        hook.send(json="some words")
        upto = "SELECT upto FROM text_indexes"
        while runtime._store.rows(upto) != [(1,)]:
            time.sleep(0.01)
        assert runtime._store.rows(upto) == [(1,)]
        assert hook.search("some words").index.tolist() == [1]


def test_where_sqlite_has_no_trigrams_the_setting_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(text_index, "_has_trigrams", lambda: False)
    with pytest.raises(SettingError, match=r"SQLite 3\.34 or later, or leave out text_index"):
        Runtime(tmp_path / "store.db", port=0, text_index=True)
    Runtime(tmp_path / "store.db", port=0).close()
    with pytest.raises(SettingError, match="text_index"):
        Runtime(tmp_path / "store.db", port=0, text_index="yes")


def test_an_index_is_switched_off_while_another_process_keeps_it_up(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with (
        closing(Store(path, lambda _: None, text_index=True)) as other,
        closing(Store(path, lambda _: None)) as store,
    ):
        source = Source(store)
        number = source.send("some words")
        index_all(other)

        def switch(connection: Any, transaction: Any) -> None:
            def and_index(work: Any) -> Any:
                made = transaction(work)
                index_all(other)
                return made

            store._index.switch(connection, and_index, on=False)

        store._writer.run(switch)
        assert store.rows("SELECT name FROM sqlite_master WHERE name LIKE 'text%'") == []
        assert matching_ids(store, source.id, compile_filter("some words")) == [number]


def test_an_index_that_was_switched_off_without_fts5_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "store.db"
    with closing(Store(path, lambda _: None, text_index=True)) as store:
        source = Source(store)
        number = source.send("some words")
        index_all(store)
    with monkeypatch.context() as patch:
        patch.setattr(text_index, "_has_trigrams", lambda: False)
        Store(path, lambda _: None, text_index=False).close()
    asked = compile_filter("some words")
    with closing(Store(path, lambda _: None)) as store:
        assert matching_ids(store, source.id, asked) == [number]
    with closing(Store(path, lambda _: None, text_index=True)) as store:
        index_all(store)
        assert candidates(Source(store), "some words") == [number]


def test_the_writer_goes_on_where_a_text_cannot_be_indexed(
    monkeypatch: pytest.MonkeyPatch, indexed: Source, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Any) -> str:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(text_index, "searched_text", refuse)
    number = indexed.send("some words")
    while "texts cannot be indexed: unforeseen" not in caplog.text:
        assert indexed.store._writer._thread.is_alive()
        time.sleep(0.01)
    assert indexed.send("some more") == number + 1
    assert matching_ids(indexed.store, indexed.id, compile_filter("some words")) == [number]


# -- interrupts -----------------------------------------------------------------------------------


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have Ctrl-C pressed in the middle of a search, before it reads for the n-th time."""

    def arrange(times: int) -> None:
        left = iter(range(times, -1, -1))
        read = queries.read_requests_before

        def press(*way: Any, **named: Any) -> Any:
            if next(left, 0) == 1:
                signal.raise_signal(signal.SIGINT)
            return read(*way, **named)

        monkeypatch.setattr(queries, "read_requests_before", press)

    return arrange


@pytest.fixture
def hook(runtime: Runtime) -> Hook:
    hook = runtime.webhook("orders")
    source = Source(runtime._store)
    source.send_all([source.new({"n": number}) for number in range(200)])
    return hook


@pytest.mark.parametrize(
    "search",
    [
        lambda hook: hook.search("body.n >= 0"),
        lambda hook: hook.search('"n"'),
        lambda hook: hook.frame("deliveries", where="body.n >= 0"),
        lambda hook: hook.frame("variables", where="body.n >= 0"),
    ],
)
def test_an_interrupted_search_gives_what_it_has_found(
    hook: Hook, interrupted: Callable[[int], None], search: Callable[[Hook], Any]
) -> None:
    interrupted(3)  # after 16 and 32
    with pytest.warns(UserWarning, match="interrupted at delivery") as warned:
        frame = search(hook)
    found = frame.index.tolist()
    assert found == list(range(201 - len(found), 201))
    assert 16 <= len(found) <= 48
    said = (
        f"the search was interrupted at delivery {len(found)} of 200, counted from the newest: "
        f"those before id {found[0]} were not looked at"
    )
    assert [str(item.message) for item in warned] == [said]
    assert warned[0].filename == __file__
    assert frame.attrs["stopped"] == said
    assert frame.attrs["rows"] == len(found)
    whole = search(hook)  # nothing is held from before
    assert len(whole) == 200
    assert "stopped" not in whole.attrs


def test_what_acts_on_all_that_is_found_does_nothing_when_it_is_interrupted(
    hook: Hook, interrupted: Callable[[int], None]
) -> None:
    interrupted(2)
    with pytest.raises(KeyboardInterrupt):
        hook.replay("body.n >= 0")
    assert len(hook.deliveries) == 200


# -- comparisons ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "status == 404 && body.n > 1",
        "body.n > 1 && status != 404",
        "status == null && body.n > 1",
        "status != null && body.n > 1",
        "status >= 404 && size > 10",
        "status < 404 || body.n == 3",
        "(status < 404 || true) && body.n >= 0",
        "method == 'PUT' && body.n >= 0",
        'method != "PUT" && outcome == "accepted"',
        "reason == null && method < 'Q'",
        "reason == 'invalid json' && size >= 0",
        "outcome != 'accepted' && true",
        "body.t == 'x && status == 1' && status == 200",
        "body.n >= 0 ? status == 200 : status == 404",
        "status == 200 // && status == 404",
        "body.n >= 0 // (\n && status == 404",
        "size == 'x' || true",
        "status == 'x' && true",
        "!(status == 200) && body.n >= 0",
        "true && status in [404, 500]",
        r"r'\' != '&& status == 404 && '",
        r'R"""\""" != "&& status == 404 && "',
        r'"""\"""&& status == 404 &&\"""" != "x"',
    ],
)
def test_what_the_store_compares_is_what_the_expression_says(source: Source, text: str) -> None:
    for number, status in enumerate((200, 404, 500, None) * 3):
        id = source.send(
            {"n": number, "t": "x && status == 1"}, method="PUT" if number % 3 else "POST"
        )
        if status is not None:
            source.response(id, status)
    source.refuse(2)
    asked = compile_filter(text)
    records = [source.store.delivery(source.id, number) for number in range(1, 15)]
    wanted = [record.id for record in records if asked.matches(record)]
    assert matching_ids(source.store, source.id, asked) == wanted
    source.feed.set_filter(text)
    assert source.seen() == wanted


def test_only_what_must_hold_is_compared_by_the_store() -> None:
    def narrow(text: str) -> list[tuple[str, str, Any]]:
        compared = compile_filter(text).narrow
        return [(item.column, item.sign, item.value) for item in compared]

    assert narrow("status == 404 && body.n > 1 && size < 10") == [
        ("status", "==", 404),
        ("size", "<", 10),
    ]
    assert narrow("status == 404 || body.n > 1") == []
    assert narrow("body.n > 1 // && status == 404") == []
    assert narrow("status == 404") == [("status", "==", 404)]


def test_a_selective_comparison_is_found_far_back(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_MAX_ROWS_IN_STORE", 7)
    ids = source.send_all([source.new({"n": n}) for n in range(60)])
    source.response(ids[3], 404)
    source.response(ids[50], 200)
    asked = compile_filter("status == 404 && body.n == 3")
    assert matching_ids(source.store, source.id, asked) == [ids[3]]
    source.feed.set_filter("status == 404 && body.n == 3")
    assert source.seen() == [ids[3]]


# -- how far it is --------------------------------------------------------------------------------


def test_a_short_search_shows_nothing(monkeypatch: pytest.MonkeyPatch, source: Source) -> None:
    monkeypatch.setattr(progress, "_bar", lambda _total: pytest.fail("it was shown"))
    source.send_all([source.new({"n": n}) for n in range(100)])
    assert len(Search(source.store, source.id, compile_filter("body.n >= 0")).run()) == 100


def test_a_bar_is_shown_in_a_notebook_and_goes_at_the_end(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    code = f"""
        import hooknb
        from hooknb.history.table import progress
        progress._PATIENCE = progress._PAUSE = 0
        with hooknb.Runtime({str(tmp_path / "store.db")!r}, port=0) as runtime:
            hook = runtime.webhook("orders")
            for number in range(40):
                hook.send(json={{"n": number}})
            assert len(hook.search("body.n >= 0")) == 40
    """
    cell = nbformat.v4.new_code_cell("\n".join(line[8:] for line in code.split("\n")))
    updates = []

    class Client(nbclient.NotebookClient):  # type: ignore[name-defined,misc]
        def process_message(self, message: Any, *way: Any) -> Any:
            updates.append((message["msg_type"], message["content"].get("data", {})))
            return super().process_message(message, *way)

    book = nbformat.v4.new_notebook(cells=[cell])
    Client(book, timeout=120, kernel_name="python3").execute()
    shown = [data for kind, data in updates if kind == "display_data"]
    assert len(shown) == 1
    assert shown[0]["text/plain"].startswith("searched 16 of 40 deliveries")
    assert "<progress value=16 max=40>" in shown[0]["text/html"]
    [output] = book.cells[0].outputs
    assert output["data"]["text/html"] == ""
