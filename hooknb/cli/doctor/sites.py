"""Where Jupyter servers run, and what they find there: it need not be where kernels run."""

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

__all__ = ["Site", "sites"]

_PATIENCE: Final = 30.0  # seconds that another Python may take to say what it has


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An environment that a Jupyter server runs in, or would run in.

    Attributes
    ----------
    python
        The program.
    server
        The one that runs there; ``None`` for this environment while none runs.
    seen
        As of :func:`hooknb.cli.doctor.probe.look`; ``None`` where it could not be looked at.
    """

    python: str
    server: JupyterServer | None
    seen: dict[str, Any] | None


def _servers() -> list[JupyterServer]:
    """Find the Jupyter server that started this process; all of this user where none did."""
    try:
        from jupyter_core.paths import jupyter_runtime_dir
    except ImportError:
        return []
    runtime = Path(jupyter_runtime_dir())
    own = own_server(runtime)
    return running_servers(runtime) if own is None else [own]


def sites() -> list[Site]:
    """Look at the environments of the servers that run; at this one where none does.

    Blocks while other Pythons say what they have, 30 s each at the most.
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
    """Return the Python that a process runs, and its environment; ``""`` where it is not known."""
    import psutil  # the kernel's, so that it is there

    try:
        process = psutil.Process(pid)
        words, environ = process.cmdline(), process.environ()
        # Named as it was called: behind the link of an environment stands another one's Python.
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
        done = subprocess.run(  # noqa: S603 - the program of a server of this very user
            [python, probe.__file__],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=_PATIENCE,
        )
        seen: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return seen
