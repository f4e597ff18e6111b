"""Where nodes stand: a tree of frozen nodes with one added, replaced, moved or removed.

Every function gives a new tree. Nodes are addressed by key; the list that one stands in is
addressed by the node above it and the name that :meth:`hooknb.Node.below` has for the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from hooknb.errors import SettingError
from hooknb.workflow.nodes import Node, walk

__all__ = [
    "Nodes",
    "Place",
    "added",
    "located",
    "moved",
    "place_of",
    "removed",
    "replaced",
]

Nodes: TypeAlias = tuple[Node, ...]


class Place(NamedTuple):
    """Where a node stands.

    Attributes
    ----------
    parent
        The key of the node above it, or ``None`` in the workflow's own list.
    branch
        The name of the list below that node: ``yes``, ``cases[0].nodes``; ``None`` likewise.
    at
        Its position in that list.
    """

    parent: str | None = None
    branch: str | None = None
    at: int = 0


def located(nodes: Nodes, key: str) -> tuple[str, Node]:
    """Return the node of that key, with its place as errors name it: ``nodes[1].yes[0]``.

    Raises
    ------
    SettingError
        There is none.
    """
    for where, node in walk(nodes):
        if node.key == key:
            return where, node
    raise _unknown(key)


def place_of(nodes: Nodes, key: str) -> Place:
    """Tell where the node of that key stands."""
    found = _place_of(nodes, key, None, None)
    if found is None:
        raise _unknown(key)
    return found


def added(nodes: Nodes, place: Place, node: Node) -> Nodes:
    """Put a node into a list, at its end where the position is beyond it.

    A node that has no branches yet gets them with the first node that is put into one.

    Raises
    ------
    SettingError
        There is no such list, or the node above does not take the node.
    """
    parent, branch, index = place
    if parent is None:
        return _inserted(nodes, index, node)
    where, above = located(nodes, parent)
    below = above.possible_below()
    if branch not in below:
        known = ", ".join(below) or "none"
        raise SettingError(where, f"it has no branch {branch!r}; it has {known}")
    lists = below | {branch: _inserted(below[branch], index, node)}
    return replaced(nodes, parent, _with_below(above, lists, where))


def replaced(nodes: Nodes, key: str, node: Node) -> Nodes:
    """Put another node where the node of that key stands."""
    return _changed(nodes, key, lambda row, at: (*row[:at], node, *row[at + 1 :]))


def removed(nodes: Nodes, key: str) -> Nodes:
    """Take a node out, and all that is below it."""
    return _changed(nodes, key, lambda row, at: (*row[:at], *row[at + 1 :]))


def moved(nodes: Nodes, key: str, by: int) -> Nodes:
    """Move a node within its list, as far as its ends."""

    def change(row: Nodes, at: int) -> Nodes:
        others = (*row[:at], *row[at + 1 :])
        return _inserted(others, max(0, at + by), row[at])

    return _changed(nodes, key, change)


# -- inside
# -----------------------------------------------------------------------------------------------


def _unknown(key: str) -> SettingError:
    return SettingError("nodes", f"there is no node {key!r}; it may have been removed")


def _place_of(nodes: Nodes, key: str, parent: str | None, branch: str | None) -> Place | None:
    for index, node in enumerate(nodes):
        if node.key == key:
            return Place(parent, branch, index)
        for name, below in node.below().items():
            found = _place_of(below, key, node.key, name)
            if found is not None:
                return found
    return None


def _inserted(nodes: Nodes, index: int, node: Node) -> Nodes:
    index = max(0, index)
    return (*nodes[:index], node, *nodes[index:])


def _changed(nodes: Nodes, key: str, change: Callable[[Nodes, int], Nodes]) -> Nodes:
    """Change the list that a node stands in, and the nodes above it."""
    changed = _changed_below(nodes, key, change, "nodes")
    if changed is None:
        raise _unknown(key)
    return changed


def _changed_below(
    nodes: Nodes, key: str, change: Callable[[Nodes, int], Nodes], where: str
) -> Nodes | None:
    for index, node in enumerate(nodes):
        if node.key == key:
            return change(nodes, index)
        here = f"{where}[{index}]"
        below = node.below()
        for name, branch in below.items():
            changed = _changed_below(branch, key, change, f"{here}.{name}")
            if changed is not None:
                made = _with_below(node, below | {name: changed}, here)
                return (*nodes[:index], made, *nodes[index + 1 :])
    return None


def _with_below(node: Node, lists: Mapping[str, Nodes], where: str) -> Node:
    try:
        return node.with_below(lists)
    except SettingError as error:
        raise SettingError(f"{where}.{error.setting}", error.problem) from error
