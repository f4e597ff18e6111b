"""The Trigger tab: the trigger's settings as forms."""

from __future__ import annotations

from hooknb.ui.trigger.trigger_tab import TriggerTab

__all__ = ["TriggerTab"]
