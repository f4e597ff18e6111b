"""Lists of values from the store to the arrays that frames are made of, and frames of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hooknb.store.kept_values import KeptValues

__all__ = [
    "Array",
    "as_objects",
    "category",
    "concatenated",
    "frame",
    "integers",
    "joined",
    "milliseconds",
    "objects",
    "packed_text",
    "repeated",
    "text",
    "times",
    "times_of",
    "words",
]

Array: TypeAlias = np.ndarray[Any, Any] | ExtensionArray

_MAX_ARRAYS: Final = 50  # of a frame that is made without copying them
_NAT: Final = np.iinfo(np.int64).min
_MAX_VALUES: Final = 10_000  # converted in one call, which keeps other threads waiting meanwhile


def objects(values: Collection[Any]) -> np.ndarray[Any, Any]:
    """Make an array of Python objects; lists among them stay values."""
    return np.fromiter(values, dtype=object, count=len(values))


def text(values: Collection[str | None]) -> Array:
    """Make an array of text, with or without pyarrow.

    Other threads run between its parts: a call for a whole column would stop them for seconds.
    """
    whole = values.tolist() if isinstance(values, np.ndarray) else list(values)
    parts = [
        _text_at_once(whole[start : start + _MAX_VALUES])
        for start in range(0, max(1, len(whole)), _MAX_VALUES)
    ]
    return concatenated(parts)


def _text_at_once(values: list[str | None]) -> Array:
    dtype = pd.StringDtype(na_value=np.nan)
    if dtype.storage != "pyarrow":
        return pd.array(objects(values), dtype=dtype)
    import pyarrow as pa  # an extra; where it is installed, pandas has loaded it

    # pandas would look at each string in turn: of long ones that takes ten times as long.
    array: ExtensionArray = pd.array(pa.array(values, pa.large_string()), dtype=dtype)
    return array


def repeated(values: Sequence[str | None], codes: np.ndarray[Any, np.dtype[np.int64]]) -> Array:
    """Make an array of text that repeats: for each code the value at that place."""
    distinct = text(values)
    parts = [
        distinct.take(codes[start : start + _MAX_VALUES])
        for start in range(0, max(1, len(codes)), _MAX_VALUES)
    ]
    return concatenated(parts)


def packed_text(values: KeptValues) -> Array:
    """Make an array of text out of what the store keeps of it."""
    dtype = pd.StringDtype(na_value=np.nan)
    if dtype.storage != "pyarrow":
        return text(values.texts())
    import pyarrow as pa  # as above

    offsets = np.zeros(values.number + 1, dtype=np.int64)
    offsets[1:] = np.frombuffer(values.ends, dtype="<u4")
    arrow = pa.LargeStringArray.from_buffers(
        values.number, pa.py_buffer(offsets), pa.py_buffer(values.data)
    )
    array: ExtensionArray = pd.array(arrow, dtype=dtype)
    return array


def as_objects(array: Array) -> np.ndarray[Any, Any]:
    """Return the values of an array as Python objects in a new one; made in parts, as text is."""
    made = np.empty(len(array), dtype=object)
    for start in range(0, len(array), _MAX_VALUES):
        part = slice(start, start + _MAX_VALUES)
        made[part] = array[part].astype(object)
    return made


def integers(values: Collection[int | None]) -> Array:
    """Make an array of whole numbers with gaps."""
    mask = np.fromiter((value is None for value in values), dtype=bool, count=len(values))
    data = np.fromiter((value or 0 for value in values), dtype=np.int64, count=len(values))
    return pd.arrays.IntegerArray(data, mask)


def times(values: Collection[int | None]) -> Array:
    """Make an array of times of microseconds since 1970."""
    filled = (_NAT if value is None else value for value in values)
    return times_of(np.fromiter(filled, dtype=np.int64, count=len(values)))


def times_of(data: np.ndarray[Any, np.dtype[np.int64]]) -> Array:
    """Make an array of times of an array of microseconds since 1970."""
    return pd.array(data.view("M8[us]"), dtype="datetime64[us, UTC]")


def milliseconds(starts: Sequence[int | None], ends: Sequence[int | None]) -> Array:
    """Make an array of the milliseconds between times in microseconds; NaN where one is missing."""
    return np.fromiter(
        (
            np.nan if start is None or end is None else (end - start) / 1000
            for start, end in zip(starts, ends, strict=True)
        ),
        dtype=np.float64,
        count=len(starts),
    )


def category(*words: str) -> pd.CategoricalDtype:
    """Make the type of a column that has these words and no others."""
    return pd.CategoricalDtype(pd.Index(words, dtype="str"))


def words(values: Collection[str], dtype: pd.CategoricalDtype) -> Array:
    """Make an array of the words of a category."""
    codes = {word: code for code, word in enumerate(dtype.categories)}
    return pd.Categorical.from_codes([codes[value] for value in values], dtype=dtype)


def joined(first: Array, second: Array) -> Array:
    """Put two arrays of the same type one after the other."""
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.concatenate((first, second))
    return concatenated([first, second])


def concatenated(parts: Sequence[Array]) -> Array:
    """Put arrays of the same type one after the other, at least one."""
    if len(parts) == 1:
        return parts[0]
    series = [pd.Series(part, copy=False) for part in parts]
    array: ExtensionArray = pd.concat(series, ignore_index=True).array
    return array


def frame(columns: Mapping[str, Array], ids: Sequence[int] | np.ndarray[Any, Any]) -> pd.DataFrame:
    """Make a frame of whole columns, whose types stay as they are."""
    index = pd.Index(np.asarray(ids, dtype=np.int64), name="id")
    # pandas infers `str` for an array of objects that happen to be text, unless told the type.
    return pd.DataFrame(
        {
            name: pd.Series(values, index=index, dtype=values.dtype, copy=False)
            for name, values in columns.items()
        },
        index=index,
        # Nobody changes the arrays, and what is written to is copied before. But pandas warns where
        # a column is added to more than a hundred arrays, and copying puts them into a few.
        copy=len(columns) > _MAX_ARRAYS,
    )
