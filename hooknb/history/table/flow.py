"""Counts, durations and branches of the nodes of a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hooknb.records import JobError, Status, decode_result
from hooknb.store import queries

if TYPE_CHECKING:
    from hooknb.store import Store

__all__ = ["FlowCounts", "branch_label"]

_MAX_IDS: Final = 50_000  # ids of one statement: an in-memory store writes nothing meanwhile
_MAX_CHARACTERS: Final = 400  # characters of a result that names a branch


class FlowCounts:
    """How often the nodes of a workflow ran, how long they took, and which way they went.

    Used by one thread at a time.

    Parameters
    ----------
    store, workflow_id
        Whose jobs.

    Attributes
    ----------
    nodes
        By the key of the node: ``{"runs": int, "mean_ms": float, "errors": int, "branches":
        {label: times}}``. Jobs of all revisions count; those that run do not. ``errors`` are those
        that the node raised itself. Labels are ``yes`` and ``no`` of a Condition, and of a Switch
        the name of the case, its position from 0 where it has none, or ``otherwise``.
    """

    def __init__(self, store: Store, workflow_id: int) -> None:
        self._store = store
        self._workflow_id = workflow_id
        self._forget()

    def _forget(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self._last = 0
        self._mark: tuple[Any, ...] | None = None

    def refresh(self) -> bool:
        """Count what has ended since; a hook that was cleared starts at nothing.

        What retention deletes after it was counted stays counted.

        The first time reads all jobs, a few microseconds for each; later only the new ones.

        Returns
        -------
        bool
            Whether anything changed.

        Raises
        ------
        StoreUnavailableError
            The store cannot be read.
        """
        forgotten = self._mark is not None and self._read_mark() != self._mark
        if forgotten:
            self._forget()
        newest = queries.read_last_job_id(self._store, self._workflow_id)
        before = self._last
        start = before
        while newest is not None and start < newest:
            start = self._read(start, min(start + _MAX_IDS, newest))
        if self._last != before:
            self._mark = self._read_mark()
        return forgotten or self._last != before

    def _read_mark(self) -> tuple[Any, ...] | None:
        """Return what identifies the last known job; ``None`` once it is gone."""
        return queries.read_mark(self._store, self._workflow_id, self._last)

    def _read(self, after: int, upto: int) -> int:
        rows = queries.read_job_counts(
            self._store,
            self._workflow_id,
            after,
            upto,
            inside=JobError.NESTED.value,
            max_characters=_MAX_CHARACTERS,
        )
        for node, kind, status, result, is_inside, times, microseconds, last in rows:
            counts = self.nodes.setdefault(
                node, {"runs": 0, "mean_ms": 0.0, "errors": 0, "branches": {}}
            )
            before = counts["mean_ms"] * counts["runs"]
            counts["runs"] += times
            counts["mean_ms"] = (before + microseconds / 1000) / counts["runs"]
            if status == Status.ERROR.value and not is_inside:
                counts["errors"] += times
            label = branch_label(kind, status, result, is_inside=bool(is_inside))
            if label is not None:
                counts["branches"][label] = counts["branches"].get(label, 0) + times
            self._last = max(self._last, last)
        return upto


def branch_label(kind: str, status: int, result: str | None, *, is_inside: bool) -> str | None:
    """Name the way that a node went.

    Parameters
    ----------
    kind
        The name of the node's type.
    status, result
        The job's, as the store has them.
    is_inside
        Whether a node inside of it failed.

    Returns
    -------
    str or None
        ``yes`` or ``no``, the name or position of a case, ``otherwise``; ``None`` where the node
        chose nothing.
    """
    try:
        value = decode_result(result)
    except ValueError:  # cut
        return None
    if kind == "condition" and isinstance(value, bool):
        return "yes" if value else "no"
    if kind == "switch":
        if value is not None:
            return str(value)
        if status == Status.RESOLVED.value or is_inside:
            return "otherwise"
    return None
