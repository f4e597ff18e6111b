"""What comes while no kernel serves its hook."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import hooknb
from hooknb.errors import PublicationError
from hooknb.registrations import PublishedHook
from hooknb.relay.forwarding import Relayed
from hooknb.relay.limits import Limits
from hooknb.relay.spool import Spool, SpoolFullError
from served import KEY, RelayServer, kernel, read_request, register, until

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHES = """
import sys, time, hooknb
hook = hooknb.Runtime(sys.argv[1], public_url=sys.argv[2]).webhook("orders", accept="*/*")
hook.publish(while_away=int(sys.argv[3]))
print(hook.key, flush=True)
input()
"""


def publisher(store: Path, relay: RelayServer, while_away: int = 202) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PUBLISHES, str(store), relay.url, str(while_away)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("end", ["kill", "exit"])
def test_deliveries_wait_for_the_next_kernel(end, relay, folder, tmp_path) -> None:
    first = publisher(tmp_path / "store.db", relay)
    key = first.stdout.readline().strip()
    assert relay.send(key, b"0").status == 200
    if end == "kill":
        first.send_signal(signal.SIGKILL)
    first.communicate("\n")
    before = time.time()
    for number in range(1, 20):
        answer = relay.send(
            key, b'{"n": %d}' % number, query=f"n={number}", fields=(("X-N", str(number)),)
        )
        assert (answer.status, answer.body) == (202, b"kept")
    waiting = list((folder / "spool" / key).iterdir())
    assert len(waiting) == 19
    assert {stat.S_IMODE(path.stat().st_mode) for path in waiting} == {0o600}
    assert stat.S_IMODE((folder / "spool").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "spool" / key).stat().st_mode) == 0o700

    with hooknb.Runtime(tmp_path / "store.db", public_url=relay.url) as runtime:
        hook = runtime.webhook("orders", accept="*/*")
        assert hook.key == key
        assert relay.send(key, b'{"n": 20}').status == 202  # served, and not published yet
        time.sleep(0.3)
        assert len(hook.deliveries) == 1
        hook.publish()
        assert relay.send(key, b'{"n": 21}').status in {200, 202}
        until(lambda: len(hook.deliveries) == 22)
        assert [hook.delivery(n).raw for n in hook.deliveries.index] == [
            b"0",
            *(b'{"n": %d}' % number for number in range(1, 22)),
        ]
        kept = hook.delivery(2)
        assert kept.query_string == "n=1"
        assert ("X-N", "1") in kept.headers
        assert before - 1 < kept.received_at.timestamp() < time.time()
        until(lambda: not (folder / "spool" / key).exists())
        assert relay.send(key, b"22").status == 200
        assert len(list(folder.glob("*.json"))) == 1
    assert relay.send(key, b"23").status == 404  # closed on purpose


def test_a_hook_that_is_away_can_be_taken_back(relay, tmp_path) -> None:
    first = publisher(tmp_path / "store.db", relay)
    key = first.stdout.readline().strip()
    first.communicate("\n")
    assert relay.send(key).status == 202
    with hooknb.Runtime(tmp_path / "store.db", public_url=relay.url) as runtime:
        hook = runtime.webhook("orders")
        hook.unpublish()
        assert relay.send(key).status == 404
        assert hook.deliveries.empty
        hook.publish()  # within a week, what was kept comes
        until(lambda: len(hook.deliveries) == 1)


def test_503_where_it_is_asked_for_and_for_those_who_wait(relay, folder, tmp_path) -> None:
    first = publisher(tmp_path / "store.db", relay, 503)
    key = first.stdout.readline().strip()
    assert relay.send(key).status == 200
    first.communicate("\n")
    answer = relay.send(key)
    assert (answer.status, answer.header("Retry-After")) == (503, "5")
    assert answer.header("Content-Type") == "application/problem+json"
    assert not (folder / "spool").exists()
    with hooknb.Runtime(":memory:", public_url=relay.url) as runtime:
        hook = runtime.webhook("payments", sync=True)
        hook.publish()
        assert relay.send(hook.key).status == 200
        runtime._hosting._server.stop()
        assert relay.send(hook.key).status == 503


def test_a_kernel_that_hangs_up(folder, relay) -> None:
    came = []

    def answer(connection) -> None:
        came.append(read_request(connection))
        if len(came) > 2:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nX-Hooknb-Delivery: 1\r\nContent-Length: 0\r\n\r\n"
            )

    with kernel(answer) as port:
        register(folder, port)
        # Whether the kernel has kept it is not known: it comes again.
        assert relay.send(body=b"[1]").status == 202
        until(lambda: len(came) == 3)
        assert len(set(came)) == 1
        until(lambda: not (folder / "spool" / KEY).exists())
        register(
            folder,
            port,
            registered_at=2,
            hooks={KEY: PublishedHook(status_while_away=503, max_body=9)},
        )
        del came[:]
        assert relay.send(body=b"[1]").status == 503


def test_a_busy_kernel_is_asked_again(folder, relay) -> None:
    came = []

    def answer(connection) -> None:
        came.append(read_request(connection))
        status = (b"", b"404 Not Found", b"503 Busy", b"400 Bad")[min(len(came), 3)]
        connection.sendall(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)

    dead = register(folder, started="ended")
    assert relay.send(body=b"[1]").status == 202
    dead.unlink()
    with kernel(answer) as port:
        register(folder, port)
        until(lambda: len(came) == 3)
        until(lambda: not (folder / "spool" / KEY).exists())


def test_the_spool_is_bounded(folder) -> None:
    register(folder, started="ended")
    server = RelayServer(folder, Limits(spool_count=2))
    try:
        assert [server.send().status for _ in range(3)] == [202, 202, 503]
    finally:
        server.close()
    request = Relayed(method="POST", query="", fields=[], remote="", received_at=1)
    spool = Spool(folder / "spool", Limits(spool_bytes=10_000, spool_total=15_000))
    spool.append("b" * 22, request, b"x" * 9000)
    with pytest.raises(SpoolFullError):
        spool.append("b" * 22, request, b"x" * 9000)
    with pytest.raises(SpoolFullError):
        spool.append("c" * 22, request, b"x" * 9000)
    spool.append("c" * 22, request, b"x" * 4000)

    (name,) = spool.names("c" * 22)
    before = time.time() - 8 * 86_400
    os.utime(folder / "spool" / ("c" * 22) / name, (before, before))
    spool.tidy("c" * 22)
    assert spool.hooks() == [KEY, "b" * 22]
    assert "POST" in repr(request)


def test_forged_deliveries_are_not_handed_over(folder, tmp_path) -> None:
    request = Relayed(method="POST", query="", fields=[], remote="", received_at=1)
    spool = Spool(folder / "spool", Limits())
    spool.append(KEY, request, b"a\nb")
    (name,) = spool.names(KEY)
    path = folder / "spool" / KEY / name
    assert spool.read(KEY, name) == (request, b"a\nb")
    path.chmod(0o644)
    assert spool.read(KEY, name) is None
    path.chmod(0o600)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert spool.read(KEY, name) is None
    path.unlink()
    assert spool.read(KEY, name) is None
    path.write_bytes(b"{}\n")
    path.chmod(0o600)
    assert spool.read(KEY, name) is None
    (folder / "spool").chmod(0o755)
    assert spool.names(KEY) == []
    with pytest.raises(PublicationError):
        spool.append(KEY, request, b"")


def test_one_process_hands_over_at_a_time(folder) -> None:
    request = Relayed(method="POST", query="", fields=[], remote="", received_at=1)
    spool, other = (Spool(folder / "spool", Limits()) for _ in range(2))
    spool.append(KEY, request, b"")
    with spool.handing_over(KEY) as own, other.handing_over(KEY) as theirs:
        assert (own, theirs) == (True, False)
    with other.handing_over(KEY) as theirs:
        assert theirs
