"""What the commands write, made safe for a terminal: lines in colour, received text, JSON."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Final

from rich.console import Console
from rich.text import Text

__all__ = ["as_json", "count", "escape", "line", "print_error", "status_style", "stderr", "stdout"]

# Control characters, among them those that begin a terminal's escape sequences; characters that
# change the direction of writing, break lines or are invisible; lone surrogates; tags.
_SPECIAL: Final = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_MAX_BYTE: Final = 0xFF
_MAX_BASIC: Final = 0xFFFF  # the last character that four digits name
_PLAIN: Final[dict[str, Any]] = {
    "highlight": False,
    "markup": False,
    "emoji": False,
    "soft_wrap": True,
}
_STATUS_STYLES: Final = {2: "green", 3: "cyan", 4: "red", 5: "bold red"}


def stdout() -> Console:
    """Return a console on standard output: colour on a terminal, no markup anywhere."""
    return Console(file=sys.stdout, **_PLAIN)


def stderr() -> Console:
    """Return a console on standard error."""
    return Console(file=sys.stderr, **_PLAIN)


def print_error(error: Exception) -> None:
    """Print an error's message in one line on standard error."""
    stderr().print(line(("error: ", "bold red"), str(error)), end="\n")


def line(*parts: tuple[str, str] | str) -> Text:
    """Make one line of texts with their styles, control characters and line breaks escaped."""
    made = Text(no_wrap=True, overflow="ignore", end="")
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        made.append(escape(text), style or None)
    return made


def status_style(status: int | None) -> str:
    """Return the colour of a status code; ``None`` is a response that is pending."""
    return "yellow" if status is None else _STATUS_STYLES.get(status // 100, "")


def escape(text: str, keep: str = "") -> str:
    r"""Replace the characters that a terminal would obey by escapes: ``\x1b``, ``\u202e``.

    Parameters
    ----------
    text
        From any source.
    keep
        Characters that stay as they are, such as line breaks.
    """

    def escaped(found: re.Match[str]) -> str:
        character = found[0]
        if character in keep:
            return character
        code = ord(character)
        if code <= _MAX_BYTE:
            return f"\\x{code:02x}"
        return f"\\u{code:04x}" if code <= _MAX_BASIC else f"\\U{code:08x}"

    return _SPECIAL.sub(escaped, text)


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON in ASCII; what JSON cannot represent becomes text."""
    text = json.dumps(value, indent=indent, default=str)
    return text.replace("\x7f", "\\u007f")


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 hook``, ``2,000 deliveries``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
