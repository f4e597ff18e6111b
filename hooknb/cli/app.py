"""The commands, and how they end."""

from __future__ import annotations

import contextlib
import errno
import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

import hooknb
from hooknb.cli.doctor import doctor
from hooknb.cli.export import export
from hooknb.cli.rescue import rescue
from hooknb.cli.send import send
from hooknb.cli.tail import tail
from hooknb.cli.terminal import print_error
from hooknb.errors import HooknbError

__all__ = ["app", "main"]

_FAILED: Final = 1


class _Group(TyperGroup):
    """Reports the errors of hooknb and of the operating system in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (HooknbError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # whoever reads the output has closed it: typer ends without a word
            print_error(error)
            raise typer.Exit(_FAILED) from None


app = typer.Typer(
    cls=_Group,
    name="hooknb",
    help="Webhooks inside Jupyter, from a shell: check the installation, send to a hook, follow "
    "deliveries as they arrive, export them to a file, and save what a damaged store still has.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (doctor, send, tail, export, rescue):
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
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Declare the options that precede a command."""
    del version


def main() -> None:
    """Run the command line and exit: with 1 if something is wrong, with 2 for a wrong call."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            # Characters that the terminal's encoding does not have are written as escapes.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app(prog_name="hooknb")
