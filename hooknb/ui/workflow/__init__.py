"""The Workflow tab: the flow as a picture, and the forms of its nodes."""

from __future__ import annotations

from hooknb.ui.workflow.workflow_tab import WorkflowTab

__all__ = ["WorkflowTab"]
