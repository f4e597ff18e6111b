"""Running branches at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from hooknb.engine.endings import Ended, Responded
from hooknb.records import Status

__all__ = ["settle"]

_LEFT_BEHIND: Final = 1.0  # seconds after which a branch that does not stop is left behind


async def settle(branches: Iterable[Coroutine[Any, Any, Any]], mode: str) -> list[Any]:
    """Run branches at the same time.

    Parameters
    ----------
    branches
        Coroutines that run a list of nodes each.
    mode
        ``all``: every branch must end well. ``any``: the first that ends well is enough.
        ``race``: the first that ends decides. Branches that are not needed are cancelled. One
        that answers, or ends the execution as resolved, decides in every mode.

    Returns
    -------
    list
        The result of each branch's last node; ``None`` for one that was cancelled or failed.
    """
    tasks = [asyncio.ensure_future(branch) for branch in branches]
    pending, failure = set(tasks), None
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            # An answer first: whatever else ended with it, the caller has got it.
            failed = sorted(
                (task for task in done if _error(task) is not None),
                key=lambda task: not isinstance(_error(task), Responded),
            )
            for task in failed:
                failure = failure or _error(task)
                if mode != "any" or _decides(task):
                    await _cancel(pending)
                    raise _error(task) or asyncio.CancelledError
            if mode == "race" or (mode == "any" and len(failed) < len(done)):
                await _cancel(pending)
                failure, pending = None, set()
        if failure is not None:
            raise failure
    except asyncio.CancelledError:
        await _cancel(set(tasks))
        raise
    return [task.result() if task.done() and _error(task) is None else None for task in tasks]


def _error(task: asyncio.Task[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _decides(task: asyncio.Task[Any]) -> bool:
    error = _error(task)
    return isinstance(error, Responded) or (
        isinstance(error, Ended) and error.status is Status.RESOLVED
    )


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
        task.add_done_callback(_look_at)
    if tasks:
        await asyncio.wait(tasks, timeout=_LEFT_BEHIND)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Take note of an error, so that it is not reported as forgotten."""
    if not task.cancelled():
        task.exception()
