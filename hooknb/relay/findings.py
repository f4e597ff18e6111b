"""What works of the relay here: asked of the Jupyter servers that run, and read from the disk."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from hooknb.errors import PublicationError
from hooknb.relay.addresses import JupyterServer, own_server, public_base, running_servers
from hooknb.relay.limits import Limits
from hooknb.relay.private_files import opened_folder
from hooknb.relay.registrations import Registrations, runtime_folder
from hooknb.relay.spool import Spool

__all__ = ["RegisteredStatus", "RelayStatus", "ServerStatus", "status"]

_MOST: Final = 4096


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """A Jupyter server of this user that runs.

    Attributes
    ----------
    pid
        Of its process.
    url
        What it calls itself, without a token.
    is_own
        Whether it started this process.
    has_relay
        Whether it answers as the relay does.
    problem
        Why not, and the remedy; ``None`` where it does.
    """

    pid: int
    url: str
    is_own: bool
    has_relay: bool
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class RegisteredStatus:
    """A registration that the relay would trust.

    Attributes
    ----------
    pid, port
        Of the kernel's process, and where it listens.
    hooks
        How many it publishes.
    is_alive
        Whether the process runs; where it does not, deliveries are kept or refused.
    away_since
        When it was noticed that it had ended, in seconds since 1970.
    """

    pid: int
    port: int
    hooks: int
    is_alive: bool
    away_since: float | None


@dataclass(frozen=True, kw_only=True)
class RelayStatus:
    """What works of the relay.

    Attributes
    ----------
    servers
        The Jupyter servers that run, that of this process first.
    public_base
        The address under which hooks would be published; ``None`` where it is not known.
    problem
        Why not, and the remedy.
    folder
        That of the registrations.
    folder_is_safe
        Whether it is this user's only, or not there yet.
    registrations
        What is registered.
    waiting
        Deliveries that wait for a kernel.
    """

    servers: tuple[ServerStatus, ...]
    public_base: str | None
    problem: str | None
    folder: str
    folder_is_safe: bool
    registrations: tuple[RegisteredStatus, ...]
    waiting: int

    @property
    def works(self) -> bool:
        """Whether a hook that this process publishes can be reached."""
        asked = [server for server in self.servers if server.is_own] or self.servers
        responses = any(server.has_relay for server in asked)
        return responses and self.public_base is not None and self.folder_is_safe


def status(
    public_url: str | None = None,
    timeout: float = 5.0,
    environ: Mapping[str, str] = os.environ,
) -> RelayStatus:
    """Say what works of the relay for this process. Blocks while the servers are asked.

    Parameters
    ----------
    public_url
        That of the runtime; ``HOOKNB_PUBLIC_URL`` where there is none.
    timeout
        Seconds for each server.
    environ
        The environment.
    """
    folder = runtime_folder()
    own = own_server(folder.parent)
    servers = sorted(
        (_asked(server, own, timeout) for server in running_servers(folder.parent)),
        key=lambda server: not server.is_own,
    )
    base, problem = None, None
    try:
        base = public_base(
            public_url or environ.get("HOOKNB_PUBLIC_URL") or None, folder.parent, environ
        )
    except PublicationError as error:
        problem = str(error)
    with opened_folder(folder) as opened:
        safe = opened is not None or not os.path.lexists(folder)
    registrations = Registrations(folder)
    spool = Spool(folder / "spool", Limits())
    return RelayStatus(
        servers=tuple(servers),
        public_base=base,
        problem=problem,
        folder=str(folder),
        folder_is_safe=safe,
        registrations=tuple(
            RegisteredStatus(
                pid=found.pid,
                port=found.port,
                hooks=len(found.hooks),
                is_alive=found.is_alive,
                away_since=None if found.is_alive else registrations.away_since(name),
            )
            for name, found in registrations.read().items()
        ),
        waiting=sum(len(spool.names(key)) for key in spool.hooks()),
    )


def _asked(server: JupyterServer, own: JupyterServer | None, timeout: float) -> ServerStatus:
    problem: str | None = None
    try:
        response = _get(f"{server.url}hooknb/", timeout)
    except urllib.error.HTTPError as error:
        error.close()
        problem = (
            f"it answers {error.code} where the relay should: install hooknb in the environment "
            "of the Jupyter server too, and start that server again (`jupyter server extension "
            "list` there names hooknb.relay)"
        )
    except (OSError, ValueError) as error:
        problem = f"it does not answer: {error}"
    else:
        if not isinstance(response, dict) or response.get("hooknb") != "relay":
            problem = "something else than the relay answers there"
    return ServerStatus(
        pid=server.pid,
        url=server.url,
        is_own=own is not None and own.pid == server.pid,
        has_relay=problem is None,
        problem=problem,
    )


def _get(url: str, timeout: float) -> Any:
    # A proxy of the environment is not for this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=timeout) as response:
        return msgspec.json.decode(response.read(_MOST))
