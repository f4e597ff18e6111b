"""``hooknb export``: the deliveries of a hook as a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hooknb.cli.console import error_console, line, output_console
from hooknb.cli.options import FilterOption, StoreOption, opened, workflow_ids
from hooknb.errors import RecordNotFoundError
from hooknb.history.table import compile_filter, matching_ids
from hooknb.records import Delivery
from hooknb.store import Reading

__all__ = ["export"]


def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The hook: its name in the store.")],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The file; its suffix says the format: .jsonl, .har or .parquet."
        ),
    ],
    filter_text: FilterOption = "",
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="FORMAT", help="jsonl, har or parquet, whatever the suffix."
        ),
    ] = None,
    *,
    secrets: Annotated[
        bool,
        typer.Option(
            "--secrets",
            help="Write credentials in headers as they came; otherwise they are masked.",
        ),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Write the deliveries of a hook to a file, oldest first: JSON lines, HAR or Parquet.

    JSON lines hold every byte, and hook.replay() sends them again. An existing file is
    replaced.
    """
    from hooknb.history import exports  # the other commands start without it

    exports.format_of(file, format_name)  # before anything is looked for
    asked = compile_filter(filter_text)
    with contextlib.closing(opened(store)) as reading:
        [workflow] = workflow_ids(reading, name)
        with _progress() as progress:
            looking = progress.add_task("looking", total=None)
            ids = matching_ids(reading, workflow, asked)
            progress.update(looking, description="writing", total=len(ids), completed=0)
            count = exports.export(
                _deliveries(reading, workflow, ids),
                file,
                format_name,
                lambda written: progress.update(looking, completed=written),
                secrets=secrets,
            )
    noun = "delivery" if count == 1 else "deliveries"
    output_console().print(line(f"{count:,} {noun} to {file}"), end="\n")


def _deliveries(store: Reading, workflow: int, ids: list[int]) -> Iterator[Delivery]:
    for number in ids:
        # What is cleared or pruned meanwhile is left out.
        with contextlib.suppress(RecordNotFoundError):
            yield store.delivery(workflow, number)


def _progress() -> Progress:
    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    ]
    console = error_console()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
