"""Which rows of the list the views show, and which of them are still to be sent.

Rows are addressed by ordinal: their position in the list, oldest first, which is stable within a
generation of the feed. When it changes, the id of a view's top row locates the view again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from hooknb.records import Status, response_tone

if TYPE_CHECKING:
    from hooknb.history.table import Feed, Row

__all__ = ["NEWEST", "Windows"]

NEWEST: Final = 60
"""Rows at the top that every view gets, so that a little scrolling needs no request."""

_MAX_ROWS_IN_SIGHT: Final = 400
_MARGIN: Final = 80
# In characters, roughly: a round's rows stay below 20 kB on the wire even with many columns.
_ROUND_SIZE: Final = 14_000
_RESPONSE_SIZE: Final = 60_000
_ROW_SIZE: Final = 70
_CELL_SIZE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of the list that a view shows.

    Attributes
    ----------
    first, end
        Ordinals, ``end`` excluded.
    anchor
        The id of its top row, the one at ``end - 1``; ``None`` if the view does not know it.
    follows
        Whether it is at the top, where new deliveries appear.
    """

    first: int = 0
    end: int = 0
    anchor: int | None = None
    follows: bool = True


class Windows:
    """The windows of all views, and which of the rows that ``feed`` reads were sent to them."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._by_view: dict[str, Window] = {}
        # Rows below this ordinal were sent; of them, those whose response or end is still to come
        # are kept as they were sent.
        self._high = 0
        self._unsettled: dict[int, list[Any]] = {}

    def look(self, view: str, content: Mapping[str, Any]) -> Window:
        """Record the window of a view from its message; what is not a number there counts as 0."""
        first, end, anchor = (_number(content.get(name)) for name in ("first", "end", "anchor"))
        self._by_view[view] = window = Window(
            first=first,
            end=min(max(first, end), first + _MAX_ROWS_IN_SIGHT),
            anchor=anchor or None,
            follows=content.get("follows") is True,
        )
        return window

    def keep(self, views: Collection[str]) -> None:
        """Forget the windows of views that are closed."""
        if len(self._by_view) > len(views):
            self._by_view = {view: at for view, at in self._by_view.items() if view in views}

    def to_top(self) -> None:
        """Put all views at the top."""
        self._by_view = {
            view: replace(window, follows=True) for view, window in self._by_view.items()
        }

    def void(self, ids: Sequence[int], total: int) -> dict[str, int]:
        """Forget the rows sent, since ordinals changed; return each view's new top ordinal.

        Views at the top are left out: they stay there. ``ids`` are those of the new list, oldest
        first, of which the first ``total`` may be shown.
        """
        self._high = 0
        self._unsettled.clear()
        places = {}
        for view, window in self._by_view.items():
            if window.follows or window.anchor is None:
                continue
            top = min(bisect_left(ids, window.anchor), max(0, total - 1))
            span = window.end - window.first
            self._by_view[view] = replace(window, first=max(0, top + 1 - span), end=top + 1)
            places[view] = top
        return places

    @property
    def are_at_top(self) -> bool:
        """Whether every view shows the newest rows."""
        return all(window.follows for window in self._by_view.values())

    @property
    def waits(self) -> bool:
        """Whether a row that was sent still waits for its response or the end of its execution."""
        return bool(self._unsettled)

    def say_all(self, total: int) -> list[list[Any]]:
        """Read the rows that all views show and the newest rows, even if sent before."""
        wanted = dict.fromkeys(self._in_sight(total))
        wanted.update(dict.fromkeys(self._newest(total)))
        self._high = total
        return self._read(wanted, _ROUND_SIZE)

    def say_new(self, total: int) -> list[list[Any]]:
        """Read the new rows below ``total``, and the pending rows that have changed."""
        newest = self._newest(total)
        wanted = dict.fromkeys(number for number in newest if number >= self._high)
        self._high = total
        before = {}
        if self._unsettled:
            shown = {*self._in_sight(total), *newest}
            before = {number: row for number, row in self._unsettled.items() if number in shown}
            self._unsettled = dict(before)
            wanted.update(dict.fromkeys(sorted(before, reverse=True)))
        rows = self._read(wanted, _ROUND_SIZE)
        return [row for row in rows if before.get(row[0]) != row]

    def response(self, first: int, end: int, total: int) -> tuple[int, int, list[list[Any]]]:
        """Read the rows that a view requests, with a margin on either side.

        Returns the first ordinal covered, the end (excluded), and the rows.
        """
        low, high = max(0, first - _MARGIN), min(total, end + _MARGIN)
        inner = range(max(low, first), min(high, end))
        around = [*range(inner.stop, high), *range(inner.start - 1, low - 1, -1)]
        rows = self._read([*inner, *around], _RESPONSE_SIZE, least=len(inner))
        if len(rows) < high - low:
            # Without the margin: a row missing from what was requested is gone.
            low, high = inner.start, inner.stop
        return low, high, rows

    # -- inside ---------------------------------------------------------------------------------

    def _newest(self, total: int) -> range:
        return range(total - 1, max(-1, total - 1 - NEWEST), -1)

    def _in_sight(self, total: int) -> Iterable[int]:
        for window in self._by_view.values():
            if window.follows:
                yield from range(total - 1, max(-1, total - 1 - (window.end - window.first)), -1)
            else:
                yield from range(min(window.end, total) - 1, window.first - 1, -1)

    def _read(self, wanted: Collection[int], size: int, least: int = 1) -> list[list[Any]]:
        """Read rows in this order up to a total size, but at least the first ``least``."""
        if not wanted:
            return []
        found = {row.ordinal: row for row in self._feed.rows(list(wanted))}
        rows: list[list[Any]] = []
        for number in wanted:
            row = found.get(number)
            if row is None:
                self._unsettled.pop(number, None)
                continue
            size -= _size(row)
            if size < 0 and len(rows) >= least:
                # The browser requests the rest when it comes into sight.
                break
            is_over = row.execution is None or Status.named(row.execution).is_over
            is_settled = row.status is not None and is_over
            said = [*row.as_list(), response_tone(row.status), is_settled]
            if is_settled:
                self._unsettled.pop(number, None)
            else:
                self._unsettled[number] = said
            rows.append(said)
        return rows


def _size(row: Row) -> int:
    cells = sum(_CELL_SIZE + len(cell.encode()) for cell in row.cells)
    return _ROW_SIZE + cells + len(row.reason or "")


def _number(value: Any) -> int:
    return value if type(value) is int and 0 < value < 2**53 else 0
