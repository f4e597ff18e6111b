"""Definitions loaded from a store, and changes applied to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from hooknb.errors import SettingError
from hooknb.payloads import decode_json
from hooknb.workflow.nodes import Node
from hooknb.workflow.notation import SETTINGS, Functions, Known
from hooknb.workflow.workflow import Trigger, Workflow, define

__all__ = ["apply_changes", "check_switch", "load_definition", "nodes_of", "trigger_of"]

_SETTINGS: Final = (*(name for name in SETTINGS if name != "name"), "enabled")


def apply_changes(workflow: Workflow, settings: Mapping[str, Any]) -> tuple[Workflow, bool | None]:
    """Return a definition with settings changed as users write them, and ``enabled`` if given.

    Raises
    ------
    SettingError
        A setting is not one of :func:`hooknb.webhook`, is ``name``, or has an invalid value.
    """
    for setting in settings:
        if setting == "name":
            raise SettingError(
                "name",
                "a hook cannot be renamed; hooknb.webhook(name, …) makes one with another name, "
                "with its own URL",
            )
        if setting not in _SETTINGS:
            known = ", ".join(_SETTINGS)
            raise SettingError(setting, f"there is no such setting; write one of {known}")
    others = {name: value for name, value in settings.items() if name != "enabled"}
    made = define(**{**workflow.settings(), **others}, before=workflow.nodes)
    return made, check_switch(settings["enabled"]) if "enabled" in settings else None


def check_switch(enabled: Any) -> bool:
    """Return ``enabled`` if it is a bool.

    Raises
    ------
    SettingError
        It is neither ``True`` nor ``False``.
    """
    if not isinstance(enabled, bool):
        raise SettingError("enabled", f"{enabled!r} is neither True nor False")
    return enabled


def load_definition(
    definition: bytes, functions: Functions, *, known: Known | None, what: str, call: str
) -> Workflow:
    """Read a stored definition, and bind its functions.

    Parameters
    ----------
    definition
        The JSON of :meth:`hooknb.Workflow.encode`.
    functions, known
        See :meth:`hooknb.Workflow.decode`.
    what, call
        How the error names the definition, and the start of the call that would load it, up to
        the last argument.

    Raises
    ------
    SettingError
        One of its functions is not loaded in this process.
    """
    workflow = Workflow.decode(definition, functions, known=known)
    if workflow.unbound:
        names = ", ".join(workflow.unbound)
        raise SettingError(
            "functions",
            f"{what} calls {names}, whose code is not loaded; define it and write "
            f"{call}functions=[{names}]), or {{key of its node: function}} for one without a name",
        )
    return workflow


def nodes_of(definition: bytes) -> tuple[Node, ...]:
    """Return the nodes of a stored definition; none if it cannot be read in this process."""
    try:
        return Workflow.decode(definition).nodes
    except SettingError:
        # A custom node type that is not registered yet.
        return ()


def trigger_of(definition: bytes) -> Trigger:
    """Return the trigger of a stored definition, even if its nodes cannot be read here."""
    settings = decode_json(definition)
    settings.pop("nodes", None)
    return Workflow.decode(json.dumps(settings)).trigger
