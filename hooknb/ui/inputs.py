"""What the form of a node is made of: an input for each of its settings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import ipywidgets

from hooknb.errors import SettingError
from hooknb.nodes import Case
from hooknb.nodes.sources import is_function
from hooknb.ui.fields import Field
from hooknb.ui.node_fields import REQUIRED, Setting, from_text, to_text

__all__ = ["BranchesInput", "CasesInput", "ChoiceInput", "FlagInput", "GateInput", "TextInput"]

_FUNCTION: Final = "A Python function, written in its cell"
_ELSEWHERE: Final = "It is nothing that can be typed; it is set in Python and stays"
_MOST_BRANCHES: Final = 50


class TextInput:
    """A setting that is typed; what is not touched stays exactly what it was.

    Attributes
    ----------
    widget
        What stands in the form.
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
        """Whether something was typed that is not in the draft."""
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
        """Give the fields of the node that it stands for."""
        if not self.is_touched and self._before is not REQUIRED:
            return {self.setting.name: self._before}
        return {self.setting.name: from_text(self.setting, self.field.value)}

    def complain(self, _place: str, problem: str) -> bool:
        """Show what is wrong beside it; False where it has no place for that."""
        self.field.error = problem
        return True


class ChoiceInput:
    """A setting that is one of several values."""

    def __init__(self, setting: Setting, _lock: threading.RLock) -> None:
        self.setting = setting
        self._before: Any = None
        self.dropdown = ipywidgets.Dropdown(
            options=setting.choices, description=setting.label, tooltip=setting.hint
        )
        self.widget: Any = ipywidgets.VBox([self.dropdown, *_hints(setting.hint)])

    @property
    def is_touched(self) -> bool:
        """Whether another one was chosen."""
        return bool(self.dropdown.value != self._before)

    def put(self, value: Any) -> None:
        """Show a value, also one that is none of the choices."""
        choices = self.setting.choices
        value = choices[0] if value is REQUIRED else value
        self.dropdown.options = choices if value in choices else (*choices, value)
        self.dropdown.value = self._before = value

    def read(self) -> dict[str, Any]:
        """Give the chosen one."""
        return {self.setting.name: self.dropdown.value}

    def complain(self, _place: str, _problem: str) -> bool:
        """Leave it to the form."""
        return False


class FlagInput:
    """A setting that is true or false."""

    def __init__(self, setting: Setting, _lock: threading.RLock) -> None:
        self.setting = setting
        self._before = False
        self.box = ipywidgets.Checkbox(
            description=setting.label, tooltip=setting.hint, indent=False
        )
        self.widget: Any = self.box

    @property
    def is_touched(self) -> bool:
        """Whether it was turned."""
        return bool(self.box.value != self._before)

    def put(self, value: Any) -> None:
        """Show a value."""
        self._before = value is True
        self.box.value = self._before

    def read(self) -> dict[str, Any]:
        """Give it."""
        return {self.setting.name: self.box.value}

    def complain(self, _place: str, _problem: str) -> bool:
        """Leave it to the form."""
        return False


class GateInput:
    """What a Condition does where it does not hold."""

    def __init__(self, _setting: Setting, _lock: threading.RLock) -> None:
        self._before: tuple[Any, Any] = ((), ())
        self.dropdown = ipywidgets.Dropdown(
            options=[("the branch “no” is run", True), ("the execution ends as failed", False)],
            description="Otherwise",
        )
        self.widget: Any = self.dropdown

    @property
    def is_touched(self) -> bool:
        """Whether the other one was chosen."""
        return bool(self.dropdown.value != (self._before[0] is not None))

    def put(self, value: Any) -> None:
        """Show whether there are branches: a pair of lists, or of ``None``."""
        self._before = ((), ()) if value is REQUIRED else value
        self.dropdown.value = self._before[0] is not None

    def read(self) -> dict[str, Any]:
        """Give both branches."""
        if not self.is_touched:
            yes, no = self._before
        elif self.dropdown.value:
            yes, no = (), ()
        elif any(self._before):
            raise SettingError("no", "its branches hold nodes; remove them first")
        else:
            yes, no = None, None
        return {"yes": yes, "no": no}

    def complain(self, _place: str, _problem: str) -> bool:
        """Leave it to the form."""
        return False


class BranchesInput(TextInput):
    """How many branches a Parallel has."""

    def put(self, value: Any) -> None:
        """Show the number of branches."""
        self._lists: tuple[Any, ...] = ((), ()) if value is REQUIRED else value
        self._text = self.field.value = str(len(self._lists))
        self.field.error = ""
        self.field.note = self.setting.hint

    def read(self) -> dict[str, Any]:
        """Give the branches: empty ones more, or fewer where the last ones are empty."""
        name, text = self.setting.name, self.field.value.strip()
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0  # noqa: PLR2004
        if not 1 <= number <= _MOST_BRANCHES:
            raise SettingError(name, f"{text!r} is not a whole number from 1 to {_MOST_BRANCHES}")
        if any(self._lists[number:]):
            raise SettingError(name, "the last branches hold nodes; remove them first")
        more = ((),) * (number - len(self._lists))
        return {name: (*self._lists[:number], *more)}


class CasesInput:
    """The cases of a Switch: a condition and a name each, in order."""

    def __init__(self, setting: Setting, lock: threading.RLock) -> None:
        self.setting = setting
        self._lock = lock
        self._before: list[_CaseRow] = []
        self._rows: list[_CaseRow] = []
        self._spare: list[_CaseRow] = []
        self._box = ipywidgets.VBox()
        self.add = ipywidgets.Button(description="Add a case")
        self.add.on_click(self._locked(self._append))
        label = ipywidgets.Label(setting.label)
        label.add_class("hk-form-label")
        self.widget: Any = ipywidgets.VBox([label, *_hints(setting.hint), self._box, self.add])
        self.widget.add_class("hk-form-cases")

    @property
    def rows(self) -> tuple[_CaseRow, ...]:
        """The cases as they stand."""
        return tuple(self._rows)

    @property
    def is_touched(self) -> bool:
        """Whether one was changed, added, moved or removed."""
        return self._rows != self._before or any(row.is_touched for row in self._rows)

    def put(self, value: Any) -> None:
        """Show the cases of a Switch; a new one has one, to be written."""
        self._spare += self._rows
        cases = [REQUIRED] if value is REQUIRED else value
        self._rows = [self._row(case) for case in cases]
        self._before = [] if value is REQUIRED else list(self._rows)
        self._place()

    def read(self) -> dict[str, Any]:
        """Give the cases, each with the nodes that it had."""
        cases = []
        for index, row in enumerate(self._rows):
            try:
                cases.append(row.read())
            except SettingError as error:
                raise SettingError(f"cases[{index}].{error.setting}", error.problem) from error
        return {self.setting.name: tuple(cases)}

    def complain(self, place: str, problem: str) -> bool:
        """Show what is wrong beside the case that it names."""
        index, _, rest = place.partition("[")[2].partition("]")
        if not index.isdigit() or int(index) >= len(self._rows):
            return False
        row = self._rows[int(index)]
        field = row.name if rest.startswith(".name") else row.condition.field
        field.error = problem
        return True

    def _row(self, case: Any) -> _CaseRow:
        row = self._spare.pop() if self._spare else _CaseRow(self._lock, self._locked, self)
        row.put(case)
        return row

    def _append(self) -> None:
        self._rows.append(self._row(REQUIRED))
        self._place()

    def earlier(self, row: _CaseRow) -> None:
        """Ask a case before the one that stands above it."""
        at = self._rows.index(row)
        if at:
            self._rows[at - 1 : at + 1] = [row, self._rows[at - 1]]
            self._place()

    def take_out(self, row: _CaseRow) -> None:
        """Take a case out; one with nodes only when it is asked for again."""
        if row.is_asked_again():
            self._rows.remove(row)
            self._spare.append(row)
            self._place()

    def _place(self) -> None:
        for index, row in enumerate(self._rows):
            row.number(index)
        self._box.children = [row.widget for row in self._rows]

    def _locked(self, work: Callable[[], None]) -> Callable[[Any], None]:
        def clicked(_button: Any) -> None:
            with self._lock:
                work()

        return clicked


class _CaseRow:
    def __init__(
        self, lock: threading.RLock, locked: Callable[[Any], Any], owner: CasesInput
    ) -> None:
        self._nodes: tuple[Any, ...] = ()
        self._asked = False
        setting = Setting(name="condition", kind="condition", label="Condition", lines=3)
        self.condition = TextInput(setting, lock)
        self.name = Field("Name", lock=lock, placeholder="its position")
        self.up = ipywidgets.Button(description="Earlier")
        self.remove = ipywidgets.Button(description="Remove")
        self.up.on_click(locked(lambda: owner.earlier(self)))
        self.remove.on_click(locked(lambda: owner.take_out(self)))
        buttons = ipywidgets.HBox([self.up, self.remove])
        buttons.add_class("hk-form-buttons")
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
        self._reset()

    def number(self, index: int) -> None:
        self.up.layout.display = "none" if index == 0 else None
        self.up.tooltip = f"Ask case {index} before the one above it"
        self.remove.tooltip = f"Remove case {index}"
        self.name.placeholder = str(index)

    def is_asked_again(self) -> bool:
        if not self._nodes or self._asked:
            return True
        self._asked = True
        self.remove.description = f"Remove with {_nodes(len(self._nodes))}"
        self.remove.button_style = "danger"
        return False

    def read(self) -> Case:
        [condition] = self.condition.read().values()
        name = self.name.value
        name = name if name == self._name else name.strip()
        return Case(condition, nodes=self._nodes, name=name)

    def _reset(self) -> None:
        self._asked = False
        self.remove.description = "Remove"
        self.remove.button_style = ""


def _nodes(number: int) -> str:
    return f"{number} node{'' if number == 1 else 's'}"


def _hints(text: str) -> list[Any]:
    if not text:
        return []
    label = ipywidgets.Label(text)
    label.add_class("hk-form-hint")
    return [label]
