"""A part of the panel: a widget of plain ESM whose content travels as messages.

What a widget keeps as its state is saved with the notebook. So state holds nothing of a hook:
what came, its URL, its credentials and its definition are said in messages, which nobody saves.
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
    """A widget whose code in the browser is an ES module beside its Python.

    A message of a view is ``{"kind": …, "view": …}``; the method ``on_<kind>`` gets it, one at a
    time with all other parts of the panel. What it raises is said to the view that asked, as
    ``error`` with ``about`` (the kind), ``setting`` and ``message``.

    Parameters
    ----------
    lock
        Shared by all parts of a panel. Messages come on the kernel's main thread or on a
        subshell's, depending on the version of ipykernel, and the publisher has a thread of its
        own.

    Attributes
    ----------
    module
        The path of the module below :mod:`hooknb.ui`; a part is its default export.
    carries
        Whether it brings the code of all parts to the page, as one of each panel has to.
    messages
        How many it has sent.
    when_watched
        Called under the lock when somebody can see it who could not before.
    when_published
        Called by the publisher while it is seen, under the lock; returns the number of messages.
    """

    module: ClassVar[str] = ""
    carries: ClassVar[bool] = False
    _handlers: ClassVar[dict[str, Callable[[Any, dict[str, Any]], None]]] = {}
    _esm = traitlets.Unicode("").tag(sync=True)
    _css = traitlets.Unicode("").tag(sync=True)

    def __init__(self, lock: threading.RLock | None = None, **traits: Any) -> None:
        self.lock = lock or threading.RLock()
        # By view: whether it can be seen, and when it was heard of last.
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
        """Note which messages it takes: its own methods, none of those that widgets have."""
        super().__init_subclass__(**settings)
        own = vars(cls).items()
        handlers = {name.removeprefix("on_"): one for name, one in own if name.startswith("on_")}
        cls._handlers = cls._handlers | handlers

    # -- views ----------------------------------------------------------------------------------

    @property
    def watched(self) -> bool:
        """Whether somebody can see it, as far as is known."""
        return any(visible for visible, _ in tuple(self._views.values()))

    @property
    def is_open(self) -> bool:
        """Whether there is a view of it, seen or not."""
        return bool(self._views)

    @property
    def silent(self) -> bool:
        """Whether no view that can be seen was heard of for a minute.

        The browser may be gone, or the kernel too busy to hear of it.
        """
        now = time.monotonic()
        # The publisher asks without the lock.
        heard = [at for visible, at in tuple(self._views.values()) if visible]
        if heard and now - max(heard) > _FORGOTTEN_SECONDS:
            with self.lock:
                self.forget_views()
        return all(now - at > _SILENT_SECONDS for at in heard)

    def opened(self) -> None:
        """Say everything: a view was opened, for the first time or after a reload."""

    def publish(self) -> int:
        """Say what has changed, and return the number of messages; called by the publisher."""
        return 0 if self.when_published is None else self.when_published()

    def say(self, kind: str, **content: Any) -> None:
        """Send a message to every view, or to the one named by ``to``."""
        self.messages += 1
        self.send({"kind": kind, **content})

    def forget_views(self) -> None:
        """Take it that there is no view of it any more; under the lock."""
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
            except Exception as error:  # noqa: BLE001 - it is said where it was caused
                self.say_error(kind, error, view)

    def _see(self, view: str, *, is_new: bool, visible: bool) -> None:
        was_watched = self.watched
        self._views[view] = (visible, time.monotonic())
        if is_new:
            try:
                self.opened()
            except Exception as error:  # noqa: BLE001 - it is said in the view that it concerns
                self.say_error("open", error, view)
        if self.when_watched is not None and self.watched and not was_watched:
            self.when_watched()

    def say_error(self, about: str, error: Exception, view: str | None = None) -> None:
        """Say what went wrong, to the view that caused it or to all."""
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
        """Do what may wait for a response on a thread of its own, so that nothing is held up.

        ``then`` is called under the lock with what ``work`` returned. What either of them raises
        is said to the view that asked, as an error about ``about``.
        """

        def run() -> None:
            try:
                done = work()
                with self.lock:
                    then(done)
            except Exception as error:  # noqa: BLE001 - it is said where it was caused
                with self.lock:
                    self.say_error(about, error, view)

        threading.Thread(target=run, name=f"hooknb-ui-{about}", daemon=True).start()

    def __repr__(self) -> str:
        """Name the part, the same in every run."""
        return f"<{type(self).__name__}>"


def heard_during_cells(widget: Any) -> None:
    """Let a widget hear its messages on the subshell that the browser names in them.

    From 7.4 on ipykernel sends them to the shell that published on the widget last. That is the
    main one after a cell or a thread did, and there they wait for the cell that runs: for a
    ``hook.wait()``, say, which waits for the very test that a click would send. Where ipykernel has
    no such rule nothing changes, and where there are no subshells the browser names none.
    """
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = _named  # noqa: SLF001 - there is no other way to say it


def _named(_data: Any, subshell: str | None) -> str | None:
    return subshell
