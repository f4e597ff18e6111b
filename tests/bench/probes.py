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
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def import_time(module: str) -> dict[str, Any]:
    """Import a module in this fresh process."""
    start = time.perf_counter()
    importlib.import_module(module)
    taken = time.perf_counter() - start
    heavy = [name for name in ("pandas", "ipywidgets") if name in sys.modules]
    return {"ms": taken * 1000, "heavy": len(heavy)}


def first_answer() -> dict[str, Any]:
    """Serve and answer once, after another runtime has loaded what there is to load."""
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
    """Give a body of ten leaves."""
    return {
        "id": 9_007_199_254_740_993 + number,
        "status": ("paid", "open", "void")[number % 3],
        "amount": number / 100,
        "paid": number % 2 == 0,
        "customer": {"id": number, "email": f"c{number}@example.org", "city": "Graz"},
        "shipping": {"carrier": "post", "cost": {"amount": number % 7, "currency": "EUR"}},
    }


def frames() -> dict[str, Any]:
    """Time ``hook.variables`` and ``json_normalize`` over the same bodies, in turns."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import pandas as pd

    import hooknb
    from stored import fill

    bodies = [json.dumps(order(number)).encode() for number in range(100_000)]
    normalize, cold, again = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        fill(path, "bench", map(order, range(100_000)))
        with hooknb.Runtime(path) as runtime:
            hook = runtime.webhook("bench")
            for _ in range(3):
                start = time.perf_counter()
                frame = pd.json_normalize([json.loads(raw) for raw in bodies])
                normalize.append(time.perf_counter() - start)
                fresh = hooknb.Hook(runtime, hook._state)
                start = time.perf_counter()
                ours = fresh.variables
                cold.append(time.perf_counter() - start)
                assert ours["body.id"].tolist() == frame["id"].tolist()
                for number in range(10):
                    hook.send(json=order(number))
                    bodies.append(json.dumps(order(number)).encode())
                start = time.perf_counter()
                longer = fresh.variables
                again.append(time.perf_counter() - start)
                assert len(longer) == len(ours) + 10
    return {
        "normalize_s": statistics.median(normalize),
        "cold_s": statistics.median(cold),
        "again_s": statistics.median(again),
    }


def resident_mb() -> float:
    """Give the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory() -> dict[str, Any]:
    """Take 200,000 deliveries of 1 kB from a load of its own, and give the growth."""
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
            for _ in range(60):
                command = ["wrk", "-t1", "-c16", "-d4s", "-s", script.name, hook.url]
                subprocess.run(command, check=True, capture_output=True)
                [(count,)] = runtime._store.rows("SELECT count(*) FROM deliveries")
                if count >= 200_000:
                    break
            return {"deliveries": count, "grown_mb": resident_mb() - before}


def executions() -> dict[str, Any]:
    """Time executions from their starts to their ends, and watch the memory over many."""
    import threading

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
        send(hook.url, 10_000)
        start = time.perf_counter()
        gate.set()
        hook.wait(timeout=60)
        drained = 10_000 / (time.perf_counter() - start)

        before = resident_mb()
        for _ in range(10):
            send(hook.url, 10_000)
            hook.wait(timeout=120)
        grown = resident_mb() - before
        runtime._store.flush()
        [(count,)] = runtime._store.rows("SELECT count(*) FROM executions WHERE status = 1")
        assert count >= 110_050
    return {"hundred_ms": hundred, "drained": drained, "grown_mb": grown}


def send(url: str, count: int) -> None:
    """Post ``1`` so often, on sixteen connections, from a process of its own."""
    subprocess.run(
        [sys.executable, __file__, "post", url, str(count)], check=True, capture_output=True
    )


def post(url: str, count: str) -> dict[str, Any]:
    """Post ``1`` so often; each answer must be 200."""
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


def shown() -> dict[str, Any]:
    """Show a panel over 100,000 deliveries in JupyterLab, then send 50 more, then 500 a second.

    Return the seconds from running the cell to the first row on the screen, the median of three,
    the bytes that the browser gets for the 50, and the most messages that it gets in a second.
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
        with running_server(Path(folder) / "lab") as server, opened_lab(server, browser) as lab:
            wire = Wire(lab.page)
            again = "hook = hooknb.Hook(hook._runtime, hook._state)\nhook"
            lab.open(lab.write("many.ipynb", filled(100_000) + "hook", again, again, again))
            lab.run_cell(0, timeout=300)
            panels, taken = lab.page.locator(".hk-panel"), []
            expect(rows_of(panels.first).filter(has_text="99999").first).to_be_visible()
            for index in (1, 2, 3):
                lab.evaluate("panel.content.scrollToCell(panel.content.widgets[args]);", index)
                start = time.perf_counter()
                lab.run_cell(index)
                panel = panels.nth(index)
                expect(rows_of(panel).filter(has_text="99999").first).to_be_visible()
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
    return {"shown_s": statistics.median(taken), "bytes": size, "messages": rate}


def latency(url: str) -> dict[str, Any]:
    """Give the median of a few hundred answers on one connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    times = []
    for number in range(300):
        start = time.perf_counter()
        connection.request(
            "POST", parts.path, json.dumps({"id": number}), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        times.append(time.perf_counter() - start)
    return {"ms": statistics.median(times) * 1000}


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    probes = {
        "import": import_time,
        "first": first_answer,
        "frames": frames,
        "memory": memory,
        "latency": latency,
        "executions": executions,
        "post": post,
        "shown": shown,
    }
    print(json.dumps(probes[name](*arguments)))
