"""The HTTP server, on a dedicated thread inside the kernel."""

from __future__ import annotations

from hooknb.server.protocol import Body, BodyError, Receiver, Request, problem
from hooknb.server.thread import ServerThread, bind

__all__ = ["Body", "BodyError", "Receiver", "Request", "ServerThread", "bind", "problem"]
