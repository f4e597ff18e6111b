"""The panel of a hook: its display at the end of a notebook cell."""

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
    """The graphical interface to one hook.

    Each button makes one documented call of :class:`hooknb.Hook`. All views show the same state,
    that of this object.

    Attributes
    ----------
    watch, feed
        The hook's data beyond its public calls, and its deliveries as rows; used under ``lock``.
    draft
        The changes made in the forms and not yet applied.
    selected
        The id of the chosen delivery.
    parts
        All widgets in it that exchange messages with views.
    lock
        Guards the panel: messages arrive on one thread and are published on another.
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
        # Linked in the browser, so that tabs open while the kernel is busy.
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
        """Close the panel and free its widgets; the hook makes another one on demand."""
        with _PANELS_LOCK:
            _PANELS.discard(self)
        with self.lock:
            for part in self.parts:
                part.forget_views()
            close_all([self, self._link])
        with contextlib.suppress(AttributeError):
            del self.hook.panel

    # -- called by parts ------------------------------------------------------------------------

    def open_tab(self, tab: Any) -> None:
        """Show one of the tabs."""
        self.head.tab = self._stack.children.index(tab)

    def poke(self) -> None:
        """Have changes published soon."""
        PUBLISHER.wake()

    def choose(self, delivery: int | None) -> None:
        """Choose a delivery in every part that shows one; the caller holds the lock."""
        self.selected = delivery
        self.deliveries.chosen()
        self.workflow.flow.follow()

    def draft_changed(self) -> None:
        """Tell the forms that the draft has changed; the caller holds the lock."""
        self.trigger.draft_changed()
        self.workflow.draft_changed()

    # -- called by the publisher ----------------------------------------------------------------

    @property
    def watched(self) -> bool:
        """Whether any part of it is visible."""
        return any(part.watched for part in self.parts)

    @property
    def silent(self) -> bool:
        """Whether none of its visible parts has heard from a view for a minute."""
        return all(part.silent for part in self.parts if part.watched)

    def publish(self) -> int:
        """Send the changes, and return the number of messages."""
        with self.lock:
            hook = self.hook
            try:
                self.watch.flush()
                self.feed.refresh()
                if self._shown is not hook.workflow:
                    # Another revision, or the same one with redefined functions.
                    self._shown = hook.workflow
                    self.trigger.revised()
                    self.workflow.revised()
                # One part's update may make another one send messages too.
                before = sum(part.messages for part in self.parts)
                for part in self.parts:
                    # The head may be scrolled out of sight while a part below it is watched.
                    if part.watched or (part is self.head and part.is_open):
                        part.publish()
                return sum(part.messages for part in self.parts) - before
            except StoreUnavailableError:
                if hook.status != "closed":
                    raise
                # Its runtime is closed too: there is nothing left to read.
                return self.head.publish()

    def view(self) -> dict[str, Any]:
        """Return the panel's display data, by media type."""
        return view_of(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return the display data: the panel, and a summary where widgets are not supported."""
        return self.hook._repr_mimebundle_()

    def __repr__(self) -> str:
        """Describe the hook, without secrets."""
        return repr(self.hook)


def _end_closed(name: str) -> None:
    """Remove the panels of closed hooks with this name, since a new hook has taken it.

    Until then they stay on view, to show that their hook is closed.
    """
    with _PANELS_LOCK:
        panels = tuple(_PANELS)
    for panel in panels:
        if panel.hook.name == name and panel.hook.status == "closed":
            panel.end()


def _parts(widget: Any) -> list[Part]:
    """Return the parts in a tree of widgets."""
    found = [widget] if isinstance(widget, Part) else []
    for child in getattr(widget, "children", ()):
        found += _parts(child)
    return found
