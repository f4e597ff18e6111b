"""The command ``hooknb tail``."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hooknb import _clock
from hooknb.cli.following import Entry, Follower
from hooknb.cli.options import FilterOption, StoreOption, open_store, workflow_names
from hooknb.cli.terminal import as_json, line, status_style, stdout
from hooknb.history.delivery import TOO_LARGE
from hooknb.history.table import compile_filter
from hooknb.history.table.shown_text import cell, is_file, plain

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["tail"]

_POLL_SECONDS: Final = 0.2


def tail(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="The name of the hook; all hooks of the store by default."
        ),
    ] = None,
    lines: Annotated[
        int,
        typer.Option(
            "--n",
            "-n",
            metavar="LINES",
            min=0,
            help="The number of earlier deliveries to show first.",
        ),
    ] = 10,
    filter_text: FilterOption = "",
    *,
    as_lines: Annotated[
        bool, typer.Option("--json", help="Print each delivery as a line of JSON.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Follow the deliveries of a store as they arrive.

    Prints a line for each: time (UTC), id, hook, method, status of the response, why it was
    refused or its execution failed, and its variables. Any process may serve the store. Ctrl-C
    ends it.

    A delivery is shown once it has its response. It is shown again if its execution fails later,
    or if it was shown as pending, since its caller waited for more than a second.
    """
    condition = compile_filter(filter_text)
    ended = threading.Event()
    # Not KeyboardInterrupt, which could interrupt a read of the store.
    signal.signal(signal.SIGINT, lambda _number, _frame: ended.set())
    with contextlib.closing(open_store(store)) as reading:
        names = None if name is None else workflow_names(reading, name)
        follower = Follower(reading, names, condition)
        show = _print_json if as_lines else _print_line
        _write(follower.newest(lines), show)
        while not ended.wait(_POLL_SECONDS):
            _write(follower.news(), show)


def _write(deliveries: Iterable[Entry], show: Callable[[Entry], None]) -> None:
    for entry in deliveries:
        show(entry)
    sys.stdout.flush()


def _print_json(entry: Entry) -> None:
    duration = entry.arrival.duration_us
    record = {
        "time": _clock.moment(entry.arrival.received_at).isoformat(),
        "id": entry.id,
        "hook": entry.hook,
        "method": entry.arrival.method,
        "outcome": entry.outcome,
        "status": entry.status,
        "reason": entry.reason,
        "execution": entry.execution,
        "duration_ms": None if duration is None else duration / 1000,
        "variables": {title: _json_value(value) for title, value in entry.variables},
    }
    sys.stdout.write(f"{as_json(record)}\n")


def _json_value(value: Any) -> Any:
    if value is TOO_LARGE:
        return None
    return plain(value) if is_file(value) else value


def _print_line(entry: Entry) -> None:
    stdout().print(_line(entry), end="\n")


def _line(entry: Entry) -> Text:
    moment = f"{_clock.moment(entry.arrival.received_at):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    status = "pending" if entry.status is None else str(entry.status)
    made = line(
        (f"{moment}Z", "dim"),
        (f"  {entry.id}", "bold"),
        (f"  {entry.hook}", "cyan"),
        f"  {entry.arrival.method}",
        (f"  {status}", status_style(entry.status)),
    )
    if entry.reason is not None:
        made.append_text(line((f"  {entry.reason}", "red")))
    for title, value in entry.variables:
        made.append_text(line((f"  {title}=", "dim"), cell(value)))
    return made
