"""The index of texts: which deliveries may contain a text, by SQLite's FTS5.

Each hook has its index: the trigrams of what :mod:`hooknb.store.searched_text` searches, without
the text itself. It only narrows a search down: whoever asks checks each candidate. So it
need not know everything: refused deliveries (a thousand at most) and large bodies are candidates
always, and so is what the writer has not come to yet. The writer adds to it while nobody waits.
"""

from __future__ import annotations

import contextlib
import sqlite3
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    bindparam,
    case,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)

from hooknb.errors import PayloadError, SettingError, StoreUnavailableError
from hooknb.payloads import decompress
from hooknb.records import LazyRequest
from hooknb.store.prepared import Prepared
from hooknb.store.schema import deliveries, workflows
from hooknb.store.searched_text import searched_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection

    from hooknb.store.store import Store
    from hooknb.store.writer import Transaction

__all__ = [
    "Candidates",
    "TextIndex",
    "check_setting",
    "forget",
    "forget_all",
    "is_indexed",
    "open_candidates",
]

_TRIGRAM: Final = 3  # characters
_MAX_TERMS: Final = 16  # of one search; candidates are checked
_MAX_BYTES: Final = 64 * 1024  # of a body, decompressed, beyond which it is not indexed
_MAX_CHARACTERS: Final = 4 * _MAX_BYTES  # of what is searched of one delivery, likewise
_STEP_DELIVERIES: Final = 100  # of one transaction
_STEP_CHARACTERS: Final = 256 * 1024  # of one transaction, about 20 ms

# They are made when an index is switched on, and are no part of a store without one.
_metadata: Final = MetaData()
_indexes: Final = Table(
    "text_indexes",
    _metadata,
    Column("workflow_id", Integer, primary_key=True),
    Column("upto", Integer, nullable=False),  # all deliveries up to this id are in it
)
_left_out: Final = Table(
    "text_left_out",
    _metadata,
    Column("workflow_id", Integer, primary_key=True),
    Column("delivery_id", Integer, primary_key=True),
    sqlite_with_rowid=False,
)


class _Row(LazyRequest):
    """What is indexed of an accepted delivery."""

    reason = None
    detail = None
    raw: bytes

    def __init__(self, row: Sequence[Any]) -> None:
        self.method: str
        self.query_string: str
        (
            self.method,
            self.query_string,
            self.content_type,
            self.content_encoding,
            self.raw,
        ) = row

    @property
    def indexed(self) -> str | None:
        """The text to be indexed; ``None`` where it is too large."""
        if self.raw is None:
            return None
        try:
            decompress(self.raw, self.content_encoding, _MAX_BYTES)
        except PayloadError:
            return None
        text = _tokens(searched_text(self))
        return text if len(text) <= _MAX_CHARACTERS else None


_IS_SMALL: Final = func.length(deliveries.c.body) <= _MAX_BYTES
_COLUMNS: Final = (
    deliveries.c.id,
    deliveries.c.method,
    deliveries.c.query,
    deliveries.c.content_type,
    deliveries.c.content_encoding,
    case((_IS_SMALL, deliveries.c.body)),
)
_NEXT: Final = Prepared(
    select(*_COLUMNS, deliveries.c.reason)
    .where(deliveries.c.workflow_id == bindparam("of"), deliveries.c.id > bindparam("after"))
    .order_by(deliveries.c.id)
    .limit(_STEP_DELIVERIES)
)


@cache
def _has_trigrams() -> bool:
    """Tell whether this process's SQLite has FTS5 with trigrams."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(_made("tried"))
        except sqlite3.OperationalError:
            return False
    return True


def _made(name: str) -> str:
    # Neither the text nor positions are kept: of a candidate all its trigrams are known to stand
    # in it, and whether they do in a row is seen when it is checked.
    return (
        f"CREATE VIRTUAL TABLE {name} USING fts5(text, content='', columnsize=0, detail=none, "
        "tokenize='trigram case_sensitive 1')"
    )


def check_setting(wanted: bool | None) -> None:  # noqa: FBT001 - the value of a setting
    """Refuse the setting ``text_index`` where SQLite has no such index.

    Raises
    ------
    SettingError
        And what to do.
    """
    if wanted and not _has_trigrams():
        raise SettingError(
            "text_index",
            f"SQLite {sqlite3.sqlite_version} of this Python has no FTS5 with trigrams; use a "
            "Python with SQLite 3.34 or later, or leave out text_index: texts are found without "
            "it, only slower",
        )


def _table(workflow_id: int) -> str:
    return f"text_of_{workflow_id:d}"


def _tokens(text: str) -> str:
    """Return a text as the index can hold it: no end of text in it, and nothing beyond UTF-8."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


# -- keeping it -----------------------------------------------------------------------------------


class TextIndex:
    """The indexing of what is not indexed yet, by the writer.

    Attributes
    ----------
    is_on
        Whether there is something to be kept up.
    """

    fault = "texts cannot be indexed"

    def __init__(self, *, is_on: bool) -> None:
        self.is_on = is_on

    def switch(self, _connection: Connection, transaction: Transaction, *, on: bool) -> None:
        """Begin an index of the whole store, or delete it; by the writer."""
        transaction(_metadata.create_all if on else _delete)
        self.is_on = on

    def run(self, _connection: Connection, transaction: Transaction) -> Iterator[None]:
        """Index what is not, a step with each turn; see :meth:`Retention.run`."""
        for workflow_id in transaction(_behind):
            while transaction(partial(_index_next, workflow_id)):
                yield
            yield


def _delete(connection: Connection) -> None:
    """Delete the index of the whole store at once: another process may keep it up meanwhile."""
    if _has_trigrams():
        found = "SELECT name FROM sqlite_master WHERE name GLOB 'text_of_*' AND sql LIKE '%fts5(%'"
        for name in connection.exec_driver_sql(found).scalars().all():
            connection.exec_driver_sql(f"DROP TABLE {name}")
    _metadata.drop_all(connection)


def _behind(connection: Connection) -> list[int]:
    """Return the workflows that have something to be indexed."""
    if not _is_there(connection):  # another process has switched it off
        return []
    known = workflows.outerjoin(_indexes, _indexes.c.workflow_id == workflows.c.id)
    is_behind = workflows.c.last_delivery > func.coalesce(_indexes.c.upto, 0)
    behind = select(workflows.c.id).select_from(known).where(is_behind)
    return list(connection.execute(behind).scalars())


def _index_next(workflow_id: int, connection: Connection) -> bool:
    """Index the oldest that are not; return whether there are more."""
    if not _is_there(connection):
        return False
    last: int | None = connection.execute(
        select(workflows.c.last_delivery).where(workflows.c.id == workflow_id)
    ).scalar()
    if last is None:
        return False  # deleted meanwhile
    upto = _upto(connection, workflow_id)
    if upto is None:
        # One without its row is of a process whose SQLite could not keep it up.
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {_table(workflow_id)}")
        connection.exec_driver_sql(_made(_table(workflow_id)))
        connection.execute(delete(_left_out).where(_left_out.c.workflow_id == workflow_id))
        connection.execute(insert(_indexes).values(workflow_id=workflow_id, upto=0))
        upto = 0
    rows: list[Any] = _NEXT.run(connection, _NEXT.row(of=workflow_id, after=upto)).fetchall()
    texts: list[tuple[int, str]] = []
    left_out: list[dict[str, int]] = []
    characters = 0
    for number, *values, reason in rows:
        if reason is None:
            text = _Row(values).indexed
            if text is None:
                left_out.append({"workflow_id": workflow_id, "delivery_id": number})
            else:
                texts.append((number, text))
                characters += len(text)
        upto = number
        if characters > _STEP_CHARACTERS:
            break
    else:
        upto = upto if len(rows) == _STEP_DELIVERIES else last
    cursor = connection.connection.cursor()
    cursor.executemany(
        f"INSERT INTO {_table(workflow_id)} (rowid, text) VALUES (?, ?)",  # noqa: S608 - own name
        texts,
    )
    if left_out:
        connection.execute(insert(_left_out), left_out)
    connection.execute(
        update(_indexes).where(_indexes.c.workflow_id == workflow_id).values(upto=upto)
    )
    return upto < last


def _is_there(connection: Connection) -> bool:
    return inspect(connection).has_table(_indexes.name)


def _upto(connection: Connection, workflow_id: int) -> int | None:
    found = select(_indexes.c.upto).where(_indexes.c.workflow_id == workflow_id)
    upto: int | None = connection.execute(found).scalar()
    return upto


def forget(
    connection: Connection, workflow_id: int, is_meant: Callable[[Any], ColumnElement[bool]]
) -> None:
    """Take deliveries out of the index that are about to be deleted, in the same transaction.

    Parameters
    ----------
    connection
        Holds the write lock.
    workflow_id
        Whose deliveries.
    is_meant
        Returns the condition on a column that has their ids.
    """
    upto = _upto(connection, workflow_id) if _is_there(connection) else None
    if upto is None:
        return
    if not _has_trigrams():
        connection.execute(delete(_indexes).where(_indexes.c.workflow_id == workflow_id))
        return  # whose SQLite has them begins anew
    is_left_out = (
        select(_left_out.c.delivery_id)
        .where(_left_out.c.workflow_id == workflow_id)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(*_COLUMNS).where(
            deliveries.c.workflow_id == workflow_id,
            is_meant(deliveries.c.id),
            deliveries.c.id <= upto,
            deliveries.c.reason.is_(None),
            deliveries.c.id.not_in(is_left_out),
        )
    )
    table = _table(workflow_id)
    connection.connection.cursor().executemany(
        f"INSERT INTO {table} ({table}, rowid, text) VALUES ('delete', ?, ?)",  # noqa: S608
        [(number, _Row(values).indexed) for number, *values in rows],
    )
    connection.execute(
        delete(_left_out).where(
            _left_out.c.workflow_id == workflow_id, is_meant(_left_out.c.delivery_id)
        )
    )


def forget_all(connection: Connection, workflow_id: int) -> None:
    """Delete the index of a workflow, in the transaction in which its deliveries are deleted."""
    if not _is_there(connection):
        return
    if _has_trigrams():
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {_table(workflow_id)}")
    for table in (_indexes, _left_out):
        connection.execute(delete(table).where(table.c.workflow_id == workflow_id))


# -- asking it ------------------------------------------------------------------------------------


class Candidates:
    """The deliveries of a workflow that may contain a text; made by :func:`open_candidates`."""

    def __init__(self, store: Store, workflow_id: int, needle: str) -> None:
        self._store = store
        self._workflow_id = workflow_id
        starts = [*range(0, len(needle) - _TRIGRAM, _TRIGRAM)][: _MAX_TERMS - 1]
        terms = {needle[at : at + _TRIGRAM] for at in [*starts, len(needle) - _TRIGRAM]}
        self._terms = " AND ".join('"' + term.replace('"', '""') + '"' for term in sorted(terms))
        self._statements = {
            newest: _candidates(workflow_id, newest=newest) for newest in (False, True)
        }

    def newest(self, after: int, before: int, limit: int) -> tuple[list[int] | None, int]:
        """Return the newest ones between two ids, newest first, and what is known by that.

        The second is an id: of those from it on and below ``before``, only the listed ones are
        candidates. Without a list, ``None``, all above it are.
        """
        upto, ids, ends = self._read(after, before, limit, newest=True)
        if upto < before - 1:
            return None, max(upto, after)
        known = max(ends, default=after)
        return [number for number in reversed(ids) if number >= known], known

    def oldest(self, after: int, upto: int, limit: int) -> tuple[list[int] | None, int]:
        """Return the oldest ones after an id and up to another, and what is known by that.

        The second is an id: of those up to it, only the listed ones are candidates. Without a
        list, ``None``, all are.
        """
        indexed, ids, ends = self._read(after, upto + 1, limit, newest=False)
        if indexed <= after:
            return None, upto
        known = min([*ends, indexed, upto])
        return [number for number in ids if number <= known], known

    def _read(
        self, after: int, before: int, limit: int, *, newest: bool
    ) -> tuple[int, list[int], list[int]]:
        """Return up to where it is indexed, candidates in order, and the last of each full list."""
        parameters = {
            "of": self._workflow_id,
            "terms": self._terms,
            "after": after,
            "before": before,
            "limit": limit,
        }
        try:
            rows = self._store.rows(self._statements[newest], parameters)
        except StoreUnavailableError:
            if _has_index(self._store, self._workflow_id):
                raise
            return 0, [], []  # it was cleared, or the index switched off
        lists: dict[int, list[int]] = {0: [], 1: [], 2: [], 3: []}
        for kind, number in rows:
            lists[kind].append(number)
        [upto] = lists.pop(0) or [0]
        ends = [numbers[-1] for numbers in lists.values() if len(numbers) == limit]
        return upto, sorted({number for numbers in lists.values() for number in numbers}), ends


def open_candidates(store: Store, workflow_id: int, needle: str) -> Candidates | None:
    """Return what narrows the search for a case-folded text down, where there is an index for it.

    There is none for texts of fewer than three characters.
    """
    tokens = _tokens(needle)
    if len(tokens) < _TRIGRAM or not _has_trigrams() or not _has_index(store, workflow_id):
        return None
    return Candidates(store, workflow_id, tokens)


def is_indexed(connection: Connection) -> bool:
    """Tell whether a store has an index that this process can keep up; begin no transaction."""
    cursor = connection.connection.cursor()
    found = cursor.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_indexes.name,))
    return found.fetchone() is not None and _has_trigrams()


def _has_index(store: Store, workflow_id: int) -> bool:
    # One without the other is left by a process whose SQLite could not delete it.
    found = "SELECT count(*) FROM sqlite_master WHERE name IN (?, ?)"
    return store.rows(found, (_indexes.name, _table(workflow_id))) == [(2,)]


def _candidates(workflow_id: int, *, newest: bool) -> str:
    """Return the statement of a page: in one snapshot up to where it is indexed, then each list."""
    order = "DESC" if newest else "ASC"
    bounds = "> :after AND {0} < :before ORDER BY {0} " + order + " LIMIT :limit"
    table = _table(workflow_id)
    # Own names and numbers only.
    return f"""
        SELECT 0, upto FROM {_indexes.name} WHERE workflow_id = :of
        UNION ALL SELECT 1, id FROM (
            SELECT rowid AS id FROM {table}
            WHERE {table} MATCH :terms AND rowid {bounds.format("rowid")})
        UNION ALL SELECT 2, delivery_id FROM (
            SELECT delivery_id FROM {_left_out.name}
            WHERE workflow_id = :of AND delivery_id {bounds.format("delivery_id")})
        UNION ALL SELECT 3, id FROM (
            SELECT id FROM deliveries
            WHERE workflow_id = :of AND reason IS NOT NULL AND id {bounds.format("id")})
    """  # noqa: S608
