"""Disks that are full or read-only, stores that are locked, and files with flipped bytes."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from hooknb import Runtime, StoreUnavailableError
from hooknb.store import Reading, find_damage, rescue
from stored import fill
from wire import Wire, request

JSON = (("Content-Type", "application/octet-stream"),)
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")


@only_linux
def test_a_full_disk_loses_nothing_that_was_acknowledged(small_disk: Path, tell) -> None:
    acknowledged: dict[int, bytes] = {}
    with Runtime(small_disk / "store.db", port=0) as runtime:
        hook = runtime.webhook("orders", accept="*/*")

        def send(_sender: int) -> int:
            refused = 0
            with Wire(hook) as wire:
                while refused < 20:
                    body = os.urandom(20_000)
                    wire.send(request(hook, body, headers=JSON))
                    response = wire.response()
                    assert response.status in {200, 503}
                    if response.status == 200:
                        acknowledged[response.delivery] = body
                    else:
                        assert response.header("X-Hooknb-Delivery") is None
                        refused += 1
            return refused

        with ThreadPoolExecutor(4) as threads:
            refused = sum(threads.map(send, range(4)))
        assert hook.deliveries.index.tolist() == sorted(acknowledged)
        for number, body in acknowledged.items():
            assert hook.delivery(number).raw == body
        hook.clear()
        assert hook.send(data=b"1", headers=dict(JSON)).status == 200
    tell(
        "a full disk",
        f"{len(acknowledged):,} of {len(acknowledged):,} acknowledged deliveries on disk, "
        f"{refused} times 503, served again after a clearing",
    )


@only_linux
def test_a_read_only_disk_is_said_and_can_still_be_read(small_disk, tmp_path, tell) -> None:
    path = small_disk / "store.db"
    fill(path, "orders", [{"n": number} for number in range(50)])
    remount = ["/bin/mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    try:
        with pytest.raises(StoreUnavailableError, match="make the file and its folder writable"):
            Runtime(path, port=0)
        with closing(Reading(path)) as reading:
            assert reading.totals().deliveries == 50
        assert rescue(path, tmp_path / "new.db").is_complete
    finally:
        remount[2] = "remount,rw"
        subprocess.run(remount, check=True)
    with Runtime(path, port=0) as runtime:
        assert runtime.serve("orders").send(json=1).delivery == 51
    tell("a read-only disk", "said with its remedy; read and rescued; served when writable again")


def test_a_locked_store_gives_503_and_keeps_what_it_acknowledged(tmp_path, scale, tell) -> None:
    locks = scale(1, 4)
    acknowledged: dict[int, bytes] = {}
    refused = 0
    with Runtime(tmp_path / "store.db", port=0) as runtime:
        hook = runtime.webhook("orders")
        number = 0

        def send(wire: Wire) -> int:
            nonlocal number
            number += 1
            body = b"%d" % number
            wire.send(request(hook, body))
            response = wire.response()
            if response.status == 200:
                acknowledged[response.delivery] = body
            return response.status

        with Wire(hook) as wire, closing(sqlite3.connect(tmp_path / "store.db")) as other:
            other.isolation_level = None
            for _ in range(locks):
                assert {send(wire) for _ in range(20)} == {200}
                other.execute("BEGIN IMMEDIATE")
                assert send(wire) == 503
                refused += 1
                other.execute("ROLLBACK")
                end = time.monotonic() + 30
                while send(wire) != 200:
                    assert time.monotonic() < end
        assert hook.deliveries.index.tolist() == sorted(acknowledged)
        assert {number: hook.delivery(number).raw for number in acknowledged} == acknowledged
    tell(
        "a locked store",
        f"{len(acknowledged)} acknowledged, all kept; {refused} times 503, none kept",
    )


def test_flipped_bytes_cost_what_stands_on_their_pages_and_nothing_else(tmp_path, scale, tell):
    whole, rounds, flips = tmp_path / "whole.db", scale(4, 60), 6
    fill(whole, "orders", [{"n": number, "pad": "x" * 200} for number in range(1000)])
    with closing(sqlite3.connect(whole)) as db:
        before = set(db.execute("SELECT id, body FROM deliveries"))
        leaves = dict(
            db.execute(
                "SELECT pageno, ncell FROM dbstat WHERE name = 'deliveries' AND pagetype = 'leaf'"
            )
        )
    content, said, found = whole.read_bytes(), 0, 0
    lost_in_all = 0
    for turn in range(rounds):
        chance = random.Random(turn)  # noqa: S311 - noise, no secrets
        old, new = tmp_path / "old.db", tmp_path / f"{turn}.db"
        pages = chance.sample(sorted(leaves), flips)
        data = bytearray(content)
        for page in pages:
            # By turns where a page says what it holds, and anywhere.
            reach = 100 if turn % 2 else 4096
            data[(page - 1) * 4096 + chance.randrange(reach)] ^= 1 << chance.randrange(8)
        old.write_bytes(data)
        found += bool(find_damage(old, 60))
        rescued = rescue(old, new)
        assert find_damage(new, 60) == []
        with closing(sqlite3.connect(new)) as db:
            after = set(db.execute("SELECT id, body FROM deliveries"))
        lost = before - after
        assert len(lost) <= sum(leaves[page] for page in pages)
        [hook] = rescued.hooks
        # A flip inside of a value changes it, and nothing in the file tells.
        changed = len(after - before)
        assert hook.lost["deliveries"] + changed >= len(lost)
        said += hook.lost["deliveries"]
        lost_in_all += len(lost)
        new.unlink()
    assert found
    tell(
        f"{rounds} times {flips} flipped bits in a store of 1,000 deliveries",
        f"{found} stores found damaged; {1000 * rounds - lost_in_all:,} of {1000 * rounds:,} "
        f"deliveries saved as they were, {said:,} said to be lost",
    )
