from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from outside import Outside

import hooknb
from hooknb.records import Execution, Job


@dataclass
class Ran:
    """What a caller got, and what the execution did."""

    response: Any
    execution: Execution

    @property
    def status(self) -> str:
        return self.execution.status.word

    def job(self, key: str) -> Job:
        [job] = [job for job in self.execution.jobs if job.node == key]
        return job

    def result(self, key: str) -> Any:
        job = self.job(key)
        assert job.error is None, job.error
        return job.result

    @property
    def keys(self) -> list[str]:
        return [job.node for job in self.execution.jobs]


@pytest.fixture
def run(runtime: hooknb.Runtime) -> Callable[..., Ran]:
    """Give a function that serves nodes, sends them one request, and gives what became of it."""
    count = 0

    def run(*nodes: Any, body: Any = None, params: str = "", **settings: Any) -> Ran:
        nonlocal count
        count += 1
        hook = runtime.webhook(f"hook {count}", sync=True, nodes=nodes, **settings)
        sent = {} if body is ... else {"json": body}
        response = hook.send(params=params, **sent)
        return Ran(response, hook.execution(int(response.headers["X-Hooknb-Delivery"])))

    return run


@pytest.fixture
def outside() -> Iterator[Outside]:
    """Give an HTTP server that is not ours."""
    with Outside() as server:
        yield server
