"""A deterministic runtime: the same keys, ids, times and texts in every run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import hooknb
from hooknb import Calculation, Response, SettingError
from hooknb._clock import EPOCH, FixedClock, moment
from hooknb.settings import RuntimeSettings

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECOND, TICK = timedelta(seconds=1), timedelta(milliseconds=1)

SCRIPT = """
import asyncio
import time

import pandas as pd

import hooknb
from hooknb import Calculation, Condition, Delay, Loop, Parallel, Response, Variable

pd.set_option("display.width", 10_000, "display.max_columns", None, "display.max_colwidth", None)


def show(hook):
    for frame in (hook.deliveries, hook.executions, hook.jobs, hook.variables):
        print(frame.to_string(), frame.to_csv(), frame.dtypes, frame.attrs, sep="\\n")
    print(hook.url, hook.revisions, repr(hook), sep="\\n")
    for number in hook.deliveries.index:
        print(hook.delivery(number), hook.delivery(number).raw)
    for number in hook.executions.index:
        print(hook.execution(number))


def total(context):
    time.sleep(context.body.get("sleep", 0))
    print("order", context.body["id"], context.render("{{ now }}"))
    return {"total": context.body["amount"] * 1.25}


async def later(context):
    await asyncio.sleep(0)
    return str(context.scope["now"])


orders = hooknb.webhook("orders")
orders.send(json={"id": 1, "amount": 2})
orders = hooknb.webhook(
    "orders",
    body=["id", "amount", "absent"],
    response=Response(202, headers={"X-Queue": "orders"}, body="queued"),
    nodes=[
        total,
        later,
        Calculation("string(now)", key="when"),
        Calculation("[1, 2, 3]", key="few"),
        Loop("{{ nodes.few }}", key="each", nodes=[Calculation("item * 2", key="twice")]),
        Parallel([[Calculation("1 + 1", key="two")]], key="both"),
    ],
)
for number in range(30):
    reply = orders.send(json={"id": number, "amount": number, "sleep": 0.002 * (number % 3)})
print(reply, reply.headers)
orders.send(json={"id": 99, "amount": 1, "sleep": 1.2})
orders.send(json={"id": 100})
print(orders.send(data=b'{"id: 1}', headers={"Content-Type": "application/json"}))
orders.wait()
show(orders)

payments = hooknb.webhook(
    "payments",
    sync=True,
    auth=hooknb.BasicAuth("ada", "secret"),
    nodes=[
        total,
        Delay(0.01, key="while"),
        Condition(
            "body.amount > 5",
            key="large",
            yes=[Response(200, body={"at": "{{ now }}", "total": "{{ nodes.total.total }}"})],
            no=[Response(422, headers={"X-At": "{{ now }}"}, body="at {{ now }}")],
        ),
    ],
)
for amount in (1, 10):
    reply = payments.send(json={"id": 1, "amount": amount})
    print(reply, reply.headers)
print(payments.send(json={"id": 1}))
payments.replay(payments.deliveries.index[-1])
show(payments)

form = {"content_type": "text/plain", "content": b"hello", "filename": "a.txt"}
files = hooknb.webhook(
    "files",
    accept=["multipart/form-data"],
    body=[Variable("file", type="file", sample=form), Variable("note", sample="hi")],
)
files.send_sample()
files.clear()
files.send_sample()
show(files)
print(files.curl())
print(hooknb.hooks())
"""


def output_of(script: Path, folder: Path, port: int) -> bytes:
    """Run a script on a deterministic default runtime, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOOKNB_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        env={**kept, "HOOKNB_DETERMINISTIC": "1", "HOOKNB_PORT": str(port)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def free_port() -> int:
    """Give a port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        port: int = found.getsockname()[1]
        return port


def test_two_processes_print_the_same(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    port = free_port()
    first, second = (output_of(script, tmp_path, port) for _ in range(2))
    assert first == second
    text = first.decode()
    assert "2026-01-01 00:00:01+00:00" in text
    assert "invalid json" in text
    assert "order 29 2026-01-01 00:00:31.003" in text
    assert not (tmp_path / ".hooknb").exists()


def test_times_are_made_of_ids() -> None:
    def when(context):
        return [context.render("{{ now }}"), str(context.scope["now"])]

    with hooknb.Runtime(deterministic=True) as runtime:
        hook = runtime.webhook("orders", nodes=[when, Calculation("now", key="later")])
        for _ in range(3):
            hook.send(json={})
        hook.wait()
        assert list(hook.deliveries["received_at"]) == [BEGIN + n * SECOND for n in (1, 2, 3)]
        assert set(hook.deliveries["duration_ms"]) == {1.0}
        execution = hook.execution(2)
        assert execution.started_at == BEGIN + 2 * SECOND + TICK
        first, second = execution.jobs
        assert (first.started_at, first.finished_at) == (
            BEGIN + 2 * SECOND + 2 * TICK,
            BEGIN + 2 * SECOND + 5 * TICK,
        )
        assert first.result == [
            "2026-01-01T00:00:02.003000+00:00",
            "2026-01-01 00:00:02.004000+00:00",
        ]
        assert second.started_at == BEGIN + 2 * SECOND + 6 * TICK
        assert execution.finished_at is not None
        assert execution.finished_at > second.started_at
        assert [revision.created_at for revision in hook.revisions] == [BEGIN]


def test_an_answer_carries_the_fixed_date() -> None:
    with hooknb.Runtime(deterministic=True) as runtime:
        hook = runtime.webhook("orders", sync=True, nodes=[Response(200, body="{{ now }}")])
        response = hook.send(json={})
        assert response.headers["Date"] == "Thu, 01 Jan 2026 00:00:00 GMT"
        assert response.json().startswith("2026-01-01T00:00:01.00")
        assert hook.deliveries["duration_ms"].tolist() == [1.0]


def test_keys_are_made_of_names() -> None:
    def keys(*, deterministic: bool) -> list[str]:
        with hooknb.Runtime(":memory:", port=0, deterministic=deterministic) as runtime:
            return [runtime.webhook(name).key for name in ("orders", "payments", "Ω 1")]

    first, second = keys(deterministic=True), keys(deterministic=True)
    assert first == second
    assert first[0] == "HBaK2wDSCOQvkzFFKfH6nA"
    assert len(set(first)) == 3
    assert {len(key) for key in first} == {22}
    assert not {*first} & {*keys(deterministic=False)}


def test_several_runtimes_in_one_process() -> None:
    def shown(runtime: hooknb.Runtime) -> str:
        hook = runtime.webhook("orders", nodes=[Calculation("now", key="when")])
        for number in range(3):
            hook.send(json={"n": number})
        hook.wait()
        frames = (hook.deliveries, hook.executions, hook.jobs)
        return "\n".join(frame.to_csv() for frame in (*frames, hook.variables))

    with (
        hooknb.Runtime(deterministic=True) as first,
        hooknb.Runtime(deterministic=True) as second,
    ):
        at_once = shown(first), shown(second)
        assert first.port != second.port
    with hooknb.Runtime(deterministic=True) as third:
        assert {*at_once} == {shown(third)}


def test_what_was_cleared_is_not_counted_again() -> None:
    with hooknb.Runtime(deterministic=True) as runtime:
        hook = runtime.webhook("orders")
        hook.send(json={})
        hook.send(json={})
        hook.clear()
        hook.send(json={})
        assert hook.deliveries["received_at"].to_dict() == {3: BEGIN + 3 * SECOND}


def test_a_refused_delivery_is_counted_too() -> None:
    with hooknb.Runtime(deterministic=True) as runtime:
        hook = runtime.webhook("orders")
        assert hook.send(data="{", headers={"Content-Type": "application/json"}).status == 400
        hook.send(json={})
        assert list(hook.deliveries["received_at"]) == [BEGIN + SECOND, BEGIN + 2 * SECOND]


def test_an_execution_that_is_read_again_has_its_own_times() -> None:
    with hooknb.Runtime(deterministic=True) as runtime:
        hook = runtime.webhook("orders", nodes=[Calculation("now", key="when")])
        count = 600  # more than stay in memory while they wait
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: hook.send(json={"n": number}), range(count)))
        hook.wait()
        frame = hook.executions
        wanted = [BEGIN + number * SECOND + TICK for number in range(1, count + 1)]
        assert list(frame["started_at"]) == wanted
        assert frame["duration_ms"].nunique() == 1


def test_readings_of_a_clock_are_distinct() -> None:
    clock = FixedClock()
    assert moment(clock.now()) == moment(EPOCH) == BEGIN
    own = clock.of_execution(7)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: own.now(), range(1000)))
    assert sorted(seen) == [clock.arrival(7) + 1000 * n for n in range(1, 1001)]
    assert clock.of_execution(7).now() == clock.arrival(7) + 1000


# -- the port


def test_the_port_is_the_same_where_it_is_free() -> None:
    try:
        socket.create_server(("127.0.0.1", 8765)).close()
    except OSError:
        pytest.skip("another program listens on port 8765")
    with hooknb.Runtime(deterministic=True) as runtime:
        assert ":8765/hook/" in runtime.webhook("orders").url


def test_any_port_will_do_where_it_is_not() -> None:
    try:
        taken = socket.create_server(("127.0.0.1", 8765))
    except OSError:
        taken = None
    try:
        with hooknb.Runtime(deterministic=True) as runtime:
            runtime.webhook("orders").send(json={})
            assert runtime.port not in {None, 8765}
    finally:
        if taken is not None:
            taken.close()


# -- what is refused


def test_a_store_that_holds_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with hooknb.Runtime(path, port=0) as runtime:
        runtime.webhook("orders")
    with pytest.raises(SettingError, match=r"store: .*holds workflows already \(orders\)"):
        hooknb.Runtime(path, deterministic=True)
    with hooknb.Runtime(path, port=0) as runtime:
        assert runtime.workflows() == ["orders"]


def test_a_new_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with hooknb.Runtime(path, deterministic=True) as runtime:
        runtime.webhook("orders").send(json={})
    with pytest.raises(SettingError, match="begins with nothing"):
        hooknb.Runtime(path, deterministic=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104 - refused
def test_another_host_than_the_loopback_is_refused(host: str) -> None:
    with pytest.raises(SettingError, match="deterministic: its keys can be guessed, and host="):
        hooknb.Runtime(host=host, deterministic=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost", "LocalHost."])
def test_the_loopback_is_taken(host: str) -> None:
    assert RuntimeSettings(host=host, deterministic=True).deterministic


def test_a_public_url_is_refused() -> None:
    with pytest.raises(SettingError, match="leave out public_url"):
        hooknb.Runtime(public_url="https://example.org", deterministic=True)


def test_anything_but_true_and_false_is_refused() -> None:
    with pytest.raises(SettingError, match="deterministic: 1 is not True or False"):
        hooknb.Runtime(":memory:", deterministic=1)


# -- the environment


@pytest.mark.parametrize(
    ("environ", "deterministic", "store"),
    [
        ({}, False, ".hooknb/store.db"),
        ({"HOOKNB_DETERMINISTIC": ""}, False, ".hooknb/store.db"),
        ({"HOOKNB_DETERMINISTIC": "0"}, False, ".hooknb/store.db"),
        ({"HOOKNB_DETERMINISTIC": "False"}, False, ".hooknb/store.db"),
        ({"HOOKNB_DETERMINISTIC": "1"}, True, ":memory:"),
        ({"HOOKNB_DETERMINISTIC": " true "}, True, ":memory:"),
        ({"HOOKNB_DETERMINISTIC": "1", "HOOKNB_STORE": "a.db"}, True, "a.db"),
    ],
)
def test_the_environment_asks_for_it(
    environ: Mapping[str, str], deterministic: object, store: str
) -> None:
    settings = RuntimeSettings.from_environment(environ)
    assert (settings.deterministic, settings.store) == (deterministic, store)


def test_an_unclear_environment_is_refused() -> None:
    with pytest.raises(SettingError, match="HOOKNB_DETERMINISTIC: 'maybe' is not a switch"):
        RuntimeSettings.from_environment({"HOOKNB_DETERMINISTIC": "maybe"})
    with pytest.raises(SettingError, match="HOOKNB_PUBLIC_URL"):
        RuntimeSettings.from_environment(
            {"HOOKNB_DETERMINISTIC": "1", "HOOKNB_PUBLIC_URL": "https://example.org"}
        )
