"""The relay: reach the hooks of a kernel through the Jupyter server, without its token.

On Binder and JupyterHub senders reach the Jupyter server, and never a kernel's port. This package
is an extension of that server: a request to ``<base_url>hooknb/<key>`` goes to the kernel that
published the hook with that key (:meth:`hooknb.Hook.publish`), and to nothing else. While that
kernel is away, deliveries wait on the disk. The relay runs in the server's process; kernels tell
it what they publish by the files of :mod:`hooknb.relay.registrations`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hooknb.relay.health import RegisteredStatus, RelayStatus, ServerStatus, status

__all__ = ["RegisteredStatus", "RelayStatus", "ServerStatus", "status"]


def __getattr__(name: str) -> Any:
    # A kernel that publishes nothing loads none of what looks at servers and spools.
    if name not in __all__:
        message = f"module 'hooknb.relay' has no attribute {name!r}"
        raise AttributeError(message)
    from hooknb.relay import health

    return getattr(health, name)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Return what a Jupyter server loads."""
    return [{"module": "hooknb.relay"}]


def _load_jupyter_server_extension(app: Any) -> None:
    """Add the relay to a Jupyter server, which calls this."""
    from hooknb.relay.extension import load  # kernels and commands need no server

    load(app)
