"""Publication: the kernel's side of the relay.

A runtime that publishes hooks writes a registration, which the Jupyter server's relay reads. The
relay sends the registration's secret with each request. The relay's fields in a request without
the secret, such as the sender's address, are ignored.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from hooknb import _processes
from hooknb._clock import now
from hooknb.errors import PublicationError, SettingError
from hooknb.relay.addresses import find_public_url
from hooknb.relay.registrations import (
    VERSION,
    PublishedHook,
    Registration,
    Registrations,
    runtime_folder,
)
from hooknb.settings import RuntimeSettings

__all__ = ["OUTCOME", "Publication"]

SECRET: Final = "X-Hooknb-Relay"  # noqa: S105 - the name of a header
REMOTE: Final = "X-Hooknb-Remote"
RECEIVED: Final = "X-Hooknb-Received"
OUTCOME: Final = "X-Hooknb-Outcome"
"""The field that tells the relay the outcome of a delivery: ``accepted`` or ``refused``."""
_TIME: Final = re.compile(r"[0-9]{1,19}")
_OWN: Final = (SECRET, REMOTE, RECEIVED)
_OWN_LINES: Final = tuple(f"{name.lower()}:".encode() for name in _OWN)

# The address at which the relay, on the same machine, reaches a runtime that listens on a host.
_REACHED_AT: Final[dict[str, Literal["127.0.0.1", "::1"]]] = {
    "127.0.0.1": "127.0.0.1",
    "localhost": "127.0.0.1",
    "0.0.0.0": "127.0.0.1",  # noqa: S104 - compared, not bound
    "::": "::1",
    "::1": "::1",
}


class _Head(Protocol):
    """The head of a request as the server reads it."""

    headers: dict[str, str]
    head: bytes
    remote: str
    received_at: int


class Publication:
    """The published hooks of a runtime, and their registration."""

    def __init__(self, settings: RuntimeSettings, port: Callable[[], int | None]) -> None:
        self._settings = settings
        self._port = port
        self._lock = threading.RLock()
        self._hooks: dict[str, PublishedHook] = {}
        self._wanted: dict[str, Literal[202, 503]] = {}
        self._base = ""
        self._name = ""
        self._secret = ""
        self._digest: bytes | None = None
        self._leaving = False

    # -- hooks ----------------------------------------------------------------------------------

    def url(self, key: str) -> str | None:
        """Return the public URL of a hook; ``None`` if it is not published."""
        return f"{self._base}hooknb/{key}" if key in self._hooks else None

    def publish(self, key: str, *, sync: bool, max_body: int, while_away: Literal[202, 503]) -> str:
        """Publish a hook and return its public URL; see :meth:`hooknb.Hook.publish`.

        Raises
        ------
        SettingError
            The runtime cannot publish, or ``while_away`` is neither 202 nor 503.
        PublicationError
            No Jupyter server relays to this process, its public URL is not known, or the
            registration cannot be written.
        """
        if while_away not in {202, 503}:
            raise SettingError(
                "while_away", f"{while_away!r} is not a possible status; write 202 or 503"
            )
        if self._settings.deterministic:
            raise SettingError(
                "deterministic",
                "its keys can be guessed, so no hook can be published; leave out deterministic",
            )
        if self._settings.host.lower() not in _REACHED_AT:
            raise SettingError(
                "host",
                f"the relay reaches a runtime on its own machine only, and {self._settings.host!r} "
                "is another address; leave out host (HOOKNB_HOST), or write '127.0.0.1'",
            )
        from hooknb.relay.health import check_relay  # loads urllib; most hooks are not published

        runtime = runtime_folder().parent
        with _looking():
            check_relay(self._settings.public_url, runtime)
        with self._lock, _looking():
            base = find_public_url(self._settings.public_url, runtime)
            if not self._name:
                self._name = Registrations.new_name()
                self._secret = secrets.token_urlsafe(32)
                # Registered after the runtime's own handler, and so called before it at exit.
                atexit.register(self._leave)
            self._write(base, {**self._hooks, key: _entry(while_away, max_body, sync=sync)})
            self._wanted[key] = while_away
            Registrations(runtime_folder()).strike(key)
            url = self.url(key)
        if url is None:
            raise PublicationError("the hook was closed meanwhile; create it again")
        return url

    def renew(self, key: str, *, sync: bool, max_body: int) -> None:
        """Tell the relay about the changed settings of a hook, if it is published."""
        with self._lock, _looking():
            entry = self._hooks.get(key)
            if entry is None:
                return
            changed = _entry(self._wanted[key], max_body, sync=sync)
            if changed != entry:
                self._write(self._base, {**self._hooks, key: changed})

    def moved(self) -> None:
        """Tell the relay that the runtime listens on another port."""
        with self._lock, _looking():
            if self._hooks:
                self._write(self._base, self._hooks)

    def withdraw(self, key: str) -> None:
        """Withdraw a hook, even one that an earlier kernel published.

        Raises
        ------
        PublicationError
            The registration cannot be written.
        """
        with self._lock, _looking():
            if key in self._hooks:
                self._write(
                    self._base, {known: hook for known, hook in self._hooks.items() if known != key}
                )
                del self._wanted[key]
            Registrations(runtime_folder()).strike(key)

    def close(self) -> None:
        """Withdraw every hook, except at process exit, when they wait for the next kernel."""
        with self._lock:
            # Requests in transit through the relay at exit must not get a 404.
            if self._leaving:
                return
            if self._name:
                Registrations(runtime_folder()).remove(self._name)
                atexit.unregister(self._leave)
            self.let_go()

    def let_go(self) -> None:
        """Forget the published hooks without changing the registration."""
        self._hooks, self._wanted, self._digest = {}, {}, None

    def _leave(self) -> None:
        self._leaving = True

    def _write(self, base: str, hooks: dict[str, PublishedHook]) -> None:
        folder, pid = Registrations(runtime_folder()), os.getpid()
        if not hooks:
            folder.remove(self._name)
            self._base, self._hooks, self._digest = base, {}, None
            return
        started, outside = _processes.started(pid), urlsplit(base).hostname
        before = self._base, self._hooks, self._digest
        # The relay may forward as soon as the file exists, or by the registration it read before.
        self._digest = hashlib.sha256(self._secret.encode()).digest()
        self._base, self._hooks = base, {**self._hooks, **hooks}
        try:
            folder.write(
                self._name,
                Registration(
                    version=VERSION,
                    pid=pid,
                    started=started or "",
                    registered_at=now(),
                    host=_REACHED_AT[self._settings.host.lower()],
                    port=self._port() or 0,
                    secret=self._secret,
                    hosts=() if outside is None else (outside,),
                    hooks=hooks,
                ),
            )
        except PublicationError:
            self._base, self._hooks, self._digest = before
            raise
        self._hooks = hooks

    # -- requests -------------------------------------------------------------------------------

    def admit(self, request: _Head, key: str) -> bool | None:
        """Return whether the relay sent a request, and remove the relay's fields from its head.

        A request from the relay takes its remote address and its time from those fields.

        Returns
        -------
        bool or None
            ``None`` if the sender connected directly. True if the request has the relay's secret
            and its hook is published; otherwise False.
        """
        headers = request.headers
        if not any(name in headers for name in _OWN):
            return None
        shown, remote, received = (headers.pop(name, None) for name in _OWN)
        request.head = _without_own(request.head)
        if shown is None:
            return None
        # Digests are compared in constant time, so that timing reveals nothing about the secret.
        digest = hashlib.sha256(shown.encode("latin-1", "replace")).digest()
        known = self._digest
        if known is None or not hmac.compare_digest(digest, known) or key not in self._hooks:
            return False
        request.remote = _address(remote) or request.remote
        if received is not None and _TIME.fullmatch(received):
            request.received_at = min(int(received), request.received_at)
        return True


@contextlib.contextmanager
def _looking() -> Iterator[None]:
    """Turn a file system error into one with a remedy."""
    try:
        yield
    except OSError as error:
        raise PublicationError(
            f"the registrations cannot be read ({error}); fix the cause and try again"
        ) from error


def _entry(wanted: Literal[202, 503], max_body: int, *, sync: bool) -> PublishedHook:
    # The caller of a synchronous hook waits for its response, so a delivery cannot be kept.
    return PublishedHook(status_while_away=503 if sync else wanted, max_body=max_body)


def _address(text: str | None) -> str | None:
    try:
        return str(ipaddress.ip_address(text or ""))
    except ValueError:
        return None


def _without_own(head: bytes) -> bytes:
    """Remove the relay's lines with their folded continuations; keep the others unchanged."""
    kept, dropping = [], False
    for line in head.split(b"\n"):
        if line[:1] not in {b" ", b"\t"}:
            dropping = line.lower().startswith(_OWN_LINES)
        if not dropping:
            kept.append(line)
    return b"\n".join(kept).rstrip(b"\r\n")
