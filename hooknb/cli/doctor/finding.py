"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Finding", "State", "ok", "warning", "wrong"]

State: TypeAlias = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    subject
        What was checked, in a word or two.
    state
        ``ok``; ``warning`` if something may be missing; ``wrong`` if something cannot work.
    text
        What was found.
    remedy
        What to do about it; ``None`` if nothing has to be done.
    """

    subject: str
    state: State
    text: str
    remedy: str | None = None


def ok(subject: str, text: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(subject=subject, state="ok", text=text)


def warning(subject: str, text: str, remedy: str) -> Finding:
    """Return a finding about something that may be missing."""
    return Finding(subject=subject, state="warning", text=text, remedy=remedy)


def wrong(subject: str, text: str, remedy: str) -> Finding:
    """Return a finding about something that cannot work."""
    return Finding(subject=subject, state="wrong", text=text, remedy=remedy)
