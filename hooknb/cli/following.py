"""What comes to a store, as it comes: read by polling, since another process writes it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hooknb.errors import RecordNotFoundError, StoreUnavailableError
from hooknb.history.delivery import MAX_PREVIEW_BYTES, StoredRequest
from hooknb.history.feed import Filter, matching_ids
from hooknb.history.feed.columns import Columns, leaf_columns
from hooknb.paths import MISSING
from hooknb.records import Status
from hooknb.store import Reading
from hooknb.workflow import Trigger
from hooknb.workflow.definitions import trigger_of

__all__ = ["Following", "Seen"]

_MOST: Final = 5_000  # deliveries of one look
_PIECE: Final = 100  # whose bodies are read at once
_PATIENCE: Final = 1.0  # seconds before one whose caller still waits is given as it is
_MOST_OPEN: Final = 1_000  # deliveries whose answers and executions are still looked for

_JOINED: Final = (
    "FROM json_each(?) k CROSS JOIN deliveries d "
    "ON d.workflow_id = k.value ->> 0 AND d.id = k.value ->> 1 "
    "LEFT JOIN responses a ON a.workflow_id = d.workflow_id AND a.delivery_id = d.id "
    "LEFT JOIN executions e ON e.workflow_id = d.workflow_id AND e.id = d.id WHERE 1"
)
_STATES: Final = (
    "SELECT d.id, d.workflow_id, a.status, d.reason, e.id IS NULL, e.status, e.reason "
    f"{_JOINED} ORDER BY k.key"
)
_FACTS: Final = (
    "SELECT d.id, d.workflow_id, d.received_at, d.method, d.reason, a.status, a.duration_us, "
    "e.id IS NULL, e.status, e.reason, d.method, d.query, d.content_type, d.content_encoding, "
    "d.head, CASE WHEN length(d.body) <= ? THEN d.body END, d.size, d.reason, d.detail, a.status "
    f"{_JOINED} ORDER BY k.key"
)


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
        """Give the newest deliveries that are there, oldest first; all later ones are news.

        Parameters
        ----------
        count
            How many at the most.
        """
        self._last = dict(self._store.rows("SELECT id, last_delivery FROM workflows"))
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
        """Give what has come since, and what has become of deliveries given before; looks once.

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
        for workflow, last in self._store.rows("SELECT id, last_delivery FROM workflows"):
            if workflow in followed and last > self._last.get(workflow, 0):
                rows = self._store.rows(
                    "SELECT id FROM deliveries WHERE workflow_id = ? AND id > ? "
                    "ORDER BY id LIMIT ?",
                    (workflow, self._last.get(workflow, 0), _MOST),
                )
                self._open.update({(workflow, number): now for (number,) in rows})
                self._last[workflow] = rows[-1][0] if rows else last
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
        rows = self._store.rows(
            f"SELECT d.workflow_id, d.id, d.received_at {_JOINED}", (json.dumps(keys),)
        )
        # By workflow first: a clock that was set back does not change the order within a hook.
        return [(row[0], row[1]) for row in sorted(rows, key=lambda row: (row[2], row[0], row[1]))]

    def _states(
        self, keys: list[tuple[int, int]]
    ) -> Iterator[tuple[tuple[int, int], tuple[int | None, str | None], bool]]:
        """Yield key, what can be told, and whether nothing will change, of those there."""
        rows = self._store.rows(_STATES, (json.dumps(keys),)) if keys else []
        for number, workflow, status, refusal, is_missing, code, why in rows:
            ended = None if is_missing else Status(code)
            is_settled = status is not None and (ended is None or ended.is_over)
            yield (workflow, number), (status, _reason(refusal, ended, why)), is_settled

    def _matching(self, candidates: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return those that the filter finds by now."""
        asked = self._asked
        if asked.where is not None:
            condition, parameters = asked.where
            rows = self._store.rows(
                f"SELECT d.workflow_id, d.id {_JOINED} AND {condition} ORDER BY k.key",
                (json.dumps(candidates), *parameters),
            )
            return [(workflow, number) for workflow, number in rows]
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
        return dict(self._store.rows("SELECT id, name FROM workflows"))

    def _read(self, keys: list[tuple[int, int]]) -> Iterator[Seen]:
        names = self._workflows() if keys else {}
        for start in range(0, len(keys), _PIECE):
            listed = json.dumps(keys[start : start + _PIECE])
            triggers = self._read_triggers()
            for row in self._store.rows(_FACTS, (MAX_PREVIEW_BYTES, listed)):
                if row[1] in names:
                    yield self._seen(names[row[1]], row, triggers.get(row[1]))

    def _read_triggers(self) -> dict[int, Trigger]:
        """Read the triggers as they are now; those of an earlier revision are read again."""
        for workflow, number in self._store.rows("SELECT id, current FROM workflows"):
            if self._triggers.get(workflow, (0,))[0] != number:
                [(definition,)] = self._store.rows(
                    "SELECT definition FROM revisions WHERE workflow_id = ? AND number = ?",
                    (workflow, number),
                )
                self._triggers[workflow] = (number, trigger_of(definition))
        return {workflow: trigger for workflow, (_, trigger) in self._triggers.items()}

    def _seen(self, name: str, row: Sequence[Any], trigger: Trigger | None) -> Seen:
        number, workflow, received, method, refusal, status, duration, *rest = row
        is_missing, code, why, *request = rest
        ended = None if is_missing else Status(code)
        return Seen(
            id=number,
            hook=name,
            received_us=received,
            method=method,
            outcome="accepted" if refusal is None else "refused",
            status=status,
            reason=_reason(refusal, ended, why),
            took_ms=None if duration is None else duration / 1000,
            execution=None if ended is None else ended.word,
            variables=self._variables(workflow, StoredRequest(request), trigger),
        )

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


def _reason(refusal: str | None, ended: Status | None, why: str | None) -> str | None:
    """Give in a line why a delivery was refused, or why its execution did not end well."""
    reason = why if refusal is None and ended is not None and ended.is_bad else refusal
    return None if reason is None else reason.strip().partition("\n")[0]
