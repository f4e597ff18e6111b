"""Revisions: the versions of a workflow, and the changes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any

from hooknb.errors import SettingError
from hooknb.workflow.nodes import Node, walk
from hooknb.workflow.nodes.data import exactly_equal, settings_of
from hooknb.workflow.nodes.sources import is_function, name_of
from hooknb.workflow.notation import SETTINGS
from hooknb.workflow.workflow import Workflow

__all__ = ["Revision", "changes", "read_revisions"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Revision:
    """One version of a workflow.

    Attributes
    ----------
    number
        From 1; executions name it.
    created_at
        When it was first defined.
    workflow
        The definition; ``None`` if it cannot be read in this process, since a custom node type is
        not registered or has changed.
    changes
        The places in which it differs from the revision numbered one lower: ``body``,
        ``nodes[0].condition``, ``nodes: + total``; none for the first.
    """

    number: int
    created_at: datetime
    workflow: Workflow | None = field(repr=False)
    changes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show number, time and changes."""
        what = ", ".join(self.changes) or ("the first" if self.number == 1 else "no change")
        return f"<Revision {self.number}, {self.created_at:%Y-%m-%d %H:%M:%S}: {what}>"


def read_revisions(
    rows: Iterable[tuple[int, datetime, bytes]],
    known: Mapping[tuple[str, str], Callable[..., Any]] | None = None,
) -> list[Revision]:
    """Return revisions from the rows of :meth:`hooknb.store.Store.revisions`, oldest first.

    Parameters
    ----------
    known
        See :meth:`hooknb.Workflow.decode`.
    """
    revisions: list[Revision] = []
    before: Workflow | None = None
    for number, created_at, data in rows:
        changed: tuple[str, ...] = ()
        workflow: Workflow | None = None
        try:
            workflow = Workflow.decode(data, known=known)
        except SettingError as error:
            changed = (f"cannot be read: {error}",)
        if workflow is not None and before is not None:
            changed = changes(before, workflow)
        revisions.append(
            Revision(number=number, created_at=created_at, workflow=workflow, changes=changed)
        )
        before = workflow or before
    return revisions


def changes(before: Workflow, after: Workflow) -> tuple[str, ...]:
    """Return the places in which two definitions differ.

    A setting is given by name, a field of ``response`` or of a node by its place in ``after``
    (``nodes[0].yes[1].body``). Nodes are matched by key: ``nodes: + total`` was added,
    ``nodes: - old`` removed, ``nodes: total moved`` moved. Secrets are left out.
    """
    found: list[str] = []
    one, other = before.settings(), after.settings()
    for name in SETTINGS:
        if name == "response":
            pair = before.trigger.response, after.trigger.response
            found += [f"response.{place}" for place in _fields(*pair)]
        elif name == "nodes":
            found += _nodes(before.nodes, after.nodes)
        elif not exactly_equal(one.get(name), other.get(name)):
            found.append(name)
    return tuple(found)


def _fields(before: Node, after: Node) -> list[str]:
    """Return the fields in which two nodes with the same key differ, without nodes below."""
    one, other = settings_of(_alone(before)), settings_of(_alone(after))
    for settings in (one, other):
        if "source" in settings and is_function(settings.get("function")):
            settings["function"] = name_of(settings["function"])  # the source is compared too
    return [
        name
        for name in after.__struct_fields__
        if (name in one or name in other) and not exactly_equal(one.get(name), other.get(name))
    ]


def _alone(node: Node) -> Node:
    try:
        return node.without_below()
    except SettingError:  # a custom type that requires nodes below
        return node


@dataclass(frozen=True)
class _Stand:
    """The position of a node: the node above it, the list there, and the list's place."""

    node: Node
    above: str
    list: str
    place: str

    @property
    def parent(self) -> tuple[str, str]:
        return self.above, self.list


def _stands(
    nodes: tuple[Node, ...], above: str = "", list_name: str = "nodes", place: str = "nodes"
) -> dict[str, _Stand]:
    stands: dict[str, _Stand] = {}
    for index, node in enumerate(nodes):
        stands[node.key] = _Stand(node, above, list_name, place)
        for name, below in node.below().items():
            stands |= _stands(below, node.key, name, f"{place}[{index}].{name}")
    return stands


def _nodes(before: tuple[Node, ...], after: tuple[Node, ...]) -> list[str]:
    old, new = _stands(before), _stands(after)
    places = {node.key: place for place, node in walk(after)}
    moved = _moved(old, new)
    found: list[str] = []
    for key, stand in new.items():
        if key not in old:
            found.append(f"{stand.place}: + {key}")
            continue
        if key in moved:
            found.append(f"{stand.place}: {key} moved")
        was = old[key].node
        if type(was) is not type(stand.node):
            found.append(f"{places[key]}.type")
        else:
            found += [f"{places[key]}.{name}" for name in _fields(was, stand.node)]
    found += [f"{stand.place}: - {key}" for key, stand in old.items() if key not in new]
    return found


def _moved(old: dict[str, _Stand], new: dict[str, _Stand]) -> set[str]:
    """Return the nodes now in another list, or reordered within their list."""
    both = [key for key in new if key in old]
    moved = {key for key in both if old[key].parent != new[key].parent}
    for parent in {stand.parent for stand in new.values()}:
        now = [key for key in both if new[key].parent == parent and key not in moved]
        was = [key for key in old if key in set(now)]
        stayed = {
            key
            for block in SequenceMatcher(None, was, now, autojunk=False).get_matching_blocks()
            for key in now[block.b : block.b + block.size]
        }
        moved |= set(now) - stayed
    return moved
