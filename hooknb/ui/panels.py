"""The panels of all hooks, and a form that creates new ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import ipywidgets

from hooknb.errors import HooknbError
from hooknb.history.store_size import REMEDY
from hooknb.ui.head import HOOK_TONES
from hooknb.ui.parts.controls import button, view_of
from hooknb.ui.parts.form_fields import Choice, Field
from hooknb.ui.parts.part import Part
from hooknb.ui.parts.publisher import PUBLISHER

if TYPE_CHECKING:
    from hooknb.hook import Hook

__all__ = ["Calls", "Panels"]

_LIST_SECONDS: Final = 1.0
_STORE_SECONDS: Final = 5.0
_SIZE_SECONDS: Final = 30.0
_MODES: Final = (("asynchronous", False), ("synchronous", True))


class Calls(Protocol):
    """The functions of :mod:`hooknb.runtime` that the panels call."""

    def hooks(self) -> Mapping[str, Hook]:
        """Return the hooks being served, by name."""

    def workflows(self) -> list[str]:
        """Return the names of the stored workflows."""

    def store_users(self) -> list[int | None]:
        """Return the ids of the other processes that use the store; ``None`` for unknown ones."""

    def webhook(self, name: str, *, sync: bool) -> Hook:
        """Serve a new workflow."""

    def serve(self, name: str) -> Hook:
        """Serve a stored workflow as it is."""


class HookList(Part):
    """The list of hooks: those served, then those only stored."""

    module = "panels.js"
    carries = True

    def __init__(
        self,
        choose: Callable[[str], None],
        listed: Callable[[], dict[str, Any]],
        lock: threading.RLock,
    ) -> None:
        self._choose = choose
        self._listed = listed
        self._said: dict[str, Any] = {}
        self._next = 0.0
        super().__init__(lock=lock)

    def opened(self) -> None:
        """Send the whole list."""
        self._said, self._next = {}, 0.0
        self.publish()

    def publish(self) -> int:
        """Send the list if it has changed; checked at most once a second."""
        with self.lock:
            now = time.monotonic()
            if now < self._next:
                return 0
            self._next = now + _LIST_SECONDS
            failure: HooknbError | None = None
            try:
                listed = self._listed()
            except HooknbError as error:
                failure, listed = error, {"error": str(error)}
            if listed == self._said:
                return 0
            self._said = listed
            if failure is not None:
                self.say_error("hooks", failure)
            else:
                self.say("hooks", **listed)
            return 1

    def on_choose(self, content: dict[str, Any]) -> None:
        """Show a hook; serve it first if it is only stored."""
        self._choose(str(content.get("name")))


class Panels(ipywidgets.VBox):  # type: ignore[misc]
    """The panels of all hooks, one at a time, and *New webhook*.

    Attributes
    ----------
    list
        The hooks, of which one is chosen.
    name, mode, make
        The form of *New webhook*.
    place
        Where the panel of the chosen hook stands.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._chosen: str | None = None
        self._hook: Hook | None = None
        self._stored: list[str] = []
        self._others = ""
        self._next_stored = 0.0
        self._size: tuple[str, str] = ("", "")
        self._next_size = 0.0
        # Taken before a runtime's lock, never while holding one.
        self._lock = threading.RLock()
        self.list = HookList(self.choose, self._listed, self._lock)
        self.list.when_watched = PUBLISHER.wake
        self.name = Field(
            "name",
            placeholder="name of a new webhook",
            lock=self._lock,
            on_change=lambda _: self._say_error(""),
        )
        self.mode = Choice("mode", _MODES, lock=self._lock)
        self.make = button(
            "New webhook", self._new, self._lock, tooltip="hooknb.webhook(…)", style="primary"
        )
        new = ipywidgets.HBox([self.name, self.mode, self.make])
        new.add_class("hk-new")
        self.place = ipywidgets.VBox()
        super().__init__(children=[self.list, new, self.place])
        self.add_class("hk-panels")
        PUBLISHER.add(self.list)
        served = list(calls.hooks())
        if served:
            self.choose(served[-1])

    def _listed(self) -> dict[str, Any]:
        served = self._calls.hooks()
        again = served.get(self._chosen or "")
        if again is not None and again is not self._hook:
            # Closed and created again: another hook of the same name.
            self.choose(again.name)
        rows = [
            {
                "name": name,
                "tone": HOOK_TONES[hook.status],
                "said": hook.status if not hook.enabled else _new(hook.watch().arrived),
                "stored": False,
            }
            for name, hook in served.items()
        ]
        rows += [
            {"name": name, "tone": "off", "said": self._others, "stored": True}
            for name in self._workflows()
            if name not in served
        ]
        size, remedy = self._size
        return {"hooks": rows, "chosen": self._chosen, "size": size, "remedy": remedy}

    def _workflows(self) -> list[str]:
        """Return the names of the stored workflows, read every few seconds."""
        now = time.monotonic()
        if now >= self._next_stored:
            self._next_stored = now + _STORE_SECONDS
            self._stored = self._calls.workflows()
            self._others = _not_served(self._calls.store_users())
            if now >= self._next_size:
                self._size = _store_size(self._calls.hooks().values())
                self._next_size = now + _SIZE_SECONDS if self._size[0] else 0.0
        return self._stored

    def choose(self, name: str) -> None:
        """Show the panel of a hook; one that is only stored is served first."""
        hook = self._calls.hooks().get(name) or self._calls.serve(name)
        with self._lock:
            self._chosen, self._hook = name, hook
            self.place.children = [hook.panel]
        PUBLISHER.wake()

    def _say_error(self, text: str) -> None:
        self.name.error = text

    def _new(self) -> None:
        name = self.name.value
        if not name.strip():
            self._say_error("enter a name")
            return
        # The field is not cleared: text typed meanwhile might be lost with it.
        self._say_error("")
        try:
            if name not in self._calls.hooks() and name not in self._calls.workflows():
                self._calls.webhook(name, sync=self.mode.value)
            self.choose(name)
        except (HooknbError, UnicodeError) as error:
            self._say_error(str(error))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return the display data: the panels, and the names where widgets are not supported."""
        return {"text/plain": repr(self), **view_of(self)}

    def __repr__(self) -> str:
        """Name the hooks."""
        return f"hooks: {', '.join(self._calls.hooks()) or 'none'}"


def _new(arrived: int) -> str:
    return f"{arrived:,} new" if arrived else "nothing new"


def _store_size(hooks: Iterable[Hook]) -> tuple[str, str]:
    """Return the size of the store as text, and the remedy if it is large."""
    for hook in hooks:
        if hook.status != "closed":
            size = hook.watch().store_size()
            return size.text, REMEDY if size.is_large else ""
    return "", ""


def _not_served(users: list[int | None]) -> str:
    """Describe a hook that is not served here, and who else uses its store."""
    if not users:
        return "stored, not served"
    named = ["another process" if pid is None else f"process {pid}" for pid in users]
    return f"stored; the store is also used by {' and '.join(named)}"
