"""The bar below the forms: apply or discard the draft, and see the problems in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets

from hooknb.errors import HooknbError, SettingError
from hooknb.ui.parts.controls import button, show
from hooknb.ui.parts.form_fields import Note
from hooknb.workflow.nodes import walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from hooknb.ui.panel import HookPanel
    from hooknb.workflow import Workflow

__all__ = ["Bar"]


class Bar(ipywidgets.HBox):  # type: ignore[misc]
    """*Apply as revision N*, *Discard*, and a line about the draft.

    *Apply* calls :meth:`hooknb.Hook.configure` with all settings of the draft. The buttons are
    never disabled, only dimmed when there is nothing to apply: typed text reaches the kernel when
    its field loses the focus, perhaps by the very press of the button, and a disabled button would
    swallow that press.

    Parameters
    ----------
    panel
        The panel whose draft it applies.
    before
        Called before the draft is applied; returns False to prevent that.

    Attributes
    ----------
    apply, discard, synchronous
        Its buttons. The last is shown only if an asynchronous workflow has a node that needs a
        waiting caller.
    note
        The line about the draft.
    """

    def __init__(self, panel: HookPanel, before: Callable[[], bool] | None = None) -> None:
        self._panel = panel
        self._before = before
        self._served: Workflow | None = None
        self._number = 0
        lock, back = panel.lock, "Go back to the revision that is served"
        waits = "The caller waits for the workflow's response: sync=True"
        self.apply = button(
            "Apply", self._apply, lock, tooltip="hook.configure(…)", style="primary"
        )
        self.discard = button("Discard", self._discard, lock, tooltip=back)
        self.synchronous = button(
            "Make it synchronous", self._make_synchronous, lock, tooltip=waits
        )
        self.note = Note(lock=lock)
        self.note.when_published = self.look
        super().__init__(children=[self.apply, self.discard, self.synchronous, self.note])
        self.add_class("hk-bar")
        self.refresh()

    def refresh(self, text: str = "", *, is_wrong: bool = False) -> None:
        """Show the state of the draft; the caller holds the lock.

        The text is shown unless the draft has a problem, or starts from a revision that is no
        longer served; a text that is an error, ``is_wrong``, takes precedence.
        """
        draft, hook = self._panel.draft, self._panel.hook
        problems = draft.problems
        if problems and not is_wrong:
            more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
            text, is_wrong = f"{problems[0]}{more}", True
        elif draft.changed and draft.base != hook.workflow and not is_wrong:
            text = f"revision {hook.revision} was made elsewhere; Discard shows it"
        self.apply.description = f"Apply as revision {self._next()}"
        is_unheard = any(_is_unheard(draft.nodes, error) for error in problems)
        show(self.synchronous, is_shown=is_unheard and not draft.value("sync"))
        self.note.show(text, "bad" if is_wrong else "")
        self.look()

    def look(self) -> int:
        """Dim the buttons while nothing was changed; return 0, the number of messages sent."""
        # A bar is made before the panel's Workflow tab is.
        workflow = getattr(self._panel, "workflow", None)
        is_idle = not self._panel.draft.changed and not (workflow and workflow.editor.is_touched)
        for one in (self.apply, self.discard):
            (one.add_class if is_idle else one.remove_class)("hk-idle")
        return 0

    # -- buttons --------------------------------------------------------------------------------

    def _next(self) -> int:
        """Return the number of the next revision; after going back, it is not ``revision + 1``."""
        hook = self._panel.hook
        if self._served is not hook.workflow:
            try:
                self._number = self._panel.watch.next_revision()
            except HooknbError:
                return hook.revision + 1
            self._served = hook.workflow
        return self._number

    def _apply(self) -> None:
        panel = self._panel
        if self._before is not None and not self._before():
            return
        try:
            panel.draft.apply(panel.hook)
        except HooknbError as error:
            self.refresh(str(error), is_wrong=True)
            return
        panel.draft_changed()
        panel.poke()

    def _discard(self) -> None:
        self._panel.draft.reset(self._panel.hook.workflow)
        self._panel.draft_changed()

    def _make_synchronous(self) -> None:
        self._panel.draft.set(sync=True)
        self._panel.draft_changed()


def _is_unheard(nodes: Any, error: SettingError) -> bool:
    """Whether the error is that a node needs a waiting caller, not about one of its settings."""
    return any(place == error.setting and node.needs_caller for place, node in walk(nodes))
