"""The settings of node types as forms show them: what kind each is, written as text and read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, Literal

import msgspec
from msgspec import inspect

from hooknb.errors import SettingError
from hooknb.expressions import compile_expression
from hooknb.ui.draft.typed import (
    read_headers,
    read_json,
    read_setting,
    shown_headers,
    shown_json,
    shown_size,
)
from hooknb.workflow.nodes import Node
from hooknb.workflow.nodes.data import exactly_equal
from hooknb.workflow.nodes.fields import NodeField, fields_of, is_function_type
from hooknb.workflow.nodes.sources import is_function

__all__ = ["REQUIRED", "Setting", "can_be_made", "from_text", "settings", "summary", "to_text"]

REQUIRED: Final = object()
"""The default of a setting that has none."""

Kind = Literal[
    "text", "number", "flag", "choice", "json", "headers", "texts", "size", "condition",
    "cases", "branches", "gate", "function",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a node type.

    Attributes
    ----------
    name
        Of the field.
    fields
        The fields that it stands for, where they are several.
    kind
        What it is, which decides how it is typed.
    default
        Its value where nothing is typed; :data:`REQUIRED` for none.
    label, hint, placeholder
        What the form says about it.
    lines
        How many lines its field has.
    mono
        Whether it is code.
    choices
        The values to choose from.
    is_rare
        Whether it stands under *More settings*.
    """

    name: str
    kind: Kind
    default: Any = REQUIRED
    label: str = ""
    hint: str = ""
    placeholder: str = ""
    lines: int = 1
    mono: bool = True
    choices: tuple[Any, ...] = ()
    is_rare: bool = False
    fields: tuple[str, ...] = ()


@cache
def settings(kind: type[Node]) -> tuple[Setting, ...]:
    """Return the settings of a node type in the order of its class, but for its key.

    Lists of nodes are drawn, not typed; they are left out where no ``kind`` is said for them.
    """
    known = {field.name: field for field in fields_of(kind)}
    found = []
    for field in msgspec.structs.fields(kind):
        read = known.get(field.name) or NodeField(
            name=field.name, annotation=Any, info=inspect.AnyType()
        )
        hints = read.hints
        is_typed = hints.get("is_typed", "kind" in hints or not read.holds_nodes)
        if field.name == "key" or not is_typed:
            continue
        shown = {name: hint for name, hint in hints.items() if name in Setting.__dataclass_fields__}
        made = Setting(
            name=field.name,
            kind=_kind(read.types),
            default=_default(field),
            label=field.name.replace("_", " "),
            choices=read.choices,
        )
        found.append(replace(made, **({"lines": _LINES.get(made.kind, 1), **shown})))
    return tuple(found)


def can_be_made(kind: type[Node]) -> bool:
    """Whether a node of the type can be made without a function, which only a cell can hold."""
    return not any(
        setting.kind == "function" and setting.default is REQUIRED for setting in settings(kind)
    )


def summary(kind: type[Node]) -> str:
    """Say in a line what a type does: the first sentence of its docstring."""
    text = (kind.__doc__ or "").strip().split("\n\n")[0]
    if text.startswith(f"{kind.__name__}("):  # msgspec's own
        return ""
    return " ".join(text.split()).split(". ")[0].split("; ")[0].rstrip(".")


# -- kinds ---------------------------------------------------------------------------------------


def _default(field: Any) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return REQUIRED


def _kind(types: tuple[inspect.Type, ...]) -> Kind:  # noqa: PLR0911 - one line for each kind
    kinds = {type(one) for one in types} - {inspect.NoneType}
    numbers = {inspect.IntType, inspect.FloatType}
    if any(map(is_function_type, types)):
        return "function"
    if kinds == {inspect.LiteralType}:
        return "choice"
    if kinds == {inspect.BoolType}:
        return "flag"
    if kinds & numbers and kinds <= {*numbers, inspect.StrType}:
        return "number"
    if kinds == {inspect.StrType}:
        return "text"
    [first, *others] = types
    if isinstance(first, inspect.DictType) and not others:
        inner = {type(first.key_type), type(first.value_type)}
        return "headers" if inner == {inspect.StrType} else "json"
    if isinstance(first, (inspect.VarTupleType, inspect.ListType)) and not others:
        return "texts" if isinstance(first.item_type, inspect.StrType) else "json"
    return "json"


# -- text ----------------------------------------------------------------------------------------


def to_text(setting: Setting, value: Any) -> str | None:
    """Write a setting's value as :func:`from_text` reads it; ``None`` where it cannot be typed."""
    if is_function(value):
        return None
    try:
        text = _WRITERS.get(setting.kind, _write_json)(setting, value)
        same = exactly_equal(from_text(setting, text), value)
    except (SettingError, TypeError, ValueError, AttributeError, msgspec.MsgspecError):
        return None
    return text if same else None


def from_text(setting: Setting, text: str) -> Any:
    """Read what was typed.

    Raises
    ------
    SettingError
        It cannot be; names the setting.
    """
    if not text.strip() and setting.kind not in {"headers", "texts"}:
        return _read_blank(setting, text)
    return _READERS.get(setting.kind, _read_json)(setting, text)


def _read_blank(setting: Setting, text: str) -> Any:
    default = setting.default
    if setting.kind in {"text", "json"} and isinstance(default, str):
        return text if setting.kind == "text" else text.strip()
    if default is REQUIRED:
        if setting.kind == "json":
            return ""
        raise SettingError(setting.name, "write something")
    return default


def _write_json(setting: Setting, value: Any) -> str:
    if isinstance(value, str):
        # Text that would be read as something else stands in quotes.
        return value if _stays(setting, value) else shown_json(value)
    if value is None and setting.default is None:
        return ""
    if isinstance(value, dict) and not value and setting.default == {}:
        return ""
    text = shown_json(value)
    is_long = isinstance(value, (dict, list)) and len(text) > 40  # noqa: PLR2004 - of a field
    return msgspec.json.format(text, indent=2 if is_long else 0)


def _stays(setting: Setting, text: str) -> bool:
    try:
        read = from_text(setting, text)
    except SettingError:
        return False
    return isinstance(read, str) and read == text


def _read_json(setting: Setting, text: str) -> Any:
    try:
        return read_json(setting.name, text)
    except SettingError as error:
        # A template, or other text. What begins like an object and holds none is meant as one.
        stripped = text.strip()
        if stripped.startswith(("{", "[")) and not stripped.startswith("{{"):
            problem = f"{error.problem} Text that begins like this stands in quotes."
            raise SettingError(setting.name, problem) from error
        return text


def _read_number(setting: Setting, text: str) -> Any:
    try:
        value = read_json(setting.name, text.strip())
    except SettingError:
        return text.strip()  # a template; the node says whether it takes one
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise SettingError(setting.name, f"{text.strip()!r} is not a number")


def _write_number(setting: Setting, value: Any) -> str:
    if value is None and setting.default is None:
        return ""
    return value if isinstance(value, str) else shown_json(value)


def _read_size(setting: Setting, text: str) -> Any:
    value = read_setting("max_body", text)
    if isinstance(value, str):
        raise SettingError(setting.name, f"{text!r} is not a size; write 10 MiB")
    return value


def _write_condition(_setting: Setting, value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.format(shown_json(value), indent=2)


def _read_condition(setting: Setting, text: str) -> Any:
    text = text.strip() if text.strip().startswith("{") else text
    if not text.startswith("{"):
        return text
    try:
        return read_json(setting.name, text)
    except SettingError as error:
        try:
            compile_expression(text)  # it may be an expression over an object
        except SettingError:
            raise SettingError(setting.name, f"not a rule group: {error.problem}") from error
        return text


_WRITERS: Final[dict[str, Callable[[Setting, Any], str]]] = {
    "text": lambda _setting, value: value or "",
    "number": _write_number,
    "headers": lambda _setting, value: shown_headers(value),
    "texts": lambda _setting, value: ", ".join(value),
    "size": lambda _setting, value: shown_size(value),
    "condition": _write_condition,
}
_READERS: Final[dict[str, Callable[[Setting, str], Any]]] = {
    "text": lambda _setting, text: text,
    "number": _read_number,
    "headers": lambda setting, text: read_headers(setting.name, text),
    "texts": lambda _setting, text: tuple(
        item.strip() for item in re.split(r"[,\n]", text) if item.strip()
    ),
    "size": _read_size,
    "condition": _read_condition,
}

_LINES: Final = {"text": 2, "json": 3, "headers": 2}
"""Lines of the fields of types that nothing is known of."""
