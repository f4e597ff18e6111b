"""The commands, and how they end."""

from __future__ import annotations

import contextlib
import errno
import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

import hooknb
from hooknb.cli.console import error_console, line
from hooknb.cli.doctoring import doctor
from hooknb.cli.exporting import export
from hooknb.cli.requests import send
from hooknb.cli.tailing import tail
from hooknb.errors import HooknbError

__all__ = ["app", "main"]

_FAILED: Final = 1


class _Group(TyperGroup):
    """Says what went wrong in a line, where it is hooknb that says it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except HooknbError as error:
            error_console().print(line(("error: ", "bold red"), str(error)), end="\n")
            raise typer.Exit(_FAILED) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read has enough
                raise
            error_console().print(line(("error: ", "bold red"), str(error)), end="\n")
            raise typer.Exit(_FAILED) from None


app = typer.Typer(
    cls=_Group,
    name="hooknb",
    help="Webhooks inside Jupyter, from a shell: check what works here, send to a "
    "hook, follow deliveries as they arrive, and export them to a file.",
    add_completion=False,
    rich_markup_mode="markdown",  # joins the lines of a paragraph
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (doctor, send, tail, export):
    app.command()(command)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer calls it so
    if value:
        typer.echo(f"hooknb {hooknb.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command; the one there is ends at once."""
    del version


def main() -> None:
    """Run the command line and end the process: 1 where something is wrong, 2 for a wrong call."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            # What cannot be written in the terminal's encoding is written as an escape.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app(prog_name="hooknb")
