"""The Python tab: the code that creates the hook, and its JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hooknb.errors import HooknbError
from hooknb.ui.parts.part import Part

if TYPE_CHECKING:
    from hooknb.ui.panel import HookPanel
    from hooknb.workflow import Workflow

__all__ = ["PythonTab"]


class PythonTab(Part):
    """``hook.workflow.to_python()`` and ``hook.workflow.to_json()``, to copy.

    Run in a cell, the code serves this same revision, without creating a new one. The password is
    in neither; the code asks for it.
    """

    title = "Python"
    module = "python_tab.js"

    def __init__(self, panel: HookPanel) -> None:
        self._panel = panel
        self._said: Workflow | None = None
        super().__init__(lock=panel.lock)

    def opened(self) -> None:
        """Send both texts."""
        hook = self._panel.hook
        self._said = workflow = hook.workflow
        try:
            python, note = workflow.to_python(), ""
        except HooknbError as error:
            python, note = "", str(error)
        self.say("code", python=python, json=workflow.to_json(), note=note, revision=hook.revision)

    def publish(self) -> int:
        """Send both texts if there is another revision."""
        if self._panel.hook.workflow is self._said:
            return 0
        self.opened()
        return 1
