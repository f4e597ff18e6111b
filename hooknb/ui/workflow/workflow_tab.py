"""The Workflow tab: the flow as a picture, and the forms of its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets

from hooknb.ui.draft.bar import Bar
from hooknb.ui.workflow import picture
from hooknb.ui.workflow.editor import NodeEditor
from hooknb.ui.workflow.picture import Flow

if TYPE_CHECKING:
    from hooknb.ui.panel import HookPanel

__all__ = ["WorkflowTab"]


class WorkflowTab(ipywidgets.VBox):  # type: ignore[misc]
    """The draft's nodes: a picture of them, and forms that add, edit, move and remove them.

    The draft is served only once it is applied.

    Parameters
    ----------
    panel
        The panel that it is part of.

    Attributes
    ----------
    flow
        The picture.
    editor
        The form of the chosen node.
    bar
        *Apply*, *Discard*, and the problems of the draft.
    """

    title = "Workflow"

    def __init__(self, panel: HookPanel) -> None:
        self._panel = panel
        self.flow = Flow(panel)
        self.editor = NodeEditor(panel, self.flow.mark, self.flow.enter)
        self.bar = Bar(panel, before=self.editor.write_typed)
        self.bar.discard.on_click(self._discarded)
        split = ipywidgets.Box([self.flow, self.editor])
        split.add_class("hk-flow-split")
        super().__init__(children=[split, self.bar])
        self.add_class("hk-workflow")
        self._refresh()

    def draft_changed(self) -> None:
        """Show the draft; the caller holds the lock."""
        self.editor.follow()
        self.flow.redraw()
        # The path depends on the nodes that are drawn.
        self.flow.follow()
        self._refresh()

    def revised(self) -> None:
        """Show the hook's new revision; an edited draft is kept."""
        self._panel.draft.follow(self._panel.hook.workflow)
        self.draft_changed()

    def _discarded(self, _button: Any) -> None:
        with self._panel.lock:
            self.editor.close_form()

    def _refresh(self) -> None:
        draft = self._panel.draft
        said = picture.changes(draft.nodes, draft.base.nodes)
        if draft.changed and not said:
            said = "the trigger was changed"
        self.bar.refresh(said)
