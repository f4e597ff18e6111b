"""Received text, as text that a terminal may show."""

from __future__ import annotations

import json
import re
from typing import Any, Final

__all__ = ["as_json", "written_out"]

# Control characters, among them those that begin a terminal's escape sequences; what turns the
# direction of writing, breaks lines or is not seen; halves of characters; tags.
_SPECIAL: Final = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_BYTE: Final = 0xFF
_BASIC: Final = 0xFFFF  # the last character that four digits name


def written_out(text: str, keep: str = "") -> str:
    r"""Write the characters that a terminal would obey as escapes: ``\x1b``, ``\u202e``.

    Parameters
    ----------
    text
        Of any origin.
    keep
        Characters that stay as they are, such as line breaks.
    """

    def escape(found: re.Match[str]) -> str:
        character = found[0]
        if character in keep:
            return character
        code = ord(character)
        if code <= _BYTE:
            return f"\\x{code:02x}"
        return f"\\u{code:04x}" if code <= _BASIC else f"\\U{code:08x}"

    return _SPECIAL.sub(escape, text)


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Write a value as JSON in ASCII alone; what JSON cannot hold as text."""
    text = json.dumps(value, indent=indent, default=str)
    return text.replace("\x7f", "\\u007f")
