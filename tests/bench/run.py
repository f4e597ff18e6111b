"""``make bench``: hooknb beside other programs, as ratios within one run.

Everything that is compared runs in turns, one after the other and again, so that what else the
machine does meets all alike. What is shown is the median of the turns and, in parentheses, the
least and the most. Loads stay on the loopback and are bounded in count and time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil
from chart import draw_bars, ratio_form

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
README = ROOT / "README.md"
CHART = ROOT / "notebooks" / "images" / "bench.svg"
MARKERS = "<!-- bench -->\n", "<!-- /bench -->\n"

# The programs of servers.py, and what the table calls them. The first is the unit.
PROGRAMS = {
    "bare": "bare Tornado handler",
    "starlette": "Starlette on uvicorn",
    "starlette_insert": "Starlette, one durable SQLite insert each",
    "flask": "Flask on waitress",
    "webhook": "adnanh/webhook, a process each",
    "node_red": "Node-RED, in memory",
    "n8n": "n8n on SQLite, responds at once",
    "hook": "**hooknb**, asynchronous",
    "sync": "**hooknb**, synchronous: condition, response",
    "basic": "**hooknb**, asynchronous, Basic",
    "open_panel": "**hooknb**, asynchronous, panel open",
    "hidden_panel": "**hooknb**, asynchronous, panel hidden",
}
BUSY = "**hooknb**, asynchronous, during a busy cell"
ONLY_AT_16 = {"basic", "open_panel", "hidden_panel"}


class Load(NamedTuple):
    """What wrk sends: so many connections, bodies of so many bytes."""

    connections: int
    size: int

    @property
    def title(self) -> str:
        """Return the heading of its column."""
        sizes = {200: "200 B", 4_000: "4 kB", 64_000: "64 kB", 1_000_000: "1 MB"}
        return f"{self.connections}, {sizes[self.size]}"

    def is_within(self, other: Load) -> bool:
        """Return whether it has no more connections than another, and no larger bodies."""
        return self.connections <= other.connections and self.size <= other.size


USUAL = Load(16, 200)
LOADS = (
    USUAL,
    *(Load(connections, 200) for connections in (1, 64, 256)),
    *(Load(16, size) for size in (4_000, 64_000, 1_000_000)),
)
# Those of `--engines`, and the largest load that gets responses within its second.
ENGINES = {"node_red": Load(256, 1_000_000), "n8n": Load(16, 64_000)}


class Spread(NamedTuple):
    """What the turns gave, in their order."""

    values: list[float]

    @property
    def median(self) -> float:
        """Return the median."""
        return statistics.median(self.values)

    def over(self, other: Spread) -> Spread:
        """Return the ratio to another, turn by turn."""
        return Spread([a / b for a, b in zip(self.values, other.values, strict=True)])

    def show(self, form: str = "") -> str:
        """Return the median and, if there were several turns, the least and the most.

        A ratio needs no form.
        """
        form = form or ratio_form(self.median)
        low, text, high = map(form.format, (min(self.values), self.median, max(self.values)))
        return text if low == high else f"{text} ({low} to {high})"


@dataclass
class Report:
    """What was measured so far."""

    rows: list[tuple[str, str, str, bool]] = field(default_factory=list)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    bars: list[tuple[str, Spread]] = field(default_factory=list)

    def compare(self, what: str, rule: str, limit: float, seen: Spread, form: str) -> None:
        """Add a line with a target: the median is ``at least`` or ``at most`` the limit."""
        holds = seen.median >= limit if rule == "at least" else seen.median <= limit
        target = re.sub(r"\{.*\}", "{:g}", form).format(limit)
        self.rows.append((what, f"{rule} {target}", seen.show(form), holds))

    def markdown(self) -> str:
        """Return all tables."""
        verdicts = [
            [what, target, seen, "holds" if holds else "missed"]
            for what, target, seen, holds in self.rows
        ]
        tables = list(self.tables.items())
        if verdicts:
            heads = ["what", "target", "measured", ""]
            tables.append(("What is asked, and what was measured:", [heads, *verdicts]))
        return "\n".join(f"{title}\n\n{table_of(lines)}" for title, lines in tables)


def table_of(lines: list[list[str]]) -> str:
    """Return a table in Markdown; the first line is its heading."""
    head, *rest = (f"| {' | '.join(cells)} |\n" for cells in lines)
    return head + "|" + " --- |" * len(lines[0]) + "\n" + "".join(rest)


@dataclass(frozen=True)
class Bench:
    """How long to measure, and what stores to fill."""

    turns: int
    seconds: int
    sizes: list[int]
    engines: bool = False

    def take_turns(self, runs: dict[str, Callable[[], float]], turns: int = 0) -> dict[str, Spread]:
        """Measure each once a turn."""
        seen: dict[str, Spread] = {name: Spread([]) for name in runs}
        for _ in range(turns or self.turns):
            for name, run in runs.items():
                seen[name].values.append(run())
        return seen


class Server:
    """A program of servers.py in a process of its own."""

    def __init__(self, kind: str, folder: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "servers.py"), kind, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline().strip():
            return line
        raise RuntimeError(f"{self._process.args} has ended with {self._process.wait()}")

    def tell(self, word: str) -> None:
        """Have the main thread of a hook compute, or rest."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._read() == word

    def busy(self, run: Callable[[], float]) -> Callable[[], float]:
        """Return a measurement that runs while the main thread computes."""

        def run_busy() -> float:
            self.tell("busy")
            try:
                return run()
            finally:
                self.tell("idle")

        return run_busy

    def rested(self, run: Callable[[], float]) -> Callable[[], float]:
        """Return a measurement after which the next one has the machine for itself."""

        def run_and_rest() -> float:
            seen = run()
            self.rest()
            return seen

        return run_and_rest

    def rest(self) -> None:
        """Wait until what it has started computes no more, half a minute at most."""
        for _ in range(60):
            before = self._processor_seconds()
            time.sleep(0.5)
            if self._processor_seconds() - before < 0.05:
                break

    def _processor_seconds(self) -> float:
        program = psutil.Process(self._process.pid)
        times = [one.cpu_times() for one in program.children(recursive=True)]
        return sum(one.user + one.system for one in times)

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=60)


@contextmanager
def serve(kind: str, folder: str | None = None) -> Iterator[Server]:
    """Run a program, in a folder of its own unless one is named."""
    with ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = Server(kind, folder)
        stack.callback(server.close)
        yield server


def send_load(url: str, seconds: int, load: Load = USUAL) -> float:
    """Have wrk post to a URL, and return the responses a second; all must be 2xx."""
    parts = urlsplit(url)
    body = {
        "id": 9007199254740993,
        "status": "paid",
        "amount": 42.5,
        "customer": {"email": "ada@example.org", "name": "Ada"},
        "items": [{"sku": "A-1", "qty": 2}],
        "note": "",
    }
    body["note"] = "x" * (load.size - len(json.dumps(body)))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            'wrk.method = "POST"\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
            f"wrk.body = {json.dumps(json.dumps(body))}\n"
        )
        if parts.password:
            credentials = b64encode(f"{parts.username}:{parts.password}".encode()).decode()
            script.write(f'wrk.headers["Authorization"] = "Basic {credentials}"\n')
        script.flush()
        command = ["wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "-s", script.name]
        target = f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"
        out = subprocess.run([*command, target], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out, out
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]


def probe(name: str, *arguments: str) -> dict[str, float]:
    """Run one of the measurements that need a process of their own."""
    command = [sys.executable, str(HERE / "probes.py"), name, *arguments]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(out.splitlines()[-1])  # type: ignore[no-any-return]


def probe_in_turns(bench: Bench, name: str, turns: int) -> dict[str, Spread]:
    """Run a probe several times, and return what each of its figures was."""
    return gather([probe(name) for _ in range(min(turns, bench.turns))])


def gather(turns: list[dict[str, float]]) -> dict[str, Spread]:
    """Return the spread of each figure that all turns gave."""
    return {
        key: Spread([seen[key] for seen in turns])
        for key in turns[0]
        if all(key in seen for seen in turns)
    }


def measure_http(bench: Bench, report: Report) -> None:
    """Measure every program under every load, and a hook during a busy cell."""
    absent = set() if shutil.which("webhook") else {"webhook"}
    if not bench.engines:
        absent |= ENGINES.keys()
    present = [kind for kind in PROGRAMS if kind not in absent]
    columns: dict[Load, dict[str, Spread]] = {}
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(serve(kind)) for kind in present}
        for kind, server in servers.items():
            send_load(server.url, 1)
            if kind in ENGINES:
                server.rest()
        for load in LOADS:
            runs = {
                kind: lambda url=server.url, load=load: send_load(url, bench.seconds, load)
                for kind, server in servers.items()
                if load == USUAL or kind not in ONLY_AT_16
                if load.is_within(ENGINES.get(kind, load))
            }
            # They work on after their last response.
            runs |= {kind: servers[kind].rested(runs[kind]) for kind in ENGINES.keys() & runs}
            if load == USUAL:
                runs["busy"] = servers["hook"].busy(runs["hook"])
            turns = bench.turns if load == USUAL else min(bench.turns, 3)
            columns[load] = bench.take_turns(runs, turns)
        ping = {"idle": lambda: probe("latency", servers["hook"].url)["ms"]}
        waits = bench.take_turns({**ping, "busy": servers["hook"].busy(ping["idle"])})

    usual = columns[USUAL]
    unit = usual["bare"]
    lines = [["", "requests a second", *(load.title for load in LOADS)]]
    for kind, name in [(kind, PROGRAMS[kind]) for kind in present] + [("busy", BUSY)]:
        ratios = [
            seen[kind].over(seen["bare"]).show() if kind in seen else ""
            for seen in columns.values()
        ]
        lines.append([name, f"{usual[kind].median:,.0f}", *ratios])
        report.bars.append((name.replace("*", ""), usual[kind].over(unit)))
    title = (
        "Requests a second, as ratios to the bare handler, by connections and body "
        f"(the first: {bench.turns} turns; the others: {min(bench.turns, 3)}):"
    )
    report.tables[title] = lines

    over_insert = usual["hook"].over(usual["starlette_insert"])
    large = columns[Load(16, 1_000_000)]
    hidden = usual["hidden_panel"].over(usual["hook"])
    cost = Spread([100 * (1 - ratio) for ratio in hidden.values])
    compare, two = report.compare, "{:.2f}"
    compare("asynchronous, durable / bare", "at least", 1.4, usual["hook"].over(unit), two)
    compare("synchronous / bare", "at least", 0.9, usual["sync"].over(unit), two)
    compare("asynchronous / Starlette with an insert each", "at least", 4, over_insert, two)
    compare("asynchronous, 1 MB / bare", "at least", 0.5, large["hook"].over(large["bare"]), two)
    compare("throughput that a hidden panel costs", "at most", 5, cost, "{:.1f} %")
    compare(
        "median response during a busy cell / idle",
        "at most",
        2,
        waits["busy"].over(waits["idle"]),
        two,
    )


# The figures of the growth table, and what it calls them.
GROWTH = {
    "variables": "first `variables` of a process",
    "normalize": "the same / `json_normalize`: speed",
    "peak": "its peak memory / the frame's own",
    "next": "first `variables` of the next process",
    "more": "ten more, then `variables` again",
    "length": "`len(hook.deliveries)`",
    "text": "`hook.search`: a text",
    "expression": "`hook.search`: an expression",
    "table": "the panel's table, first seen",
    "parquet": "export to Parquet",
    "jsonl": "export to JSON lines",
    "kept": "keeping the columns that the next process reads",
}
MAX_REPEATED = 100_000  # deliveries of the stores that are read in several turns


def grow(size: int, filled: str) -> dict[str, float]:
    """Measure what reads a store, in processes and a copy of its own: nothing is kept of before."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(Path(filled) / "store.db", folder)
        seen = probe("growth", folder)
        again = probe("growth", folder, "variables")
    seen |= {"next_s": again["variables_s"], "next_wait_s": again["variables_wait_s"]}
    return seen | probe("normalize", str(size))


def measure_growth(bench: Bench, report: Report) -> None:
    """Measure reading, and receiving, beside what is stored already."""
    columns: dict[int, dict[str, Spread]] = {}
    with ExitStack() as stack:
        servers = {}
        for size in bench.sizes:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            probe("fill", folder, str(size))
            turns = min(bench.turns, 3) if size <= MAX_REPEATED else 1
            columns[size] = gather([grow(size, folder) for _ in range(turns)])
            servers[str(size)] = stack.enter_context(serve("hook", folder))
        for server in servers.values():
            send_load(server.url, 1)
        speeds = bench.take_turns(
            {
                size: lambda url=server.url: send_load(url, bench.seconds)
                for size, server in servers.items()
            }
        )
    ratios = {size: seen.over(speeds[str(bench.sizes[0])]) for size, seen in speeds.items()}
    lines = [["deliveries of 1 kB"], *([name] for name in GROWTH.values())]
    for size, seen in columns.items():
        lines[0] += [f"{size:,}", "longest wait"]
        for line, name in zip(lines[1:], GROWTH, strict=True):
            line.extend(show_figure(name, seen))
    lines.append(["throughput / the first column's"])
    for ratio in ratios.values():
        lines[-1] += [ratio.show(), ""]
    title = (
        "What a store of many deliveries costs, and the longest wait of a sender meanwhile "
        f"({min(bench.turns, 3)} turns up to {MAX_REPEATED:,} deliveries, one beyond; "
        f"throughput: {bench.turns}):"
    )
    report.tables[title] = lines

    def ask(what: str, limit: float, size: int, key: str, form: str = "{:.2f} s") -> None:
        if (seen := columns.get(size, {}).get(key)) is not None:
            report.compare(f"{what}, {size:,}", "at most", limit, seen, form)

    ask("export to Parquet", 4, 100_000, "parquet_s")
    ask("export to JSON lines", 4, 100_000, "jsonl_s")
    ask("`variables` in the next process", 2, 1_000_000, "next_s")
    ask("peak memory of `variables` / the frame's own", 1.5, 1_000_000, "peak", "{:.2f}")
    ask("`len(hook.deliveries)`", 1, 1_000_000, "length_s")
    ask("ten more, then `variables` again", 0.02, 1_000_000, "more_s", "{:.3f} s")
    ask("the panel's table, first seen", 0.3, 1_000_000, "table_s")
    most = bench.sizes[-1]
    waits = [max(seen.values) for name, seen in columns[most].items() if name.endswith("_wait_s")]
    what = f"longest wait of a sender during any of these, {most:,}"
    report.compare(what, "at most", 0.2, Spread([max(waits)]), "{:.2f} s")
    if len(bench.sizes) > 1:
        what = f"throughput at {most:,} stored / at {bench.sizes[0]:,}"
        report.compare(what, "at least", 0.97, ratios[str(most)], "{:.2f}")


def show_figure(name: str, seen: dict[str, Spread]) -> list[str]:
    """Return two cells of the growth table: a figure, and how long a sender waited meanwhile."""
    if name == "normalize":
        return [seen["normalize_s"].over(seen["variables_s"]).show(), ""]
    if name == "peak":
        return [seen["peak"].show() if "peak" in seen else "", ""]
    wait = max(seen[f"{name}_wait_s"].values)
    return [seen[f"{name}_s"].show("{:.3g} s"), f"{wait:.2g} s"]


def measure_frames(bench: Bench, report: Report) -> None:
    """Compare ``hook.variables`` with ``pandas.json_normalize``, over 100,000 deliveries."""
    seen = probe_in_turns(bench, "frames", 3)
    what = "`variables`, 100,000 of ten leaves / `json_normalize`: speed"
    again = seen["again_s"].over(seen["normalize_s"])
    report.compare(what, "at least", 4, seen["normalize_s"].over(seen["cold_s"]), "{:.2f}")
    report.compare("again after ten more / the same: time", "at most", 0.1, again, "{:.3f}")


def measure_start(bench: Bench, report: Report) -> None:
    """Compare the imports, and measure the way from ``hooknb.webhook`` to the first response."""
    heavy = []

    def time_import(module: str) -> float:
        seen = probe("import", module)
        heavy.append(seen["heavy"])
        return seen["ms"]

    seen = bench.take_turns(
        {
            "tornado": lambda: time_import("tornado.web"),
            "hooknb": lambda: time_import("hooknb"),
            "first": lambda: probe("first")["ms"],
        },
        min(bench.turns, 5),
    )
    ratio = seen["hooknb"].over(seen["tornado"])
    report.compare("`import hooknb` / `import tornado.web`", "at most", 2, ratio, "{:.2f}")
    loaded = Spread([max(heavy)])
    report.compare("of pandas and ipywidgets it imports", "at most", 0, loaded, "{:.0f}")
    report.compare(
        "`hooknb.webhook(…)` to the first response, warm", "at most", 50, seen["first"], "{:.0f} ms"
    )


def measure_memory(bench: Bench, report: Report) -> None:
    """Measure what many deliveries of 1 kB add to the process."""
    seen = probe("memory", str(200_000 if bench.turns > 1 else 2_000))
    what = f"growth over {seen['deliveries']:,.0f} deliveries of 1 kB"
    report.compare(what, "at most", 100, Spread([seen["grown_mb"]]), "{:.0f} MB")


def measure_engine(bench: Bench, report: Report) -> None:
    """Measure many nodes, and many executions."""
    count = 10_000 if bench.turns > 1 else 160
    seen = {key: Spread([one]) for key, one in probe("executions", str(count)).items()}
    what = f"growth over {10 * count:,} executions"
    report.compare(
        "a hundred pure nodes in one execution", "at most", 3, seen["hundred_ms"], "{:.1f} ms"
    )
    report.compare(
        f"{count:,} queued executions of a trivial function",
        "at least",
        2000,
        seen["drained"],
        "{:,.0f}/s",
    )
    report.compare(what, "at most", 20, seen["grown_mb"], "{:.0f} MB")


def measure_panel(bench: Bench, report: Report) -> None:
    """Measure a panel over many deliveries in JupyterLab."""
    count = 100_000 if bench.turns > 1 else 1_000
    seen = {key: Spread([one]) for key, one in probe("shown", str(count)).items()}
    report.compare(
        f"a panel over {count:,} deliveries: `hook` to its rows in the browser",
        "at most",
        1,
        seen["shown_s"],
        "{:.2f} s",
    )
    report.compare(
        "50 new deliveries on the wire to the browser",
        "at most",
        20,
        seen["kilobytes"],
        "{:.1f} kB",
    )
    report.compare(
        "messages to the browser in any second, while 500 deliveries a second come",
        "at most",
        10,
        seen["messages"],
        "{:.0f}",
    )


PARTS: dict[str, Callable[[Bench, Report], None]] = {
    "http": measure_http,
    "growth": measure_growth,
    "frames": measure_frames,
    "start": measure_start,
    "memory": measure_memory,
    "engine": measure_engine,
    "panel": measure_panel,
}


def write_readme(text: str, part: str = "bench") -> None:
    """Replace what stands between the markers of a part of the README."""
    opening, closing = (marker.replace("bench", part) for marker in MARKERS)
    before, rest = README.read_text(encoding="utf-8").split(opening)
    _, after = rest.split(closing)
    README.write_text(f"{before}{opening}{text}{closing}{after}", encoding="utf-8")


def main() -> int:
    """Print the tables; return 1 where a line does not hold."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all, if none is named")
    parser.add_argument("--turns", type=int, default=7, help="1: short forms, to try the bench")
    parser.add_argument("--seconds", type=int, default=1, help="of one load")
    parser.add_argument("--sizes", default="1000,100000", help="of the stores that are filled")
    for option, size in (("--million", 1_000_000), ("--two-million", 2_000_000)):
        what = f"also a store of {size:,} deliveries"
        parser.add_argument(
            option, dest="more", action="append_const", const=size, default=[], help=what
        )
    parser.add_argument(
        "--engines", action="store_true", help="Node-RED and n8n too, by `.ci/need engines`"
    )
    parser.add_argument("--write", action="store_true", help="into the README, with its chart")
    options = parser.parse_args()
    if options.engines and not (Path(sys.prefix) / "engines" / "installed").exists():
        parser.error("--engines takes what `.ci/need engines` installs")
    if options.write and options.parts:
        parser.error("--write takes a run of all parts")
    sizes = sorted({*map(int, options.sizes.split(",")), *options.more})
    bench = Bench(options.turns, options.seconds, sizes, engines=options.engines)
    report = Report()
    began = time.monotonic()
    for name in options.parts or PARTS:
        since = time.monotonic()
        PARTS[name](bench, report)
        print(f"{name}: {time.monotonic() - since:.0f} s", file=sys.stderr, flush=True)
    minutes = (time.monotonic() - began) / 60
    text = (
        f"{report.markdown()}\n{os.cpu_count()} cores; medians of {bench.turns} turns of "
        f"{bench.seconds} s, least and most in parentheses; "
        f"{minutes:.1f} minutes in all.\n"
    )
    print(text)
    if options.write:
        CHART.write_text(draw_bars(report.bars), encoding="utf-8")
        picture = f"![Requests a second beside a bare handler]({CHART.relative_to(ROOT)})\n\n"
        write_readme(f"\n{picture}{text}\n")
    return 0 if all(holds for *_, holds in report.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
