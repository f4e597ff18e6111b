"""The tab of the deliveries: the live list, and everything about the chosen one."""

from __future__ import annotations

from hooknb.ui.deliveries.deliveries_tab import Deliveries

__all__ = ["Deliveries"]
