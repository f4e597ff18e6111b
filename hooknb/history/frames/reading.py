"""Reading the store in parts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hooknb.store import Store

__all__ = ["chunks", "of_ids"]

_FIRST: Final = 64  # rows of the first part, while nothing is known of their size
_MOST: Final = (
    1_000  # what they are parsed to stays in the processor's cache: 5,000 take a quarter longer
)
_BYTES: Final = 16 * 2**20  # of one part, about


def chunks(
    store: Store, statement: str, workflow_id: int, *, after: int
) -> Iterator[list[tuple[Any, ...]]]:
    """Read rows in the order of their ids, a thousand at a time, fewer where they are large.

    Parameters
    ----------
    store
        Where to read.
    statement
        Selects the id and the row's size in bytes, then whatever else; its parameters are the
        workflow, the id after which to start, and the most rows.
    workflow_id
        Whose rows.
    after
        The last id that is known already.

    Yields
    ------
    list of tuple
        Never an empty one.
    """
    limit = _FIRST
    while rows := store.rows(statement, (workflow_id, after, limit)):
        yield rows
        if len(rows) < limit:
            return
        after = rows[-1][0]
        average = sum(row[1] for row in rows) // len(rows) + 1
        limit = max(1, min(_MOST, _BYTES // average))


def of_ids(
    store: Store, statement: str, workflow_id: int, ids: Iterable[int]
) -> list[tuple[Any, ...]]:
    """Read the rows of any number of ids of a workflow, the statement's two parameters."""
    listed = list(ids)
    return store.rows(statement, (workflow_id, json.dumps(listed))) if listed else []
