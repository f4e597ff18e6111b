"""A row of the store as a request whose parts are parsed when they are first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from hooknb.errors import PayloadError
from hooknb.paths import MISSING
from hooknb.records import LazyRequest, Outcome, parse_body

__all__ = ["MAX_PREVIEW_BYTES", "TOO_LARGE", "StoredRequest"]

MAX_PREVIEW_BYTES: Final = 256 * 1024
"""Bytes of a body, decompressed too, beyond which a row of a table does not read it."""

TOO_LARGE: Final = object()
"""Stands for a body, and whatever is in it, that a row of a table does not read."""

_CONTENT_TOO_LARGE: Final = 413


class StoredRequest(LazyRequest):
    """What filters and tables read of a delivery: less than a :class:`~hooknb.Delivery`, sooner.

    Parameters
    ----------
    row
        Method, query string, content type, content encoding, head, body, size, reason, detail and
        the status code of the response, as stored. Head and body may be empty where nobody looks
        at them; the body is ``None`` where a large one was left in the store.
    """

    query_string: str
    head: bytes
    raw: bytes
    size: int
    reason: str | None

    def __init__(self, row: Sequence[Any]) -> None:
        self.method: str
        self.detail: str | None
        self.status: int | None
        (
            self.method,
            self.query_string,
            # The store has these two in columns of their own: no head has to be parsed for them.
            self.content_type,
            self.content_encoding,
            self.head,
            raw,
            self.size,
            self.reason,
            self.detail,
            self.status,
        ) = row
        self.raw = raw or b""
        self._is_left_out = raw is None

    @property
    def outcome(self) -> Outcome:
        """``accepted`` or ``refused``."""
        return "accepted" if self.reason is None else "refused"

    def preview(self, part: str) -> Any:
        """Return ``headers``, ``query`` or ``body``; ``TOO_LARGE`` for a large body."""
        if part == "headers":
            return self.header_map
        if part == "query":
            return self.query
        return self._previewed_body

    @cached_property
    def _previewed_body(self) -> Any:
        if self._is_left_out:
            return TOO_LARGE
        try:
            return parse_body(
                self.raw,
                self.content_type,
                self.content_encoding,
                size=self.size,
                is_accepted=self.reason is None,
                max_bytes=MAX_PREVIEW_BYTES,
            )
        except PayloadError as error:
            return TOO_LARGE if error.status == _CONTENT_TOO_LARGE else MISSING
