"""Options and look-ups that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from hooknb.errors import SettingError
from hooknb.settings import DEFAULT_STORE
from hooknb.store import Reading

__all__ = ["FilterOption", "StoreOption", "open_store", "workflow_names"]

_STORE_HELP: Final = (
    f"The store: a path or sqlite:///path. By default HOOKNB_STORE, or {DEFAULT_STORE}."
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
        help="Only matching deliveries: a status (4xx, >=400), accepted, refused or pending, "
        "an expression in CEL (body.amount > 100), or any text.",
    ),
]


def open_store(store: str | None) -> Reading:
    """Open a store for reading; ``None`` is the default one.

    Raises
    ------
    StoreError
        It does not exist, or cannot be opened.
    """
    return Reading(store or Path(DEFAULT_STORE))


def workflow_names(store: Reading, name: str | None = None) -> dict[int, str]:
    """Return the names of a store's workflows by id: of all, or of one.

    Raises
    ------
    SettingError
        The store has no workflow of that name.
    """
    names = store.workflow_names()
    if name is None:
        return names
    found = {number: known for number, known in names.items() if known == name}
    if not found:
        there = ", ".join(names.values()) or "none"
        raise SettingError(name, f"no hook of that name in {store.path}, which has: {there}")
    return found
