"""Delay: pause the execution."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta

from hooknb.errors import SettingError
from hooknb.expressions.templates import has_templates
from hooknb.paths import MISSING
from hooknb.workflow.nodes.end import Ending
from hooknb.workflow.nodes.fields import check_fields
from hooknb.workflow.nodes.node import Context, Node, register

__all__ = ["Delay"]

_MAX_SECONDS: Final = 86_400
_NUMERAL: Final = re.compile(r"\s*[0-9]{1,9}(\.[0-9]{1,18})?\s*", re.ASCII)


@register
class Delay(Node, frozen=True, tag="delay"):
    """Wait, without blocking other executions.

    The result is the number of seconds. An execution that is run again after a crash waits
    from the beginning.

    Attributes
    ----------
    seconds
        0 to 86,400 (a day), or a template of such a number.
    status
        ``resolved`` continues after the delay, ``failed`` ends the execution as failed.
    """

    seconds: Annotated[
        Annotated[float, Meta(ge=0, le=_MAX_SECONDS)] | str,
        Meta(description="0 to 86,400, or a template", examples=["1.5"]),
    ]
    status: Annotated[Ending, Meta(title="then")] = "resolved"

    prints: ClassVar[bool] = False
    edge_tone: ClassVar[str] = "wait"
    rank: ClassVar[int] = 90

    def __post_init__(self) -> None:
        """Refuse an invalid number of seconds."""
        if isinstance(self.seconds, str) and not has_templates(self.seconds):
            raise SettingError("seconds", f"{self.seconds!r} is neither a number nor a template")
        check_fields(self)

    def line(self) -> tuple[Any, ...]:
        """Return the line of text in its box."""
        return (self.seconds, " s", ", then fails" if self.status == "failed" else "")

    def closes(self) -> bool:
        """Whether it ends the execution."""
        return self.status == "failed"

    async def run(self, context: Context) -> float:
        """Wait; then continue or end the execution."""
        seconds = _checked(context.render(self.seconds))
        await asyncio.sleep(seconds)
        if self.status == "failed":
            context.end("failed", f"failed after a delay of {seconds:g} seconds", result=seconds)
        return seconds


def _checked(came: Any) -> float:
    if came is MISSING:
        raise SettingError("seconds", "its template resolved to nothing; give it a default")
    value = float(came) if isinstance(came, str) and _NUMERAL.fullmatch(came) else came
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MAX_SECONDS:
        raise SettingError("seconds", f"{came!r} is not a number from 0 to {_MAX_SECONDS:,}")
    return value
