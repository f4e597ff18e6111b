"""Drafts: the settings that the forms edit, until they are applied. Nothing is served from them."""

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
    """How many of the variables a delivery has, of how many, and the columns of the others."""

    taken: int
    total: int
    missing: tuple[str, ...]


_Outcome: TypeAlias = tuple[Workflow | None, tuple[SettingError, ...], bool]


class Draft:
    """A definition that is being edited: settings as they were typed, right or wrong.

    Not locked: whoever shares one shares a lock too.

    Attributes
    ----------
    base
        The definition that it began with, and that :attr:`changed` compares with.
    begun
        How many times it began; forms that saw another number are filled anew.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.begun = 0
        self.reset(workflow)

    def reset(self, workflow: Workflow) -> None:
        """Forget what was edited, and begin again with a definition."""
        self.base = workflow
        self.begun += 1
        self._values: dict[str, Any] = {
            name: _value(workflow, name) for name in _SETTINGS if name not in PARTS
        }
        self._rows = {
            part: [Row.of(variable) for variable in _value(workflow, part)] for part in PARTS
        }
        # What is served is right, and the draft of it is equal to it.
        self._outcome = (workflow, (), False)

    def follow(self, workflow: Workflow) -> bool:
        """Begin again with what is served now, unless something was edited; tell whether so."""
        if self.base is workflow or self.changed:
            return False
        self.reset(workflow)
        return True

    # -- settings -------------------------------------------------------------------------------

    def value(self, name: str) -> Any:
        """Return a setting as it was set; that of :attr:`base` where it was not."""
        if name in PARTS:
            return self.rows(name)
        return self._values[_known(name)]

    def set(self, **settings: Any) -> None:
        """Set any of the settings of :func:`hooknb.webhook` but its name.

        Text is read as people type it: ``max_body="10 MiB"``, ``timeout=""`` for none,
        ``methods="POST, PUT"``. ``auth`` may be the pair of a user and a password of which one
        is still missing, ``response`` the fields of a response as a dict, in which
        ``json=True`` says that the text of its body is JSON.

        Raises
        ------
        SettingError
            There is no such setting. A wrong value is told by :meth:`workflow`.
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
        """Make the definition; the draft stays as it is.

        Raises
        ------
        SettingError
            Something in it is wrong; with its place: ``body[2]``, ``nodes[1].yes[0]``.
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
        """What is wrong, everything that can be told at once; empty where it can be applied."""
        return self._outcome[1]

    def problem(self, setting: str) -> str:
        """Say what is wrong with a setting, or inside of it; ``""`` where nothing is."""
        for error in self.problems:
            if error.setting == setting or error.setting.startswith((f"{setting}.", f"{setting}[")):
                return error.problem
        return ""

    def apply(self, hook: Hook) -> None:
        """Make it the hook's new revision, by :meth:`hooknb.Hook.configure`, and begin again.

        Settings that were changed elsewhere in the meantime become what they are here. Where it
        raises as :meth:`workflow` does, nothing of the draft is lost.
        """
        workflow = self.workflow()
        hook.configure(**{name: _value(workflow, name) for name in _SETTINGS})
        self.reset(hook.workflow)

    def _forget(self) -> None:
        self.__dict__.pop("_outcome", None)

    @cached_property
    def _outcome(self) -> _Outcome:
        """The definition or what is wrong, and whether it was changed; made once."""
        problems: list[SettingError] = []
        settings: dict[str, Any] = {part: self._read_rows(part, problems) for part in PARTS}
        for name, value in self._values.items():
            try:
                settings[name] = read_setting(name, value)
                if value is not _value(self.base, name):
                    # Alone, so that each is told; synchronous, since nodes are not the question.
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
        """Return the rows of a part as they were typed."""
        return list(self._rows[part])

    def set_rows(self, part: str, rows: Iterable[Row | Variable | str]) -> None:
        """Put other rows in their place. Blank ones stand last, and are none of the definition."""
        made = [Row.of(row) for row in rows]
        # At the end they do not count in the places that errors name.
        self._rows[part] = sorted(made, key=lambda row: row.is_blank)
        self._forget()

    def row_problems(self, part: str) -> dict[int, str]:
        """Say what is wrong with rows of a part, by position."""
        found: dict[int, str] = {}
        for error in self.problems:
            name, bracket, rest = error.setting.partition("[")
            index = rest.removesuffix("]")
            if name == part and bracket and index.isdigit():
                found.setdefault(int(index), error.problem)
        return found

    def parse(self, part: str, sample: Any) -> int:
        """Add a row for every path of a sample, and return how many paths it has.

        Those that are there keep their places and aliases; see
        :func:`hooknb.ui.draft.variable_table.merged`.

        Parameters
        ----------
        part
            ``query`` or ``body``.
        sample
            As :func:`hooknb.parse_query` and :func:`hooknb.parse_body` take it.

        Raises
        ------
        SampleError
            It cannot be read; says where. No row was changed.
        """
        variables = parse_query(sample) if part == "query" else parse_body(sample)
        self.set_rows(part, merged(self._rows[part], variables))
        return len(variables)

    def preview(self, delivery: Delivery) -> Preview:
        """Tell what the variables would take from a delivery; wrong rows are missing."""
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
        """Return what each row of a part would take from a delivery, ``MISSING`` for nothing."""
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
        """Return the node of that key; raises a :class:`SettingError` where there is none."""
        return arrangement.located(self.nodes, key)[1]

    def place_of(self, key: str) -> Place:
        """Tell where the node of that key stands."""
        return arrangement.place_of(self.nodes, key)

    def add(
        self, place: Place | tuple[str | None, str | None, int], node: Node | Callable[..., Any]
    ) -> str:
        """Put a node into a list, and return its key: its own, or another where that is taken.

        Parameters
        ----------
        place
            Key of the node above and the name of a list below it (both ``None`` for the
            workflow's own list), and the position there.
        node
            With those below it; or a function.
        """
        [checked] = as_nodes((node,))
        # Behind all others, so that none of them loses its key to the new one.
        made = with_keys((*self.nodes, checked), self.base.nodes)[-1]
        self._put(arrangement.added(self.nodes, Place(*place), made))
        return made.key

    def replace(self, key: str, node: Node) -> str:
        """Put another node in the place of one, and return its key.

        Without a key of its own it keeps the one of the node that it replaces.

        Raises
        ------
        SettingError
            Its key is taken by another node, or one of its settings is wrong; with its place.
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
        """Take a node out, with all that is below it."""
        self._put(arrangement.removed(self.nodes, key))

    def move(self, key: str, by: int) -> None:
        """Move a node within its list: -1 is one earlier. At the end of the list it stays."""
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
    """Return a variable with the name of a row, whatever is wrong with it."""
    try:
        return Variable(row.path or "", alias=row.alias if row.alias.strip() else None)
    except SettingError:
        return Variable("", alias=row.path.encode("unicode_escape").decode() if row.path else "?")
