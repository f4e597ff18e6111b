"""Parallel: branches at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import msgspec
from msgspec.structs import force_setattr

from hooknb.errors import SettingError
from hooknb.workflow.nodes.base import Context, Form, Node, register
from hooknb.workflow.nodes.tree import as_nodes

__all__ = ["Parallel"]

_MODES: Final = ("all", "any", "race")


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

    branches: tuple[tuple[Node, ...], ...]
    mode: str = "all"

    prints: ClassVar[bool] = False
    edge_tone: ClassVar[str] = "turn"
    form_hints: ClassVar[Form] = {
        "branches": {"kind": "branches", "lines": 1, "hint": "How many run at the same time"},
        "mode": {
            "kind": "choice",
            "choices": ("all", "any", "race"),
            "hint": "all must end well, any one is enough, or the first to end decides",
        },
    }

    def __post_init__(self) -> None:
        """Make nodes of the lists."""
        given = self.branches
        if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
            raise SettingError("branches", "write a list of lists of nodes")
        lists = tuple(as_nodes(item, f"branches[{index}]") for index, item in enumerate(given))
        if not lists:
            raise SettingError("branches", "there is none; write at least one list of nodes")
        force_setattr(self, "branches", lists)
        if self.mode not in _MODES:
            raise SettingError("mode", f"{self.mode!r} is not one of {', '.join(_MODES)}")

    def below(self) -> dict[str, tuple[Node, ...]]:
        """Return the branches by position."""
        return {f"branches[{index}]": nodes for index, nodes in enumerate(self.branches)}

    def with_below(self, lists: Mapping[str, tuple[Node, ...]]) -> Parallel:
        """Return the same node with other branches."""
        return msgspec.structs.replace(self, branches=tuple(lists.values()))

    def line(self) -> tuple[Any, ...]:
        """Return what one line says of it."""
        return (f"{self.mode} of {len(self.branches)}",)

    async def run(self, context: Context) -> list[Any]:
        """Run them."""
        return await context.settle(self.branches, self.mode)
