"""What every scheme of authentication can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import msgspec

from hooknb.payloads.headers import MASK, Headers

__all__ = ["Auth", "AuthFailure", "IncomingRequest", "Outgoing"]


class IncomingRequest(Protocol):
    """The head of a request, as a scheme looks at it."""

    @property
    def method(self) -> str:
        """As in the request line."""

    @property
    def target(self) -> str:
        """As in the request line: the path with its query."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name in the usual spelling (``Content-Type``)."""


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A request as it is to be sent, but for what frames it.

    Attributes
    ----------
    method
        Of the request.
    query
        What stands behind ``?``, as it stands there; ``""`` for none.
    fields
        Header fields in order.
    content
        The bytes of the body; ``None`` for no body at all.
    subpath
        What is appended to the URL, as it stands there; ``""`` for nothing.
    """

    method: str
    query: str
    fields: Headers
    content: bytes | None
    subpath: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthFailure:
    """Why a request is not let in.

    Attributes
    ----------
    reason
        The short word that the delivery keeps.
    detail
        One sentence for the caller: what is wrong, without saying what would be right.
    headers
        Header fields of the response: the challenge.
    status
        Of the response.
    """

    reason: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 401


class Auth(msgspec.Struct, frozen=True, tag_field="type"):
    """A scheme with its credentials. Frozen; its secret is never shown.

    Attributes
    ----------
    title
        What the panel calls it.
    secret
        The name of the field that is masked, and left out of JSON.
    needs_body
        Whether :meth:`check` looks at the body; otherwise the head is judged before it is read.
    """

    title: ClassVar[str] = "authentication"
    secret: ClassVar[str]
    needs_body: ClassVar[bool] = False

    def check(self, request: IncomingRequest, body: bytes | None = None) -> AuthFailure | None:
        """Say why a request is not let in, or return ``None``.

        Parameters
        ----------
        request
            Its head.
        body
            The bytes as received; ``None`` where the scheme does not need them.
        """
        raise NotImplementedError

    def apply(self, request: Outgoing) -> Outgoing:
        """Return the request with what lets it in; what it carries already wins."""
        raise NotImplementedError

    def apply_to_url(self, url: str, *, masked: bool = False) -> str:  # noqa: ARG002 - for others
        """Return the URL with the credentials in it, where the scheme can write them there.

        Parameters
        ----------
        url
            Absolute.
        masked
            Whether a mask stands in place of the secret.
        """
        return url

    @property
    def carriers(self) -> frozenset[str]:
        """The header fields that :meth:`apply` sets, in lower case: a replay leaves them out."""
        return frozenset({"authorization"})

    @property
    def prompt(self) -> str:
        """The question that asks a person for the secret."""
        return f"{self.secret.capitalize()}: "

    @classmethod
    def without_secret(cls, fields: Mapping[str, Any]) -> Self:
        """Make a scheme whose secret is still to be given; a hook cannot be served with it."""
        made = cls(**{**fields, cls.secret: MASK})
        msgspec.structs.force_setattr(made, cls.secret, "")
        return made

    @property
    def is_complete(self) -> bool:
        """Whether its secret is known."""
        return bool(getattr(self, self.secret))

    def __repr__(self) -> str:
        """Show the fields, with a mask in place of the secret."""
        fields = ", ".join(repr(value) for _, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show the same where rich shows it."""
        return [
            (name, MASK if name == self.secret else getattr(self, name))
            for name in self.__struct_fields__
        ]
