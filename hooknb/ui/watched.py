"""What the panel needs of a hook beyond its public calls: :meth:`hooknb.Hook.watch` returns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from hooknb.history.table import Details, Feed, FlowCounts

__all__ = ["Watched"]


class Watched(Protocol):
    """The counts that tell that something is new, and what is shown then."""

    @property
    def arrived(self) -> int:
        """Deliveries received since the hook is served."""

    @property
    def unfinished(self) -> int:
        """Executions that are queued or running."""

    @property
    def masked_url(self) -> str:
        """The hook's URL as it may be shown."""

    @property
    def store_path(self) -> Path | None:
        """The file of the hook's store; ``None`` where it is in memory."""

    @property
    def feed(self) -> Feed:
        """The deliveries as rows."""

    @property
    def flow(self) -> FlowCounts:
        """How often and how fast the nodes ran."""

    def details(self, id: int) -> Details:
        """Return everything about a delivery, as it is shown."""

    def newest(self) -> int | None:
        """Return the id of the newest delivery that was accepted, or ``None``."""

    def flush(self) -> None:
        """Wait until what is known to have happened can be read."""
