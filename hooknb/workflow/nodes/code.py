"""Code: any Python function of the context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from msgspec import Meta
from msgspec.structs import force_setattr

from hooknb.errors import SettingError
from hooknb.workflow.nodes.functions import call
from hooknb.workflow.nodes.node import Context, Node, register
from hooknb.workflow.nodes.sources import Unbound, name_of, source_of

__all__ = ["Code"]


@register
class Code(Node, frozen=True, tag="code"):
    """Run a Python function of the context; what it returns is the node's result.

    A plain function runs on a worker thread, so that a slow one holds up no caller. An
    ``async`` one runs on the server's own loop and must not block it. What either prints goes
    into its job. A bare function in ``nodes=[…]`` is a Code node whose key is its name.

    Attributes
    ----------
    function
        Called with the :class:`hooknb.Context`.
    source
        Its source text, by which changes are noticed; a digest of its code where there is no text.
        With a name in the place of the function, as JSON has it, the node waits for that function
        to be given.
    """

    function: Callable[[Any], Any]
    source: Annotated[str, Meta(extra={"is_typed": False})] = ""

    edge_tone: ClassVar[str] = "code"

    def __post_init__(self) -> None:
        """Take key and source from the function where they were not given."""
        if isinstance(self.function, str) and isinstance(self.source, str) and self.source:
            force_setattr(self, "function", Unbound(self.function, self.source))
        if not callable(self.function):
            raise SettingError("function", f"{self.function!r} is not a function of the context")
        if not self.key:
            name = name_of(self.function)
            force_setattr(self, "key", "" if name == "<lambda>" else name)
        if not self.source:
            force_setattr(self, "source", source_of(self.function))

    def line(self) -> tuple[Any, ...]:
        """Return what one line says of it."""
        rows = [row.strip() for row in self.source.splitlines() if row.strip()]
        return (rows[-1] if rows else name_of(self.function),)

    async def run(self, context: Context) -> Any:
        """Call the function where it belongs."""
        return await call(self.function, context)
