"""Holding off the collection of garbage."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["collection_held_off"]


class _Holders:
    """How many hold it off now, in all threads, and whether it was on before the first."""

    lock = Lock()
    count = 0
    was_enabled = False


@contextmanager
def collection_held_off() -> Iterator[None]:
    """Hold off the collection of garbage in this process, as long as any block of this is entered.

    A million values parsed make the collector go through all of them again and again, for nothing,
    since they hold no cycles: up to a second each time, in which no thread runs. Blocks may be
    nested, and entered by several threads at once; after the last one the collector is as it was
    before the first.
    """
    with _Holders.lock:
        if not _Holders.count:
            _Holders.was_enabled = gc.isenabled()
            gc.disable()
        _Holders.count += 1
    try:
        yield
    finally:
        with _Holders.lock:
            _Holders.count -= 1
            if not _Holders.count and _Holders.was_enabled:
                if not gc.get_freeze_count():
                    # All that was made meanwhile is counted as young, and the next allocation would
                    # go through it. This makes it old at once; what users froze stays frozen.
                    gc.freeze()
                    gc.unfreeze()
                gc.enable()
