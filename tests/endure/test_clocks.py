"""The wall clock jumps back and forth by an hour, as it does where somebody sets it."""

from __future__ import annotations

import itertools
import threading
import time

from hooknb import Delay, Response, Runtime, _clock
from wire import Wire, request

HOUR = 3_600_000_000  # microseconds


def test_a_clock_that_jumps_by_an_hour_disturbs_neither_ids_nor_durations(
    tmp_path, monkeypatch, scale, tell
):
    offsets = itertools.cycle([HOUR, 0, -HOUR, 0])
    state = {"offset": 0}
    monkeypatch.setattr(_clock, "now", lambda: time.time_ns() // 1000 + state["offset"])
    jumps, each, stop = scale(10, 100), scale(60, 600), threading.Event()

    def jump() -> None:
        for _ in range(jumps):
            state["offset"] = next(offsets)
            if stop.wait(0.02):
                break

    with Runtime(tmp_path / "store.db", port=0, keep_days=1) as runtime:
        hook = runtime.webhook("orders", nodes=[Delay(0.001)], concurrency=8)
        patient = runtime.webhook(
            "patient", sync=True, timeout=30, nodes=[Delay(0.3), Response(201)]
        )
        short = runtime.webhook("short", sync=True, timeout=0.2, nodes=[Delay(20), Response(201)])
        began = _clock.now()
        jumping = threading.Thread(target=jump)
        jumping.start()
        ids = []
        with Wire(hook) as wire, Wire(patient) as one, Wire(short) as two:
            one.send(request(patient, b"1"))
            two.send(request(short, b"1"))
            for number in range(each):
                wire.send(request(hook, b"%d" % number))
                ids.append(wire.response().delivery)
            assert one.response().status == 201
            assert two.response().status == 408
        hook.wait()
        stop.set()
        jumping.join()
        assert ids == list(range(1, each + 1))
        frame = hook.deliveries
        assert frame.index.tolist() == ids  # retention of a day deletes nothing in an hour
        stamps = frame["received_at"].astype("int64")
        assert stamps.between(began - HOUR, time.time_ns() // 1000 + HOUR).all()
        durations = hook.executions["duration_ms"]
        assert durations.between(0, 60_000).all()
        assert hook.jobs["duration_ms"].between(0, 60_000).all()
        assert (frame["duration_ms"] >= 0).all()
    tell(
        f"{jumps} jumps of the clock by an hour",
        f"{each:,} ids in order, no delivery expired, every duration from 0 on",
    )
