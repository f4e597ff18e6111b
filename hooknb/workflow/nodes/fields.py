"""Whether the settings of a node are of the types that its class says."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ForwardRef, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from hooknb.errors import SettingError
from hooknb.workflow.nodes.base import Node
from hooknb.workflow.nodes.secrets import shown

__all__ = ["check_fields", "convert_fields"]

_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    bytes: "bytes",
    list: "a list",
    tuple: "a list",
    dict: "an object",
    type(None): "null",
}


def check_fields(value: msgspec.Struct, place: str) -> None:
    """Refuse a struct with a field that is not of its type.

    Raises
    ------
    SettingError
        With the place: ``nodes[0].key: 5 is not text``.
    """
    for name, hint in _hints(type(value)).items():
        item = getattr(value, name)
        if not _fits(item, hint):
            raise SettingError(f"{place}.{name}", f"{shown(item)} is not {_named(hint)}")


def convert_fields(
    kind: type[msgspec.Struct], settings: Mapping[str, Any], place: str
) -> dict[str, Any]:
    """Return settings that came from JSON as the types of their fields: lists as tuples.

    Fields that hold nodes or functions are left to the class itself.

    Raises
    ------
    SettingError
        A field is of another type; with the place.
    """
    hints = _hints(kind)
    converted = dict(settings)
    for name, item in settings.items():
        hint = hints.get(name, Any)
        if not _is_plain(hint):
            continue
        if _fits(item, hint):
            if isinstance(item, list) and tuple in {hint, get_origin(hint)}:
                converted[name] = tuple(item)
            continue
        try:
            converted[name] = msgspec.convert(item, hint)
        except (msgspec.ValidationError, SettingError) as error:
            raise SettingError(f"{place}.{name}", f"{shown(item)} is not {_named(hint)}") from error
    return converted


def _is_plain(hint: Any) -> bool:
    """Whether JSON alone says what the value is: no nodes, no functions."""
    origin = get_origin(hint)
    if origin is Literal or hint is Ellipsis:
        return True
    if origin is not None:
        return (origin in {Union, types.UnionType} or origin in _WORDS) and all(
            map(_is_plain, get_args(hint))
        )
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return not issubclass(hint, Node) and all(map(_is_plain, _hints(hint).values()))
    return hint is Any or hint in _WORDS


@cache
def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    try:
        hints = get_type_hints(kind)
    except (NameError, TypeError):  # a class of a cell may name what is known nowhere
        return {}
    return {name: hints[name] for name in kind.__struct_fields__ if name in hints}


def _fits(value: Any, hint: Any) -> bool:  # noqa: PLR0911 - one line for each kind of annotation
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(hint, (TypeVar, ForwardRef, str)):
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin in {Union, types.UnionType}:
        return any(_fits(value, one) for one in arguments)
    if origin is Literal:
        return any(value is one or (type(value), value) == (type(one), one) for one in arguments)
    if Callable in {hint, origin}:
        return callable(value)
    kind = origin or hint
    if not isinstance(kind, type):
        return True
    if kind in {int, float} and isinstance(value, bool):
        return False
    if kind is float:
        return isinstance(value, (int, float))
    if not isinstance(value, (list, tuple) if kind is tuple else kind):
        return False
    return _items_fit(value, kind, arguments)


def _items_fit(value: Any, kind: type, arguments: tuple[Any, ...]) -> bool:
    if not arguments:
        return True
    if issubclass(kind, Mapping):
        return all(_fits(k, arguments[0]) and _fits(v, arguments[1]) for k, v in value.items())
    if issubclass(kind, tuple):
        if len(arguments) == 2 and arguments[1] is Ellipsis:  # noqa: PLR2004 - tuple[X, ...]
            return all(_fits(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(
            _fits(item, hint) for item, hint in zip(value, arguments, strict=True)
        )
    if issubclass(kind, (list, set, frozenset)):
        return all(_fits(item, arguments[0]) for item in value)
    return True


def _named(hint: Any) -> str:
    """Write an annotation for people: ``text or null``."""
    if get_origin(hint) in {Union, types.UnionType}:
        return " or ".join(dict.fromkeys(_named(one) for one in get_args(hint)))
    if get_origin(hint) is Literal:
        return " or ".join(repr(one) for one in get_args(hint))
    if Callable in {hint, get_origin(hint)}:
        return "a function of the context"
    kind = get_origin(hint) or hint
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))
