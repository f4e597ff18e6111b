"""Paths: where in a value another value stands.

A path is written as text and used as a tuple of parts; both say the same. The grammar::

    path      =  [ first ] { next }
    first     =  key | bracket
    next      =  "." key | bracket
    key       =  one or more characters, none of them  .  [  ]  "  '
    bracket   =  "[" ( position | "*" | quoted ) "]"
    position  =  an integer without leading zeros; -1 is the last
    quoted    =  a key in quotes, either kind, with the escapes of JSON strings

``""`` is the root, the value itself. A key that holds a dot, a bracket or a quote, or that is
empty, has to be quoted; :func:`format` quotes no others. Digits after a dot are a key (``a.0``),
digits in brackets are a position (``a[0]``).

What a path gives:

* A key on an object gives its value. A key on a list gives the values of every element that has it,
  flattened one level, as NocoBase does; elements that are lists themselves are looked into
  likewise.
* A position on a list gives that element.
* ``[*]`` on a list gives the list of what the rest of the path gives for each element.
* Everything else is :data:`MISSING`, which is not ``None``: ``null`` is a value that came.
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
