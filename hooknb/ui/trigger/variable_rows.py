"""The table in which the variables of a part are edited."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final

from hooknb.paths import MISSING
from hooknb.ui.draft.variable_table import MAX_SAMPLE_CHARACTERS, TYPES, Row, shown_value
from hooknb.ui.parts.form_fields import Heard

__all__ = ["Rows"]

_MAX_VALUE_CHARACTERS: Final = 80
_WORDS: Final = {
    "headers": ("name", "header", "Variables of the headers", "X-Request-Id"),
    "query": ("path", "variable", "Variables of the query", "ref or items[0].sku"),
    "body": ("path", "variable", "Variables of the body", "order.id or items[0].sku"),
}


class Rows(Heard):
    """A table of variables: path, alias, type, sample, and the last delivery's value.

    Parameters
    ----------
    part
        ``headers``, ``query`` or ``body``.
    on_change
        Called with the rows after they were edited in a browser; under the lock.
    lock
        As of :class:`~hooknb.ui.parts.part.Part`.
    """

    module = "trigger/variable_rows.js"

    def __init__(
        self,
        part: str,
        *,
        on_change: Callable[[list[Row]], None],
        lock: threading.RLock | None = None,
    ) -> None:
        self._part = part
        self._on_change = on_change
        self._numbers = count(1)
        # Rows with the numbers that identify them to views, whatever their position.
        self._rows: list[tuple[int, Row]] = []
        self._problems: Mapping[int, str] = {}
        self._came: Sequence[Any] = ()
        self._said: list[list[Any]] = []
        self._from: dict[str, Any] | None = None
        super().__init__(lock=lock)

    @property
    def rows(self) -> list[Row]:
        """The rows, in order."""
        return [row for _, row in self._rows]

    def show(self, rows: Sequence[Row], problems: Mapping[int, str], came: Sequence[Any]) -> None:
        """Show rows, with their problems and the values that they take.

        Parameters
        ----------
        rows
            Rows that stay are recognized by identity, or by path after a reset of the draft, so
            that a cell being edited stays in place.
        problems
            By position.
        came
            A value for each row, or ``MISSING``; empty while there is no delivery.
        """
        left = dict(self._rows)
        known: dict[int, int] = {}
        for is_same in (lambda one, other: one is other, lambda one, other: one.path == other.path):
            for position, row in enumerate(rows):
                if position not in known:
                    found = next((n for n, one in left.items() if is_same(one, row)), None)
                    if found is not None:
                        known[position] = found
                        del left[found]
        self._rows = [
            (known.get(position) or next(self._numbers), row) for position, row in enumerate(rows)
        ]
        self._problems = problems
        self._came = came
        self._say()

    def opened(self) -> None:
        """Send all rows."""
        self._said = self._lines()
        self._say_all()

    # -- messages from views --------------------------------------------------------------------

    def on_cell(self, content: dict[str, Any]) -> None:
        """Set the text typed into a cell."""
        column, text = content.get("column"), str(content.get("text", ""))
        at = self._position(content)
        if at is None:
            return
        number, row = self._rows[at]
        if column == "type":
            kind = next((name for name in TYPES if name == text), None)
            # The sample's text is parsed again, as the new type.
            is_read = row.is_editable and row.shown_sample
            row = replace(row, type=kind, typed=row.shown_sample if is_read else row.typed)
        elif column == "sample" and row.is_editable:
            row = replace(row, typed=text)
        elif column == "path":
            row = replace(row, path=text)
        elif column == "alias":
            row = replace(row, alias=text)
        self._rows[at] = number, row
        self._changed({name: content.get(name) for name in ("view", "row", "column")})

    def on_remove(self, content: dict[str, Any]) -> None:
        """Remove a row."""
        at = self._position(content)
        if at is not None:
            del self._rows[at]
            self._changed()

    def on_add(self, content: dict[str, Any]) -> None:
        """Append a blank row unless there is one, and focus it."""
        if not self._rows or not self._rows[-1][1].is_blank:
            blank = Row(type="text") if self._part == "headers" else Row()
            self._rows.append((next(self._numbers), blank))
            self._changed()
        self.say("focus", to=content.get("view"), row=self._rows[-1][0])

    def _position(self, content: Mapping[str, Any]) -> int | None:
        wanted = content.get("row")
        return next((at for at, (number, _) in enumerate(self._rows) if number == wanted), None)

    def _changed(self, source: dict[str, Any] | None = None) -> None:
        self._from = source
        try:
            self._on_change(self.rows)
            self._say()
        finally:
            self._from = None

    # -- messages to views ----------------------------------------------------------------------

    def _lines(self) -> list[list[Any]]:
        """Return the rows as views get them."""
        return [
            [
                number,
                row.path,
                row.alias,
                row.type,
                row.shown_sample[:MAX_SAMPLE_CHARACTERS],
                row.is_editable,
                self._problems.get(at, ""),
                self._last(at, row),
            ]
            for at, (number, row) in enumerate(self._rows)
        ]

    def _last(self, at: int, row: Row) -> str | None:
        if at >= len(self._came) or row.is_blank:
            return ""
        value = self._came[at]
        return None if value is MISSING else shown_value(value)[:_MAX_VALUE_CHARACTERS]

    def _say(self) -> None:
        lines, said = self._lines(), self._said
        self._said = lines
        if [line[0] for line in lines] != [line[0] for line in said]:
            self._say_all()
            return
        some = [
            [at, line]
            for at, (line, before) in enumerate(zip(lines, said, strict=True))
            if line != before
        ]
        if some:
            self.say("some", rows=some, **self._source())

    def _say_all(self) -> None:
        word, noun, caption, hint = _WORDS[self._part]
        self.say(
            "rows",
            part=self._part,
            word=word,
            noun=noun,
            caption=caption,
            hint=hint,
            types=TYPES,
            rows=self._said,
            **self._source(),
        )

    def _source(self) -> dict[str, Any]:
        return {} if self._from is None else {"from": self._from}
