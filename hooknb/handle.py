"""A workflow that is served, by its names: its URL, its key, its definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hooknb import summaries
from hooknb.errors import ServerError

if TYPE_CHECKING:
    from hooknb.runtime import Runtime
    from hooknb.served import HookState
    from hooknb.store import Store
    from hooknb.workflow import Workflow

__all__ = ["Handle"]


class Handle:
    """What a workflow that is served is called, and where it is reached."""

    def __init__(self, runtime: Runtime, state: HookState) -> None:
        self._runtime = runtime
        self._state = state
        self._closed = False

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self._state.name

    @property
    def key(self) -> str:
        """The secret part of its URL; the same whenever the name is served from this store."""
        return self._state.key

    @property
    def revision(self) -> int:
        """The number of the current revision, from 1."""
        return self._state.served.revision

    @property
    def workflow(self) -> Workflow:
        """The current definition."""
        return self._state.served.workflow

    @property
    def url(self) -> str:
        """Where senders reach it."""
        return f"{self._runtime.base_url}/hook/{self.key}"

    @property
    def url_with_credentials(self) -> str:
        """The URL with user name and password percent-encoded before the host, for senders.

        The same as :attr:`url` where no authentication is asked for. It holds the password:
        do not leave it in a saved notebook.
        """
        return summaries.url_with_credentials(self.url, self.workflow.trigger.auth)

    @property
    def masked_url(self) -> str:
        """The URL with the user name and a mask before the host, for showing."""
        return summaries.masked_url(self.url, self.workflow.trigger.auth)

    @property
    def state(self) -> HookState:
        """What it shares with the server's thread; for the runtime that serves it."""
        return self._state

    @property
    def store(self) -> Store:
        """The store that holds what came."""
        return self._runtime.store

    def flush(self) -> None:
        """Wait until what is known to have happened can be read; blocks for some milliseconds."""
        if not self._closed:
            self._runtime.store.flush()

    def _open(self) -> None:
        if self._closed:
            message = f"hook {self.name!r} is closed; hooknb.webhook({self.name!r}) serves it again"
            raise ServerError(message)
