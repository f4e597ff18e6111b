"""Variables: values taken from requests, and lists of them parsed from samples.

A variable is identified by its part of the request (``headers``, ``query``, ``body``) and its path
in it. Its alias labels columns and pickers, and is not resolved anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal, TypeAlias

import msgspec

from hooknb import paths
from hooknb.errors import PathError, PayloadError, SampleError, SettingError
from hooknb.paths import MISSING
from hooknb.payloads import decode_json, parse_query_string
from hooknb.payloads.headers import TOKEN

__all__ = [
    "PARTS",
    "Variable",
    "VariableType",
    "as_variables",
    "column",
    "parse_body",
    "parse_query",
    "sampled",
    "split_column",
]

VariableType: TypeAlias = Literal[
    "text", "integer", "number", "boolean", "null", "list", "object", "file"
]
"""The type of a variable's sample. ``file`` is a part of a form with a file name, or bytes."""

PARTS: Final = ("headers", "query", "body")
"""Parts of a request that variables are taken from."""

_MAX_LEVELS: Final = 500
_MAX_ELEMENTS: Final = 20
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[/?]")
_FILE: Final = frozenset({"filename", "content_type", "content"})
_TYPES: Final[dict[type, VariableType]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    bytes: "file",
    type(None): "null",
}


class Variable(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A value taken from a request; equal to another with the same path, alias, type and sample.

    Parameters
    ----------
    path
        Its path in its part: ``order.id``, ``items[0].sku``, ``""`` for the whole part, or the
        name of a header.
    alias
        Its name in columns and pickers.
    type
        Its type in the sample that it was taken from.
    sample
        Its value there.

    Raises
    ------
    PathError
        The path is neither a valid path nor a header's name.
    SettingError
        The alias is empty or has control characters, or the type is not one of the eight.
    """

    path: str
    alias: str | None = None
    type: VariableType | None = None
    sample: Any = None

    def __post_init__(self) -> None:
        """Refuse invalid values; :func:`as_variables` checks whether the path suits its part."""
        if not isinstance(self.path, str):
            raise SettingError("path", f"a text is expected, such as order.id, not {self.path!r}")
        if not TOKEN.fullmatch(self.path):
            paths.parse(self.path)
        if self.alias is not None:
            _check_alias(self.path, self.alias)
        if self.type is not None and self.type not in VariableType.__args__:  # type: ignore[attr-defined]
            known = ", ".join(VariableType.__args__)  # type: ignore[attr-defined]
            raise SettingError(
                f"type of {self.path!r}", f"{self.type!r} is not a type; write one of {known}"
            )

    def __hash__(self) -> int:
        """Hash without the sample, which may be a list or a dict."""
        return hash((self.path, self.alias, self.type))


def _check_alias(path: str, alias: object) -> None:
    setting = f"alias of {path!r}"
    if not isinstance(alias, str):
        raise SettingError(setting, f"a text is expected, not {alias!r}")
    if not alias.strip():
        raise SettingError(setting, "it is empty; write a name, or leave it out")
    if _CONTROL.search(alias):
        raise SettingError(
            setting, f"{alias!r} has control characters; write it on one line, without tabs"
        )


def parse_body(sample: Any) -> list[Variable]:
    """List the variables of a sample body.

    Parameters
    ----------
    sample
        JSON as ``str`` or ``bytes``; a Python value; or an object with a parsed ``body``, such as
        a delivery.

    Returns
    -------
    list of Variable
        One for every path, including objects and lists, parents first, in the order of the sample;
        of a list, the first 20 elements. A plain value has the single variable ``""``, and a
        missing body has none.

    Raises
    ------
    SampleError
        The text is not JSON (with line and column), or the value contains something that a body
        cannot contain (with its path).
    """
    if isinstance(sample, (str, bytes, bytearray)):
        return _listed(_json(sample))
    if not _is_value(sample) and hasattr(sample, "body"):
        return _listed(sample.body)
    return _listed(sample)


def parse_query(sample: Any) -> list[Variable]:
    """List the variables of a sample query.

    Parameters
    ----------
    sample
        A URL, or its query with or without the question mark; a dict; or an object with a parsed
        ``query``, such as a delivery. A fragment is ignored.

    Returns
    -------
    list of Variable
        As for :func:`parse_body`.

    Raises
    ------
    SampleError
        The sample is none of these, or a dict with a value that a query cannot contain (with its
        path).
    """
    if not _is_value(sample) and hasattr(sample, "query"):
        sample = sample.query
    if isinstance(sample, (bytes, bytearray)):
        sample = sample.decode("latin-1")
    if isinstance(sample, str):
        sample = parse_query_string(_query_of(sample.strip()))
    if not isinstance(sample, dict):
        raise SampleError(f"A URL, a query string or a dict is expected, not {_named(sample)}.")
    return _listed(sample)


def as_variables(setting: str, items: Iterable[str | Variable] | None) -> tuple[Variable, ...]:
    """Check a list of variables as a user writes it.

    Parameters
    ----------
    setting
        Their part, ``headers``, ``query`` or ``body``, which errors name: ``body[2]``.
    items
        Paths and variables. ``None`` is an empty list.

    Raises
    ------
    SettingError
        It is not a list, or an item is neither a path nor a header's name (RFC 9110, section 5.1).
    """
    if items is None:
        return ()
    if isinstance(items, str):
        raise SettingError(setting, f"a list is expected; write {setting}=[{items!r}]")
    if isinstance(items, Variable) or not isinstance(items, Iterable):
        raise SettingError(
            setting, f"a list of paths and variables is expected, not {_named(items)}"
        )
    return tuple(
        _as_variable(setting, f"{setting}[{index}]", item) for index, item in enumerate(items)
    )


def column(part: str, variable: Variable) -> str:
    """Return the name of a variable's column: its alias, or its part and path: ``body[0].sku``."""
    if variable.alias is not None:
        return variable.alias
    if not variable.path:
        return part
    return f"{part}{variable.path}" if variable.path.startswith("[") else f"{part}.{variable.path}"


def split_column(name: str) -> tuple[str, str]:
    """Split the name of a variable into its part and its path; the inverse of :func:`column`.

    Parameters
    ----------
    name
        Such as ``body.order.id``, ``body[0].sku``, ``query.a``, ``headers.X-Request-Id``, or
        ``body`` for the whole part. Everything after ``headers.`` is the header's name.

    Raises
    ------
    SettingError
        It does not start with a part, or the rest is not a path, or not a header's name.
    """
    part = next((part for part in PARTS if isinstance(name, str) and name.startswith(part)), None)
    rest = "" if part is None else name[len(part) :]
    path = rest.removeprefix(".")
    if part is None or (rest and rest[0] not in ".["):
        raise SettingError(
            "name",
            f"{name!r} is not a variable; write its part and its path: body.order.id, body[0].sku, "
            "query.a, headers.X-Request-Id",
        )
    if part == "headers":
        if not (rest.startswith(".") and TOKEN.fullmatch(path)):
            raise SettingError(
                "name", f"{name!r} names no header; write one such as headers.X-Request-Id"
            )
        return part, path
    if rest.startswith(".") and path[:1] in {"", "["}:
        raise SettingError(
            "name", f'a key is missing after the dot of {name!r}; an empty one is {part}[""]'
        )
    paths.parse(path)
    return part, path


def sampled(path: str, value: Any, alias: str | None = None) -> Variable:
    """Return a variable with the type and sample of a received value.

    Raises
    ------
    SampleError
        A request cannot contain the value.
    """
    return Variable(path, alias, type=_type(path, value), sample=value)


def _as_variable(part: str, setting: str, item: object) -> Variable:
    if not isinstance(item, (str, Variable)):
        raise SettingError(setting, f"a path or a Variable is expected, not {_named(item)}")
    path = item if isinstance(item, str) else item.path
    if part == "headers":
        if not TOKEN.fullmatch(path):
            raise SettingError(
                setting, f"{path!r} is not the name of a header; write one such as X-Request-Id"
            )
    else:
        try:
            paths.parse(path)
        except PathError as error:
            raise SettingError(setting, f"{error}") from error
    return Variable(item) if isinstance(item, str) else item


# -- samples
# -----------------------------------------------------------------------------------------------


def _is_value(sample: object) -> bool:
    """Whether a sample is a Python value itself; a dict is, even one with a key ``body``."""
    return sample is None or sample is MISSING or isinstance(sample, (dict, list, tuple, *_TYPES))


def _json(sample: str | bytes | bytearray) -> Any:
    try:
        raw = sample.encode() if isinstance(sample, str) else bytes(sample)
    except UnicodeEncodeError as error:
        line = sample.count("\n", 0, error.start) + 1  # type: ignore[arg-type]
        raise SampleError(
            f"Half of a surrogate pair at line {line}, character {error.start + 1}; remove it."
        ) from error
    if not raw.strip():
        raise SampleError("The sample is empty at line 1, column 1; paste a body, such as {}.")
    try:
        return decode_json(raw)
    except PayloadError as error:
        raise SampleError(error.detail.replace("The body", "The sample", 1)) from error


def _query_of(text: str) -> str:
    """Return the query of a URL; text that is not a URL is a query, question marks included."""
    text = text.partition("#")[0]
    before, mark, query = text.partition("?")
    if mark and "=" not in before and "&" not in before:
        return query
    return "" if not mark and _URL.match(text) else text


def _listed(sample: Any) -> list[Variable]:
    if sample is MISSING:
        return []
    variables: list[Variable] = []
    root = sampled("", sample)
    if root.type not in {"object", "list"}:
        return [root]
    # A stack of containers being listed, with their paths and remaining entries: recursion would
    # not reach 500 levels.
    pending: list[tuple[str, Iterator[tuple[str | int, Any]]]] = [("", _entries("", sample))]
    while pending:
        path, entries = pending[-1]
        entry = next(entries, None)
        if entry is None:
            pending.pop()
            continue
        inner = paths.join(path, entry[0])
        variable = sampled(inner, entry[1])
        variables.append(variable)
        if variable.type in {"object", "list"} or isinstance(entry[1], dict):
            if len(pending) == _MAX_LEVELS:
                raise SampleError(
                    f"More than {_MAX_LEVELS} levels, or a value that holds itself, at {inner}."
                )
            pending.append((inner, _entries(inner, entry[1])))
    return variables


def _type(path: str, value: Any) -> VariableType:
    if isinstance(value, dict):
        return "file" if value.keys() == _FILE and isinstance(value["content"], bytes) else "object"
    if isinstance(value, (list, tuple)):
        return "list"
    for known, name in _TYPES.items():
        if isinstance(value, known):
            return name
    raise SampleError(
        f"At {path or 'the top'} there is {_named(value)}, which a request cannot contain."
    )


def _entries(path: str, value: dict[Any, Any] | Sequence[Any]) -> Iterator[tuple[str | int, Any]]:
    if not isinstance(value, dict):
        return enumerate(islice(value, _MAX_ELEMENTS))
    for key in value:
        if not isinstance(key, str):
            raise SampleError(f"The key {key!r} at {path or 'the top'} is not text.")
    return iter(value.items())


def _named(value: object) -> str:
    return f"a value of type {type(value).__name__}"
