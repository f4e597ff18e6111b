"""Fields, choices and lines of text whose content travels as messages: nothing of it is saved."""

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
    """A part that says of every numbered message that it was heard, when all of it was done.

    Messages share no queue: ipykernel hears one on a subshell's thread and another, also of the
    same widget, on the main thread, where it may wait for a cell. So the browser holds back the
    press of a button until what was typed before was heard, and what is overtaken is left out.
    """

    def __init__(self, lock: threading.RLock | None = None, **traits: Any) -> None:
        # The number of the newest message about a thing, by view and thing.
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
                # Also where the kernel was interrupted: buttons wait for it.
                self.say("heard", to=content.get("view"), number=number)


class Field(Heard):
    """A field for text that may be a secret, or part of what came.

    Parameters
    ----------
    lines
        How many are shown; of more than one it takes line breaks.
    password
        Whether what is typed is dots. It is never sent to a browser, only whether there is one.
        A password that was set from here stays where the field is emptied again.
    mono
        Whether it is code.
    hidden
        Whether only screen readers get the label.
    on_change
        Called with the text after it was changed in a browser; under the lock.

    Attributes
    ----------
    error, note
        What is wrong with the text, and what else there is to say about it: shown below it.
    placeholder
        What stands in it while it is empty.
    enabled
        Whether it can be typed into.
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
        """The text. Settable; every view shows it then."""
        return self._value

    @value.setter
    def value(self, text: str) -> None:
        is_other = text != self._value or (self._is_password and text != self._own)
        self._own = self._value = text
        # A password that was typed is out of the browser again as soon as it is known here.
        if is_other:
            self._say("value")

    def on_typed(self, content: dict[str, Any]) -> None:
        """Take what was typed in a view; the other views show it too."""
        text = str(content.get("text", ""))
        self._value = self._own if self._is_password and not text else text
        self._say("typed", str(content.get("view")))
        if self.on_change is not None:
            self.on_change(self._value)

    def opened(self) -> None:
        """Say all of it."""
        self._say("open")

    def _say(self, cause: str, view: str | None = None) -> None:
        """Say all of it, and why: a view in which somebody types keeps what is typed there."""
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
    """One of several values, in a list; or on and off, as a switch.

    Parameters
    ----------
    options
        Labels and values. Without any it is a switch between ``False`` and ``True``.
    note
        What else there is to say about it, shown below it.
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
        """The value that is chosen. Settable; every view shows it then."""
        return self._options[self._at][1]

    @value.setter
    def value(self, value: Any) -> None:
        self.offer(self._options, value)

    def offer(self, options: Sequence[tuple[str, Any]], value: Any) -> None:
        """Let one of other values be chosen from now on, and choose one of them."""
        self._put(tuple(options), [known for _, known in options].index(value))

    def on_chosen(self, content: dict[str, Any]) -> None:
        """Take what was chosen in a view; the other views show it too."""
        at = content.get("at")
        if isinstance(at, int) and 0 <= at < len(self._options) and at != self._at:
            self._put(self._options, at)
            if self.on_change is not None:
                self.on_change(self.value)

    def opened(self) -> None:
        """Say all of it."""
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
    """A line that says how things stand."""

    module = "parts/note.js"
    text = ""
    tone = ""

    def show(self, text: str, tone: str = "") -> None:
        """Say something else; the tone ``bad`` is for what is wrong."""
        if (text, tone) != (self.text, self.tone):
            self.text, self.tone = text, tone
            self.opened()

    def opened(self) -> None:
        """Say it."""
        self.say("note", text=self.text, tone=self.tone)


class Source(Part):
    """A function's text; ``label`` is what screen readers call it."""

    module = "parts/source.js"
    text = ""
    label = ""

    def show(self, text: str, label: str) -> None:
        """Show another text."""
        if (text, label) != (self.text, self.label):
            self.text, self.label = text, label
            self.opened()

    def opened(self) -> None:
        """Say it."""
        self.say("source", source=self.text, label=self.label)
