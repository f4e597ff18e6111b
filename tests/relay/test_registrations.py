"""Registrations: what the relay trusts, and what it does not."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import time

import msgspec
import pytest

import hooknb.relay
from hooknb import _processes
from hooknb.errors import PublicationError
from hooknb.relay.registrations import AWAY_SECONDS, Registration, Registrations
from served import KEY, RelayServer, register, registration

ENCODED = msgspec.json.encode(registration())


def changed(**changes: object) -> bytes:
    return json.dumps({**json.loads(ENCODED), **changes}).encode()


def test_files_are_their_owners_only(folder) -> None:
    path = register(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert Registrations(folder).find(KEY)[1:] == (registration(), True)
    assert registration().secret not in repr(registration())
    assert KEY not in repr(registration())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"\xff\xfe",
        ENCODED[:-1],
        changed(version=2),
        changed(port=0),
        changed(port=65_536),
        changed(port="80"),
        changed(pid=1),
        changed(pid=-1),
        changed(host="203.0.113.1"),
        changed(host="localhost"),
        changed(secret=""),
        changed(secret="s" * 43 + "\r\nX-Injected: 1"),
        changed(hooks={"../../x": {"status_while_away": 202, "max_body": 1}}),
        changed(hooks={KEY: {"status_while_away": 200, "max_body": 1}}),
        changed(hooks={KEY: {"status_while_away": 202, "max_body": -1}}),
        changed(hooks={KEY: {}}),
        b" " * 2**20 + ENCODED,
        b"[" * 100_000,
    ],
)
def test_forged_contents_are_not_there(content, folder, relay) -> None:
    register(folder).write_bytes(content)
    assert relay.send().status == 404


def test_forged_files_are_not_there(folder, relay, tmp_path) -> None:
    path = register(folder)
    assert relay.send().status == 202

    for mode in (0o644, 0o660, 0o604, 0o610):
        path.chmod(mode)
        assert relay.send().status == 404, oct(mode)
    path.chmod(0o600)
    assert relay.send().status == 202

    elsewhere = tmp_path / "elsewhere.json"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert relay.send().status == 404
    path.unlink()
    path.hardlink_to(elsewhere)
    assert relay.send().status == 404
    path.unlink()
    os.mkfifo(path, 0o600)
    assert relay.send().status == 404
    path.unlink()
    path.mkdir(0o700)
    assert relay.send().status == 404
    path.rmdir()
    elsewhere.rename(folder / "forged.json")  # a name that no registration has
    assert relay.send().status == 404
    (folder / "forged.json").rename(path)
    assert relay.send().status == 202

    for mode in (0o755, 0o770, 0o701):
        folder.chmod(mode)
        assert relay.send().status == 404, oct(mode)
    folder.chmod(0o700)
    moved = folder.with_name("moved")
    folder.rename(moved)
    folder.symlink_to(moved)
    assert relay.send().status == 404
    folder.unlink()
    moved.rename(folder)
    assert relay.send().status == 202


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_what_is_another_users_is_not_there(folder, relay) -> None:
    path = register(folder)
    os.chown(path, 12_345, 12_345)
    assert relay.send().status == 404
    os.chown(path, 0, 0)
    os.chown(folder, 12_345, 12_345)
    assert relay.send().status == 404
    os.chown(folder, 0, 0)
    assert relay.send().status == 202

    path.unlink()
    program = shutil.which("cat")
    assert program is not None
    other = subprocess.Popen([program], stdin=subprocess.PIPE, user=12_345, cwd="/")
    try:
        register(folder, pid=other.pid, started=_processes.started(other.pid))
        # Not alive for the relay: deliveries are kept, and nothing is sent there.
        assert Registrations(folder).find(KEY)[2] is False
    finally:
        other.communicate(b"")


def test_a_dead_or_recycled_process_serves_nothing(folder) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = _processes.started(ended.pid)
    assert _processes.runs(ended.pid, started)
    path = register(folder, pid=ended.pid, started=started)
    registrations = Registrations(folder)
    assert registrations.find(KEY)[2] is True
    ended.stdin.close()
    while _processes.started(ended.pid):  # a zombie has ended, too
        pass
    assert registrations.find(KEY)[2] is False
    ended.wait()
    assert registrations.find(KEY)[2] is False

    path.unlink()
    register(folder, started="0 of another time")  # this process, but not when it started
    assert registrations.find(KEY)[2] is False


def test_what_is_away_is_forgotten_after_a_day(folder) -> None:
    path = register(folder, started="ended")
    registrations = Registrations(folder)
    registrations.sweep()
    mark = path.with_suffix(".away")
    assert registrations.away_since(path.name) == mark.stat().st_mtime
    assert registrations.find(KEY) is not None
    before = time.time() - AWAY_SECONDS - 1
    os.utime(mark, (before, before))
    assert registrations.find(KEY) is None
    registrations.sweep()
    assert list(folder.iterdir()) == []


def test_the_newest_are_looked_at_and_kept(folder, monkeypatch) -> None:
    monkeypatch.setattr("hooknb.relay.registrations._MAX_FILES", 3)
    monkeypatch.setattr("hooknb.relay.registrations._MAX_ENDED", 2)
    paths = [register(folder, port, started="ended") for port in range(1, 6)]
    for age, path in enumerate(reversed(paths)):
        os.utime(path, (time.time() - age - 1,) * 2)
    register(folder, 6)
    registrations = Registrations(folder)
    assert registrations.find(KEY)[1].port == 6
    registrations.sweep()
    assert sorted(found.port for found in registrations.read(None).values()) == [4, 5, 6]


def test_a_mark_of_one_that_runs_goes(folder) -> None:
    path = register(folder)
    path.with_suffix(".away").touch(0o600)
    Registrations(folder).sweep()
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_file_systems_that_keep_no_folder(number, folder, monkeypatch) -> None:
    """Some know ``fsync`` of files only; where it fails for another reason nothing is left."""

    def fsync(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("hooknb.relay.private_files.os.fsync", fsync)
    if number == errno.EINVAL:
        assert register(folder).exists()
    else:
        with pytest.raises(PublicationError, match="cannot be written"):
            register(folder)
        assert list(folder.iterdir()) == []


def test_a_hook_is_known_before_the_relay_is_told(published, relay, monkeypatch) -> None:
    hook, write, answered = published.webhook("orders"), Registrations.write, []

    def written(self: Registrations, name: str, content: Registration) -> None:
        write(self, name, content)
        answered.append(relay.send(hook.key).status)

    monkeypatch.setattr(Registrations, "write", written)
    hook.publish()
    assert answered == [200]

    def full(*_: object) -> None:
        raise PublicationError("there is no room")

    monkeypatch.setattr(Registrations, "write", full)
    other = published.webhook("others")
    with pytest.raises(PublicationError):
        other.publish()
    assert (hook.published, other.published) == (True, False)
    assert relay.send(hook.key).status == 200


def test_who_runs_comes_before_who_has_ended_and_later_before_earlier(folder) -> None:
    register(folder, 1, started="ended", registered_at=9)
    register(folder, 2, registered_at=2)
    register(folder, 3, registered_at=3)
    registrations = Registrations(folder)
    assert registrations.find(KEY)[1].port == 3
    registrations.strike(KEY)
    assert sorted(found.port for found in registrations.read().values()) == [2, 3]


def test_processes_are_known_without_proc_too(monkeypatch, tmp_path) -> None:
    if subprocess.run(["which", "ps"], capture_output=True, check=False).returncode:  # noqa: S607
        pytest.skip("there is no ps")
    monkeypatch.setattr(_processes, "_PROC", tmp_path)
    own = _processes.started(os.getpid())
    assert own is not None
    assert _processes.runs(os.getpid(), own)
    assert not _processes.runs(os.getpid(), "then")
    assert _processes.started(2**22 + 1) is None
    assert _processes.ancestors()[0] == os.getppid()


def test_a_server_that_is_not_there_has_no_relay(folder, published, relay: RelayServer) -> None:
    from hooknb import relay as relays

    hook = published.webhook("orders")
    found = relays.status(relay.url)
    assert (found.servers, found.registrations, found.waiting) == ((), (), 0)
    assert not found.works
    assert relays.status().problem is not None
    hook.publish()
    info = {"pid": os.getppid(), "url": relay.url}
    path = folder.parent / f"jpserver-{os.getppid()}.json"
    path.write_text(json.dumps(info))
    found = relays.status()
    assert found.works
    assert found.public_url == relay.url
    assert [(server.is_own, server.has_relay) for server in found.servers] == [(True, True)]
    assert [(known.port, known.is_alive) for known in found.registrations] == [
        (published.port, True)
    ]
    path.write_text(json.dumps({**info, "url": f"{relay.url}api/"}))
    (server,) = relays.status().servers
    assert "403" in server.problem
    path.write_text(json.dumps({**info, "url": "javascript:alert(1)"}))
    assert relays.status().servers == ()


def test_a_hook_that_is_not_published_loads_nothing_of_the_status() -> None:
    program = (
        "import sys, hooknb\n"
        "runtime = hooknb.Runtime(':memory:', port=0)\n"
        "runtime.webhook('orders')\n"
        "print(*(name for name in sys.modules if name.startswith('hooknb.relay.')))\n"
        "print('urllib.request' in sys.modules)\n"
        "runtime.close()\n"
        "import hooknb.relay\n"
        "print(*(getattr(hooknb.relay, name).__name__ for name in hooknb.relay.__all__))"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    loaded, opens, public = out.stdout.splitlines()
    assert set(loaded.split()) == {
        f"hooknb.relay.{name}"
        for name in ("addresses", "private_files", "publication", "registrations")
    }
    assert opens == "False"
    assert public == "RegisteredStatus RelayStatus ServerStatus status"
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = hooknb.relay.nothing  # type: ignore[attr-defined]
