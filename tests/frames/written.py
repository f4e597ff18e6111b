"""A stored hook with its frames."""

from __future__ import annotations

from hooknb.history.frames import Frames
from hooknb.store import Store
from stored import Stored


class Hook(Stored):
    """Writes into a store what its frames are to show."""

    def __init__(self, store: Store, name: str = "orders") -> None:
        super().__init__(store, name)
        self.frames = Frames(store, self.id)
