"""Header fields: as received, by name, and with masked credentials."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

__all__ = [
    "MASK",
    "SECRET_HEADERS",
    "TOKEN",
    "HeaderMap",
    "Headers",
    "add_secret_header",
    "is_secret_header",
    "masked",
    "parse_head",
]

MASK: Final = "•••••"
SECRET_HEADERS: Final = frozenset(
    {
        *("authorization", "proxy-authorization", "cookie", "set-cookie"),
        *("x-api-key", "x-gitlab-token", "x-telegram-bot-api-secret-token", "x-buildkite-token"),
    }
)
"""Headers that carry credentials, whatever hooks there are; see :func:`is_secret_header`."""

# Those in which the hooks known to this process expect a token, by the choice of their senders.
_added: Final[set[str]] = set()

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The syntax of field names and methods (RFC 9110, section 5.6.2)."""


class Headers(list[tuple[str, str]]):
    """Header fields as received, in order, names as written; ``repr`` masks credentials."""

    def masked(self) -> list[tuple[str, str]]:
        """Return a plain list in which credentials are masked."""
        return [(name, masked(name, value)) for name, value in self]

    def __repr__(self) -> str:
        """Show the fields with credentials masked."""
        return repr(self.masked())

    def __getitem__(self, index: Any) -> Any:
        """Return a field, or :class:`Headers` for a slice."""
        found = super().__getitem__(index)
        return Headers(found) if isinstance(index, slice) else found

    def copy(self) -> Headers:
        """Return a new list of the same fields."""
        return Headers(self)


class HeaderMap(dict[str, str]):
    """Headers by case-insensitive name; values of one name are joined by ``", "`` (RFC 9110).

    Iterating yields each name as it was first written.
    """

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self._names: dict[str, str] = {}
        for name, value in fields:
            known = self._names.setdefault(name.lower(), name)
            before = super().get(known)
            super().__setitem__(known, value if before is None else f"{before}, {value}")

    def _known(self, name: str) -> str:
        return self._names.get(name.lower(), name)

    def __getitem__(self, name: str) -> str:
        """Return a header; the name is case-insensitive."""
        return super().__getitem__(self._known(name))

    def __contains__(self, name: object) -> bool:
        """Return whether a header exists; the name is case-insensitive."""
        return isinstance(name, str) and super().__contains__(self._known(name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header, or ``default``."""
        return super().get(self._known(name), default)

    def lower_names(self) -> dict[str, str]:
        """Return a plain ``dict`` with each header under its name, as written and in lower case.

        Values are not masked: use it to compute, not to display.
        """
        return {**self, **{name: self[name] for name in self._names}}

    def masked(self) -> dict[str, str]:
        """Return a plain ``dict`` in which credentials are masked."""
        return {name: masked(name, value) for name, value in self.items()}

    def __repr__(self) -> str:
        """Show the headers with credentials masked."""
        return repr(self.masked())


def is_secret_header(name: str) -> bool:
    """Return whether a header carries credentials: its values are masked wherever they are shown.

    Case does not matter.
    """
    return (lower := name.lower()) in SECRET_HEADERS or lower in _added


def add_secret_header(name: str) -> None:
    """Have the values of a header masked from now on, as long as the process lives."""
    _added.add(name.lower())


def masked(name: str, value: str) -> str:
    """Return the value, or a mask if the header carries credentials.

    The scheme (``Basic``, ``Bearer``) stays visible, since a wrong scheme is a common mistake.
    """
    if not is_secret_header(name):
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {MASK}" if space and name.lower().endswith("authorization") else MASK


@lru_cache(maxsize=64)
def parse_head(head: bytes) -> Headers:
    """Split a block of header fields as received (RFC 9112, section 5).

    Values are decoded as Latin-1, which loses no byte; a folded line is joined to its field by one
    space.
    """
    fields = Headers()
    for line in head.decode("latin-1").split("\n"):
        text = line.rstrip("\r")
        if text[:1] in {" ", "\t"} and fields:
            name, value = fields[-1]
            fields[-1] = (name, f"{value} {text.strip(' ' + chr(9))}")
        elif text:
            name, _, value = text.partition(":")
            fields.append((name, value.strip(" \t")))
    return fields
