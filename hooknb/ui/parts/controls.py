"""What the forms are put together from: buttons, rows of them, and lines of help."""

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
    """Make a button that does its work under the lock of the panel.

    ``tooltip`` says in a line what it does; ``style`` is one of ``ipywidgets.Button``.
    """
    made = ipywidgets.Button(description=label, tooltip=tooltip, button_style=style)

    def clicked(_button: Any) -> None:
        with lock:
            work()

    made.on_click(clicked)
    heard_during_cells(made)
    return made


def hint(text: str) -> Any:
    """Make a line of help; the text is of no hook, since what a label says is saved."""
    made = ipywidgets.Label(text)
    made.add_class("hk-form-hint")
    return made


def row_of(*widgets: Any, css: str = "hk-form-row") -> Any:
    """Put widgets into one row, which wraps where it is too narrow."""
    made = ipywidgets.HBox(widgets)
    made.add_class(css)
    return made


def show(widget: Any, *, is_shown: bool) -> None:
    """Show a widget, or leave out its place."""
    widget.layout.display = None if is_shown else "none"


def view_of(widget: Any) -> dict[str, Any]:
    """Return what a cell shows of a widget, by media type."""
    model = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": model}


def close_all(widgets: Iterable[Any]) -> None:
    """Close widgets, with all that is below them and the models of their layouts and styles."""
    for widget in widgets:
        # First what is shown: nobody needs to see it fall to pieces.
        widget.close()
        for name in ("layout", "style"):
            if (model := getattr(widget, name, None)) is not None:
                model.close()
        close_all(getattr(widget, "children", ()))


class Asking:
    """A button that asks before it does something, and one that leaves things as they are.

    Parameters
    ----------
    label, tooltip, keep, keep_tooltip
        What stands on the two, and what they do in a line.
    work
        What it does when it is pressed again.
    ask
        Returns the question that stands on it after the first press; ``""`` to do it at once.
    lock
        Of the panel.

    Attributes
    ----------
    button, keep
        The two. The second is shown while there is a question.
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
        """Ask no longer."""
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
    """Count something: ``1 node``, ``1,200 nodes``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
