"""Paths: the location of one value inside another.

A path is written as text and used as a tuple of parts; the two forms are equivalent. The grammar::

    path      =  [ first ] { next }
    first     =  key | bracket
    next      =  "." key | bracket
    key       =  one or more characters, none of them  .  [  ]  "  '
    bracket   =  "[" ( position | "*" | quoted ) "]"
    position  =  an integer without leading zeros; -1 is the last
    quoted    =  a key in quotes, either kind, with the escapes of JSON strings

``""`` is the root, the value itself. A key that contains a dot, a bracket or a quote, or that is
empty, must be quoted; :func:`format` quotes only such keys. Digits after a dot are a key
(``a.0``), digits in brackets are a position (``a[0]``).

A path resolves as follows:

* A key on an object resolves to its value. A key on a list resolves to the values of all elements
  that have it, flattened one level, as in NocoBase; elements that are lists are searched likewise.
* A position on a list resolves to that element.
* ``[*]`` on a list resolves to a list: the rest of the path, resolved in each element.
* Everything else resolves to :data:`MISSING`, which is not ``None``: JSON's ``null`` is a value.
"""

from __future__ import annotations

from hooknb.paths.getters import Getter, compile, get  # noqa: A004 - the word of the field, as in re
from hooknb.paths.grammar import EVERY, MISSING, Every, Missing, Part, Path, format, join, parse

__all__ = [
    "EVERY",
    "MISSING",
    "Every",
    "Getter",
    "Missing",
    "Part",
    "Path",
    "compile",
    "format",
    "get",
    "join",
    "parse",
]
