"""The columns of the table of deliveries: the configured variables, or else frequent leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hooknb import paths
from hooknb.history.delivery import MAX_PREVIEW_BYTES, TOO_LARGE, StoredRequest
from hooknb.history.table.shown_text import is_file
from hooknb.paths import MISSING
from hooknb.payloads.headers import HeaderMap, masked
from hooknb.store import queries
from hooknb.workflow.variables import Variable, column

if TYPE_CHECKING:
    from hooknb.store import Store
    from hooknb.workflow import Trigger

__all__ = ["Column", "Columns", "leaf_columns", "short_titles", "variable_name"]

_MAX_INFERRED: Final = 5
_SAMPLE_SIZE: Final = 20  # the newest deliveries that columns are found in
_MAX_LEAVES: Final = 1_000  # of one body; who has more is to configure what counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table of deliveries.

    Attributes
    ----------
    name
        The variable as :meth:`hooknb.Hook.add_variable` takes it:
        ``body.order.id``, ``headers.X-Id``.
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
    """Returns the value in a part, or ``MISSING``; masks credentials."""

    def value(self, request: StoredRequest) -> Any:
        """Return the value in a request: ``MISSING`` for none, ``TOO_LARGE`` in a large body."""
        part = request.preview(self.part)
        return TOO_LARGE if part is TOO_LARGE else self.take(part)


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
        self._is_known = False

    def reset(self) -> None:
        """Find them anew the next time."""
        self._is_known = False

    def read(self, trigger: Trigger) -> list[Column]:
        """Return the columns; reads up to 20 deliveries where they are not known yet.

        The configured variables in the order of headers, query and body, objects and lists only
        where nothing else is configured. Without any: up to five leaves of queries and bodies, the
        most frequent of the newest 20 accepted deliveries first.
        """
        if self._is_known and trigger.parts == self._key:
            return self._columns
        self._key = trigger.parts
        configured = _configured(trigger)
        if configured and all(variable.type is not None for _, variable in configured):
            newest: list[StoredRequest] = []
            self._is_known = True
        else:
            rows = queries.read_newest_requests(
                self._store, self._workflow_id, _SAMPLE_SIZE, MAX_PREVIEW_BYTES
            )
            newest = [StoredRequest(row) for _, _, *row in rows]
            self._is_known = bool(newest)
        if configured:
            self._columns = [_column(part, variable, newest) for part, variable in configured]
        else:
            self._columns = [
                _column(part, Variable(path), newest) for part, path in _inferred(newest)
            ]
            # Who sends nothing at first is not shown without columns for ever.
            self._is_known = bool(self._columns)
        return self._columns


def leaf_columns(request: StoredRequest) -> list[Column]:
    """Return the first leaves of one delivery, at most five, from its query and its body."""
    return [_column(part, Variable(path), [request]) for part, path in _inferred([request])]


def short_titles(columns: Sequence[Column]) -> list[str]:
    """Return the titles as they stand over the columns, where there is little room.

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


def _column(part: str, variable: Variable, newest: Iterable[StoredRequest]) -> Column:
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
    values = [made.value(request) for request in newest]
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


def _inferred(newest: Sequence[StoredRequest]) -> list[tuple[str, str]]:
    """Find part and path of the most frequent leaves, those of the newest delivery first."""
    times: dict[tuple[str, str], int] = {}
    for request in newest:
        for part in ("query", "body"):
            for path in _leaves(request.preview(part)):
                times[part, path] = times.get((part, path), 0) + 1
    # Sorting is stable: what is as frequent stays in the order in which it was seen.
    return sorted(times, key=lambda leaf: -times[leaf])[:_MAX_INFERRED]


def _leaves(value: Any) -> Iterator[str]:
    """Yield the paths of all leaves; a list or an empty object is a leaf."""
    if value is MISSING or value is TOO_LARGE or value == {}:
        return
    count = 0
    work = [("", value)]
    while work and count < _MAX_LEAVES:
        path, value = work.pop()
        if isinstance(value, dict) and value and not is_file(value):
            inner = [(paths.join(path, key), item) for key, item in value.items()]
            work.extend(reversed(inner))
        else:
            count += 1
            yield path
