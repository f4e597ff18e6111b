"""The relay: hooks of kernels, reached through the Jupyter server, without its token.

On Binder and JupyterHub nobody outside reaches a kernel's port; the Jupyter server is reached. This
package is an extension of it: ``<base_url>hooknb/<key>`` takes a request to the kernel that
published the hook of that key (:meth:`hooknb.Hook.publish`), and to nothing else. While that
kernel is away, deliveries wait on the disk. It runs in the server's process; kernels and it agree
on the files of :mod:`hooknb.relay.registrations`.
"""

from __future__ import annotations

from typing import Any

from hooknb.relay.findings import RegisteredStatus, RelayStatus, ServerStatus, status

__all__ = ["RegisteredStatus", "RelayStatus", "ServerStatus", "status"]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell a Jupyter server what to load."""
    return [{"module": "hooknb.relay"}]


def _load_jupyter_server_extension(app: Any) -> None:
    """Add the relay to a Jupyter server; called by it."""
    from hooknb.relay.extension import load  # kernels and commands need no server

    load(app)
