"""The four frames of a hook, each read once and then only extended."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

from hooknb.errors import SettingError
from hooknb.history.frames.collection import collection_held_off
from hooknb.history.frames.record_frames import DeliveryRows, ExecutionRows, JobRows
from hooknb.history.frames.typed_arrays import objects
from hooknb.history.frames.variable_frame import VariableRows, variable_key
from hooknb.workflow.variables import split_column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from hooknb.history.frames.variable_frame import Key
    from hooknb.store import Store
    from hooknb.workflow import Trigger

__all__ = ["Frames"]

_RECORDS: Final[dict[str, type[DeliveryRows | ExecutionRows | JobRows]]] = {
    "deliveries": DeliveryRows,
    "executions": ExecutionRows,
    "jobs": JobRows,
}


def _check_columns(kind: str, columns: Sequence[str], names: Sequence[str]) -> None:
    for name in columns:
        if name not in names:
            raise SettingError(
                "columns", f"{name!r} is not a column of {kind}; they are {', '.join(names)}"
            )


def _leaf(name: str) -> tuple[str, str]:
    try:
        part, path = split_column(name)
    except SettingError as error:
        raise SettingError("columns", error.problem) from error
    if part == "headers":
        raise SettingError(
            "columns", f"{name!r} is not a column of variables; name it in headers= of the hook"
        )
    return part, path


class Frames:
    """The frames of one workflow.

    Every frame is oldest first, indexed by an ``int64`` index named ``id``, and has the same
    columns and types when it is empty. Each call reads what is new and returns a frame of the
    user's own: what is done to it reaches neither the next one nor the store. Only the lists and
    dicts in cells are shared between the frames returned, as between any frame and its copy, and
    what is written into the array of a column (``frame["size"].array[0] = 1``), by which pandas
    does not copy.

    What was submitted to the store is seen after :meth:`~hooknb.store.Store.flush`. Methods may be
    called from any thread, read in the calling one, and wait for one another.

    Parameters
    ----------
    store
        Where the records are.
    workflow_id
        Whose they are.
    """

    def __init__(self, store: Store, workflow_id: int) -> None:
        self._lock = Lock()
        self._store = store
        self._workflow_id = workflow_id
        self._deliveries = DeliveryRows(store, workflow_id)
        self._executions = ExecutionRows(store, workflow_id)
        self._jobs = JobRows(store, workflow_id)
        self._variables = VariableRows(store, workflow_id)

    @property
    def delivery_columns(self) -> list[str]:
        """The columns of :meth:`deliveries`."""
        return self._deliveries.kept_names

    def deliveries(self) -> pd.DataFrame:
        """Return every delivery that is kept, refused ones too.

        ``content_type`` is the media type in lower case, without parameters, ``query`` the parsed
        query. ``status`` and ``duration_ms`` (headers complete to response) are missing while the
        caller waits, and where it hung up.
        """
        return self._read_copy(self._deliveries, self._deliveries.read)

    def executions(self) -> pd.DataFrame:
        """Return every execution; the id is that of its delivery.

        ``missing`` is a list of the configured variables that are missing, as ``part.path``.
        """
        return self._read_copy(self._executions, self._executions.read)

    def jobs(self) -> pd.DataFrame:
        """Return the record of every node that ran, ordered by the ends of their executions."""
        return self._read_copy(self._jobs, self._jobs.read)

    def variables(self, trigger: Trigger) -> pd.DataFrame:
        """Return ``received_at`` and the variables of every accepted delivery.

        Parameters
        ----------
        trigger
            Says which variables are configured. Where none is, they are inferred: every leaf path
            of query and body, the most frequent first, at most 500.

        Returns
        -------
        DataFrame
            ``attrs["left_out"]`` is the number of inferred variables that found no room.

        Notes
        -----
        A cell shows what stands at its path in that delivery. So an inferred column holds an object
        where the path, a leaf in other deliveries, leads to one. Only ``body``, the column of
        bodies that are not objects, does not repeat those that are.

        The type of a column is the narrowest that keeps every value exactly. Integers are
        ``int64``, with gaps ``Int64``, and Python objects where one needs more than 64 bits;
        integers among fractions are ``float64`` where all are within ±2**53, else Python objects;
        booleans are ``bool`` or ``boolean``, text is ``str``. Whatever else, and what is mixed, are
        Python objects with ``None`` for gaps.
        """
        return self._read_copy(self._variables, lambda: self._variables.read(variable_key(trigger)))

    def window(
        self, kind: str, trigger: Trigger, ids: Sequence[int], columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return rows of one of the frames, read for this call alone.

        Those of deliveries have two columns more: ``headers``, plain dicts with credentials masked,
        and ``body``, the parsed body: ``None`` where there is none, or where it cannot be parsed.

        Parameters
        ----------
        kind
            ``deliveries``, ``executions``, ``variables`` or ``jobs``.
        trigger
            As in :meth:`variables`. Variables that are inferred are those of these rows.
        ids
            Of the rows, in order.
        columns
            Those of the frame, in this order, and nothing else is extracted; ``None`` for all. Of
            inferred variables any of query and body may be named: it is missing where these rows
            do not have it.

        Raises
        ------
        SettingError
            There is no such column.
        """
        with collection_held_off():
            if kind == "variables":
                return self._variable_window(variable_key(trigger), ids, columns)
            rows = _RECORDS[kind](self._store, self._workflow_id)
            if columns is not None:
                _check_columns(kind, columns, rows.names)
            return rows.window(ids, columns)

    def _variable_window(
        self, key: Key, ids: Sequence[int], columns: Sequence[str] | None
    ) -> pd.DataFrame:
        rows = VariableRows(self._store, self._workflow_id, ids)
        if columns is None:
            return rows.read(key)
        if key:
            _check_columns("variables", columns, ["received_at", *(name for *_, name in key)])
            key = tuple(item for item in key if item[-1] in columns) or key[:1]
        else:
            leaves = tuple((*_leaf(name), name) for name in columns if name != "received_at")
            # `body` shows only those that are not objects, for which all must be taken apart.
            if all(path for _, path, _ in leaves):
                key = leaves
        made = rows.read(key)
        absent = {name: objects([None] * len(made)) for name in columns if name not in made}
        return made.assign(**absent)[list(columns)]

    def _read_copy(
        self,
        rows: DeliveryRows | ExecutionRows | JobRows | VariableRows,
        read: Callable[[], pd.DataFrame],
    ) -> pd.DataFrame:
        with self._lock, collection_held_off():
            try:
                # pandas copies on write: that is as good as a copy, and costs nothing.
                return read().copy(deep=False)
            except BaseException:
                rows.reset()  # an interrupted cell may have left it half extended
                raise
