"""Settings as JSON-compatible data, with marks for values that JSON cannot represent.

Bytes become ``{"base64": "…"}`` and functions ``{"function": "name", "source": "…"}``. An object
that happens to look like a mark is wrapped in ``{"plain": {…}}``, so that every value survives the
round trip.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from hooknb.errors import SettingError
from hooknb.workflow.nodes.sources import Unbound, is_function, name_of, source_of

__all__ = ["as_own", "exactly_equal", "from_data", "map_functions", "settings_of", "to_data"]

Struct = TypeVar("Struct", bound=msgspec.Struct)

_MARKS: Final = (frozenset({"base64"}), frozenset({"function", "source"}), frozenset({"plain"}))


def to_data(value: Any) -> Any:  # noqa: PLR0911 - one for each kind of value
    """Return a value as JSON-compatible data; settings at their defaults are left out.

    Raises
    ------
    SettingError
        It contains a value that cannot be represented; the setting's name is empty.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, msgspec.Struct):
        return _struct(value)
    if isinstance(value, Mapping):
        data = {_key(key): to_data(item) for key, item in value.items()}
        return {"plain": data} if data.keys() in _MARKS else data
    if isinstance(value, (list, tuple)):
        return [to_data(item) for item in value]
    if is_function(value):
        return {"function": name_of(value), "source": source_of(value)}
    try:
        return to_data(msgspec.to_builtins(value))
    except TypeError as error:
        raise SettingError("", f"{type(value).__name__} cannot be written as JSON") from error


def from_data(data: Any, place: str = "") -> Any:
    """Invert :func:`to_data`; nodes and variables stay JSON objects.

    Raises
    ------
    SettingError
        A mark is invalid; the error names its place.
    """
    if isinstance(data, list):
        return [from_data(item, f"{place}[{index}]") for index, item in enumerate(data)]
    if not isinstance(data, dict):
        return data
    names = data.keys()
    if names == {"plain"} and isinstance(data["plain"], dict):
        data = data["plain"]
    elif names == {"base64"}:
        try:
            return base64.b64decode(data["base64"], validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise SettingError(f"{place}.base64", f"it is not Base64: {error}") from error
    elif names == {"function", "source"}:
        for name, text in data.items():
            if not isinstance(text, str):
                raise SettingError(f"{place}.{name}", f"{text!r} is not text")
        return Unbound(data["function"], data["source"])
    return {name: from_data(item, f"{place}.{name}") for name, item in data.items()}


def settings_of(value: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a struct that are not at their defaults, by name, in their order."""
    settings: dict[str, Any] = {}
    left_out: dict[str, Any] = {}
    for field in _fields(type(value)):
        item, default = getattr(value, field.name), _default(field)
        if _same(item, default):
            continue
        if item == () and default is not msgspec.NODEFAULT:
            # An empty list may be the normalized form of a default of None.
            without = left_out | {field.name: default}
            if getattr(msgspec.structs.replace(value, **without), field.name) == ():
                left_out = without
                continue
        settings[field.name] = item
    return settings


def exactly_equal(one: Any, other: Any) -> bool:
    """Whether two values are the same data: ``1``, ``1.0`` and ``True`` are not."""
    return _identical(to_data(one), to_data(other))


def as_own(value: Any, kind: type[Struct]) -> Struct | None:
    """Return a value as an instance of a class, even if another copy of the class made it.

    The server outlives a module that is dropped and imported again, and gets values made by the
    new one. Returns ``None`` for a value of another class.
    """
    copy = type(value)
    if isinstance(value, kind):
        return value
    if (copy.__module__, copy.__name__) != (kind.__module__, kind.__name__):
        return None
    return kind(**{field: getattr(value, field) for field in copy.__struct_fields__})


def map_functions(value: Any, change: Callable[[str, Any], Any], key: str = "") -> Any:
    """Return a value in which ``change(key, function)`` replaces every function.

    ``key`` is the key of the function's node.
    """
    if isinstance(value, msgspec.Struct):
        key = getattr(value, "key", key)
        changed = {}
        for name in value.__struct_fields__:
            before = getattr(value, name)
            after = map_functions(before, change, key)
            if after is not before:
                changed[name] = after
        if not changed:
            return value
        if "source" in value.__struct_fields__ and any(
            is_function(item) for item in changed.values()
        ):
            changed["source"] = ""  # derived from the new function
        return msgspec.structs.replace(value, **changed)
    if isinstance(value, (list, tuple)):
        items = [map_functions(item, change, key) for item in value]
        same = all(one is other for one, other in zip(items, value, strict=True))
        return value if same else type(value)(items)
    if isinstance(value, dict):
        mapped = {name: map_functions(item, change, key) for name, item in value.items()}
        return value if all(mapped[name] is value[name] for name in value) else mapped
    return change(key, value) if is_function(value) else value


def _identical(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_identical(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_identical, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)  # tells -0.0 from 0.0, and equates NaN with NaN
    return bool(one == other)


def _struct(value: msgspec.Struct) -> dict[str, Any]:
    tag = value.__struct_config__.tag
    data = {} if tag is None else {value.__struct_config__.tag_field or "type": tag}
    settings = settings_of(value)
    for name, item in settings.items():
        # The source is a field of the node too.
        named = name == "function" and "source" in settings and is_function(item)
        data[name] = name_of(item) if named else to_data(item)
    return data


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[Any, ...]:
    fields = msgspec.structs.fields(kind)
    # The key of a node comes first, for readers of the JSON.
    return tuple(sorted(fields, key=lambda field: field.name != "key"))


def _default(field: Any) -> Any:
    """Return the default of a field, or ``NODEFAULT``."""
    made = field.default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT
    return field.default_factory() if made else field.default


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and exactly_equal(value, default))


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    try:
        [text] = msgspec.to_builtins({key: None}, str_keys=True)
    except TypeError as error:
        raise SettingError("", f"{key!r} cannot be a key in JSON; write it as text") from error
    return str(text)
