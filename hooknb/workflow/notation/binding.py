"""Bind functions to the nodes of a definition read from data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from hooknb.errors import SettingError
from hooknb.workflow.nodes import Node
from hooknb.workflow.nodes.data import map_functions
from hooknb.workflow.nodes.sources import Unbound, is_function, name_of, source_of

__all__ = ["Functions", "Known", "bind", "known_functions", "unbound"]

Functions: TypeAlias = Iterable[Callable[..., Any]] | Mapping[str, Any]
"""Functions, matched by name, or a mapping from keys of nodes or names to functions."""

Known: TypeAlias = Mapping[tuple[str, str], Callable[..., Any]]
"""Functions by the key of their node and their source text."""


def bind(
    nodes: tuple[Node, ...], functions: Functions = (), known: Known | None = None
) -> tuple[Node, ...]:
    """Return nodes with their unbound functions replaced, as far as functions are given.

    Parameters
    ----------
    nodes
        The nodes, with keys.
    functions
        In a list, each must be the function of some node. A mapping may have other entries too,
        such as ``globals()``; the key of the node is looked up first, then the function's name.
    known
        Used for functions that ``functions`` does not have.

    Raises
    ------
    SettingError
        No node uses a function of the list, or an entry is not a function.
    """
    choose = _by_key(functions) if isinstance(functions, Mapping) else _Listed(functions)

    def change(key: str, function: Any) -> Any:
        if not isinstance(function, Unbound):
            return function
        found = choose(key, function)
        if found is None and known is not None:
            found = known.get((key, function.source))
        return function if found is None else found

    bound: tuple[Node, ...] = map_functions(nodes, change)
    if isinstance(choose, _Listed):
        choose.check(unbound(nodes))
    return bound


def unbound(nodes: tuple[Node, ...]) -> tuple[str, ...]:
    """Return the names of unbound functions."""
    names: dict[str, None] = {}

    def note(_key: str, function: Any) -> Any:
        if isinstance(function, Unbound):
            names[function.__name__] = None
        return function

    map_functions(nodes, note)
    return tuple(names)


def known_functions(nodes: tuple[Node, ...]) -> dict[tuple[str, str], Callable[..., Any]]:
    """Return the functions of nodes by the key of their node and their source text."""
    known: dict[tuple[str, str], Callable[..., Any]] = {}

    def note(key: str, function: Any) -> Any:
        if not isinstance(function, Unbound):
            known[key, source_of(function)] = function
        return function

    map_functions(nodes, note)
    return known


def _by_key(functions: Mapping[str, Any]) -> Callable[[str, Unbound], Any]:
    def choose(key: str, function: Unbound) -> Any:
        found = [functions[name] for name in (key, function.__name__) if name in functions]
        callables = [one for one in found if is_function(one)]
        if found and not callables:
            raise SettingError(f"functions[{key!r}]", f"{found[0]!r} is not a function")
        return _best(callables, function)

    return choose


class _Listed:
    """Finds functions of a list by name, and records which were used."""

    def __init__(self, functions: Any) -> None:
        if isinstance(functions, (str, bytes)) or not isinstance(functions, Iterable):
            raise SettingError("functions", "write a list of functions, or a dict by key")
        self.functions = list(functions)
        self.used: list[Any] = []
        for index, function in enumerate(self.functions):
            if not is_function(function):
                raise SettingError(f"functions[{index}]", f"{function!r} is not a function")

    def __call__(self, key: str, function: Unbound) -> Any:
        for name in (function.__name__, key):
            found = [one for one in self.functions if name_of(one) == name]
            if found:
                self.used += found
                return _best(found, function)
        return None

    def check(self, names: tuple[str, ...]) -> None:
        for index, function in enumerate(self.functions):
            if not any(function is used for used in self.used):
                has = ", ".join(names) or "none"
                raise SettingError(
                    f"functions[{index}]",
                    f"no node calls {name_of(function)}; the nodes call: {has}. To use one of "
                    "another name, write functions={'key of the node': function}",
                )


def _best(functions: list[Any], wanted: Unbound) -> Any:
    """Return the function with the wanted text, of several with one name."""
    same = [one for one in functions if source_of(one) == wanted.source]
    return next(iter(same or functions), None)
