"""What was accepted last: what forms are tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hooknb.store import queries

if TYPE_CHECKING:
    from hooknb.store import Store

__all__ = ["accepted"]


def accepted(store: Store, workflow_id: int, most: int) -> list[tuple[int, int]]:
    """Return id and size in bytes of the accepted deliveries that came last, newest first.

    Parameters
    ----------
    store, workflow_id
        Where to read.
    most
        How many deliveries at the most.

    Raises
    ------
    StoreUnavailableError
        The store cannot be read.
    """
    return queries.read_newest_accepted(store, workflow_id, most)
