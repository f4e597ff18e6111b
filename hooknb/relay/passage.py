"""The passage of requests: which may pass, to which kernel, and what happens if none runs."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from hooknb.errors import PublicationError
from hooknb.relay.forwarding import (
    CutOffError,
    NotAResponseError,
    NotReachedError,
    Relayed,
    Responded,
    TooSlowError,
    forward,
)
from hooknb.relay.limits import Limits, Rate
from hooknb.relay.registrations import KEY, Registration, Registrations
from hooknb.relay.spool import Spool, SpoolFullError
from hooknb.settings import names_host

__all__ = ["Passage", "RefusedError", "problem"]

_T = TypeVar("_T")

_LOG: Final = logging.getLogger("hooknb.relay")
_BUSY_INTERVAL: Final = 0.2  # seconds between two checks while deliveries wait
_IDLE_INTERVAL: Final = 30.0  # seconds between two checks while none waits
_MIN_PAUSE: Final = 0.5  # seconds
_MAX_PAUSE: Final = 5.0  # seconds
_MAX_ATTEMPTS: Final = 20
_RETRY: Final = [("Retry-After", "5")]
_EVERY: Final = ""  # the name under which all requests are counted together


class RefusedError(Exception):
    """A request is refused; the detail is one sentence for the sender."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.response = problem(status, detail)


def problem(status: int, detail: str) -> Responded:
    """Return a problem document (RFC 9457), with ``Retry-After`` if a retry may succeed."""
    document = {
        "type": "about:blank",
        "status": status,
        "title": http.client.responses.get(status, "Unknown"),
        "detail": detail,
    }
    fields = [("Content-Type", "application/problem+json")]
    later = _RETRY if status in {429, 503} else []
    return Responded(status, [*fields, *later], msgspec.json.encode(document))


def _nothing() -> RefusedError:
    return RefusedError(404, "There is no hook at this URL.")


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Refuse a request with 503 while the registrations cannot be read."""
    try:
        yield
    except OSError as error:
        # Not 404, after which senders may drop a hook.
        _LOG.warning("the registrations cannot be read: %s", error)
        raise RefusedError(
            503, "The server cannot look for the hook now; send it again later."
        ) from error


class Passage:
    """Forwards requests for published hooks to their kernels. Call it only on the server's loop.

    ``own_hosts`` returns host names of the server in addition to those that kernels register, or
    ``None`` to allow any.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        own_hosts: Callable[[], frozenset[str] | None] = lambda: frozenset({"localhost"}),
    ) -> None:
        self.limits = limits
        self.registrations = Registrations(folder)
        self.spool = Spool(folder / "spool", limits)
        self.buffered = 0
        self._buffered_of: Counter[str] = Counter()
        self._own_hosts = own_hosts
        self._rate, self._rate_of_hook = Rate(limits.rate), Rate(limits.rate_of_hook)
        self._rate_of_unknown = Rate(limits.rate_of_unknown)
        self._passing: Counter[str] = Counter()
        self._handing_over: dict[str, asyncio.Task[None]] = {}
        self._pauses: dict[str, tuple[float, float]] = {}
        self._attempts: Counter[str] = Counter()
        self._settled: set[str] = set()  # handed over, but their files are still there
        self._woken = asyncio.Event()
        self._swept = 0.0
        self._disk = ThreadPoolExecutor(2, thread_name_prefix="hooknb-spool")

    # -- admitting ------------------------------------------------------------------------------

    def enter(self, key: str, host: str | None) -> int:
        """Admit a request by its head, and return the maximum size of its body in bytes.

        Every admitted request must be counted out by :meth:`leave`.

        Raises
        ------
        RefusedError
            The request is refused. All keys that are not published get the same response.
        """
        # Guessed keys must not keep the disk busy. The key of a new hook passes within the rate,
        # and is then known.
        looks = KEY.fullmatch(key) and (
            key in self.registrations.hooks or self._rate_of_unknown.passes(_EVERY)
        )
        found = self._find(key) if looks else None
        if found is None:
            raise _nothing()
        limits, passing = self.limits, self._passing
        with _reading():
            allowed = self._allows(host)
        if not allowed:
            raise RefusedError(
                403,
                f"This server is not {host!r}. If senders reach it by that name, set "
                "HOOKNB_PUBLIC_URL before the hook is published.",
            )
        # Only requests with a valid key count, so that others cannot use up the rates. The hook's
        # own limit comes first: a request that it refuses does not count towards the shared one.
        if not self._rate_of_hook.passes(key):
            raise RefusedError(429, "Too many requests to this hook; send it again later.")
        if not self._rate.passes(_EVERY, spared=self._rate_of_hook.used(key) - 1):
            raise RefusedError(429, "Too many requests to this server; send it again later.")
        free = limits.max_concurrent - passing.total()
        if passing[key] >= min(limits.max_concurrent_of_hook, free) or self.is_full(key):
            raise RefusedError(503, "Too many requests are in transit; send it again later.")
        passing[key] += 1
        return min(limits.max_body, found[1].hooks[key].max_body)

    def _find(self, key: str) -> tuple[str, Registration, bool] | None:
        with _reading():
            return self.registrations.find(key)

    def hold(self, key: str, size: int) -> None:
        """Add ``size`` bytes to a hook's bodies in transit; a negative size releases them."""
        self.buffered += size
        self._buffered_of[key] += size
        if not self._buffered_of[key]:
            del self._buffered_of[key]

    def is_full(self, key: str) -> bool:
        """Return whether a hook holds more bytes in transit than are free for all others."""
        free = self.limits.max_buffered - self.buffered
        return free <= 0 or self._buffered_of[key] > free

    def leave(self, key: str) -> None:
        """Count a request out."""
        self._passing[key] -= 1
        if self._passing[key] <= 0:
            del self._passing[key]

    def _allows(self, header: str | None) -> bool:
        """Return whether a request's ``Host`` is one of this server's; see :func:`names_host`."""
        own = self._own_hosts()
        if own is None or not header or names_host(header, own):
            return True
        return any(names_host(header, known.hosts) for known in self.registrations.read().values())

    def hosts(self) -> set[str]:
        """Return the known host names of this server, leaving out those that cannot be read."""
        found = set(self._own_hosts() or ())
        with contextlib.suppress(OSError):
            found.update(*(known.hosts for known in self.registrations.read().values()))
        return found

    async def take(self, key: str, request: Relayed, body: bytes | bytearray) -> Responded:
        """Forward an admitted request to its kernel, or keep it until a kernel serves the hook.

        Deliveries that wait on disk for the same hook go first.

        Raises
        ------
        RefusedError
            No kernel takes the request and it cannot be kept, or its outcome is unknown.
        """
        found = self._find(key)
        if found is None:
            raise _nothing()
        _, registration, alive = found
        keeps = registration.hooks[key].status_while_away == 202  # noqa: PLR2004 - its other value is 503
        with _reading():
            waits = alive and keeps and self.spool.waits(key)
        if alive and not waits:
            response = await self._forwarded(registration, key, request, body)
            if response is not None:
                return response
        if not keeps:
            raise RefusedError(503, "No kernel serves this hook now; send it again later.")
        try:
            await self._on_disk(self.spool.append, key, request, body)
        except (SpoolFullError, PublicationError, OSError) as error:
            if not isinstance(error, SpoolFullError):
                _LOG.warning("a delivery cannot be kept: %s", error)
            raise RefusedError(
                503, "No kernel serves this hook now, and there is no room; send it again later."
            ) from None
        self._woken.set()
        return Responded(202, [("Content-Type", "text/plain; charset=utf-8")], b"kept")

    async def _forwarded(
        self, to: Registration, key: str, request: Relayed, body: bytes | bytearray
    ) -> Responded | None:
        """Return the kernel's response; ``None`` while the kernel stops or restarts."""
        try:
            response = await forward(to, key, request, body, self.limits)
        except TooSlowError:
            raise RefusedError(504, "The kernel did not respond in time.") from None
        except NotAResponseError:
            raise RefusedError(502, "The kernel's response cannot be passed on.") from None
        except (NotReachedError, CutOffError):
            return None
        if response.status != 404 or _kept(response):  # noqa: PLR2004
            return response
        # The kernel does not know the hook: it is being created, or was just withdrawn.
        if self._find(key) is None:
            raise _nothing()
        return None

    def _on_disk(self, work: Callable[..., _T], *arguments: Any) -> asyncio.Future[_T]:
        """Run disk work on a dedicated thread, so that it does not block the server's loop."""
        return asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    # -- handing over ---------------------------------------------------------------------------

    async def watch(self) -> None:
        """Deliver waiting deliveries as soon as a kernel serves their hook, until cancelled."""
        try:
            while True:
                await self._watch_once()
        finally:
            self._disk.shutdown(wait=False)  # submitted work still completes

    async def _watch_once(self) -> None:
        self._woken.clear()
        keys, pause = [], _IDLE_INTERVAL
        try:
            keys = await self._on_disk(self._look)
        except Exception:  # noqa: BLE001 - the next check may succeed
            _LOG.exception("the relay's folder cannot be checked for waiting deliveries")
            pause = _MAX_PAUSE
        for key in keys:
            if key not in self._handing_over:
                task = asyncio.create_task(self._hand_over(key))
                self._handing_over[key] = task
                task.add_done_callback(partial(self._handed_over, key))
        with contextlib.suppress(TimeoutError):
            if keys:
                await asyncio.sleep(_BUSY_INTERVAL)
            else:
                await asyncio.wait_for(self._woken.wait(), pause)

    def _handed_over(self, key: str, _task: asyncio.Task[None]) -> None:
        del self._handing_over[key]

    def _look(self) -> list[str]:
        if time.monotonic() - self._swept > _IDLE_INTERVAL or not self._swept:
            self._swept = time.monotonic()
            # A new instance: the loop's own is not thread-safe.
            Registrations(self.registrations.folder).sweep()
            for key in self.spool.hooks():
                self.spool.tidy(key)
            self.spool.tidy_locks()
        return [key for key in self.spool.hooks() if self.spool.waits(key)]

    async def _hand_over(self, key: str) -> None:
        pause = self._pauses.get(key)
        if pause is not None and time.monotonic() < pause[0]:
            return
        try:
            with self.spool.handing_over(key) as own:
                if own and await self._hand_over_all(key):
                    self._pauses.pop(key, None)
                    await self._on_disk(self.spool.tidy, key)
        except OSError as error:
            _LOG.warning("a hook's waiting deliveries cannot be handed over now: %s", error)
            self._wait(key)
        except Exception:  # noqa: BLE001 - a failure must not affect other hooks
            _LOG.exception("a hook's waiting deliveries cannot be handed over")
            self._wait(key)

    async def _hand_over_all(self, key: str) -> bool:
        """Deliver a hook's waiting deliveries in order; return false if some must wait longer."""
        done: set[str] = set()
        stuck = False
        while names := [
            name for name in await self._on_disk(self.spool.names, key) if name not in done
        ]:
            for name in names:
                found = self.registrations.find(key)
                if found is None or not found[2]:
                    return False
                if name not in self._settled:
                    kept = await self._on_disk(self.spool.read, key, name)
                    if kept is None:  # it is gone, or not written by this package
                        await self._on_disk(self.spool.set_aside, key, name)
                    elif await self._hand_over_one(found[1], key, name, *kept):
                        self._settled.add(name)
                    elif not await self._give_up(found[1], key, name):
                        self._wait(key)
                        return False
                if name in self._settled and not await self._taken_away(key, name):
                    stuck = True
                self._attempts.pop(name, None)
                done.add(name)
        if stuck:
            self._wait(key)
        return not stuck

    async def _taken_away(self, key: str, name: str) -> bool:
        """Remove a delivery that was handed over; if that fails, only the removal is retried."""
        try:
            await self._on_disk(self.spool.remove, key, name)
        except OSError as error:
            _LOG.warning("a delivery that was handed over cannot be removed: %s", error)
            return False
        self._settled.discard(name)
        return True

    async def _hand_over_one(
        self, to: Registration, key: str, name: str, request: Relayed, body: bytes
    ) -> bool:
        """Deliver a kept delivery; return whether the kernel is known to have kept it."""
        try:
            response = await forward(to, key, request, body, self.limits)
        except NotReachedError:
            return False
        except (CutOffError, TooSlowError, NotAResponseError):
            # Its outcome is unknown: the kernel may have run it.
            self._attempts[name] += 1
            return False
        outcome = _outcome(response)
        # Retry a delivery refused for overload, but not one whose workflow responded with 503.
        if _kept(response) and (response.status != 503 or outcome == "accepted"):  # noqa: PLR2004
            return True
        if response.status not in {404, 503} or (_kept(response) and outcome != "refused"):
            # No hooknb kernel responds like this: another process may listen on the port by now.
            self._attempts[name] += 1
        return False

    async def _give_up(self, to: Registration, key: str, name: str) -> bool:
        """Set a delivery aside after too many attempts; return whether this one was."""
        if self._attempts[name] < _MAX_ATTEMPTS or not to.is_alive:
            return False
        _LOG.warning("a delivery is set aside: it was tried %d times", _MAX_ATTEMPTS)
        await self._on_disk(self.spool.set_aside, key, name)
        return True

    def _wait(self, key: str) -> None:
        _, before = self._pauses.get(key, (0.0, _MIN_PAUSE / 2))
        length = min(before * 2, _MAX_PAUSE)
        self._pauses[key] = (time.monotonic() + length, length)


def _kept(response: Responded) -> bool:
    """Return whether the kernel has stored the delivery, whether accepted or refused."""
    return any(name.lower() == "x-hooknb-delivery" for name, _ in response.fields)


def _outcome(response: Responded) -> str | None:
    """Return the outcome that the kernel states, since a workflow may choose any status."""
    said = [value for name, value in response.fields if name.lower() == "x-hooknb-outcome"]
    return said[-1] if said else None  # the kernel's own follows any set by a Response node
