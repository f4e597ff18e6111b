"""Functions and expressions of a definition, run where they belong."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hooknb.expressions import compile_expression, evaluate
from hooknb.nodes.base import Context
from hooknb.nodes.sources import source_of as source_text

__all__ = ["call", "source_text", "value_of"]


async def call(function: Callable[[Any], Any], context: Context) -> Any:
    """Call an ``async`` function on the server's loop and a plain one on a worker thread."""
    if inspect.iscoroutinefunction(function):
        return await function(context)
    result = await context.in_worker(function)
    return await result if inspect.isawaitable(result) else result


async def value_of(expression: str, context: Context) -> Any:
    """Give the value of a CEL expression; one with loops in it runs on a worker thread."""
    if compile_expression(expression).loops:
        return await context.in_worker(lambda inside: evaluate(expression, inside.scope))
    return evaluate(expression, context.scope)
