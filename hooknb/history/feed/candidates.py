"""A delivery as filters look at it; what has to be parsed is parsed when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from hooknb import payloads
from hooknb.errors import PayloadError
from hooknb.history.feed.bodies import body_text
from hooknb.paths import MISSING
from hooknb.payloads.headers import HeaderMap, parse_head
from hooknb.records import Delivery

__all__ = ["Candidate"]

_ACCEPTED: Final = 2**31  # what was accepted was within its hook's own limit
_REFUSED: Final = 256 * 1024


class Candidate:
    """What a filter may ask of a delivery.

    Parameters
    ----------
    row
        Method, query, content type, content coding, head, body, size, reason, detail and the status
        of the answer, as they stand in the store; head and body may be empty where the filter looks
        at neither.
    """

    def __init__(self, row: Sequence[Any]) -> None:
        self.method: str
        self.query_string: str
        self.content_type: str | None
        self.content_encoding: str | None
        self.head: bytes
        self.raw: bytes
        self.size: int
        self.reason: str | None
        self.detail: str | None
        self.status: int | None
        (
            self.method,
            self.query_string,
            self.content_type,
            self.content_encoding,
            self.head,
            self.raw,
            self.size,
            self.reason,
            self.detail,
            self.status,
        ) = row

    @classmethod
    def of(cls, delivery: Delivery) -> Candidate:
        """Make one of a record; what that has parsed is not parsed again."""
        made = cls(
            (
                delivery.method,
                delivery.query_string,
                delivery.content_type,
                delivery.header_map.get("Content-Encoding"),
                delivery.head,
                delivery.raw,
                delivery.size,
                delivery.reason,
                delivery.detail,
                delivery.status,
            )
        )
        read = delivery.__dict__
        known = {"header_map": "headers", "query": "query", "body_or_missing": "body"}
        made.__dict__.update({known[name]: read[name] for name in known.keys() & read.keys()})
        return made

    @property
    def outcome(self) -> str:
        """``accepted`` or ``refused``."""
        return "accepted" if self.reason is None else "refused"

    @property
    def _limit(self) -> int:
        return _ACCEPTED if self.reason is None else _REFUSED

    @cached_property
    def headers(self) -> HeaderMap:
        """The header fields by name."""
        return HeaderMap(parse_head(self.head))

    @cached_property
    def query(self) -> dict[str, Any]:
        """The parsed query."""
        return payloads.parse_query_string(self.query_string)

    @cached_property
    def body(self) -> Any:
        """The parsed body, as :attr:`hooknb.Delivery.body_or_missing` has it."""
        try:
            return payloads.parse(
                self.raw,
                content_type=self.content_type,
                content_encoding=self.content_encoding,
                max_size=self._limit,
            )
        except PayloadError:
            if self.reason is None:
                raise
            return MISSING

    @cached_property
    def text(self) -> str:
        """The text of the body; empty where it cannot be decompressed."""
        try:
            return body_text(
                self.raw, self.content_type, self.content_encoding, max_size=self._limit
            )
        except PayloadError:
            return ""
