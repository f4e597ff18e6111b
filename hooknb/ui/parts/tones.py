"""How a status looks: each tone is the end of a class of the style sheets, ``hk-ok``.

Tones are sent to the browser, which knows no status.
"""

from __future__ import annotations

from typing import Final

from hooknb.records import Status

__all__ = ["HOOK_TONES", "is_over", "response_tone", "status_tone"]

HOOK_TONES: Final = {"enabled": "ok", "disabled": "warn", "closed": "bad"}
"""The tone of each status of a hook."""

_WARNINGS: Final = frozenset({404, 409, 422})  # what a workflow says on purpose

_OF_STATUS: Final = {
    word: "bad" if status.is_bad else "ok" if status.is_over else "wait"
    for status in Status
    for word in (status.word, status.label)
}


def response_tone(status: int | None) -> str:
    """Return the tone of a response: ``wait`` while there is none, ``ok``, ``warn`` or ``bad``."""
    if status is None:
        return "wait"
    if status < 400:  # noqa: PLR2004 - where HTTP's errors begin
        return "ok"
    return "warn" if status in _WARNINGS else "bad"


def status_tone(word: str) -> str:
    """Return the tone of an execution's or a job's status: ``wait``, ``ok`` or ``bad``."""
    return _OF_STATUS.get(word, "wait")


def is_over(word: str | None) -> bool:
    """Whether nothing more is to come for an execution of that status; ``None`` is none."""
    return word is None or status_tone(word) != "wait"
