"""``make bench``: targets and what was measured, as ratios within one run.

Each measure compares two things on the same machine at the same time, in turns, and takes the
median of the turns; absolute figures only help to read them. Loads stay on the loopback and are
bounded in count and time.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TURNS = 5
SECONDS = 3
CONNECTIONS = 16
BODY = (
    '{"id":9007199254740993,"status":"paid","amount":42.5,"currency":"EUR",'
    '"customer":{"email":"ada@example.org","name":"Ada"},'
    '"items":[{"sku":"A-1","qty":2},{"sku":"B-2","qty":1}],"note":"thanks!!"}'
)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    target: str
    measured: str
    holds: bool


@contextmanager
def server(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run one of the servers, and give its URL and process."""
    folder = tempfile.mkdtemp()
    process = subprocess.Popen(
        [sys.executable, str(HERE / "servers.py"), arguments[0], folder, *arguments[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
    finally:
        process.communicate(timeout=30)
        shutil.rmtree(folder)


def load(url: str, seconds: float = SECONDS, connections: int = CONNECTIONS) -> float:
    """Have wrk post to a URL, and give the answered requests a second; all must be 200."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            'wrk.method = "POST"\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
            f"wrk.body = {json.dumps(BODY)}\n"
        )
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, url]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out, out
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]


def in_turns(first: Callable[[], float], second: Callable[[], float]) -> tuple[float, float]:
    """Measure two things in turns, and give the median of each."""
    pairs = [(first(), second()) for _ in range(TURNS)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


def throughput(name: str, what: str, asked: float) -> Row:
    """Compare a hook with Tornado's bare handler."""
    with server("bare") as (bare, _), server(name) as (hook, _):
        load(bare, 1), load(hook, 1)
        plain, ours = in_turns(lambda: load(bare), lambda: load(hook))
    ratio = ours / plain
    return Row(
        what, f"at least {asked}", f"{ratio:.2f} ({ours:.0f} to {plain:.0f}/s)", ratio >= asked
    )


def panel() -> Row:
    """Compare a hook whose panel nobody looks at with one that has none."""
    with server("hook") as (plain, _), server("panel") as (watched, _):
        load(plain, 1), load(watched, 1)
        without, with_panel = in_turns(lambda: load(plain), lambda: load(watched))
    cost = 1 - with_panel / without
    return Row(
        "throughput that a panel costs while nobody looks at it",
        "under 5 %",
        f"{100 * cost:.1f} % ({with_panel:.0f} to {without:.0f}/s)",
        cost < 0.05,
    )


def shown() -> list[Row]:
    """Measure a panel over 100,000 deliveries in JupyterLab."""
    seen = probe("shown")
    return [
        Row(
            "a panel over 100,000 deliveries: `hook` to its rows in the browser",
            "within 1 s",
            f"{seen['shown_s']:.2f} s",
            seen["shown_s"] < 1,
        ),
        Row(
            "50 new deliveries on the wire to the browser",
            "under 20 kB",
            f"{seen['bytes'] / 1000:.1f} kB",
            seen["bytes"] < 20_000,
        ),
        Row(
            "messages to the browser in any second, while 500 deliveries a second come",
            "at most 10",
            f"{seen['messages']:.0f}",
            seen["messages"] <= 10,
        ),
    ]


def probe(name: str, *arguments: str) -> dict[str, float]:
    """Run one of the measurements that need a process of their own."""
    command = [sys.executable, str(HERE / "probes.py"), name, *arguments]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(out.splitlines()[-1])  # type: ignore[no-any-return]


def imports() -> Row:
    """Compare the time of ``import hooknb`` with that of ``import tornado.web``."""
    plain, ours = in_turns(
        lambda: probe("import", "tornado.web")["ms"], lambda: probe("import", "hooknb")["ms"]
    )
    loaded = probe("import", "hooknb")["heavy"]
    return Row(
        "`import hooknb` to `import tornado.web`",
        "at most 2, without pandas and ipywidgets",
        f"{ours / plain:.2f} ({ours:.0f} to {plain:.0f} ms), {'with' if loaded else 'without'}",
        ours <= 2 * plain and not loaded,
    )


def frames() -> list[Row]:
    """Compare ``hook.variables`` with ``pandas.json_normalize``."""
    seen = probe("frames")
    first = seen["normalize_s"] / seen["cold_s"]
    again = seen["again_s"] / seen["normalize_s"]
    return [
        Row(
            "`hook.variables`, 100,000 deliveries of ten leaves, to `json_normalize`: speed",
            "at least 1",
            f"{first:.2f} ({seen['cold_s']:.2f} to {seen['normalize_s']:.2f} s)",
            first >= 1,
        ),
        Row(
            "the same, again after ten more deliveries: time",
            "under 0.1",
            f"{again:.3f} ({seen['again_s'] * 1000:.0f} ms)",
            again < 0.1,
        ),
    ]


def first_response() -> Row:
    """Measure the way from ``hooknb.webhook`` to the first response."""
    ms = statistics.median(probe("first")["ms"] for _ in range(TURNS))
    return Row(
        "`hooknb.webhook(…)` to the first response, warm", "under 50 ms", f"{ms:.0f} ms", ms < 50
    )


def memory() -> Row:
    """Measure what 200,000 deliveries of 1 kB add to the process."""
    seen = probe("memory")
    grown = seen["grown_mb"]
    return Row(
        f"{seen['deliveries']:,.0f} deliveries of 1 kB: growth",
        "under 100 MB",
        f"{grown:.0f} MB",
        grown < 100 and seen["deliveries"] >= 200_000,
    )


def executions() -> list[Row]:
    """Measure the engine: many nodes, many executions."""
    seen = probe("executions")
    return [
        Row(
            "a hundred pure nodes in one execution",
            "under 3 ms",
            f"{seen['hundred_ms']:.1f} ms",
            seen["hundred_ms"] < 3,
        ),
        Row(
            "10,000 queued executions of a trivial Code node",
            "more than 2,000/s",
            f"{seen['drained']:,.0f}/s",
            seen["drained"] > 2000,
        ),
        Row(
            "growth over 100,000 executions",
            "flat: under 20 MB",
            f"{seen['grown_mb']:.0f} MB",
            seen["grown_mb"] < 20,
        ),
    ]


def busy_cell() -> Row:
    """Compare the median response time during a pure Python loop with the idle one."""
    with server("hook") as (url, process):
        idle, busy = [], []
        for _ in range(3):
            idle.append(probe("latency", url)["ms"])
            tell(process, "busy")
            busy.append(probe("latency", url)["ms"])
            tell(process, "idle")
        ratio = statistics.median(busy) / statistics.median(idle)
    return Row(
        "median response time during a pure Python loop to the idle one",
        "under 5",
        f"{ratio:.1f} ({statistics.median(busy):.1f} to {statistics.median(idle):.1f} ms)",
        ratio < 5,
    )


def tell(process: subprocess.Popen[str], word: str) -> None:
    """Have a server's main thread compute, or rest."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == word


def main() -> int:
    """Print the table; give 1 where a line does not hold."""
    began = time.monotonic()
    rows = [
        throughput("hook", "durable asynchronous deliveries to a bare Tornado handler", 1.0),
        throughput(
            "sync", "synchronous: a condition, a response with a template, to the same", 0.7
        ),
        *frames(),
        imports(),
        first_response(),
        memory(),
        busy_cell(),
        panel(),
        *shown(),
        *executions(),
    ]
    print("| what | target | measured | |\n| --- | --- | --- | --- |")
    for row in rows:
        verdict = "holds" if row.holds else "missed"
        print(f"| {row.what} | {row.target} | {row.measured} | {verdict} |")
    taken = time.monotonic() - began
    print(f"\n{taken:.0f} s in all; {TURNS} turns of {SECONDS} s, {CONNECTIONS} connections")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
