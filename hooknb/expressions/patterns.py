"""Regular expressions that run in linear time: RE2's, from ``google-re2``.

Python's engine backtracks: ``(a+)+$`` takes twice as long for each additional letter, and no other
thread runs meanwhile. In exchange, RE2 has no lookaround and no backreferences; it refuses
patterns that use them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from hooknb.errors import SettingError

__all__ = ["LinearPattern"]

_GROUP: Final = re.compile(r"\\g<([0-9]{1,9})>")


class LinearPattern:
    """A compiled regular expression with the methods of :class:`re.Pattern` that queries call.

    Parameters
    ----------
    pattern
        In RE2's syntax.
    ignore_case, multiline
        Like :data:`re.IGNORECASE` and :data:`re.MULTILINE`.

    Raises
    ------
    SettingError
        The pattern is not a valid RE2 regular expression.
    ImportError
        ``google-re2`` is not installed.
    """

    def __init__(self, pattern: str, *, ignore_case: bool = False, multiline: bool = False) -> None:
        import re2

        options = re2.Options()
        options.case_sensitive = not ignore_case
        options.log_errors = False
        try:
            self._pattern = re2.compile(f"(?m){pattern}" if multiline else pattern, options)
        except re2.error as error:
            reason = error.args[0] if error.args else error
            if isinstance(reason, bytes):
                reason = reason.decode("utf-8", "replace")
            problem = f"{pattern!r} is not a valid RE2 regular expression: {reason}"
            raise SettingError("pattern", problem) from error

    def search(self, text: str) -> Any:
        """Return the first match, or ``None``."""
        return next(self.finditer(text), None)

    def fullmatch(self, text: str) -> Any:
        """Return the match of the whole text, or ``None``."""
        return self._pattern.fullmatch(_encodable(text))

    def finditer(self, text: str) -> Iterator[Any]:
        """Iterate over the matches from left to right."""
        found: Iterator[Any] = self._pattern.finditer(_encodable(text))
        return found

    def split(self, text: str, maxsplit: int = 0) -> list[str]:
        """Split a text at the matches."""
        parts: list[str] = self._pattern.split(_encodable(text), maxsplit)
        return parts

    def sub(self, replacement: str | Callable[[Any], str], text: str, count: int = 0) -> str:
        r"""Replace the matches.

        In a replacement string, ``\g<1>`` inserts a group; nothing else is special. If no group has
        the number, its longest prefix that a group has is used, and the other digits stay.
        """
        make = replacement if callable(replacement) else self._filled(replacement)
        replaced: str = self._pattern.sub(make, _encodable(text), count)
        return replaced

    def _filled(self, replacement: str) -> Callable[[Any], str]:
        def fill(match: Any) -> str:
            def group(reference: re.Match[str]) -> str:
                digits, rest = reference[1], ""
                while digits and int(digits) > self._pattern.groups:
                    digits, rest = digits[:-1], digits[-1] + rest
                return (match[int(digits)] or "") + rest if digits else rest[1:]

            return _GROUP.sub(group, replacement)

        return fill


def _encodable(text: str) -> str:
    """Return the text with lone surrogates replaced: RE2 reads UTF-8, which has none."""
    return text.encode("utf-8", "replace").decode()
