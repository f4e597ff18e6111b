"""Code: a Python function of the context."""

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
    """Run a Python function of the context; its return value is the node's result.

    A plain function runs on a worker thread, so that a slow one does not block other callers. An
    ``async`` one runs on the server's event loop and must not block it. Output printed by either
    is kept in its job. A bare function in ``nodes=[…]`` is a Code node whose key is its name.

    Attributes
    ----------
    function
        Called with the :class:`hooknb.Context`.
    source
        Its source text, by which changes are detected; a digest of its code if there is no text.
        With a name in place of the function, as in JSON, the node is unbound until the function is
        passed.
    """

    function: Callable[[Any], Any]
    source: Annotated[str, Meta(extra={"is_typed": False})] = ""

    edge_tone: ClassVar[str] = "code"

    def __post_init__(self) -> None:
        """Take key and source from the function unless they were given."""
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
        """Return the line of text in its box."""
        rows = [row.strip() for row in self.source.splitlines() if row.strip()]
        return (rows[-1] if rows else name_of(self.function),)

    async def run(self, context: Context) -> Any:
        """Call the function, on a worker thread unless it is ``async``."""
        return await call(self.function, context)
