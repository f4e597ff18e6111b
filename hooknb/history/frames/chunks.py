"""Reading the store in parts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hooknb.store import Store

__all__ = ["Read", "ReadListed", "chunks", "read_of"]

_FIRST_ROWS: Final = 64  # rows of the first part, while nothing is known of their size
_MAX_ROWS: Final = 1_000  # parsed, they stay in the processor's cache: 5,000 take a quarter longer
_MAX_BYTES: Final = 16 * 2**20  # of one part, about

Read: TypeAlias = "Callable[[Store, int, int, int], list[tuple[Any, ...]]]"
ReadListed: TypeAlias = "Callable[[Store, int, Sequence[int]], list[tuple[Any, ...]]]"


def read_of(ids: Sequence[int], read: ReadListed) -> Read:
    """Make a reader of the rows of some ids for :func:`chunks`.

    Parameters
    ----------
    ids
        In order; those that were deleted meanwhile are left out.
    read
        Reads the rows of a workflow that have these ids, in order.
    """

    def read_listed(store: Store, workflow_id: int, after: int, limit: int) -> list[Any]:
        rows: list[Any] = []
        at = bisect_right(ids, after)
        while len(rows) < limit and at < len(ids):
            part = ids[at : at + limit - len(rows)]
            at += len(part)
            rows += read(store, workflow_id, part)
        return rows

    return read_listed


def chunks(
    store: Store, read: Read, workflow_id: int, *, after: int
) -> Iterator[list[tuple[Any, ...]]]:
    """Read rows in the order of their ids, a thousand at a time, fewer where they are large.

    Parameters
    ----------
    store
        Where to read.
    read
        Reads rows of the id, the row's size in bytes, and whatever else: of a workflow, after an
        id, so many at the most.
    workflow_id
        Whose rows.
    after
        The last id that is known already.

    Yields
    ------
    list of tuple
        Never an empty one.
    """
    limit = _FIRST_ROWS
    while rows := read(store, workflow_id, after, limit):
        yield rows
        if len(rows) < limit:
            return
        after = rows[-1][0]
        average = sum(row[1] for row in rows) // len(rows) + 1
        limit = max(1, min(_MAX_ROWS, _MAX_BYTES // average))
