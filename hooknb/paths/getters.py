"""Resolving paths: each is compiled once to a function, since it runs on every request body."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from hooknb.paths.grammar import MISSING, Every, Part, Path, format, parse

__all__ = ["Getter", "compile", "get"]

Getter: TypeAlias = Callable[[Any], Any]
"""Takes a value, and returns the value at the path in it or :data:`MISSING`."""


def get(value: Any, path: str | Sequence[Part], default: Any = MISSING) -> Any:
    """Return the value at a path in a value.

    Parameters
    ----------
    value
        Any Python value; dicts are objects, lists and tuples are lists, and other values have no
        elements.
    path
        As text or as parts.
    default
        Returned if the path resolves to nothing.

    Raises
    ------
    PathError
        The text is not a path. No value raises an error.
    """
    found = compile(path)(value)
    return default if found is MISSING else found


def compile(path: str | Sequence[Part]) -> Getter:  # noqa: A001 - the word of the field, as in re.compile
    """Return the function that resolves a path in a value.

    Functions are cached by path, so calling this again costs one dictionary lookup.

    Parameters
    ----------
    path
        As text or as parts.

    Returns
    -------
    Getter
        Returns the value, or :data:`MISSING`; never raises.

    Raises
    ------
    PathError
        The text is not a path.
    """
    return _compiled_text(path) if isinstance(path, str) else _compiled(tuple(path))


@lru_cache(maxsize=4096)
def _compiled_text(text: str) -> Getter:
    return _compiled(parse(text))


@lru_cache(maxsize=4096)
def _compiled(path: Path) -> Getter:
    format(path)  # refuses invalid parts
    rest: Getter | None = None
    steps: list[str | int] = []
    for part in reversed(path):  # the parts after a [*] form the getter for its elements
        if isinstance(part, Every):
            rest = _every(_chain(steps, rest))
            steps = []
        else:
            steps.insert(0, part)
    return _chain(steps, rest)


def _chain(steps: Sequence[str | int], rest: Getter | None) -> Getter:
    """Return the getter for keys and positions, and for the ``[*]`` after them."""
    if rest is not None:
        first = _chain(steps, None)
        return lambda value: rest(first(value))
    if not steps:
        return lambda value: value
    keys = [step for step in steps if isinstance(step, str)]
    if len(keys) < len(steps):
        return _steps(tuple(steps))
    return _key(keys[0]) if len(keys) == 1 else _keys(tuple(keys))


def _key(key: str) -> Getter:
    return lambda value: value.get(key, MISSING) if type(value) is dict else _by_key(value, key)


def _keys(keys: tuple[str, ...]) -> Getter:
    def take(value: Any) -> Any:
        for key in keys:
            value = value.get(key, MISSING) if type(value) is dict else _by_key(value, key)
        return value

    return take


def _steps(steps: tuple[str | int, ...]) -> Getter:
    def take(value: Any) -> Any:
        for step in steps:
            if isinstance(step, int):
                if not isinstance(value, (list, tuple)):
                    return MISSING
                try:
                    value = value[step]
                except IndexError:
                    return MISSING
            elif type(value) is dict:
                value = value.get(step, MISSING)
            else:
                value = _by_key(value, step)
        return value

    return take


def _every(rest: Getter) -> Getter:
    def take(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return MISSING
        try:
            found = [taken for element in value if (taken := rest(element)) is not MISSING]
        except RecursionError:  # hundreds of [*] in a list that contains itself
            return MISSING
        return found if found or not value else MISSING

    return take


def _by_key(value: Any, key: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return _from_elements(value, key)
    # dict.get, because a subclass may invent values for missing keys.
    return dict.get(value, key, MISSING) if isinstance(value, dict) else MISSING


def _from_elements(value: Sequence[Any], key: str) -> Any:
    """Return the values of a key in all elements of a list and of the lists in it."""
    found: list[Any] = []
    came = not value
    # The lists being searched, the innermost last.
    lists: dict[int, Iterator[Any]] = {id(value): iter(value)}
    while lists:
        for element in lists[next(reversed(lists))]:
            if isinstance(element, (list, tuple)):
                came = came or not element
                if id(element) not in lists:  # otherwise it contains itself
                    lists[id(element)] = iter(element)
                    break
            elif (
                isinstance(element, dict)
                and (taken := dict.get(element, key, MISSING)) is not MISSING
            ):
                came = True
                if isinstance(taken, (list, tuple)):
                    found.extend(taken)
                else:
                    found.append(taken)
        else:
            lists.popitem()
    return found if came else MISSING
