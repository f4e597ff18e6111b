"""The cards of variables: their rows, and the samples that the rows are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hooknb.errors import PayloadError
from hooknb.paths import MISSING
from hooknb.payloads import kind
from hooknb.ui.draft.drafts import Draft
from hooknb.ui.parts.controls import Asking, button, row_of
from hooknb.ui.parts.form_fields import Field
from hooknb.ui.parts.words import counted
from hooknb.ui.trigger.cards import Card, Forms
from hooknb.ui.trigger.variable_rows import Rows

if TYPE_CHECKING:
    from hooknb.records import Delivery

__all__ = ["Sampled", "Variables"]

_LONGEST_SAMPLE: Final = 64 * 1024


class Variables(Card):
    """The rows of a part, without a sample."""

    def __init__(self, forms: Forms, part: str, heading: str, children: Sequence[Any] = ()) -> None:
        self.part = part
        self.rows = Rows(part, lock=forms.lock, on_change=lambda rows: forms.edit(**{part: rows}))
        super().__init__(forms, heading, [*children, self.rows])

    def show(self, draft: Draft, *, is_new: bool) -> None:  # noqa: ARG002 - as of every card
        """Follow the draft."""
        newest = self._forms.newest()
        came = () if newest is None else draft.taken(self.part, newest)
        self.rows.show(draft.rows(self.part), draft.row_problems(self.part), came)


class Sampled(Variables):
    """The rows of the query or the body, and the sample that they are made of."""

    def __init__(self, forms: Forms, part: str, heading: str, placeholder: str) -> None:
        self._forms = forms
        self.sample = Field(
            f"sample of the {part}",
            lines=3 if part == "body" else 1,
            mono=True,
            hidden=True,
            placeholder=placeholder,
            lock=forms.lock,
            on_change=lambda _: self._say(),
        )
        self.parse = self._button("Parse", f"Make rows of the sample of the {part}", self._parse)
        self.last = self._button(
            "Use the last delivery",
            f"Make rows of the {part} of the last delivery that was accepted",
            self._use_newest,
        )
        self._clearing = Asking(
            "Clear",
            self._clear,
            lambda: "Really clear?",
            forms.lock,
            tooltip=f"Remove the sample and all rows of the {part}",
            keep="Keep them",
            keep_tooltip=f"Leave the rows of the {part}",
        )
        self.clear, self.keep = self._clearing.button, self._clearing.keep
        super().__init__(
            forms,
            part,
            heading,
            [self.sample, row_of(self.parse, self.last, self.clear, self.keep, css="hk-buttons")],
        )

    def show(self, draft: Draft, *, is_new: bool) -> None:
        """Follow the draft."""
        if is_new:
            self._say()
            self._clearing.reset()
        super().show(draft, is_new=is_new)

    def use(self, delivery: Delivery) -> None:
        """Make rows of a delivery, and show it as the sample."""
        self._clearing.reset()
        name = f"delivery #{delivery.id}"
        came = delivery.query if self.part == "query" else delivery.body_or_missing
        if came is MISSING or (self.part == "query" and not came):
            self._say(error=f"{name} has no {self.part}")
            return
        number = self._forms.draft.parse(self.part, came if self.part == "query" else delivery)
        text = delivery.query_string if self.part == "query" else _body_text(delivery, came)
        is_short = len(text) <= _LONGEST_SAMPLE
        self.sample.value = text if is_short else ""
        more = "" if is_short else ", too long to be shown"
        self._say(f"{counted(number, 'path')} of {name}{more}")
        self._forms.followed()

    # -- what buttons do ------------------------------------------------------------------------

    def _parse(self) -> None:
        self._clearing.reset()
        try:
            number = self._forms.draft.parse(self.part, self.sample.value)
        except PayloadError as error:
            self._say(error=str(error))
            return
        self._say(counted(number, "path"))
        self._forms.followed()

    def _use_newest(self) -> None:
        newest = self._forms.newest()
        if newest is None:
            self._say(error="no delivery was accepted yet; send one")
        else:
            self.use(newest)

    def _clear(self) -> None:
        self.sample.value = ""
        self._say()
        self._forms.edit(**{self.part: []})

    def _button(self, label: str, tooltip: str, work: Callable[[], None]) -> Any:
        forms = self._forms
        return button(label, lambda: forms.caught(work), forms.lock, tooltip=tooltip)

    def _say(self, note: str = "", *, error: str = "") -> None:
        self.sample.error, self.sample.note = error, note


def _body_text(delivery: Delivery, body: Any) -> str:
    """Give a body as text that can be parsed again: as it came, where it came so."""
    if kind(delivery.content_type) == "json" and "Content-Encoding" not in delivery.header_map:
        try:
            return delivery.raw.decode()
        except UnicodeDecodeError:
            pass  # another charset of JSON
    try:
        return msgspec.json.encode(body).decode()
    except (TypeError, ValueError, RecursionError):
        return ""
