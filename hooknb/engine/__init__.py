"""Executions: turns, nodes, jobs, endings."""

from __future__ import annotations

from hooknb.engine.context import Context
from hooknb.engine.engine import Engine, Queue, Run
from hooknb.engine.fetching import Fetcher
from hooknb.engine.state import ExecutionInfo, Services
from hooknb.engine.workers import Workers

__all__ = [
    "Context",
    "Engine",
    "ExecutionInfo",
    "Fetcher",
    "Queue",
    "Run",
    "Services",
    "Workers",
]
