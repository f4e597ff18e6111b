"""The relay: reach the hooks of a kernel through the Jupyter server, without its token.

On Binder and JupyterHub, senders can reach the Jupyter server but not a kernel's port. This package
is an extension of that server: it forwards a request to ``<base_url>hooknb/<key>`` to the kernel
that published the hook with that key (:meth:`hooknb.Hook.publish`), and reaches nothing else. While
no kernel serves the hook, deliveries wait on disk. The relay runs in the server's process; kernels
announce their hooks in the files of :mod:`hooknb.relay.registrations`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hooknb.relay.health import RegisteredStatus, RelayStatus, ServerStatus, status

__all__ = ["RegisteredStatus", "RelayStatus", "ServerStatus", "status"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: most kernels publish nothing.
    if name not in __all__:
        message = f"module 'hooknb.relay' has no attribute {name!r}"
        raise AttributeError(message)
    from hooknb.relay import health

    return getattr(health, name)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Return the modules that a Jupyter server loads as extensions."""
    return [{"module": "hooknb.relay"}]


def _load_jupyter_server_extension(app: Any) -> None:
    """Add the relay to the Jupyter server that calls this."""
    from hooknb.relay.extension import load  # only the Jupyter server needs it

    load(app)
