"""What a workflow has received: its frames and its records."""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from hooknb import paths
from hooknb.errors import PayloadError, RecordNotFoundError, SettingError
from hooknb.handle import Handle
from hooknb.paths import MISSING
from hooknb.records import Delivery, Execution

if TYPE_CHECKING:
    import pandas as pd

    from hooknb.history.frames import Frames

__all__ = ["Received", "as_id"]

_MOST_LOOKED_AT: Final = 1_000
_MOST_READ: Final = 64 * 2**20  # bytes


class Received(Handle):
    """What came: as frames, and one by one."""

    @cached_property
    def _frames(self) -> Frames:
        from hooknb.history.frames import Frames  # pandas takes half a second to load

        return Frames(self.store, self._state.workflow_id)

    @property
    def deliveries(self) -> pd.DataFrame:
        """Every request that is kept, accepted or refused, oldest first, by id.

        Columns: received_at, method, content_type, size (bytes), remote, outcome, reason, status
        (answered), duration_ms, headers, query, body. Credentials in headers are masked.
        """
        self.flush()
        return self._frames.deliveries()

    @property
    def executions(self) -> pd.DataFrame:
        """Every run, by id, which is that of its delivery.

        Columns: delivery, revision, status, reason, started_at, finished_at, duration_ms,
        response_status, missing (configured variables that did not come), recovered.
        """
        self.flush()
        return self._frames.executions()

    @property
    def variables(self) -> pd.DataFrame:
        """The variables of every accepted delivery: received_at, then a column each.

        Without configured variables the leaves of what came, from query and body, most frequent
        first, at most 500; how many were left out stands in ``attrs["left_out"]``. Headers are
        shown where they are configured.
        """
        self.flush()
        return self._frames.variables(self.workflow.trigger)

    @property
    def jobs(self) -> pd.DataFrame:
        """Every run of every node.

        Columns: execution, node, type, status, started_at, finished_at, duration_ms, result,
        output (what it printed), error.
        """
        self.flush()
        return self._frames.jobs()

    def delivery(self, id: int) -> Delivery:
        """Give one delivery with everything, its raw bytes too.

        Raises
        ------
        RecordNotFoundError
            It is not one of this hook's.
        """
        self.flush()
        return self.store.delivery(self._state.workflow_id, as_id(id))

    def execution(self, id: int) -> Execution:
        """Give one execution with its jobs.

        Raises
        ------
        RecordNotFoundError
            It is not one of this hook's.
        """
        self.flush()
        return self.store.execution(self._state.workflow_id, as_id(id))

    def search(self, text: str, limit: int | None = None) -> pd.DataFrame:
        """Give the rows of :attr:`deliveries` that a filter finds, oldest first.

        Blocks while it looks: some seconds for a text or an expression in 100,000 deliveries.

        Parameters
        ----------
        text
            A status (``4xx``, ``>=400``), an outcome (``refused``), an expression in CEL
            (``body.amount > 100``), or any other text, which is looked for in method, reason,
            query and body; see :func:`hooknb.history.feed.compile_filter`.
        limit
            Only the newest so many of them; ``None`` is all.

        Raises
        ------
        SettingError
            The text is no filter, and why; or the limit is no number.
        StoreError
            The store cannot be read.
        """
        from hooknb.history.feed import compile_filter, matching_ids  # a hook is made without it

        asked = compile_filter(text)
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool)):
            raise SettingError("limit", f"{limit!r} is not a whole number, or None")
        self.flush()
        found = matching_ids(self.store, self._state.workflow_id, asked, limit)
        frame = self.deliveries
        # Some may have been cleared in between.
        return frame[frame.index.isin(found)]

    def export(
        self, path: str | os.PathLike[str], format: str | None = None, *, secrets: bool = False
    ) -> int:
        """Write every delivery that is kept to a file, refused ones too, oldest first.

        Blocks until all is written. A file of that name is replaced once the new one is complete.

        Parameters
        ----------
        path
            ``.jsonl`` keeps all, the bytes exactly, and can be sent again: :meth:`load`. ``.har``
            is the archive of browsers' network tools; ``.parquet`` is for tables, and needs
            ``pip install "hooknb[parquet]"``.
        format
            ``jsonl``, ``har`` or ``parquet``; ``None`` for that of the suffix.
        secrets
            Whether to write credentials in headers as they came; they are masked otherwise. Bodies
            and queries are written as they came in any case.

        Returns
        -------
        int
            How many were written.

        Raises
        ------
        SettingError
            There is no such format, its package is not installed, or the file cannot be written.
        StoreError
            The store cannot be read; there is no new file then.
        """
        from hooknb.history.exports import export  # a hook is made without it

        return export(self._each(), path, format, secrets=secrets)

    def _each(self) -> Iterator[Delivery]:
        """Give the deliveries that are kept by now, oldest first; each is read when it is due."""
        self.flush()
        workflow_id = self._state.workflow_id
        for (number,) in self.store.rows(
            "SELECT id FROM deliveries WHERE workflow_id = ? ORDER BY id", (workflow_id,)
        ):
            with contextlib.suppress(RecordNotFoundError):  # cleared meanwhile
                yield self.store.delivery(workflow_id, number)

    def _accepted(self) -> Iterator[Delivery]:
        """Give accepted deliveries, newest first: the last thousand, or 64 MiB of them."""
        from hooknb.history.feed import accepted  # a hook is made without it

        self.flush()
        rows = accepted(self.store, self._state.workflow_id, _MOST_LOOKED_AT)
        read = 0
        for number, size in rows:
            read += size
            if read > _MOST_READ and number != rows[0][0]:
                return
            try:
                yield self.store.delivery(self._state.workflow_id, number)
            except RecordNotFoundError:
                return  # cleared meanwhile

    def _newest(self, part: str, path: str) -> Any:
        """Give a variable's value in the newest accepted delivery that has it, or ``MISSING``."""
        for delivery in self._accepted():
            try:
                if part == "headers":
                    value = delivery.header_map.get(path, MISSING)
                else:
                    whole = delivery.query if part == "query" else delivery.body_or_missing
                    value = paths.get(whole, path)
            except PayloadError:
                continue
            if value is not MISSING:
                return value
        return MISSING


def as_id(id: Any) -> int:
    """Take an id, a whole number of Python's or of numpy's."""
    try:
        number = operator.index(id)
    except TypeError:
        raise RecordNotFoundError(
            f"{id!r} is not an id; write the number of the frame's row"
        ) from None
    if not 0 < number < 2**63:
        raise RecordNotFoundError(f"there is nothing with the id {number}")
    return number
