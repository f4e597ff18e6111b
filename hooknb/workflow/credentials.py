"""What a caller must send to be let in."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec

from hooknb.errors import SettingError
from hooknb.payloads.headers import MASK

__all__ = ["BasicAuth", "has_control"]


def has_control(text: str) -> bool:
    """Whether a text holds control characters, or halves of characters."""
    return any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


class BasicAuth(msgspec.Struct, frozen=True):
    """A user name and a password that a caller must send (RFC 7617).

    Attributes
    ----------
    user
        Any text without control characters and without a colon.
    password
        Any text without control characters. Never shown.
    """

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
                raise SettingError(f"auth.{name}", "leave control characters out of it")
        if ":" in self.user:
            raise SettingError("auth.user", "a colon ends the user name (RFC 7617); leave it out")

    @classmethod
    def without_password(cls, user: str) -> BasicAuth:
        """Give credentials whose password is still to be given; no hook can be served with them."""
        auth = cls(user, MASK)
        msgspec.structs.force_setattr(auth, "password", "")
        return auth

    def __repr__(self) -> str:
        """Show the user name and a mask."""
        return f"BasicAuth({self.user!r}, {MASK!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show the same where rich shows it."""
        return [("user", self.user), ("password", MASK)]
