"""The cards of the Trigger tab: forms that edit the draft and show its problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import ipywidgets
import msgspec

from hooknb.errors import PayloadError
from hooknb.paths import MISSING
from hooknb.payloads import kind
from hooknb.ui.draft.typed import shown_headers, shown_json, shown_size
from hooknb.ui.parts.controls import Asking, button, counted, row_of
from hooknb.ui.parts.form_fields import Choice, Field, Note
from hooknb.ui.trigger.variable_rows import Rows
from hooknb.workflow import Trigger, Workflow
from hooknb.workflow.auth import BasicAuth
from hooknb.workflow.nodes import Response
from hooknb.workflow.nodes.fields import fields_of

if TYPE_CHECKING:
    from hooknb.records import Delivery
    from hooknb.ui.draft.drafts import Draft
    from hooknb.ui.trigger.trigger_tab import TriggerTab
    from hooknb.workflow.auth import Auth

__all__ = ["Card", "General", "ResponseCard", "Sampled", "Security", "Variables"]

_MODES: Final = (
    ("asynchronous: the response is sent at once", False),
    ("synchronous: the caller waits", True),
)
_KINDS: Final = (("text", "text"), ("JSON", "json"))


class Card(ipywidgets.VBox):  # type: ignore[misc]
    """A group of settings under a heading.

    Parameters
    ----------
    forms
        The tab that it is part of.
    heading
        Fixed HTML, without data of a hook.
    children
        The widgets below the heading.
    """

    def __init__(self, forms: TriggerTab, heading: str, children: Sequence[Any]) -> None:
        self._forms = forms
        title = ipywidgets.HTML(f"<h4>{heading}</h4>")
        super().__init__(children=[title, *children])
        self.add_class("hk-card")

    def show(self, draft: Draft, *, is_new: bool) -> None:
        """Show the draft.

        Parameters
        ----------
        draft
            The draft.
        is_new
            Whether it was reset to another definition.
        """
        raise NotImplementedError

    def _field(self, label: str, name: str, **options: Any) -> Field:
        """Return a field that edits a setting."""
        forms = self._forms
        return Field(
            label, lock=forms.lock, on_change=lambda text: forms.edit(**{name: text}), **options
        )


class General(Card):
    """Mode, methods, media types, limits, retention, subpaths and the status while disabled."""

    def __init__(self, forms: TriggerTab) -> None:
        self._forms = forms
        self.mode = Choice(
            "mode", _MODES, lock=forms.lock, on_change=lambda value: forms.edit(sync=value)
        )
        known = {one.name: one for kind in (Workflow, Trigger) for one in fields_of(kind)}
        self.fields = {
            name: self._field(
                known[name].hints.get("label", name),
                name,
                placeholder=known[name].hints["placeholder"],
            )
            for name in (
                *("methods", "accept", "max_body", "timeout", "concurrency"),
                *("keep_days", "keep_deliveries", "keep_bytes"),
            )
        }
        self.choices = {
            name: Choice(
                known[name].hints["label"],
                [(str(value), value) for value in known[name].choices],
                note=known[name].hints["hint"],
                lock=forms.lock,
                on_change=partial(self._choose, name),
            )
            for name in ("subpaths", "disabled_status")
        }
        fields = list(self.fields.values())
        rows = [row_of(*fields[:2]), row_of(*fields[2:5]), row_of(*fields[5:])]
        children = [self.mode, *rows, *self.choices.values()]
        super().__init__(forms, "General", children)

    def _choose(self, name: str, value: Any) -> None:
        self._forms.edit(**{name: value})

    def show(self, draft: Draft, *, is_new: bool) -> None:  # noqa: ARG002 - as of every card
        """Show the draft."""
        self.mode.value = draft.value("sync")
        for name, field in self.fields.items():
            field.value = _text(name, draft.value(name))
            field.error = draft.problem(name)
        for name, choice in self.choices.items():
            choice.value = draft.value(name)


def _text(name: str, value: Any) -> str:
    """Format a setting as it is typed."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if name in {"max_body", "keep_bytes"}:
        return shown_size(value)
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


class Security(Card):
    """HTTP Basic authentication; it requires a user and a password.

    Any other scheme, such as a signature, is named and left as it is: it is set in Python.
    """

    def __init__(self, forms: TriggerTab) -> None:
        self.basic = Choice("HTTP Basic", lock=forms.lock, on_change=lambda _: self._typed())
        self.user = Field("user", lock=forms.lock, on_change=lambda _: self._typed())
        self.password = Field(
            "password", password=True, lock=forms.lock, on_change=lambda _: self._typed()
        )
        self.other = Note(lock=forms.lock)
        children = [self.basic, row_of(self.user, self.password), self.other]
        super().__init__(forms, "Security", children)

    def show(self, draft: Draft, *, is_new: bool) -> None:
        """Show the draft; typed text stays while authentication is turned off."""
        auth = draft.value("auth")
        # In a draft, auth is a pair while user or password is missing.
        is_basic = isinstance(auth, (BasicAuth, tuple))
        if is_new:
            self.user.value = getattr(auth, "user", "")
            self.password.value = getattr(auth, "password", "")
        self.basic.value = is_basic
        self.basic.enabled = is_basic or auth is None
        self.other.show("" if self.basic.enabled else _in_python(auth))
        self.other.layout.display = "none" if self.basic.enabled else None
        problems = {error.setting: error.problem for error in draft.problems}
        for name, field in (("user", self.user), ("password", self.password)):
            field.enabled = is_basic
            field.error = problems.get(f"auth.{name}", "")

    def _typed(self) -> None:
        if not self.basic.enabled:
            return
        pair = (self.user.value, self.password.value)
        self._forms.edit(auth=pair if self.basic.value else None)


def _in_python(auth: Auth) -> str:
    """Say what callers must prove, and where it is changed."""
    named = " and ".join(map(repr, auth.parts))
    return f"Callers must prove {named}. Change it in Python: hook.configure(auth=…)"


class ResponseCard(Card):
    """The response of an asynchronous hook."""

    def __init__(self, forms: TriggerTab) -> None:
        self._forms = forms
        self.status = self._part("status", "status", mono=True, placeholder="200")
        self.headers = self._part(
            "headers", "headers", lines=2, mono=True, placeholder="Name: value"
        )
        self.body = self._part("body", "body", lines=3, mono=True)
        self.kind = Choice(
            "body is",
            _KINDS,
            lock=forms.lock,
            on_change=lambda _: self._set(body=self.body.value),
        )
        heading = 'Response <span class="hk-form-badge">asynchronous only</span>'
        super().__init__(forms, heading, [row_of(self.status, self.kind), self.headers, self.body])

    def show(self, draft: Draft, *, is_new: bool) -> None:
        """Show the draft."""
        fields = self._fields(draft)
        body = fields["body"]
        is_bytes = isinstance(body, (bytes, bytearray))
        if is_new:
            self.kind.value = "text" if isinstance(body, str) or is_bytes else "json"
        self.status.value = str(fields["status"])
        self.headers.value = shown_headers(fields["headers"])
        if isinstance(body, str):
            self.body.value = body
        else:
            self.body.value = "" if is_bytes else _indented(body)
        self.body.placeholder = "bytes, set in a cell" if is_bytes else ""
        is_used = not draft.value("sync")
        for field in (self.status, self.headers, self.body):
            field.enabled = is_used and not (is_bytes and field is self.body)
        self.kind.enabled = is_used and not is_bytes
        errors = {error.setting: error.problem for error in draft.problems}
        self.status.error = errors.pop("response.status", "")
        self.body.error = errors.pop("response.body", "") or errors.pop("response", "")
        self.headers.error = draft.problem("response.headers")

    def _fields(self, draft: Draft) -> dict[str, Any]:
        response = draft.value("response")
        if isinstance(response, Response):
            return {name: getattr(response, name) for name in response.__struct_fields__}
        return dict(response)

    def _part(self, label: str, name: str, **options: Any) -> Field:
        return Field(
            label,
            lock=self._forms.lock,
            on_change=lambda text: self._set(**{name: text}),
            **options,
        )

    def _set(self, **changed: Any) -> None:
        fields = self._fields(self._forms.draft)
        is_text = isinstance(fields["body"], str) or "body" in changed
        fields |= changed
        # A body that was not typed stays as it is.
        fields["json"] = is_text and self.kind.value == "json"
        self._forms.edit(response=fields)


def _indented(value: Any) -> str:
    try:
        return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except (TypeError, ValueError, RecursionError):
        return shown_json(value)


_MAX_SAMPLE_CHARACTERS: Final = 64 * 1024


class Variables(Card):
    """The variables of a part, without a sample."""

    def __init__(
        self, forms: TriggerTab, part: str, heading: str, children: Sequence[Any] = ()
    ) -> None:
        self.part = part
        self.rows = Rows(part, lock=forms.lock, on_change=lambda rows: forms.edit(**{part: rows}))
        super().__init__(forms, heading, [*children, self.rows])

    def show(self, draft: Draft, *, is_new: bool) -> None:  # noqa: ARG002 - as of every card
        """Show the draft."""
        newest = self._forms.newest()
        came = () if newest is None else draft.taken(self.part, newest)
        self.rows.show(draft.rows(self.part), draft.row_problems(self.part), came)


class Sampled(Variables):
    """The variables of the query or the body, and the sample that they are parsed from."""

    def __init__(self, forms: TriggerTab, part: str, heading: str, placeholder: str) -> None:
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
        self.parse = self._button(
            "Parse", f"Add a row for every path in the sample of the {part}", self._parse
        )
        self.last = self._button(
            "Use the last delivery",
            f"Add a row for every path in the {part} of the last accepted delivery",
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
        """Show the draft."""
        if is_new:
            self._say()
            self._clearing.reset()
        super().show(draft, is_new=is_new)

    def use(self, delivery: Delivery) -> None:
        """Add rows for the paths of a delivery, and show it as the sample."""
        self._clearing.reset()
        name = f"delivery #{delivery.id}"
        came = delivery.query if self.part == "query" else delivery.body_or_missing
        if came is MISSING or (self.part == "query" and not came):
            self._say(error=f"{name} has no {self.part}")
            return
        number = self._forms.draft.parse(self.part, came if self.part == "query" else delivery)
        text = delivery.query_string if self.part == "query" else _body_text(delivery, came)
        is_short = len(text) <= _MAX_SAMPLE_CHARACTERS
        self.sample.value = text if is_short else ""
        more = "" if is_short else ", too long to show"
        self._say(f"{counted(number, 'path')} of {name}{more}")
        self._forms.followed()

    # -- buttons --------------------------------------------------------------------------------

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
            self._say(error="no accepted delivery yet; send one")
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
    """Return a body as text that can be parsed again: as received if possible."""
    if kind(delivery.content_type) == "json" and "Content-Encoding" not in delivery.header_map:
        try:
            return delivery.raw.decode()
        except UnicodeDecodeError:
            pass  # another charset of JSON
    try:
        return msgspec.json.encode(body).decode()
    except (TypeError, ValueError, RecursionError):
        return ""
