"""Output: keep a value as a result."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from hooknb.paths import MISSING
from hooknb.workflow.nodes.functions import rendered
from hooknb.workflow.nodes.insertions import JSON_HINT
from hooknb.workflow.nodes.node import Context, Node, register

__all__ = ["Output"]


@register
class Output(Node, frozen=True, tag="output"):
    """Return a value as the node's result, with its templates filled.

    Attributes
    ----------
    value
        Any JSON value, with templates anywhere in it. A template that resolves to nothing becomes
        ``None``.
    """

    value: Annotated[Any, Meta(description=JSON_HINT, extra={"lines": 4})]

    prints: ClassVar[bool] = False
    edge_tone: ClassVar[str] = "value"
    rank: ClassVar[int] = 100

    @property
    def is_pure(self) -> bool:
        """Return True."""
        return True

    def line(self) -> tuple[Any, ...]:
        """Return the line of text in its box."""
        return (self.value,)

    async def run(self, context: Context) -> Any:
        """Fill the templates."""
        value = await rendered(self.value, context)
        return None if value is MISSING else value
