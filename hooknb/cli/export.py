"""The command ``hooknb export``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hooknb.cli.options import FilterOption, StoreOption, open_store, workflow_names
from hooknb.cli.terminal import count, line, stderr, stdout
from hooknb.errors import SettingError
from hooknb.history.table import compile_filter, matching_ids
from hooknb.workflow.definitions import trigger_of

__all__ = ["export"]


def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the hook.")],
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The file to write: .jsonl, .har or .parquet."),
    ],
    filter_text: FilterOption = "",
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="FORMAT", help="jsonl, har or parquet, whatever the suffix of FILE."
        ),
    ] = None,
    *,
    secrets: Annotated[
        bool,
        typer.Option(
            "--secrets",
            help="Include credentials in headers, which are masked otherwise.",
        ),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Write the deliveries of a hook to a file.

    As JSON lines, HAR or Parquet, oldest first; an existing file is replaced. JSON lines hold
    every byte, and hook.replay() sends them again.
    """
    from hooknb.history import exports  # the other commands start without it

    exports.format_of(file, format_name)  # raises before the search
    condition = compile_filter(filter_text)
    with contextlib.closing(open_store(store)) as reading:
        [workflow] = workflow_names(reading, name)
        for revision in reading.revisions(workflow):
            # Reading a definition tells in which headers of its own it expects a token.
            with contextlib.suppress(SettingError):
                trigger_of(revision.definition)
        with _progress() as progress:
            task = progress.add_task("searching", total=None)
            ids = matching_ids(reading, workflow, condition)
            progress.update(task, description="writing", total=len(ids), completed=0)
            written = exports.export(
                reading.deliveries(workflow, ids),
                file,
                format_name,
                lambda done: progress.update(task, completed=done),
                secrets=secrets,
            )
    stdout().print(line(f"{count(written, 'delivery')} written to {file}"), end="\n")


def _progress() -> Progress:
    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    ]
    console = stderr()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
