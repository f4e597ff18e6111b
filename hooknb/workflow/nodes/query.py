"""Query: extract or reshape a value with one of three query languages."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from copy import copy
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple

import jmespath
import jmespath.exceptions
from msgspec import Meta

from hooknb.errors import ExpressionError, SettingError
from hooknb.expressions.patterns import LinearPattern
from hooknb.expressions.templates import has_templates
from hooknb.paths import MISSING
from hooknb.workflow.nodes.bounds import JmespathFunctions, check_size, jsonata_functions
from hooknb.workflow.nodes.fields import check_fields
from hooknb.workflow.nodes.functions import rendered
from hooknb.workflow.nodes.node import Context, Node, register

__all__ = ["Query"]

_SECONDS: Final = 10.0
_MAX_CALLS: Final = 200  # nested calls of JSONata functions
# The time of a query made only of these does not depend on the size of the value.
_QUICK: Final = frozenset({"field", "subexpression", "index", "index_expression", "identity"})


class _Program(NamedTuple):
    """A compiled query.

    ``run`` returns its result, or raises; ``quick`` says whether it may run on the event loop.
    """

    run: Callable[[Any], Any]
    quick: bool = False


@register
class Query(Node, frozen=True, tag="query"):
    """Query a value with JMESPath, JSONPath (RFC 9535) or JSONata.

    A query that visits more than one place runs on a worker thread, so that a slow one does not
    block other callers; JSONPath and JSONata are aborted at the first step after ten seconds. The
    result of JMESPath and JSONata is ``None`` if they find nothing, that of JSONPath always a list
    of the values found.
    JSONata calculates with floating-point numbers; whole numbers beyond 2**53 lose digits there.
    Regular expressions in both are RE2's: linear in the length of the text, without look-around
    and back references.

    Attributes
    ----------
    query
        The query. It is compiled when the workflow is defined.
    over
        The value to query: a template, or a value that contains templates. The result is ``None``
        if it resolves to nothing.
    language
        ``jmespath``, ``jsonpath`` or ``jsonata``; the last two need
        ``pip install "hooknb[query]"``.
    """

    query: Annotated[str, Meta(examples=["items[?price > `10`].sku"], extra={"lines": 2})]
    over: Annotated[
        Any,
        Meta(
            description="The value to query: a template, or JSON with templates in it",
            extra={"lines": 2},
        ),
    ] = "{{ body }}"
    language: Literal["jmespath", "jsonpath", "jsonata"] = "jmespath"

    prints: ClassVar[bool] = False
    edge_tone: ClassVar[str] = "value"
    rank: ClassVar[int] = 50

    def __post_init__(self) -> None:
        """Compile the query, so that an invalid one is refused here."""
        check_fields(self)
        if isinstance(self.over, str) and not has_templates(self.over):
            raise SettingError(
                "over", f"{self.over!r} is not a template such as {{{{ body.items }}}}"
            )
        _compiled(self.language, self.query)

    @property
    def is_pure(self) -> bool:
        """Return True."""
        return True

    def line(self) -> tuple[Any, ...]:
        """Return the line of text in its box."""
        return (self.query, "  over ", self.over)

    async def run(self, context: Context) -> Any:
        """Run the query."""
        value = await rendered(self.over, context)
        if value is MISSING:
            return None
        program = _compiled(self.language, self.query)
        try:
            if program.quick:
                return program.run(value)
            return await context.in_worker(lambda _context: _bounded(program.run(value)))
        except RecursionError as error:
            raise ExpressionError(f"{self.query!r}: the value is nested too deeply") from error


def _bounded(result: Any) -> Any:
    check_size(result)
    return result


@lru_cache(maxsize=512)
def _compiled(language: str, query: str) -> _Program:
    return _COMPILERS[language](query)


def _refusal(query: str, language: str, column: int | None, problem: object) -> SettingError:
    where = f"column {column}" if column is not None else "at its end"
    return SettingError("query", f"{query!r} is not {language}; {where}: {problem}")


def _no_package(language: str, error: ImportError) -> SettingError:
    return SettingError(
        "language", f'{language} needs more packages: pip install "hooknb[query]" ({error})'
    )


def _jmespath(query: str) -> _Program:
    try:
        compiled = jmespath.compile(query)
    except jmespath.exceptions.IncompleteExpressionError as error:
        raise _refusal(query, "JMESPath", None, "something is missing") from error
    except jmespath.exceptions.LexerError as error:
        raise _refusal(query, "JMESPath", error.lexer_position + 1, error.message) from error
    except jmespath.exceptions.ParseError as error:
        raise _refusal(query, "JMESPath", error.lex_position + 1, error.msg) from error
    except (ValueError, RecursionError) as error:
        raise _refusal(query, "JMESPath", 1, error) from error

    options = jmespath.Options(custom_functions=JmespathFunctions())

    def run(value: Any) -> Any:
        try:
            return compiled.search(value, options)
        except ValueError as error:
            raise ExpressionError(f"{query!r}: {error}") from error

    return _Program(run, quick=_is_quick(compiled.parsed))


def _is_quick(node: Any) -> bool:
    return node["type"] in _QUICK and all(map(_is_quick, node["children"]))


def _jsonpath_environment(query: str) -> Any:
    """Return a compiler of JSONPath (RFC 9535), with patterns that do not backtrack."""
    try:
        import re2  # noqa: F401 - compiles the patterns of filters
        from jsonpath import JSONPathEnvironment
        from jsonpath.filter import StringLiteral
        from jsonpath.function_extensions import ExpressionType, FilterFunction
    except ImportError as error:
        raise _no_package("jsonpath", error) from error

    class Matches(FilterFunction):
        """RFC 9535's ``match`` and ``search``, without backtracking."""

        arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]  # noqa: RUF012 - as the package declares it
        return_type = ExpressionType.LOGICAL

        def __init__(self, method: str) -> None:
            self._method = method

        def __call__(self, value: object, pattern: object) -> bool:
            """Whether a text matches; False if either is not text (RFC 9535, section 2.4.6)."""
            return _is_match(self._method, value, pattern)

    class Environment(JSONPathEnvironment):
        def setup_function_extensions(self) -> None:
            """Register the functions that do not backtrack."""
            super().setup_function_extensions()
            self.function_extensions["match"] = Matches("fullmatch")
            self.function_extensions["search"] = Matches("search")

        def validate_function_extension_signature(self, token: Any, args: list[Any]) -> list[Any]:
            """Refuse a pattern that cannot be compiled, which would never match."""
            checked = super().validate_function_extension_signature(token, args)
            if token.value in {"match", "search"} and isinstance(args[1], StringLiteral):
                _check_pattern(query, token.index + 1, args[1].value)
            return checked

        def getitem(self, obj: Any, key: Any) -> Any:
            """Do not slice texts, which are not arrays (RFC 9535, section 2.3.4.2.2)."""
            return () if isinstance(obj, str) else super().getitem(obj, key)

    return Environment(strict=True)


def _jsonpath(query: str) -> _Program:
    environment = _jsonpath_environment(query)
    from jsonpath import JSONPathError, JSONPathMatch

    try:
        compiled = environment.compile(query)
    except JSONPathError as error:
        index = -1 if error.token is None else error.token.index
        column = index + 1 if index >= 0 else None
        raise _refusal(query, "JSONPath", column, error.message) from error

    # Unions are not part of RFC 9535, so a strict environment compiles simple paths only.
    segments: Iterable[Any] = getattr(compiled, "segments", ())

    class Timed(JSONPathMatch):
        """A match that refuses to descend once the time is over."""

        def new_child(self, obj: object, key: int | str) -> JSONPathMatch:
            if time.monotonic() > self.filter_context()["end"]:
                raise ExpressionError(f"{query!r}: took longer than {_SECONDS:g} s")
            return super().new_child(obj, key)

    def run(value: Any) -> list[Any]:
        # Not `finditer`, which parses text as JSON; here a text is a value.
        context = {"end": time.monotonic() + _SECONDS}
        root = Timed(filter_context=context, obj=value, parent=None, parts=(), path="$", root=value)
        matches: Iterable[JSONPathMatch] = [root]
        for segment in segments:
            matches = segment.resolve(matches)
        try:
            return [match.obj for match in matches]
        except JSONPathError as error:
            raise ExpressionError(f"{query!r}: {error.message}") from error

    return _Program(run)


def _jsonata(query: str) -> _Program:
    deepest = sys.getrecursionlimit()
    try:
        import re2  # noqa: F401 - compiles its patterns
        from jsonata.jexception import JException
        from jsonata.jsonata import Jsonata
    except ImportError as error:
        raise _no_package("jsonata", error) from error
    finally:
        # The package raises the limit of the whole process when it is imported.
        sys.setrecursionlimit(deepest)
    try:
        compiled = Jsonata(query, _jsonata_pattern)
        for name, function in jsonata_functions().items():
            compiled.register_function(name, function)
    except SettingError as error:
        raise _refusal(query, "JSONata", 1, error.problem) from error
    except JException as error:
        raise _refusal(query, "JSONata", max(error.location, 1), error) from error
    except Exception as error:  # the parser crashes on some texts
        raise _refusal(query, "JSONata", 1, error) from error

    def run(value: Any) -> Any:
        # The package caches one program per thread: the first that ran there.
        program = copy(compiled)
        Jsonata.CURRENT.jsonata = program
        bounds = program.create_frame()
        bounds.set_runtime_bounds(int(_SECONDS * 1000), _MAX_CALLS)
        try:
            return _plain(program.evaluate(value, bounds))
        except (JException, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ExpressionError(f"{query!r}: {error}") from error

    return _Program(run)


def _jsonata_pattern(pattern: str, flags: Any) -> LinearPattern:
    return LinearPattern(pattern, ignore_case=flags.case_insensitive, multiline=flags.multiline)


def _is_match(method: str, value: object, pattern: object) -> bool:
    if not isinstance(value, str) or not isinstance(pattern, str):
        return False
    try:
        return getattr(_pattern(pattern), method)(value) is not None
    except SettingError:
        return False


def _check_pattern(query: str, column: int, pattern: str) -> None:
    try:
        _pattern(pattern)
    except SettingError as error:
        raise _refusal(query, "JSONPath", column, error.problem) from error


@lru_cache(maxsize=512)
def _pattern(pattern: str) -> LinearPattern:
    return LinearPattern(pattern)


def _plain(value: Any) -> Any:
    """Convert the package's list types, one of which is a range, to plain lists."""
    if isinstance(value, list):
        return [_plain(value[index]) for index in range(len(value))]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise ExpressionError(f"the query gave {type(value).__name__}, which is not a JSON value")


_COMPILERS: Final[dict[str, Callable[[str], _Program]]] = {
    "jmespath": _jmespath,
    "jsonpath": _jsonpath,
    "jsonata": _jsonata,
}
