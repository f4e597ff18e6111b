"""Definitions as Python: a cell that creates the same hook."""

from __future__ import annotations

import ast
import builtins
import inspect
import keyword
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from hooknb import paths
from hooknb.workflow.auth import Auth
from hooknb.workflow.nodes import Code, Node, walk, with_keys
from hooknb.workflow.nodes.data import exactly_equal, map_functions, settings_of, to_data
from hooknb.workflow.nodes.sources import is_function, name_of, source_of
from hooknb.workflow.variables import Variable, parse_body, parse_query

__all__ = ["to_python"]

_WIDTH: Final = 88  # the default of formatters


def to_python(settings: Mapping[str, Any]) -> str:
    """Return the cell that creates a hook with these settings.

    Functions come first; a lambda is written where it is used. A key is left out if the workflow
    would choose the same one and nothing in the definition refers to it.

    Raises
    ------
    SettingError
        A value cannot be written as Python.
    """
    cell = _Cell(settings)
    arguments = [cell.value(settings["name"])]
    arguments += [
        _named(name, cell.setting(name, value))
        for name, value in settings.items()
        if name != "name"
    ]
    call = _Group("hooknb.webhook(", arguments, ")")
    imports = ["import hooknb", *sorted(cell.imports)]
    blocks = ["\n".join(imports)]
    if "auth" in settings:
        cell.asked[:0] = [
            f"{name} = getpass.getpass({_text(auth.prompt)})"
            for name, auth in zip(cell.passwords, settings["auth"].parts, strict=True)
        ]
    if cell.asked:
        blocks = ["import getpass", *blocks, "\n".join(cell.asked)]
    code = "\n\n".join(blocks)
    for block in cell.definitions:
        code += f"\n\n\n{block}"
    gap = "\n\n\n" if cell.definitions else "\n\n"
    return f"{code}{gap}{_written(call, 0, 'hook = ')}\n"


# -- layout
# -----------------------------------------------------------------------------------------------


@dataclass
class _Group:
    """Items written on one line if they fit, or else one per line."""

    start: str
    items: list[Any]
    end: str
    prefix: str = ""


def _named(name: str, item: Any, sign: str = "=") -> Any:
    if isinstance(item, _Group):
        return _Group(item.start, item.items, item.end, f"{name}{sign}{item.prefix}")
    return f"{name}{sign}{item}"


def _flat(item: Any) -> str:
    if isinstance(item, str):
        return item
    inner = ", ".join(_flat(one) for one in item.items)
    return f"{item.prefix}{item.start}{inner}{item.end}"


def _written(item: Any, indent: int, before: str = "") -> str:
    flat = before + _flat(item)
    comma = 1 if indent else 0
    if isinstance(item, str) or not item.items:
        return flat
    if "\n" not in flat and indent + len(flat) + comma <= _WIDTH:
        return flat
    inner = indent + 4
    lines = [f"{' ' * inner}{_written(one, inner)}," for one in item.items]
    return "\n".join([f"{before}{item.prefix}{item.start}", *lines, f"{' ' * indent}{item.end}"])


def _text(text: str) -> str:
    """Return a string literal with double quotes, unless that takes more escapes."""
    written = repr(text)
    if written.startswith("'") and '"' not in text:
        return f'"{written[1:-1]}"'
    if written.startswith("'") and text.count('"') <= text.count("'"):
        inner = written[1:-1].replace("\\'", "'").replace('"', '\\"')
        return f'"{inner}"'
    return written


# -- values
# -----------------------------------------------------------------------------------------------


class _Name(str):
    """A variable of the cell, in place of a value."""

    __slots__ = ()


@dataclass
class _Cell:
    """The contents of a cell, collected while its values are written."""

    settings: Mapping[str, Any]
    imports: set[str] = field(default_factory=set)
    definitions: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    names: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Choose the names of the functions first, so that no other name takes them."""
        nodes = self.settings.get("nodes", ())
        keys = _keys_to_write(nodes)
        self.unkeyed = {id(node) for _, node in walk(nodes) if node.key not in keys}
        self.taken = {"hooknb", "getpass"}
        functions: dict[tuple[str, str], Any] = {}

        def note(_key: str, function: Any) -> Any:
            functions.setdefault((name_of(function), source_of(function)), function)
            return function

        map_functions(nodes, note)
        defined = [_defined(source) for _, source in functions]
        for (name, source), own in zip(functions, defined, strict=True):
            if own is None:
                self._not_defined(name, source)
            else:
                self._define(name, source, own, several=defined.count(own) > 1)
        self.passwords: list[str] = []
        for _ in self.settings["auth"].parts if "auth" in self.settings else ():
            self.passwords.append(_free("password", {*self.taken, *self.passwords}))

    def _define(self, name: str, source: str, own: str, *, several: bool) -> None:
        block = source.strip("\n")
        if block[:1].isspace():
            block = f"if True:\n{block}"
        called = own
        if several or own in self.taken:
            # A later function of that name would replace it.
            called = _free(f"{own}_", self.taken)
            block += f"\n\n\n{called} = {own}"
            block += "\nimport hooknb" if own == "hooknb" else ""
        self.taken.add(called)
        self.names[name, source] = called
        self.definitions.append(block)

    def _not_defined(self, name: str, source: str) -> None:
        if _is_lambda(source):
            self.names[name, source] = source if "\n" not in source else f"({source})"
            return
        called = name if name.isidentifier() and not keyword.iskeyword(name) else "function"
        called = called if called not in self.taken else _free(called, self.taken)
        self.taken.add(called)
        self.names[name, source] = called
        self.definitions.append(f"# {called}: its source is not known; define it above")

    def setting(self, name: str, value: Any) -> Any:
        """Write the value of one of the hook's settings."""
        if name == "auth":
            made = [self.auth(*pair) for pair in zip(value.parts, self.passwords, strict=True)]
            return made[0] if len(made) == 1 else _Group("[", made, "]")
        if name in {"headers", "query", "body"}:
            return self.variables(name, value)
        if name in {"methods", "accept"}:
            return self.value(value[0] if len(value) == 1 else list(value))
        if name == "max_body" and value % 2**20 == 0:
            return f"{value // 2**20} * 2**20"
        return self.value(value)

    def auth(self, auth: Auth, password: str) -> Any:
        """Write an authentication scheme, with a variable of the cell in place of its secret."""
        settings = {**settings_of(auth), auth.secret_field: _Name(password)}
        arguments = []
        for parameter in inspect.signature(type(auth)).parameters.values():
            if parameter.name in settings:
                value = self.value(settings[parameter.name])
                is_named = parameter.kind is parameter.KEYWORD_ONLY
                arguments.append(_named(parameter.name, value) if is_named else value)
        return _Group(f"hooknb.{type(auth).__name__}(", arguments, ")")

    def variables(self, part: str, variables: tuple[Variable, ...]) -> Any:
        """Write a list of variables; as the parsed sample if they are those of a whole sample."""
        parse = {"query": parse_query, "body": parse_body}.get(part)
        sample = _sample(variables)
        if parse is not None and sample is not None:
            try:
                if exactly_equal(parse(sample), variables):
                    return _Group(f"hooknb.parse_{part}(", [self.value(sample)], ")")
            except ValueError:
                pass
        items = [
            _text(item.path) if settings_of(item).keys() == {"path"} else self.value(item)
            for item in variables
        ]
        return _Group("[", items, "]")

    def value(self, value: Any) -> Any:  # noqa: PLR0911 - one for each kind of value
        """Write any value of a setting."""
        if isinstance(value, str):
            return str(value) if isinstance(value, _Name) else _text(value)
        if isinstance(value, float) and not math.isfinite(value):
            return f'float("{value}")'
        if value is None or isinstance(value, (bool, int, float)):
            return repr(value)
        if isinstance(value, (bytes, bytearray)):
            written = repr(bytes(value))
            return f'b"{written[2:-1]}"' if b'"' not in value and written[1] == "'" else written
        if isinstance(value, Code) and (
            name_of(value.function) == value.key or id(value) in self.unkeyed
        ):
            return self.function(value.function, value.source)
        if isinstance(value, msgspec.Struct):
            return self.struct(value)
        if isinstance(value, Mapping):
            data = [(self.value(key), self.value(item)) for key, item in value.items()]
            return _Group("{", [_named(_flat(key), item, ": ") for key, item in data], "}")
        if isinstance(value, (list, tuple)):
            return _Group("[", [self.value(item) for item in value], "]")
        if is_function(value):
            return self.function(value, source_of(value))
        return self.value(to_data(value))

    def function(self, function: Any, source: str) -> str:
        """Return the name of a function, or the text of a lambda."""
        return self.names[name_of(function), source]

    def struct(self, value: msgspec.Struct) -> Any:
        """Write a node, a variable or another object as a constructor call."""
        kind = type(value)
        settings = settings_of(value)
        if isinstance(value, Node):
            settings = self.without_secrets(value, settings)
        if id(value) in self.unkeyed:
            settings.pop("key", None)
        if isinstance(value, Node) and "function" in settings:
            settings.pop("source", None)
        arguments: list[Any] = []
        parameters = inspect.signature(kind).parameters.values()
        first = next((one for one in parameters if one.kind is not one.KEYWORD_ONLY), None)
        if first is not None and first.name in settings:
            arguments.append(self.value(settings.pop(first.name)))
        key = settings.pop("key", None)
        arguments += [_named(name, self.value(item)) for name, item in settings.items()]
        if key is not None:
            arguments.append(_named("key", self.value(key)))
        return _Group(f"{self.class_name(kind)}(", arguments, ")")

    def without_secrets(self, node: Node, settings: dict[str, Any]) -> dict[str, Any]:
        """Return settings in which variables that the cell asks for replace credentials."""
        masked = node.masked()
        if masked is node:
            return settings
        return {
            name: self.asking(node, name, value, getattr(masked, name))
            for name, value in settings.items()
        }

    def asking(self, node: Node, name: str, value: Any, masked: Any) -> Any:
        """Return a value in which variables that the cell asks for replace masked parts."""
        if isinstance(value, dict) and isinstance(masked, dict):
            return {key: self.asking(node, key, value[key], masked[key]) for key in value}
        if isinstance(value, (list, tuple)) and isinstance(masked, (list, tuple)):
            pairs = zip(value, masked, strict=True)
            return [self.asking(node, name, item, other) for item, other in pairs]
        if isinstance(value, str) and value != masked:
            return self.ask(f"{name} of {node.key} ({masked})")
        return value

    def ask(self, what: str) -> _Name:
        """Make the cell ask for a credential; return its variable."""
        word = re.sub(r"\W+", "_", what.partition(" ")[0].lower()).strip("_")
        name = _free(word if word.isidentifier() else "secret", self.taken)
        self.taken.add(name)
        self.asked.append(f"{name} = getpass.getpass({_text(f'{what}: ')})")
        return _Name(name)

    def class_name(self, kind: type) -> str:
        """Return the name of a class, and import a custom one."""
        if kind.__module__.partition(".")[0] == "hooknb":
            return f"hooknb.{kind.__name__}"
        if kind.__module__ not in {"__main__", "builtins"}:
            self.imports.add(f"from {kind.__module__} import {kind.__qualname__.partition('.')[0]}")
        return kind.__qualname__


def _keys_to_write(nodes: tuple[Node, ...]) -> set[str]:
    """Return the keys that the workflow would not choose itself, or that are referred to.

    A reference must resolve even if the cell is run on a hook with another history.
    """
    ours = [node.key for _, node in walk(nodes)]
    words = set(re.findall(r"\w+", " ".join(_texts(nodes))))
    named = {key for key in ours if key in words or not key.isidentifier()}
    chosen = [node.key for _, node in walk(with_keys(_with_keys_of(nodes, named)))]
    return named if chosen == ours else set(ours)


def _with_keys_of(nodes: tuple[Node, ...], kept: set[str]) -> tuple[Node, ...]:
    """Return the nodes with only these keys, and those that are their functions' names."""
    made = []
    for node in nodes:
        below = {name: _with_keys_of(items, kept) for name, items in node.below().items()}
        changed = node.with_below(below) if below else node
        if node.key not in kept:
            changed = msgspec.structs.replace(changed, key="")
        made.append(changed)
    return tuple(made)


def _texts(value: Any) -> list[str]:
    """Return the texts in a value, including functions' sources but not the keys of nodes."""
    if isinstance(value, str):
        return [value]
    if is_function(value):
        return [source_of(value)]
    if isinstance(value, msgspec.Struct):
        value = [item for name, item in settings_of(value).items() if name != "key"]
    elif isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _texts(item)]
    return []


def _sample(variables: tuple[Variable, ...]) -> Any:
    """Rebuild the sample from which variables were listed; ``None`` if there is none."""
    parts = [paths.parse(item.path) if item.path else () for item in variables]
    tops = [
        (part[0], item.sample)
        for part, item in zip(parts, variables, strict=True)
        if len(part) == 1
    ]
    if not tops or all(item.type is None for item in variables):
        return None
    if all(isinstance(name, str) for name, _ in tops):
        return dict(tops)
    return [sample for _, sample in tops]


def _free(name: str, taken: set[str]) -> str:
    while name in taken or hasattr(builtins, name):
        name += "_"
    return name


def _defined(source: str) -> str | None:
    """Return the name that a source text defines, or ``None``."""
    tree = _parsed(source)
    body = tree.body if isinstance(tree, ast.Module) else []
    if len(body) != 1 or not isinstance(
        body[0], (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    ):
        return None
    return body[0].name


def _is_lambda(source: str) -> bool:
    try:
        return isinstance(ast.parse(f"({source}\n)", mode="eval").body, ast.Lambda)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _parsed(source: str) -> ast.AST | None:
    for text in (source, f"if True:\n{source}"):
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if text is not source and isinstance(tree.body[0], ast.If):
            return ast.Module(tree.body[0].body, [])
        return tree
    return None
