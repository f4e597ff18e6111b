"""The command ``hooknb rescue``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import Progress, TextColumn

from hooknb.cli.terminal import count, line, stderr, stdout
from hooknb.store import RescuedHook
from hooknb.store import rescue as rescue_store

__all__ = ["rescue"]

_MAX_RUNS: Final = 10  # ranges of lost ids that are shown


def rescue(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="The damaged store, which no process serves.")
    ],
    new: Annotated[
        Path, typer.Argument(metavar="NEW", help="The store to write, which must not exist yet.")
    ],
) -> None:
    """Copy the readable part of a damaged store to a new one.

    Copies workflows with their URLs, deliveries, responses, executions and jobs; the old file is
    not changed. The data of damaged pages is lost, and reported; SQLite cannot detect changes
    within a value. Exits with 1 if anything was lost.
    """
    with Progress(
        TextColumn("{task.description}"),
        console=stderr(),
        transient=True,
        disable=not stderr().is_terminal,
    ) as shown:
        task = shown.add_task("checking", total=None)
        rescued = rescue_store(
            old, new, lambda what, rows: shown.update(task, description=f"{what}: {rows:,}")
        )
    console = stdout()
    for problem in rescued.problems:
        console.print(line(("damage: ", "bold red"), problem), end="\n")
    for hook in rescued.hooks:
        console.print(line((f"{hook.name}: ", "bold"), _numbers(hook.kept)), end="\n")
        if hook.lost.total():
            console.print(line(("  lost: ", "bold red"), _numbers(hook.lost), _ids(hook)), end="\n")
    console.print(line(f"written to {new}"), end="\n")
    if not rescued.is_complete:
        raise typer.Exit(1)


def _numbers(numbers: Counter[str]) -> str:
    texts = [count(number, _SINGULAR.get(what, what)) for what, number in numbers.items() if number]
    return ", ".join(texts) or "nothing"


_SINGULAR: Final = {
    "deliveries": "delivery",
    "executions": "execution",
    "responses": "response",
    "jobs": "job",
    "fixed responses": "fixed response",
    "settings": "row of settings",
    "definitions": "definition",
}


def _ids(hook: RescuedHook) -> str:
    if not hook.lost_deliveries:
        return ""
    runs = [
        f"{first:,}" if first == last else f"{first:,} to {last:,}"
        for first, last in hook.lost_deliveries[:_MAX_RUNS]
    ]
    more = len(hook.lost_deliveries) - _MAX_RUNS
    return f" (deliveries {', '.join(runs)}{f' and {more:,} more runs' if more > 0 else ''})"
