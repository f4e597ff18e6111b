"""What every node type shares, and the register in which types are found by name.

A node type is a frozen struct (its fields are its settings) with a coroutine ``run``. The
built-in types are made in the same way as anybody's own::

    @register
    class Double(Node, frozen=True, kw_only=True, tag="double"):
        path: str

        async def run(self, context):
            return 2 * paths.get(context.body, self.path)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from hooknb.errors import SettingError

__all__ = ["Context", "Node", "node_types", "register"]


class Context(Protocol):
    """What a node may use of the execution that runs it; :class:`hooknb.Context` is one."""

    @property
    def nodes(self) -> dict[str, Any]:
        """The results of the nodes that have run, by key."""

    async def in_worker(self, function: Callable[[Any], Any]) -> Any:
        """Call ``function(context)`` on a worker thread and wait for what it returns."""

    async def run(self, nodes: Sequence[Node]) -> None:
        """Run a branch, one node after the other."""

    def respond(self, status: int, headers: dict[str, str], body: Any) -> None:
        """Answer the caller and end the execution as resolved."""


class Node(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """One configured step of a workflow.

    Attributes
    ----------
    key
        Under which later nodes see its result; unique in its workflow.
    """

    key: str = ""

    type_name: ClassVar[str] = "node"

    async def run(self, context: Any) -> Any:  # noqa: ARG002 - what types of one's own get
        """Do the node's work on the server's loop, and give its result.

        Parameters
        ----------
        context
            The execution's :class:`Context`.
        """
        raise SettingError(type(self).__name__, "this node type has no `async def run`; write one")


_types: dict[str, type[Node]] = {}

NodeType = TypeVar("NodeType", bound=type[Node])


def register(node_type: NodeType) -> NodeType:
    """Make a node type known under its ``tag``; usable as a class decorator.

    Registering another class of the same module and name (a cell that was run again) takes the
    place of the first.
    """
    tag = node_type.__struct_config__.tag
    if not isinstance(tag, str):
        raise SettingError(node_type.__name__, "a node type needs a name: write tag='…'")
    known = _types.get(tag)
    if known is not None and (known.__module__, known.__qualname__) != (
        node_type.__module__,
        node_type.__qualname__,
    ):
        raise SettingError(
            node_type.__name__, f"the name {tag!r} is taken by {known.__module__}.{known.__name__}"
        )
    node_type.type_name = tag
    _types[tag] = node_type
    return node_type


def node_types() -> dict[str, type[Node]]:
    """Give the registered types by name."""
    return dict(_types)
