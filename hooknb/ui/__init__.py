"""The panel: a hook to look at and to click on, with ipywidgets and anywidget."""

from __future__ import annotations

from hooknb.ui.panel import HookPanel
from hooknb.ui.panels import Panels

__all__ = ["HookPanel", "Panels"]
