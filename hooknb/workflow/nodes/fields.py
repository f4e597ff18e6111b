"""The fields of a node class, inspected once for both checks and forms.

Types come from ``msgspec.inspect``; constraints and the texts of forms from the ``Meta`` of the
field::

    max_items: Annotated[int, Meta(ge=1, description="Turns at the most")] = 10_000
"""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from hooknb.errors import SettingError
from hooknb.workflow.nodes.node import Node
from hooknb.workflow.nodes.secrets import shown

__all__ = ["NodeField", "check_fields", "convert_fields", "fields_of", "is_function_type"]

# Python types, and their names in messages.
_KINDS: Final[dict[type[inspect.Type], tuple[type | tuple[type, ...], str]]] = {
    inspect.NoneType: (type(None), "null"),
    inspect.BoolType: (bool, "true or false"),
    inspect.IntType: (int, "a whole number"),
    inspect.FloatType: ((int, float), "a number"),
    inspect.StrType: (str, "text"),
    inspect.BytesType: (bytes, "bytes"),
    inspect.DateTimeType: (datetime, "a time"),
    inspect.DateType: (date, "a date"),
    inspect.ListType: (list, "a list"),
    inspect.VarTupleType: ((list, tuple), "a list"),
    inspect.TupleType: ((list, tuple), "a list"),
    inspect.SetType: (set, "a set"),
    inspect.FrozenSetType: (frozenset, "a set"),
    inspect.DictType: (dict, "an object"),
    inspect.TypedDictType: (dict, "an object"),
}
_NUMBERS: Final = (inspect.IntType, inspect.FloatType)
_CONSTRAINTS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "multiple_of": lambda value, step: value % step == 0,
    "min_length": lambda value, length: len(value) >= length,
    "max_length": lambda value, length: len(value) <= length,
    "pattern": lambda value, pattern: re.search(pattern, value),
}


@dataclass(frozen=True, kw_only=True)
class NodeField:
    """One field of a node's class.

    Attributes
    ----------
    name
        The name of the field.
    annotation
        Its annotation in the class, with its ``Meta``.
    info
        The annotation as a type of ``msgspec.inspect``.
    """

    name: str
    annotation: Any
    info: inspect.Type

    @property
    def types(self) -> tuple[inspect.Type, ...]:
        """Its types: several for a union."""
        return tuple(_options(self.info))

    @property
    def hints(self) -> dict[str, Any]:
        """The hints of its ``Meta`` for forms: ``label``, ``hint``, ``placeholder``, and extras."""
        return _hints(self.info)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of its ``Literal``."""
        literals = (one for one in self.types if isinstance(one, inspect.LiteralType))
        return tuple(value for one in literals for value in one.values)

    @property
    def holds_nodes(self) -> bool:
        """Whether it holds nodes."""
        return any(
            isinstance(one, inspect.StructType) and issubclass(one.cls, Node)
            for one in _parts(self.info)
        )

    @property
    def is_plain(self) -> bool:
        """Whether JSON fully determines its value: it holds no nodes and no functions."""
        return not self.holds_nodes and not any(
            isinstance(one, inspect.CustomType) for one in _parts(self.info)
        )

    def fits(self, value: object) -> bool:
        """Whether a value has its type and meets its constraints."""
        return _fits(value, self.info)

    def refusal(self, value: object, place: str) -> SettingError:
        """Return the error for an invalid value, which says what is expected."""
        where = f"{place}.{self.name}" if place else self.name
        if set(map(type, self.types)) == {inspect.BoolType}:
            return SettingError(where, f"{shown(value)} is neither True nor False")
        unit = self.hints.get("unit", "")
        return SettingError(where, f"{shown(value)} is not {_named(self.info, unit)}")


@cache
def fields_of(kind: type[msgspec.Struct]) -> tuple[NodeField, ...]:
    """Return the fields of a class in order; none if its annotations cannot be resolved.

    A class defined in a cell may refer to names that no longer exist.
    """
    try:
        annotations = get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):
        return ()
    return tuple(
        NodeField(name=name, annotation=annotations[name], info=_info(annotations[name]))
        for name in kind.__struct_fields__
        if name in annotations
    )


def is_function_type(info: inspect.Type) -> bool:
    """Whether a type is a type of functions."""
    function: Any = Callable
    return isinstance(info, inspect.CustomType) and info.cls is function


def check_fields(value: msgspec.Struct, place: str = "") -> None:
    """Refuse a struct with a field of the wrong type or outside its constraints.

    Raises
    ------
    SettingError
        The error names the place: ``nodes[0].key: 5 is not text``.
    """
    for field in fields_of(type(value)):
        item = getattr(value, field.name)
        if not field.fits(item):
            raise field.refusal(item, place)


def convert_fields(
    kind: type[msgspec.Struct], settings: Mapping[str, Any], place: str
) -> dict[str, Any]:
    """Convert settings read from JSON to the types of their fields: lists to tuples.

    Fields that hold nodes or functions are left to the class.

    Raises
    ------
    SettingError
        A value has the wrong type; the error names its place.
    """
    converted = dict(settings)
    for field in fields_of(kind):
        if field.name not in settings or not field.is_plain:
            continue
        item = settings[field.name]
        if not field.fits(item) or isinstance(item, list):
            try:
                converted[field.name] = msgspec.convert(item, field.annotation)
            except (msgspec.ValidationError, SettingError) as error:
                raise field.refusal(item, place) from error
    return converted


def _info(annotation: Any) -> inspect.Type:
    try:
        return inspect.type_info(annotation)
    except TypeError:
        if get_origin(annotation) is Annotated:
            notes = inspect.type_info(Annotated[Any, *annotation.__metadata__])
            return msgspec.structs.replace(notes, type=_info(annotation.__origin__))
        # msgspec does not inspect a union with a function type: each member is inspected alone.
        if get_origin(annotation) in {Union, UnionType}:
            return inspect.UnionType(tuple(map(_info, get_args(annotation))))
        return inspect.CustomType(object)


def _options(info: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the types of a union, without their metadata."""
    if isinstance(info, inspect.Metadata):
        yield from _options(info.type)
    elif isinstance(info, inspect.UnionType):
        for one in info.types:
            yield from _options(one)
    else:
        yield info


def _parts(info: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the types of a union, and those nested in them."""
    for one in _options(info):
        yield one
        if isinstance(one, inspect.CollectionType):
            inner: tuple[inspect.Type, ...] = (one.item_type,)
        elif isinstance(one, inspect.TupleType):
            inner = one.item_types
        elif isinstance(one, inspect.DictType):
            inner = (one.key_type, one.value_type)
        elif isinstance(one, inspect.StructType):
            inner = tuple(field.type for field in one.fields)
        else:
            continue
        for part in inner:
            yield from _parts(part)


def _hints(info: inspect.Type) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    if isinstance(info, inspect.UnionType):
        for one in info.types:
            hints |= _hints(one)
    elif isinstance(info, inspect.Metadata):
        schema = info.extra_json_schema or {}
        hints |= _hints(info.type)
        names = {"label": "title", "hint": "description"}
        hints |= {name: schema[key] for name, key in names.items() if key in schema}
        if schema.get("examples"):
            hints["placeholder"] = schema["examples"][0]
        hints |= info.extra or {}
    return hints


def _fits(value: Any, info: inspect.Type) -> bool:
    return any(_fits_one(value, one) for one in _options(info))


def _fits_one(value: Any, info: inspect.Type) -> bool:
    if isinstance(info, inspect.LiteralType):
        return any(type(value) is type(one) and value == one for one in info.values)
    if is_function_type(info):
        return callable(value)
    kind = _KINDS[type(info)][0] if type(info) in _KINDS else getattr(info, "cls", object)
    if not isinstance(value, kind) or (isinstance(info, _NUMBERS) and isinstance(value, bool)):
        return False
    return _items_fit(value, info) and _is_within(value, info)


def _items_fit(value: Any, info: inspect.Type) -> bool:
    if isinstance(info, inspect.CollectionType):
        return all(_fits(item, info.item_type) for item in value)
    if isinstance(info, inspect.TupleType):
        return len(value) == len(info.item_types) and all(map(_fits, value, info.item_types))
    if isinstance(info, inspect.DictType):
        return all(_fits(k, info.key_type) and _fits(v, info.value_type) for k, v in value.items())
    return True


def _is_within(value: Any, info: inspect.Type) -> bool:
    limits = _limits(info)
    # A bounded value must be finite; an int may be too large for a float.
    if limits and isinstance(info, inspect.FloatType) and not abs(value) <= sys.float_info.max:
        return False
    return all(_CONSTRAINTS[name](value, limit) for name, limit in limits.items())


def _limits(info: inspect.Type) -> dict[str, Any]:
    found = {name: getattr(info, name, None) for name in _CONSTRAINTS}
    return {name: limit for name, limit in found.items() if limit is not None}


def _named(info: inspect.Type, unit: str) -> str:
    """Return a readable name of a type: ``text or null``."""
    return " or ".join(dict.fromkeys(_named_one(one, unit) for one in _options(info)))


def _named_one(info: inspect.Type, unit: str) -> str:
    if isinstance(info, inspect.LiteralType):
        *others, last = map(str, info.values)
        return f"{', '.join(others)} or {last}" if others else last
    if is_function_type(info):
        return "a function of the context"
    if type(info) not in _KINDS:
        return str(getattr(getattr(info, "cls", None), "__name__", "a value"))
    word, limits = _KINDS[type(info)][1], _limits(info)
    if unit and isinstance(info, _NUMBERS):
        word += f" of {unit}"
    low, high = limits.pop("ge", None), limits.pop("le", None)
    if low is not None:
        word += f" from {low:,} up" if high is None else f" from {low:,} to {high:,}"
    elif high is not None:
        word += f" up to {high:,}"
    return word + "".join(f" {_LIMIT_WORDS[name]} {limit}" for name, limit in limits.items())


_LIMIT_WORDS: Final = {
    "gt": "above",
    "lt": "below",
    "multiple_of": "divisible by",
    "min_length": "of a length from",
    "max_length": "of a length up to",
    "pattern": "matching",
}
