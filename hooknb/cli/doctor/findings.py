"""What an examination finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Finding", "State", "ok", "warning", "wrong"]

State: TypeAlias = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    subject
        What was looked at, in a word or two.
    state
        ``ok``; ``warning`` where something may be missed; ``wrong`` where something cannot work.
    text
        What was found.
    remedy
        What to do about it; ``None`` where nothing has to be done.
    """

    subject: str
    state: State
    text: str
    remedy: str | None = None


def ok(subject: str, text: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(subject=subject, state="ok", text=text)


def warning(subject: str, text: str, remedy: str) -> Finding:
    """Say that something may be missed."""
    return Finding(subject=subject, state="warning", text=text, remedy=remedy)


def wrong(subject: str, text: str, remedy: str) -> Finding:
    """Say that something cannot work."""
    return Finding(subject=subject, state="wrong", text=text, remedy=remedy)
