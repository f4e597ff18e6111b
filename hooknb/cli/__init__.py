"""The command ``hooknb``: check, send, follow and export from a shell."""

from __future__ import annotations

from hooknb.cli.app import app, main

__all__ = ["app", "main"]
