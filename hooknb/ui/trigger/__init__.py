"""The tab of the trigger: its settings as forms."""

from __future__ import annotations

from hooknb.ui.trigger.trigger_tab import TriggerTab

__all__ = ["TriggerTab"]
