"""A store whose file was damaged: found, said, and the rest of it saved."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hooknb import Response, Runtime
from hooknb.cli import app
from hooknb.errors import StoreError
from hooknb.store import Store, find_damage, rescue
from hooknb.workflow import define
from stored import Stored

TABLES = ("workflows", "revisions", "deliveries", "responses", "executions", "jobs")
COUNT = 600


def filled(path: Path) -> dict[str, set[tuple[Any, ...]]]:
    """Fill a store with two hooks by turns; return the rows of its tables."""
    definition = define("orders", sync=True, nodes=[Response(201, body="x")]).encode()
    with closing(Store(path, lambda _: None)) as store:
        hooks = [Stored(store, name, definition) for name in ("orders", "other")]
        for first in range(0, COUNT, 100):
            operations: list[Any] = []
            for number in range(first, first + 100):
                hook, delivery = hooks[number % 2], number // 2 + 1
                jobs = hook.job("a", result=number), hook.job("b")
                operations += [
                    hook.new({"n": number, "pad": "x" * 300}, owner=store.owner),
                    hook.new_response(delivery, 201),
                    hook.new_end(delivery, *jobs),
                ]
            store.submit(*operations)
        store.flush()
    return rows_of(path)


def rows_of(path: Path) -> dict[str, set[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as db:
        statements = {table: f"SELECT * FROM {table}" for table in TABLES}  # noqa: S608 - names
        return {table: set(db.execute(statements[table])) for table in TABLES}


def pages_of(path: Path, name: str, *, leaves: bool = False) -> dict[int, int]:
    """Return the pages of a table or an index, or its leaves, with the number of their rows."""
    kinds = ("leaf",) if leaves else ("leaf", "internal")
    with closing(sqlite3.connect(path)) as db:
        found = db.execute(
            "SELECT pageno, ncell, pagetype FROM dbstat WHERE name = ? ORDER BY path", (name,)
        ).fetchall()
    return {number: rows for number, rows, kind in found if kind in kinds}


def damage(path: Path, pages: Iterable[int], seed: int = 7) -> None:
    """Overwrite the start of pages with noise."""
    chance = random.Random(seed)  # noqa: S311 - noise, no secrets
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4096)
            file.write(chance.randbytes(64))


def test_a_sound_store_is_copied_whole(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    before, content = filled(old), old.read_bytes()
    assert find_damage(old, 60) == []
    rescued = rescue(old, new)
    assert rows_of(new) == before
    assert rescued.problems == []
    assert [hook.lost.total() for hook in rescued.hooks] == [0, 0]
    assert rescued.is_complete
    assert old.read_bytes() == content
    assert new.stat().st_mode & 0o077 == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new.db", "old.db"]


@pytest.mark.parametrize("table", ["deliveries", "responses", "executions", "jobs"])
def test_what_stands_beside_damaged_pages_is_saved_and_what_is_lost_is_said(tmp_path, table):
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    before = filled(old)
    leaves = pages_of(old, table, leaves=True)
    assert len(leaves) > 3
    damaged = list(leaves)[1::3]
    damage(old, damaged)
    content = old.read_bytes()
    assert find_damage(old, 60)
    rescued = rescue(old, new)
    assert old.read_bytes() == content
    assert rescued.problems
    after = rows_of(new)
    for name in TABLES:
        if name not in {table, "workflows"}:
            assert after[name] == before[name], name
    lost = before[table] - after[table]
    assert after[table] < before[table]
    # What a page had is lost, and nothing beside it.
    assert len(lost) == sum(leaves[page] for page in damaged)
    said = sum(hook.lost[table] for hook in rescued.hooks)
    assert said >= len(lost)
    if table == "deliveries":
        assert said == len(lost)
        ids = {
            (at + 1, number)
            for at, hook in enumerate(rescued.hooks)
            for first, last in hook.lost_deliveries
            for number in range(first, last + 1)
        }
        assert ids == {row[:2] for row in lost}
    assert find_damage(new, 60) == []


@pytest.mark.parametrize("name", ["sqlite_autoindex_deliveries_1", "jobs_of_execution"])
def test_damage_in_an_index_loses_nothing(tmp_path: Path, name: str) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    before = filled(old)
    damage(old, pages_of(old, name))
    rescue(old, new)
    assert rows_of(new) == before


def test_a_workflow_whose_row_is_lost_keeps_its_name_and_url(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with Runtime(old, port=0) as runtime:
        hook = runtime.webhook("orders")
        key = hook.key
        ids = [hook.send(json=number).delivery for number in range(3)]
    damage(old, pages_of(old, "workflows"))
    damage(old, pages_of(old, "revisions"))
    [rescued] = rescue(old, new).hooks
    assert rescued.lost["settings"] == rescued.lost["definitions"] == 1
    with Runtime(new, port=0) as runtime:
        hook = runtime.webhook("orders")
        assert hook.key == key
        assert hook.deliveries.index.tolist() == ids
        assert hook.send(json=3).delivery == 4


def test_executions_run_on_the_rescued_store_except_those_whose_delivery_is_lost(tmp_path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with closing(Store(old, lambda _: None)) as store:
        hook = Stored(store, "orders", define("orders", nodes=[]).encode())
        for number in range(100):
            hook.send({"n": number, "pad": "x" * 300}, owner=store.owner)
    damage(old, list(pages_of(old, "deliveries", leaves=True))[1:2])
    [rescued] = rescue(old, new).hooks
    lost = rescued.lost["deliveries"]
    assert 0 < lost < 50
    ran: list[int] = []
    with Runtime(new, port=0) as runtime:
        served = runtime.webhook("orders", nodes=[lambda context: ran.append(context.body["n"])])
        served.wait()
        assert len(ran) == 100 - lost
        counts = served.executions["status"].value_counts()
        assert (counts["resolved"], counts["aborted"]) == (100 - lost, lost)


def test_random_flips_end_in_a_sound_store_or_are_said(tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    before = filled(whole)
    content = whole.read_bytes()
    for seed in range(20):
        chance = random.Random(seed)  # noqa: S311 - noise, no secrets
        old, new = tmp_path / f"{seed}.db", tmp_path / f"{seed}.new.db"
        data = bytearray(content)
        for _ in range(8):
            data[chance.randrange(4096, len(data))] ^= 1 << chance.randrange(8)
        old.write_bytes(data)
        rescued = rescue(old, new)
        assert find_damage(new, 60) == []
        # Eight pages at most are touched; an inner one may hold a whole table together.
        kept = len(rows_of(new)["deliveries"])
        assert kept + sum(hook.lost["deliveries"] for hook in rescued.hooks) >= COUNT - 8
        assert kept <= len(before["deliveries"])


# -- what is refused


def test_what_cannot_be_rescued_is_refused_with_the_remedy(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    for missing in (old, tmp_path):
        with pytest.raises(StoreError, match="there is no store at"):
            rescue(missing, new)
    with Runtime(old, port=0) as runtime:
        runtime.webhook("orders")
        with pytest.raises(StoreError, match=r"is served by process .*; stop it"):
            rescue(old, new)
    new.write_text("mine")
    with pytest.raises(StoreError, match="not overwritten; name a new file"):
        rescue(old, new)
    assert new.read_text() == "mine"
    new.unlink()
    damage(old, [1])
    with pytest.raises(StoreError, match="restore it from a copy"):
        rescue(old, new)
    with closing(sqlite3.connect(tmp_path / "music.db")) as db:
        db.execute("CREATE TABLE songs (id)")
    with pytest.raises(StoreError, match="not a store"):
        rescue(tmp_path / "music.db", new)
    assert not new.exists()


def test_a_damaged_store_names_the_remedy_where_it_is_opened_or_read(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled(path)
    damage(path, pages_of(path, "deliveries"))
    with Runtime(path, port=0) as runtime:
        hook = runtime.serve("orders")
        with pytest.raises(StoreError, match=r"damaged: .*hooknb rescue .*store.db NEW"):
            hook.delivery(1)
    damage(path, pages_of(path, "migrations"))
    with pytest.raises(StoreError, match=r"malformed; .*hooknb rescue"):
        Runtime(path, port=0)


# -- the commands


def test_the_command_says_what_is_kept_and_lost(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    filled(old)
    whole = tmp_path / "whole.db"
    whole.write_bytes(old.read_bytes())
    damage(old, list(pages_of(old, "deliveries", leaves=True))[1:2])
    done = CliRunner().invoke(app, ["rescue", str(old), str(new)])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("damage: ")
    assert any(line.startswith("orders: 29") and "300 executions" in line for line in lines)
    assert any(line.startswith("  lost: ") and "(deliveries " in line for line in lines)
    assert lines[-1] == f"written to {new}"
    sound = CliRunner().invoke(app, ["rescue", str(whole), str(tmp_path / "copy.db")])
    assert (sound.exit_code, sound.stdout.count("lost")) == (0, 0)
    again = CliRunner().invoke(app, ["rescue", str(old), str(new)])
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr.startswith("error: ")


def test_the_doctor_says_that_a_store_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    filled(path)

    def finding() -> dict[str, Any]:
        done = CliRunner().invoke(app, ["doctor", "--json", "--store", str(path)])
        return next(one for one in json.loads(done.stdout) if one["subject"] == "integrity")

    assert finding()["state"] == "ok"
    damage(path, list(pages_of(path, "jobs", leaves=True))[1:2])
    assert finding()["state"] == "wrong"
    assert f"hooknb rescue {path} NEW" in finding()["remedy"]
