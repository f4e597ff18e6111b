"""What a view shows of a hook while it is served: small plain data, read when it is asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from hooknb.history.store_size import StoreSize, read_store_size
from hooknb.history.table import Details, Feed, FlowCounts, details
from hooknb.store import queries

if TYPE_CHECKING:
    from collections.abc import Callable

    from hooknb.store import Store
    from hooknb.workflow import Trigger

__all__ = ["Watch"]


class _Counts(Protocol):
    """What a served hook counts."""

    arrived: int
    unfinished: int
    closed: bool


class Watch:
    """What a view reads of a hook beyond the hook's own calls; made by :meth:`hooknb.Hook.watch`.

    Nothing is told to a view: it looks, so that a server under load does nothing for those who
    watch. The counts cost nothing and change whenever there may be something new to read.

    Parameters
    ----------
    store, workflow_id
        Where its deliveries are.
    counts
        What is counted while it is served.
    trigger
        Returns the hook's trigger as it is now.
    url
        Returns the hook's URL as it may be shown.
    """

    def __init__(
        self,
        store: Store,
        workflow_id: int,
        counts: _Counts,
        trigger: Callable[[], Trigger],
        url: Callable[[], str],
    ) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._counts = counts
        self._trigger = trigger
        self._url = url

    @property
    def arrived(self) -> int:
        """Deliveries received since the hook is served."""
        return self._counts.arrived

    @property
    def unfinished(self) -> int:
        """Executions that are queued or running."""
        return self._counts.unfinished

    @property
    def masked_url(self) -> str:
        """The hook's URL with the user name and a mask before the host."""
        return self._url()

    @cached_property
    def feed(self) -> Feed:
        """The deliveries as rows; for one thread at a time."""
        return Feed(self._store, self._workflow_id, self._trigger)

    @cached_property
    def flow(self) -> FlowCounts:
        """How often and how fast the nodes ran; for one thread at a time."""
        return FlowCounts(self._store, self._workflow_id)

    def details(self, id: int) -> Details:
        """Return everything about a delivery, as it is shown.

        Raises
        ------
        RecordNotFoundError
            The delivery does not exist, or was cleared.
        StoreUnavailableError
            The store cannot be read.
        """
        return details(self._store, self._workflow_id, id, self._trigger())

    def store_size(self) -> StoreSize:
        """Return how large the store of the hook is, and what of it grows; reads some rows.

        Raises
        ------
        StoreUnavailableError
            The store cannot be read.
        """
        return read_store_size(self._store)

    def newest(self) -> int | None:
        """Return the id of the newest delivery that was accepted, or ``None``.

        Raises
        ------
        StoreUnavailableError
            The store cannot be read.
        """
        found = queries.read_newest_accepted(self._store, self._workflow_id, 1)
        return found[0][0] if found else None

    def next_revision(self) -> int:
        """Return the number that a new revision of the hook gets.

        Raises
        ------
        StoreUnavailableError
            The store cannot be read.
        """
        return self._store.revisions(self._workflow_id)[-1].number + 1

    def flush(self) -> None:
        """Wait until what is known to have happened can be read; blocks for some milliseconds."""
        if not self._counts.closed:
            self._store.flush()
