"""``hooknb doctor``: whether hooknb works here, and how to fix what does not."""

from __future__ import annotations

from hooknb.cli.doctor.command import doctor

__all__ = ["doctor"]
