"""Requests to a hook's own URL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from hooknb.client import curl
from hooknb.client.outgoing import Outgoing, of_delivery, of_samples
from hooknb.client.sending import HttpResponse, exchange, send
from hooknb.errors import ServerError, SettingError
from hooknb.received import Received

__all__ = ["Calls"]

_UNSET: Final = object()


class Calls(Received):
    """Sends requests to the hook, as its senders do."""

    def send(
        self,
        *,
        json: Any = _UNSET,
        data: str | bytes | Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        params: str | Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        method: str = "POST",
        timeout: float = 60.0,
    ) -> HttpResponse:
        """Send a real HTTP request to this hook's own URL, with its credentials.

        It goes to :attr:`local_url`, also while the hook is published. Blocks until the answer is
        there, also for a synchronous hook, whose answer does not need the calling thread.

        Parameters
        ----------
        json
            Sent as ``application/json``.
        data
            Bytes or text as they are; a mapping or pairs as a form.
        params
            The query: pairs, a mapping, or text that stands behind ``?`` as it is.
        headers
            By name, or pairs. They win over those that are made here, also ``Authorization``.
        method
            Of the request.
        timeout
            Seconds.

        Returns
        -------
        Reply
            ``status``, ``headers``, ``body`` (bytes), ``text`` and ``json()``.

        Raises
        ------
        ServerError
            There was no answer in time, or it was called on the server's own thread, which could
            not answer itself.
        """
        if json is not _UNSET and data is not None:
            raise SettingError("data", "give json or data, not both")
        with self._waiting("send"):
            return send(
                self.local_url,
                auth=self.workflow.trigger.auth,
                method=method,
                body=data if json is _UNSET else json,
                is_json=json is not _UNSET,
                params=params,
                headers=headers,
                timeout=timeout,
            )

    def send_sample(self, timeout: float = 60.0) -> HttpResponse:
        """Send a test that has the samples of the variables, with the hook's credentials.

        Its body is built of the samples of the body variables, its query and headers of those of
        the others; it is written in a type that the hook accepts. Where no variable of the body
        has a sample, it is the body of the newest accepted delivery, or ``{}``. Headers that carry
        credentials are left out. Blocks until the answer is there.

        Parameters
        ----------
        timeout
            Seconds.

        Raises
        ------
        SettingError
            A sample cannot be sent where it belongs.
        ServerError
            There was no answer in time, the hook is closed, or it was called on the server's own
            thread.
        StoreError
            The store cannot be read.
        """
        self._open()
        return self._exchange("send_sample", self._sample(), timeout)

    def replay(self, id: int, timeout: float = 60.0) -> HttpResponse:
        """Send a delivery to this hook once more: its method, query, fields and bytes as they came.

        It becomes a delivery of its own. The fields of its connection are left out, and so are
        ``Host``, ``Content-Length`` and the credentials that came with it: the hook's own are sent.
        Blocks until the answer is there.

        Parameters
        ----------
        id
            Of the delivery.
        timeout
            Seconds.

        Raises
        ------
        RecordNotFoundError
            It is not one of this hook's.
        SettingError
            It was refused and its body not kept whole.
        ServerError
            There was no answer in time, the hook is closed, or it was called on the server's own
            thread.
        """
        self._open()
        return self._exchange("replay", of_delivery(self.delivery(id)), timeout)

    def load(self, path: str | os.PathLike[str], timeout: float = 60.0) -> list[HttpResponse]:
        """Send what :meth:`export` wrote as JSON lines to this hook, one after the other.

        Each is sent as :meth:`replay` would, and becomes a delivery of its own. Headers that were
        masked are left out. Blocks until the last answer is there.

        Parameters
        ----------
        path
            Of the file.
        timeout
            Seconds to wait for each answer.

        Returns
        -------
        list of Reply
            The answers, in the order of the lines.

        Raises
        ------
        SettingError
            The file cannot be read, a line is no delivery, or one was refused and its body not
            kept whole; nothing was sent.
        ServerError
            There was no answer in time, the hook is closed, or it was called on the server's own
            thread.
        """
        from hooknb.history.exports import read_lines  # a hook is made without it

        self._open()
        for delivery in read_lines(path):
            try:
                of_delivery(delivery)
            except SettingError as error:
                raise SettingError(
                    f"{os.fspath(path)}, {error.setting}",
                    f"{error.problem}; take its line out of the file",
                ) from None
        return [
            self._exchange("load", of_delivery(delivery), timeout) for delivery in read_lines(path)
        ]

    def curl(self, id: int | None = None) -> str:
        """Give the shell command that sends a test to :attr:`url`, or a delivery once more.

        It is for a POSIX shell with curl and sends the bytes of the body exactly: those that are
        not printable text through ``printf``, four characters for each byte. It holds the
        password, in plain text: do not leave it in a saved notebook.

        Parameters
        ----------
        id
            Of the delivery that :meth:`replay` would send; ``None`` for what :meth:`send_sample`
            would.

        Raises
        ------
        RecordNotFoundError
            There is no such delivery of this hook.
        SettingError
            The delivery was refused and its body not kept whole, or a sample cannot be sent.
        StoreError
            The store cannot be read.
        """
        request = self._sample() if id is None else of_delivery(self.delivery(id))
        auth = self.workflow.trigger.auth
        return curl.command(
            method=request.method,
            url=f"{self.url}?{request.query}" if request.query else self.url,
            fields=request.fields,
            content=request.content,
            credentials=None if auth is None else f"{auth.user}:{auth.password}",
        )

    def _sample(self) -> Outgoing:
        return of_samples(self.workflow.trigger, lambda: next(self._accepted(), None))

    def _exchange(self, call: str, request: Outgoing, timeout: float) -> HttpResponse:
        with self._waiting(call):
            return exchange(
                self.local_url, request, auth=self.workflow.trigger.auth, timeout=timeout
            )

    @contextmanager
    def _waiting(self, call: str) -> Iterator[None]:
        """Hold for an answer, unless the calling thread is the one that would give it."""
        self._open()
        if self._runtime.is_server_thread:
            message = (
                f"hook.{call}() waits for the thread that it was called on; in an async node, "
                f"use `await asyncio.to_thread(hook.{call}, …)`"
            )
            raise ServerError(message)
        with self._runtime.lent_worker():
            yield
