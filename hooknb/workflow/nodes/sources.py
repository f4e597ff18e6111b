"""Functions as data: their name and source text, and what stands for one that is not there.

JSON holds a function as text and that text is never run: what is read back is an
:class:`Unbound` function until one of this process is put in its place.
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
    """A function of a definition that was read from data; calling it says what to do.

    Attributes
    ----------
    __name__
        Its name, ``<lambda>`` where it had none.
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
    """Whether a value inside a definition is a function, or an object that is called like one."""
    return callable(value) and not isinstance(value, type)


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's name, or the name of a callable object's type."""
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


def source_of(function: Callable[..., Any]) -> str:
    """Return the source text of a function, from the left margin; of a lambda that alone.

    A digest of its code stands for a text that cannot be found: it still tells a change.
    """
    if isinstance(function, Unbound):
        return function.source
    if not isinstance(function, FunctionType):
        return _found(function)
    # Kept, since a file may be changed after its functions were made of it.
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
    """Cut a lambda out of the statement that it stands in."""
    lines, _ = inspect.findsource(function)
    text = "".join(lines)
    code = function.__code__
    # The first instruction stands nowhere: its columns are 0.
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
    # Outer ones come first, and hold its code too.
    source = ast.get_source_segment(text, found[-1]) if found else None
    if source is None:
        raise ValueError
    return source


def _constants(code: CodeType) -> Iterator[Any]:
    """Yield what a code object computes with; those inside of it by their code, not their place."""
    yield code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant.co_code
            yield from _constants(constant)
        else:
            yield constant
