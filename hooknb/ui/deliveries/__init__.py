"""The Deliveries tab: the live list, and the details of the chosen delivery."""

from __future__ import annotations

from hooknb.ui.deliveries.deliveries_tab import Deliveries

__all__ = ["Deliveries"]
