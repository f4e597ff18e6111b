"""Measurements that need a process of their own; each prints a JSON object as its last line."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))


def import_time(module: str) -> dict[str, Any]:
    """Import a module in this fresh process."""
    start = time.perf_counter()
    importlib.import_module(module)
    taken = time.perf_counter() - start
    heavy = [name for name in ("pandas", "ipywidgets") if name in sys.modules]
    return {"ms": taken * 1000, "heavy": len(heavy)}


def first_response() -> dict[str, Any]:
    """Serve and respond once, after another runtime has loaded what there is to load."""
    import hooknb

    with tempfile.TemporaryDirectory() as folder:
        with hooknb.Runtime(Path(folder) / "warm.db") as runtime:
            runtime.webhook("x").send(json=1)
        os.environ["HOOKNB_STORE"] = str(Path(folder) / "store.db")
        start = time.perf_counter()
        hook = hooknb.webhook("x")
        assert hook.send(json=1).status == 200
        taken = time.perf_counter() - start
        hooknb._registry.state().default.close()  # type: ignore[attr-defined]
    return {"ms": taken * 1000}


def order(number: int) -> dict[str, Any]:
    """Return a body of ten leaves."""
    return {
        "id": 9_007_199_254_740_993 + number,
        "status": ("paid", "open", "void")[number % 3],
        "amount": number / 100,
        "paid": number % 2 == 0,
        "customer": {"id": number, "email": f"c{number}@example.org", "city": "Graz"},
        "shipping": {"carrier": "post", "cost": {"amount": number % 7, "currency": "EUR"}},
    }


def frames() -> dict[str, Any]:
    """Time ``hook.variables`` and ``json_normalize`` over the same bodies."""
    import pandas as pd

    import hooknb
    from stored import fill

    bodies = [json.dumps(order(number)).encode() for number in range(100_000)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        fill(path, "bench", map(order, range(100_000)))
        with hooknb.Runtime(path) as runtime:
            hook = runtime.webhook("bench")
            start = time.perf_counter()
            frame = pd.json_normalize([json.loads(raw) for raw in bodies])
            normalize = time.perf_counter() - start
            start = time.perf_counter()
            ours = hook.variables
            cold = time.perf_counter() - start
            assert ours["body.id"].tolist() == frame["id"].tolist()
            for number in range(10):
                hook.send(json=order(number))
            start = time.perf_counter()
            longer = hook.variables
            again = time.perf_counter() - start
            assert len(longer) == len(ours) + 10
    return {"normalize_s": normalize, "cold_s": cold, "again_s": again}


def fill_store(folder: str, size: str) -> dict[str, Any]:
    """Fill the store of a folder with deliveries of 1 kB, by shares: they wait in memory."""
    from stored import fill

    total, share = int(size), 20_000
    for first in range(0, total, share):
        numbers = range(first, min(first + share, total))
        fill(Path(folder) / "store.db", "bench", (wide_order(number) for number in numbers))
    return {"size": total}


def wide_order(number: int) -> dict[str, Any]:
    """Return a body of 1 kB."""
    return order(number) | {"note": f"{number} ".ljust(750, "x")}


class Sender:
    """Somebody who sends to a hook without a pause, from a process of its own."""

    def __init__(self, url: str) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, __file__, "sender", url]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.take_longest()  # it sends by now

    def take_longest(self) -> float:
        """Return the longest wait for a response since the last call, of one under way too."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def growth(folder: str, only: str = "") -> dict[str, Any]:
    """Time what reads the store of a folder, in this fresh process, while somebody sends.

    Each ``NAME_s`` has its ``NAME_wait_s``, the longest wait of the sender meanwhile. ``only``
    names the one that is measured; otherwise all are.
    """
    from servers import look

    import hooknb

    importlib.import_module("pandas")  # before the clock runs
    path = Path(folder)
    seen: dict[str, Any] = {}
    with hooknb.Runtime(path / "store.db") as runtime:
        look(runtime.webhook("other").panel)  # which loads the widgets
        hook = runtime.webhook("bench")
        sender = Sender(hook.url)

        def read_variables() -> None:
            before = resident_mb()
            with Peak() as peak:
                frame = hook.variables
            own = frame.memory_usage(deep=True).sum() / 2**20
            if own > 10:  # beside smaller frames, what else is loaded weighs too much
                seen["peak"] = (peak.mb - before) / own

        def read_more() -> None:
            for number in range(10):
                hook.send(json=wide_order(number))
            start = time.perf_counter()
            _ = hook.variables
            seen["more_s"] = time.perf_counter() - start

        for name, run in {
            "variables": read_variables,
            "more": read_more,
            "length": lambda: len(hook.deliveries),
            "text": lambda: hook.search("c700@"),
            "expression": lambda: hook.search("body.customer.id == 700"),
            "table": lambda: look(hook.panel),
            "parquet": lambda: hook.export(path / "bench.parquet"),
            "jsonl": lambda: hook.export(path / "bench.jsonl"),
            "kept": runtime._store.make_segments,
        }.items():
            if only in {"", name}:
                sender.take_longest()
                start = time.perf_counter()
                run()
                seen.setdefault(f"{name}_s", time.perf_counter() - start)
                seen[f"{name}_wait_s"] = sender.take_longest()
        sender.close()
    return seen


def normalize(size: str) -> dict[str, Any]:
    """Time ``json_normalize`` over bodies as they are in the stores, which nobody has to read."""
    import pandas as pd

    bodies = [json.dumps(wide_order(number)).encode() for number in range(int(size))]
    start = time.perf_counter()
    frame = pd.json_normalize([json.loads(raw) for raw in bodies])
    seconds = time.perf_counter() - start
    assert len(frame) == int(size)
    return {"normalize_s": seconds}


class Peak:
    """The most memory of this process, in MiB, while it is entered."""

    def __enter__(self) -> Self:
        self.mb = resident_mb()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.mb = max(self.mb, resident_mb())

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self.mb = max(self.mb, resident_mb())


def send_until_end(url: str) -> dict[str, Any]:
    """Send until standard input ends, at most a hundred a second.

    For each line there, print the longest wait for a response since the line before.
    """
    lines: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line)
        lines.put("")

    threading.Thread(target=listen, daemon=True).start()
    longest, total, line = 0.0, 0, "\n"
    while line:
        longest = max(longest, *send_one_by_one(url, 1))
        total += 1
        with suppress(Empty):
            line = lines.get(timeout=0.01)
            if line:
                print(longest, flush=True)
                longest = 0.0
    return {"sent": total}


def resident_mb() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(wanted: str) -> dict[str, Any]:
    """Take that many deliveries of 1 kB from a load of its own, and return the growth."""
    import hooknb

    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile("w") as script:
        script.write(
            'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
            f"wrk.body = {json.dumps(json.dumps({'text': 'x' * 1000}))}\n"
        )
        script.flush()
        with hooknb.Runtime(Path(folder) / "store.db") as runtime:
            hook = runtime.webhook("bench")
            hook.send(json=1)
            before = resident_mb()
            for _ in range(120):
                command = ["wrk", "-t1", "-c16", "-d2s", "-s", script.name, hook.url]
                subprocess.run(command, check=True, capture_output=True)
                [(count,)] = runtime._store.rows("SELECT count(*) FROM deliveries")
                if count >= int(wanted):
                    break
            return {"deliveries": count, "grown_mb": resident_mb() - before}


def executions(count: str) -> dict[str, Any]:
    """Time that many executions from start to end, and watch the memory over ten times as many."""
    import hooknb

    with (
        tempfile.TemporaryDirectory() as folder,
        hooknb.Runtime(Path(folder) / "store.db", max_queued=1_000_000) as runtime,
    ):
        node = hooknb.Condition('body.status == "paid"', yes=[], no=[])
        many = runtime.webhook("many", sync=True, nodes=[node] * 100)
        for _ in range(50):
            many.send(json={"status": "paid"})
        hundred = float(many.executions["duration_ms"].median())

        gate = threading.Event()
        hook = runtime.webhook("drain", nodes=[lambda _context: gate.is_set() or gate.wait(60)])
        send(hook.url, int(count))
        start = time.perf_counter()
        gate.set()
        hook.wait(timeout=60)
        drained = int(count) / (time.perf_counter() - start)

        before = resident_mb()
        for _ in range(10):
            send(hook.url, int(count))
            hook.wait(timeout=120)
        grown = resident_mb() - before
        runtime._store.flush()
        [(ended,)] = runtime._store.rows("SELECT count(*) FROM executions WHERE status = 1")
        assert ended >= 11 * int(count) + 50
    return {"hundred_ms": hundred, "drained": drained, "grown_mb": grown}


def send(url: str, count: int) -> None:
    """Post ``1`` so often, on sixteen connections, from a process of its own."""
    subprocess.run(
        [sys.executable, __file__, "post", url, str(count)], check=True, capture_output=True
    )


def post(url: str, count: str) -> dict[str, Any]:
    """Post ``1`` so often; each response must be 200."""
    from concurrent.futures import ThreadPoolExecutor

    parts = urlsplit(url)
    share = int(count) // 16

    def work() -> None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        for _ in range(share):
            connection.request("POST", parts.path, b"1", {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            assert response.status == 200
        connection.close()

    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(work) for _ in range(16)]:
            done.result()
    return {"sent": share * 16}


def shown(count: str) -> dict[str, Any]:
    """Show a panel over that many deliveries in JupyterLab, then send 50 more, then 500 a second.

    Return the seconds from running the cell to the first row on the screen, the median of three,
    the kilobytes that the browser gets for the 50, and the most messages that it gets in a second.
    """
    sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))
    from playwright.sync_api import expect, sync_playwright

    from lab import CHROMIUM_ARGS, find_chromium, opened_lab, request, running_server
    from panel_page import Wire, filled, post_many, rows_of, url_of

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(playwright.chromium.executable_path),
            headless=True,
            args=CHROMIUM_ARGS,
        )
        page = browser.new_page()
        with running_server(Path(folder) / "lab") as server, opened_lab(server, page) as lab:
            wire = Wire(lab.page)
            again = "hook = hooknb.Hook(hook._runtime, hook._hosting, hook._state)\nhook"
            lab.open(lab.write("many.ipynb", filled(int(count)) + "hook", again, again, again))
            lab.run_cell(0, timeout=300)
            last = str(int(count) - 1)
            panels, taken = lab.page.locator(".hk-panel"), []
            expect(rows_of(panels.first).filter(has_text=last).first).to_be_visible()
            for index in (1, 2, 3):
                lab.evaluate("panel.content.scrollToCell(panel.content.widgets[args]);", index)
                start = time.perf_counter()
                lab.run_cell(index)
                panel = panels.nth(index)
                expect(rows_of(panel).filter(has_text=last).first).to_be_visible()
                taken.append(time.perf_counter() - start)
            url = url_of(panel)
            for index in (0, 1, 2):  # the wire is measured with one panel
                lab.evaluate("panel.content.widgets[args].model.outputs.clear();", index)
            wire.settle(lab.page)
            began = time.monotonic()
            for number in range(50):
                request(url, {"id": 200_000 + number, "status": "open"})
            wire.settle(lab.page)
            size = sum(len(data) for _, data in wire.comm_messages(began))
            began = time.monotonic()
            post_many(url, 2000, rate=500)
            wire.settle(lab.page)
            sent = [at for at, _ in wire.comm_messages(began)]
            rate = max(sum(at <= other < at + 1 for other in sent) for at in sent)
        browser.close()
    return {"shown_s": statistics.median(taken), "kilobytes": size / 1000, "messages": rate}


def latency(url: str) -> dict[str, Any]:
    """Return the median of a few hundred responses on one connection."""
    return {"ms": statistics.median(send_one_by_one(url, 300)) * 1000}


def send_one_by_one(url: str, count: int) -> list[float]:
    """Post so often on one connection, and return the seconds of each response."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    times = []
    for number in range(count):
        start = time.perf_counter()
        connection.request(
            "POST", parts.path, json.dumps({"id": number}), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        times.append(time.perf_counter() - start)
    connection.close()
    return times


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    probes = {
        "import": import_time,
        "first": first_response,
        "frames": frames,
        "fill": fill_store,
        "growth": growth,
        "normalize": normalize,
        "sender": send_until_end,
        "memory": memory,
        "latency": latency,
        "executions": executions,
        "post": post,
        "shown": shown,
    }
    print(json.dumps(probes[name](*arguments)))
