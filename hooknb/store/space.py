"""Deleting what was received, and giving its pages back to the disk, also where that is full."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, select, update

from hooknb.errors import StoreUnavailableError
from hooknb.store.schema import (
    STORED_BYTES,
    deliveries,
    executions,
    fixed_responses,
    jobs,
    responses,
    workflows,
)
from hooknb.store.text_index import forget, forget_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Column, ColumnElement, Connection

    from hooknb.store.ownership import Ownership

__all__ = ["clear", "delete_deliveries", "delete_received", "give_back", "give_back_step"]

_PART_IDS: Final = 200  # of one transaction where the disk is full
_STEP_PAGES: Final = 1_000  # that are given back at once

_IDLE_PAGES: Final = 250  # that are given back while a sender may come

# What is deleted, and the column that has the id of the delivery.
_RECEIVED: Final = (
    (responses, responses.c.delivery_id),
    (jobs, jobs.c.execution_id),
    (executions, executions.c.id),
    (deliveries, deliveries.c.id),
)


def delete_received(connection: Connection, workflow_id: int) -> None:
    """Delete what a workflow received, inside the transaction that the caller has begun."""
    forget_all(connection, workflow_id)
    for table in (*(table for table, _ in _RECEIVED), fixed_responses):
        connection.execute(delete(table).where(table.c.workflow_id == workflow_id))
    connection.execute(
        update(workflows)
        .where(workflows.c.id == workflow_id)
        .values(kept_deliveries=0, kept_bytes=0)
    )


def delete_deliveries(
    connection: Connection, workflow_id: int, is_meant: Callable[[Column[Any]], ColumnElement[bool]]
) -> None:
    """Delete deliveries with all that belongs to them, inside a transaction that was begun.

    Parameters
    ----------
    connection
        Holds the write lock.
    workflow_id
        Whose deliveries.
    is_meant
        Returns the condition on a column that has their ids.
    """
    counted = select(func.count(), func.coalesce(func.sum(STORED_BYTES), 0)).where(
        deliveries.c.workflow_id == workflow_id, is_meant(deliveries.c.id)
    )
    [(count, size)] = connection.execute(counted).all()
    forget(connection, workflow_id, is_meant)
    for table, number in _RECEIVED:
        connection.execute(
            delete(table).where(table.c.workflow_id == workflow_id, is_meant(number))
        )
    connection.execute(
        update(workflows)
        .where(workflows.c.id == workflow_id)
        .values(
            kept_deliveries=workflows.c.kept_deliveries - count,
            kept_bytes=workflows.c.kept_bytes - size,
        )
    )


def clear(
    connection: Connection,
    transaction: Callable[[Callable[[Connection], Any]], Any],
    ownership: Ownership,
    workflow_id: int,
) -> None:
    """Delete what a workflow received, then give the pages back.

    A deletion is written to the log first, for which a full disk has no room. The runtime's
    reserve then makes room for it, a part at a time.

    Parameters
    ----------
    connection
        The one that writes, outside of a transaction.
    transaction
        Runs a function of the connection in a transaction.
    ownership
        Has the reserve.
    workflow_id
        Whose deliveries.

    Raises
    ------
    StoreUnavailableError
        The store cannot be written.
    """
    try:
        transaction(lambda it: delete_received(it, workflow_id))
    except StoreUnavailableError as error:
        if not _is_full(error):
            raise
        ownership.free_reserve()
        try:
            _checkpoint(connection)
            transaction(lambda it: forget_all(it, workflow_id))
            while transaction(lambda it: _delete_part(it, workflow_id)):
                _checkpoint(connection)
            transaction(lambda it: delete_received(it, workflow_id))
            give_back(connection)
        finally:
            ownership.make_reserve()
    else:
        give_back(connection)


def _delete_part(connection: Connection, workflow_id: int) -> bool:
    """Delete the oldest deliveries with all that belongs to them; return whether there were any."""
    oldest = select(func.min(deliveries.c.id)).where(deliveries.c.workflow_id == workflow_id)
    first = connection.execute(oldest).scalar()
    if first is None:
        return False
    delete_deliveries(connection, workflow_id, lambda number: number < first + _PART_IDS)
    return True


def give_back(connection: Connection) -> None:
    """Shrink the file by the pages that nothing stands on, as far as that can be done now."""
    cursor = connection.connection.cursor()
    try:
        free, before = _free_pages(cursor), None
        # Somebody who reads for long keeps the log: the pages are given back another time.
        while _checkpoint(connection) and free and free != before:
            # As a script: `execute` would take the first step of it, which is one page.
            cursor.executescript(f"PRAGMA incremental_vacuum({_STEP_PAGES})")
            before, free = free, _free_pages(cursor)
    except sqlite3.OperationalError:
        pass  # the pages stay in the file, for what comes next
    finally:
        cursor.close()


def give_back_step(connection: Connection) -> bool:
    """Give back some of the free pages without waiting for readers; return whether more are left.

    What a reader still sees stays in the log until the next step.
    """
    cursor = connection.connection.cursor()
    try:
        before = _free_pages(cursor)
        if before:
            cursor.executescript(f"PRAGMA incremental_vacuum({_IDLE_PAGES})")
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return 0 < _free_pages(cursor) < before
    except sqlite3.OperationalError:
        return False  # the pages stay in the file, for what comes next
    finally:
        cursor.close()


def _free_pages(cursor: Any) -> int:
    [free] = cursor.execute("PRAGMA freelist_count").fetchone()
    return int(free)


def _checkpoint(connection: Connection) -> bool:
    """Move the log into the file and give its pages back; return whether that was done."""
    cursor = connection.connection.cursor()
    is_busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    cursor.close()
    return not is_busy


def _is_full(error: StoreUnavailableError) -> bool:
    cause = error.__cause__
    cause = getattr(cause, "orig", cause)
    return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
