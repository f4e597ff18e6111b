"""A workflow that is served, by its names: its URL, its key, its definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hooknb import summaries
from hooknb.errors import ServerError

if TYPE_CHECKING:
    from hooknb.intake.served import HookState
    from hooknb.runtime import Runtime
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
        """Where senders reach it: through the Jupyter server while it is published."""
        published = self._runtime.publication.url(self.key)
        return published or f"{self._runtime.base_url}/hook/{self.key}"

    @property
    def local_url(self) -> str:
        """Where it is reached on this machine, without the Jupyter server."""
        return f"{self._runtime.local_url}/hook/{self.key}"

    @property
    def published(self) -> bool:
        """Whether it is reached through the Jupyter server; see :meth:`publish`."""
        return self._runtime.publication.url(self.key) is not None

    def publish(self, while_away: Literal[202, 503] = 202) -> str:
        """Let senders reach it through the Jupyter server, without the server's token.

        For Binder and JupyterHub, where nobody outside reaches this kernel's port. The extension
        ``hooknb.relay`` must be installed where the server runs. What the server gets for this
        hook comes here byte for byte; names of header fields come in the usual spelling, and
        fields of one name together. While the kernel is gone (a restart), deliveries are kept on
        the server's disk for a day, and come first, in order and each at least once, when the
        hook is published again: a restarted kernel must do that. Called again, it is the same.

        Parameters
        ----------
        while_away
            What senders get meanwhile: 202, and their delivery is kept as far as there is room,
            or 503 with ``Retry-After``. The callers of a synchronous hook get 503 always.

        Returns
        -------
        str
            :attr:`url`, which from now on is ``<the server's public address>hooknb/<key>``. That
            address is ``HOOKNB_PUBLIC_URL``; or what JupyterHub says; or what a browser that was
            logged in called the server; or what the server that started this kernel calls itself.

        Raises
        ------
        PublicationError
            The address is not known, or the registration cannot be written.
        SettingError
            The runtime listens where the server does not reach it, is deterministic, or
            ``while_away`` is something else.
        ServerError
            The hook is closed.
        """
        self._open()
        workflow = self.workflow
        return self._runtime.publication.publish(
            self.key,
            sync=workflow.sync,
            max_body=workflow.trigger.max_body,
            while_away=while_away,
        )

    def unpublish(self) -> None:
        """Let nobody reach it through the Jupyter server any more; :attr:`url` is the old one.

        What an earlier kernel published under its key is taken back too. What the server still
        keeps for it comes when it is published again within a week. Idempotent.

        Raises
        ------
        PublicationError
            The registration cannot be written.
        """
        self._runtime.publication.withdraw(self.key)

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
