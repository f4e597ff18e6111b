"""End: end the execution."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from msgspec import Meta

from hooknb.workflow.nodes.fields import check_fields
from hooknb.workflow.nodes.insertions import rendered_text
from hooknb.workflow.nodes.node import Context, Node, register

__all__ = ["End", "Ending"]

Ending: TypeAlias = Literal["resolved", "failed"]
"""The statuses with which a node may end an execution."""


@register
class End(Node, frozen=True, tag="end"):
    """End the execution, even from inside branches and loops.

    Attributes
    ----------
    status
        ``resolved`` or ``failed``.
    reason
        The reason in the execution's record; may contain templates.
    """

    status: Annotated[Ending, Meta(title="ends as")] = "resolved"
    reason: Annotated[
        str | None,
        Meta(
            description="The reason in the execution's record; templates work",
            extra={"lines": 2, "mono": False},
        ),
    ] = None

    prints: ClassVar[bool] = False
    rank: ClassVar[int] = 110

    def __post_init__(self) -> None:
        """Refuse another status."""
        check_fields(self)

    @property
    def is_pure(self) -> bool:
        """Return True."""
        return True

    def line(self) -> tuple[Any, ...]:
        """Return the line of text in its box."""
        return (f"{self.status}{f': {self.reason}' if self.reason else ''}",)

    def shown_tone(self) -> str:
        """Return the tone of its status."""
        return "ok" if self.status == "resolved" else "bad"

    def closes(self) -> bool:
        """Return True."""
        return True

    async def run(self, context: Context) -> None:
        """End the execution."""
        reason = None if self.reason is None else rendered_text(context, self.reason)
        context.end(self.status, reason or None)
