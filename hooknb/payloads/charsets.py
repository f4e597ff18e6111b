"""Bytes to text, by the charset that was declared and by what the bytes are."""

from __future__ import annotations

import codecs
import unicodedata
from typing import Final

__all__ = ["declared_codec", "decode_text", "has_control"]

# Codecs that no sender declares, and slow or surprising on hostile bytes.
_REFUSED_CODECS: Final = frozenset(
    {"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "utf_7"}
)


def declared_codec(charset: str | None) -> str | None:
    """Return Python's name of a declared charset, or ``None`` for an unknown one."""
    if not charset:
        return None
    try:
        name = codecs.lookup(charset).name
        b"\0\0\0\0".decode(name, "replace")  # codecs such as "hex" make no text
    except (LookupError, ValueError):
        return None
    return None if name.replace("-", "_") in _REFUSED_CODECS else name


def decode_text(raw: bytes, charset: str | None = None) -> str:
    """Read text: by its declared charset, else as UTF-8, else as Latin-1, which reads any bytes.

    Parameters
    ----------
    raw
        The bytes; a byte order mark of UTF-8 is left out.
    charset
        What the sender declared, if anything. One that is unknown, or that the bytes are not in, is
        passed over.
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
    """Return whether a text holds control characters, or halves of characters."""
    return any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)
