"""Output: a value to be kept as a result."""

from __future__ import annotations

from typing import Any, ClassVar

from hooknb.paths import MISSING
from hooknb.workflow.nodes.base import Context, Form, Node, register
from hooknb.workflow.nodes.functions import rendered

__all__ = ["Output"]


@register
class Output(Node, frozen=True, tag="output"):
    """Return a value as the node's result, with its templates filled.

    Attributes
    ----------
    value
        Anything that JSON can hold, with templates anywhere inside. One that leads nowhere gives
        ``None``.
    """

    value: Any

    prints: ClassVar[bool] = False
    edge_tone: ClassVar[str] = "value"
    form_hints: ClassVar[Form] = {
        "value": {
            "lines": 4,
            "hint": "JSON, or text; templates such as {{ body.id }} are filled anywhere in it",
        }
    }

    @property
    def is_pure(self) -> bool:
        """Return true."""
        return True

    def line(self) -> tuple[Any, ...]:
        """Return what one line says of it."""
        return (self.value,)

    async def run(self, context: Context) -> Any:
        """Fill the templates."""
        value = await rendered(self.value, context)
        return None if value is MISSING else value
