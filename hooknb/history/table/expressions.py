"""Expressions of filters: CEL over a delivery and what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from hooknb.errors import HooknbError, SettingError
from hooknb.expressions import compile_expression, evaluate
from hooknb.history.delivery import StoredRequest
from hooknb.records import Delivery

__all__ = ["Asked", "Request", "compile_asked", "looks_like_expression", "reads_expression"]

Request: TypeAlias = Delivery | StoredRequest
"""What filters look at."""

# The parts of a request in expressions, and where a request has them.
_PARTS: Final = {"body": "body_or_missing", "query": "query", "headers": "header_map"}
_OWN: Final = ("status", "reason", "method", "size", "outcome")
_NAMES: Final = (*_PARTS, *_OWN, "now")
_ELSEWHERE: Final = frozenset({"nodes", "item", "index", "env"})

_COMPARED: Final = re.compile(r"""[\w\])"'.]\s*(?:==|!=|<=|>=|<|>|&&|\|\|)\s*[\w(\["'!{.-]""")
_BEGINS: Final = re.compile(
    r"!*\s*(?:body|query|headers)\s*[.\[]|"
    r"(?:body|query|headers|status|reason|method|size|outcome)\s*(?:==|!=|[<>])"
)
_ASSIGNED: Final = re.compile(
    r"(?:(?:body|query|headers)\s*[.\[][^=<>!]*|status|reason|method|size|outcome)\s*=\s*[^=\s]"
)
_USED: Final = re.compile(
    r"\b(?:body|query|headers)\s*[.\[]|\b(?:reason|method|outcome)\s*\.\s*\w+\s*\(|"
    r"\b(?:body|query|headers|status|reason|method|size|outcome)\s+in\s*\[|"
    r"(?:\bsize|\bhas|\bstring)\s*\(\s*(?:body|query|headers)\b"
)
_LOOP: Final = re.compile(
    r"\.\s*(?:all|exists|exists_one|existsOne|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,"
)
# A name stands for a value unless it is a key, or is called.
_NAME: Final = re.compile(
    r"""(?P<text>[bBrR]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<key>\.\s*\??\s*[A-Za-z_]\w*)
    |(?P<name>[A-Za-z_]\w*)(?!\s*\()
    |(?P<called>[A-Za-z_]\w*)""",
    re.VERBOSE | re.DOTALL,
)
_UNKNOWN: Final = re.compile(r"there is no (\w+); use one of")
_QUOTE: Final = 'to find it as text, put it in quotes: "…"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A compiled expression of a filter.

    Attributes
    ----------
    text
        As expressions are evaluated here.
    names
        What it looks at, by name.
    """

    text: str
    names: frozenset[str]

    def holds(self, seen: Request) -> bool:
        """Tell whether it is true of a delivery; false where it raises."""
        try:
            return evaluate(self.text, _Scope(seen)) is True
        except HooknbError:
            return False


class _Scope(Mapping[str, Any]):
    """What an expression sees, looked up when it is named.

    Expressions know the names of a workflow's parts alone; ``item``, which no filter has, carries
    the others.
    """

    def __init__(self, seen: Request) -> None:
        self._seen = seen

    def __getitem__(self, root: str) -> Any:
        if root in _PARTS:
            return getattr(self._seen, _PARTS[root])
        if root == "item":
            return {name: getattr(self._seen, name) for name in _OWN}
        if root == "now":
            return datetime.now(UTC)
        raise KeyError(root)

    def __iter__(self) -> Iterator[str]:
        return iter((*_PARTS, "item", "now"))

    def __len__(self) -> int:
        return len(_PARTS) + 2


def looks_like_expression(text: str) -> bool:
    """Tell whether a text can be meant as nothing else, so that it is an error or an expression."""
    outside = "".join(found if is_code else '""' for found, is_code in _split(text))
    return any(pattern(outside) for pattern in (_COMPARED.search, _BEGINS.match, _ASSIGNED.match))


def reads_expression(text: str) -> bool:
    """Tell whether a text names a part of a delivery and compiles."""
    if _USED.search(text) is None:
        return False
    try:
        compile_asked(text)
    except SettingError:
        return False
    return True


def compile_asked(text: str) -> Asked:
    """Compile an expression of a filter.

    Raises
    ------
    SettingError
        It is not CEL, or names something that a delivery has not.
    """
    bound = set(_LOOP.findall(text))
    names = frozenset(
        found["name"]
        for found in _NAME.finditer(text)
        if found["name"] and found["name"] not in bound
    )
    for name in sorted(names & _ELSEWHERE):
        raise SettingError("filter", _no_name(name))
    known = {name for name in _OWN if name in names}
    written = _NAME.sub(
        lambda found: f"item.{found[0]}" if found["name"] in known else found[0], text
    )
    try:
        compile_expression(written)
    except SettingError as error:
        raise SettingError("filter", _problem(text, error)) from error
    return Asked(text=written, names=names & set(_NAMES))


def _problem(text: str, error: SettingError) -> str:
    """Say what is wrong with the text as it was written, with its own line and column."""
    unknown = _UNKNOWN.search(error.problem)
    if unknown is not None:
        return _no_name(unknown[1])
    problem = error.problem
    try:
        compile_expression(text)
    except SettingError as own:
        if _UNKNOWN.search(own.problem) is None:
            problem = own.problem
    hint = f"two values are compared with ==, and {_QUOTE}" if _ASSIGNED.match(text) else _QUOTE
    return f"{problem}; {hint}"


def _no_name(name: str) -> str:
    return f"there is no {name} in a filter; use one of {', '.join(_NAMES)}, and {_QUOTE}"


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of an expression, and whether each is code or text in quotes."""
    start = 0
    for found in _NAME.finditer(text):
        if found["text"]:
            yield text[start : found.start()], True
            yield found["text"], False
            start = found.end()
    yield text[start:], True
