"""Parallel: branches at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from hooknb.errors import SettingError
from hooknb.workflow.nodes.fields import check_fields
from hooknb.workflow.nodes.node import Branch, Context, Node, closes, register
from hooknb.workflow.nodes.tree import as_nodes

__all__ = ["Parallel"]


@register
class Parallel(Node, frozen=True, tag="parallel"):
    """Run branches at the same time.

    The result is a list with what the last node of each branch gave, ``None`` for a branch that
    was not needed any more or did not end well.

    Attributes
    ----------
    branches
        Lists of nodes.
    mode
        ``all``: every branch must end well. ``any``: the first that ends well is enough.
        ``race``: the first that ends decides, well or not. Branches that are not needed any more
        are cancelled.
    """

    branches: Annotated[
        tuple[tuple[Node, ...], ...],
        Meta(description="How many run at the same time", extra={"kind": "branches"}),
    ]
    mode: Annotated[
        Literal["all", "any", "race"],
        Meta(description="all must end well, any one is enough, or the first to end decides"),
    ] = "all"

    prints: ClassVar[bool] = False
    edge_tone: ClassVar[str] = "turn"
    rank: ClassVar[int] = 80

    def __post_init__(self) -> None:
        """Make nodes of the lists."""
        given = self.branches
        if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
            raise SettingError("branches", "write a list of lists of nodes")
        lists = tuple(as_nodes(item, f"branches[{index}]") for index, item in enumerate(given))
        if not lists:
            raise SettingError("branches", "there is none; write at least one list of nodes")
        force_setattr(self, "branches", lists)
        check_fields(self)

    def below(self) -> dict[str, tuple[Node, ...]]:
        """Return the branches by position."""
        return {f"branches[{index}]": nodes for index, nodes in enumerate(self.branches)}

    def with_below(self, lists: Mapping[str, tuple[Node, ...]]) -> Parallel:
        """Return the same node with other branches."""
        return msgspec.structs.replace(self, branches=tuple(lists.values()))

    def line(self) -> tuple[Any, ...]:
        """Return what one line says of it."""
        return (f"{self.mode} of {len(self.branches)}",)

    def shown_branch(self, name: str) -> Branch:
        """Return the number of a branch."""
        return Branch(f"branch {int(name.partition('[')[2].rstrip(']')) + 1}")

    def closes(self) -> bool:
        """Whether the execution ends in a branch that is needed: one that responds ends all."""
        return self.mode == "all" and any(map(closes, self.branches))

    async def run(self, context: Context) -> list[Any]:
        """Run them."""
        return await context.run_branches(self.branches, self.mode)
