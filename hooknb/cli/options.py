"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from hooknb.errors import SettingError
from hooknb.settings import DEFAULT_STORE
from hooknb.store import Reading

__all__ = ["FilterOption", "StoreOption", "opened", "workflow_ids"]

_STORE_HELP: Final = (
    f"The store: a path or sqlite:///path. By default that of HOOKNB_STORE, or {DEFAULT_STORE}."
)

StoreOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store", envvar="HOOKNB_STORE", metavar="PATH", help=_STORE_HELP, show_envvar=False
    ),
]
FilterOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--filter",
        metavar="TEXT",
        help="Only what it finds: a status (4xx, >=400), accepted, refused or pending, "
        "an expression in CEL (body.amount > 100), or any text.",
    ),
]


def opened(store: str | None) -> Reading:
    """Open the store that a command names, for reading.

    Raises
    ------
    StoreError
        There is none, or it cannot be opened.
    """
    return Reading(store or Path(DEFAULT_STORE))


def workflow_ids(store: Reading, name: str | None = None) -> dict[int, str]:
    """Return the names of the workflows of a store by their ids; of one alone where it is named.

    Raises
    ------
    SettingError
        The store has none of that name.
    """
    names = store.workflow_names()
    if name is None:
        return names
    found = {number: known for number, known in names.items() if known == name}
    if not found:
        there = ", ".join(names.values()) or "none at all"
        raise SettingError(name, f"the store {store.path} has no hook of that name; it has {there}")
    return found
