"""What every scheme of authentication can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import msgspec

from hooknb.errors import SettingError
from hooknb.payloads.charsets import has_control
from hooknb.payloads.headers import MASK, Headers

__all__ = ["Auth", "AuthFailure", "IncomingRequest", "Outgoing", "Secret", "as_secrets"]

Secret = str | tuple[str, ...]
"""A secret, or several of which any one is accepted: the first is the one that signs."""


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

    @property
    def received_at(self) -> int:
        """Microseconds since 1970 at which it was received, by the runtime's clock."""

    @property
    def public_url(self) -> str | None:
        """Where the sender sent it to, as the relay knows; ``None`` where it came directly."""


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
    url
        Where it is sent to, without ``subpath`` and query; ``""`` where that is not known yet.
    sent_at
        Microseconds since 1970; ``None`` for the time at which it is signed.
    """

    method: str
    query: str
    fields: Headers
    content: bytes | None
    subpath: str = ""
    url: str = ""
    sent_at: int | None = None


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
    secret_field
        The name of the field that is masked, and left out of JSON.
    """

    title: ClassVar[str] = "authentication"
    secret_field: ClassVar[str]

    @property
    def parts(self) -> tuple[Auth, ...]:
        """The schemes that it consists of: itself, or several that must all be satisfied."""
        return (self,)

    @property
    def needs_body(self) -> bool:
        """Whether :meth:`check` is called again with the body, once it is received."""
        return False

    def check(self, request: IncomingRequest, body: bytes | None = None) -> AuthFailure | None:
        """Say why a request is not let in, or return ``None``.

        Parameters
        ----------
        request
            Its head.
        body
            The bytes as received; ``None`` while only the head is. A scheme that needs them refuses
            by the head what can never be let in, and returns ``None`` for the rest.
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
        return f"{self.secret_field.capitalize()}: "

    @classmethod
    def without_secret(cls, fields: Mapping[str, Any]) -> Self:
        """Make a scheme whose secret is still to be given; a hook cannot be served with it."""
        made = cls(**{**fields, cls.secret_field: MASK})
        msgspec.structs.force_setattr(made, cls.secret_field, "")
        return made

    @property
    def is_complete(self) -> bool:
        """Whether its secret is known."""
        return bool(getattr(self, self.secret_field))

    def __repr__(self) -> str:
        """Show the fields, with a mask in place of the secret."""
        fields = ", ".join(repr(value) for _, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show the same where rich shows it."""
        return [
            (name, MASK if name == self.secret_field else getattr(self, name))
            for name in self.__struct_fields__
        ]


def as_secrets(value: Any, field: str) -> Secret:
    """Return a secret, or several as a tuple; one alone as it is.

    Raises
    ------
    SettingError
        It is neither some text nor a list of such, or has control characters at its ends.
    """
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, Sequence) or not several:
        raise SettingError(field, "write the secret as text, or a list of them: [new, old]")
    for one in several:
        if not isinstance(one, str) or not one.strip():
            raise SettingError(field, "a secret is empty; write the text that the sender has")
        # A line break within is that of a key in PEM; at the end it was pasted by accident.
        if has_control(one[0] + one.rstrip("\n")[-1]) or has_control(one.replace("\n", "")):
            raise SettingError(field, "it contains control characters; remove them")
    return several[0] if len(several) == 1 else tuple(several)
