"""Tokens that are sent along as they are, in a header field."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import ClassVar, Final

import msgspec

from hooknb.errors import SettingError
from hooknb.payloads.headers import TOKEN, Headers, add_secret_header
from hooknb.workflow.auth.base import (
    Auth,
    AuthFailure,
    IncomingRequest,
    Outgoing,
    Secret,
    as_secrets,
)
from hooknb.workflow.auth.messages import usual

__all__ = ["Bearer", "HeaderToken"]

_BEARER: Final = "bearer "
_CHALLENGE: Final = (("WWW-Authenticate", 'Bearer realm="hooknb"'),)


class Bearer(Auth, frozen=True, tag="bearer"):
    """A token that a caller must send as ``Authorization: Bearer …`` (RFC 6750).

    Attributes
    ----------
    token
        Or several (``[new, old]``) while it is changed: each is accepted, and the first is sent
        from here. Never shown.
    """

    title: ClassVar[str] = "Bearer token"
    secret_field: ClassVar[str] = "token"  # noqa: S105 - the name of the field

    token: Secret

    def __post_init__(self) -> None:
        """Refuse a token that no sender could send."""
        _normalise(self, "token", self.token)

    def check(self, request: IncomingRequest, body: bytes | None = None) -> AuthFailure | None:  # noqa: ARG002 - the head is enough
        """Say why a request is not let in, or return ``None``."""
        header = request.headers.get("Authorization")
        is_bearer = header is not None and header[: len(_BEARER)].lower() == _BEARER
        if _is_one_of((header or "")[len(_BEARER) :].strip(), self.token) and is_bearer:
            return None
        if header is None:
            reason, detail = "missing token", "This hook asks for a Bearer token."
        elif not is_bearer:
            reason, detail = "malformed token", "The Authorization header is not a Bearer one."
        else:
            reason, detail = "token does not match", "The Bearer token does not match."
        return AuthFailure(reason=reason, detail=detail, headers=_CHALLENGE)

    def apply(self, request: Outgoing) -> Outgoing:
        """Add the ``Authorization`` field, where the request has none."""
        return _with_field(request, "Authorization", f"Bearer {_first(self.token)}")


class HeaderToken(Auth, frozen=True, tag="header"):
    """A value that a caller must send in a header field of its own.

    Attributes
    ----------
    name
        Of the field, such as ``X-Api-Key``; its case does not matter. The values of such a field
        are masked wherever the deliveries of any hook are shown.
    value
        Or several (``[new, old]``) while it is changed: each is accepted, and the first is sent
        from here. Never shown.
    """

    title: ClassVar[str] = "Header token"
    secret_field: ClassVar[str] = "value"  # noqa: S105 - the name of the field

    name: str
    value: Secret

    def __post_init__(self) -> None:
        """Refuse what no sender could send."""
        if not isinstance(self.name, str) or not TOKEN.fullmatch(self.name):
            raise SettingError("auth.name", "it is not the name of a header; write 'X-Api-Key'")
        _normalise(self, "value", self.value)
        add_secret_header(self.name)

    def check(self, request: IncomingRequest, body: bytes | None = None) -> AuthFailure | None:  # noqa: ARG002 - the head is enough
        """Say why a request is not let in, or return ``None``."""
        value = request.headers.get(usual(self.name))
        if _is_one_of(value or "", self.value):
            return None
        if value is None:
            detail = f"This hook asks for the header {self.name}."
            return AuthFailure(reason="missing token", detail=detail)
        detail = f"The value of the header {self.name} does not match."
        return AuthFailure(reason="token does not match", detail=detail)

    def apply(self, request: Outgoing) -> Outgoing:
        """Add the field, where the request has none of that name."""
        return _with_field(request, self.name, _first(self.value))

    @property
    def carriers(self) -> frozenset[str]:
        """The field, in lower case."""
        return frozenset({self.name.lower()})


def _normalise(auth: Auth, field: str, value: Secret) -> None:
    secrets = as_secrets(value, f"auth.{field}")
    for one in [secrets] if isinstance(secrets, str) else secrets:
        if "\n" in one or one != one.strip():
            raise SettingError(f"auth.{field}", "it begins or ends with blanks, or has line breaks")
    msgspec.structs.force_setattr(auth, field, secrets)


def _first(secret: Secret) -> str:
    return secret if isinstance(secret, str) else secret[0]


def _with_field(request: Outgoing, name: str, value: str) -> Outgoing:
    if any(known.lower() == name.lower() for known, _ in request.fields):
        return request
    # Header fields are sent as Latin-1: the bytes of other characters stand there as they are.
    sent = value if value.isascii() else value.encode().decode("latin-1")
    return replace(request, fields=Headers([*request.fields, (name, sent)]))


def _is_one_of(received: str, secret: Secret) -> bool:
    """Return whether a value, read as Latin-1, is one of the secrets.

    Digests are compared, each to its end, so that the time taken tells neither a length nor where
    the first difference stands.
    """
    digest, found = hashlib.sha256(received.encode("latin-1", "replace")).digest(), False
    for one in [secret] if isinstance(secret, str) else secret:
        found |= hmac.compare_digest(digest, hashlib.sha256(one.encode()).digest())
    return found
