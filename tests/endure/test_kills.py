"""Signal 9 under load: what a sender has a response for is on disk, and what was left is run."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys

from killed import SYNCHRONOUS, loads, rows, server

CONNECTIONS = 12


def test_nothing_acknowledged_is_lost_when_the_process_is_killed_again_and_again(
    tmp_path, scale, tell
):
    kills, chance = scale(3, 25), random.Random(9)  # noqa: S311 - moments, no secrets
    acknowledged: dict[int, bytes] = {}
    urls: set[str] = set()
    started: set[int] = set()
    for kill in range(kills):
        with server(tmp_path, work=0.001) as (process, url):
            urls.add(url)
            least = chance.randrange(1, 60)
            with loads(url, str(kill), CONNECTIONS, acknowledged, least=least):
                process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        kept = dict(rows(tmp_path, "SELECT id, body FROM deliveries"))
        assert acknowledged.items() <= kept.items()
        started |= {
            number for (number,) in rows(tmp_path, "SELECT id FROM executions WHERE status = 0")
        }
    assert started

    with server(tmp_path, work=0.001) as (process, url):
        urls.add(url)
        process.communicate("\n", timeout=240)
        assert process.returncode == 0
    assert len(urls) == 1

    kept = dict(rows(tmp_path, "SELECT id, body FROM deliveries"))
    assert acknowledged.items() <= kept.items()
    assert len(set(kept.values())) == len(kept)  # nothing is kept twice under two ids
    executions = {
        row[0]: row[1:]
        for row in rows(tmp_path, "SELECT id, status, owner, recovered FROM executions")
    }
    assert executions.keys() == kept.keys()
    assert {execution[:2] for execution in executions.values()} == {(1, None)}
    assert {number for number, execution in executions.items() if execution[2]} == started
    results = dict(rows(tmp_path, "SELECT execution_id, result FROM jobs WHERE status = 1"))
    assert results == {number: str(json.loads(body)["n"]) for number, body in kept.items()}
    assert rows(tmp_path, "SELECT count(*) FROM jobs") == [(len(kept),)]
    runs = (tmp_path / "runs").read_text().splitlines()
    assert {int(line.split()[1]) for line in runs} == kept.keys()
    assert [file.name for file in tmp_path.glob("store.db*")] == ["store.db"]
    tell(
        f"{kills} kills, asynchronous hook under load",
        f"{len(acknowledged):,} of {len(acknowledged):,} acknowledged deliveries on disk; "
        f"{len(started):,} started executions run again, marked recovered",
    )


def test_what_a_synchronous_hook_has_responded_to_is_on_disk_when_it_is_killed(
    tmp_path, scale, tell
):
    kills, chance = scale(3, 25), random.Random(10)  # noqa: S311 - moments, no secrets

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SYNCHRONOUS],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    acknowledged: dict[int, bytes] = {}
    for kill in range(kills):
        with start() as process:
            try:
                url = process.stdout.readline().strip()
                least = chance.randrange(1, 60)
                with loads(url, str(kill), CONNECTIONS, acknowledged, status=201, least=least):
                    process.send_signal(signal.SIGKILL)
            finally:
                process.kill()
        kept = dict(rows(tmp_path, "SELECT id, body FROM deliveries"))
        assert acknowledged.items() <= kept.items()
        ended = dict(rows(tmp_path, "SELECT id, status FROM executions WHERE owner IS NULL"))
        responded = dict(rows(tmp_path, "SELECT delivery_id, body FROM responses"))
        jobs = dict(rows(tmp_path, "SELECT execution_id, count(*) FROM jobs GROUP BY execution_id"))
        for number, body in kept.items():
            n = json.loads(body)["n"]
            if n % 3:  # no effect: the delivery, its execution and response are one commit
                assert ended[number] == 1
                assert responded[number] == str(n).encode()
                assert jobs[number] == 2

    with start() as process:
        assert process.stdout.readline()
        process.communicate("\n", timeout=240)
        assert process.returncode == 0
    executions = {
        row[0]: row[1:] for row in rows(tmp_path, "SELECT id, status, owner FROM executions")
    }
    assert executions.keys() == kept.keys()
    assert set(executions.values()) == {(1, None)}
    ran = {int(line) for line in (tmp_path / "runs").read_text().splitlines()}
    assert ran == {number for number, body in kept.items() if json.loads(body)["n"] % 3 == 0}
    tell(
        f"{kills} kills, synchronous hook under load",
        f"{len(acknowledged):,} of {len(acknowledged):,} responses that were seen have their "
        "delivery on disk",
    )


def test_two_kernels_on_one_store_keep_all_and_run_all_when_one_is_killed(tmp_path, tell):
    first: dict[int, bytes] = {}
    second: dict[int, bytes] = {}
    with (
        server(tmp_path, work=0.001, any_port=True) as (one, url),
        server(tmp_path, work=0.001, any_port=True) as (two, other),
    ):
        assert url != other
        with loads(other, "two", 6, second, least=100):
            with loads(url, "one", 6, first, least=100):
                one.send_signal(signal.SIGKILL)
            two.send_signal(signal.SIGKILL)
    assert not first.keys() & second.keys()
    with server(tmp_path, work=0.001, any_port=True) as (process, _):
        process.communicate("\n", timeout=240)
    kept = dict(rows(tmp_path, "SELECT id, body FROM deliveries"))
    assert (first | second).items() <= kept.items()
    states = rows(tmp_path, "SELECT DISTINCT status, owner FROM executions")
    assert states == [(1, None)]
    tell("two kernels on one store, both killed", f"{len(first | second):,} deliveries, all kept")
