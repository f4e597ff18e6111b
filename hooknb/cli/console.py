"""Where the commands write: standard output, and standard error for what is said besides."""

from __future__ import annotations

import sys
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from hooknb.cli.texts import written_out

__all__ = ["error_console", "line", "output_console", "status_style"]

_PLAIN: Final[dict[str, Any]] = {
    "highlight": False,
    "markup": False,
    "emoji": False,
    "soft_wrap": True,
}


def output_console() -> Console:
    """Return what writes to standard output: colour on a terminal, no markup anywhere."""
    return Console(file=sys.stdout, **_PLAIN)


def error_console() -> Console:
    """Return what writes to standard error."""
    return Console(file=sys.stderr, **_PLAIN)


def line(*parts: tuple[str, str] | str) -> Text:
    """Make one line of texts with their styles, control characters and line breaks written out."""
    made = Text(no_wrap=True, overflow="ignore", end="")
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        made.append(written_out(text), style or None)
    return made


def status_style(status: int | None) -> str:
    """Return the colour of a status code."""
    if status is None:
        return "yellow"
    classes = {2: "green", 3: "cyan", 4: "red", 5: "bold red"}
    return classes.get(status // 100, "")
