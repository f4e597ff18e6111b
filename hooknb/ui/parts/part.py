"""A part of the panel: an anywidget whose content travels as messages.

The state of a widget is saved with the notebook. It therefore holds no data of a hook: deliveries,
URL, credentials and definition are sent as messages, which are not saved.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final

import anywidget
import traitlets

from hooknb.errors import HooknbError, SettingError
from hooknb.ui.parts import bundle

__all__ = ["Part", "heard_during_cells"]

_LOG: Final = logging.getLogger("hooknb.ui")
_SILENT_SECONDS: Final = 60.0
_FORGOTTEN_SECONDS: Final = 3600.0


class Part(anywidget.AnyWidget):  # type: ignore[misc, unused-ignore]
    """A widget whose JavaScript is an ES module beside its Python module.

    A message from a view is ``{"kind": …, "view": …}``; the method ``on_<kind>`` handles it, under
    the lock. An exception is sent to that view as ``error`` with ``about`` (the kind),
    ``setting`` and ``message``.

    Parameters
    ----------
    lock
        Shared by all parts of a panel. Messages arrive on the kernel's main thread or on a
        subshell's, depending on the version of ipykernel; the publisher runs on another thread.

    Attributes
    ----------
    module
        The path of the module below :mod:`hooknb.ui`; its default export is the part.
    carries
        Whether it carries the code of all parts, as one part of each panel has to.
    messages
        The number of messages sent.
    when_watched
        Called under the lock when the part becomes visible.
    when_published
        Called by the publisher while it is visible, under the lock; returns the number of
        messages sent.
    """

    module: ClassVar[str] = ""
    carries: ClassVar[bool] = False
    _handlers: ClassVar[dict[str, Callable[[Any, dict[str, Any]], None]]] = {}
    _esm = traitlets.Unicode("").tag(sync=True)
    _css = traitlets.Unicode("").tag(sync=True)

    def __init__(self, lock: threading.RLock | None = None, **traits: Any) -> None:
        self.lock = lock or threading.RLock()
        # By view: whether it is visible, and when its last message arrived.
        self._views: dict[str, tuple[bool, float]] = {}
        self.messages = 0
        self.when_watched: Callable[[], None] | None = None
        self.when_published: Callable[[], int] | None = None
        if self.module:
            traits["_esm"] = bundle.code(self.module, carries=self.carries)
            traits["_css"] = bundle.style() if self.carries else ""
        super().__init__(**traits)
        heard_during_cells(self)
        self.on_msg(self._hear)

    def __init_subclass__(cls, **settings: Any) -> None:
        """Register its ``on_`` methods as handlers, but not those inherited from widgets."""
        super().__init_subclass__(**settings)
        own = vars(cls).items()
        handlers = {name.removeprefix("on_"): one for name, one in own if name.startswith("on_")}
        cls._handlers = cls._handlers | handlers

    # -- views ----------------------------------------------------------------------------------

    @property
    def watched(self) -> bool:
        """Whether a view is visible, according to its last message."""
        return any(visible for visible, _ in tuple(self._views.values()))

    @property
    def is_open(self) -> bool:
        """Whether there is a view, visible or not."""
        return bool(self._views)

    @property
    def silent(self) -> bool:
        """Whether no visible view has sent a message for a minute.

        The browser may be gone, or the kernel too busy to handle messages.
        """
        now = time.monotonic()
        # A copy: the publisher reads this without the lock.
        heard = [at for visible, at in tuple(self._views.values()) if visible]
        if heard and now - max(heard) > _FORGOTTEN_SECONDS:
            with self.lock:
                self.forget_views()
        return all(now - at > _SILENT_SECONDS for at in heard)

    def opened(self) -> None:
        """Send everything: a view was opened, for the first time or after a reload."""

    def publish(self) -> int:
        """Send the changes, and return the number of messages; called by the publisher."""
        return 0 if self.when_published is None else self.when_published()

    def say(self, kind: str, **content: Any) -> None:
        """Send a message to every view, or to the one named by ``to``."""
        self.messages += 1
        self.send({"kind": kind, **content})

    def forget_views(self) -> None:
        """Assume that all views are gone; the caller holds the lock."""
        self._views.clear()

    # -- messages -------------------------------------------------------------------------------

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict) or not isinstance(kind := content.get("kind"), str):
            return
        view = str(content.get("view", ""))
        with self.lock:
            if kind == "close":
                self._views.pop(view, None)
                return
            if kind in {"open", "seen"}:
                self._see(view, is_new=kind == "open", visible=content.get("visible") is True)
                return
            if view in self._views:
                self._views[view] = (self._views[view][0], time.monotonic())
            handler = self._handlers.get(kind)
            if handler is None:
                return
            try:
                handler(self, content)
            except Exception as error:  # noqa: BLE001 - sent to the view that caused it
                self.say_error(kind, error, view)

    def _see(self, view: str, *, is_new: bool, visible: bool) -> None:
        was_watched = self.watched
        self._views[view] = (visible, time.monotonic())
        if is_new:
            try:
                self.opened()
            except Exception as error:  # noqa: BLE001 - sent to the view that it concerns
                self.say_error("open", error, view)
        if self.when_watched is not None and self.watched and not was_watched:
            self.when_watched()

    def say_error(self, about: str, error: Exception, view: str | None = None) -> None:
        """Send an error to the view that caused it, or to all."""
        text = str(error)
        if not isinstance(error, HooknbError):
            _LOG.error("%s: %s", about, error, exc_info=error)
            text = f"{type(error).__name__}: {error}"
        setting = error.setting if isinstance(error, SettingError) else None
        to = {} if view is None else {"to": view}
        self.say("error", about=about, setting=setting, message=text, **to)

    def aside(
        self, about: str, work: Callable[[], Any], then: Callable[[Any], None], view: str
    ) -> None:
        """Do work that may block on another thread.

        ``then`` is called under the lock with the return value of ``work``. An exception of either
        is sent to the view as an error about ``about``.
        """

        def run() -> None:
            try:
                done = work()
                with self.lock:
                    then(done)
            except Exception as error:  # noqa: BLE001 - sent to the view that caused it
                with self.lock:
                    self.say_error(about, error, view)

        threading.Thread(target=run, name=f"hooknb-ui-{about}", daemon=True).start()

    def __repr__(self) -> str:
        """Name the part, the same in every run."""
        return f"<{type(self).__name__}>"


def heard_during_cells(widget: Any) -> None:
    """Have a widget's messages handled on the subshell that the browser names in them.

    Since 7.4, ipykernel routes them to the shell that last published on the widget. After a cell
    or a thread did, that is the main shell, where they wait for the running cell: for example for
    a ``hook.wait()`` that waits for the test which a click would send. Other versions of ipykernel
    need no change, and without subshells the browser names none.
    """
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = _named  # noqa: SLF001 - there is no public setting


def _named(_data: Any, subshell: str | None) -> str | None:
    return subshell
