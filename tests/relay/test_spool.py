"""What comes while no kernel serves its hook."""

from __future__ import annotations

import errno
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
from hooknb.relay.forwarding import Relayed
from hooknb.relay.limits import Limits
from hooknb.relay.registrations import PublishedHook
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
        response = relay.send(
            key, b'{"n": %d}' % number, query=f"n={number}", fields=(("X-N", str(number)),)
        )
        assert (response.status, response.body) == (202, b"kept")
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
    response = relay.send(key)
    assert (response.status, response.header("Retry-After")) == (503, "5")
    assert response.header("Content-Type") == "application/problem+json"
    assert not (folder / "spool").exists()
    with hooknb.Runtime(":memory:", public_url=relay.url) as runtime:
        hook = runtime.webhook("payments", sync=True)
        hook.publish()
        assert relay.send(hook.key).status == 200
        runtime._hosting._server.stop()
        assert relay.send(hook.key).status == 503


def test_a_kernel_that_hangs_up(folder, relay) -> None:
    came = []

    def response(connection) -> None:
        came.append(read_request(connection))
        if len(came) > 2:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nX-Hooknb-Delivery: 1\r\nContent-Length: 0\r\n\r\n"
            )

    with kernel(response) as port:
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

    def response(connection) -> None:
        came.append(read_request(connection))
        said = (b"", b"404 Not Found", b"503 Busy", b"400 Bad\r\nX-Hooknb-Delivery: 1")
        connection.sendall(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % said[min(len(came), 3)])

    dead = register(folder, started="ended")
    assert relay.send(body=b"[1]").status == 202
    dead.unlink()
    with kernel(response) as port:
        register(folder, port)
        until(lambda: len(came) == 3)
        until(lambda: not (folder / "spool" / KEY).exists())


@pytest.fixture
def no_descriptor(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Give how often a file whose name ends so cannot be opened, as where none may be open."""
    left: dict[str, int] = {}

    def opened(path: object, *arguments: object, **more: object) -> int:
        for end, times in left.items():
            if times and str(path).endswith(end):
                left[end] -= 1
                raise OSError(errno.EMFILE, "Too many open files")
        return before(path, *arguments, **more)  # type: ignore[arg-type]

    before = os.open
    monkeypatch.setattr("hooknb.relay.private_files.os.open", opened)
    return left


def test_what_cannot_be_read_now_is_handed_over_later(
    published, relay, folder, no_descriptor
) -> None:
    hook = published.webhook("orders")
    relay.keep(hook.key, b"[0]", b"[1]", b"[2]", b"[3]", b"[4]")
    no_descriptor[".delivery"] = 2
    hook.publish()
    until(lambda: not (folder / "spool" / hook.key).exists())
    assert no_descriptor == {".delivery": 0}
    assert hook.frame("deliveries", body=True)["body"].tolist() == [[0], [1], [2], [3], [4]]


def test_where_nothing_can_be_opened_senders_are_to_come_again(
    published, relay, no_descriptor
) -> None:
    hook = published.webhook("orders")
    hook.publish()
    no_descriptor["hooknb"] = 10**9  # the folder of the registrations
    response = relay.send(hook.key)
    assert (response.status, response.header("Retry-After")) == (503, "5")
    no_descriptor.clear()
    assert relay.send(hook.key).status == 200


@pytest.mark.parametrize("status", [503, 500, 404])
def test_what_a_hook_answers_by_itself_is_handed_over_once(
    status, published, relay, folder
) -> None:
    ran = []
    hook = published.webhook(
        "orders",
        response=hooknb.Response(status),
        nodes=[hooknb.Code(lambda context: ran.append(context.body), key="note")],
    )
    relay.keep(hook.key, b"[0]", b"[1]", b"[2]")
    hook.publish()
    until(lambda: not (folder / "spool" / hook.key).exists())
    hook.wait()
    assert ran == [[0], [1], [2]]
    response = relay.send(hook.key, b"[3]")
    assert (response.status, response.header("X-Hooknb-Outcome")) == (status, None)


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"]
)
def test_a_stranger_on_the_kernels_port_takes_nothing_away(
    said, folder, relay, monkeypatch
) -> None:
    monkeypatch.setattr("hooknb.relay.passage._MAX_ATTEMPTS", 2)
    monkeypatch.setattr("hooknb.relay.passage._MAX_PAUSE", 0.1)

    def response(connection) -> None:
        read_request(connection)
        connection.sendall(said)

    relay.keep(KEY, b"[1]")
    with kernel(response) as port:
        register(folder, port)
        until(lambda: not relay.passage.spool.waits(KEY))
    (left,) = (folder / "spool" / KEY).iterdir()
    assert left.suffix == ".failed"
    assert left.read_bytes().endswith(b"\n[1]")


def test_a_kernel_that_does_not_know_its_hook_yet(folder, relay) -> None:
    came = []

    def response(connection) -> None:
        came.append(read_request(connection))
        said = b"404 Not Found" if len(came) < 3 else b"200 OK\r\nX-Hooknb-Delivery: 1"
        connection.sendall(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % said)

    with kernel(response) as port:
        register(folder, port)
        assert relay.send(body=b"[1]").status == 202
        until(lambda: not (folder / "spool" / KEY).exists())
    assert len(came) == 3


def test_what_lies_beside_the_deliveries_is_counted_and_goes(folder) -> None:
    request = Relayed(method="POST", query="", fields=[], remote="", received_at=1)
    spool = Spool(folder / "spool", Limits(spool_bytes=10_000))
    spool.append(KEY, request, b"x" * 6000)
    (name,) = spool.names(KEY)
    spool.set_aside(KEY, name)
    assert not spool.waits(KEY)
    with pytest.raises(SpoolFullError):
        spool.append(KEY, request, b"x" * 6000)
    spool.append(KEY, request, b"x" * 3000)

    own, now = folder / "spool" / KEY, time.time()
    (own / "begun.part").touch()
    (own / "broken.part").touch()
    os.utime(own / "broken.part", (now - 7200, now - 7200))
    spool.tidy(KEY)
    assert sorted(path.suffix for path in own.iterdir()) == [".delivery", ".failed", ".part"]
    with spool.handing_over(KEY), spool.handing_over("b" * 22):
        pass
    spool.tidy_locks()
    assert [path.stem for path in (folder / "spool").glob("*.lock")] == [KEY]


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
