"""Whether hooknb works here: what there is, and what to do about what there is not."""

from __future__ import annotations

from hooknb.cli.doctor.examining import examine
from hooknb.cli.doctor.findings import Finding

__all__ = ["Finding", "examine"]
