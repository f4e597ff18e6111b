"""Drafts: the settings that the forms edit, served only once they are applied."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec

from hooknb.errors import SettingError
from hooknb.paths import MISSING
from hooknb.ui.draft import arrangement
from hooknb.ui.draft.arrangement import Nodes, Place
from hooknb.ui.draft.typed import read_setting
from hooknb.ui.draft.variable_table import Row, merged, taken
from hooknb.workflow import Workflow, define, notation
from hooknb.workflow.nodes import Node, as_nodes, walk, with_keys
from hooknb.workflow.variables import PARTS, Variable, column, parse_body, parse_query

if TYPE_CHECKING:
    from hooknb.hook import Hook
    from hooknb.records import Delivery

__all__ = ["PARTS", "Draft", "Place", "Preview", "Row"]

_SETTINGS: Final = tuple(name for name in notation.SETTINGS if name != "name")


class Preview(NamedTuple):
    """How many variables a delivery has, of how many, and the columns of the missing ones."""

    taken: int
    total: int
    missing: tuple[str, ...]


_Outcome: TypeAlias = tuple[Workflow | None, tuple[SettingError, ...], bool]


class Draft:
    """A definition being edited: settings as typed, valid or not.

    Not thread-safe: those who share a draft share a lock.

    Attributes
    ----------
    base
        The definition that it starts from, which :attr:`changed` compares with.
    begun
        How many times it was reset; forms that saw another number are filled again.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.begun = 0
        self.reset(workflow)

    def reset(self, workflow: Workflow) -> None:
        """Discard all edits, and start from a definition."""
        self.base = workflow
        self.begun += 1
        self._values: dict[str, Any] = {
            name: _value(workflow, name) for name in _SETTINGS if name not in PARTS
        }
        self._rows = {
            part: [Row.of(variable) for variable in _value(workflow, part)] for part in PARTS
        }
        # A served definition is valid, and its draft equals it.
        self._outcome = (workflow, (), False)

    def follow(self, workflow: Workflow) -> bool:
        """Start from the definition now served, unless something was edited; return whether so."""
        if self.base is workflow or self.changed:
            return False
        self.reset(workflow)
        return True

    # -- settings -------------------------------------------------------------------------------

    def value(self, name: str) -> Any:
        """Return a setting as it was set, or else that of :attr:`base`."""
        if name in PARTS:
            return self.rows(name)
        return self._values[_known(name)]

    def set(self, **settings: Any) -> None:
        """Set any settings of :func:`hooknb.webhook` except the name.

        Text is read as people type it: ``max_body="10 MiB"``, ``timeout=""`` for none,
        ``methods="POST, PUT"``. ``auth`` may be a user and a password of which one is still
        missing, ``response`` a dict of a response's fields, in which ``json=True`` says that the
        text of the body is JSON.

        Raises
        ------
        SettingError
            There is no such setting. For an invalid value, :meth:`workflow` raises.
        """
        for name in settings:
            _known(name)
        for name, value in settings.items():
            if name in PARTS:
                self.set_rows(name, value or ())
            elif name == "nodes":
                self._put(with_keys(as_nodes(value or ()), self.nodes))
            else:
                self._values[name] = value
        self._forget()

    def workflow(self) -> Workflow:
        """Return the definition; the draft stays as it is.

        Raises
        ------
        SettingError
            A setting is invalid; the error names its place: ``body[2]``, ``nodes[1].yes[0]``.
        """
        made, problems, _ = self._outcome
        if made is None:
            raise problems[0]
        return made

    @property
    def changed(self) -> bool:
        """Whether the definition differs from :attr:`base`, or cannot be made."""
        return self._outcome[2]

    @property
    def problems(self) -> tuple[SettingError, ...]:
        """All problems that can be found at once; empty if the draft can be applied."""
        return self._outcome[1]

    def problem(self, setting: str) -> str:
        """Return the problem of a setting, or of one inside it; ``""`` if there is none."""
        for error in self.problems:
            if error.setting == setting or error.setting.startswith((f"{setting}.", f"{setting}[")):
                return error.problem
        return ""

    def apply(self, hook: Hook) -> None:
        """Make it the hook's new revision with :meth:`hooknb.Hook.configure`, and start from that.

        It overwrites settings that were changed elsewhere in the meantime. Raises as
        :meth:`workflow` does; then the draft stays as it is.
        """
        workflow = self.workflow()
        hook.configure(**{name: _value(workflow, name) for name in _SETTINGS})
        self.reset(hook.workflow)

    def _forget(self) -> None:
        self.__dict__.pop("_outcome", None)

    @cached_property
    def _outcome(self) -> _Outcome:
        """The definition or its problems, and whether it was changed."""
        problems: list[SettingError] = []
        settings: dict[str, Any] = {part: self._read_rows(part, problems) for part in PARTS}
        for name, value in self._values.items():
            try:
                settings[name] = read_setting(name, value)
                if value is not _value(self.base, name):
                    # One at a time, to find every problem; synchronous, since nodes do not matter.
                    define(self.base.name, **{"sync": True, name: settings[name]})
            except SettingError as error:
                problems.append(error)
        if problems:
            return None, tuple(problems), True
        try:
            made = define(self.base.name, before=self.base.nodes, **settings)
            is_other = made != self.base
        except SettingError as error:
            return None, (error,), True
        return made, (), is_other

    # -- variables ------------------------------------------------------------------------------

    def rows(self, part: str) -> list[Row]:
        """Return the rows of a part as typed."""
        return list(self._rows[part])

    def set_rows(self, part: str, rows: Iterable[Row | Variable | str]) -> None:
        """Replace the rows of a part. Blank ones go last and are left out of the definition."""
        made = [Row.of(row) for row in rows]
        # Blank rows at the end do not shift the places that errors name.
        self._rows[part] = sorted(made, key=lambda row: row.is_blank)
        self._forget()

    def row_problems(self, part: str) -> dict[int, str]:
        """Return the problems of the rows of a part, by position."""
        found: dict[int, str] = {}
        for error in self.problems:
            name, bracket, rest = error.setting.partition("[")
            index = rest.removesuffix("]")
            if name == part and bracket and index.isdigit():
                found.setdefault(int(index), error.problem)
        return found

    def parse(self, part: str, sample: Any) -> int:
        """Add a row for every path of a sample, and return how many paths it has.

        Existing rows keep their positions and aliases; see
        :func:`hooknb.ui.draft.variable_table.merged`.

        Parameters
        ----------
        part
            ``query`` or ``body``.
        sample
            The argument of :func:`hooknb.parse_query` or :func:`hooknb.parse_body`.

        Raises
        ------
        SampleError
            The sample cannot be parsed; the error says where. No row is changed.
        """
        variables = parse_query(sample) if part == "query" else parse_body(sample)
        self.set_rows(part, merged(self._rows[part], variables))
        return len(variables)

    def preview(self, delivery: Delivery) -> Preview:
        """Return what the variables would take from a delivery; invalid rows count as missing."""
        count = 0
        missing: list[str] = []
        for part in PARTS:
            filled = [row for row in self._rows[part] if not row.is_blank]
            for row, value in zip(filled, taken(part, filled, delivery), strict=True):
                if value is MISSING:
                    missing.append(column(part, _named(row)))
                else:
                    count += 1
        return Preview(count, count + len(missing), tuple(missing))

    def taken(self, part: str, delivery: Delivery) -> list[Any]:
        """Return the value that each row of a part takes from a delivery, or ``MISSING``."""
        return taken(part, self._rows[part], delivery)

    def _read_rows(self, part: str, problems: list[SettingError]) -> list[Variable]:
        variables: list[Variable] = []
        for index, row in enumerate(self._rows[part]):
            if row.is_blank:
                continue
            try:
                variables.append(row.variable(part))
            except SettingError as error:
                problems.append(SettingError(f"{part}[{index}]", error.problem))
        return variables

    # -- nodes ----------------------------------------------------------------------------------

    @property
    def nodes(self) -> Nodes:
        """The tree of nodes; every one has a key."""
        nodes: Nodes = self._values["nodes"]
        return nodes

    def find(self, key: str) -> Node:
        """Return the node with this key; raises a :class:`SettingError` if there is none."""
        return arrangement.located(self.nodes, key)[1]

    def place_of(self, key: str) -> Place:
        """Return the place of the node with this key."""
        return arrangement.place_of(self.nodes, key)

    def add(
        self, place: Place | tuple[str | None, str | None, int], node: Node | Callable[..., Any]
    ) -> str:
        """Insert a node, and return its key: its own, or a new one if that is taken.

        Parameters
        ----------
        place
            The key of the node above and the name of a list below it (both ``None`` at the top
            level), and the position there.
        node
            A node with those below it, or a function.
        """
        [checked] = as_nodes((node,))
        # After all others, so that none of them loses its key to the new one.
        made = with_keys((*self.nodes, checked), self.base.nodes)[-1]
        self._put(arrangement.added(self.nodes, Place(*place), made))
        return made.key

    def replace(self, key: str, node: Node) -> str:
        """Replace a node, and return the key of the new one.

        A node without a key takes over the key of the node that it replaces.

        Raises
        ------
        SettingError
            Another node has its key, or one of its settings is invalid; the error names the place.
        """
        where, _ = arrangement.located(self.nodes, key)
        made = msgspec.structs.replace(node, key=node.key or key)
        try:
            as_nodes((made,))
        except SettingError as error:
            place = error.setting.replace("nodes[0]", where, 1)
            raise SettingError(place, error.problem) from error
        if made.key != key and any(other.key == made.key for _, other in walk(self.nodes)):
            raise SettingError(f"{where}.key", f"{made.key!r} is the key of another node")
        self._put(with_keys(arrangement.replaced(self.nodes, key, made), self.base.nodes))
        return made.key

    def remove(self, key: str) -> None:
        """Remove a node with everything below it."""
        self._put(arrangement.removed(self.nodes, key))

    def move(self, key: str, by: int) -> None:
        """Move a node within its list, at most to its ends; -1 is one earlier."""
        self._put(arrangement.moved(self.nodes, key, by))

    def _put(self, nodes: Nodes) -> None:
        self._values["nodes"] = nodes
        self._forget()


def _known(name: str) -> str:
    if name not in _SETTINGS:
        raise SettingError(name, f"there is no such setting; there are {', '.join(_SETTINGS)}")
    return name


def _value(workflow: Workflow, name: str) -> Any:
    return getattr(workflow if name in workflow.__struct_fields__ else workflow.trigger, name)


def _named(row: Row) -> Variable:
    """Return a variable with the name of a row, even if the row is invalid."""
    try:
        return Variable(row.path or "", alias=row.alias if row.alias.strip() else None)
    except SettingError:
        return Variable("", alias=row.path.encode("unicode_escape").decode() if row.path else "?")
