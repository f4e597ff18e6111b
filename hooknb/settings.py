"""The settings of a runtime: its store, its address, its limits."""

from __future__ import annotations

import ipaddress
import math
import operator
import os
import socket
import threading
from collections.abc import Container, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from hooknb.errors import SettingError

__all__ = [
    "DEFAULT_STORE",
    "RuntimeSettings",
    "checked_count",
    "checked_timeout",
    "default_store",
    "names_host",
]

DEFAULT_STORE = ".hooknb/store.db"

_SWITCHES: Final = {
    **dict.fromkeys(("", "0", "false", "no", "off"), False),
    **dict.fromkeys(("1", "true", "yes", "on"), True),
}


def default_store(*, deterministic: bool) -> str:
    """Return the default store: in memory for a deterministic runtime, which needs a new one."""
    return ":memory:" if deterministic else DEFAULT_STORE


@dataclass(frozen=True, kw_only=True)
class RuntimeSettings:
    """The settings of one runtime.

    Attributes
    ----------
    store
        A path, ``sqlite:///path`` or ``":memory:"``.
    host
        The address to listen on; the loopback by default.
    port
        0 for any free port, ``None`` for the one used last.
    public_url
        The public URL of the Jupyter server, with its base path, below which hooks are published
        (:meth:`hooknb.Hook.publish`); ``None`` detects it.
    allowed_hosts
        Host names that requests may use in addition to the machine's own; ``"*"`` for any.
    switch_interval
        Seconds after which Python switches from a running thread to another, for the whole
        process; ``None`` leaves it unchanged. Between a request and its response the server needs
        the interpreter about fifteen times, and a cell that computes in pure Python releases it
        only after this interval. Measured while such a cell runs, a response takes 3 ms at
        0.0001 s and 8 ms at 0.0005 s; in an idle kernel, 1 ms. The cell loses a fifth of its speed
        at 600 requests per second, and none without requests.
    executor
        Runs plain functions of Code nodes; ``None`` creates a pool of ``workers`` threads.
    workers
        Number of threads in that pool.
    max_connections
        Maximum open connections; beyond it, idle ones are closed first.
    header_timeout, body_timeout
        Seconds a sender may take for its headers, and for its body.
    drain
        Seconds that closing waits for running executions before it aborts them.
    max_queued
        Maximum queued executions of one hook; beyond it, senders get 503.
    max_depth
        Maximum length of a chain of executions in which each sends a request to the next hook.
    max_kept_response
        Bytes of a response's body that the store keeps; the sender gets the whole body.
    keep_days, keep_deliveries, keep_bytes
        Retention for all hooks of the store together: maximum age in days, number of deliveries,
        and bytes of heads and bodies; ``None`` for no limit. The oldest deliveries are deleted,
        with their responses, executions and jobs, in the background while no sender waits, except
        those with unfinished executions. Each hook has the same settings for itself.
    text_index
        Whether the store has a text index (SQLite's FTS5), which finds the same texts without
        reading every body. It takes about an eighth of the store's size, and is built in the
        background while no sender waits, for existing deliveries too. ``False`` deletes it;
        ``None`` leaves it as it is, and a new store has none.
    kept_columns
        Whether the store keeps the columns of the frame of variables, so that a new kernel need
        not read every body for it; the frame is the same. They are made in the background while
        few requests are received, and take about as much of the disk as the values in them; a
        store in memory has none.
    env
        The variables that templates and expressions read as ``env``; the process environment by
        default.
    deterministic
        Whether keys, ids, times and the port are the same in every run, so that the outputs of
        two runs can be compared. For tests and examples, not for real senders: keys are derived
        from hook names and can be guessed, so a ``host`` beyond the loopback and a ``public_url``
        are refused. The store must be new; the default is in memory. Delivery ``n`` arrives ``n``
        seconds after 2026-01-01T00:00:00Z, when workflows and revisions are created too; the clock
        of its execution, including ``now`` in templates and expressions, advances by a millisecond
        on each reading; a response takes one millisecond. The default port is 8765 if it is free.
        Not deterministic: the order of concurrent events, and values that functions read
        themselves.
    """

    store: str | os.PathLike[str] = DEFAULT_STORE
    host: str = "127.0.0.1"
    port: int | None = None
    public_url: str | None = None
    allowed_hosts: Sequence[str] = ()
    switch_interval: float | None = 0.0001
    executor: Executor | None = None
    workers: int = 8
    max_connections: int = 1000
    header_timeout: float = 30.0
    body_timeout: float = 30.0
    drain: float = 3.0
    max_queued: int = 10_000
    max_depth: int = 8
    max_kept_response: int = 2**20
    keep_days: float | None = None
    keep_deliveries: int | None = None
    keep_bytes: int | None = None
    text_index: bool | None = None
    kept_columns: bool = True
    env: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    deterministic: bool = False
    own_hosts: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Validate the settings; an error names the setting and the remedy."""
        if not isinstance(self.store, (str, os.PathLike)) or not os.fspath(self.store):
            raise SettingError(
                "store",
                f'{self.store!r} is not a store; write a path, a sqlite:/// URL or ":memory:"',
            )
        if not isinstance(self.host, str) or not self.host:
            raise SettingError("host", f"{self.host!r} is not a host; write '127.0.0.1'")
        if self.port is not None:
            _whole("port", self.port, 0, 65_535)
        _check_hosts(self.allowed_hosts)
        if self.public_url is not None and not _is_web_url(self.public_url):
            # The message omits the URL, which may contain a password.
            raise SettingError(
                "public_url",
                "it is not a web URL, or contains credentials; write 'https://example.org/base'",
            )
        _check_executor(self.executor)
        if self.switch_interval is not None:
            _above_zero("switch_interval", self.switch_interval, "seconds")
        _whole("workers", self.workers, 1, 10_000)
        _whole("max_connections", self.max_connections, 1, 1_000_000)
        _whole("max_queued", self.max_queued, 1, 100_000_000)
        _whole("max_depth", self.max_depth, 0, 1000)
        _whole("max_kept_response", self.max_kept_response, 0, 2**31)
        self._check_kept()
        if self.text_index is not None and not isinstance(self.text_index, bool):
            raise SettingError("text_index", f"{self.text_index!r} is not True, False or None")
        if not isinstance(self.kept_columns, bool):
            raise SettingError("kept_columns", f"{self.kept_columns!r} is not True or False")
        if not isinstance(self.env, Mapping):
            raise SettingError("env", 'write a dict of texts, such as {"REGION": "north"}')
        for name in ("header_timeout", "body_timeout", "drain"):
            _above_zero(name, getattr(self, name), "seconds")
        self._check_deterministic()
        object.__setattr__(self, "own_hosts", self._own_hosts())

    @property
    def local_host(self) -> str:
        """The address at which this machine reaches a server that listens on :attr:`host`."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound

    def local_url(self, port: int | None) -> str:
        """Return the base URL of a server on this machine at a port."""
        host = self.local_host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def _check_kept(self) -> None:
        if self.keep_days is not None:
            _above_zero("keep_days", self.keep_days, "days")
        for name in ("keep_deliveries", "keep_bytes"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), 1, 2**62)

    def _check_deterministic(self) -> None:
        """Refuse guessable keys for hooks that other machines can reach."""
        if not isinstance(self.deterministic, bool):
            raise SettingError("deterministic", f"{self.deterministic!r} is not True or False")
        if not self.deterministic:
            return
        if not _is_loopback(self.host):
            raise SettingError(
                "deterministic",
                f"its keys can be guessed, and host={self.host!r} opens the hooks to other "
                "machines; leave out host, or deterministic",
            )
        if self.public_url is not None:
            raise SettingError(
                "deterministic",
                "its keys can be guessed, and public_url opens the hooks to other machines; "
                "leave out public_url (HOOKNB_PUBLIC_URL), or deterministic "
                "(HOOKNB_DETERMINISTIC)",
            )

    def _own_hosts(self) -> frozenset[str]:
        names = {"localhost", self.host.lower()}
        names.update(name.lower() for name in (socket.gethostname(), socket.getfqdn()) if name)
        names.update(name.lower().rstrip(".") for name in self.allowed_hosts)
        if self.public_url is not None:
            names.add(urlsplit(self.public_url).hostname or "")
        return frozenset(names)

    def allows_host(self, header: str | None) -> bool:
        """Return whether a request's ``Host`` header is allowed; see :func:`names_host`."""
        return header is None or "*" in self.allowed_hosts or names_host(header, self.own_hosts)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> RuntimeSettings:
        """Read the settings of the default runtime.

        The variables are ``HOOKNB_STORE``, ``HOOKNB_HOST``, ``HOOKNB_PORT``, ``HOOKNB_PUBLIC_URL``
        and ``HOOKNB_DETERMINISTIC``.
        """
        port = environ.get("HOOKNB_PORT", "")
        try:
            number = int(port.encode("ascii")) if port else None
        except ValueError:
            raise SettingError(
                "HOOKNB_PORT", f"{port!r} is not a port; write a whole number"
            ) from None
        chosen = environ.get("HOOKNB_DETERMINISTIC", "")
        deterministic = _SWITCHES.get(chosen.strip().lower())
        if deterministic is None:
            raise SettingError("HOOKNB_DETERMINISTIC", f"{chosen!r} is not a switch; write 1 or 0")
        return cls(
            store=environ.get("HOOKNB_STORE") or default_store(deterministic=deterministic),
            host=environ.get("HOOKNB_HOST") or "127.0.0.1",
            port=number,
            public_url=environ.get("HOOKNB_PUBLIC_URL") or None,
            deterministic=deterministic,
        )


def names_host(header: str, own: Container[str]) -> bool:
    """Return whether a ``Host`` header names a server's own host, ``localhost``, or an address.

    A web page can make its host name resolve to the loopback (DNS rebinding) and so reach a hook
    from a browser on this machine, but its ``Host`` header still carries the foreign name.
    Addresses cannot be rebound and are always allowed.
    """
    host, is_known = _host_of(header)
    return is_known or host in own


@lru_cache(maxsize=1024)
def _host_of(header: str) -> tuple[str | None, bool]:
    """Return the host of a ``Host`` header, and whether it is this machine or an address."""
    try:
        host = (urlsplit(f"//{header}").hostname or "").rstrip(".")
    except ValueError:
        return None, False
    if host == "localhost" or host.endswith(".localhost"):
        return host, True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host, False
    return host, True


def _check_hosts(hosts: object) -> None:
    if isinstance(hosts, str) or not isinstance(hosts, Iterable):
        raise SettingError(
            "allowed_hosts", "write a list of host names, such as ['hooks.example.org']"
        )
    for name in hosts:
        if not isinstance(name, str):
            raise SettingError(
                "allowed_hosts",
                f"{name!r} is not a host name; write one such as 'hooks.example.org'",
            )


def _check_executor(executor: object) -> None:
    if executor is not None and (
        not isinstance(executor, Executor) or isinstance(executor, ProcessPoolExecutor)
    ):
        raise SettingError(
            "executor",
            f"{executor!r} cannot run functions of this process; write "
            "concurrent.futures.ThreadPoolExecutor(…) or one like it",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _is_web_url(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def _whole(setting: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SettingError(setting, f"{value!r} is not a whole number from {low} to {high}")


def checked_count(n: object, least: int) -> int:
    """Return a number of deliveries, ``least`` or more.

    Raises
    ------
    SettingError
        The value is not an integer, or is less.
    """
    try:
        number = least - 1 if isinstance(n, bool) else operator.index(n)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if number < least:
        raise SettingError("n", f"{n!r} is not a number of deliveries; write {least} or more")
    return number


def checked_timeout(timeout: object) -> float | None:
    """Return a number of seconds to wait, 0 or more; ``None`` or infinity means no limit.

    Raises
    ------
    SettingError
        The value is not a number, or is negative.
    """
    if timeout is None:
        return None
    try:
        seconds = math.nan if isinstance(timeout, (str, bytes)) else float(timeout)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not seconds >= 0:
        raise SettingError(
            "timeout", f"{timeout!r} is not a number of seconds; write 10, or None for no limit"
        )
    return None if seconds > threading.TIMEOUT_MAX else seconds


def _above_zero(setting: str, value: object, unit: str) -> None:
    if (
        not isinstance(value, (int, float))
        or isinstance(value, bool)
        or not math.isfinite(value)
        or value <= 0
    ):
        raise SettingError(
            setting, f"{value!r} is not a number of {unit} above 0; write one such as 10"
        )
