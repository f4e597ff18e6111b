"""Archives: a folder of Parquet files by month, which is read back as the frames of a hook.

::

    orders/archive.json                 the hook's name and its configured variables
    orders/deliveries/2026-11.parquet   received in that month, UTC; with their responses
    orders/executions/2026-11.parquet   of these deliveries
    orders/jobs/2026-11.parquet

Each file is whole: it is written beside its place and then renamed. The records of a delivery are
written before the delivery, and count for nothing without it.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
import tempfile
import weakref
from array import array
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from hooknb.errors import SettingError, StoreError
from hooknb.history.exports.values import shown
from hooknb.history.exports.writing import replacing
from hooknb.payloads.headers import Headers, is_secret_header, parse_head
from hooknb.records import Status
from hooknb.store import Store, queries
from hooknb.store.archived import ARCHIVED_COLUMNS, REQUIRED_COLUMNS, read_archived, restore_rows
from hooknb.workflow import Trigger
from hooknb.workflow.variables import PARTS, Variable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from hooknb.history.frames import Frames

__all__ = ["Archive", "archive", "open"]

_VERSION: Final = 1
_MANIFEST: Final = "archive.json"
# In the order in which they are written: an execution that had ended has all its jobs by then.
_KINDS: Final = ("executions", "jobs", "deliveries")
_DELIVERY: Final = {"executions": "id", "jobs": "execution_id", "deliveries": "id"}
_TIMES: Final = frozenset({"received_at", "started_at", "finished_at"})
_OPEN: Final = b"hooknb.open"  # whether an execution had not ended when it was written
_MAX_IDS: Final = 5_000  # read at once
_MASKED: Final = "*****"  # the bytes of a head are Latin-1


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """What an archive is of."""

    version: int
    name: str
    hook: str  # a digest of its key, which tells it from a later hook of its name
    revision: int
    variables: list[tuple[str, str, str | None]]  # part, path, alias


def archive(
    store: Store,
    workflow_id: int,
    path: str | os.PathLike[str],
    *,
    name: str,
    key: str,
    revision: int,
    trigger: Trigger,
    since: int | None,
    until: int | None,
    secrets: bool,
) -> int:
    """Write what a hook received into an archive; see :meth:`hooknb.Hook.archive`.

    ``since`` and ``until`` are microseconds since 1970.
    """
    arrow, parquet = _parquet()
    folder = Path(path)
    manifest = _Manifest(
        version=_VERSION,
        name=name,
        hook=hashlib.sha256(key.encode()).hexdigest(),
        revision=revision,
        variables=[
            (part, variable.path, variable.alias)
            for part, variables in trigger.parts
            for variable in variables
        ],
    )
    _prepare(folder, manifest)
    written = 0
    for month, ids in sorted(_months(store, workflow_id, since, until).items()):
        written += _Month(arrow, parquet, folder, month).write(
            store, workflow_id, ids, secrets=secrets
        )
    return written


def _parquet() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise SettingError(
            "pyarrow", 'archives need it; run pip install "hooknb[parquet]"'
        ) from None


def _prepare(folder: Path, manifest: _Manifest) -> None:
    """Make the folder, unless it is that of another hook, or no archive."""
    try:
        # A run that was killed may have left its manifest unfinished.
        if folder.is_dir() and any(
            not it.name.startswith(f".{_MANIFEST}.") for it in folder.iterdir()
        ):
            found = _read_manifest(folder)
            if found.hook != manifest.hook:
                of = "an earlier" if found.name == manifest.name else "another"
                raise SettingError(
                    "path", f"{str(folder)!r} is the archive of {of} hook, {found.name!r}"
                )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(folder / _MANIFEST) as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        for kind in _KINDS:
            (folder / kind).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        problem = f"{str(folder)!r} cannot be written: {error.strerror or error}"
        raise SettingError("path", problem) from error


def _read_manifest(folder: Path) -> _Manifest:
    try:
        found = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=_Manifest)
    except OSError as error:
        raise SettingError(
            "path", f"{str(folder)!r} is not an archive: it has no readable {_MANIFEST}"
        ) from error
    except msgspec.MsgspecError as error:
        raise SettingError(
            "path", f"{str(folder)!r} is not an archive of this hooknb: {error}"
        ) from error
    if found.version != _VERSION:
        raise SettingError(
            "path",
            f"{str(folder)!r} is an archive of version {found.version}, and this hooknb reads "
            f"version {_VERSION}",
        )
    return found


def _months(
    store: Store, workflow_id: int, since: int | None, until: int | None
) -> dict[str, array[int]]:
    """Return the ids of the deliveries of each month, in order."""
    months: dict[str, array[int]] = {}
    last = 0
    while rows := queries.read_new_ids(store, workflow_id, last, _MAX_IDS):
        last = rows[-1][0]
        for number, received, _ in rows:
            if (since is None or received >= since) and (until is None or received < until):
                moment = datetime.fromtimestamp(received // 1_000_000, UTC)
                months.setdefault(f"{moment:%Y-%m}", array("q")).append(number)
    return months


class _Month:
    """The files of one month."""

    def __init__(self, arrow: Any, parquet: Any, folder: Path, month: str) -> None:
        self._arrow = arrow
        self._parquet = parquet
        self._paths = {kind: folder / kind / f"{month}.parquet" for kind in _KINDS}

    def write(self, store: Store, workflow_id: int, ids: Sequence[int], *, secrets: bool) -> int:
        """Write it, where it is not complete by now; return how many deliveries are new in it."""
        known, is_open = self._known()
        asked = set(ids)
        new = asked - known
        if not new and not is_open:
            return 0
        is_open = False
        for kind in _KINDS:
            path = self._paths[kind]
            schema = _schema(self._arrow, kind)
            with (
                replacing(path) as file,
                self._parquet.ParquetWriter(file, schema, compression="zstd") as writer,
            ):
                # What the store deleted stays in the archive, also what it deletes meanwhile.
                for table in self._old(kind, lambda number: number not in asked):
                    writer.write_table(_with_all(self._arrow, schema, table))
                gone = set(asked)
                at = list(ARCHIVED_COLUMNS[kind]).index(_DELIVERY[kind])
                for rows in read_archived(store, workflow_id, kind, ids):
                    is_open |= _has_open(kind, rows)
                    gone.difference_update(row[at] for row in rows)
                    writer.write_table(self._table(kind, schema, rows, secrets=secrets))
                for table in self._old(kind, gone.__contains__):
                    writer.write_table(_with_all(self._arrow, schema, table))
                if kind == "deliveries":
                    writer.add_key_value_metadata({_OPEN: b"1" if is_open else b"0"})
        return len(new)

    def _known(self) -> tuple[set[int], bool]:
        """Return the deliveries that it has, and whether it is to be written in any case."""
        path = self._paths["deliveries"]
        if not path.exists():
            return set(), True
        with _reading(self._arrow, self._parquet, path, "deliveries") as file:
            metadata = file.metadata.metadata or {}
            ids = file.read(["id"])["id"].to_pylist()
        is_whole = all(it.exists() for it in self._paths.values())
        return set(ids), metadata.get(_OPEN) != b"0" or not is_whole

    def _old(self, kind: str, is_meant: Callable[[int], bool]) -> Iterator[Any]:
        """Yield what the file has of some deliveries."""
        path = self._paths[kind]
        if not path.exists():
            return
        with _reading(self._arrow, self._parquet, path, kind) as file:
            for group in range(file.num_row_groups):
                column = _DELIVERY[kind]
                numbers = file.read_row_group(group, [column])[column].to_pylist()
                mask = list(map(is_meant, numbers))
                if any(mask):
                    yield file.read_row_group(group).filter(self._arrow.array(mask))

    def _table(self, kind: str, schema: Any, rows: list[Any], *, secrets: bool) -> Any:
        values = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
        columns = dict(zip(ARCHIVED_COLUMNS[kind], values, strict=True))
        if kind == "deliveries" and not secrets:
            columns["head"] = tuple(map(_masked_head, columns["head"]))
            columns["response_headers"] = tuple(map(_masked_pairs, columns["response_headers"]))
        arrays = [self._arrow.array(columns[field.name], field.type) for field in schema]
        return self._arrow.Table.from_arrays(arrays, schema=schema)


@contextmanager
def _reading(arrow: Any, parquet: Any, path: Path, kind: str) -> Iterator[Any]:
    """Open a file of an archive; what is wrong with it is an error of its path."""
    try:
        with parquet.ParquetFile(path) as file:
            there = {(field.name, field.type) for field in file.schema_arrow}
            names = {name for name, _ in there}
            known = {(field.name, field.type) for field in _schema(arrow, kind)}
            if not (names >= REQUIRED_COLUMNS[kind] and there <= known):
                raise ValueError(f"its columns are not those of archived {kind}")  # noqa: TRY301 - a reason among others
            yield file
    except (OSError, ValueError) as error:
        problem = f"{str(path)!r} cannot be read: {error}; move it away, and archive the hook again"
        raise SettingError("path", problem) from error


def _schema(arrow: Any, kind: str) -> Any:
    types = {int: arrow.int64(), str: arrow.string(), bytes: arrow.binary()}
    moment = arrow.timestamp("us", tz="UTC")
    return arrow.schema(
        [
            (name, moment if name in _TIMES else types[of])
            for name, of in ARCHIVED_COLUMNS[kind].items()
        ]
    )


def _with_all(arrow: Any, schema: Any, table: Any) -> Any:
    """Return a table with the columns of today, empty where an earlier hooknb had none."""
    columns = [
        table[field.name]
        if field.name in table.column_names
        else arrow.nulls(len(table), field.type)
        for field in schema
    ]
    return arrow.Table.from_arrays(columns, schema=schema)


def _has_open(kind: str, rows: list[Any]) -> bool:
    """Tell whether an execution of these goes on; all that belongs to it may change until then."""
    if kind != "executions":
        return False
    at = list(ARCHIVED_COLUMNS[kind]).index("status")
    return any(not Status(row[at]).is_over for row in rows)


def _masked_head(head: bytes) -> bytes:
    fields = parse_head(head)
    if not any(is_secret_header(name) for name, _ in fields):
        return head
    lines = []
    for name, value in fields:
        scheme, space, _ = value.partition(" ")
        if is_secret_header(name):
            is_named = space and name.lower().endswith("authorization")
            value = f"{scheme} {_MASKED}" if is_named else _MASKED  # noqa: PLW2901 - that is masking
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


def _masked_pairs(headers: bytes | None) -> bytes | None:
    if headers is None:
        return None
    pairs = msgspec.json.decode(headers, type=list[tuple[str, str]])
    return msgspec.json.encode(shown(Headers(pairs), secrets=False))


class Archive:
    """What a hook had received when it was archived; made by :func:`hooknb.open`.

    Its frames are those of the hook, and each access returns one that is yours to change. The files
    are read once, into a store of its own in the system's folder for temporary files, which
    :meth:`close`, the end of a ``with`` block or of the process deletes.

    Attributes
    ----------
    path
        The folder.
    name
        Of the hook.
    revision
        Its current revision when it was archived last, whose variables these are.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        arrow, parquet = _parquet()
        self.path = Path(path)
        manifest = _read_manifest(self.path)
        self.name = manifest.name
        self.revision = manifest.revision
        parts: Any = {
            part: tuple(
                Variable(within, alias=alias)
                for of, within, alias in manifest.variables
                if of == part
            )
            for part in PARTS
        }
        self._trigger = Trigger(**parts)
        folder = Path(tempfile.mkdtemp(prefix="hooknb-"))
        self._store = Store(folder / "store.db", lambda _: None)
        self._end = weakref.finalize(self, _discard, self._store, folder)
        try:
            made = self._store.define(self.name, b"{}", enabled=False)
            self._workflow_id = made.workflow_id
            for kind in ARCHIVED_COLUMNS:  # deliveries first, to which the others belong
                restore_rows(self._store, self._workflow_id, kind, self._rows(arrow, parquet, kind))
        except BaseException:
            self.close()
            raise
        from hooknb.history.frames import Frames  # pandas takes half a second to load

        self._frames: Frames = Frames(self._store, self._workflow_id)

    def _rows(self, arrow: Any, parquet: Any, kind: str) -> Iterator[list[dict[str, Any]]]:
        for path in sorted((self.path / "deliveries").glob("*.parquet")):
            with _reading(arrow, parquet, path, "deliveries") as file:
                there = set(file.read(["id"])["id"].to_pylist())
            with _reading(arrow, parquet, self.path / kind / path.name, kind) as file:
                for batch in file.iter_batches(batch_size=500):
                    # What an interrupted run wrote of deliveries that it did not reach is left out.
                    yield [row for row in _as_stored(batch) if row[_DELIVERY[kind]] in there]

    @property
    def deliveries(self) -> pd.DataFrame:
        """As :meth:`hooknb.Hook.frame` of ``deliveries`` with ``body=True``, read each time."""

        def read() -> pd.DataFrame:
            ids = queries.read_ids(self._store, self._workflow_id)
            return self._frames.window("deliveries", self._trigger, ids)

        return self._described("deliveries", read)

    @property
    def executions(self) -> pd.DataFrame:
        """As :attr:`hooknb.Hook.executions`."""
        return self._described("executions", self._frames.executions)

    @property
    def variables(self) -> pd.DataFrame:
        """As :attr:`hooknb.Hook.variables`."""
        return self._described("variables", lambda: self._frames.variables(self._trigger))

    @property
    def jobs(self) -> pd.DataFrame:
        """As :attr:`hooknb.Hook.jobs`."""
        return self._described("jobs", self._frames.jobs)

    def _described(self, kind: str, read: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        if not self._end.alive:
            raise StoreError("the archive is closed; open it again")
        frame = read()
        frame.attrs |= {
            "hook": self.name,
            "kind": kind,
            "revision": self.revision,
            "window": {},
            "rows": len(frame),
        }
        if kind == "deliveries":
            frame.attrs["body"] = True
        return frame

    def close(self) -> None:
        """Delete what was read; its files stay. Idempotent."""
        self._end()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Say what it is."""
        return f"<archive of {self.name!r} in {str(self.path)!r}>"


def _discard(store: Store, folder: Path) -> None:
    store.close()
    shutil.rmtree(folder, ignore_errors=True)


def _as_stored(batch: Any) -> list[dict[str, Any]]:
    """Return the rows of a batch as the store has them: times as microseconds."""
    columns = {
        name: (column.cast("int64") if name in _TIMES else column).to_pylist()
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def open(path: str | os.PathLike[str]) -> Archive:  # noqa: A001 - `hooknb.open`
    """Read an archive that :meth:`hooknb.Hook.archive` wrote.

    Blocks while it reads: about as long as writing it took.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    Archive
        Its ``deliveries``, ``executions``, ``variables`` and ``jobs`` are the frames that the hook
        had; the deliveries have ``headers`` and ``body`` too.

    Raises
    ------
    SettingError
        It is not an archive, cannot be read, or pyarrow is not installed.
    """
    return Archive(path)
