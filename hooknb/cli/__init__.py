"""The command ``hooknb``: what is not worth a notebook, from a shell."""

from __future__ import annotations

from hooknb.cli.app import app, main

__all__ = ["app", "main"]
