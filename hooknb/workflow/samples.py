"""Samples: received values as variables, and requests built from the samples of variables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from hooknb import paths
from hooknb.errors import SettingError
from hooknb.paths import EVERY, MISSING, Path
from hooknb.payloads.headers import is_secret_header
from hooknb.workflow.variables import Variable, sampled

__all__ = ["build_sample", "has_sample", "is_small", "is_taken", "with_variable"]

_MAX_ELEMENTS: Final = 1_000  # of a list extended up to a position

_MAX_SAMPLE_SIZE: Final = 64 * 1024  # characters, bytes and values of a kept sample
_MAX_LEVELS: Final = 100


def is_taken(part: str, variables: Iterable[Variable], path: str) -> bool:
    """Whether one of the variables of a part has this path, in any spelling."""
    wanted = _place(part, path)
    return any(_place(part, item.path) == wanted for item in variables)


def with_variable(
    part: str, variables: Iterable[Variable], path: str, *, value: Any, alias: str | None
) -> tuple[Variable, ...]:
    """Return variables with one for a path added.

    Parameters
    ----------
    part
        The part that they are taken from: ``headers``, ``query`` or ``body``.
    variables
        The existing variables. One with the same path keeps its position, and gets the alias if
        one is given.
    path
        The path of the variable.
    value
        Its value in a request, or ``MISSING``.
    alias
        Its alias, or ``None``.
    """
    items = list(variables)
    wanted = _place(part, path)
    for index, item in enumerate(items):
        if _place(part, item.path) == wanted:
            if alias is not None:
                items[index] = msgspec.structs.replace(item, alias=alias)
            return tuple(items)
    if value is MISSING:
        made = Variable(path, alias)
    else:
        made = sampled(path, value, alias)
        secret = part == "headers" and is_secret_header(path)
        if secret or not is_small(value):
            made = msgspec.structs.replace(made, sample=None)
    return (*items, made)


def _place(part: str, path: str) -> object:
    return path.lower() if part == "headers" else paths.parse(path)


def is_small(value: Any) -> bool:
    """Whether a value is small enough for a definition, which every revision stores again."""
    size, pending = 0, [(value, 0)]
    while pending:
        item, level = pending.pop()
        size += len(item) if isinstance(item, (str, bytes)) else 1
        if size > _MAX_SAMPLE_SIZE or level > _MAX_LEVELS:
            return False
        if isinstance(item, dict):
            size += sum(map(len, item))
            pending += [(inner, level + 1) for inner in item.values()]
        elif isinstance(item, (list, tuple)):
            pending += [(inner, level + 1) for inner in item]
    return True


def has_sample(variable: Variable) -> bool:
    """Whether a variable has a sample; ``None`` is one if its type is ``null``."""
    return variable.sample is not None or variable.type == "null"


def build_sample(variables: Iterable[Variable]) -> Any:
    """Build a value in which each variable's path leads to its sample.

    Samples of outer paths are set first, then those of inner ones inside them; lists are extended
    to the positions of paths, with ``None`` in the gaps. The samples are not modified.

    Parameters
    ----------
    variables
        The variables of the body or of the query; those without a sample are skipped.

    Returns
    -------
    value
        The value; ``MISSING`` if no variable has a sample.

    Raises
    ------
    SettingError
        A position is beyond the first 1,000 and beyond the end of the sample's list.
    """
    builder = _Builder()
    chosen = [(paths.parse(item.path), item.sample) for item in variables if has_sample(item)]
    for path, sample in sorted(chosen, key=lambda item: len(item[0])):
        builder.put(builder.top, 0, path, sample)
    return builder.top[0]


class _Builder:
    """A value being built; ``top`` holds it, so that it is set like any value inside it."""

    def __init__(self) -> None:
        self.top: list[Any] = [MISSING]
        # The containers made here, by id; all others belong to samples and are copied on write.
        # The containers are referenced so that their ids are not reused.
        self._own: dict[int, Any] = {}

    def put(self, holder: Any, place: Any, path: Path, value: Any) -> None:
        """Set the value at a path inside ``holder[place]``."""
        for index, part in enumerate(path):
            current = holder[place] if isinstance(holder, list) else holder.get(place)
            rest = path[index + 1 :]
            if part is EVERY:
                values = list(value) if isinstance(value, (list, tuple)) else [value]
                elements = self._list(holder, place, current, len(values), path)
                for position, each in enumerate(values):
                    self.put(elements, position, rest, each)
                return
            if isinstance(part, int):
                count = part + 1 if part >= 0 else -part
                holder = self._list(holder, place, current, count, path)
                place = part if part >= 0 else len(holder) + part
            elif isinstance(current, (list, tuple)) and current:
                # A key applied to a list applies to each of its elements.
                elements = self._list(holder, place, current, 0, path)
                spread = isinstance(value, (list, tuple)) and len(value) == len(elements)
                for position in range(len(elements)):
                    each = value[position] if spread else value
                    self.put(elements, position, path[index:], each)
                return
            else:
                holder, place = self._object(holder, place, current), part
        holder[place] = value

    def _object(self, holder: Any, place: Any, current: Any) -> dict[str, Any]:
        if isinstance(current, dict) and id(current) in self._own:
            return current
        made = dict(current) if isinstance(current, dict) else {}
        holder[place] = self._own[id(made)] = made
        return made

    def _list(self, holder: Any, place: Any, current: Any, count: int, path: Path) -> list[Any]:
        if isinstance(current, list) and id(current) in self._own:
            made = current
        else:
            made = list(current) if isinstance(current, (list, tuple)) else []
            holder[place] = self._own[id(made)] = made
        if count > max(len(made), _MAX_ELEMENTS):
            raise SettingError(
                f"sample of {paths.format(path)!r}",
                f"it cannot have a list of {count:,} elements; {_MAX_ELEMENTS:,} is the most",
            )
        made += [None] * (count - len(made))
        return made
