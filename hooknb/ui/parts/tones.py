"""How a hook and a response look: each tone is the end of a class of the style sheets, ``hk-ok``.

Tones are sent to the browser, which knows no status; that of an execution or a job is
:attr:`hooknb.Status.tone`.
"""

from __future__ import annotations

from typing import Final

__all__ = ["HOOK_TONES", "response_tone"]

HOOK_TONES: Final = {"enabled": "ok", "disabled": "warn", "closed": "bad"}
"""The tone of each status of a hook."""

_WARNINGS: Final = frozenset({404, 409, 422})  # what a workflow says on purpose


def response_tone(status: int | None) -> str:
    """Return the tone of a response: ``wait`` while there is none, ``ok``, ``warn`` or ``bad``."""
    if status is None:
        return "wait"
    if status < 400:  # noqa: PLR2004 - where HTTP's errors begin
        return "ok"
    return "warn" if status in _WARNINGS else "bad"
