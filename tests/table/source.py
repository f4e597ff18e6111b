"""A stored hook with its table of deliveries."""

from __future__ import annotations

from hooknb.history.table import Feed
from hooknb.store import Store
from hooknb.workflow import Trigger
from stored import Stored


class Source(Stored):
    """Writes into a store what the table is to show."""

    def __init__(self, store: Store, name: str = "orders") -> None:
        super().__init__(store, name)
        self.trigger = Trigger()
        self.feed = Feed(store, self.id, lambda: self.trigger)

    def delete(self, condition: str) -> None:
        """Delete rows as only another program would."""
        self.store._writer.call(
            lambda connection: connection.exec_driver_sql(
                f"DELETE FROM deliveries WHERE {condition}"  # noqa: S608
            )
        )

    def seen(self) -> list[int]:
        """Give the ids of the view, once everything is read and scanned."""
        self.feed.refresh()
        self.feed.refresh()  # notices what another program deleted before the first
        while not self.feed.scan(1):
            pass
        return list(self.feed.ids())
