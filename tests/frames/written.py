"""What a served hook writes, for the tests of frames."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from hooknb._clock import microseconds
from hooknb.history.frames import Frames
from hooknb.records import Job, encode_result
from hooknb.store import EndExecution, NewDelivery, NewResponse, Store, job_row

ABSENT: Any = object()


class Hook:
    """What a served hook would write, written at once into a real store in memory."""

    def __init__(self, store: Store, name: str = "orders") -> None:
        self.store = store
        self.id = store.define(name, b"{}", enabled=True).workflow_id
        self.frames = Frames(store, self.id)
        self._moments = count(1_700_000_000_000_000)

    def send(self, body: Any = ABSENT, *, raw: bytes = b"", **changes: Any) -> int:
        if body is not ABSENT:
            raw = json.dumps(body).encode()
        settings: dict[str, Any] = {
            "received_at": next(self._moments),
            "method": "POST",
            "query": "",
            "content_type": "application/json",
            "content_encoding": None,
            "head": b"Host: localhost\r\nContent-Type: application/json\r\n",
            "body": raw,
            "size": len(raw),
            "remote": "127.0.0.1",
        }
        if changes.get("reason") is None:
            settings |= {"revision": 1, "status": 1}
        delivery = NewDelivery(workflow_id=self.id, **(settings | changes))
        self.store.submit(delivery)
        self.store.flush()
        assert delivery.error is None
        return delivery.id

    def response(self, delivery: int, status: int = 200, duration_us: int = 1500) -> None:
        response = NewResponse(
            workflow_id=self.id,
            delivery_id=delivery,
            status=status,
            duration_us=duration_us,
            headers=b"[]",
            body=b"",
        )
        self.store.submit(response)
        self.store.flush()

    def _row(self, job: Job) -> tuple[Any, ...]:
        return job_row(
            execution=job.execution,
            workflow_id=self.id,
            node=job.node,
            type=job.type,
            status=job.status.value,
            started_at=microseconds(job.started_at),
            finished_at=job.finished_at and microseconds(job.finished_at),
            result=encode_result(job.result),
            output=job.output,
            error=job.error,
        )

    def end(self, execution: int, **changes: Any) -> None:
        settings: dict[str, Any] = {
            "status": 1,
            "reason": None,
            "started_at": None,
            "finished_at": next(self._moments) + 2_500,
            "response_status": None,
        }
        rows = tuple(self._row(job) for job in changes.pop("jobs", ()))
        self.store.submit(
            EndExecution(workflow_id=self.id, id=execution, jobs=rows, **(settings | changes))
        )
        self.store.flush()
