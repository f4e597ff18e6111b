"""Following a path: functions made once for each, since they run over every body that came."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from hooknb.paths.grammar import MISSING, Every, Part, Path, format, parse

__all__ = ["Getter", "compile", "get"]

Getter: TypeAlias = Callable[[Any], Any]
"""Takes a value, returns what stands at the path in it, or :data:`MISSING`."""


def get(value: Any, path: str | Sequence[Part], default: Any = MISSING) -> Any:
    """Return what stands at a path in a value.

    Parameters
    ----------
    value
        Any Python value; dicts are objects, lists and tuples are lists, nothing else is looked
        into.
    path
        As text or as parts.
    default
        Returned for a path that leads nowhere.

    Raises
    ------
    PathError
        The text is not a path; whatever the value is, nothing is raised.
    """
    found = compile(path)(value)
    return default if found is MISSING else found


def compile(path: str | Sequence[Part]) -> Getter:  # noqa: A001 - the word of the field, as in re.compile
    """Return the function that takes a path out of a value.

    It is made once for each path and kept, so that calling this again costs a dictionary's look-up.

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
    format(path)  # refuses what is not a part, before it is used
    rest: Getter | None = None
    steps: list[str | int] = []
    for part in reversed(path):  # since what follows a [*] is a getter of its own
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
        except RecursionError:  # hundreds of [*] into a list that holds itself
            return MISSING
        return found if found or not value else MISSING

    return take


def _by_key(value: Any, key: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return _from_elements(value, key)
    # dict.get, because a subclass may make up a value for a key that it has not.
    return dict.get(value, key, MISSING) if isinstance(value, dict) else MISSING


def _from_elements(value: Sequence[Any], key: str) -> Any:
    """Take a key out of every element of a list, and out of those of the lists in it."""
    found: list[Any] = []
    came = not value
    lists: dict[int, Iterator[Any]] = {
        id(value): iter(value)
    }  # those being looked into, the innermost last
    while lists:
        for element in lists[next(reversed(lists))]:
            if isinstance(element, (list, tuple)):
                came = came or not element
                if id(element) not in lists:  # else it holds itself
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
