"""What was accepted last: what columns are found in, and what forms are tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hooknb.store import Store

__all__ = ["accepted"]


def accepted(
    store: Store, workflow_id: int, most: int, columns: str = "id, size"
) -> list[tuple[Any, ...]]:
    """Read columns of the accepted deliveries that came last, newest first.

    Parameters
    ----------
    store, workflow_id
        Where to read.
    most
        How many deliveries at the most.
    columns
        What of each, in SQL; the size is in bytes.

    Raises
    ------
    StoreUnavailableError
        The store cannot be read.
    """
    asked = (
        f"SELECT {columns} FROM deliveries "  # noqa: S608 - nobody's input: callers write it out
        "WHERE workflow_id = ? AND reason IS NULL ORDER BY id DESC LIMIT ?"
    )
    return store.rows(asked, (workflow_id, most))
