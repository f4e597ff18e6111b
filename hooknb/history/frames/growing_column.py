"""One column that grows, in the narrowest type that keeps every value exactly."""

from __future__ import annotations

from contextlib import suppress
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import pandas as pd

from hooknb.history.frames.typed_arrays import (
    as_objects,
    concatenated,
    joined,
    objects,
    packed_text,
    text,
)
from hooknb.paths import MISSING, Missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hooknb.history.frames.typed_arrays import Array
    from hooknb.store.kept_values import KeptValues

__all__ = ["Column"]

# What has been seen in a column.
_INT: Final = 1
_WIDE: Final = 2  # an integer that a float may not hold exactly
_HUGE: Final = 4  # an integer beyond 64 bits
_BOOL: Final = 8
_FLOAT: Final = 16
_TEXT: Final = 32
_OTHER: Final = 64

_EXACT: Final = 2**53
_MIN_TEXTS: Final = 256  # values of a piece; an array of fewer takes longer than it saves
_NOTHING: Final = frozenset({NoneType, Missing})
_SEEN: Final[dict[type, int]] = {int: _INT, bool: _BOOL, float: _FLOAT, str: _TEXT}
_KEPT: Final = {"int": "<i8", "float": "<f8", "bool": "?"}
_KEPT_SEEN: Final = {"int": _INT, "float": _FLOAT, "bool": _BOOL}

Kind: TypeAlias = Literal[
    "int", "int with gaps", "bool", "bool with gaps", "float", "int or float", "text", "object"
]
_STORED: Final[dict[Kind, Any]] = {
    "int": np.int64,
    "int with gaps": np.int64,
    "bool": np.bool_,
    "bool with gaps": np.bool_,
    "float": np.float64,
}
"""Types of the arrays behind; the others are kept as objects, which loses nothing."""


class Column:
    """The values of one variable, row by row.

    Values arrive in pieces, which are kept small and exact: a piece of integers is an array of
    integers, whatever the rest of the column is. :meth:`array` puts them together and keeps the
    result, so that the next time only new values are added to it.
    """

    __slots__ = ("_covered", "_filled", "_kind", "_laid_out", "_pieces", "_seen")

    def __init__(self) -> None:
        self._pieces: list[tuple[range | np.ndarray[Any, Any], Array]] = []
        self._seen = 0
        self._filled = 0  # values, gaps not counted
        self._laid_out: Array | None = None
        self._covered = 0  # rows of `_laid_out`
        self._kind: Kind = "object"

    def add(self, rows: Sequence[int], values: Sequence[Any]) -> None:
        """Put values into rows; ``None`` and ``MISSING`` leave a gap.

        Parameters
        ----------
        rows
            Positions in rising order, beyond those of every call before.
        values
            As many values.
        """
        kinds = set(map(type, values))
        if not kinds.isdisjoint(_NOTHING):
            kinds -= _NOTHING
            if not kinds:
                return
            there = [
                (row, value)
                for row, value in zip(rows, values, strict=True)
                if value is not None and value is not MISSING
            ]
            rows = [row for row, _ in there]
            values = [value for _, value in there]
        if not isinstance(rows, range):
            rows = np.fromiter(rows, dtype=np.int64, count=len(rows))  # type: ignore[assignment]
        self._filled += len(values)
        self._pieces.append((rows, self._compact(values, kinds)))  # type: ignore[arg-type]

    def add_kept(self, start: int, kept: KeptValues) -> None:
        """Put what the store keeps of a range of deliveries into rows, as :meth:`add` does."""
        rows: range | np.ndarray[Any, Any] = range(start, start + kept.number)
        if kept.places is not None:
            rows = start + np.frombuffer(kept.places, dtype="<u2").astype(np.int64)
        if kept.kind == "object":
            if kept.number:
                self.add(rows, kept.objects)  # type: ignore[arg-type]
            return
        values: Array
        if kept.kind == "text":
            values = packed_text(kept) if kept.number >= _MIN_TEXTS else objects(kept.texts())
            self._seen |= _TEXT
        else:
            values = np.frombuffer(kept.data, dtype=_KEPT[kept.kind])
            self._seen |= _KEPT_SEEN[kept.kind]
            if kept.kind == "int" and (values.max() > _EXACT or values.min() < -_EXACT):
                self._seen |= _WIDE
        self._filled += kept.number
        self._pieces.append((rows, values))

    def _compact(self, values: Sequence[Any], kinds: set[type]) -> Array:
        count = len(values)
        for kind in kinds:
            self._seen |= _SEEN.get(kind, _OTHER)
        if kinds == {int}:
            try:
                whole = np.fromiter(values, dtype=np.int64, count=count)
            except OverflowError:
                self._seen |= _HUGE
            else:
                if whole.max() > _EXACT or whole.min() < -_EXACT:
                    self._seen |= _WIDE
                return whole
        elif kinds == {bool}:
            return np.fromiter(values, dtype=np.bool_, count=count)
        elif kinds == {float}:
            return np.fromiter(values, dtype=np.float64, count=count)
        elif kinds == {str} and count >= _MIN_TEXTS:
            # A Python string beside each of Arrow's would be twice the memory, and more.
            with suppress(UnicodeEncodeError):  # half of a surrogate pair
                return text(values)
        elif int in kinds and any(type(value) is int and abs(value) > _EXACT for value in values):
            self._seen |= _WIDE  # it is mixed, which makes objects of the huge ones too
        return objects(values)

    def _kind_of(self, length: int) -> Kind:
        gaps = self._filled < length
        if self._seen & ~_WIDE == _INT:
            return "int with gaps" if gaps else "int"
        if self._seen == _BOOL:
            return "bool with gaps" if gaps else "bool"
        if self._seen == _FLOAT:
            return "float"
        if self._seen == _INT | _FLOAT:
            return "int or float"
        return "text" if self._seen == _TEXT else "object"

    def array(self, length: int) -> Array:
        """Return the first ``length`` rows, those that :meth:`add` has filled and the gaps between.

        The column keeps the array: it is not to be changed.
        """
        kind = self._kind_of(length)
        if self._laid_out is not None and kind != self._kind:
            self._laid_out = _convert(self._laid_out, kind)
        if self._laid_out is None or length > self._covered:
            new = self._dense(kind, length)
            self._laid_out = new if self._laid_out is None else joined(self._laid_out, new)
            self._covered = length
            self._pieces.clear()
        self._kind = kind
        if kind == "int or float":
            # Kept as objects: which of them were integers must not be lost before a text arrives.
            return np.asarray(self._laid_out).astype(np.float64)
        return self._laid_out

    def _dense(self, kind: Kind, length: int) -> Array:
        """Lay out the pieces added since."""
        start = self._covered
        if kind == "text":
            return self._dense_text(start, length)
        dtype = _STORED.get(kind, object)
        if kind == "float":
            data = np.full(length - start, np.nan)
        else:
            data = np.full(length - start, None if dtype is object else 0, dtype=dtype)
        mask = np.ones(length - start, dtype=np.bool_)
        for rows, values in self._pieces:
            place: Any = (
                slice(rows.start - start, rows.stop - start)
                if isinstance(rows, range)
                else rows - start
            )
            # Always exact: between different types only objects stand.
            data[place] = values if values.dtype == dtype else as_objects(values)
            mask[place] = False
        return _wrap(kind, data, mask)

    def _dense_text(self, at: int, length: int) -> Array:
        """Lay out the pieces added since, all of them text, without going through strings."""
        parts: list[Array] = []
        strings: list[tuple[Any, Any]] = []  # small pieces, which are laid out together

        def lay_out(stop: int) -> None:
            if stop > at or not parts:
                data = np.full(stop - at, None, dtype=object)
                for rows, values in strings:
                    data[np.asarray(rows) - at] = values
                parts.append(text(data))
                strings.clear()

        for rows, values in self._pieces:
            if isinstance(values, np.ndarray):
                strings.append((rows, values))
                continue
            first, stop = int(rows[0]), int(rows[-1]) + 1
            if first > at:
                lay_out(first)
            part: Any = values
            if len(part) < stop - first:
                places = np.full(stop - first, -1)
                places[np.asarray(rows) - first] = np.arange(len(part))
                part = part.take(places, allow_fill=True)
            parts.append(part)
            at = stop
        lay_out(length)
        return concatenated(parts)


def _wrap(kind: Kind, data: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]) -> Array:
    if kind == "int with gaps":
        return pd.arrays.IntegerArray(data, mask)
    if kind == "bool with gaps":
        return pd.arrays.BooleanArray(data, mask)
    return text(data) if kind == "text" else data


def _convert(array: Array, kind: Kind) -> Array:
    """Bring an array to a wider type, through objects: no integer ever becomes a float."""
    mask = np.asarray(pd.isna(array))
    data = as_objects(array)
    data[mask] = None
    dtype = _STORED.get(kind, object)
    if dtype is not object:
        data[mask] = np.nan if kind == "float" else 0
        data = data.astype(dtype)
    return _wrap(kind, data, mask)
