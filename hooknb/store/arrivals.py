"""What comes to a store over all of its workflows, for those who look again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from sqlalchemy import BindParameter, and_, bindparam, case, func, select, tuple_

from hooknb.store.schema import (
    RESPONSE_OF_DELIVERY,
    deliveries,
    executions,
    responses,
    revisions,
    workflows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hooknb.store.store import Store

__all__ = [
    "Arrival",
    "Current",
    "Key",
    "read_arrivals",
    "read_currents",
    "read_definition",
    "read_new_keys",
    "read_requests",
]

Key: TypeAlias = tuple[int, int]
"""A workflow and the id of one of its deliveries."""

_MAX_KEYS: Final = 1_000  # of one statement

_KEY: Final = tuple_(deliveries.c.workflow_id, deliveries.c.id)
_KEYS: Final[BindParameter[Any]] = bindparam("keys", expanding=True)

_ARRIVALS: Final = (
    select(
        deliveries.c.workflow_id,
        deliveries.c.id,
        deliveries.c.received_at,
        deliveries.c.method,
        deliveries.c.reason,
        responses.c.status,
        responses.c.duration_us,
        executions.c.id.is_not(None),
        executions.c.status,
        executions.c.reason,
    )
    .select_from(deliveries)
    .outerjoin(responses, RESPONSE_OF_DELIVERY)
    .outerjoin(
        executions,
        and_(
            executions.c.workflow_id == deliveries.c.workflow_id,
            executions.c.id == deliveries.c.id,
        ),
    )
    .where(_KEY.in_(_KEYS))
)
_REQUESTS: Final = (
    select(
        deliveries.c.workflow_id,
        deliveries.c.id,
        deliveries.c.method,
        deliveries.c.query,
        deliveries.c.content_type,
        deliveries.c.content_encoding,
        deliveries.c.head,
        case((func.length(deliveries.c.body) <= bindparam("max_body_bytes"), deliveries.c.body)),
        deliveries.c.size,
        deliveries.c.reason,
        deliveries.c.detail,
        responses.c.status,
    )
    .select_from(deliveries)
    .outerjoin(responses, RESPONSE_OF_DELIVERY)
    .where(_KEY.in_(_KEYS))
)


class Current(NamedTuple):
    """A workflow as it stands: its name, its current revision, and the last id it has given."""

    workflow_id: int
    name: str
    revision: int
    last_delivery: int


class Arrival(NamedTuple):
    """A delivery, without what was sent, and what has become of it by now.

    Attributes
    ----------
    reason
        Why it was refused.
    status, duration_us
        Of the response; ``None`` while the sender waits.
    is_run
        Whether it has an execution; its status is ``None`` while it is queued.
    """

    workflow_id: int
    id: int
    received_at: int
    method: str
    reason: str | None
    status: int | None
    duration_us: int | None
    is_run: bool
    execution_status: int | None
    execution_reason: str | None

    @property
    def key(self) -> Key:
        """Which one it is."""
        return self.workflow_id, self.id


def read_currents(store: Store) -> list[Current]:
    """Read how every workflow stands."""
    columns = (workflows.c.id, workflows.c.name, workflows.c.current, workflows.c.last_delivery)
    return [Current(*row) for row in store.fetch(select(*columns).order_by(workflows.c.id))]


def read_definition(store: Store, workflow_id: int, revision: int) -> bytes | None:
    """Read the definition of a revision; ``None`` where there is none by now."""
    found = select(revisions.c.definition).where(
        revisions.c.workflow_id == workflow_id, revisions.c.number == revision
    )
    rows = store.fetch(found)
    return rows[0].definition if rows else None


def read_new_keys(store: Store, workflow_id: int, after: int, limit: int) -> list[Key]:
    """Read which deliveries of a workflow came after an id, oldest first."""
    new = (
        select(deliveries.c.workflow_id, deliveries.c.id)
        .where(deliveries.c.workflow_id == workflow_id, deliveries.c.id > after)
        .order_by(deliveries.c.id)
        .limit(limit)
    )
    return [(row.workflow_id, row.id) for row in store.fetch(new)]


def read_arrivals(store: Store, keys: Sequence[Key]) -> list[Arrival]:
    """Read what has become of deliveries, in the order of ``keys``, without those that are gone."""
    found = {}
    for part in _parts(keys):
        for row in store.fetch(_ARRIVALS, {"keys": part}):
            arrival = Arrival(*row)
            found[arrival.key] = arrival
    return [found[key] for key in keys if key in found]


def read_requests(
    store: Store, keys: Sequence[Key], max_body_bytes: int
) -> dict[Key, tuple[Any, ...]]:
    """Read what was sent, as :class:`hooknb.history.delivery.StoredRequest` takes it.

    The body is ``None`` where it has more than ``max_body_bytes``.
    """
    found: dict[Key, tuple[Any, ...]] = {}
    for part in _parts(keys):
        given = {"keys": part, "max_body_bytes": max_body_bytes}
        for workflow_id, number, *request in store.fetch(_REQUESTS, given):
            found[workflow_id, number] = tuple(request)
    return found


def _parts(keys: Sequence[Key]) -> Iterator[list[Key]]:
    for start in range(0, len(keys), _MAX_KEYS):
        yield list(keys[start : start + _MAX_KEYS])
