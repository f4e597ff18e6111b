"""The forms of nodes, derived from the fields of their types, including custom types."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import ipywidgets
import msgspec

from hooknb import paths
from hooknb.errors import SettingError
from hooknb.ui.parts.controls import Asking, button, close_all, counted, hint, row_of, show
from hooknb.ui.parts.form_fields import Choice, Field, Note
from hooknb.ui.workflow.node_fields import REQUIRED, Setting, from_text, settings, to_text
from hooknb.workflow.nodes import Node, build_node
from hooknb.workflow.nodes.fields import fields_of
from hooknb.workflow.nodes.sources import is_function

__all__ = ["BranchesInput", "CasesInput", "ChoiceInput", "GateInput", "NodeForm", "TextInput"]

_FUNCTION: Final = "A Python function, written in its cell"
_ELSEWHERE: Final = "This value cannot be edited here; it was set in Python"
_MAX_BRANCHES: Final = 50
_GATES: Final = (("the branch “no” is run", True), ("the execution ends as failed", False))


class TextInput:
    """A setting that is typed; an untouched one keeps its exact value.

    Attributes
    ----------
    widget
        The widget in the form.
    """

    def __init__(self, setting: Setting, lock: threading.RLock) -> None:
        self.setting = setting
        self._before: Any = REQUIRED
        self._text = ""
        self.field = Field(
            setting.label,
            lines=setting.lines,
            mono=setting.mono,
            placeholder=setting.placeholder,
            lock=lock,
        )
        self.widget: Any = self.field

    @property
    def is_touched(self) -> bool:
        """Whether its text differs from the draft."""
        return self.field.value != self._text

    def put(self, value: Any) -> None:
        """Show a value; :data:`REQUIRED` for none."""
        text = "" if value is REQUIRED else to_text(self.setting, value)
        self._before = value
        self._text = text or ""
        self.field.value = self._text
        self.field.error = ""
        self.field.enabled = text is not None
        fixed = _FUNCTION if is_function(value) else _ELSEWHERE
        self.field.note = self.setting.hint if text is not None else fixed

    def read(self) -> dict[str, Any]:
        """Return the node's fields that it edits."""
        if not self.is_touched and self._before is not REQUIRED:
            return {self.setting.name: self._before}
        return {self.setting.name: from_text(self.setting, self.field.value)}

    def complain(self, _place: str, problem: str) -> bool:
        """Show a problem beside the input; return False if it cannot."""
        self.field.error = problem
        return True


class ChoiceInput:
    """A setting that is one of several values, or true or false.

    Attributes
    ----------
    choice
        The widget in the form.
    """

    def __init__(
        self,
        setting: Setting,
        lock: threading.RLock,
        options: Sequence[tuple[str, Any]] | None = None,
    ) -> None:
        self.setting = setting
        self._before: Any = REQUIRED
        named = ((str(value), value) for value in setting.choices)
        self._options = tuple(named if options is None else options)
        self.choice = Choice(setting.label, self._options, note=setting.hint, lock=lock)
        self.widget: Any = self.choice

    @property
    def is_touched(self) -> bool:
        """Whether another value was chosen."""
        return bool(self.choice.value != self._shown)

    def put(self, value: Any) -> None:
        """Show a value, even one that is not among the choices; a flag is on only for ``True``."""
        self._before = value
        if not self._options:
            self.choice.value = value is True
        elif value is REQUIRED:
            self.choice.offer(self._options, self._options[0][1])
        else:
            others = () if value in self.setting.choices else ((str(value), value),)
            self.choice.offer((*self._options, *others), value)
        self._shown = self.choice.value

    def read(self) -> dict[str, Any]:
        """Return the chosen value; an untouched setting keeps its exact value."""
        is_kept = self._before is not REQUIRED and not self.is_touched
        return {self.setting.name: self._before if is_kept else self.choice.value}

    def complain(self, _place: str, _problem: str) -> bool:
        """Return False: the form shows the problem."""
        return False


class GateInput(ChoiceInput):
    """Whether a node has its two branches, or ends the execution if its condition is false."""

    def __init__(self, setting: Setting, lock: threading.RLock) -> None:
        super().__init__(setting, lock, _GATES)

    def put(self, value: Any) -> None:
        """Show whether there are branches: a pair of lists, or of ``None``."""
        self._before = ((), ()) if REQUIRED in value else value
        self.choice.value = self._shown = self._before[0] is not None

    def read(self) -> dict[str, Any]:
        """Return both branches."""
        names = self.setting.fields
        if not self.is_touched:
            return dict(zip(names, self._before, strict=True))
        if not self.choice.value and any(self._before):
            raise SettingError(self.setting.name, "its branches hold nodes; remove them first")
        return dict.fromkeys(names, () if self.choice.value else None)


class BranchesInput(TextInput):
    """How many branches a node has."""

    def put(self, value: Any) -> None:
        """Show the number of branches."""
        self._lists: tuple[Any, ...] = ((), ()) if value is REQUIRED else value
        self._text = self.field.value = str(len(self._lists))
        self.field.error = ""
        self.field.note = self.setting.hint

    def read(self) -> dict[str, Any]:
        """Return the branches, with empty ones added or removed at the end."""
        name, text = self.setting.name, self.field.value.strip()
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0  # noqa: PLR2004
        if not 1 <= number <= _MAX_BRANCHES:
            raise SettingError(name, f"{text!r} is not a whole number from 1 to {_MAX_BRANCHES}")
        if any(self._lists[number:]):
            raise SettingError(name, "the last branches hold nodes; remove them first")
        more = ((),) * (number - len(self._lists))
        return {name: (*self._lists[:number], *more)}


class CasesInput:
    """Cases: a condition and a name each, in order."""

    def __init__(self, setting: Setting, lock: threading.RLock) -> None:
        self.setting = setting
        self._lock = lock
        self._before: list[_CaseRow] = []
        self._rows: list[_CaseRow] = []
        self._box = ipywidgets.VBox()
        self.add = button("Add a case", self._append, lock)
        self.widget: Any = ipywidgets.VBox(
            [hint(f"{setting.label}: {setting.hint}"), self._box, self.add]
        )
        self.widget.add_class("hk-form-cases")

    @property
    def rows(self) -> tuple[_CaseRow, ...]:
        """The rows of the cases, in order."""
        return tuple(self._rows)

    @property
    def is_touched(self) -> bool:
        """Whether a case was changed, added, moved or removed."""
        return self._rows != self._before or any(row.is_touched for row in self._rows)

    def put(self, value: Any) -> None:
        """Show the cases of a node; a new node has one blank case."""
        spare = list(self._rows)
        cases = [REQUIRED] if value is REQUIRED else value
        self._rows = [self._row(case, spare) for case in cases]
        self._before = [] if value is REQUIRED else list(self._rows)
        self._place()
        close_all(row.widget for row in spare)

    def read(self) -> dict[str, Any]:
        """Return the cases, each with its nodes."""
        cases = []
        for index, row in enumerate(self._rows):
            try:
                cases.append(row.read())
            except SettingError as error:
                raise SettingError(f"cases[{index}].{error.setting}", error.problem) from error
        return {self.setting.name: tuple(cases)}

    def complain(self, place: str, problem: str) -> bool:
        """Show a problem beside the case that ``place`` names."""
        index, _, rest = place.partition("[")[2].partition("]")
        if not index.isdigit() or int(index) >= len(self._rows):
            return False
        row = self._rows[int(index)]
        field = row.name if rest.startswith(".name") else row.condition.field
        field.error = problem
        return True

    def _row(self, case: Any, spare: list[_CaseRow]) -> _CaseRow:
        row = spare.pop(0) if spare else _CaseRow(self._lock, self)
        row.put(case)
        return row

    def _append(self) -> None:
        self._rows.append(self._row(REQUIRED, []))
        self._place()

    def earlier(self, row: _CaseRow) -> None:
        """Move a case up by one."""
        at = self._rows.index(row)
        if at:
            self._rows[at - 1 : at + 1] = [row, self._rows[at - 1]]
            self._place()

    def take_out(self, row: _CaseRow) -> None:
        """Remove a case."""
        self._rows.remove(row)
        self._place()
        close_all([row.widget])

    def _place(self) -> None:
        for index, row in enumerate(self._rows):
            row.number(index)
        self._box.children = [row.widget for row in self._rows]


class _CaseRow:
    def __init__(self, lock: threading.RLock, owner: CasesInput) -> None:
        self._nodes: tuple[Any, ...] = ()
        setting = Setting(name="condition", kind="condition", label="condition", lines=3)
        self.condition = TextInput(setting, lock)
        self.name = Field("name", lock=lock, placeholder="its position")
        self.up = button("Earlier", lambda: owner.earlier(self), lock)
        self._removal = Asking(
            "Remove",
            lambda: owner.take_out(self),
            self._ask,
            lock,
            keep="Keep it",
            keep_tooltip="Do not remove it",
        )
        self.remove = self._removal.button
        buttons = row_of(self.up, self.remove, self._removal.keep, css="hk-buttons")
        self.widget = ipywidgets.VBox([self.condition.widget, self.name, buttons])
        self.widget.add_class("hk-form-case")

    @property
    def is_touched(self) -> bool:
        return self.condition.is_touched or self.name.value != self._name

    def put(self, case: Any) -> None:
        self._nodes = () if case is REQUIRED else case.nodes
        self._name = self.name.value = "" if case is REQUIRED else case.name
        self.name.error = ""
        self.condition.put(case if case is REQUIRED else case.condition)
        self._removal.reset()

    def number(self, index: int) -> None:
        show(self.up, is_shown=index > 0)
        self.up.tooltip = f"Check case {index} before the one above it"
        self.remove.tooltip = f"Remove case {index}"
        self.name.placeholder = str(index)

    def read(self) -> dict[str, Any]:
        [condition] = self.condition.read().values()
        name = self.name.value
        name = name if name == self._name else name.strip()
        return {"condition": condition, "nodes": self._nodes, "name": name}

    def _ask(self) -> str:
        return f"Remove with {counted(len(self._nodes), 'node')}" if self._nodes else ""


_INPUTS: Final[dict[str, Any]] = {
    "flag": ChoiceInput,
    "choice": ChoiceInput,
    "cases": CasesInput,
    "branches": BranchesInput,
    "gate": GateInput,
}
_PLACE: Final = "node"


class NodeForm(ipywidgets.VBox):  # type: ignore[misc]
    """A form for the settings of one node type, reused for all nodes of the type.

    Parameters
    ----------
    kind
        The node type.
    lock
        The panel's lock.

    Attributes
    ----------
    key
        The field of the node's key.
    inputs
        The inputs, by the name of the setting.
    """

    def __init__(self, kind: type[Node], lock: threading.RLock) -> None:
        self.kind = kind
        self._old: Node | None = None
        self._shown_key = ""
        self.key = Field(
            "name", mono=True, placeholder=kind.type_name, on_change=self._name_result, lock=lock
        )
        self.inputs: dict[str, Any] = {}
        usual: list[Any] = [self.key]
        rare: list[Any] = []
        for setting in settings(kind):
            if setting.kind == "function":
                continue
            made = _INPUTS.get(setting.kind, TextInput)(setting, lock)
            self.inputs[setting.name] = made
            (rare if setting.is_rare else usual).append(made.widget)
        self._rare_names = {setting.name for setting in settings(kind) if setting.is_rare}
        self._rare = ipywidgets.VBox(rare)
        self._rare.add_class("hk-form")
        self.more = button(
            "More settings", lambda: self._unfold(is_open=self._rare.layout.display == "none"), lock
        )
        self.note = Note(lock=lock)
        show(self.more, is_shown=bool(rare))
        super().__init__(children=[*usual, self.more, self._rare, self.note])
        self.add_class("hk-form")

    @property
    def is_touched(self) -> bool:
        """Whether the form has edits that are not in the draft."""
        return self.key.value != self._shown_key or any(
            item.is_touched for item in self.inputs.values()
        )

    def put(self, node: Node | None) -> None:
        """Show the settings of a node; ``None`` for a new one."""
        self._old = node
        self._shown_key = self.key.value = "" if node is None else node.key
        self.key.error = ""
        self._name_result(self._shown_key)
        self.note.show("")
        is_open = False
        for name, item in self.inputs.items():
            setting = item.setting
            if setting.fields:
                item.put(tuple(getattr(node, field, REQUIRED) for field in setting.fields))
                continue
            value = setting.default if node is None else getattr(node, name)
            item.put(value)
            is_open = is_open or (name in self._rare_names and value != setting.default)
        self._unfold(is_open=is_open)

    def read(self) -> Node:
        """Return the node that the form describes; its key is empty if none was typed.

        Raises
        ------
        SettingError
            A setting is invalid; the form shows the problem beside it.
        """
        self._forgive()
        key = self.key.value
        key = key if key == self._shown_key else key.strip()
        try:
            return build_node({"type": self.kind.type_name, **self._fields(), "key": key}, _PLACE)
        except SettingError as error:
            self.complain(error, _PLACE)
            raise

    def complain(self, error: SettingError, place: str) -> None:
        """Show an error beside the input that it concerns.

        Parameters
        ----------
        error
            The error, which names the setting.
        place
            The place of the node, as the error names it: ``nodes[1].yes[0]``.
        """
        setting = error.setting.removeprefix(place).lstrip(".")
        name = setting.partition(".")[0].partition("[")[0]
        if name == "key":
            self.key.error = error.problem
            return
        if name in self._rare_names:
            self._unfold(is_open=True)
        item = self.inputs.get(name) or next(
            (one for one in self.inputs.values() if name in one.setting.fields), None
        )
        if item is None or not item.complain(setting, error.problem):
            self.note.show(f"{setting}: {error.problem}" if setting else error.problem, "bad")

    # -- inside ---------------------------------------------------------------------------------

    def _fields(self) -> dict[str, Any]:
        """Return the fields of the node; those without an input are unchanged."""
        fields: dict[str, Any] = {}
        if self._old is not None:
            fields = {name: getattr(self._old, name) for name in self._old.__struct_fields__}
        else:
            # Lists of nodes are filled in the picture.
            required = {one.name for one in msgspec.structs.fields(self.kind) if one.required}
            held = {one.name for one in fields_of(self.kind) if one.holds_nodes}
            fields = dict.fromkeys(required & held, ())
        first: SettingError | None = None
        for item in self.inputs.values():
            try:
                fields |= item.read()
            except SettingError as error:
                # Every input with a problem shows it.
                if first is not None:
                    self.complain(first, _PLACE)
                first = error
        if first is not None:
            raise first
        return fields

    def _forgive(self) -> None:
        self.key.error = ""
        self.note.show("")
        for item in self.inputs.values():
            if isinstance(item, TextInput):
                item.field.error = ""
            elif isinstance(item, CasesInput):
                for row in item.rows:
                    row.condition.field.error = row.name.error = ""

    def _unfold(self, *, is_open: bool) -> None:
        show(self._rare, is_shown=is_open)
        self.more.description = "Fewer settings" if is_open else "More settings"

    def _name_result(self, text: str) -> None:
        """Show the path under which later nodes see the result."""
        text = text.strip()
        path = paths.format(("nodes", text)) if text else "nodes.<name>"
        self.key.note = f"Later nodes see its result as {{{{ {path} }}}}"
