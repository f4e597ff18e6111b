"""Fields, choices and lines of text whose content travels as messages and is never saved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import traitlets

from hooknb.ui.parts.part import Part

__all__ = ["Choice", "Field", "Heard", "Note", "Source"]

_DOTS: Final = "••••••"

_Options: TypeAlias = tuple[tuple[str, Any], ...]


class Heard(Part):
    """A part that acknowledges every numbered message once it has been handled.

    Messages may overtake each other: ipykernel handles one on a subshell's thread and another of
    the same widget on the main thread, where it may wait for a cell. The browser therefore holds
    back the press of a button until earlier input is acknowledged; overtaken input is dropped.
    """

    def __init__(self, lock: threading.RLock | None = None, **traits: Any) -> None:
        # The number of the newest message, by view, kind and cell.
        self._newest: dict[tuple[Any, ...], int] = {}
        super().__init__(lock=lock, **traits)

    def _hear(self, widget: Any, content: Any, buffers: Any) -> None:
        number = content.get("number") if isinstance(content, dict) else None
        if not isinstance(number, int):
            super()._hear(widget, content, buffers)
            if isinstance(content, dict) and content.get("kind") == "close":
                closed = str(content.get("view"))
                with self.lock:
                    self._newest = {at: n for at, n in self._newest.items() if at[0] != closed}
            return
        about = tuple(str(content.get(name)) for name in ("view", "kind", "row", "column"))
        with self.lock:
            try:
                if number > self._newest.get(about, 0):
                    self._newest[about] = number
                    super()._hear(widget, content, buffers)
            finally:
                # Even if the kernel was interrupted: buttons wait for it.
                self.say("heard", to=content.get("view"), number=number)


class Field(Heard):
    """A text field whose content may be a secret or part of a delivery.

    Parameters
    ----------
    lines
        The number of lines shown; with more than one, the text may have line breaks.
    password
        Whether the text is a password. It is never sent to a browser, only whether there is one.
        Emptying the field in a browser restores the password set from Python.
    mono
        Whether the font is monospaced, as for code.
    hidden
        Whether only screen readers get the label.
    on_change
        Called with the text after it was changed in a browser; under the lock.

    Attributes
    ----------
    error, note
        A problem with the text, and a remark about it: shown below it.
    placeholder
        The text shown while the field is empty.
    enabled
        Whether it can be edited.
    """

    module = "parts/field.js"
    error = traitlets.Unicode("")
    note = traitlets.Unicode("")
    placeholder = traitlets.Unicode("")
    enabled = traitlets.Bool(default_value=True)

    def __init__(
        self,
        label: str,
        *,
        value: str = "",
        lines: int = 1,
        password: bool = False,
        mono: bool = False,
        hidden: bool = False,
        placeholder: str = "",
        on_change: Callable[[str], None] | None = None,
        lock: threading.RLock | None = None,
    ) -> None:
        self._fixed = {
            "label": label,
            "lines": lines,
            "password": password,
            "mono": mono,
            "hidden": hidden,
        }
        self._is_password = password
        self._own = self._value = value
        self.on_change = on_change
        super().__init__(lock=lock, placeholder=placeholder)
        self.observe(lambda _: self._say("around"), ["error", "note", "placeholder", "enabled"])

    @property
    def value(self) -> str:
        """The text. Settable; all views show the new text."""
        return self._value

    @value.setter
    def value(self, text: str) -> None:
        is_other = text != self._value or (self._is_password and text != self._own)
        self._own = self._value = text
        # Sent even for an unchanged password: it clears the field in which it was typed.
        if is_other:
            self._say("value")

    def on_typed(self, content: dict[str, Any]) -> None:
        """Set the text typed in a view; the other views show it too."""
        text = str(content.get("text", ""))
        self._value = self._own if self._is_password and not text else text
        self._say("typed", str(content.get("view")))
        if self.on_change is not None:
            self.on_change(self._value)

    def opened(self) -> None:
        """Send the whole state."""
        self._say("open")

    def _say(self, cause: str, view: str | None = None) -> None:
        """Send the whole state and the cause, by which a view decides whether to keep its text."""
        text, placeholder = self._value, self.placeholder
        if self._is_password:
            text, placeholder = "", _DOTS if self._value else placeholder
        self.say(
            "field",
            **self._fixed,
            text=text,
            placeholder=placeholder,
            error=self.error,
            note=self.note,
            enabled=self.enabled,
            cause=cause,
            by=view,
        )


class Choice(Heard):
    """A choice among several values, as a list; or on and off, as a switch.

    Parameters
    ----------
    options
        Labels and values. Without options, it is a switch between ``False`` and ``True``.
    note
        A remark shown below it.
    on_change
        Called with the value after it was chosen in a browser; under the lock.
    """

    module = "parts/choice.js"
    enabled = traitlets.Bool(default_value=True)

    def __init__(
        self,
        label: str,
        options: Sequence[tuple[str, Any]] = (),
        *,
        note: str = "",
        on_change: Callable[[Any], None] | None = None,
        lock: threading.RLock | None = None,
    ) -> None:
        self._label = label
        self._note = note
        self._is_switch = not options
        self._options: _Options = tuple(options) or (("off", False), ("on", True))
        self._at = 0
        self.on_change = on_change
        super().__init__(lock=lock)
        self.observe(lambda _: self.opened(), "enabled")

    @property
    def value(self) -> Any:
        """The chosen value. Settable; all views show the new choice."""
        return self._options[self._at][1]

    @value.setter
    def value(self, value: Any) -> None:
        self.offer(self._options, value)

    def offer(self, options: Sequence[tuple[str, Any]], value: Any) -> None:
        """Replace the options, and choose one of them."""
        self._put(tuple(options), [known for _, known in options].index(value))

    def on_chosen(self, content: dict[str, Any]) -> None:
        """Set the value chosen in a view; the other views show it too."""
        at = content.get("at")
        if isinstance(at, int) and 0 <= at < len(self._options) and at != self._at:
            self._put(self._options, at)
            if self.on_change is not None:
                self.on_change(self.value)

    def opened(self) -> None:
        """Send the whole state."""
        self.say(
            "choice",
            label=self._label,
            labels=[label for label, _ in self._options],
            note=self._note,
            is_switch=self._is_switch,
            at=self._at,
            enabled=self.enabled,
        )

    def _put(self, options: _Options, at: int) -> None:
        if (options, at) != (self._options, self._at):
            self._options, self._at = options, at
            self.opened()


class Note(Part):
    """A status line."""

    module = "parts/note.js"
    text = ""
    tone = ""

    def show(self, text: str, tone: str = "") -> None:
        """Show another text; the tone ``bad`` marks an error."""
        if (text, tone) != (self.text, self.tone):
            self.text, self.tone = text, tone
            self.opened()

    def opened(self) -> None:
        """Send the text."""
        self.say("note", text=self.text, tone=self.tone)


class Source(Part):
    """A function's source text; ``label`` names it for screen readers."""

    module = "parts/source.js"
    text = ""
    label = ""

    def show(self, text: str, label: str) -> None:
        """Show another text."""
        if (text, label) != (self.text, self.label):
            self.text, self.label = text, label
            self.opened()

    def opened(self) -> None:
        """Send the text."""
        self.say("source", source=self.text, label=self.label)
