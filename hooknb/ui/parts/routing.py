"""Where the kernel hears what a browser says to a widget: also while a cell runs."""

from __future__ import annotations

from typing import Any

__all__ = ["heard_during_cells"]


def heard_during_cells(widget: Any) -> None:
    """Let a widget hear its messages on the subshell that the browser names in them.

    From 7.4 on ipykernel sends them to the shell that published on the widget last. That is the
    main one after a cell or a thread did, and there they wait for the cell that runs: for a
    ``hook.wait()``, say, which waits for the very test that a click would send. Where ipykernel has
    no such rule nothing changes, and where there are no subshells the browser names none.
    """
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = _named


def _named(_data: Any, subshell: str | None) -> str | None:
    return subshell
