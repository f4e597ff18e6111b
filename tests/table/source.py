"""What a served hook writes, for the tests of the feed."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from hooknb.history.table import Feed
from hooknb.records import encode_result
from hooknb.store import EndExecution, NewDelivery, NewJobs, NewResponse, Store, job_row
from hooknb.workflow import Trigger

ABSENT: Any = object()
START = 1_700_000_000_000_000


class Source:
    """Writes deliveries, answers and jobs of one workflow into a real store."""

    def __init__(self, store: Store, name: str = "orders") -> None:
        self.store = store
        self.id = store.define(name, b"{}", enabled=True).workflow_id
        self.trigger = Trigger()
        self.feed = Feed(store, self.id, lambda: self.trigger)
        self._moments = count(START, 1000)

    def new(self, body: Any = ABSENT, *, raw: bytes = b"", **changes: Any) -> NewDelivery:
        if body is not ABSENT:
            raw = json.dumps(body).encode()
        settings: dict[str, Any] = {
            "received_at": next(self._moments),
            "method": "POST",
            "query": "",
            "content_type": "application/json",
            "content_encoding": None,
            "body": raw,
            "size": len(raw),
            "remote": "127.0.0.1",
        }
        if changes.get("reason") is None:
            settings |= {"revision": 1, "status": 1}
        settings |= changes
        names = {"Content-Type": "content_type", "Content-Encoding": "content_encoding"}
        lines = [
            "Host: localhost",
            *(f"{name}: {settings[key]}" for name, key in names.items() if settings[key]),
        ]
        head = "".join(f"{line}\r\n" for line in lines).encode()
        return NewDelivery(workflow_id=self.id, **({"head": head} | settings))

    def send(self, body: Any = ABSENT, **changes: Any) -> int:
        return self.send_all([self.new(body, **changes)])[0]

    def send_all(self, deliveries: list[NewDelivery]) -> list[int]:
        self.store.submit(*deliveries)
        self.store.flush()
        assert all(delivery.error is None for delivery in deliveries)
        return [delivery.id for delivery in deliveries]

    def refuse(self, times: int = 1, **changes: Any) -> list[int]:
        return self.send_all(
            [self.new(**({"reason": "invalid json"} | changes)) for _ in range(times)]
        )

    def response(self, delivery: int, status: int = 200, **changes: Any) -> None:
        settings = {"duration_us": 1500, "headers": b"[]", "body": b"ok"}
        self.store.submit(
            NewResponse(
                workflow_id=self.id, delivery_id=delivery, status=status, **(settings | changes)
            )
        )
        self.store.flush()

    def job(self, execution: int, node: str, **changes: Any) -> tuple[Any, ...]:
        settings: dict[str, Any] = {
            "type": "code",
            "status": 1,
            "started_at": START,
            "finished_at": START + 2000,
            "result": None,
            "output": "",
            "error": None,
        }
        settings |= changes
        settings["result"] = encode_result(settings["result"])
        return job_row(execution=execution, workflow_id=self.id, node=node, **settings)

    def running(self, execution: int, *jobs: tuple[Any, ...]) -> None:
        self.store.submit(NewJobs(workflow_id=self.id, execution=execution, rows=list(jobs)))
        self.store.flush()

    def end(self, execution: int, *jobs: tuple[Any, ...], **changes: Any) -> None:
        settings: dict[str, Any] = {
            "status": 1,
            "reason": None,
            "started_at": START,
            "finished_at": START + 2500,
            "response_status": None,
            "shown": True,
        }
        self.store.submit(
            EndExecution(workflow_id=self.id, id=execution, jobs=jobs, **(settings | changes))
        )
        self.store.flush()

    def delete(self, condition: str) -> None:
        """Delete rows as only another program would."""
        self.store._writer.call(
            lambda connection: connection.exec_driver_sql(
                f"DELETE FROM deliveries WHERE {condition}"  # noqa: S608
            )
        )

    def seen(self) -> list[int]:
        """Give the ids of the view, once everything is read and scanned."""
        self.feed.refresh()
        while not self.feed.scan(1):
            pass
        return list(self.feed.ids())
