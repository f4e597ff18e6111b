"""What comes to a store, as it comes: read by polling, since another process writes it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hooknb.errors import RecordNotFoundError, StoreUnavailableError
from hooknb.history.delivery import MAX_PREVIEW_BYTES, StoredRequest
from hooknb.history.table import Filter, matching_ids
from hooknb.history.table.table_columns import Columns, leaf_columns
from hooknb.paths import MISSING
from hooknb.records import Status
from hooknb.store import Reading, queries
from hooknb.store.arrivals import (
    Arrival,
    read_arrivals,
    read_currents,
    read_definition,
    read_new_keys,
    read_requests,
)
from hooknb.workflow import Trigger
from hooknb.workflow.definitions import trigger_of

__all__ = ["Following", "Seen"]

_MOST: Final = 5_000  # deliveries of one look
_PIECE: Final = 100  # whose bodies are read at once
_PATIENCE: Final = 1.0  # seconds before one whose caller still waits is given as it is
_MOST_OPEN: Final = 1_000  # deliveries whose answers and executions are still looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of one delivery by now.

    Attributes
    ----------
    id
        Its number in its hook.
    hook
        The name of its workflow.
    received_us
        When it came, in microseconds since 1970.
    method
        Of the request.
    outcome
        ``accepted`` or ``refused``.
    status
        Of the answer; ``None`` while the caller waits.
    reason
        Why it was refused, or why its execution did not end well.
    took_ms
        Milliseconds until the answer.
    execution
        The status of its execution as a word; ``None`` where it has none.
    variables
        Titles and values of the configured variables that came, or of its first leaves.
    """

    id: int
    hook: str
    received_us: int
    method: str
    outcome: str
    status: int | None
    reason: str | None
    took_ms: float | None
    execution: str | None
    variables: list[tuple[str, Any]]


class Following:
    """The deliveries of some workflows: those that are there, and then what comes.

    Parameters
    ----------
    store
        Where to look.
    names
        The workflows that are followed, by id; ``None`` follows all, later ones too.
    asked
        What deliveries must be like.
    """

    def __init__(self, store: Reading, names: Mapping[int, str] | None, asked: Filter) -> None:
        self._store = store
        self._names = names
        self._asked = asked
        self._last: dict[int, int] = {}
        # Keys are workflow and id.
        # When each was first seen, and what was told of it: its status and why it went wrong.
        self._open: dict[tuple[int, int], float] = {}
        self._told: dict[tuple[int, int], tuple[int | None, str | None]] = {}
        self._columns: dict[int, Columns] = {}
        self._triggers: dict[int, tuple[int, Trigger]] = {}

    def newest(self, count: int) -> Iterator[Seen]:
        """Yield the newest deliveries that are there, oldest first; all later ones are news.

        Parameters
        ----------
        count
            How many at the most.
        """
        self._last = {row.workflow_id: row.last_delivery for row in read_currents(self._store)}
        found = [
            (workflow, number)
            for workflow in self._workflows()
            for number in matching_ids(self._store, workflow, self._asked, count)
        ]
        newest = self._by_arrival(found)[-count:] if count else []
        yield from self._read(newest)
        for key, state, is_settled in self._states(newest):
            if not is_settled:
                self._open[key], self._told[key] = time.monotonic(), state

    def news(self) -> Iterator[Seen]:
        """Yield what has come since, and what has become of deliveries given before; looks once.

        A delivery is given when it has been answered. One whose caller has waited for a second is
        given as it is, and once more with its answer; and so is one whose execution does not end
        well after it was given.

        Raises
        ------
        StoreUnavailableError
            The store cannot be read, or is not there any more.
        """
        if not self._store.is_there:
            message = f"the store {self._store.path} was deleted or replaced; follow it anew"
            raise StoreUnavailableError(message)
        now = time.monotonic()
        followed = self._workflows()
        for workflow, _, _, last in read_currents(self._store):
            before = self._last.get(workflow, 0)
            if workflow in followed and last > before:
                keys = read_new_keys(self._store, workflow, before, _MOST)
                self._open.update(dict.fromkeys(keys, now))
                self._last[workflow] = keys[-1][1] if keys else last
        yield from self._read(self._matching(self._changed(now)))

    def _changed(self, now: float) -> list[tuple[int, int]]:
        """Return the workflows and ids of those of which there is something to tell."""
        changed: list[tuple[int, int]] = []
        since, self._open = self._open, {}
        for key, state, is_settled in self._states(list(since)):
            is_due = state[0] is not None or now - since[key] >= _PATIENCE
            if is_due and self._told.get(key) != state:
                changed.append(key)
                self._told[key] = state
            if not is_settled:
                self._open[key] = since[key]
        for key in list(self._open)[:-_MOST_OPEN]:
            del self._open[key]
        self._told = {key: self._told[key] for key in self._open if key in self._told}
        return self._by_arrival(changed)

    def _by_arrival(self, keys: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Sort workflows and ids by the time at which they came, those of one hook by id."""
        found = sorted(read_arrivals(self._store, keys), key=lambda row: (row.received_at, row.key))
        return [arrival.key for arrival in found]

    def _states(
        self, keys: list[tuple[int, int]]
    ) -> Iterator[tuple[tuple[int, int], tuple[int | None, str | None], bool]]:
        """Yield key, what can be told, and whether nothing will change, of those there."""
        for arrival in read_arrivals(self._store, keys):
            ended = _ended(arrival)
            is_settled = arrival.status is not None and (ended is None or ended.is_over)
            yield arrival.key, (arrival.status, _reason(arrival)), is_settled

    def _matching(self, candidates: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return those that the filter finds by now."""
        asked = self._asked
        if asked.where is not None:
            return queries.find_deliveries(self._store, asked.where, candidates)
        return [key for key in candidates if self._is_found(*key)]

    def _is_found(self, workflow: int, number: int) -> bool:
        try:
            return self._asked.matches(self._store.delivery(workflow, number))
        except RecordNotFoundError:
            return False  # it was cleared meanwhile

    # -- reading --------------------------------------------------------------------------------

    def _workflows(self) -> Mapping[int, str]:
        if self._names is not None:
            return self._names
        return self._store.workflow_names()

    def _read(self, keys: list[tuple[int, int]]) -> Iterator[Seen]:
        names = self._workflows() if keys else {}
        for start in range(0, len(keys), _PIECE):
            part = keys[start : start + _PIECE]
            triggers = self._read_triggers()
            requests = read_requests(self._store, part, MAX_PREVIEW_BYTES)
            for arrival in read_arrivals(self._store, part):
                workflow = arrival.workflow_id
                if workflow in names and arrival.key in requests:
                    request = StoredRequest(requests[arrival.key])
                    variables = self._variables(workflow, request, triggers.get(workflow))
                    yield _seen(names[workflow], arrival, variables)

    def _read_triggers(self) -> dict[int, Trigger]:
        """Read the triggers as they are now; those of an earlier revision are read again."""
        for current in read_currents(self._store):
            known = self._triggers.get(current.workflow_id)
            if known is None or known[0] != current.revision:
                definition = read_definition(self._store, current.workflow_id, current.revision)
                if definition is not None:
                    self._triggers[current.workflow_id] = (
                        current.revision,
                        trigger_of(definition),
                    )
        return {workflow: trigger for workflow, (_, trigger) in self._triggers.items()}

    def _variables(
        self, workflow: int, request: StoredRequest, trigger: Trigger | None
    ) -> list[tuple[str, Any]]:
        if trigger is None or not any(variables for _, variables in trigger.parts):
            columns = leaf_columns(request)
        else:
            known = self._columns.setdefault(workflow, Columns(self._store, workflow))
            columns = known.read(trigger)
        values = ((column.title, column.value(request)) for column in columns)
        return [(title, value) for title, value in values if value is not MISSING]


def _seen(name: str, arrival: Arrival, variables: list[tuple[str, Any]]) -> Seen:
    ended = _ended(arrival)
    return Seen(
        id=arrival.id,
        hook=name,
        received_us=arrival.received_at,
        method=arrival.method,
        outcome="accepted" if arrival.reason is None else "refused",
        status=arrival.status,
        reason=_reason(arrival),
        took_ms=None if arrival.duration_us is None else arrival.duration_us / 1000,
        execution=None if ended is None else ended.word,
        variables=variables,
    )


def _ended(arrival: Arrival) -> Status | None:
    return Status(arrival.execution_status) if arrival.is_run else None


def _reason(arrival: Arrival) -> str | None:
    """Return in a line why a delivery was refused, or why its execution did not end well."""
    ended = _ended(arrival)
    is_bad = arrival.reason is None and ended is not None and ended.is_bad
    reason = arrival.execution_reason if is_bad else arrival.reason
    return None if reason is None else reason.strip().partition("\n")[0]
