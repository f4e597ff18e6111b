"""Calculation: the value of an expression."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from hooknb.expressions import compile_expression
from hooknb.workflow.nodes.functions import value_of
from hooknb.workflow.nodes.node import Context, Node, register

__all__ = ["Calculation"]


@register
class Calculation(Node, frozen=True, tag="calculation"):
    """Evaluate an expression in CEL; its value is the result.

    Attributes
    ----------
    expression
        ``double(body.amount) * 1.25``. It sees ``headers``, ``query``, ``body``, ``nodes``,
        ``env`` and ``now``, and inside a loop also ``item`` and ``index``.
    """

    expression: Annotated[
        str,
        Meta(
            description="CEL; it sees headers, query, body, nodes, env and now, in a loop item and "
            "index",
            examples=["double(body.amount) * 1.25"],
            extra={"lines": 2},
        ),
    ]

    prints: ClassVar[bool] = False
    edge_tone: ClassVar[str] = "value"
    rank: ClassVar[int] = 40

    def __post_init__(self) -> None:
        """Refuse an expression that is not valid CEL."""
        compile_expression(self.expression)

    @property
    def is_pure(self) -> bool:
        """Return True."""
        return True

    def line(self) -> tuple[Any, ...]:
        """Return the line of text in its box."""
        return (self.expression,)

    async def run(self, context: Context) -> Any:
        """Evaluate the expression; return its value."""
        return await value_of(self.expression, context)
