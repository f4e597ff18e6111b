"""What a served hook keeps, written into a store at once: deliveries, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from dataclasses import fields
from itertools import count
from pathlib import Path
from typing import Any

from hooknb import _clock
from hooknb.records import ReceivedRequest, encode_result
from hooknb.store import EndExecution, NewDelivery, NewJobs, NewResponse, Store, job_row
from hooknb.workflow import define

ABSENT: Any = object()
START = 1_700_000_000_000_000


def new_delivery(
    workflow_id: int, body: Any = ABSENT, *, raw: bytes = b"", query: str = "", **changes: Any
) -> NewDelivery:
    """Make a delivery of JSON that was accepted; it is queued where it has an owner."""
    if body is not ABSENT:
        raw = json.dumps(body).encode()
    request: dict[str, Any] = {
        "method": "POST",
        "query_string": query,
        "raw": raw,
        "size": len(raw),
        "remote": "127.0.0.1",
    }
    settings: dict[str, Any] = {
        "received_at": START,
        "content_type": "application/json",
        "content_encoding": None,
    }
    if changes.get("reason") is None:
        settings |= {"revision": 1, "status": None if changes.get("owner") else 1}
    received = {item.name for item in fields(ReceivedRequest)}
    for name, value in changes.items():
        (request if name in received else settings)[name] = value
    names = {"Content-Type": "content_type", "Content-Encoding": "content_encoding"}
    lines = [
        "Host: localhost\r\n",
        *(f"{name}: {settings[key]}\r\n" for name, key in names.items() if settings[key]),
    ]
    request = {"head": "".join(lines).encode()} | request
    return NewDelivery(workflow_id=workflow_id, request=ReceivedRequest(**request), **settings)


class Stored:
    """A hook in a store that nobody serves. What is written for it is there on return."""

    def __init__(self, store: Store, name: str = "orders", definition: bytes = b"{}") -> None:
        self.store = store
        self.id = store.define(name, definition, enabled=True).workflow_id
        self._moments = count(START, 1000)

    def new(self, body: Any = ABSENT, **changes: Any) -> NewDelivery:
        """Make a delivery that comes a millisecond after the last one."""
        return new_delivery(self.id, body, **({"received_at": next(self._moments)} | changes))

    def send_all(self, deliveries: list[NewDelivery]) -> list[int]:
        self._write(*deliveries)
        assert all(delivery.error is None for delivery in deliveries)
        return [delivery.id for delivery in deliveries]

    def send(self, body: Any = ABSENT, **changes: Any) -> int:
        return self.send_all([self.new(body, **changes)])[0]

    def refuse(self, times: int = 1, **changes: Any) -> list[int]:
        changes = {"reason": "invalid json"} | changes
        return self.send_all([self.new(**changes) for _ in range(times)])

    def new_response(self, delivery: int, status: int = 200, **changes: Any) -> NewResponse:
        settings: dict[str, Any] = {"duration_us": 1500, "headers": b"[]", "body": b"ok"}
        return NewResponse(
            workflow_id=self.id, delivery_id=delivery, status=status, **(settings | changes)
        )

    def response(self, delivery: int, status: int = 200, **changes: Any) -> None:
        self._write(self.new_response(delivery, status, **changes))

    def job(self, node: str, *, result: Any = None, **changes: Any) -> Any:
        """Make the row of a job, for an execution that ends or goes on."""
        settings: dict[str, Any] = {
            "type": "code",
            "status": 1,
            "started_at": START,
            "finished_at": START + 2000,
            "output": "",
            "error": None,
        }
        return job_row(
            node=node,
            result=encode_result(result),
            **(settings | changes),
        )

    def running(self, execution: int, *jobs: tuple[Any, ...]) -> None:
        self._write(NewJobs(workflow_id=self.id, id=execution, jobs=jobs))

    def new_end(self, execution: int, *jobs: tuple[Any, ...], **changes: Any) -> EndExecution:
        settings: dict[str, Any] = {
            "status": 1,
            "reason": None,
            "started_at": START,
            "finished_at": START + 2500,
            "response_status": None,
            "shown": True,
        }
        return EndExecution(workflow_id=self.id, id=execution, jobs=jobs, **(settings | changes))

    def end(self, execution: int, *jobs: tuple[Any, ...], **changes: Any) -> None:
        self._write(self.new_end(execution, *jobs, **changes))

    def _write(self, *operations: Any) -> None:
        self.store.submit(*operations)
        self.store.flush()


def fill(path: Path | str, name: str, bodies: Iterable[Any], **settings: Any) -> None:
    """Make a store in which a hook with these settings has just received the bodies."""
    with closing(Store(path, lambda _: None)) as store:
        hook = Stored(store, name, define(name, **settings).encode())
        for body in bodies:
            store.submit(hook.new(body, received_at=_clock.now()))
