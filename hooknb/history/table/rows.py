"""The rows of the table of deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hooknb.history.delivery import MAX_PREVIEW_BYTES, StoredRequest
from hooknb.history.table.shown_text import cell, cut
from hooknb.history.table.table_columns import Column
from hooknb.records import Status
from hooknb.store import queries

if TYPE_CHECKING:
    from hooknb.store import Store

__all__ = ["Row", "Rows"]

_MAX_CELL_ROWS: Final = 2_000  # rows whose cells are kept
_MAX_REASON_CHARACTERS: Final = 200  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the table shows of one delivery.

    Attributes
    ----------
    ordinal
        Its position in the view, oldest first, from 0.
    id
        The delivery's number.
    received_us
        When it was received, in microseconds since 1970.
    status
        The status code of the response; ``None`` while the caller waits.
    refused
        Whether it was refused.
    reason
        Why it was refused; of an accepted one whose execution ended as error, failed or aborted,
        the first line of why: ``KeyError: 'amount'``.
    cells
        A text for each column, of at most 80 characters; empty where the value is missing.
    took_ms
        Milliseconds until the response.
    execution
        The status of its execution as a word; ``None`` where it has none.
    """

    ordinal: int
    id: int
    received_us: int
    status: int | None
    refused: bool
    reason: str | None
    cells: list[str]
    took_ms: float | None
    execution: str | None

    def as_list(self) -> list[Any]:
        """Return it as JSON has it, in the order of the attributes; the time in milliseconds."""
        return [
            self.ordinal,
            self.id,
            self.received_us / 1000,
            self.status,
            self.refused,
            self.reason,
            self.cells,
            self.took_ms,
            self.execution,
        ]


class Rows:
    """Reads rows. Cells are kept, since a delivery never changes; all else is read each time.

    Parameters
    ----------
    store, workflow_id
        What to read.
    """

    def __init__(self, store: Store, workflow_id: int) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._names: list[str] = []
        self._cells: dict[int, list[str]] = {}

    def read(self, wanted: dict[int, int], columns: Sequence[Column]) -> list[Row]:
        """Read the rows of some ids.

        Parameters
        ----------
        wanted
            Ids by ordinal.
        columns
            What the cells are.

        Returns
        -------
        list of Row
            In the order of ``wanted``, without those that are gone.
        """
        if not wanted:
            return []
        read = queries.read_row_facts(self._store, self._workflow_id, list(wanted.values()))
        facts = {row.id: row for row in read}
        cells = self._read_cells(facts, columns)
        return [
            _row(ordinal, facts[number], cells[number])
            for ordinal, number in wanted.items()
            if number in facts and number in cells
        ]

    def _read_cells(self, ids: dict[int, Any], columns: Sequence[Column]) -> dict[int, list[str]]:
        names = [column.name for column in columns]
        if names != self._names:
            self._names = names
            self._cells.clear()
        unknown = [number for number in ids if number not in self._cells]
        if unknown:
            most = MAX_PREVIEW_BYTES if any(column.part == "body" for column in columns) else -1
            read = {
                number: [cell(column.value(request)) for column in columns]
                for number, _, *row in queries.read_requests_of(
                    self._store, self._workflow_id, unknown, most
                )
                for request in (StoredRequest(row),)
            }
            known = {number: self._cells[number] for number in ids if number in self._cells}
            if len(self._cells) + len(read) > _MAX_CELL_ROWS:
                self._cells = known
            self._cells.update(read)
        return {number: self._cells[number] for number in ids if number in self._cells}


def _row(ordinal: int, facts: queries.RowFacts, cells: list[str]) -> Row:
    ended = None if facts.execution is None else Status(facts.code)
    why, took = facts.refusal, facts.duration_us
    if why is None and ended is not None and ended.is_bad:
        why = facts.reason
    return Row(
        ordinal=ordinal,
        id=facts.id,
        received_us=facts.received_us,
        status=facts.status,
        refused=facts.refusal is not None,
        reason=None if why is None else cut(why.strip().partition("\n")[0], _MAX_REASON_CHARACTERS),
        cells=list(cells),
        took_ms=None if took is None else took / 1000,
        execution=None if ended is None else ended.word,
    )
