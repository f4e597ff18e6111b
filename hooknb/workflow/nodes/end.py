"""End: the execution ends here."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from hooknb.errors import SettingError
from hooknb.workflow.nodes.base import Context, Form, Node, register
from hooknb.workflow.nodes.insertions import check_text, rendered_text

__all__ = ["End", "check_ending"]

_ENDINGS: Final = ("resolved", "failed")


@register
class End(Node, frozen=True, tag="end"):
    """End the execution, from inside of branches and loops too.

    Attributes
    ----------
    status
        ``resolved`` or ``failed``.
    reason
        Why, for the execution's record; may hold templates.
    """

    status: str = "resolved"
    reason: str | None = None

    prints: ClassVar[bool] = False
    form_hints: ClassVar[Form] = {
        "status": {"kind": "choice", "choices": ("resolved", "failed"), "label": "ends as"},
        "reason": {
            "lines": 2,
            "mono": False,
            "hint": "Why, for the execution's record; templates work",
        },
    }

    def __post_init__(self) -> None:
        """Refuse other endings."""
        check_ending(self.status)
        if self.reason is not None:
            check_text("reason", self.reason)

    @property
    def is_pure(self) -> bool:
        """Return true."""
        return True

    def line(self) -> tuple[Any, ...]:
        """Return what one line says of it."""
        return (f"{self.status}{f': {self.reason}' if self.reason else ''}",)

    async def run(self, context: Context) -> None:
        """End it."""
        reason = None if self.reason is None else rendered_text(context, self.reason)
        context.end(self.status, reason or None)


def check_ending(status: object) -> None:
    """Refuse what is neither ``resolved`` nor ``failed``."""
    if status not in _ENDINGS:
        raise SettingError("status", f"{status!r} is not one of {', '.join(_ENDINGS)}")
