"""The columns of the table of deliveries: what is configured, or else what comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hooknb import paths, payloads
from hooknb.history.feed.accepted import accepted
from hooknb.history.feed.bodies import LOOKED_AT, read_body
from hooknb.history.feed.texts import TOO_LARGE, is_file
from hooknb.paths import MISSING
from hooknb.payloads.headers import HeaderMap, masked, parse_head
from hooknb.workflow.variables import Variable, column

if TYPE_CHECKING:
    from hooknb.store import Store
    from hooknb.workflow import Trigger

__all__ = ["Column", "Columns", "Parts", "leaf_columns", "short_titles", "variable_name"]

_MOST_INFERRED: Final = 5
_LOOKED_AT: Final = 20  # the newest deliveries that columns are found in
_MOST_LEAVES: Final = 1_000  # of one body; who has more is to configure what counts

_PARTS: Final = (
    "head, query, content_type, content_encoding, "
    f"CASE WHEN length(body) <= {LOOKED_AT} THEN body END"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table of deliveries.

    Attributes
    ----------
    name
        The variable as :meth:`hooknb.Hook.take` has it: ``body.order.id``, ``headers.X-Id``.
    title
        Its alias, or else its name.
    numeric
        Whether numbers stand in it.
    part, path
        The part of the request, and where in it the value stands.
    """

    name: str
    title: str
    numeric: bool
    part: str
    path: str
    take: Callable[[Any], Any] = field(repr=False, compare=False)
    """Takes the value out of the part, or gives ``MISSING``; masks credentials."""


class Parts:
    """The parts of one delivery, each read when it is first asked for.

    Parameters
    ----------
    head, query, content_type, content_encoding
        As they stand in the store.
    raw
        The body, or ``None`` where it is too large to be looked at.
    """

    __slots__ = ("_read", "_row")

    def __init__(
        self,
        head: bytes,
        query: str,
        content_type: str | None,
        content_encoding: str | None,
        raw: bytes | None,
    ) -> None:
        self._row = (head, query, content_type, content_encoding, raw)
        self._read: dict[str, Any] = {}

    def part(self, name: str) -> Any:
        """Give a part by its name: ``headers``, ``query`` or ``body``."""
        if name not in self._read:
            head, query, kind, encoding, raw = self._row
            if name == "headers":
                self._read[name] = HeaderMap(parse_head(head))
            elif name == "query":
                self._read[name] = payloads.parse_query_string(query)
            else:
                self._read[name] = read_body(raw, kind, encoding)
        return self._read[name]

    def value(self, column: Column) -> Any:
        """Give what stands in a column: a value, ``MISSING``, or ``TOO_LARGE``."""
        part = self.part(column.part)
        return TOO_LARGE if part is TOO_LARGE else column.take(part)


class Columns:
    """Knows the columns, and keeps them while the configured variables stay the same.

    Parameters
    ----------
    store, workflow_id
        Where deliveries are looked at.
    """

    def __init__(self, store: Store, workflow_id: int) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._key: object = None
        self._columns: list[Column] = []
        self._settled = False

    def reset(self) -> None:
        """Find them anew the next time."""
        self._settled = False

    def read(self, trigger: Trigger) -> list[Column]:
        """Give the columns; reads up to 20 deliveries where they are not known yet.

        The configured variables in the order of headers, query and body, objects and lists only
        where nothing else is configured. Without any: up to five leaves of queries and bodies, the
        most frequent of the newest 20 accepted deliveries first.
        """
        if self._settled and trigger.parts == self._key:
            return self._columns
        self._key = trigger.parts
        configured = _configured(trigger)
        if configured and all(variable.type is not None for _, variable in configured):
            newest: list[Parts] = []
            self._settled = True
        else:
            rows = accepted(self._store, self._workflow_id, _LOOKED_AT, _PARTS)
            newest = [Parts(*row) for row in rows]
            self._settled = bool(newest)
        if configured:
            self._columns = [_column(part, variable, newest) for part, variable in configured]
        else:
            self._columns = [
                _column(part, Variable(path), newest) for part, path in _inferred(newest)
            ]
            # Who sends nothing at first is not shown without columns for ever.
            self._settled = bool(self._columns)
        return self._columns


def leaf_columns(parts: Parts) -> list[Column]:
    """Give the first leaves of one delivery, at most five, from its query and its body."""
    return [_column(part, Variable(path), [parts]) for part, path in _inferred([parts])]


def short_titles(columns: Sequence[Column]) -> list[str]:
    """Give the titles as they stand over the columns, where there is little room.

    What is taken from the body goes without ``body.``, but where something else would read the
    same: beside ``query.id`` or an alias ``id``, ``body.id`` is written out. So is what would read
    as another part's: ``body.query.id``.
    """
    body = "body."
    ends = [item.name.partition(".")[2] for item in columns if item.title == item.name]
    taken = Counter([*ends, *(item.title for item in columns)])
    titles: list[str] = []
    for item in columns:
        end = item.name.removeprefix(body)
        is_long = item.title == item.name and item.part == "body" and item.name.startswith(body)
        is_clear = taken[end] == 1 and not end.startswith(("headers.", "query.", body))
        titles.append(end if is_long and is_clear else item.title)
    return titles


def variable_name(part: str, path: str) -> str:
    """Name what stands at a path of a part: ``body.order.id``, ``body[0]``, ``body``."""
    return column(part, Variable(path))


def _configured(trigger: Trigger) -> list[tuple[str, Variable]]:
    found = [(part, variable) for part, variables in trigger.parts for variable in variables]
    leaves = [pair for pair in found if pair[1].type not in {"object", "list"}]
    return leaves or found


def _column(part: str, variable: Variable, newest: Iterable[Parts]) -> Column:
    take = _header(variable.path) if part == "headers" else paths.compile(variable.path)
    made = Column(
        name=variable_name(part, variable.path),
        title=column(part, variable),
        numeric=variable.type in {"integer", "number"},
        part=part,
        path=variable.path,
        take=take,
    )
    if variable.type is not None:
        return made
    values = [parts.value(made) for parts in newest]
    there = [value for value in values if value is not MISSING and value is not TOO_LARGE]
    kinds = {type(value) for value in there} - {type(None)}
    numeric = bool(kinds) and kinds <= {int, float}
    return Column(
        name=made.name, title=made.title, numeric=numeric, part=part, path=made.path, take=take
    )


def _header(name: str) -> Callable[[HeaderMap], Any]:
    def take(headers: HeaderMap) -> Any:
        value = headers.get(name)
        return MISSING if value is None else masked(name, value)

    return take


def _inferred(newest: Sequence[Parts]) -> list[tuple[str, str]]:
    """Find part and path of the most frequent leaves, those of the newest delivery first."""
    times: dict[tuple[str, str], int] = {}
    for parts in newest:
        for part in ("query", "body"):
            for path in _leaves(parts.part(part)):
                times[part, path] = times.get((part, path), 0) + 1
    # Sorting is stable: what is as frequent stays in the order in which it was seen.
    return sorted(times, key=lambda leaf: -times[leaf])[:_MOST_INFERRED]


def _leaves(value: Any) -> Iterator[str]:
    """Give the paths of whatever is no object with something in it; lists are kept whole."""
    if value is MISSING or value is TOO_LARGE or value == {}:
        return
    count = 0
    work = [("", value)]
    while work and count < _MOST_LEAVES:
        path, value = work.pop()
        if isinstance(value, dict) and value and not is_file(value):
            inner = [(paths.join(path, key), item) for key, item in value.items()]
            work.extend(reversed(inner))
        else:
            count += 1
            yield path
