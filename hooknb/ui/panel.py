"""The panel of a hook: what is shown where ``hook`` stands at the end of a cell."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import ipywidgets

from hooknb.errors import StoreUnavailableError
from hooknb.ui.deliveries import Deliveries
from hooknb.ui.draft.drafts import Draft
from hooknb.ui.head import Head
from hooknb.ui.parts.controls import close_all, view_of
from hooknb.ui.parts.part import Part
from hooknb.ui.parts.publisher import PUBLISHER
from hooknb.ui.python_tab import PythonTab
from hooknb.ui.trigger import TriggerTab
from hooknb.ui.workflow import WorkflowTab

if TYPE_CHECKING:
    from hooknb.history.watching import Watch
    from hooknb.hook import Hook

__all__ = ["HookPanel"]

_PANELS: Final[WeakSet[HookPanel]] = WeakSet()
_PANELS_LOCK: Final = threading.Lock()


class HookPanel(ipywidgets.VBox):  # type: ignore[misc]
    """Everything about one hook, to look at and to click on.

    Whatever a button does is one documented call of :class:`hooknb.Hook`. All views of it agree:
    they show this one object.

    Attributes
    ----------
    watch, feed
        What the parts read of the hook beyond its calls, and of that the deliveries as rows;
        used under ``lock``.
    draft
        What the forms have changed and nobody has applied.
    selected
        The id of the chosen delivery.
    parts
        Everything in it that hears messages and is published.
    lock
        Guards all of it: messages come on one thread, what is published on another.
    """

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self.lock = threading.RLock()
        self.watch: Watch = hook.watch()
        self.feed = self.watch.feed
        self.draft = Draft(hook.workflow)
        self.selected: int | None = None
        self._shown = hook.workflow
        self.deliveries = Deliveries(self)
        self.trigger = TriggerTab(self)
        self.workflow = WorkflowTab(self)
        self.python = PythonTab(self)
        tabs = (self.deliveries, self.trigger, self.workflow, self.python)
        self.head = Head(self, [tab.title for tab in tabs])
        self._stack = ipywidgets.Stack(children=tabs, selected_index=self.head.tab)
        # In the browser: which tab is open changes also while the kernel is busy.
        self._link = ipywidgets.jslink((self.head, "tab"), (self._stack, "selected_index"))
        super().__init__(children=[self.head, self._stack])
        self.add_class("hk-panel")
        self.parts = _parts(self)
        for part in self.parts:
            part.when_watched = self.poke
        PUBLISHER.add(self)
        _end_closed(hook.name)
        with _PANELS_LOCK:
            _PANELS.add(self)

    def end(self) -> None:
        """Take it from where it is shown, and give back its widgets; the hook makes another one."""
        with _PANELS_LOCK:
            _PANELS.discard(self)
        with self.lock:
            for part in self.parts:
                part.forget_views()
            close_all([self, self._link])
        with contextlib.suppress(AttributeError):
            del self.hook.panel

    # -- for the parts --------------------------------------------------------------------------

    def open_tab(self, tab: Any) -> None:
        """Show one of the tabs."""
        self.head.tab = self._stack.children.index(tab)

    def poke(self) -> None:
        """Have what changed published soon."""
        PUBLISHER.wake()

    def choose(self, delivery: int | None) -> None:
        """Choose a delivery, in every part that shows one; under the lock."""
        self.selected = delivery
        self.deliveries.chosen()
        self.workflow.chosen()

    def draft_changed(self) -> None:
        """Tell the forms that the draft is another one now; under the lock."""
        self.trigger.draft_changed()
        self.workflow.draft_changed()

    # -- for the publisher ----------------------------------------------------------------------

    @property
    def watched(self) -> bool:
        """Whether somebody can see a part of it."""
        return any(part.watched for part in self.parts)

    @property
    def silent(self) -> bool:
        """Whether those who see it were not heard of for a minute."""
        return all(part.silent for part in self.parts if part.watched)

    def publish(self) -> int:
        """Say what has changed, and return the number of messages."""
        with self.lock:
            hook = self.hook
            try:
                self.watch.flush()
                self.feed.refresh()
                if self._shown is not hook.workflow:
                    # Another revision, or the same one with its functions made anew.
                    self._shown = hook.workflow
                    self.trigger.revised()
                    self.workflow.revised()
                # What one part has to say may have another one say something too.
                before = sum(part.messages for part in self.parts)
                for part in self.parts:
                    # The head may have been scrolled away by what is looked at below it.
                    if part.watched or (part is self.head and part.is_open):
                        part.publish()
                return sum(part.messages for part in self.parts) - before
            except StoreUnavailableError:
                if hook.status != "closed":
                    raise
                # Its runtime is closed too: there is nothing to read, and nothing new.
                return self.head.publish()

    def view(self) -> dict[str, Any]:
        """Return what a cell shows of it, by media type."""
        return view_of(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Show the panel, and a summary where widgets cannot be shown."""
        return self.hook._repr_mimebundle_()

    def __repr__(self) -> str:
        """Say what the hook is, without secrets."""
        return repr(self.hook)


def _end_closed(name: str) -> None:
    """Have the panels of closed hooks give way to the one of the next hook of their name.

    Until then they stand where they were shown: that a hook is closed is worth seeing.
    """
    with _PANELS_LOCK:
        panels = tuple(_PANELS)
    for panel in panels:
        if panel.hook.name == name and panel.hook.status == "closed":
            panel.end()


def _parts(widget: Any) -> list[Part]:
    """Return the parts among a widget and all below it."""
    found = [widget] if isinstance(widget, Part) else []
    for child in getattr(widget, "children", ()):
        found += _parts(child)
    return found
