"""Code: any Python function of the context."""

from __future__ import annotations

import hashlib
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from msgspec.structs import force_setattr

from hooknb.errors import SettingError
from hooknb.nodes.base import Context, Node, register

__all__ = ["Code"]


@register
class Code(Node, frozen=True, tag="code"):
    """Run a Python function of the context; what it returns is the node's result.

    A plain function runs on a worker thread, so that a slow one holds up no caller. An
    ``async`` one runs on the server's own loop and must not block it. What either prints goes
    into its job. A bare function in ``nodes=[…]`` is a Code node whose key is its name
    (behaviour.md, section 6).

    Attributes
    ----------
    function
        Called with the :class:`hooknb.Context`.
    source
        Its source text, by which a change is told; a digest of its code where there is no text.
    """

    function: Callable[[Any], Any]
    source: str = ""

    def __post_init__(self) -> None:
        """Take key and source from the function where they were not given."""
        if not callable(self.function):
            raise SettingError("nodes", f"{self.function!r} is not a function of the context")
        if not self.key:
            name = getattr(self.function, "__name__", type(self.function).__name__)
            force_setattr(self, "key", "code" if name == "<lambda>" else name)
        if not self.source:
            force_setattr(self, "source", _source(self.function))

    async def run(self, context: Context) -> Any:
        """Call the function where it belongs."""
        if inspect.iscoroutinefunction(self.function):
            return await self.function(context)
        result = await context.in_worker(self.function)
        return await result if inspect.isawaitable(result) else result


def _source(function: Callable[..., Any]) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        if code is None:
            return repr(type(function))
        digest = hashlib.sha256(code.co_code + repr(code.co_consts).encode()).hexdigest()
        return f"# no source text; code {digest[:16]}"
