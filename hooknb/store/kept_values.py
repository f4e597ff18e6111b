"""The values of one column as bytes, from which they come back exactly, or else not at all."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from hooknb.paths import MISSING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KeptValues", "pack", "unpack"]

Kind: TypeAlias = Literal["int", "float", "bool", "text", "object"]

_KINDS: Final[tuple[Kind, ...]] = ("int", "float", "bool", "text", "object")
_TYPES: Final[dict[type, Kind]] = {int: "int", float: "float", bool: "bool", str: "text"}
_FORMATS: Final = {"int": "q", "float": "d", "bool": "?"}
_HEAD: Final = struct.Struct("<BBBI")  # kind; are there gaps, is it compressed; number of values
_MAX_COMPRESSED: Final = 256 * 1024  # bytes; long texts would take longer to read than to parse


class KeptValues(NamedTuple):
    """What :func:`unpack` returns. Numbers are little-endian.

    Attributes
    ----------
    kind
        What all values are.
    number
        How many there are.
    places
        16 bits each: where they stand; ``None`` where there are no gaps.
    data
        64-bit integers, 64-bit floats, or booleans of a byte each; of texts UTF-8.
    ends
        Of texts where each ends in ``data``: 32 bits each.
    objects
        Whatever else, in place of ``data``.
    """

    kind: Kind
    number: int
    places: memoryview | None
    data: memoryview
    ends: memoryview
    objects: list[Any]

    def texts(self) -> list[str]:
        """Return the texts one by one."""
        data, start, made = bytes(self.data), 0, []
        for (end,) in struct.iter_unpack("<I", self.ends):
            made.append(data[start:end].decode())
            start = end
        return made


def pack(values: Sequence[Any]) -> bytes | None:
    """Pack at most 65,536 values; ``None`` and ``MISSING`` are gaps.

    Return ``None`` where they would not come back equal and of the same types.
    """
    places = [at for at, value in enumerate(values) if value is not None and value is not MISSING]
    there = [values[at] for at in places]
    kinds = set(map(type, there))
    kind = _TYPES.get(kinds.pop(), "object") if len(kinds) == 1 else "object"
    try:
        try:
            data = _packed(kind, there)
        except (struct.error, UnicodeEncodeError):  # beyond 64 bits, or half of a surrogate pair
            kind = "object"
            data = _packed(kind, there)
        has_gaps = len(there) < len(values)
        if has_gaps:
            data = struct.pack(f"<{len(places)}H", *places) + data
    except (TypeError, ValueError, RecursionError, struct.error):
        return None
    small = zlib.compress(data, 1) if len(data) <= _MAX_COMPRESSED else data
    is_compressed = 2 * len(small) <= len(data)
    head = _HEAD.pack(_KINDS.index(kind), has_gaps, is_compressed, len(there))
    return head + (small if is_compressed else data)


def _packed(kind: Kind, values: list[Any]) -> bytes:
    if kind in _FORMATS:
        return struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
    if kind == "text":
        texts = [value.encode() for value in values]
        ends, end = [], 0
        for text in texts:
            end += len(text)
            ends.append(end)
        return struct.pack(f"<{len(ends)}I", *ends) + b"".join(texts)
    data = json.dumps(values).encode()
    if not _is_same(json.loads(data), values):
        message = "JSON does not have these values"
        raise ValueError(message)
    return data


def _is_same(value: Any, other: Any) -> bool:
    """Tell whether two values are equal in every type and every bit."""
    kind = type(value)
    if kind is not type(other):
        return False
    if kind is list:
        return len(value) == len(other) and all(map(_is_same, value, other))
    if kind is dict:
        # Their order is part of them: it is seen in a cell.
        return list(value) == list(other) and all(map(_is_same, value.values(), other.values()))
    if kind is float:
        return struct.pack("<d", value) == struct.pack("<d", other)
    return bool(value == other)


def unpack(packed: memoryview) -> KeptValues:
    """Return what :func:`pack` was given; the bytes are known to be its own."""
    code, has_gaps, is_compressed, count = _HEAD.unpack_from(packed)
    kind, rest = _KINDS[code], packed[_HEAD.size :]
    if is_compressed:
        rest = memoryview(zlib.decompress(rest))
    places, ends, objects = None, packed[:0], []
    if has_gaps:
        places, rest = rest[: 2 * count], rest[2 * count :]
    if kind == "text":
        ends, rest = rest[: 4 * count], rest[4 * count :]
    if kind == "object":
        objects = json.loads(bytes(rest))
    return KeptValues(kind, count, places, rest, ends, objects)
