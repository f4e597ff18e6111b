"""Groups of deliveries of which some cannot be stored."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from hooknb import Calculation, Hook, Response, Runtime
from wire import SentResponse, Wire, request


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def held(runtime: Runtime, change: Callable[[Any], object]) -> Iterator[threading.Event]:
    """Keep the writer, so that what comes meanwhile is one group, behind a change of the store."""
    entered, release = threading.Event(), threading.Event()

    def hold(connection: Any) -> None:
        entered.set()
        release.wait(30)
        change(connection)

    thread = threading.Thread(target=runtime._store._writer.call, args=(hold,))
    thread.start()
    assert entered.wait(30)
    try:
        yield release
    finally:
        release.set()
        thread.join(30)


def send_as_one_group(
    runtime: Runtime, sent: list[tuple[Hook, bytes]], change: Callable[[Any], object]
) -> list[SentResponse]:
    """Send each on a connection of its own; all of them are stored in one group."""
    grouping = runtime._hosting.intake.grouping
    with ExitStack() as stack:
        with held(runtime, change) as release:
            wires = [stack.enter_context(Wire(hook)) for hook, _ in sent]
            # The first is handed over alone, and the others are collected behind it.
            for at, (wire, (hook, body)) in enumerate(zip(wires, sent, strict=True)):
                wire.send(request(hook, body))
                wait_until(lambda at=at: len(grouping._group) + grouping._being_written == at + 1)
            release.set()
        return [wire.response() for wire in wires]


def on_disk(runtime: Runtime, statement: str) -> list[tuple[Any, ...]]:
    runtime._store.flush()
    with closing(sqlite3.connect(runtime._store.path)) as db:
        return db.execute(statement).fetchall()


def test_a_hook_that_is_deleted_in_the_middle_of_a_group_takes_no_other_with_it(
    stored_runtime: Runtime,
) -> None:
    runtime, ran = stored_runtime, []
    pure = runtime.webhook(
        "pure", sync=True, nodes=[Calculation("body", key="n"), Response(201, body="{{ body }}")]
    )
    acts = runtime.webhook(
        "acts",
        sync=True,
        nodes=[
            Calculation("body", key="n"),
            lambda c: ran.append((c.body, c.execution.id, c.delivery.id)),
            Response(202, body="{{ body }}"),
        ],
    )
    plain = runtime.webhook("plain", nodes=[lambda c: c.body])
    gone = [
        runtime.webhook("gone1", sync=True, nodes=[Response(201)]),
        runtime.webhook("gone2", sync=True, nodes=[lambda c: ran.append(c.body)]),
        runtime.webhook("gone3", nodes=[lambda c: ran.append(c.body)]),
    ]

    def delete(connection: Any) -> None:
        # As another process would, without this one's knowing.
        for hook in gone:
            for table, key in (("revisions", "workflow_id"), ("workflows", "id")):
                statement = f"DELETE FROM {table} WHERE {key} = ?"  # noqa: S608 - names above
                connection.exec_driver_sql(statement, (hook._workflow_id,))

    kept = [pure, acts, plain]
    hooks = [pure, *kept, gone[0], *kept, gone[1], *kept, gone[2], *kept]
    sent = [(hook, b"%d" % number) for number, hook in enumerate(hooks, 1)]
    responses = send_as_one_group(runtime, sent, delete)
    plain.wait(timeout=30)
    for (hook, body), response in zip(sent, responses, strict=True):
        if hook in gone:
            assert response.status == 503
            assert response.header("X-Hooknb-Delivery") is None
        else:
            assert response.status == {pure: 201, acts: 202, plain: 200}[hook]
            assert hook.delivery(response.delivery).raw == body
            execution = hook.execution(response.delivery)
            assert execution.status.word == "resolved"
            if hook is not plain:
                assert response.body == body
                assert execution.response_status == response.status
                assert execution.jobs[0].result == int(body)
    ids = {
        hook: [r.delivery for of, r in zip(hooks, responses, strict=True) if of is hook]
        for hook in kept
    }
    assert [item[1:] for item in ran] == [(number, number) for number in ids[acts]]
    assert all(sorted(numbers) == numbers for numbers in ids.values())
    owned = "SELECT count(*) FROM executions WHERE owner IS NOT NULL"
    assert on_disk(runtime, owned) == [(0,)]
