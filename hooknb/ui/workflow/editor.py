"""The editor beside the picture of the flow: the form of the chosen node or of a new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from hooknb.errors import SettingError
from hooknb.ui.draft import arrangement
from hooknb.ui.draft.arrangement import Place
from hooknb.ui.parts.controls import Asking, button, close_all, hint, row_of, show
from hooknb.ui.parts.form_fields import Note, Source
from hooknb.ui.workflow.node_fields import can_be_made, summary
from hooknb.ui.workflow.node_forms import NodeForm
from hooknb.workflow.nodes import Node, node_types, walk
from hooknb.workflow.nodes.data import map_functions
from hooknb.workflow.nodes.sources import source_of

if TYPE_CHECKING:
    from hooknb.ui.panel import HookPanel

__all__ = ["NodeEditor"]

_CODE: Final = "A function is written in a cell: hooknb.webhook(…, nodes=[your_function])"
_IN_CELLS: Final = "Edit its function in the cell where it was written."


class NodeEditor(ipywidgets.VBox):  # type: ignore[misc]
    """The form of a node, the choice of a type for a new one, or nothing.

    Parameters
    ----------
    panel
        The panel whose draft it edits.
    when_marked
        Called with the key of the chosen node and the place at which one is being added, when
        either changes.
    when_opened
        Called when the form of a new node is shown.

    Attributes
    ----------
    form
        The form that is shown.
    types
        The buttons of the node types, by name.
    done, cancel, earlier, later, remove, keep
        Buttons.
    """

    def __init__(
        self,
        panel: HookPanel,
        when_marked: Callable[[str | None, Place | None], None],
        when_opened: Callable[[], None],
    ) -> None:
        self._panel = panel
        self._when_marked = when_marked
        self._when_opened = when_opened
        self._forms: dict[type[Node], NodeForm] = {}
        self._key: str | None = None
        self._shown: Node | None = None
        self._place: Place | None = None
        self._offered: dict[str, type[Node]] = {}
        self.form: NodeForm | None = None
        self.types: dict[str, ipywidgets.Button] = {}
        self.title = Note(lock=panel.lock)
        self.title.add_class("hk-side-title")
        self.source = Source(lock=panel.lock)
        self._code = hint(_IN_CELLS)
        self._about_code = hint(_CODE)
        self._choices = ipywidgets.VBox([self._about_code])
        self._choices.add_class("hk-side-types")
        self._forms_box = ipywidgets.VBox()
        self.done = self._button("Done", self._done, "Write it into the draft", "primary")
        self.cancel = self._button("Cancel", self.close_form, "Leave it as it was")
        self.earlier = self._button("Move up", lambda: self._move(-1), "One place earlier")
        self.later = self._button("Move down", lambda: self._move(1), "One place later")
        self._removal = Asking(
            "Remove",
            self._remove,
            self._ask,
            panel.lock,
            tooltip="Take the node out of the draft",
            keep="Keep it",
            keep_tooltip="Do not remove it",
        )
        self.remove, self.keep = self._removal.button, self._removal.keep
        self._acts = row_of(self.done, self.cancel, css="hk-buttons")
        self._moves = row_of(self.earlier, self.later, self.remove, self.keep, css="hk-buttons")
        super().__init__(
            children=[
                self.title,
                self._choices,
                self._forms_box,
                self._code,
                self.source,
                self._acts,
                self._moves,
            ]
        )
        self.add_class("hk-side")
        self._show_parts()

    @property
    def key(self) -> str | None:
        """The key of the node being edited."""
        return self._key

    @property
    def is_touched(self) -> bool:
        """Whether the form has edits that are not in the draft."""
        return self.form is not None and self.form.is_touched

    # -- contents -------------------------------------------------------------------------------

    def choose(self, key: str) -> None:
        """Show the form of a node. The form shown before is written into the draft first.

        Raises
        ------
        SettingError
            There is no such node.
        """
        self._panel.draft.find(key)
        # Choosing the same node keeps the edits in its form.
        if key != self._key and self._leave():
            self._reopen(key)

    def offer(self, place: Place) -> None:
        """Show the types to choose from for a new node."""
        if not self._leave():
            return
        self._key, self._place, self._shown, self.form = None, place, None, None
        self._list_types()
        self.title.show("Add a node")
        self._show_parts()

    def add(self, name: str) -> None:
        """Show the form of a new node of a type, for the chosen place."""
        self._open(node_types()[name], None)
        self._when_opened()

    def write_typed(self) -> bool:
        """Write the form into the draft; return False, and show why, if it is invalid."""
        return not self.is_touched or self._write()

    def close_form(self) -> None:
        """Close the form, and discard its edits."""
        self._key = self._place = self._shown = self.form = None
        self._show_parts()

    def follow(self) -> None:
        """Show the draft, which has changed."""
        if self._key is None:
            parent = None if self._place is None else self._place.parent
            if parent is not None and not self._has(parent):
                self.close_form()
            return
        if not self._has(self._key):
            self.close_form()
            return
        node = self._panel.draft.find(self._key)
        if self._shown is None or node.without_below() != self._shown.without_below():
            self._reopen(self._key)
        elif not self.is_touched:
            # Nodes below it may differ: the form must hold the lists of the draft.
            self._reopen(self._key)

    def _reopen(self, key: str) -> None:
        self._key, self._place, self._shown = key, None, self._panel.draft.find(key)
        self._open(type(self._shown), self._shown)

    def _list_types(self) -> None:
        """Update the buttons of the types; those of unchanged types stay."""
        before, self._offered = self._offered, _offered()
        if self._offered == before:
            return
        rows = dict(zip(before, self._choices.children, strict=False))  # without the last, a hint
        old = [rows.pop(name) for name in before if self._offered.get(name) is not before[name]]
        for name, kind in self._offered.items():
            if name not in rows:
                self.types[name] = self._type_button(name, kind)
                rows[name] = row_of(self.types[name], hint(summary(kind)), css="hk-side-type")
        self.types = {name: self.types[name] for name in self._offered}
        self._choices.children = [*(rows[name] for name in self._offered), self._about_code]
        close_all(old)

    def _open(self, kind: type[Node], node: Node | None) -> None:
        form = self._forms.get(kind)
        if form is None:
            form = self._forms[kind] = NodeForm(kind, self._panel.lock)
            # Running a cell again defines another class with the same type name.
            old = [one for one in self._forms if one is not kind and not _is_known(one)]
            dropped = [self._forms.pop(one) for one in old]
            self._forms_box.children = list(self._forms.values())
            close_all(dropped)
        form.put(node)
        self.form = form
        label = kind.__name__
        self.title.show(f"Add: {label}" if node is None else f"{label}: {node.key}")
        self._show_parts()

    def _show_parts(self) -> None:
        node, form = self._shown, self.form
        is_idle = self._key is None and self._place is None
        source = "" if node is None else _source(node)
        show(self, is_shown=not is_idle)
        show(self._choices, is_shown=self._place is not None and form is None)
        for one in self._forms.values():
            show(one, is_shown=one is form)
        show(self._code, is_shown=bool(source))
        show(self.source, is_shown=bool(source))
        show(self.done, is_shown=form is not None)
        show(self._moves, is_shown=self._key is not None)
        self.done.description = "Add" if node is None else "Done"
        self.source.show(source, "Source of its function")
        self._removal.reset()
        if self._key is not None:
            here = self._panel.draft.place_of(self._key)
            self.earlier.disabled = here.at == 0
            self.later.disabled = here.at == self._beside(here) - 1
        self._when_marked(self._key, self._place)

    def _beside(self, place: Place) -> int:
        draft = self._panel.draft
        if place.parent is None or place.branch is None:
            return len(draft.nodes)
        return len(draft.find(place.parent).below()[place.branch])

    # -- buttons --------------------------------------------------------------------------------

    def _button(self, label: str, work: Callable[[], None], tooltip: str, style: str = "") -> Any:
        return button(label, work, self._panel.lock, tooltip=tooltip, style=style)

    def _type_button(self, name: str, kind: type[Node]) -> Any:
        label = kind.__name__
        return self._button(label, lambda: self.add(name), f"Add a node of the type {label}")

    def _done(self) -> None:
        if self._write() and self._key is not None:
            self._reopen(self._key)

    def _leave(self) -> bool:
        """Write the form before another is shown; a node not added yet is dropped."""
        return self._place is not None or self.write_typed()

    def _write(self) -> bool:
        """Write the form into the draft; an error is shown in the form."""
        form, draft = self.form, self._panel.draft
        if form is None:
            return False
        try:
            node = form.read()
        except SettingError:
            return False
        where = "nodes[0]" if self._key is None else arrangement.located(draft.nodes, self._key)[0]
        if self._key is None and node.key and self._has(node.key):
            taken = SettingError("key", f"{node.key!r} is the key of another node")
            form.complain(taken, where)
            return False
        try:
            if self._key is not None:
                self._key = draft.replace(self._key, node)
            else:
                self._key = draft.add(self._place or Place(), node)
        except SettingError as error:
            form.complain(error, where)
            return False
        self._place, self._shown = None, draft.find(self._key)
        form.put(self._shown)
        self._panel.draft_changed()
        return True

    def _move(self, by: int) -> None:
        if self._key is None or not self._leave():
            return
        self._panel.draft.move(self._key, by)
        self._panel.draft_changed()
        self._show_parts()

    def _remove(self) -> None:
        if self._key is None:
            return
        self._panel.draft.remove(self._key)
        self.close_form()
        self._panel.draft_changed()

    def _ask(self) -> str:
        if self._key is None:
            return ""
        below = sum(1 for _ in walk([self._panel.draft.find(self._key)])) - 1
        return f"Really remove it{f' with {below} below it' if below else ''}"

    def _has(self, key: str) -> bool:
        return any(node.key == key for _, node in walk(self._panel.draft.nodes))


def _offered() -> dict[str, type[Node]]:
    """Return the node types that a form can create, in the order of their rank."""
    types = sorted(node_types().items(), key=lambda item: item[1].rank)
    return {name: kind for name, kind in types if can_be_made(kind)}


def _is_known(kind: type[Node]) -> bool:
    return node_types().get(kind.type_name) is kind


def _source(node: Node) -> str:
    """Return the source of the functions of a node, without those of nodes below it."""
    found: list[str] = []

    def note(_key: str, function: Any) -> Any:
        found.append(source_of(function))
        return function

    map_functions(node.without_below(), note)
    return "\n\n".join(found)
