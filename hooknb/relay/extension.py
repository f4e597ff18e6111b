"""The extension: adds the relay's handlers to a Jupyter server, and starts delivering the spool."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tornado.ioloop import IOLoop

from hooknb.errors import PublicationError
from hooknb.relay import addresses
from hooknb.relay.handler import MarkerHandler, RelayHandler
from hooknb.relay.limits import Limits
from hooknb.relay.passage import Passage

__all__ = ["add_to", "load"]

_LOG: Final = logging.getLogger("hooknb.relay")
_TOKENS: Final = ("JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "JUPYTER_TOKEN")
_NOTE_EVERY: Final = 10.0  # seconds between two notes


def load(app: Any) -> None:
    """Add the relay to a Jupyter server (a ``ServerApp``).

    Raises
    ------
    SettingError
        The configuration has an unknown or invalid limit.
    """
    settings = app.web_app.settings
    folder = Path(app.runtime_dir) / "hooknb"

    def own_hosts() -> frozenset[str] | None:
        if settings.get("allow_remote_access"):
            return None
        return frozenset(map(str.lower, settings.get("local_hostnames", ())))

    limits = Limits.configured(app.config.get("HooknbRelay", {}))
    add_to(
        app.web_app,
        base_url=settings["base_url"],
        passage=Passage(folder, limits, own_hosts),
        secrets=partial(_secrets, app),
    )
    _observe(app.web_app, _AddressObserver(folder, settings["base_url"]))
    _LOG.debug("hooks are relayed under %shooknb/", settings["base_url"])


def add_to(
    application: Any, *, base_url: str, passage: Passage, secrets: Callable[[], list[str]]
) -> None:
    """Add the handlers to a Tornado application, and deliver the spool once its loop runs.

    ``secrets`` returns the server's tokens, which are removed from every request.
    """
    at = base_url.rstrip("/") + "/hooknb"
    application.add_handlers(
        ".*$",
        [
            (rf"{at}/?", MarkerHandler),
            (
                rf"{at}/([^/]*)(?:/.*)?",
                RelayHandler,
                {"passage": passage, "secrets": secrets, "above": at.count("/")},
            ),
        ],
    )

    def start() -> None:
        # The loop holds tasks only weakly.
        application.settings["hooknb_relay"] = asyncio.create_task(passage.watch())

    IOLoop.current().add_callback(start)


def _secrets(app: Any) -> list[str]:
    found = [os.environ.get(name, "") for name in _TOKENS]
    with contextlib.suppress(AttributeError):
        found.append(str(app.identity_provider.token))
    return [token for token in found if token]


def _observe(application: Any, observer: _AddressObserver) -> None:
    """Pass each finished request to an observer.

    This wraps ``log_request`` because extensions loaded later, JupyterHub's among them, replace
    ``settings["log_function"]``.
    """
    log_request = application.log_request

    def log_and_observe(handler: Any) -> None:
        log_request(handler)
        observer.observe(handler)

    application.log_request = log_and_observe


class _AddressObserver:
    """Writes down the URL that logged-in browsers use for the server, for its kernels to read."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self._folder = folder
        self._base_url = base_url
        self._last = ""
        self._next = 0.0

    def observe(self, handler: Any) -> None:
        """Examine a request whose response has been sent."""
        now = time.monotonic()
        if now < self._next:
            return
        origin = _origin(handler)
        if origin is None or origin == self._last or (_is_local(origin) and self._last):
            return
        self._last, self._next = origin, now + _NOTE_EVERY
        # Writing blocks on the disk, which must not hold up the server's loop.
        IOLoop.current().run_in_executor(None, self._note, origin + self._base_url)

    def _note(self, address: str) -> None:
        try:
            addresses.note(self._folder, address)
        except (PublicationError, OSError) as error:
            _LOG.warning("the server's URL cannot be written down: %s", error)


def _origin(handler: Any) -> str | None:
    """Return the origin of a request that a logged-in user sent from a page of this server."""
    headers = handler.request.headers
    page = headers.get("Origin") or headers.get("Referer")
    if not page or handler.get_status() >= 400 or isinstance(handler, RelayHandler):  # noqa: PLR2004
        return None
    try:
        parts = urlsplit(page)
        user = handler.current_user
    except Exception:  # noqa: BLE001 - the handler may be another extension's
        return None
    origin = f"{parts.scheme}://{parts.netloc}"
    same = parts.netloc in {headers.get("Host"), headers.get("X-Forwarded-Host")}
    return origin if user and same and addresses.is_address(origin) else None


def _is_local(origin: str) -> bool:
    return urlsplit(origin).hostname in {"localhost", "127.0.0.1", "::1"}
