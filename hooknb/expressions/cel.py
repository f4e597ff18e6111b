"""Compiling and evaluating expressions: finds the paths they name, and bounds their loops."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from numbers import Integral, Real
from time import thread_time
from typing import Any, Final, NamedTuple

import cel

from hooknb import paths
from hooknb.errors import ExpressionError, SettingError
from hooknb.expressions import templates
from hooknb.expressions.cel_values import MAX_VALUES, Budget, TooManyValuesError, handed_over
from hooknb.paths import MISSING

__all__ = ["TEXT", "compile_expression", "evaluate"]

_MAX_CHARACTERS: Final = 4_000
_MAX_SECONDS: Final = 1.0

_POSITION: Final = re.compile(r"<input>:(\d+):(\d+): (.*)")
# What Python and JavaScript write, and what CEL does.
_OF_OTHERS: Final = {
    "and": "&&",
    "or": "||",
    "not": "!",
    "=": "==",
    "===": "==",
    "&": "&&",
    "|": "||",
}
_WORD: Final = re.compile(r"\w+|[=!&|]+")

TEXT: Final = r"""(?P<text>
    (?:[bB]?[rR][bB]?(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*'))
    |(?:[bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}
               |"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')))
"""
"""A text in an expression, for patterns with ``re.VERBOSE`` and ``re.DOTALL``."""

_TOKEN: Final = re.compile(
    rf"""(?P<blank>\s+|//[^\n]*)
    |{TEXT}
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN_TEXT: Final = re.compile(r"""(["'])([^"'\\\n]+)\1""")
_LOOPS: Final = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
_TYPES: Final = frozenset(
    {"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"}
)
_TICK: Final = "hooknb_in_time"


def evaluate(text: str, scope: Mapping[str, Any], *, max_values: int = MAX_VALUES) -> Any:
    """Evaluate an expression against the roots in ``scope``.

    A simple condition takes about 20 µs. Blocks for little more than a second at most.

    Parameters
    ----------
    text
        The expression.
    scope
        The roots by name; only the paths that the expression names are read.
    max_values
        Maximum values that the expression may use, counting objects, lists and all they contain.

    Returns
    -------
    Any
        A boolean, number, string, ``bytes``, list, dict, ``None``, ``datetime`` or ``timedelta``.
        An expression that is only a path returns the value itself.

    Raises
    ------
    SettingError
        The text is not CEL.
    TooManyValuesError
        The expression names more than ``max_values`` values.
    ExpressionError
        A key is missing, types do not match, or the evaluation takes too long.
    """
    expression = compile_expression(text)
    if expression.path is not None:
        found = _follow(expression.path, scope)
        if found is not MISSING:
            return found
    clock = _Clock() if expression.loops else None
    try:
        return _executed(expression, scope, clock, max_values)
    except TooManyValuesError:
        raise TooManyValuesError(
            f"{text!r}: it names more than {max_values:,} values; use a Code node for so many"
        ) from None
    except RecursionError as error:
        why = "a value is nested too deep for expressions"
        cause = _without_frames(error)
    except Exception as error:  # noqa: BLE001 - CEL raises errors of many types
        if clock is not None and clock.over:
            why = f"it took longer than {_MAX_SECONDS:g} s; use a Code node for so many values"
        else:
            why = _reason(error, expression, scope)
        cause = _without_frames(error)
    raise ExpressionError(f"{text!r}: {why}") from cause


def _executed(
    expression: Expression, scope: Mapping[str, Any], clock: _Clock | None, max_values: int
) -> Any:
    budget = Budget(max_values)
    seen = {
        root: handed_over(scope[root], tree, budget)
        for root, tree in expression.roots.items()
        if root in scope
    }
    if clock is not None:
        seen[_TICK] = clock
    return expression.program.execute(seen)


def _without_frames(error: Exception) -> Exception:
    """Return an error without its frames, which keep copies of all values alive."""
    error.__context__ = None
    return error.with_traceback(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """A compiled expression.

    Attributes
    ----------
    program
        The program that CEL compiled.
    roots
        The keys that it names below each root, as a tree; ``None`` stands for everything below.
    operands
        The paths and literals in it, as written, with the path's parts or the literal's type.
    path
        The parts of the path if the expression is only a path.
    loops
        Whether it contains a loop.
    """

    program: Any
    roots: dict[str, Any]
    operands: tuple[tuple[str, paths.Path | str], ...]
    path: paths.Path | None
    loops: bool


@lru_cache(maxsize=1024)
def compile_expression(text: str) -> Expression:
    """Compile an expression; results are cached by text.

    Raises
    ------
    SettingError
        The text is not CEL or names an unknown root; the message has line and column.
    """
    if not isinstance(text, str) or not text.strip():
        raise SettingError("expression", f"{text!r} is not an expression; write one in CEL")
    if len(text) > _MAX_CHARACTERS:
        raise SettingError(
            "expression",
            f"it has {len(text):,} characters, more than {_MAX_CHARACTERS:,}; use a Code node",
        )
    try:
        program = cel.compile(text)
    except Exception as error:
        found = _POSITION.search(str(error))
        where = str(error) if found is None else _problem(text, *found.groups())
        raise SettingError("expression", f"{text!r} is not CEL; {where}") from error
    tokens = list(_tokens(text))
    loops = [_Loop.read(tokens, index) for index in range(len(tokens))]
    steps = [loop for loop in loops if loop is not None]
    bound = {loop.variable for loop in steps}
    variables = set(program.variables())
    for name in sorted(variables - bound - _TYPES - set(templates.ROOTS)):
        raise SettingError("expression", f"{text!r}: {_unknown(name, tokens, text)}")
    if steps:
        try:
            program = cel.compile(_with_clock(text, steps))
        except ValueError as error:
            raise SettingError(
                "expression", f"{text!r} is nested too deep; use a Code node"
            ) from error
    operands = tuple(_operands(tokens, text))
    chains = [parts for _, parts in operands if isinstance(parts, tuple)]
    whole = len(operands) == 1 and operands[0][0] == text.strip() and bool(chains)
    return Expression(
        program=program,
        roots={root: _tree(root, chains) for root in templates.ROOTS if root in variables},
        operands=operands,
        path=chains[0] if whole else None,
        loops=bool(steps),
    )


def _problem(text: str, line: str, column: str, said: str) -> str:
    """Return where the parser stopped, and why: without its grammar, and with what CEL writes."""
    problem = said.removeprefix("Syntax error: ").partition(" expecting ")[0]
    kind, _, what = problem.partition(" input ")
    if kind in {"mismatched", "extraneous"}:
        problem = "it ends too early" if what == "'<EOF>'" else f"{what} is not expected here"
    problem = problem.replace("token recognition error at:", "cannot be read:")
    at = int(column) - 1
    words = [
        found for found in _WORD.finditer(text.split("\n")[int(line) - 1]) if found.start() <= at
    ]
    for found in words[-2:]:
        if found[0] in _OF_OTHERS and at <= found.end() + 1:
            problem = f"CEL writes {found[0]} as {_OF_OTHERS[found[0]]}"
    return f"line {line}, column {column}: {problem}"


# -- reading an expression: CEL compiles it, but does not report the paths in it --------------


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        if found.lastgroup != "blank":
            yield _Token(str(found.lastgroup), found[0], *found.span())
    for _ in range(4):  # for lookahead
        yield _Token("end", "", len(text), len(text))


class _Loop(NamedTuple):
    """A macro that iterates over a list: its variable, and the position of its body."""

    variable: str
    start: int
    end: int

    @classmethod
    def read(cls, tokens: list[_Token], index: int) -> _Loop | None:
        """Read the macro whose dot is at ``index``, if there is one."""
        if index + 4 > len(tokens):
            return None
        dot, name, bracket, variable = tokens[index : index + 4]
        if dot.text != "." or name.text not in _LOOPS or bracket.text != "(":
            return None
        depth, commas = 1, 0
        start = end = 0
        for token in tokens[index + 3 :]:
            if token.text in {"(", "[", "{"} and token.kind == "sign":
                depth += 1
            elif token.text in {")", "]", "}"} and token.kind == "sign":
                depth -= 1
            ends = depth == 0 or (depth == 1 and token.text == "," and token.kind == "sign")
            if ends and commas == 1:
                return cls(variable.text, start, end)
            if depth == 0:
                return None
            if ends:
                commas, start = 1, token.end
            end = token.end
        return None


def _with_clock(text: str, loops: Sequence[_Loop]) -> str:
    """Insert a check into each step of a loop that fails once the time is up.

    The check divides by zero: an exception in the called function would be printed to stderr.
    """
    inserts = [(loop.start, f" {_TICK}() ? (") for loop in loops]
    inserts += [(loop.end, ") : 1 / 0") for loop in loops]
    for at, insert in sorted(inserts, key=lambda pair: pair[0], reverse=True):
        text = text[:at] + insert + text[at:]
    return text


class _Clock:
    """Returns whether an evaluation has time left."""

    def __init__(self) -> None:
        self._end = thread_time() + _MAX_SECONDS  # processor time: a busy machine costs none
        self.over = False

    def __call__(self) -> bool:
        self.over = self.over or thread_time() > self._end
        return not self.over


def _operands(tokens: list[_Token], text: str) -> Iterator[tuple[str, paths.Path | str]]:
    """Yield the paths and literals of an expression."""
    index = 0
    while index < len(tokens):
        token = tokens[index]
        index += 1
        if token.kind == "name" and token.text in templates.ROOTS:
            parts: list[paths.Part] = [token.text]
            first = last = token
            while (step := _step(tokens, index)) is not None:
                part, index = step
                parts.append(part)
                last = tokens[index - 1]
            yield text[first.start : last.end], tuple(parts)
        elif token.kind == "text":
            prefix = token.text[: token.text.index(token.text[-1])]
            yield token.text, "bytes" if "b" in prefix.lower() else "string"
        elif token.kind == "number":
            whole = re.fullmatch(r"0[xX].*|[0-9]+[uU]?", token.text)
            yield token.text, ("uint" if token.text[-1] in "uU" else "int") if whole else "double"
        elif token.text in {"true", "false", "null"}:
            yield token.text, "null" if token.text == "null" else "bool"


def _step(tokens: list[_Token], index: int) -> tuple[paths.Part, int] | None:
    """Read ``.key``, ``["key"]`` or ``[0]``; return the part and the index of the next token."""
    if index + 3 >= len(tokens):
        return None
    sign, key, after = tokens[index : index + 3]
    if sign.text == "." and key.kind == "name" and after.text != "(":
        return key.text, index + 2
    if sign.text == "[" and after.text == "]":
        plain = _PLAIN_TEXT.fullmatch(key.text) if key.kind == "text" else None
        if plain is not None:
            return plain[2], index + 3
        if key.kind == "number" and key.text.isdigit():
            return int(key.text), index + 3
    return None


def _tree(root: str, chains: Sequence[paths.Path]) -> dict[str, Any] | None:
    """Return the named keys below a root, as a tree; ``None`` stands for everything."""
    top: dict[str, Any] = {root: {}}
    for chain in chains:
        if chain[0] != root:
            continue
        branch = top
        for part, following in zip(chain, (*chain[1:], None), strict=True):
            if branch.get(str(part), {}) is None:
                break  # already named as a whole
            if not isinstance(following, str):
                branch[str(part)] = None
                break
            branch = branch.setdefault(str(part), {})
    tree: dict[str, Any] | None = top[root]
    return tree


def _unknown(name: str, tokens: list[_Token], text: str) -> str:
    for token in tokens:
        if token.text == name and token.kind == "name":
            line = text.count("\n", 0, token.start) + 1
            column = token.start - text.rfind("\n", 0, token.start)
            return (
                f"line {line}, column {column}: there is no {name}; "
                f"use one of {', '.join(templates.ROOTS)}"
            )
    return f"there is no {name}"


# -- resolving paths --------------------------------------------------------------------------


def _follow(path: paths.Path, scope: Mapping[str, Any]) -> Any:
    """Resolve a path as CEL does: a key only on an object, a position only on a list."""
    value: Any = scope
    try:
        for part in path:
            if isinstance(part, str) and isinstance(value, Mapping):
                value = value.get(part, MISSING)
            elif isinstance(part, int) and isinstance(value, (list, tuple)):
                value = value[part]
            else:
                return MISSING
    except Exception:  # noqa: BLE001 - a list too short, or a mapping that raises
        return MISSING
    return value


# -- error messages ---------------------------------------------------------------------------


def _reason(error: Exception, expression: Expression, scope: Mapping[str, Any]) -> str:
    if isinstance(error, KeyError):
        return f"{_missing_key(error, expression, scope)}; check has(…) first"
    if isinstance(error, TypeError) and expression.operands:
        listed = dict.fromkeys(
            f"{written} is {parts if isinstance(parts, str) else _type(parts, scope)}"
            for written, parts in expression.operands
        )
        return (
            f"these types do not match: {', '.join(listed)}; "
            "convert with int(…), double(…) or string(…)"
        )
    for root in expression.roots:
        if root not in scope and f"'{root}'" in str(error):
            return f"there is no {root} here"
    return str(error).split(". Check ")[0]


def _missing_key(error: KeyError, expression: Expression, scope: Mapping[str, Any]) -> str:
    key = error.args[0] if error.args else ""
    for _, parts in expression.operands:
        if isinstance(parts, str):
            continue
        for length in range(2, len(parts) + 1):
            known = parts[:length]
            if known[-1] == key and _follow(known, scope) is MISSING:
                return f"there is no {paths.format(known)}"
    return f"there is no key {key!r}"


def _type(parts: paths.Path, scope: Mapping[str, Any]) -> str:
    value = _follow(parts, scope)
    if value is MISSING:
        return "missing"
    if isinstance(value, int) and value >= 2**63:
        return "uint" if value < 2**64 else "double"
    for kinds, name in (
        (bool, "bool"),
        (str, "string"),
        (type(None), "null"),
        (Integral, "int"),
        ((Real, Decimal), "double"),
        ((bytes, bytearray), "bytes"),
        (Mapping, "map"),
        ((list, tuple, AbstractSet), "list"),
        (timedelta, "duration"),
        (date, "timestamp"),
    ):
        if isinstance(value, kinds):
            return name
    return "string"
