"""HTTP Basic authentication (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import replace
from typing import ClassVar, Final
from urllib.parse import quote, unquote, urlsplit

from hooknb.errors import SettingError
from hooknb.payloads.charsets import has_control
from hooknb.payloads.headers import MASK, Headers
from hooknb.workflow.auth.base import Auth, AuthFailure, IncomingRequest, Outgoing

__all__ = ["BasicAuth", "decode_basic", "split_credentials"]

_CHALLENGE: Final = (("WWW-Authenticate", 'Basic realm="hooknb", charset="UTF-8"'),)


class BasicAuth(Auth, frozen=True, tag="basic"):
    """A user name and a password that a caller must send (RFC 7617).

    Attributes
    ----------
    user
        Any text without control characters and without a colon.
    password
        Any text without control characters. Never shown.
    """

    title: ClassVar[str] = "Basic"
    secret_field: ClassVar[str] = "password"  # noqa: S105 - the name of the field

    user: str
    password: str

    def __post_init__(self) -> None:
        """Refuse credentials that no sender could send."""
        for name, value in (("user", self.user), ("password", self.password)):
            if not isinstance(value, str) or not value:
                raise SettingError(
                    f"auth.{name}", "Basic authentication needs both a user name and a password"
                )
            if has_control(value):
                raise SettingError(f"auth.{name}", "it contains control characters; remove them")
        if ":" in self.user:
            raise SettingError("auth.user", "a colon ends the user name (RFC 7617); leave it out")

    def check(self, request: IncomingRequest, body: bytes | None = None) -> AuthFailure | None:  # noqa: ARG002 - the head is enough
        """Say why a request is not let in, or return ``None``."""
        header = request.headers.get("Authorization")
        came = decode_basic(header)
        user, _, _ = (came or b"").partition(b":")
        both_right = _equals(came or b"", f"{self.user}:{self.password}")
        user_right = _equals(user, self.user)
        if both_right:
            return None
        if header is None:
            reason, detail = "no credentials", "This hook asks for Basic authentication."
        elif came is None:
            reason, detail = "malformed credentials", "The Authorization header is not a Basic one."
        else:
            reason = "wrong password" if user_right else "wrong user name"
            detail = "The user name or the password is wrong."
        return AuthFailure(reason=reason, detail=detail, headers=_CHALLENGE)

    def apply(self, request: Outgoing) -> Outgoing:
        """Add the ``Authorization`` field, where the request has none."""
        if any(name.lower() == "authorization" for name, _ in request.fields):
            return request
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        field = ("Authorization", f"Basic {token}")
        return replace(request, fields=Headers([*request.fields, field]))

    def apply_to_url(self, url: str, *, masked: bool = False) -> str:
        """Put user name and password, percent-encoded, before the host (RFC 3986, 3.2.1)."""
        scheme, _, rest = url.partition("://")
        password = MASK if masked else quote(self.password, safe="")
        return f"{scheme}://{quote(self.user, safe='')}:{password}@{rest}"

    @property
    def prompt(self) -> str:
        """The question that asks a person for the password."""
        return f"Password of {self.user}: "


def split_credentials(url: str) -> tuple[str, BasicAuth | None]:
    """Return a URL without the credentials before its host, and those credentials.

    Raises
    ------
    SettingError
        They could not be sent.
    """
    parts = urlsplit(url)
    if parts.username is None:
        return url, None
    auth = BasicAuth(unquote(parts.username), unquote(parts.password or ""))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), auth


def decode_basic(header: str | None) -> bytes | None:
    """Return the ``user:password`` bytes of an ``Authorization`` field (RFC 7617), or ``None``."""
    if header is None:
        return None
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(token.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if b":" in decoded else None


def _equals(came: bytes, text: str) -> bool:
    """Return whether the bytes are the text, in UTF-8 or in Latin-1.

    Senders use either, and do not say which. Digests are compared, each to its end, so that the
    time taken tells neither a length nor where the first difference stands.
    """
    try:
        latin = text.encode("latin-1")
    except UnicodeEncodeError:
        latin = text.encode()
    digest = hashlib.sha256(came).digest()
    as_utf8 = hmac.compare_digest(digest, hashlib.sha256(text.encode()).digest())
    as_latin = hmac.compare_digest(digest, hashlib.sha256(latin).digest())
    return as_utf8 | as_latin
