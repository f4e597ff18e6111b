"""Trees of nodes: built from Python or JSON, traversed, and given keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hooknb.errors import SettingError
from hooknb.workflow.nodes.code import Code
from hooknb.workflow.nodes.data import as_own, to_data
from hooknb.workflow.nodes.fields import check_fields, convert_fields
from hooknb.workflow.nodes.node import Node, node_types

__all__ = ["as_nodes", "build_node", "masked_nodes", "walk", "with_keys"]


def as_nodes(items: Any, place: str = "nodes") -> tuple[Node, ...]:
    """Convert a list to nodes: bare functions to Code nodes, JSON objects to their type.

    Raises
    ------
    SettingError
        The error names the place: ``nodes[1].yes[0].status: 99 is not a status code, …``.
    """
    if isinstance(items, (str, bytes, dict)) or not isinstance(items, Iterable):
        raise SettingError(place, "write a list of nodes or functions of the context")
    nodes = []
    for index, item in enumerate(items):
        here = f"{place}[{index}]"
        if isinstance(item, dict):
            nodes.append(build_node(item, here))
        elif isinstance(item, Node):
            nodes.append(item)
        elif (ours := _ours(item)) is not None:
            nodes.append(ours)
        elif callable(item) and not isinstance(item, type):
            nodes.append(Code(item))
        else:
            raise SettingError(here, f"{item!r} is neither a node nor a function")
        check_fields(nodes[-1], here)
    return tuple(nodes)


def _ours(item: Any) -> Node | None:
    kind = node_types().get(getattr(item, "type_name", ""))
    return None if kind is None else as_own(item, kind)


def build_node(data: dict[str, Any], place: str) -> Node:
    """Build a node from a JSON object whose ``type`` names the node type.

    Raises
    ------
    SettingError
        The error names the place, as in :func:`as_nodes`.
    """
    name = data.get("type")
    kind = node_types().get(name) if isinstance(name, str) else None
    if kind is None:
        known = ", ".join(sorted(node_types()))
        raise SettingError(f"{place}.type", f"{name!r} is not one of {known}")
    fields = {
        kind.former_names.get(name, name): value for name, value in data.items() if name != "type"
    }
    unknown = [name for name in fields if name not in kind.__struct_fields__]
    if unknown:
        known = ", ".join(kind.__struct_fields__)
        raise SettingError(f"{place}.{unknown[0]}", f"a {name} node has {known}")
    fields = convert_fields(kind, fields, place)
    try:
        return kind(**fields)
    except SettingError as error:
        raise SettingError(f"{place}.{error.setting}", error.problem) from error
    except TypeError as error:
        raise SettingError(place, str(error)) from error


def walk(nodes: Iterable[Node], place: str = "nodes") -> Iterator[tuple[str, Node]]:
    """Yield each node of a tree with its place, parents first."""
    for index, node in enumerate(nodes):
        here = f"{place}[{index}]"
        yield here, node
        for name, branch in node.below().items():
            yield from walk(branch, f"{here}.{name}")


def masked_nodes(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return a tree of nodes with all credentials masked."""
    made = []
    for node in nodes:
        masked, below = node.masked(), node.below()
        if below:
            masked = masked.with_below({name: masked_nodes(b) for name, b in below.items()})
        made.append(masked)
    return tuple(made)


def with_keys(nodes: tuple[Node, ...], before: Iterable[Node] = ()) -> tuple[Node, ...]:
    """Return a tree in which every node has a unique key.

    Parameters
    ----------
    nodes
        Nodes with and without keys. The first of several nodes with the same key keeps it.
    before
        The nodes of the previous revision. A node equal to one of them, or in the place of one of
        its type, takes over its key, so that results and jobs stay comparable.
    """
    old = list(walk(before))
    given: set[str] = set()
    without: list[tuple[str, Node]] = []
    for place, node in walk(nodes):
        if not node.key or node.key in given:
            without.append((place, node))
        else:
            given.add(node.key)
    chosen = _kept(
        without, {node.key: (place, node) for place, node in old if node.key not in given}
    )
    taken = given | {node.key for _, node in old} | set(chosen.values())
    seen: set[str] = set()
    for place, node in walk(nodes):
        wanted = chosen.get(place) or node.key or _first_free(node.type_name, taken)
        if wanted in seen:
            wanted = _first_free(wanted, taken | seen)
        chosen[place] = wanted
        seen.add(wanted)
        taken.add(wanted)
    return _renamed(nodes, chosen, "nodes")


def _kept(without: list[tuple[str, Node]], free: dict[str, tuple[str, Node]]) -> dict[str, str]:
    """Choose keys of the previous revision for nodes without: by content, then by place."""
    content = {key: _content(node) for key, (_, node) in free.items()}
    chosen: dict[str, str] = {}
    for by_content in (True, False):
        for place, node in without:
            if place in chosen:
                continue
            for key, (old_place, old) in free.items():
                if (
                    content[key] == _content(node)
                    if by_content
                    else old_place == place and type(old) is type(node)
                ):
                    chosen[place] = key
                    del free[key]
                    break
    return chosen


def _first_free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _renamed(nodes: tuple[Node, ...], keys: dict[str, str], place: str) -> tuple[Node, ...]:
    renamed = []
    for index, node in enumerate(nodes):
        here = f"{place}[{index}]"
        branches = node.below()
        if branches:
            below = {n: _renamed(b, keys, f"{here}.{n}") for n, b in branches.items()}
            node = node.with_below(below)  # noqa: PLW2901 - the same node, with its branches
        renamed.append(
            node if node.key == keys[here] else msgspec.structs.replace(node, key=keys[here])
        )
    return tuple(renamed)


def _content(node: Node) -> Any:
    """Return the content of a node, without its key and the nodes below it."""
    data = to_data(node.without_below())
    data.pop("key", None)
    return data | {place: [_content(n) for n in b] for place, b in node.below().items()}
