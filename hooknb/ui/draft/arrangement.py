"""Edits of a tree of frozen nodes: add, replace, move or remove a node.

Every edit returns a new tree. Nodes are addressed by key; a list of nodes by the key of the node
above it and the name of the list in :meth:`hooknb.Node.below`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from hooknb.errors import SettingError
from hooknb.workflow.nodes import Node, walk

__all__ = ["Nodes", "Place", "added", "located", "moved", "place_of", "removed", "replaced"]

Nodes: TypeAlias = tuple[Node, ...]


class Place(NamedTuple):
    """The position of a node in the tree.

    Attributes
    ----------
    parent
        The key of the node above it; ``None`` at the top level.
    branch
        The name of the list below that node: ``yes``, ``cases[0].nodes``; ``None`` at the top
        level.
    at
        Its position in that list.
    """

    parent: str | None = None
    branch: str | None = None
    at: int = 0


def located(nodes: Nodes, key: str) -> tuple[str, Node]:
    """Return the node with this key and its place as errors name it: ``nodes[1].yes[0]``.

    This and the functions below raise a :class:`SettingError` if there is no such node.
    """
    for where, node in walk(nodes):
        if node.key == key:
            return where, node
    raise _unknown(key)


def place_of(nodes: Nodes, key: str) -> Place:
    """Return the place of the node with this key."""
    lists: list[tuple[str | None, str | None, Nodes]] = [(None, None, nodes)]
    for parent, branch, row in lists:  # grows during the iteration
        for at, node in enumerate(row):
            if node.key == key:
                return Place(parent, branch, at)
            lists += [(node.key, name, below) for name, below in node.below().items()]
    raise _unknown(key)


def added(nodes: Nodes, place: Place, node: Node) -> Nodes:
    """Insert a node into a list; a position beyond its end appends.

    A branch that is not there yet is made with its first node.

    Raises
    ------
    SettingError
        There is no such list, or the node above does not accept the node.
    """
    at = max(0, place.at)
    return _changed(nodes, place, lambda row: (*row[:at], node, *row[at:]))


def replaced(nodes: Nodes, key: str, node: Node) -> Nodes:
    """Replace the node with this key."""
    place = place_of(nodes, key)
    at = place.at
    return _changed(nodes, place, lambda row: (*row[:at], node, *row[at + 1 :]))


def removed(nodes: Nodes, key: str) -> Nodes:
    """Remove a node with everything below it."""
    place = place_of(nodes, key)
    at = place.at
    return _changed(nodes, place, lambda row: (*row[:at], *row[at + 1 :]))


def moved(nodes: Nodes, key: str, by: int) -> Nodes:
    """Move a node within its list, at most to its ends."""
    place = place_of(nodes, key)

    def change(row: Nodes) -> Nodes:
        others = [*row[: place.at], *row[place.at + 1 :]]
        others.insert(max(0, place.at + by), row[place.at])
        return tuple(others)

    return _changed(nodes, place, change)


def _unknown(key: str) -> SettingError:
    return SettingError("nodes", f"there is no node {key!r}; it may have been removed")


def _changed(nodes: Nodes, place: Place, change: Callable[[Nodes], Nodes]) -> Nodes:
    """Change the list of a place, and rebuild the nodes above it."""
    if place.parent is None:
        return change(nodes)
    where, above = located(nodes, place.parent)
    below = above.possible_below()
    if place.branch not in below:
        known = ", ".join(below) or "none"
        raise SettingError(where, f"it has no branch {place.branch!r}; it has {known}")
    try:
        made = above.with_below(below | {place.branch: change(below[place.branch])})
    except SettingError as error:
        raise SettingError(f"{where}.{error.setting}", error.problem) from error
    return replaced(nodes, place.parent, made)
