"""Functions as data: their name and source text, and placeholders for unbound ones.

JSON holds a function as text, which is never run: reading it back gives an :class:`Unbound`
function until a function of this process replaces it.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from hooknb.errors import SettingError

__all__ = ["Unbound", "is_function", "name_of", "source_of"]


class Unbound:
    """A placeholder for a function of a definition read from data; calling it raises.

    Attributes
    ----------
    __name__
        Its name, or ``<lambda>``.
    source
        Its source text.
    """

    def __init__(self, name: str, source: str) -> None:
        self.__name__ = name
        self.source = source

    def __call__(self, _context: Any) -> Any:
        """Raise a :class:`~hooknb.SettingError`."""
        raise SettingError(
            f"function {self.__name__}",
            "the definition holds its text only, which is never run; define the function and pass "
            f"it: from_json(text, functions=[{self.__name__}])"
            if self.__name__.isidentifier()
            else "the definition holds its text only, which is never run; define the function and "
            'pass it by its node\'s key: from_json(text, functions={"key": function})',
        )

    def __repr__(self) -> str:
        """Show the name."""
        return f"<function {self.__name__}, not bound>"


def is_function(value: object) -> bool:
    """Whether a value in a definition is a function or a callable object."""
    return callable(value) and not isinstance(value, type)


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's name, or the name of a callable object's type."""
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


def source_of(function: Callable[..., Any]) -> str:
    """Return the source text of a function, dedented; of a lambda, only its expression.

    If the text cannot be found, a digest of the code replaces it, so that changes are detected.
    """
    if isinstance(function, Unbound):
        return function.source
    if not isinstance(function, FunctionType):
        return _found(function)
    # Cached, since the file may change after the function was defined.
    source = _sources.get(function)
    if source is None:
        source = _sources[function] = _found(function)
    return source


_sources: WeakKeyDictionary[FunctionType, str] = WeakKeyDictionary()


def _found(function: Callable[..., Any]) -> str:
    try:
        if name_of(function) == "<lambda>":
            return _lambda(function)
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError, ValueError, SyntaxError):
        code = getattr(function, "__code__", None)
        if code is None:
            return repr(type(function))
        digest = hashlib.sha256(code.co_code + repr(list(_constants(code))).encode()).hexdigest()
        return f"# no source text; code {digest[:16]}"


def _lambda(function: Any) -> str:
    """Cut a lambda out of its statement."""
    lines, _ = inspect.findsource(function)
    text = "".join(lines)
    code = function.__code__
    # The first instruction has no position: its columns are 0.
    spots = [spot for spot in code.co_positions() if None not in spot and spot[3]]
    start = min((spot[0], spot[2]) for spot in spots)
    end = max((spot[1], spot[3]) for spot in spots)
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Lambda)
        and node.lineno == code.co_firstlineno
        and (node.body.lineno, node.body.col_offset) <= start
        and end <= (node.body.end_lineno, node.body.end_col_offset)
    ]
    # Outer lambdas come first, and contain its code too.
    source = ast.get_source_segment(text, found[-1]) if found else None
    if source is None:
        raise ValueError
    return source


def _constants(code: CodeType) -> Iterator[Any]:
    """Yield the constants of a code object; nested code objects without their positions."""
    yield code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant.co_code
            yield from _constants(constant)
        else:
            yield constant
