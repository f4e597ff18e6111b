"""HTTP in, HTTP out, on a thread of its own inside the kernel."""

from __future__ import annotations

from hooknb.server.protocol import Receiver, Reception, Request, Send
from hooknb.server.thread import ServerThread, bind

__all__ = ["Receiver", "Reception", "Request", "Send", "ServerThread", "bind"]
