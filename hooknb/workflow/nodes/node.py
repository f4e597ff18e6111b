"""The base class of node types, and the registry of types by name.

A node type is a frozen struct (its fields are its settings) with a coroutine ``run``. Built-in and
custom types are defined the same way::

    @hooknb.register
    class Double(hooknb.Node, frozen=True, tag="double"):
        path: str

        async def run(self, context):
            return 2 * context.render("{{ " + self.path + " }}")
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import msgspec

from hooknb.errors import SettingError
from hooknb.records import Delivery, ReceivedRequest
from hooknb.workflow.nodes.data import exactly_equal, settings_of
from hooknb.workflow.nodes.secrets import masked_fields, masked_url

__all__ = ["Branch", "Context", "Node", "closes", "node_types", "register"]


class Branch(NamedTuple):
    """How the picture of a workflow shows a list of nodes below another node.

    Attributes
    ----------
    label
        Its label.
    counted
        The result of the node by which its runs are counted; ``""`` if they are not counted.
    why
        The condition that leads into it: text, or a value to format.
    tone
        The tone of its label: ``ok``, ``warn``, or ``""`` for none.
    """

    label: str
    counted: str = ""
    why: Any = ""
    tone: str = ""


class Context(Protocol):
    """The interface of an execution to its nodes; :class:`hooknb.Context` implements it."""

    @property
    def request(self) -> ReceivedRequest:
        """The request that was received."""

    @property
    def delivery(self) -> Delivery:
        """The request that started the execution."""

    @property
    def nodes(self) -> dict[str, Any]:
        """The results of the nodes that have run, by key."""

    @property
    def scope(self) -> Mapping[str, Any]:
        """The root names that templates and expressions see."""

    def render(self, value: Any) -> Any:
        """Fill the templates anywhere in a value; one that resolves to nothing is ``MISSING``."""

    async def in_worker(self, function: Callable[[Any], Any]) -> Any:
        """Call ``function(context)`` on a worker thread; return its value."""

    async def run(self, nodes: Sequence[Node]) -> Any:
        """Run a branch, one node after the other; return the result of the last one."""

    def inside(self, **roots: Any) -> Self:
        """Return a context with more root names (``item``, ``index``), for one iteration."""

    async def run_branches(self, branches: Sequence[Sequence[Node]], mode: str) -> list[Any]:
        """Run branches at the same time; see :class:`hooknb.Parallel`."""

    def respond(self, response: Any) -> None:
        """Respond to the caller and end the execution as resolved."""

    def end(self, status: str, reason: str | None = None, result: Any = None) -> None:
        """End the execution as ``resolved`` or ``failed``; does not return."""

    def fetch(self, **request: Any) -> Awaitable[Any]:
        """Send an HTTP request; see :class:`hooknb.Request`."""


class Node(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """One configured step of a workflow.

    Attributes
    ----------
    key
        The name under which later nodes see its result; unique in its workflow. If none is given,
        the workflow chooses one and keeps it from revision to revision.
    """

    key: str = ""

    type_name: ClassVar[str] = "node"

    prints: ClassVar[bool] = True
    """Whether running it may print; the output is then kept in its job."""

    edge_tone: ClassVar[str] = "own"
    """The tone of its edge in the picture of a workflow: the suffix of a CSS class."""

    rank: ClassVar[int] = 100
    """The rank of its type in the panel's list of types, the lowest first."""

    needs_caller: ClassVar[bool] = False
    """Whether it needs a waiting caller, so that only synchronous workflows may contain it."""

    secret_fields: ClassVar[tuple[str, ...]] = ()
    """The settings that may contain credentials; see :meth:`masked_setting`."""

    former_names: ClassVar[Mapping[str, str]] = {}
    """Former names of settings, found in stored definitions, and their current names."""

    def __eq__(self, other: object) -> bool:
        """Compare as data: functions by name and source, ``1`` and ``True`` are not equal."""
        if type(self) is not type(other):
            return NotImplemented
        return self is other or exactly_equal(self, other)

    def __hash__(self) -> int:
        """Hash by type and key; settings may be lists and objects."""
        return hash((self.type_name, self.key))

    def __repr__(self) -> str:
        """Show the settings, with credentials masked."""
        return super(Node, self.masked()).__repr__()

    def __rich_repr__(self) -> Any:
        """Yield the same for rich."""
        masked = self.masked()
        return [(name, getattr(masked, name)) for name in masked.__struct_fields__]

    def masked(self) -> Self:
        """Return the same node with the credentials in its own settings masked."""
        masked = {name: self.masked_setting(name) for name in self.secret_fields}
        hidden = {name: value for name, value in masked.items() if value != getattr(self, name)}
        return msgspec.structs.replace(self, **hidden) if hidden else self

    def masked_setting(self, name: str) -> Any:
        """Return one of the ``secret_fields`` with the credentials in it masked."""
        value = getattr(self, name)
        return masked_url(value) if isinstance(value, str) else masked_fields(value)

    # -- how the panel shows it -----------------------------------------------------------------
    #
    # The `Meta` of a setting holds the texts of its form: `title`, `description`, an example as the
    # placeholder, and in `extra` `kind`, `lines`, `mono`, `choices`, `is_rare`.

    @property
    def is_pure(self) -> bool:
        """Whether running it has no effect outside its execution, and prints nothing.

        It may then run while the delivery is being stored and has no id yet. Nodes below it are
        checked separately.
        """
        return False

    def line(self) -> tuple[Any, ...]:
        """Return the line of text in its box, in parts: text, and values to format."""
        parts: list[Any] = []
        for name, item in settings_of(self.without_below()).items():
            if name != "key":
                parts += [", " if parts else "", f"{name}: ", item]
        return tuple(parts)

    def shown_title(self) -> str:
        """Return the heading of its box."""
        return self.key

    def shown_tone(self) -> str:
        """Return the tone of its edge."""
        return self.edge_tone

    def shown_shape(self) -> str:
        """Return its shape: ``box``, ``gate``, or ``frame`` around the nodes below it."""
        return "box"

    def shown_branch(self, name: str) -> Branch:
        """Return how a list of :meth:`below` is shown."""
        return Branch(name, counted=name)

    def has_taken(self, name: str, result: Any, *, is_resolved: bool) -> bool:  # noqa: ARG002 - of branches that the result chooses
        """Whether a list of :meth:`below` was run, if none of its nodes has a record.

        Parameters
        ----------
        name
            The name of the list.
        result
            The result of the node.
        is_resolved
            Whether the node resolved.
        """
        return is_resolved and not self.below()[name]

    def closes(self) -> bool:
        """Whether the execution always ends in it, so that no later node is reached."""
        return False

    @property
    def has_default_key(self) -> bool:
        """Whether its key looks like one that a workflow chooses."""
        return re.fullmatch(rf"{re.escape(self.type_name)}(_\d+)?", self.key) is not None

    # -- running --------------------------------------------------------------------------------

    async def run(self, context: Any) -> Any:  # noqa: ARG002 - subclasses use it
        """Run the node on the server's event loop; return its result.

        Parameters
        ----------
        context
            The execution's :class:`Context`.
        """
        raise SettingError(type(self).__name__, "this node type has no `async def run`; write one")

    def below(self) -> dict[str, tuple[Node, ...]]:
        """Return the lists of nodes below this one, by name: ``{"yes": (…), …}``."""
        return {}

    def possible_below(self) -> dict[str, tuple[Node, ...]]:
        """Return :meth:`below` with the lists that do not exist before their first node."""
        return self.below()

    def without_below(self) -> Self:
        """Return the same node without the nodes below it."""
        below = self.below()
        return self.with_below(dict.fromkeys(below, ())) if below else self

    def with_below(self, lists: Mapping[str, tuple[Node, ...]]) -> Self:
        """Return the same node with other lists below it, named as in :meth:`below`."""
        return msgspec.structs.replace(self, **lists)


def closes(nodes: Sequence[Node]) -> bool:
    """Whether the execution always ends in a list of nodes."""
    return any(node.closes() for node in nodes)


_types: dict[str, type[Node]] = {}

NodeType = TypeVar("NodeType", bound=type[Node])


def register(node_type: NodeType) -> NodeType:
    """Register a node type under its ``tag``; usable as a class decorator.

    Another class of the same module and name, from a cell that is run again, replaces the first.
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
    """Return the registered types by name."""
    return dict(_types)
