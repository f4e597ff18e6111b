"""The Trigger tab."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from hooknb.errors import HooknbError, PayloadError, RecordNotFoundError, StoreError
from hooknb.ui.draft.bar import Bar
from hooknb.ui.parts.controls import counted
from hooknb.ui.trigger.cards import Card, General, ResponseCard, Sampled, Security, Variables

if TYPE_CHECKING:
    import threading

    from hooknb.records import Delivery
    from hooknb.ui.draft.drafts import Draft
    from hooknb.ui.panel import HookPanel

__all__ = ["TriggerTab"]

_LOOK_SECONDS: Final = 0.5
# Rest after each look, as a multiple of its duration: reading a large body takes long.
_PATIENCE: Final = 20
_MAX_NAMED: Final = 3


class TriggerTab(ipywidgets.VBox):  # type: ignore[misc]
    """The trigger's settings as forms, and the values they would take from the last delivery.

    The forms edit the panel's draft, which is served only once it is applied.

    Parameters
    ----------
    panel
        The panel that it is part of.
    """

    title = "Trigger"

    def __init__(self, panel: HookPanel) -> None:
        self._panel = panel
        self._begun = 0
        self._newest: Delivery | None = None
        self._next_look = 0.0
        self.general = General(self)
        self.security = Security(self)
        self.headers = Variables(self, "headers", "Headers")
        self.query = Sampled(self, "query", "Query", "https://shop.example/cb?ref=spring")
        self.body = Sampled(self, "body", "Body", '{"status": "paid", "order": {"id": 7}}')
        self.response = ResponseCard(self)
        self.bar = Bar(panel, before=self._write_node)
        self._cards: tuple[Card, ...] = (
            *(self.general, self.security, self.headers, self.query, self.body, self.response),
        )
        for part in (self.bar.note, *(card.rows for card in self._tables)):
            part.when_published = self._look
        columns = (
            ipywidgets.VBox([self.general, self.security, self.headers, self.query]),
            ipywidgets.VBox([self.body, self.response]),
        )
        forms = ipywidgets.HBox(columns)
        forms.add_class("hk-columns")
        super().__init__(children=[forms, self.bar])
        self.add_class("hk-trigger")
        self.draft_changed()

    @property
    def _tables(self) -> tuple[Variables, ...]:
        return self.headers, self.query, self.body

    # -- called by the panel --------------------------------------------------------------------

    def draft_changed(self) -> None:
        """Show the draft; the caller holds the lock."""
        draft = self._panel.draft
        is_new = draft.begun != self._begun
        self._begun = draft.begun
        for card in self._cards:
            card.show(draft, is_new=is_new)
        self._say()

    def revised(self) -> None:
        """Show the hook's new revision, made elsewhere; the caller holds the lock.

        A draft without changes is reset to it. One with changes stays, and the bar says so.
        """
        panel = self._panel
        if panel.draft.follow(panel.hook.workflow):
            panel.draft_changed()
        else:
            self._say()

    def _write_node(self) -> bool:
        """Write the form of a node into the draft; return False if the form is invalid."""
        is_right = self._panel.workflow.editor.write_typed()
        if not is_right:
            self.bar.refresh("the form in the Workflow tab has an error", is_wrong=True)
        return is_right

    def use(self, delivery: Delivery) -> None:
        """Use a delivery's query and body as samples; the caller holds the lock."""
        if delivery.query:
            self.query.use(delivery)
        self.body.use(delivery)

    # -- called by the cards --------------------------------------------------------------------

    @property
    def lock(self) -> threading.RLock:
        """The lock that guards the draft."""
        return self._panel.lock

    @property
    def draft(self) -> Draft:
        """The draft that the forms edit."""
        return self._panel.draft

    def edit(self, **settings: Any) -> None:
        """Set settings of the draft, and update every form."""
        self._panel.draft.set(**settings)
        self.followed()

    def followed(self) -> None:
        """Update every form, since the draft has changed."""
        self._panel.draft_changed()

    def caught(self, work: Callable[[], None]) -> None:
        """Do work under the lock; show an error in the bar."""
        with self.lock:
            try:
                work()
            except HooknbError as error:
                self.bar.refresh(str(error), is_wrong=True)

    def newest(self) -> Delivery | None:
        """Return the newest accepted delivery, or ``None``."""
        try:
            number = self._panel.watch.newest()
            if number is None:
                self._newest = None
            elif self._newest is None or self._newest.id != number:
                self._newest = self._panel.hook.delivery(number)
        except (RecordNotFoundError, StoreError):
            # Cleared in between, or not readable for now: the forms work without it.
            self._newest = None
        return self._newest

    # -- following deliveries -------------------------------------------------------------------

    def _look(self) -> int:
        """Show the newest delivery's values; return the number of messages sent."""
        self.bar.look()
        now = time.monotonic()
        if now < self._next_look:
            return 0
        before = self._newest
        if self.newest() is not before:
            for card in self._tables:
                card.show(self.draft, is_new=False)
            self._say()
        took = time.monotonic() - now
        self._next_look = now + max(_LOOK_SECONDS, _PATIENCE * took)
        return 0 if self._newest is before else 1

    def _say(self) -> None:
        self.bar.refresh(self._preview())

    def _preview(self) -> str:
        newest = self.newest()
        try:
            preview = None if newest is None else self.draft.preview(newest)
        except PayloadError as error:
            return f"the last delivery cannot be read: {error}"
        if newest is None or preview is None:
            return "no delivery yet to try the variables on"
        if not preview.total:
            return "no variables: columns are inferred from the deliveries"
        count = f"{preview.taken} of {counted(preview.total, 'variable')}"
        text = f"would take {count} from delivery #{newest.id}"
        if preview.missing:
            named = ", ".join(preview.missing[:_MAX_NAMED])
            more = len(preview.missing) - _MAX_NAMED
            text += f"; missing: {named}{f' and {more} more' if more > 0 else ''}"
        return text
