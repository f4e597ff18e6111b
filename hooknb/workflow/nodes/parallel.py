"""Parallel: run branches at the same time."""

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

    The result is a list with the result of the last node of each branch; ``None`` for a branch
    that was cancelled or did not succeed.

    Attributes
    ----------
    branches
        Lists of nodes.
    mode
        ``all``: every branch must succeed. ``any``: the first success is enough. ``race``: the
        first branch to end decides, successful or not. Branches no longer needed are cancelled.
    """

    branches: Annotated[
        tuple[tuple[Node, ...], ...],
        Meta(description="How many run at the same time", extra={"kind": "branches"}),
    ]
    mode: Annotated[
        Literal["all", "any", "race"],
        Meta(description="all must succeed, any one is enough, or the first to end decides"),
    ] = "all"

    prints: ClassVar[bool] = False
    edge_tone: ClassVar[str] = "turn"
    rank: ClassVar[int] = 80

    def __post_init__(self) -> None:
        """Convert the lists to nodes."""
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
        """Return the line of text in its box."""
        return (f"{self.mode} of {len(self.branches)}",)

    def shown_branch(self, name: str) -> Branch:
        """Return the number of a branch."""
        return Branch(f"branch {int(name.partition('[')[2].rstrip(']')) + 1}")

    def closes(self) -> bool:
        """Whether the execution always ends in a branch that is needed."""
        return self.mode == "all" and any(map(closes, self.branches))

    async def run(self, context: Context) -> list[Any]:
        """Run the branches."""
        return await context.run_branches(self.branches, self.mode)
