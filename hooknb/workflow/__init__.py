"""Definitions as pure data: a workflow, its trigger, its nodes, and its revisions."""

from __future__ import annotations

from hooknb.workflow.workflow import (
    DEFAULT_MAX_BODY,
    Trigger,
    WebhookSettings,
    Workflow,
    define,
)

__all__ = ["DEFAULT_MAX_BODY", "Trigger", "WebhookSettings", "Workflow", "define"]
