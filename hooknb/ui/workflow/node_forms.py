"""The forms of nodes: derived from the fields of their types, also of types of one's own."""

from __future__ import annotations

import threading
from typing import Any, Final

import ipywidgets
import msgspec

from hooknb import paths
from hooknb.errors import SettingError
from hooknb.ui.parts.controls import button, show
from hooknb.ui.parts.form_fields import Field, Note
from hooknb.ui.workflow.inputs import (
    BranchesInput,
    CasesInput,
    ChoiceInput,
    GateInput,
    TextInput,
)
from hooknb.ui.workflow.node_fields import REQUIRED, settings
from hooknb.workflow.nodes import Code, Condition, Node, built

__all__ = ["NodeForm"]

_INPUTS: Final[dict[str, Any]] = {
    "flag": ChoiceInput,
    "choice": ChoiceInput,
    "cases": CasesInput,
    "branches": BranchesInput,
}
_PLACE: Final = "node"


class NodeForm(ipywidgets.VBox):  # type: ignore[misc]
    """A form for the settings of one type of node.

    One form serves all nodes of its type, one after the other.

    Parameters
    ----------
    kind
        The type.
    lock
        Of the panel.

    Attributes
    ----------
    key
        The field of the node's key.
    inputs
        By the name of the setting.
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
        if kind is Condition:
            gate = GateInput(lock)
            self.inputs["yes"] = gate
            usual.append(gate.widget)
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
        """Whether something was typed or chosen that is not in the draft."""
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
        by_name = {setting.name: setting for setting in settings(self.kind)}
        is_open = False
        for name, item in self.inputs.items():
            default = by_name[name].default if name in by_name else REQUIRED
            value = default if node is None else getattr(node, name)
            if name == "yes" and self.kind is Condition:
                value = REQUIRED if node is None else (value, getattr(node, "no"))  # noqa: B009
            item.put(value)
            is_open = is_open or (name in self._rare_names and value != default)
        self._unfold(is_open=is_open)

    def read(self) -> Node:
        """Make the node of what the form says; that has no key where none was given.

        Raises
        ------
        SettingError
            Something in it is wrong; it is shown beside what it is about.
        """
        self._forgive()
        key = self.key.value
        key = key if key == self._shown_key else key.strip()
        try:
            if self._old is not None and self.kind is Code:
                return msgspec.structs.replace(self._old, key=key)
            return built({"type": self.kind.type_name, **self._fields(), "key": key}, _PLACE)
        except SettingError as error:
            self.complain(error, _PLACE)
            raise

    def complain(self, error: SettingError, place: str) -> None:
        """Show an error beside what it is about.

        Parameters
        ----------
        error
            Names the setting.
        place
            Of the node, as the error names it: ``nodes[1].yes[0]``.
        """
        setting = error.setting.removeprefix(place).lstrip(".")
        name = setting.partition(".")[0].partition("[")[0]
        if name == "key":
            self.key.error = error.problem
            return
        if name in self._rare_names:
            self._unfold(is_open=True)
        item = self.inputs.get("yes" if name == "no" else name)
        if item is None or not item.complain(setting, error.problem):
            self.note.show(f"{setting}: {error.problem}" if setting else error.problem, "bad")

    # -- inside ---------------------------------------------------------------------------------

    def _fields(self) -> dict[str, Any]:
        """Give the fields of the node, those that are not typed as they were."""
        fields: dict[str, Any] = {}
        if self._old is not None:
            fields = {name: getattr(self._old, name) for name in self._old.__struct_fields__}
        elif "nodes" in self.kind.__struct_fields__:
            fields["nodes"] = ()
        first: SettingError | None = None
        for item in self.inputs.values():
            try:
                fields |= item.read()
            except SettingError as error:
                # All of what cannot be read is shown at once.
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
        """Say under which name later nodes see the result."""
        text = text.strip()
        path = paths.format(("nodes", text)) if text else "nodes.<name>"
        self.key.note = f"Later nodes see its result as {{{{ {path} }}}}"
