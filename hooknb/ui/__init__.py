"""The panel: a graphical interface to hooks, built with ipywidgets and anywidget."""

from __future__ import annotations

from hooknb.ui.panel import HookPanel
from hooknb.ui.panels import Panels

__all__ = ["HookPanel", "Panels"]
