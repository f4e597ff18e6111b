"""The environments of the Jupyter servers, which may differ from those of the kernels."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hooknb.cli.doctor import probe
from hooknb.relay.addresses import JupyterServer, own_server, running_servers

__all__ = ["Site", "find_sites"]

_MAX_SECONDS: Final = 30.0  # for inspecting another environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An environment that a Jupyter server runs in, or would run in.

    Attributes
    ----------
    python
        The interpreter; ``""`` if it is unknown.
    server
        The server that runs there; ``None`` for this environment if no server runs.
    seen
        The result of :func:`hooknb.cli.doctor.probe.look`; ``None`` if the inspection failed.
    """

    python: str
    server: JupyterServer | None
    seen: dict[str, Any] | None


def _servers() -> list[JupyterServer]:
    """Return the Jupyter server that started this process, or else all servers of this user."""
    try:
        from jupyter_core.paths import jupyter_runtime_dir
    except ImportError:
        return []
    runtime = Path(jupyter_runtime_dir())
    own = own_server(runtime)
    return running_servers(runtime) if own is None else [own]


def find_sites() -> list[Site]:
    """Return the environments of the running servers, or this environment if none runs.

    Blocks while other environments are inspected, for up to 30 s each.
    """
    looked: dict[str, dict[str, Any] | None] = {}
    found = []
    for server in _servers():
        python, environ = _program(server.pid)
        if python not in looked:
            looked[python] = _look(python, environ) if python else None
        found.append(Site(python=python, server=server, seen=looked[python]))
    return found or [Site(python=sys.executable, server=None, seen=probe.look())]


def _program(pid: int) -> tuple[str, dict[str, str]]:
    """Return the interpreter of a process and its environment variables; ``""`` if unknown."""
    import psutil  # ipykernel requires it

    try:
        process = psutil.Process(pid)
        words, environ = process.cmdline(), process.environ()
        # As it was called: the interpreter of a virtual environment is a link to another one.
        named = words[0] if words else ""
        path = named if os.sep in named else shutil.which(named, path=environ.get("PATH"))
        if path and not Path(path).is_absolute():
            path = str(Path(process.cwd()) / path)
        if path and "python" in Path(path).name:
            return path, environ
        return str(process.exe()), environ
    except (psutil.Error, OSError):
        return "", {}


def _look(python: str, environ: dict[str, str]) -> dict[str, Any] | None:
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter of a server of this user
            [python, probe.__file__],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=_MAX_SECONDS,
        )
        seen: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return seen
