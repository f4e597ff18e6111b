"""Query strings and form fields: flat pairs to nested values, as npm's ``qs`` nests them.

The rules are those of ``qs`` 6.17 with its default options:

* ``a[b]=1`` nests up to five levels; deeper brackets stay part of one key.
* ``a=1&a=2``, ``a[]=1&a[]=2`` and ``a[0]=1&a[1]=2`` are lists, and gaps are closed. A list with
  more than 20 elements, or a position beyond 19, becomes an object with the positions as keys.
* Dots do not nest, ``+`` is a space, ``a`` alone is ``""``, and pairs without a name are dropped.
* A name or value whose percent escapes are not UTF-8 stays as written.
* Names that every JavaScript object has (``constructor``, ``__proto__`` and ten more) are dropped.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from hooknb.payloads.charsets import declared_codec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_FIELDS", "nest", "parse_query_string"]

MAX_FIELDS: Final = 10_000
"""Maximum fields of a form; a form with more is refused."""

_MAX_DEPTH: Final = 5
_MAX_ELEMENTS: Final = 20
_OBJECT_PROTOTYPE: Final = frozenset(
    {
        "__defineGetter__",
        "__defineSetter__",
        "__lookupGetter__",
        "__lookupSetter__",
        "__proto__",
        "constructor",
        "hasOwnProperty",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "toLocaleString",
        "toString",
        "valueOf",
    }
)

_BRACKETS: Final = re.compile(r"%5([BbDd])")
_ESCAPES: Final = re.compile(r"((?:%[0-9a-fA-F]{2})+)")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9a-fA-F]{2})")
_ANY_BRACKET: Final = re.compile(r"[\[\]]")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,14}")  # JavaScript writes larger numbers differently


def parse_query_string(text: str, *, charset: str | None = None) -> dict[str, Any]:
    """Read a query string, or a body of ``application/x-www-form-urlencoded``.

    Parameters
    ----------
    text
        The query without its question mark. All pairs are read, whereas ``qs`` silently drops
        those after the first 1,000.
    charset
        Tried for percent escapes that are not UTF-8, such as ``iso-8859-1`` for ``%E9``; an option
        in ``qs``.

    Returns
    -------
    dict
        Strings, and lists and dicts of strings. No text raises an error.
    """
    return nest(_pairs(text, declared_codec(charset))) if text else {}


def nest(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Nest pairs by the brackets in their names.

    Parameters
    ----------
    pairs
        Decoded names, and values. A value that is a dict or a list is kept unchanged; other values
        are never merged into it.

    Returns
    -------
    dict
        In the order in which the names first occur. (JavaScript puts numeric names first.)
    """
    flat: defaultdict[str, list[Any]] = defaultdict(list)
    for name, value in pairs:
        flat[name].append(value)
    root = _Object()
    for name, values in flat.items():
        if name and (keys := _split(name)):
            _merged(root, _wrapped(keys, _limited(values) if len(values) > 1 else values[0]))
    return {key: _plain(value) for key, value in root.items()}


# -- text to pairs


def _pairs(text: str, charset: str | None) -> Iterator[tuple[str, str]]:
    if "%5" in text:
        text = _BRACKETS.sub(lambda match: "[" if match[1] in "Bb" else "]", text)
    plain = "%" not in text and "+" not in text
    for part in text.split("&"):
        if not part:
            continue
        split = part.find("]=") + 1 or part.find("=")
        if split == -1:
            yield _decoded(part, charset), ""
        elif plain:
            yield part[:split], part[split + 1 :]
        else:
            yield _decoded(part[:split], charset), _decoded(part[split + 1 :], charset)


def _decoded(text: str, charset: str | None) -> str:
    """Decode ``+`` and either all percent escapes or none (ECMA-262's decodeURIComponent)."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text or _BAD_ESCAPE.search(text):
        return text
    for codec in ("utf-8", charset):
        if codec is None:
            continue
        try:
            if text.isascii():
                return unquote_to_bytes(text).decode(codec)
            return "".join(
                unquote_to_bytes(piece).decode(codec) if index % 2 else piece
                for index, piece in enumerate(_ESCAPES.split(text))
            )
        except ValueError:
            continue
    return text


# -- names to keys


def _split(name: str) -> list[str] | None:
    """Split ``a[b][c]`` into ``a``, ``[b]``, ``[c]``; ``None`` for a name that is dropped."""
    opening = name.find("[")
    if opening == -1:
        return None if name in _OBJECT_PROTOTYPE else [name]
    keys: list[str] = []
    if opening:
        if name[:opening] in _OBJECT_PROTOTYPE:
            return None
        keys.append(name[:opening])
    for _ in range(_MAX_DEPTH):
        closing = _closing(name, opening)
        if closing == -1:
            break
        if name[opening + 1 : closing] in _OBJECT_PROTOTYPE:
            return None
        keys.append(name[opening : closing + 1])
        opening = name.find("[", closing)
        if opening == -1:
            return keys
    return [*keys, f"[{name[opening:]}]"]


def _closing(name: str, opening: int) -> int:
    """Find the bracket that closes the one at ``opening``; -1 if there is none."""
    closing = name.find("]", opening)
    if closing == -1 or name.find("[", opening + 1, closing) == -1:
        return closing
    level = 0
    for bracket in _ANY_BRACKET.finditer(name, opening):
        level += 1 if bracket[0] == "[" else -1
        if level == 0:
            return bracket.start()
    return -1


# -- keys to values


class _Hole:
    """Fills a position of a list for which no element was received."""


_HOLE: Final = _Hole()


class _List(list[Any]):
    """An unfinished list; ``conflict`` if it holds an object and a string of the same name."""

    __slots__ = ("conflict",)

    def __init__(self, elements: Iterable[Any] = (), *, conflict: bool = False) -> None:
        super().__init__(elements)
        self.conflict = conflict


class _Object(dict[str, Any]):
    """An unfinished object.

    ``last`` is the largest position among the keys if it was a list that grew too long, otherwise
    -1; ``conflict`` is the same for a list with a conflict.
    """

    __slots__ = ("conflict", "last")

    def __init__(
        self, entries: Iterable[tuple[str, Any]] = (), *, last: int = -1, conflict: int = -1
    ) -> None:
        super().__init__(entries)
        self.last = last
        self.conflict = conflict


def _as_object(elements: list[Any], *, overflows: bool) -> _Object:
    entries = (
        (str(index), element) for index, element in enumerate(elements) if element is not _HOLE
    )
    return _Object(entries, last=len(elements) - 1 if overflows else -1)


def _limited(elements: list[Any]) -> _List | _Object:
    if len(elements) > _MAX_ELEMENTS:
        return _as_object(elements, overflows=True)
    return elements if isinstance(elements, _List) else _List(elements)


def _concatenated(first: Any, second: Any) -> list[Any]:
    return [
        *(first if isinstance(first, _List) else (first,)),
        *(second if isinstance(second, _List) else (second,)),
    ]


def _wrapped(keys: list[str], value: Any) -> Any:
    """Return a value that contains only ``value``, at ``keys``."""
    for key in reversed(keys):
        if key == "[]":
            if not (isinstance(value, _Object) and value.last >= 0):
                value = _limited(_List(value) if isinstance(value, _List) else _List([value]))
            continue
        name = key[1:-1] if key[0] == "[" and key[-1] == "]" else key
        if name is not key and _INDEX.fullmatch(name):
            index = int(name)
            if index < _MAX_ELEMENTS:
                value = _List([*([_HOLE] * index), value])
            else:
                value = _Object([(name, value)], last=index)
        else:
            value = _Object() if name == "__proto__" else _Object([(name, value)])
    return value


def _count(elements: _List) -> int:
    return len(elements) - elements.count(_HOLE)


def _merged(target: Any, source: Any) -> Any:
    """Return two values of one name merged; the target may be changed in place."""
    if not isinstance(source, (_List, _Object)):
        return target if source == "" else _with_leaf(target, source)
    if not isinstance(target, (_List, _Object)):
        return _before(target, source)
    if isinstance(target, _List):
        if isinstance(source, _List):
            return _with_list(target, source)
        into = _as_object(target, overflows=False)
        if target.conflict:
            into.conflict = len(target) - 1
    else:
        into = target
    _merge_entries(into, source)
    return into


def _with_leaf(target: Any, leaf: Any) -> Any:
    if isinstance(target, _List):
        full = _count(target) >= _MAX_ELEMENTS
        target.append(leaf)
        return _as_object(target, overflows=True) if full else target
    if not isinstance(target, _Object):
        return _List([target, leaf])
    if target.last >= 0:
        target.last += 1
        target[str(target.last)] = leaf
    elif target.conflict >= 0:
        target.conflict += 1
        target[str(target.conflict)] = leaf
    else:
        return _List([target, leaf], conflict=True)
    return target


def _before(leaf: Any, source: _List | _Object) -> _List | _Object:
    """Put a leaf before the later values of its name."""
    if isinstance(source, _Object) and source.last >= 0:
        shifted = ((str(int(key) + 1), value) for key, value in source.items())
        return _Object([("0", leaf), *shifted], last=source.last + 1)
    return _limited(_concatenated(leaf, source))


def _with_list(target: _List, source: _List) -> _List | _Object:
    for index, element in enumerate(source):
        if element is _HOLE:
            continue
        if index >= len(target):
            target.extend([_HOLE] * (index - len(target)))
            target.append(element)
        elif target[index] is _HOLE:
            target[index] = element
        elif isinstance(target[index], (_List, _Object)) and isinstance(element, (_List, _Object)):
            target[index] = _merged(target[index], element)
        else:
            target.append(element)
    return _as_object(target, overflows=True) if _count(target) > _MAX_ELEMENTS else target


def _merge_entries(into: _Object, source: _List | _Object) -> None:
    overflows = isinstance(source, _Object) and source.last >= 0
    entries = _as_object(source, overflows=False) if isinstance(source, _List) else source
    for key, value in entries.items():
        into[key] = _merged(into[key], value) if key in into else value
        index = int(key) if _INDEX.fullmatch(key) else -1
        if overflows and into.last < 0:
            into.last = max(
                entries.last, *(int(known) for known in into if _INDEX.fullmatch(known)), -1
            )
        if into.last >= 0:
            into.last = max(into.last, index)
        if into.conflict >= 0:
            into.conflict = max(into.conflict, index)


def _plain(value: Any) -> Any:
    if isinstance(value, _List):
        return [_plain(element) for element in value if element is not _HOLE]
    if isinstance(value, _Object):
        return {key: _plain(inner) for key, inner in value.items()}
    return value
