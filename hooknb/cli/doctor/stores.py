"""The store, who serves it, and on which ports."""

from __future__ import annotations

import contextlib
import http.client
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hooknb.cli.doctor.findings import Finding, ok, warning, wrong
from hooknb.errors import HooknbError
from hooknb.settings import RuntimeSettings
from hooknb.store import Reading, store_path

__all__ = ["ports", "store"]

_PATIENCE: Final = 2.0  # seconds that a port may take to respond
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_PROBLEM: Final = "application/problem+json"


def store(target: str | os.PathLike[str], *, must_be_there: bool) -> Iterator[Finding]:
    """Look at a store: whether it can be read, who may, and who serves it; changes nothing.

    Parameters
    ----------
    target
        A path, ``sqlite:///path`` or ``":memory:"``.
    must_be_there
        Whether it is wrong that there is none; otherwise the first hook makes it.
    """
    path = store_path(target)
    if path is None:
        yield ok("store", "in memory: it ends with its process, and nobody else sees it")
        return
    if not path.exists():
        if must_be_there:
            yield wrong("store", f"there is none at {path}", "name another one with --store")
        elif (problem := _unmakeable(path)) is not None:
            yield wrong("store", problem, "make the folder writable, or set HOOKNB_STORE")
        else:
            yield ok("store", f"none yet; the first hook makes {path}")
        return
    try:
        reading = Reading(path)
    except HooknbError as error:
        problem, _, remedy = str(error).partition("; ")
        yield wrong("store", problem, remedy or "name another store")
        return
    with contextlib.closing(reading):
        yield _described(reading)
        yield from _permissions(path)
        yield _served(reading)


def _described(reading: Reading) -> Finding:
    hooks, deliveries = reading.totals()
    files = [reading.path, reading.path.with_name(f"{reading.path.name}-wal")]
    size = sum(file.stat().st_size for file in files if file.exists())
    return ok(
        "store",
        f"{reading.path}: version {reading.version}, {_size(size)}, {_count(hooks, 'hook')}, "
        f"{_count(deliveries, 'delivery')}",
    )


def _permissions(path: Path) -> Iterator[Finding]:
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        yield wrong(
            "permissions",
            f"{path} cannot be written by this user",
            "make the file and its folder writable, or name another store",
        )
    elif path.stat().st_mode & _OTHERS:
        yield warning(
            "permissions",
            f"{path} can be read by others: it holds received requests, keys and passwords",
            f"chmod 600 {path}",
        )
    else:
        yield ok("permissions", "readable by its owner only")


def _served(reading: Reading) -> Finding:
    found = reading.served_by()
    if not found:
        return ok("served by", "no process now; hooks respond while a notebook serves them")
    names = ", ".join("one that is not known" if pid is None else str(pid) for pid in found)
    return ok("served by", f"{'process' if len(found) == 1 else 'processes'} {names}")


def ports(settings: RuntimeSettings, target: str | os.PathLike[str]) -> Iterator[Finding]:
    """Look at the ports that the settings name, or that hooks of the store were served on last.

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
        yield ok("port", "any free one, when the first hook is made")
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
        "close what listens there before the hooks are served, or their URLs change; "
        "or set HOOKNB_PORT",
    )


def _responses(host: str, port: int) -> bool | None:
    """Whether a hooknb responds at a port; ``None`` where nothing listens. Leaves no delivery."""
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
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
    return f"it cannot be made: {folder} is not a folder that this user can write to"


def _count(number: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def _size(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:  # noqa: PLR2004 - bytes of a KiB
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
