"""The store, the processes that serve it, and their ports."""

from __future__ import annotations

import contextlib
import http.client
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hooknb.cli.doctor.finding import Finding, ok, warning, wrong
from hooknb.cli.terminal import count
from hooknb.errors import HooknbError
from hooknb.history.store_size import REMEDY, StoreSize, byte_count, read_store_size
from hooknb.settings import RuntimeSettings
from hooknb.store import Reading, find_damage, store_path

__all__ = ["check_ports", "check_store"]

_MAX_SECONDS: Final = 2.0  # for a response from a port
_MAX_CHECK_SECONDS: Final = 10.0  # for reading all of the store's file
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_PROBLEM: Final = "application/problem+json"


def check_store(target: str | os.PathLike[str], *, must_exist: bool) -> Iterator[Finding]:
    """Check that a store can be read, its permissions, and who serves it; changes nothing.

    Parameters
    ----------
    target
        A path, ``sqlite:///path`` or ``":memory:"``.
    must_exist
        Whether a missing store is wrong; otherwise the first hook creates it.
    """
    path = store_path(target)
    if path is None:
        yield ok("store", "in memory; it ends with its process")
        return
    if not path.exists():
        if must_exist:
            yield wrong("store", f"{path} does not exist", "name another store with --store")
        elif (problem := _unmakeable(path)) is not None:
            yield wrong(
                "store", problem, "make the folder writable, or set HOOKNB_STORE to another path"
            )
        else:
            yield ok("store", f"none yet; the first hook creates {path}")
        return
    try:
        reading = Reading(path)
    except HooknbError as error:
        problem, _, remedy = str(error).partition("; ")
        yield wrong("store", problem, remedy or "name another store with --store")
        return
    with contextlib.closing(reading):
        size = read_store_size(reading)
        yield _described(reading, size)
        yield _integrity(path)
        yield from _sizes(size)
        yield from _permissions(path)
        yield _served(reading)


def _described(reading: Reading, size: StoreSize) -> Finding:
    hooks, deliveries = reading.totals()
    text = (
        f"{reading.path}: version {reading.version}, {size.files}, {count(hooks, 'hook')}, "
        f"{count(deliveries, 'delivery')}"
    )
    if size.growth:
        text += f"; {size.growth}"
    return warning("store", f"{text}; it is large", REMEDY) if size.is_large else ok("store", text)


def _integrity(path: Path) -> Finding:
    try:
        problems = find_damage(path, _MAX_CHECK_SECONDS)
    except HooknbError as error:
        problem, _, remedy = str(error).partition("; ")
        return warning("integrity", problem, remedy)
    if problems is None:
        text = f"not checked to its end: that takes longer than {_MAX_CHECK_SECONDS:.0f} s"
        return warning("integrity", text, f'sqlite3 {path} "PRAGMA quick_check"')
    if problems:
        return wrong(
            "integrity",
            f"{path} is damaged: {'; '.join(problems)}",
            f"end what serves it, then save what can be read: hooknb rescue {path} NEW",
        )
    return ok("integrity", "SQLite finds no damage")


def _sizes(size: StoreSize) -> Iterator[Finding]:
    """Say what the largest hooks keep, and how fast they grow."""
    if not size.hooks:
        return
    texts = [
        f"{hook.name}: {count(hook.deliveries, 'delivery')}, {byte_count(hook.bytes)}, "
        f"{hook.day:,} in the last 24 hours, {hook.week:,} in the last 7 days"
        for hook in size.hooks
    ]
    if size.others:
        texts.append(f"and {count(size.others, 'smaller one')}")
    yield ok("largest hooks", "; ".join(texts))


def _permissions(path: Path) -> Iterator[Finding]:
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        yield wrong(
            "permissions",
            f"you cannot write {path}",
            "make the file and its folder writable, or name another store with --store",
        )
    elif path.stat().st_mode & _OTHERS:
        yield warning(
            "permissions",
            f"{path} can be read by others: it holds received requests, keys and passwords",
            f"chmod 600 {path}",
        )
    else:
        yield ok("permissions", "only you can read the store")


def _served(reading: Reading) -> Finding:
    found = reading.served_by()
    if not found:
        return ok("served by", "no process; hooks respond while a notebook serves them")
    names = ", ".join("one that is unknown" if pid is None else str(pid) for pid in found)
    return ok("served by", f"{'process' if len(found) == 1 else 'processes'} {names}")


def check_ports(settings: RuntimeSettings, target: str | os.PathLike[str]) -> Iterator[Finding]:
    """Check the port in the settings, or those on which the store was last served.

    Parameters
    ----------
    settings
        Host and port.
    target
        The store.
    """
    served, wanted = False, dict.fromkeys([settings.port] if settings.port else [])
    with contextlib.suppress(HooknbError), contextlib.closing(Reading(target)) as reading:
        served = bool(reading.served_by())
        if settings.port is None:
            wanted = dict.fromkeys(reading.ports().values())
    if not wanted:
        yield ok("port", "the first hook takes a free one")
    for port in wanted:
        yield _port(settings.local_host, port, served=served)


def _port(host: str, port: int, *, served: bool) -> Finding:
    responses = _responses(host, port)
    if responses is None:
        return ok("port", f"{port} is free")
    if responses and served:
        return ok("port", f"{port}: hooknb responds")
    who = "another store's hooks respond there" if responses else "another program listens there"
    return warning(
        "port",
        f"{port}: {who}",
        "end that program, or else your hooks get another port and new URLs; or set HOOKNB_PORT",
    )


def _responses(host: str, port: int) -> bool | None:
    """Whether hooknb responds at a port, ``None`` if nothing listens; leaves no delivery."""
    connection = http.client.HTTPConnection(host, port, timeout=_MAX_SECONDS)
    try:
        connection.connect()
    except OSError:
        return None
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        kind = response.getheader("Content-Type", "")
    except (OSError, http.client.HTTPException):
        return False
    else:
        return response.status == http.HTTPStatus.NOT_FOUND and kind.startswith(_PROBLEM)
    finally:
        connection.close()


def _unmakeable(path: Path) -> str | None:
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return None
    return f"it cannot be created: {folder} is not a folder that you can write to"
