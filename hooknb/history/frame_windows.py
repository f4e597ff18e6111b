"""Windows: which rows of a frame are asked for."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from hooknb.errors import SettingError
from hooknb.history.table import Search, compile_filter
from hooknb.store import queries

if TYPE_CHECKING:
    from hooknb.store import Store

__all__ = ["KINDS", "Window"]

KINDS: Final = ("deliveries", "executions", "variables", "jobs")
"""The frames of a hook."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The rows that are asked for: the newest ``last`` of the deliveries that the rest selects.

    Attributes
    ----------
    last
        The number of rows; ``None`` for all.
    since, until
        The deliveries received then or later, and before that: an aware ``datetime``, or its text
        in ISO 8601.
    where
        A filter of deliveries, see :func:`hooknb.history.table.compile_filter`.

    Raises
    ------
    SettingError
        One of them is invalid.
    """

    last: int | None = None
    since: datetime | str | None = None
    until: datetime | str | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        if self.last is not None and (
            not isinstance(self.last, int) or isinstance(self.last, bool) or self.last < 0
        ):
            raise SettingError(
                "last", f"{self.last!r} is not a number of rows; write one such as 100"
            )
        for name in ("since", "until"):
            object.__setattr__(self, name, _moment(name, getattr(self, name)))
        if self.where is not None:
            compile_filter(self.where)

    @property
    def description(self) -> dict[str, Any]:
        """What it asks for, as values that JSON has."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
            if value is not None
        }

    @property
    def since_us(self) -> int | None:
        """``since`` in microseconds since 1970."""
        return _as_microseconds(self.since)

    @property
    def until_us(self) -> int | None:
        """``until`` in microseconds since 1970."""
        return _as_microseconds(self.until)

    def ids(self, store: Store, workflow_id: int, kind: str) -> tuple[list[int], str | None]:
        """Return the ids of the rows of a frame, oldest first, and where it was interrupted.

        Blocks while it reads: a filter reads what it looks at of the deliveries, newest first, and
        only until ``last`` rows are found. An interrupt leaves what it has found so far; see
        :class:`hooknb.history.table.Search`.
        """
        since, until = self.since_us, self.until_us
        read = partial(queries.read_window_ids, store, workflow_id, kind)
        if self.where is None:
            return read(last=self.last, since=since, until=until), None
        within = [
            queries.Comparison("received_at", sign, moment)
            for sign, moment in ((">=", since), ("<", until))
            if moment is not None
        ]
        if kind != "deliveries":  # of what was refused there is nothing else
            within.append(queries.Comparison("reason", "==", None))
        search = Search(store, workflow_id, compile_filter(self.where), tuple(within))
        if kind == "jobs":
            return read(last=self.last, of=search.run()), search.stopped
        return search.run(self.last), search.stopped


def _as_microseconds(moment: datetime | str | None) -> int | None:
    if not isinstance(moment, datetime):  # `__post_init__` has made one of what was text
        return None
    # Rounded up, as nothing is received between two microseconds; pandas' times have nanoseconds.
    return -((_EPOCH - moment) // timedelta(microseconds=1))


def _moment(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    moment = value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            moment = datetime.fromisoformat(value)
    if not isinstance(moment, datetime) or str(moment) == "NaT":
        problem = f"{value!r} is not a time; write an aware datetime, or 2026-01-31T12:00:00+00:00"
        raise SettingError(name, problem)
    if moment.utcoffset() is None:
        problem = f"{value!r} has no time zone; write one such as 2026-01-31T12:00:00+00:00"
        raise SettingError(name, problem)
    return moment
