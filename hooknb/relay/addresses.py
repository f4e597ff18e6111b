"""The URLs of Jupyter servers: the local ones, and the public one that senders use.

The public URL is the first known of these: the user's setting (``HOOKNB_PUBLIC_URL``), the URL that
JupyterHub states, the URL that logged-in browsers use, and the server's local URL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from hooknb import _processes
from hooknb.errors import PublicationError
from hooknb.relay.private_files import opened_folder, own_file, write_own

__all__ = [
    "JupyterServer",
    "find_public_url",
    "is_address",
    "note",
    "own_server",
    "running_servers",
]

_INFO: Final = re.compile(r"jpserver-(\d+)\.json")
_MAX_BYTES: Final = 64 * 1024
_REMEDY: Final = (
    "set HOOKNB_PUBLIC_URL to the URL of the Jupyter server as seen from outside, such as "
    "'https://example.org/user/me/', or pass public_url=… to the runtime"
)


class JupyterServer(msgspec.Struct, frozen=True, kw_only=True):
    """A running Jupyter server of this user.

    Attributes
    ----------
    pid
        The id of its process.
    url
        Its local URL, with its base path and a trailing slash.
    """

    pid: int
    url: str


class _Noted(msgspec.Struct, frozen=True):
    pid: int
    started: str
    url: str


def running_servers(runtime: Path) -> list[JupyterServer]:
    """Return the running Jupyter servers of this user, ordered by process id."""
    found = []
    try:
        names = os.listdir(runtime)  # noqa: PTH208 - names are all that is needed
    except OSError:
        return []
    for name in names:
        match = _INFO.fullmatch(name)
        if match is None or _processes.started(int(match[1])) is None:
            continue
        try:
            info = msgspec.json.decode((runtime / name).read_bytes(), type=JupyterServer)
        except (OSError, msgspec.MsgspecError):
            continue
        if info.pid == int(match[1]) and is_address(info.url):
            found.append(info)
    return sorted(found, key=lambda server: server.pid)


def own_server(runtime: Path) -> JupyterServer | None:
    """Return the Jupyter server that started this process, directly or indirectly."""
    servers = {server.pid: server for server in running_servers(runtime)}
    return next((servers[pid] for pid in _processes.ancestors() if pid in servers), None)


def find_public_url(
    public_url: str | None, runtime: Path, environ: Mapping[str, str] = os.environ
) -> str:
    """Return the public URL of the Jupyter server, with a trailing slash.

    ``public_url`` is the user's setting; ``environ`` holds the variables that JupyterHub sets.

    Raises
    ------
    PublicationError
        The URL is not known; the message says how to set it.
    """
    if public_url is not None:
        return _with_slash(public_url)
    prefix = environ.get("JUPYTERHUB_SERVICE_PREFIX", "")
    server = own_server(runtime)
    found = _of_hub(prefix, environ) or (None if server is None else _noted(runtime, server.pid))
    if found is None and not prefix and server is not None:
        found = server.url  # unreachable from outside JupyterHub, hence the check of the prefix
    if found is None:
        why = f"no running Jupyter server has started this process; {_REMEDY}"
        if prefix:
            why = (
                "JupyterHub does not state it, and no browser has opened this server since it "
                f"started; open it in a browser and publish again, or {_REMEDY}"
            )
        raise PublicationError(f"the public URL of the Jupyter server is not known: {why}")
    return _with_slash(found)


def _of_hub(prefix: str, environ: Mapping[str, str]) -> str | None:
    """Return the public URL from JupyterHub's variables: the server's, or hub host and prefix."""
    whole = environ.get("JUPYTERHUB_PUBLIC_URL", "")
    if is_address(whole):
        return whole
    for name in ("JUPYTERHUB_PUBLIC_HUB_URL", "JUPYTERHUB_HOST"):
        hub = environ.get(name, "")
        if prefix and is_address(hub):
            parts = urlsplit(hub)
            return f"{parts.scheme}://{parts.netloc}/{prefix.strip('/')}"
    return None


def note(folder: Path, url: str) -> None:
    """Write down the URL, with its base path, that browsers use, for kernels to read.

    Raises
    ------
    PublicationError
        The folder cannot be written.
    """
    pid = os.getpid()
    noted = _Noted(pid=pid, started=_processes.started(pid) or "", url=url)
    write_own(folder, f"{pid}.address", msgspec.json.encode(noted))


def _noted(runtime: Path, pid: int) -> str | None:
    with opened_folder(runtime / "hooknb") as folder:
        if folder is None:
            return None
        with own_file(folder, f"{pid}.address", _MAX_BYTES) as file:
            if file is None:
                return None
            try:
                noted = msgspec.json.decode(os.read(file, _MAX_BYTES), type=_Noted)
            except msgspec.MsgspecError:
                return None
    alive = _processes.runs(noted.pid, noted.started)
    return noted.url if alive and noted.pid == pid and is_address(noted.url) else None


def is_address(text: str) -> bool:
    """Return whether a text is an HTTP(S) URL without user, query or fragment."""
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    return known and plain and re.fullmatch(r"[\x21-\x7e]+", text) is not None


def _with_slash(url: str) -> str:
    return url if url.endswith("/") else f"{url}/"
