"""Run the functions and expressions of a definition on the event loop or a worker thread."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from hooknb.expressions import TooManyValuesError, compile_expression, evaluate
from hooknb.expressions.templates import has_templates
from hooknb.workflow.nodes.node import Context

__all__ = ["call", "is_large", "rendered", "value_of"]

_LARGE_BODY_BYTES: Final = 64 * 1024
_MAX_QUICK_VALUES: Final = 2_000  # converted for CEL in less time than a worker takes to start


async def call(function: Callable[[Any], Any], context: Context) -> Any:
    """Call an ``async`` function on the server's event loop, a plain one on a worker thread."""
    if inspect.iscoroutinefunction(function):
        return await function(context)
    result = await context.in_worker(function)
    return await result if inspect.isawaitable(result) else result


def is_large(context: Context) -> bool:
    """Whether the delivery is so large that traversing it would block other callers."""
    request = context.request
    return request.size > _LARGE_BODY_BYTES or bool(request.content_encoding)


async def rendered(value: Any, context: Context) -> Any:
    """Fill the templates anywhere in a value; on a worker thread if the delivery is large."""
    if is_large(context) and has_templates(value):
        return await context.in_worker(lambda inside: inside.render(value))
    return context.render(value)


async def value_of(expression: str, context: Context) -> Any:
    """Return the value of a CEL expression.

    It is evaluated on a worker thread if it has loops, or the delivery or the results of other
    nodes are large.
    """
    if not compile_expression(expression).loops and not is_large(context):
        try:
            return evaluate(expression, context.scope, max_values=_MAX_QUICK_VALUES)
        except TooManyValuesError:
            pass
    return await context.in_worker(lambda inside: evaluate(expression, inside.scope))
