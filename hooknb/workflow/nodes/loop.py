"""Loop: run the same nodes for each element."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta
from msgspec.structs import force_setattr

from hooknb.errors import SettingError
from hooknb.expressions.templates import has_templates
from hooknb.paths import MISSING
from hooknb.workflow.nodes.fields import check_fields
from hooknb.workflow.nodes.functions import rendered
from hooknb.workflow.nodes.insertions import whole_number
from hooknb.workflow.nodes.node import Branch, Context, Node, register
from hooknb.workflow.nodes.tree import as_nodes

__all__ = ["Loop"]

_TURNS_AT_A_TIME: Final = 16  # then other tasks of the event loop get a turn


@register
class Loop(Node, frozen=True, tag="loop"):
    """Run nodes once for each element of a list, or a number of times.

    Inside, ``item`` is the element (for a number: 0, 1, 2, …) and ``index`` its position from 0.
    The result is the list of results of the last node of each iteration; afterwards the nodes'
    keys hold the results of the last iteration. A missing value and ``null`` mean no iterations.

    Attributes
    ----------
    over
        A list, a whole number from 0 up, or a template of either. An object is refused: its
        order has no meaning.
    nodes
        Run in each iteration, one iteration after the other.
    max_items
        The maximum number of iterations; more items are an error before the first one.
    """

    over: Annotated[
        Any,
        Meta(
            description="A list, a number, or a template",
            examples=["{{ body.items }}"],
            extra={"lines": 2},
        ),
    ]
    nodes: tuple[Node, ...]
    max_items: Annotated[
        int, Meta(ge=1, description="Turns at the most", extra={"is_rare": True})
    ] = 10_000

    prints: ClassVar[bool] = False
    edge_tone: ClassVar[str] = "turn"
    rank: ClassVar[int] = 70
    former_names: ClassVar[Mapping[str, str]] = {"most": "max_items"}

    def __post_init__(self) -> None:
        """Refuse a value that cannot be iterated over, and convert the list to nodes."""
        if not (isinstance(self.over, str) and has_templates(self.over)):
            if self.over is None or isinstance(self.over, str):
                raise SettingError(
                    "over",
                    f"{self.over!r} is neither a list nor a whole number nor a template "
                    "such as {{ body.items }}",
                )
            _elements(self.over)
        force_setattr(self, "nodes", as_nodes(self.nodes))
        check_fields(self)

    def below(self) -> dict[str, tuple[Node, ...]]:
        """Return the nodes of an iteration."""
        return {"nodes": self.nodes}

    def line(self) -> tuple[Any, ...]:
        """Return the line of text in its box."""
        return ("over ", self.over)

    def shown_shape(self) -> str:
        """Return ``frame``."""
        return "frame"

    def shown_branch(self, name: str) -> Branch:  # noqa: ARG002 - there is one
        """Return the label of its nodes."""
        return Branch("each turn")

    async def run(self, context: Context) -> list[Any]:
        """Run one iteration after the other."""
        elements = _elements(await rendered(self.over, context))
        # A range of a number beyond 64 bits has no `len`.
        turns = elements.stop if isinstance(elements, range) else len(elements)
        if turns > self.max_items:
            raise SettingError(
                "over", f"{turns:,} turns are more than {self.max_items:,}; set max_items= higher"
            )
        results = []
        # A copy, since a node's function may change the list.
        for index, item in enumerate(tuple(elements)):
            results.append(await context.inside(item=item, index=index).run(self.nodes))
            if index % _TURNS_AT_A_TIME == _TURNS_AT_A_TIME - 1:
                await asyncio.sleep(0)
        return results


def _elements(over: Any) -> Sequence[Any]:
    if over is MISSING or over is None:
        return ()
    if isinstance(over, (list, tuple)):
        return over
    number = whole_number(over)
    if number is None:
        raise SettingError(
            "over", f"{type(over).__name__} is neither a list nor a whole number from 0 up"
        )
    if number < 0:
        raise SettingError("over", f"{number} is below 0; a loop takes 0 turns or more")
    return range(number)
