"""Whether the relay works: asks the running Jupyter servers, and reads the relay's folder."""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from hooknb.errors import PublicationError
from hooknb.relay.addresses import find_public_url, own_server, running_servers
from hooknb.relay.limits import Limits
from hooknb.relay.private_files import opened_folder
from hooknb.relay.registrations import Registrations, runtime_folder
from hooknb.relay.spool import Spool

__all__ = ["RegisteredStatus", "RelayStatus", "ServerStatus", "check_relay", "status"]

_MAX_BYTES: Final = 4096  # of the marker document
_TIMEOUT: Final = 10.0  # seconds; a busy server responds late
_INSTALL: Final = (
    "install hooknb in the environment of the Jupyter server (`hooknb doctor` names it), or enable "
    "it there (`jupyter server extension enable hooknb.relay`), and restart that server"
)


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """A running Jupyter server of this user.

    Attributes
    ----------
    pid
        The id of its process.
    url
        Its local URL, without a token.
    is_own
        Whether it started this process.
    problem
        Why the relay does not respond there, and the remedy; ``None`` if it does.
    """

    pid: int
    url: str
    is_own: bool
    problem: str | None

    @property
    def has_relay(self) -> bool:
        """Whether the relay responds there."""
        return self.problem is None


@dataclass(frozen=True, kw_only=True)
class RegisteredStatus:
    """A registration that the relay trusts.

    Attributes
    ----------
    pid, port
        The id of the kernel's process, and the port it listens on.
    hooks
        The number of hooks it publishes.
    is_alive
        Whether the process runs; while it does not, deliveries are kept or refused.
    away_since
        When the relay noticed that the process had ended, in seconds since 1970.
    """

    pid: int
    port: int
    hooks: int
    is_alive: bool
    away_since: float | None


@dataclass(frozen=True, kw_only=True)
class RelayStatus:
    """The state of the relay, as seen from this process.

    Attributes
    ----------
    servers
        The running Jupyter servers, the one that started this process first.
    public_url
        The public URL of the Jupyter server, below which hooks are published; ``None`` if it is
        not known.
    problem
        Why the public URL is not known, and the remedy.
    folder
        The folder of the registrations.
    folder_is_safe
        Whether only this user can enter it, or it does not exist yet.
    registrations
        One entry for each runtime that publishes hooks.
    waiting
        The number of deliveries that wait for a kernel.
    """

    servers: tuple[ServerStatus, ...]
    public_url: str | None
    problem: str | None
    folder: str
    folder_is_safe: bool
    registrations: tuple[RegisteredStatus, ...]
    waiting: int

    @property
    def works(self) -> bool:
        """Whether senders can reach a hook that this process publishes."""
        asked = [server for server in self.servers if server.is_own] or self.servers
        responses = any(server.has_relay for server in asked)
        return responses and self.public_url is not None and self.folder_is_safe


def status(
    public_url: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> RelayStatus:
    """Return the state of the relay for this process. Blocks while it asks the servers.

    ``public_url`` is the runtime's setting; ``None`` uses ``HOOKNB_PUBLIC_URL``.
    """
    folder = runtime_folder()
    own = own_server(folder.parent)
    servers = [
        ServerStatus(
            pid=server.pid, url=server.url, is_own=server == own, problem=_problem(server.url)
        )
        for server in sorted(running_servers(folder.parent), key=lambda server: server != own)
    ]
    base, problem = None, None
    try:
        base = find_public_url(
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
        public_url=base,
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


def check_relay(public_url: str | None, runtime: Path) -> None:
    """Check that a Jupyter server relays to this process. Blocks while it asks the servers.

    Raises
    ------
    PublicationError
        No server does; the message says what is missing and how to fix it.
    """
    own = own_server(runtime)
    # A kernel started by an editor is reached through any server that reads the same folder.
    servers = [own] if own is not None else running_servers(runtime)
    problems = []
    for server in servers:
        problem = _problem(server.url)
        if problem is None:
            return
        problems.append(f"the Jupyter server at {server.url} does not relay to hooks: {problem}")
    if own is None and public_url is not None:
        problem = _problem(public_url.rstrip("/") + "/")
        if problem is None:
            return
        problems.append(f"public_url is not a Jupyter server that relays to hooks: {problem}")
    if not servers:
        problems.insert(
            0,
            "no Jupyter server of this user is running here, and hooks are published through one: "
            "start JupyterLab, and run this in one of its kernels",
        )
    raise PublicationError("; ".join(problems))


def _problem(base: str) -> str | None:
    """Return why the relay does not respond below a URL, and the remedy; ``None`` if it does."""
    try:
        response = _get(f"{base}hooknb/")
    except urllib.error.HTTPError as error:
        error.close()
        return f"it responds with {error.code} at the URL of the relay; {_INSTALL}"
    except TimeoutError:
        return f"it did not respond within {_TIMEOUT:g} seconds; try again"
    except OSError as error:
        return f"it does not respond ({getattr(error, 'reason', error)}); start it again"
    except ValueError:
        response = None
    if isinstance(response, dict) and response.get("hooknb") == "relay":
        return None
    return f"another service responds at the URL of the relay; {_INSTALL}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Treats a redirect, for example to a login page, as the response."""

    def redirect_request(self, *_: Any) -> None:
        """Do not follow it."""


def _get(url: str) -> Any:
    # A local server's certificate may cover only its public name. The request has no secret, and
    # only the marker in the response is used.
    context = ssl._create_unverified_context()  # noqa: S323, SLF001 - for the reason above
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),  # a proxy cannot reach this machine's loopback
        urllib.request.HTTPSHandler(context=context),
        _NoRedirect,
    )
    with opener.open(url, timeout=_TIMEOUT) as response:
        return msgspec.json.decode(response.read(_MAX_BYTES))
