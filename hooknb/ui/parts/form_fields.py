"""Fields, choices and lines of text whose content travels as messages: nothing of it is saved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

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

    def __init__(self, lock: threading.RLock | None = None) -> None:
        # The number of the newest message about a thing, by view and thing.
        self._newest: dict[tuple[Any, ...], int] = {}
        super().__init__(lock=lock)

    def _hear(self, widget: Any, content: Any, buffers: Any) -> None:
        number = content.get("number") if isinstance(content, dict) else None
        if not isinstance(number, int):
            super()._hear(widget, content, buffers)
            if isinstance(content, dict) and content.get("kind") == "close":
                self._forget(str(content.get("view")))
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

    def _forget(self, view: str) -> None:
        """Forget the numbers of a view that is closed."""
        with self.lock:
            for about in [about for about in self._newest if about[0] == view]:
                del self._newest[about]


class Field(Heard):
    """A field for text that may be a secret, or part of what came.

    Parameters
    ----------
    label
        What it is for.
    value
        The text in it.
    lines
        How many are shown; of more than one it takes line breaks.
    password
        Whether what is typed is dots. It is never sent to a browser, only whether there is one.
        A password that was set from here stays where the field is emptied again.
    mono
        Whether it is code.
    hidden
        Whether only screen readers get the label.
    placeholder
        What stands in it while it is empty.
    on_change
        Called with the text after it was changed in a browser; under the lock.
    lock
        As of :class:`~hooknb.ui.parts.part.Part`.
    """

    module = "parts/field.js"

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
        self._placeholder = placeholder
        self._error = ""
        self._note = ""
        self._enabled = True
        self.on_change = on_change
        super().__init__(lock=lock)

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

    @property
    def error(self) -> str:
        """What is wrong with the text, shown below it. Settable."""
        return self._error

    @error.setter
    def error(self, text: str) -> None:
        self._change("_error", text)

    @property
    def note(self) -> str:
        """What else there is to say about the text, shown below it. Settable."""
        return self._note

    @note.setter
    def note(self, text: str) -> None:
        self._change("_note", text)

    @property
    def enabled(self) -> bool:
        """Whether it can be typed into. Settable."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._change("_enabled", value)

    @property
    def placeholder(self) -> str:
        """What stands in it while it is empty. Settable."""
        return self._placeholder

    @placeholder.setter
    def placeholder(self, text: str) -> None:
        self._change("_placeholder", text)

    def on_typed(self, content: dict[str, Any]) -> None:
        """Take what was typed in a view; the other views show it too."""
        text = str(content.get("text", ""))
        view = str(content.get("view"))
        self._value = self._own if self._is_password and not text else text
        self._say("typed", view)
        if self.on_change is not None:
            self.on_change(self._value)

    def opened(self) -> None:
        """Say all of it."""
        self._say("open")

    def _change(self, name: str, value: Any) -> None:
        if getattr(self, name) != value:
            setattr(self, name, value)
            self._say("around")

    def _say(self, cause: str, view: str | None = None) -> None:
        """Say all of it, and why: whoever types goes on where the text is none the wiser."""
        text, placeholder = self._value, self._placeholder
        if self._is_password:
            text, placeholder = "", _DOTS if self._value else placeholder
        self.say(
            "field",
            **self._fixed,
            text=text,
            placeholder=placeholder,
            error=self._error,
            note=self._note,
            enabled=self._enabled,
            cause=cause,
            by=view,
        )


class Choice(Heard):
    """One of several values, in a list; or on and off, as a switch.

    Parameters
    ----------
    label
        What it is for.
    options
        Labels and values. Without any it is a switch between ``False`` and ``True``.
    note
        What else there is to say about it, shown below it.
    on_change
        Called with the value after it was chosen in a browser; under the lock.
    lock
        As of :class:`~hooknb.ui.parts.part.Part`.
    """

    module = "parts/choice.js"

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
        self._enabled = True
        self.on_change = on_change
        super().__init__(lock=lock)

    @property
    def value(self) -> Any:
        """The value that is chosen. Settable; every view shows it then."""
        return self._options[self._at][1]

    @value.setter
    def value(self, value: Any) -> None:
        self._put(self._options, _place(self._options, value), self._enabled)

    @property
    def enabled(self) -> bool:
        """Whether it can be changed. Settable."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._put(self._options, self._at, value)

    def offer(self, options: Sequence[tuple[str, Any]], value: Any) -> None:
        """Let one of other values be chosen from now on, and choose one of them."""
        self._put(tuple(options), _place(options, value), self._enabled)

    def on_chosen(self, content: dict[str, Any]) -> None:
        """Take what was chosen in a view; the other views show it too."""
        at = content.get("at")
        if isinstance(at, int) and 0 <= at < len(self._options) and at != self._at:
            self._put(self._options, at, self._enabled)
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
            enabled=self._enabled,
        )

    def _put(self, options: _Options, at: int, enabled: bool) -> None:  # noqa: FBT001 - a state
        if (options, at, enabled) != (self._options, self._at, self._enabled):
            self._options, self._at, self._enabled = options, at, enabled
            self.opened()


def _place(options: Sequence[tuple[str, Any]], value: Any) -> int:
    return [known for _, known in options].index(value)


class Note(Part):
    """A line that says how things stand.

    Parameters
    ----------
    lock
        As of :class:`~hooknb.ui.parts.part.Part`.
    """

    module = "parts/note.js"

    def __init__(self, *, lock: threading.RLock | None = None) -> None:
        self._text = ""
        self._tone = ""
        super().__init__(lock=lock)

    @property
    def text(self) -> str:
        """What it says."""
        return self._text

    def show(self, text: str, tone: str = "") -> None:
        """Say something else; the tone ``bad`` is for what is wrong."""
        if (text, tone) != (self._text, self._tone):
            self._text, self._tone = text, tone
            self.opened()

    def opened(self) -> None:
        """Say it."""
        self.say("note", text=self._text, tone=self._tone)


class Source(Part):
    """A function's text, as messages: what a definition holds is not saved with the notebook."""

    module = "parts/source.js"
    text = ""
    label = ""

    def show(self, text: str, label: str) -> None:
        """Show another text.

        Parameters
        ----------
        text
            What is shown.
        label
            What screen readers call it.
        """
        if (text, label) != (self.text, self.label):
            self.text, self.label = text, label
            self.opened()

    def opened(self) -> None:
        """Say it."""
        self.say("source", source=self.text, label=self.label)
