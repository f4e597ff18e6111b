"""``hooknb doctor``: what works here."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated, Final

import typer

from hooknb.cli.console import line, output_console
from hooknb.cli.texts import as_json

__all__ = ["doctor"]

_STYLES: Final = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


def doctor(
    *,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="PATH",
            help="A store that must be there. By default the one that hooks take: HOOKNB_STORE, "
            "or .hooknb/store.db, which the first of them makes.",
        ),
    ] = None,
    as_list: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Say what works here, and what to do about what does not; 1 where something is wrong.

    Looks at the versions, the widgets and the relay where the Jupyter server runs, the public URL,
    the store and who serves it, and the ports. Changes nothing.
    """
    from hooknb.cli.doctor import examine  # the other commands start without it

    console = output_console()
    found = []
    for finding in examine(store):
        found.append(finding)
        if not as_list:
            style = _STYLES[finding.state]
            console.print(
                line(
                    (f"{finding.state:<9}", style), (f"{finding.subject}: ", "bold"), finding.text
                ),
                end="\n",
            )
            if finding.remedy is not None:
                console.print(line(f"{'':9}", ("→ ", style), finding.remedy), end="\n")
    if as_list:
        sys.stdout.write(as_json([dataclasses.asdict(one) for one in found], indent=2) + "\n")
    if any(finding.state == "wrong" for finding in found):
        raise typer.Exit(1)
