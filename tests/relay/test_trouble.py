"""What the relay does where the system refuses it something, and with who does not stop."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hooknb import _processes
from hooknb.relay.forwarding import Relayed
from hooknb.relay.limits import Limits
from hooknb.relay.registrations import PublishedHook, Registrations
from hooknb.relay.spool import Spool
from served import BASE, KEY, RelayServer, kernel, read_request, register, until
from wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    import hooknb

REQUEST = Relayed(method="POST", query="", fields=[], remote="", received_at=1)


def answering(*said: bytes) -> tuple[list[bytes], Callable[[socket.socket], None]]:
    """Give what came, and what answers the first so, the second so, and the others as the last."""
    came: list[bytes] = []

    def response(connection: socket.socket) -> None:
        came.append(read_request(connection))
        line = said[min(len(came), len(said)) - 1]
        connection.sendall(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % line)

    return came, response


def test_what_cannot_be_taken_away_is_not_handed_over_twice(folder, relay, monkeypatch) -> None:
    unlink = Path.unlink
    refuses = [True]

    def unlinked(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002
        if path.suffix == ".delivery" and refuses[0]:
            raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlinked)
    came, response = answering(b"200 OK\r\nX-Hooknb-Delivery: 1")
    relay.keep(KEY, b"[1]", b"[2]")
    with kernel(response) as port:
        register(folder, port)
        until(lambda: len(came) == 2)
        time.sleep(1.5)
        assert [request[-3:] for request in came] == [b"[1]", b"[2]"]
        refuses[0] = False
        until(lambda: not (folder / "spool" / KEY).exists())
    assert len(came) == 2


@pytest.mark.parametrize("while_away", [202, 503])
def test_what_a_busy_kernel_refused_comes_again(while_away, folder, relay) -> None:
    refused = b"503 Busy\r\nX-Hooknb-Delivery: 1\r\nX-Hooknb-Outcome: refused"
    came, response = answering(refused, refused, b"200 OK\r\nX-Hooknb-Delivery: 2")
    relay.keep(KEY, b"[1]")
    with kernel(response) as port:
        hook = PublishedHook(status_while_away=while_away, max_body=9)
        register(folder, port, hooks={KEY: hook})
        until(lambda: not (folder / "spool" / KEY).exists())
    assert len(came) == 3


def test_a_kernel_that_says_nothing_of_the_outcome_is_not_asked_for_ever(
    folder, relay, monkeypatch
) -> None:
    monkeypatch.setattr("hooknb.relay.passage._MAX_ATTEMPTS", 2)
    came, response = answering(b"503 Busy\r\nX-Hooknb-Delivery: 1")
    relay.keep(KEY, b"[1]")
    with kernel(response) as port:
        register(folder, port)
        until(lambda: not relay.passage.spool.waits(KEY))
    assert len(came) == 2
    (left,) = (folder / "spool" / KEY).iterdir()
    assert left.suffix == ".failed"


def test_a_slow_hook_is_not_run_for_ever(folder, monkeypatch) -> None:
    monkeypatch.setattr("hooknb.relay.passage._MAX_ATTEMPTS", 2)
    server, came = RelayServer(folder, Limits(response_timeout=0.2)), []

    def response(connection: socket.socket) -> None:
        came.append(read_request(connection))
        connection.recv(1)  # until the relay hangs up

    try:
        server.keep(KEY, b"[1]")
        with kernel(response) as port:
            register(folder, port)
            until(lambda: not server.passage.spool.waits(KEY))
    finally:
        server.close()
    assert len(came) == 2


def test_who_knows_no_key_does_not_have_the_folder_read(folder, monkeypatch) -> None:
    register(folder, started="ended")
    server, reads, read = RelayServer(folder, Limits(rate_of_unknown=1)), [], Registrations.read

    def counted(self: Registrations, *arguments: int | None) -> object:
        reads.append(threading.current_thread())
        return read(self, *arguments)

    try:
        assert server.send().status == 202
        monkeypatch.setattr(Registrations, "read", counted)
        assert {server.send("b" * 22, host="evil.example").status for _ in range(20)} == {404}
        assert sum(thread is server._thread for thread in reads) <= 6
        assert server.send().status == 202  # known from before
        key = "c" * 22
        register(folder, hooks={key: PublishedHook(status_while_away=202, max_body=9)})
        until(lambda: server.send(key).status == 202)  # seen once the rate allows, or sooner
    finally:
        server.close()


def test_a_spool_that_cannot_be_read_is_no_error_of_the_server(folder, relay, monkeypatch) -> None:
    register(folder, started="ended")

    def append(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Spool, "append", append)
    response = relay.send(body=b"[1]")
    assert (response.status, response.header("Retry-After")) == (503, "5")


def test_without_descriptors_no_process_has_ended(monkeypatch) -> None:
    own, read = _processes.started(os.getpid()), Path.read_text

    def full(path: Path, *arguments: str, **more: str) -> str:
        if path.is_relative_to("/proc"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return read(path, *arguments, **more)

    _processes._boot.cache_clear()
    with monkeypatch.context() as without:
        without.setattr(Path, "read_text", full)
        with pytest.raises(OSError, match="Too many"):
            _processes.started(os.getpid())
        with pytest.raises(OSError, match="Too many"):
            _processes._boot()
    assert _processes.started(os.getpid()) == own  # nothing wrong is remembered


def test_names_grow_whatever_the_clock_says(folder) -> None:
    keys, spool = (KEY, "b" * 22), Spool(folder / "spool", Limits())
    for key, ahead in zip(keys, (10**19, 2 * 10**19), strict=True):
        spool.append(key, REQUEST, b"1")
        (name,) = spool.names(key)
        path = folder / "spool" / key / name
        path.rename(path.with_name(f"{ahead:020d}-00000000.delivery"))
    after = Spool(folder / "spool", Limits())  # the server and its clock started again
    for key in keys:
        after.append(key, REQUEST, b"2")
        assert [after.read(key, name)[1] for name in after.names(key)] == [b"1", b"2"]


def test_a_lock_that_has_been_taken_away_locks_nothing(folder, monkeypatch) -> None:
    import fcntl

    spool, locked = Spool(folder / "spool", Limits()), fcntl.flock
    spool.append(KEY, REQUEST, b"")

    def flock(file: int, how: int) -> None:
        (folder / "spool" / f"{KEY}.lock").unlink()  # between opening and locking
        locked(file, how)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(fcntl, "flock", flock)
        with spool.handing_over(KEY) as own:
            assert not own
    with spool.handing_over(KEY) as own:
        assert own


def test_what_was_never_whole_goes_from_the_registrations(folder) -> None:
    register(folder)
    begun, broken = folder / "a.json.0.part", folder / "b.json.0.part"
    begun.touch()
    broken.touch()
    os.utime(broken, (time.time() - 7200,) * 2)
    Registrations(folder).sweep()
    assert [path.name for path in folder.glob("*.part")] == [begun.name]


def test_head_says_how_long_the_answer_would_be(published: hooknb.Runtime, relay) -> None:
    hook = published.webhook("orders", methods="*")
    hook.publish()
    response = relay.send(hook.key, method="HEAD", fields=())
    assert (response.header("Content-Length"), response.body) == ("2", b"")


def test_who_hangs_up_is_counted_out_at_once(folder, relay) -> None:
    def response(connection: socket.socket) -> None:
        read_request(connection)
        body = b"x" * 8_000_000
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    head = f"POST {BASE}hooknb/{KEY} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    with kernel(response) as port:
        register(folder, port)
        with Wire(relay.port) as gone:
            gone.send(head.encode())
            until(lambda: relay.passage.buffered)
        before = time.monotonic()
        until(lambda: not relay.passage.buffered)
        assert time.monotonic() - before < 20
        assert not relay.passage._passing


def test_the_threads_of_the_spool_end_with_the_server(folder) -> None:
    def running() -> set[threading.Thread]:
        return {one for one in threading.enumerate() if one.name.startswith("hooknb-spool")}

    before = running()
    register(folder, started="ended")
    server = RelayServer(folder)
    assert server.send().status == 202
    assert running() - before
    server.close()
    until(lambda: not running() - before)
