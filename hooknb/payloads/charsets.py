"""Bytes to text, by the declared charset or by the bytes themselves."""

from __future__ import annotations

import codecs
import unicodedata
from typing import Final

__all__ = ["declared_codec", "decode_text", "has_control"]

# Codecs that no real sender declares, and that are slow or surprising on hostile bytes.
_REFUSED_CODECS: Final = frozenset(
    {"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "utf_7"}
)


def declared_codec(charset: str | None) -> str | None:
    """Return Python's name for a declared charset, or ``None`` if it is unknown."""
    if not charset:
        return None
    try:
        name = codecs.lookup(charset).name
        b"\0\0\0\0".decode(name, "replace")  # codecs such as "hex" do not decode to text
    except (LookupError, ValueError):
        return None
    return None if name.replace("-", "_") in _REFUSED_CODECS else name


def decode_text(raw: bytes, charset: str | None = None) -> str:
    """Decode text by its declared charset, else as UTF-8, else as Latin-1, which never fails.

    Parameters
    ----------
    raw
        The bytes; a UTF-8 byte order mark is dropped.
    charset
        The charset that the sender declared, if any. It is ignored if it is unknown or does not
        fit the bytes.
    """
    for codec in (declared_codec(charset), "utf-8"):
        if codec is None:
            continue
        try:
            return raw.decode("utf-8-sig" if codec == "utf-8" else codec)
        except ValueError:
            continue
    return raw.decode("latin-1")


def has_control(text: str) -> bool:
    """Return whether a text contains control characters or lone surrogates."""
    return any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)
