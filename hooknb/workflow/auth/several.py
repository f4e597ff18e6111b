"""Several schemes at once."""

from __future__ import annotations

from typing import Any, ClassVar

from hooknb.errors import SettingError
from hooknb.workflow.auth.base import Auth, AuthFailure, IncomingRequest, Outgoing

__all__ = ["AllOf"]


class AllOf(Auth, frozen=True, tag="all"):
    """Schemes that must all be satisfied: what ``auth=[…]`` makes.

    Attributes
    ----------
    schemes
        In the order in which they are asked; the first that refuses says why.
    """

    secret_field: ClassVar[str] = "schemes"  # noqa: S105 - they hold the secrets

    schemes: tuple[Auth, ...]

    def __post_init__(self) -> None:
        """Refuse an empty list, which would let in everybody."""
        if not self.schemes:
            raise SettingError("auth", "the list is empty; write a scheme, or None for none")

    @property
    def parts(self) -> tuple[Auth, ...]:
        """Those that must be satisfied."""
        return self.schemes

    @property
    def needs_body(self) -> bool:
        """Whether one of them does."""
        return any(one.needs_body for one in self.schemes)

    @property
    def carriers(self) -> frozenset[str]:
        """The header fields of all of them, in lower case."""
        return frozenset().union(*(one.carriers for one in self.schemes))

    @property
    def is_complete(self) -> bool:
        """Whether every secret is known."""
        return all(one.is_complete for one in self.schemes)

    def check(self, request: IncomingRequest, body: bytes | None = None) -> AuthFailure | None:
        """Say why a request is not let in, or return ``None``."""
        for one in self.schemes:
            if body is None or one.needs_body:
                failure = one.check(request, body)
                if failure is not None:
                    return failure
        return None

    def apply(self, request: Outgoing) -> Outgoing:
        """Return the request with what satisfies each; the last sees what the others added."""
        for one in self.schemes:
            request = one.apply(request)
        return request

    def apply_to_url(self, url: str, *, masked: bool = False) -> str:
        """Return the URL with the credentials of those that can stand there."""
        for one in self.schemes:
            url = one.apply_to_url(url, masked=masked)
        return url

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show each with its own mask."""
        return [("schemes", list(self.schemes))]
