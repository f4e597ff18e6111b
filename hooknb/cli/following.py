"""Deliveries of a store as they arrive: polled, since another process writes them."""

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
    Key,
    read_arrivals,
    read_currents,
    read_definition,
    read_new_keys,
    read_requests,
)
from hooknb.workflow import Trigger
from hooknb.workflow.definitions import trigger_of

__all__ = ["Entry", "Follower"]

_MAX_NEW: Final = 5_000  # deliveries of one hook in one poll
_BATCH: Final = 100  # deliveries whose bodies are read at once
_PENDING_SECONDS: Final = 1.0  # before a delivery without a response is yielded as pending
_MAX_OPEN: Final = 1_000  # deliveries whose response or execution is still awaited


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A delivery at the moment at which it is shown.

    Attributes
    ----------
    hook
        The name of its workflow.
    arrival
        The record of the delivery, its response and its execution.
    variables
        Titles and values of the configured variables that are present, or else of the first
        leaves.
    """

    hook: str
    arrival: Arrival
    variables: list[tuple[str, Any]]

    @property
    def id(self) -> int:
        """The id of the delivery in its hook."""
        return self.arrival.id

    @property
    def status(self) -> int | None:
        """The status code of the response; ``None`` while the caller waits."""
        return self.arrival.status

    @property
    def outcome(self) -> str:
        """Either ``accepted`` or ``refused``."""
        return "accepted" if self.arrival.reason is None else "refused"

    @property
    def reason(self) -> str | None:
        """Why it was refused, or why its execution failed."""
        return _reason(self.arrival)

    @property
    def execution(self) -> str | None:
        """The status of its execution; ``None`` if it has none."""
        status = _execution_status(self.arrival)
        return None if status is None else status.word


class Follower:
    """Follows the deliveries of some workflows.

    Parameters
    ----------
    store
        The store to poll.
    names
        The workflows to follow, by id; ``None`` follows all, later ones too.
    condition
        Which deliveries to yield.
    """

    def __init__(self, store: Reading, names: Mapping[int, str] | None, condition: Filter) -> None:
        self._store = store
        self._names = names
        self._condition = condition
        self._last: dict[int, int] = {}
        # When each open delivery was first read, and the status and reason last yielded of it.
        self._open: dict[Key, float] = {}
        self._yielded: dict[Key, tuple[int | None, str | None]] = {}
        self._columns: dict[int, Columns] = {}
        self._triggers: dict[int, tuple[int, Trigger]] = {}

    def newest(self, count: int) -> Iterator[Entry]:
        """Yield the newest deliveries, oldest first; :meth:`news` yields all later ones.

        Parameters
        ----------
        count
            The number of deliveries at most.
        """
        self._last = {row.workflow_id: row.last_delivery for row in read_currents(self._store)}
        found = [
            (workflow, number)
            for workflow in self._workflows()
            for number in matching_ids(self._store, workflow, self._condition, count)
        ]
        newest = self._by_arrival(found)[-count:] if count else []
        yield from self._read(newest)
        for key, state, is_final in self._states(newest):
            if not is_final:
                self._open[key], self._yielded[key] = time.monotonic(), state

    def news(self) -> Iterator[Entry]:
        """Yield the deliveries that have arrived or changed since the last call; polls once.

        A delivery is yielded when it has its response. If its caller has waited for a second it is
        yielded without one, and again with it. It is yielded again if its execution fails later.

        Raises
        ------
        StoreUnavailableError
            The store cannot be read, or no longer exists.
        """
        if not self._store.is_there:
            message = f"the store {self._store.path} was deleted or replaced; run the command again"
            raise StoreUnavailableError(message)
        now = time.monotonic()
        followed = self._workflows()
        for workflow, _, _, last in read_currents(self._store):
            before = self._last.get(workflow, 0)
            if workflow in followed and last > before:
                keys = read_new_keys(self._store, workflow, before, _MAX_NEW)
                self._open.update(dict.fromkeys(keys, now))
                self._last[workflow] = keys[-1][1] if keys else last
        yield from self._read(self._matching(self._changed(now)))

    def _changed(self, now: float) -> list[Key]:
        """Return the open deliveries that have something new to show."""
        changed: list[Key] = []
        since, self._open = self._open, {}
        for key, state, is_final in self._states(list(since)):
            is_due = state[0] is not None or now - since[key] >= _PENDING_SECONDS
            if is_due and self._yielded.get(key) != state:
                changed.append(key)
                self._yielded[key] = state
            if not is_final:
                self._open[key] = since[key]
        for key in list(self._open)[:-_MAX_OPEN]:
            del self._open[key]
        self._yielded = {key: self._yielded[key] for key in self._open if key in self._yielded}
        return self._by_arrival(changed)

    def _by_arrival(self, keys: list[Key]) -> list[Key]:
        """Sort deliveries by the time of arrival, those of one hook by id."""
        found = sorted(read_arrivals(self._store, keys), key=lambda row: (row.received_at, row.key))
        return [arrival.key for arrival in found]

    def _states(self, keys: list[Key]) -> Iterator[tuple[Key, tuple[int | None, str | None], bool]]:
        """Yield the key of each delivery, its status and reason, and whether both are final."""
        for arrival in read_arrivals(self._store, keys):
            execution = _execution_status(arrival)
            is_final = arrival.status is not None and (execution is None or execution.is_over)
            yield arrival.key, (arrival.status, _reason(arrival)), is_final

    def _matching(self, candidates: list[Key]) -> list[Key]:
        """Return the deliveries that the filter finds."""
        condition = self._condition
        if condition.where is not None:
            return queries.find_deliveries(self._store, condition.where, candidates)
        return [key for key in candidates if self._is_found(*key)]

    def _is_found(self, workflow: int, number: int) -> bool:
        try:
            return self._condition.matches(self._store.delivery(workflow, number))
        except RecordNotFoundError:
            return False  # cleared meanwhile

    # -- reading --------------------------------------------------------------------------------

    def _workflows(self) -> Mapping[int, str]:
        if self._names is not None:
            return self._names
        return self._store.workflow_names()

    def _read(self, keys: list[Key]) -> Iterator[Entry]:
        names = self._workflows() if keys else {}
        for start in range(0, len(keys), _BATCH):
            part = keys[start : start + _BATCH]
            triggers = self._read_triggers()
            requests = read_requests(self._store, part, MAX_PREVIEW_BYTES)
            for arrival in read_arrivals(self._store, part):
                workflow = arrival.workflow_id
                if workflow in names and arrival.key in requests:
                    request = StoredRequest(requests[arrival.key])
                    variables = self._variables(workflow, request, triggers.get(workflow))
                    yield Entry(hook=names[workflow], arrival=arrival, variables=variables)

    def _read_triggers(self) -> dict[int, Trigger]:
        """Read the current triggers; only those of a new revision are read again."""
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


def _execution_status(arrival: Arrival) -> Status | None:
    return Status(arrival.execution_status) if arrival.is_run else None


def _reason(arrival: Arrival) -> str | None:
    """Return the first line of why a delivery was refused, or of why its execution failed."""
    status = _execution_status(arrival)
    has_failed = arrival.reason is None and status is not None and status.is_bad
    reason = arrival.execution_reason if has_failed else arrival.reason
    return None if reason is None else reason.strip().partition("\n")[0]
