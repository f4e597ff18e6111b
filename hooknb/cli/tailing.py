"""``hooknb tail``: the deliveries of a store, line by line."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hooknb import _clock
from hooknb.cli.console import line, output_console, status_style
from hooknb.cli.following import Following, Seen
from hooknb.cli.options import FilterOption, StoreOption, opened, workflow_ids
from hooknb.cli.texts import as_json
from hooknb.history.delivery import TOO_LARGE
from hooknb.history.table import compile_filter
from hooknb.history.table.shown_text import cell, is_file, plain

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["tail"]

_PAUSE: Final = 0.2  # seconds between two looks


def tail(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="The hook to follow; all of the store where none is named."
        ),
    ] = None,
    lines: Annotated[
        int,
        typer.Option(
            "--n", "-n", metavar="LINES", min=0, help="How many earlier deliveries to show first."
        ),
    ] = 10,
    filter_text: FilterOption = "",
    *,
    as_lines: Annotated[
        bool, typer.Option("--json", help="Write each delivery as a line of JSON.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Follow the deliveries of a store as they arrive, whatever process serves it; Ctrl-C ends it.

    One line each: time (UTC), id, hook, method, status of the response, why it was refused or its
    execution failed, and its variables. A delivery is shown once it has its response;
    one whose caller waits longer than a second is shown twice, and so is one that fails later.
    """
    asked = compile_filter(filter_text)
    ended = threading.Event()
    # Not as an exception: it would come out of the middle of a read.
    signal.signal(signal.SIGINT, lambda _number, _frame: ended.set())
    with contextlib.closing(opened(store)) as reading:
        following = Following(reading, None if name is None else workflow_ids(reading, name), asked)
        show = _as_json if as_lines else _in_colour()
        _write(following.newest(lines), show)
        while not ended.wait(_PAUSE):
            _write(following.news(), show)


def _write(deliveries: Iterable[Seen], show: Callable[[Seen], None]) -> None:
    for seen in deliveries:
        show(seen)
    sys.stdout.flush()


def _as_json(seen: Seen) -> None:
    record = {
        "time": _clock.moment(seen.received_us).isoformat(),
        "id": seen.id,
        "hook": seen.hook,
        "method": seen.method,
        "outcome": seen.outcome,
        "status": seen.status,
        "reason": seen.reason,
        "execution": seen.execution,
        "duration_ms": seen.took_ms,
        "variables": {title: _json_value(value) for title, value in seen.variables},
    }
    sys.stdout.write(f"{as_json(record)}\n")


def _json_value(value: Any) -> Any:
    if value is TOO_LARGE:
        return None
    return plain(value) if is_file(value) else value


def _in_colour() -> Callable[[Seen], None]:
    console = output_console()

    def show(seen: Seen) -> None:
        console.print(_line(seen), end="\n")

    return show


def _line(seen: Seen) -> Text:
    moment = f"{_clock.moment(seen.received_us):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    status = "pending" if seen.status is None else str(seen.status)
    made = line(
        (f"{moment}Z", "dim"),
        (f"  {seen.id}", "bold"),
        (f"  {seen.hook}", "cyan"),
        f"  {seen.method}",
        (f"  {status}", status_style(seen.status)),
    )
    if seen.reason is not None:
        made.append_text(line((f"  {seen.reason}", "red")))
    for title, value in seen.variables:
        made.append_text(line((f"  {title}=", "dim"), cell(value)))
    return made
