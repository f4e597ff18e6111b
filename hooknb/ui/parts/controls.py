"""Controls of the forms: buttons, rows and lines of help."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets

from hooknb.ui.parts.part import heard_during_cells

__all__ = ["Asking", "button", "close_all", "counted", "hint", "row_of", "show", "view_of"]


def button(
    label: str,
    work: Callable[[], None],
    lock: threading.RLock,
    *,
    tooltip: str = "",
    style: str = "",
) -> Any:
    """Return a button that does its work under the lock of the panel.

    ``tooltip`` says in one line what it does; ``style`` is a ``button_style`` of ipywidgets.
    """
    made = ipywidgets.Button(description=label, tooltip=tooltip, button_style=style)

    def clicked(_button: Any) -> None:
        with lock:
            work()

    made.on_click(clicked)
    heard_during_cells(made)
    return made


def hint(text: str) -> Any:
    """Return a line of fixed help text: a label is saved with the notebook, so no hook's data."""
    made = ipywidgets.Label(text)
    made.add_class("hk-form-hint")
    return made


def row_of(*widgets: Any, css: str = "hk-form-row") -> Any:
    """Return a row of widgets, which wraps if it is too narrow."""
    made = ipywidgets.HBox(widgets)
    made.add_class(css)
    return made


def show(widget: Any, *, is_shown: bool) -> None:
    """Show a widget, or hide it so that it takes no space."""
    widget.layout.display = None if is_shown else "none"


def view_of(widget: Any) -> dict[str, Any]:
    """Return a widget's display data, by media type."""
    model = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": model}


def close_all(widgets: Iterable[Any]) -> None:
    """Close widgets with all below them, and the models of their layouts and styles."""
    for widget in widgets:
        # The outermost first, so that the view disappears at once rather than piece by piece.
        widget.close()
        for name in ("layout", "style"):
            if (model := getattr(widget, name, None)) is not None:
                model.close()
        close_all(getattr(widget, "children", ()))


class Asking:
    """A button that asks for confirmation, and another one that cancels.

    Parameters
    ----------
    label, tooltip, keep, keep_tooltip
        The labels and tooltips of the two buttons.
    work
        Called when the button is pressed a second time.
    ask
        Returns the question that the button shows after the first press; ``""`` for none.
    lock
        The panel's lock.

    Attributes
    ----------
    button, keep
        The two buttons. The second is shown while the first asks.
    """

    def __init__(
        self,
        label: str,
        work: Callable[[], None],
        ask: Callable[[], str],
        lock: threading.RLock,
        *,
        tooltip: str = "",
        keep: str,
        keep_tooltip: str,
    ) -> None:
        self._label = label
        self._work = work
        self._ask = ask
        self._asks = False
        self.button = button(label, self._pressed, lock, tooltip=tooltip)
        self.keep = button(keep, self.reset, lock, tooltip=keep_tooltip)
        self.reset()

    def reset(self) -> None:
        """Withdraw the question."""
        self._asks = False
        self.button.description = self._label
        self.button.button_style = ""
        show(self.keep, is_shown=False)

    def _pressed(self) -> None:
        question = "" if self._asks else self._ask()
        if not question:
            self.reset()
            self._work()
            return
        self._asks = True
        self.button.description = question
        self.button.button_style = "danger"
        show(self.keep, is_shown=True)


def counted(number: int, word: str) -> str:
    """Return a number with its noun: ``1 node``, ``1,200 nodes``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
