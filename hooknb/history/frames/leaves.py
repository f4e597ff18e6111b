"""The leaf paths found in the values received, and their columns."""

from __future__ import annotations

from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from hooknb import paths
from hooknb.history.frames.growing_column import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hooknb.store import segments

__all__ = ["Leaf", "Leaves"]


class Leaf:
    """A place in a part: in the tree of all places that have been seen, whether a leaf or not.

    Attributes
    ----------
    key, parent
        How it is reached; the root of a part has neither.
    children
        The places below, where objects stood here.
    column
        What stood here, once a leaf did.
    times
        How many deliveries had a leaf here.
    order
        Rises in the order in which leaves were first seen.
    """

    __slots__ = ("children", "column", "key", "order", "parent", "times")

    def __init__(self, key: str, parent: Leaf | None) -> None:
        self.key = key
        self.parent = parent
        self.children: dict[str, Leaf] = {}
        self.column: Column | None = None
        self.times = 0
        self.order: int | None = None

    @property
    def path(self) -> str:
        """Its path within its part."""
        keys: list[str] = []
        leaf = self
        while leaf.parent is not None:
            keys.append(leaf.key)
            leaf = leaf.parent
        return paths.format(keys[::-1])


class Leaves:
    """The leaves of one part, as a tree by their keys.

    A leaf is whatever is not an object, and an empty object; lists are kept whole. A column shows
    objects too where other deliveries have a leaf; but not that of the whole part, which would
    repeat every body beside the columns of what is in it.

    Values are taken apart level by level for many deliveries at once: deliveries of the same shape,
    which is what a hook usually gets, cost no more than a look-up in C for each value.
    """

    def __init__(self, numbers: count[int]) -> None:
        self._root = Leaf("", None)
        self._numbers = numbers
        self._all: list[Leaf] = []
        self.stale = False
        """Whether objects went by that now would stand in a column (a leaf came in their place)."""

    def all(self) -> list[Leaf]:
        """Return the leaves that have been seen, since the restart if there was one."""
        return [leaf for leaf in self._all if leaf.times]

    def restart(self) -> None:
        """Forget every value, and keep what is a leaf, so that all values can be added again."""
        self.stale = False
        for leaf in self._all:
            leaf.column = Column()
            leaf.times = 0
            leaf.order = None

    def add(self, rows: Sequence[int], values: Sequence[Any]) -> set[int]:
        """Take values apart into the columns.

        Parameters
        ----------
        rows
            Positions in rising order.
        values
            As many values.

        Returns
        -------
        set of int
            The rows that had a leaf first; :meth:`number` wants them in rising order.
        """
        firsts: set[int] = set()
        work = [(self._root, rows, values)] if values else []
        while work:
            leaf, rows, values = work.pop()
            kinds = set(map(type, values))
            if dict not in kinds:
                firsts.update(self._fill(leaf, rows, values, len(values)))
                continue
            if len(kinds) > 1 or not all(values):
                objects = [
                    (row, value)
                    for row, value in zip(rows, values, strict=True)
                    if type(value) is dict and value
                ]
                times = len(values) - len(objects)
                if leaf is self._root:
                    others = [
                        (row, value)
                        for row, value in zip(rows, values, strict=True)
                        if not (type(value) is dict and value)
                    ]
                    rows, values = [row for row, _ in others], [value for _, value in others]
                firsts.update(self._fill(leaf, rows, values, times))
                rows = [row for row, _ in objects]
                values = [value for _, value in objects]
            elif leaf.column is not None and leaf is not self._root:
                leaf.column.add(rows, values)
            if values:
                work.extend(_entries(leaf, rows, values))
        return firsts

    def may_add(self, kept: segments.Leaf) -> bool:
        """Tell whether what the store keeps is all that stands in the columns.

        Objects are not kept, and stand in a column where other deliveries have a leaf.
        """
        leaf = self._root
        for key in kept.keys[:-1]:
            below = leaf.children.get(key)
            if below is None:
                return True
            if below.column is not None:
                return False
            leaf = below
        return True

    def add_kept(self, start: int, kept: segments.Leaf) -> None:
        """Add what the store keeps of a leaf in a range of deliveries, the first of them in a row.

        The leaves of a range are added in order, and only if all of them may be.
        """
        leaf = self._root
        for key in kept.keys:
            leaf = leaf.children.get(key) or leaf.children.setdefault(key, Leaf(key, leaf))
        self._prepare(leaf).add_kept(start, kept.values)
        leaf.times += kept.times
        if leaf.order is None:
            leaf.order = next(self._numbers)

    def _fill(
        self, leaf: Leaf, rows: Sequence[int], values: Sequence[Any], times: int
    ) -> list[int]:
        """Put values into a column, ``times`` of which are leaves; return the first leaf's row."""
        self._prepare(leaf).add(rows, values)
        is_first = not leaf.times
        leaf.times += times
        if not is_first:
            return []
        return [
            next(
                row
                for row, value in zip(rows, values, strict=True)
                if not (type(value) is dict and value)
            )
        ]

    def _prepare(self, leaf: Leaf) -> Column:
        if leaf.column is None:
            leaf.column = Column()
            self._all.append(leaf)
            self.stale = self.stale or (bool(leaf.children) and leaf is not self._root)
        return leaf.column

    def number(self, value: Any) -> None:
        """Give each leaf of a value that has none its order, as in the document."""
        work = [(self._root, value)]
        while work:
            leaf, value = work.pop()
            if type(value) is dict and value:
                work.extend((leaf.children[key], value[key]) for key in reversed(value))
            elif leaf.order is None:
                leaf.order = next(self._numbers)


def _entries(
    leaf: Leaf, rows: Sequence[int], values: Sequence[dict[str, Any]]
) -> list[tuple[Leaf, Sequence[int], Sequence[Any]]]:
    """Split objects into their entries: for each key its place, the rows and the values."""
    children = leaf.children
    keys = list(values[0])
    if set(map(len, values)) == {len(keys)}:
        try:
            columns = [list(map(itemgetter(key), values)) for key in keys]
        except KeyError:
            pass  # as many keys, but others
        else:
            return [
                (children.get(key) or children.setdefault(key, Leaf(key, leaf)), rows, column)
                for key, column in zip(keys, columns, strict=True)
            ]
    entries: dict[str, tuple[list[int], list[Any]]] = {}
    for row, value in zip(rows, values, strict=True):
        for key, inner in value.items():
            entry = entries.get(key)
            if entry is None:
                entries[key] = entry = ([], [])
            entry[0].append(row)
            entry[1].append(inner)
    return [
        (children.get(key) or children.setdefault(key, Leaf(key, leaf)), *entry)
        for key, entry in entries.items()
    ]
