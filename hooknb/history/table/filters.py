"""Filters: the deliveries that people look for, in a line of text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from hooknb.errors import HooknbError, SettingError
from hooknb.expressions import TEXT, compile_expression, evaluate
from hooknb.history.delivery import StoredRequest
from hooknb.records import Delivery
from hooknb.store.queries import ANY, Comparison, Condition
from hooknb.store.searched_text import contains

__all__ = ["Filter", "compile_filter"]

Request: TypeAlias = Delivery | StoredRequest
"""What filters look at."""

_MAX_CHARACTERS: Final = 4_000
_STATUS: Final = re.compile(
    r"(?P<sign>[<>=!]=?)?\s*(?P<status>[1-5](?:[0-9]{2}|xx))", re.IGNORECASE
)
_QUOTED: Final = re.compile(r""""[^"]+"|'[^']+'""")
_NO_STATUS: Final = re.compile(r"[<>=!]=?\s*[0-9]+")
_CLASS: Final = 100  # status codes of one class, 2xx
_BEYOND_STATUS: Final = 999  # no status code is greater


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A filter that :func:`compile_filter` made.

    Attributes
    ----------
    text
        As it was written, without spaces around it.
    needs_body, needs_head
        Whether it looks at the body, at the header fields.
    needs_response
        Whether it looks at the response, which may be sent later than the delivery is stored.
    where
        The same as a condition, where the store can evaluate it.
    narrow
        Comparisons that hold of whatever it finds, for the store to pass over what it does not.
    needle
        The text that it looks for, case-folded; empty where it looks for something else.
    """

    text: str
    needs_body: bool = False
    needs_head: bool = False
    needs_response: bool = False
    where: Condition | None = None
    narrow: tuple[Comparison, ...] = ()
    needle: str = ""
    matches: Callable[[Request], bool] = field(repr=False, compare=False)
    """Tells whether a delivery, or a row of one, is found; never raises.

    An expression takes some 20 µs, and a second at most (see :mod:`hooknb.expressions`); a text is
    searched in the whole body.
    """

    @property
    def is_empty(self) -> bool:
        """Whether it finds everything."""
        return not self.text


def compile_filter(text: str) -> Filter:
    r"""Read a filter.

    What is written, the first that fits::

        (nothing)                       everything
        200   4xx   >=400   != 200      the status code of the response
        accepted   refused   pending    the outcome; pending: the caller waits for its response
        "wrong password"                that text, whatever stands in it (either kind of quotes)
        body.amount > 100               an expression in CEL, see hooknb.expressions
        charge.refunded                 anything else is text

    Text is looked for as it stands, ignoring case, in each of: method, reason, detail, content
    type, query string (as received and decoded), and the text of the body (decompressed, decoded,
    and for JSON also with ``\u`` escapes undone). Values of headers are not looked at: they hold
    credentials.

    It is an expression where it compares or connects (``==  !=  <  <=  >  >=  &&  ||`` with
    something on both sides), or begins with ``body``, ``query`` or ``headers`` and a dot or
    bracket; what does not compile is then an error. Else, where one of these stands in it and it
    compiles: ``has(body.note)``, ``"x" in body.tags``, ``reason.contains("password")``.
    Expressions see ``body``, ``query``, ``headers`` (whatever the case of the names), ``now``,
    ``status`` (null while the caller waits), ``reason`` (null where it was accepted), ``method``,
    ``size`` (bytes received) and ``outcome``. A delivery for which an expression raises, or returns
    anything but true, is not found.

    Parameters
    ----------
    text
        The filter; spaces around it do not count.

    Raises
    ------
    SettingError
        Its setting is ``filter``, and its problem a sentence that says what is wrong and what to
        write.
    """
    if not isinstance(text, str):
        raise SettingError("filter", f"a text is expected, such as 4xx, not {text!r}")
    text = text.strip()
    if len(text) > _MAX_CHARACTERS:
        raise SettingError(
            "filter", f"it has {len(text):,} characters; {_MAX_CHARACTERS:,} is the most"
        )
    if not text:
        return _judged("", ANY)
    made = _status(text) or _outcome(text)
    if made is not None:
        return made
    if _NO_STATUS.fullmatch(text):
        raise SettingError(
            "filter", f"{text!r} is not a status; write one such as >=400, or size > 1000"
        )
    if _QUOTED.fullmatch(text):
        return _words(text, text[1:-1])
    if _looks_like_expression(text) or _reads_expression(text):
        asked = _compile_expression(text)
        return Filter(
            text=text,
            needs_body="body" in asked.names,
            needs_head="headers" in asked.names,
            needs_response="status" in asked.names,
            narrow=_comparisons(text),
            matches=asked.holds,
        )
    return _words(text, text)


def _status(text: str) -> Filter | None:
    found = _STATUS.fullmatch(text)
    if found is None:
        return None
    sign, status = found["sign"] or "=", found["status"].lower()
    low = high = int(status.replace("x", "0"))
    if status.endswith("xx"):
        high = low + _CLASS - 1
        if sign not in {"=", "==", "!", "!="}:
            raise SettingError("filter", f"{text!r} compares with a class; write {sign}{low}")
    conditions: dict[str, Condition] = {
        "=": Condition("within", low, high),
        "!": Condition("outside", low, high),
        "<": Condition("within", 0, low - 1),
        "<=": Condition("within", 0, low),
        ">": Condition("within", low + 1, _BEYOND_STATUS),
        ">=": Condition("within", low, _BEYOND_STATUS),
    }
    return _judged(text, conditions[{"==": "=", "!=": "!"}.get(sign, sign)])


def _outcome(text: str) -> Filter | None:
    word = text.lower()
    if word == "pending":
        return _judged(text, Condition("pending"))
    if word == "accepted":
        return _judged(text, Condition("accepted"))
    return _judged(text, Condition("refused")) if word == "refused" else None


def _judged(text: str, condition: Condition) -> Filter:
    """Make a filter of a condition that the store can judge."""
    return Filter(
        text=text,
        needs_response=condition.kind in {"pending", "within", "outside"},
        where=condition,
        matches=lambda seen: condition.holds(seen.reason, seen.status),
    )


def _words(text: str, wanted: str) -> Filter:
    needle = wanted.casefold()
    narrow = needle.encode() if needle.isascii() else None

    return Filter(
        text=text,
        needs_body=True,
        needle=needle,
        matches=lambda seen: contains(seen, needle, narrow),
    )


# -- expressions -----------------------------------------------------------------------------------

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
# What is compared with what the store has in a column, in a way that both read alike.
_PLAIN: Final = re.compile(
    r"""\s*(?P<column>status|size|method|reason|outcome)\s*(?P<sign>==|!=|<=|>=|<|>)\s*
    (?:(?P<number>0|[1-9][0-9]{0,14})
    |(?P<quote>["'])(?P<text>[ !#-&(-\[\]-~]*)(?P=quote)
    |(?P<null>null))\s*""",
    re.VERBOSE,
)
_PART: Final = re.compile(
    rf"""{TEXT}
    |(?P<sign>&&|\|\||//|[?()\[\]{{}}])""",
    re.VERBOSE | re.DOTALL,
)
_NUMBERS: Final = frozenset({"status", "size"})
# A name stands for a value unless it is a key, or is called.
_NAME: Final = re.compile(
    rf"""{TEXT}
    |(?P<key>\.\s*\??\s*[A-Za-z_]\w*)
    |(?P<name>[A-Za-z_]\w*)(?!\s*\()
    |(?P<called>[A-Za-z_]\w*)""",
    re.VERBOSE | re.DOTALL,
)
_UNKNOWN_NAME: Final = re.compile(r"there is no (\w+); use one of")
_QUOTE: Final = 'to find it as text, put it in quotes: "…"'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expression:
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


def _looks_like_expression(text: str) -> bool:
    """Tell whether a text can only be meant as an expression, even where it does not compile."""
    outside = "".join(found if is_code else '""' for found, is_code in _split(text))
    return any(pattern(outside) for pattern in (_COMPARED.search, _BEGINS.match, _ASSIGNED.match))


def _reads_expression(text: str) -> bool:
    """Tell whether a text names a part of a delivery and compiles."""
    if _USED.search(text) is None:
        return False
    try:
        _compile_expression(text)
    except SettingError:
        return False
    return True


def _compile_expression(text: str) -> _Expression:
    """Compile an expression of a filter.

    Raises
    ------
    SettingError
        It is not CEL, or names something that a delivery does not have.
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
    return _Expression(text=written, names=names & set(_NAMES))


def _comparisons(text: str) -> tuple[Comparison, ...]:
    """Return what must hold wherever an expression is true: what it connects by ``&&``.

    Everything else of it is left to be evaluated.
    """
    pieces, depth, start = [], 0, 0
    for found in _PART.finditer(text):
        sign = found["sign"]
        if sign is None:
            continue
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "//" or (depth == 0 and sign in {"||", "?"}):
            return ()
        if depth == 0 and sign == "&&":
            pieces.append(text[start : found.start()])
            start = found.end()
    made = map(_PLAIN.fullmatch, [*pieces, text[start:]])
    return tuple(_comparison(found) for found in made if found is not None and _is_alike(found))


def _is_alike(found: re.Match[str]) -> bool:
    """Tell whether a comparison is of two values of one type, or with null."""
    if found["null"]:
        return found["column"] in {"status", "reason"} and found["sign"] in {"==", "!="}
    return (found["column"] in _NUMBERS) == (found["number"] is not None)


def _comparison(found: re.Match[str]) -> Comparison:
    value = found["text"] if found["number"] is None else int(found["number"])
    return Comparison(found["column"], found["sign"], None if found["null"] else value)


def _problem(text: str, error: SettingError) -> str:
    """Say what is wrong with the text as it was written, with its own line and column."""
    unknown = _UNKNOWN_NAME.search(error.problem)
    if unknown is not None:
        return _no_name(unknown[1])
    problem = error.problem
    try:
        compile_expression(text)
    except SettingError as own:
        if _UNKNOWN_NAME.search(own.problem) is None:
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
