"""The command ``hooknb doctor``."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated, Final

import typer

from hooknb.cli.terminal import as_json, line, stdout

__all__ = ["doctor"]

_STYLES: Final = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


def doctor(
    *,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="PATH",
            help="A store that must exist. By default the one that hooks use, HOOKNB_STORE or "
            ".hooknb/store.db, which the first hook creates.",
        ),
    ] = None,
    as_list: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation, and say how to fix it.

    Checks the versions of packages, the widgets and the relay where the Jupyter server runs, the
    public URL, the store and who serves it, and the ports. Changes nothing. Exits with 1 if
    something is wrong.
    """
    from hooknb.cli.doctor.examination import examine  # the other commands start without it

    console = stdout()
    findings = []
    for finding in examine(store):
        findings.append(finding)
        if not as_list:
            style = _STYLES[finding.state]
            label, subject = (f"{finding.state:<9}", style), (f"{finding.subject}: ", "bold")
            console.print(line(label, subject, finding.text), end="\n")
            if finding.remedy is not None:
                console.print(line(f"{'':9}", ("→ ", style), finding.remedy), end="\n")
    if as_list:
        sys.stdout.write(as_json([dataclasses.asdict(one) for one in findings], indent=2) + "\n")
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)
