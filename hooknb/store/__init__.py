"""The durable record of everything: SQLite, written by one thread, read by any."""

from __future__ import annotations

from hooknb.store.damage import Rescued, RescuedHook, find_damage, rescue
from hooknb.store.database import store_path
from hooknb.store.operations import (
    EndExecution,
    NewDelivery,
    NewJobs,
    NewResponse,
    StartExecution,
    job_row,
)
from hooknb.store.reading import Reading
from hooknb.store.retention import Limits
from hooknb.store.store import Counts, Definition, Store

__all__ = [
    "Counts",
    "Definition",
    "EndExecution",
    "Limits",
    "NewDelivery",
    "NewJobs",
    "NewResponse",
    "Reading",
    "Rescued",
    "RescuedHook",
    "StartExecution",
    "Store",
    "find_damage",
    "job_row",
    "rescue",
    "store_path",
]
