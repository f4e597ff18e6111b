"""Archives of a hook: Parquet by month, read back as its frames."""

from __future__ import annotations

import json
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hooknb
from hooknb.errors import SettingError
from hooknb.history.exports import archive as archives
from hooknb.store import Store
from hooknb.workflow import define
from stored import Stored

FRAMES = ("deliveries", "executions", "variables", "jobs")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def frame_of(hook: hooknb.Hook, name: str) -> pd.DataFrame:
    """Return a frame of a hook as its archive has it: deliveries with their bodies."""
    return hook.frame(name, body=True) if name == "deliveries" else getattr(hook, name)


def check_same(opened: hooknb.Archive, hook: hooknb.Hook) -> None:
    for name in FRAMES:
        wanted = frame_of(hook, name)
        pd.testing.assert_frame_equal(getattr(opened, name), wanted)
        assert getattr(opened, name).attrs == wanted.attrs


def files(path: Path) -> dict[str, bytes]:
    return {str(it.relative_to(path)): it.read_bytes() for it in path.rglob("*.parquet")}


@pytest.fixture
def by_month(tmp_path: Path) -> Iterator[hooknb.Hook]:
    """Serve a hook that received one delivery on each side of the turn of two months."""
    target = tmp_path / "store.db"
    with closing(Store(target, lambda _: None)) as store:
        stored = Stored(store, "orders", define("orders").encode())
        for moment in ("2026-01-31T23:59:59", "2026-02-01T00:00:00", "2026-03-01T00:00:00"):
            number = stored.send({"at": moment}, received_at=at(moment))
            stored.response(number)
    with hooknb.Runtime(target, port=0) as runtime:
        hook = runtime.webhook("orders")
        yield hook


def fail(context: Any) -> None:
    print("seen", context.body["n"])  # noqa: T201 - what a job keeps
    raise ValueError(context.body["n"])


def test_an_archive_is_read_back_as_the_frames_of_its_hook(
    runtime: hooknb.Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    hook = runtime.webhook(
        "orders",
        sync=True,
        accept=["*/*"],
        headers=["X-Id", "Authorization"],
        body=[hooknb.Variable("n", alias="Number"), "tags"],
        nodes=[hooknb.Calculation("body.n + 1", key="more"), hooknb.Code(fail)],
    )
    hook.send(json={"n": 2**70, "tags": [None, {"a.b": 1}]}, headers={"X-Id": "1", "Cookie": "c"})
    hook.send(json={"n": 1}, headers={"Authorization": "Basic c2hvcDpz", "X-Id": "ü"})
    hook.send(data=b"\xff\x00", params="a=1&a=2")
    hook.send(data="{", headers={"Content-Type": "application/json"})
    hook.wait()
    assert hook.archive(tmp_path / "orders") == 4
    with hooknb.open(tmp_path / "orders") as opened:
        check_same(opened, hook)
        assert len(list(tmp_path.glob("hooknb-*"))) == 1
    assert not list(tmp_path.glob("hooknb-*"))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "a.b", "", "A", "0"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(json_values, max_size=5))
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_odd_values_are_the_same_in_an_archive(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    with hooknb.Runtime(":memory:", port=0) as runtime:
        hook = runtime.webhook("orders")
        for body in bodies:
            hook.send(data=json.dumps(body), headers={"Content-Type": "application/json"})
        hook.wait()
        assert hook.archive(folder / "orders") == len(bodies)
        with hooknb.open(folder / "orders") as opened:
            check_same(opened, hook)


def test_months_are_those_of_utc(by_month: hooknb.Hook, tmp_path: Path) -> None:
    path = tmp_path / "orders"
    assert by_month.archive(path) == 3
    for kind in ("deliveries", "executions", "jobs"):
        assert sorted(it.name for it in (path / kind).iterdir()) == [
            "2026-01.parquet", "2026-02.parquet", "2026-03.parquet"
        ]  # fmt: skip
    table = pd.read_parquet(path / "deliveries" / "2026-02.parquet")
    assert table["id"].tolist() == [2]
    assert table["body"].tolist() == [b'{"at": "2026-02-01T00:00:00"}']
    assert table["status"].tolist() == [200]
    assert str(table["received_at"].dtype) == "datetime64[us, UTC]"
    with hooknb.open(path) as opened:
        check_same(opened, by_month)


def test_only_months_with_something_new_are_written_again(
    by_month: hooknb.Hook, tmp_path: Path
) -> None:
    path = tmp_path / "orders"
    by_month.archive(path)
    before = {name: (path / name).stat().st_ino for name in files(path)}
    assert by_month.archive(path) == 0
    assert {name: (path / name).stat().st_ino for name in files(path)} == before
    by_month.send(json={"at": "now"})
    by_month.wait()
    assert by_month.archive(path) == 1
    assert {name: (path / name).stat().st_ino for name in before} == before
    with hooknb.open(path) as opened:
        check_same(opened, by_month)


def test_what_had_not_ended_is_archived_again(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    release = threading.Event()
    hook = runtime.webhook("orders", nodes=[hooknb.Code(lambda _: release.wait(20), key="held")])
    path = tmp_path / "orders"
    hook.send(json=1)
    try:
        assert hook.archive(path) == 1
        with hooknb.open(path) as opened:
            assert opened.executions["status"].tolist() != ["resolved"]
    finally:
        release.set()
    hook.wait()
    assert hook.archive(path) == 0
    with hooknb.open(path) as opened:
        assert opened.executions["status"].tolist() == ["resolved"]
        check_same(opened, hook)
    before = (path / "jobs").stat().st_mtime_ns
    assert hook.archive(path) == 0
    assert (path / "jobs").stat().st_mtime_ns == before


def test_a_window_is_archived_and_the_rest_is_added(by_month: hooknb.Hook, tmp_path: Path) -> None:
    path = tmp_path / "orders"
    window = {"since": "2026-02-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"}
    assert by_month.archive(path, **window) == 1
    assert len(files(path)) == 3
    assert by_month.archive(path) == 2
    with hooknb.open(path) as opened:
        check_same(opened, by_month)


def test_what_the_store_has_deleted_stays(by_month: hooknb.Hook, tmp_path: Path) -> None:
    path = tmp_path / "orders"
    by_month.send(json={"at": "now"})
    by_month.wait()
    by_month.archive(path)
    before = by_month.frame("deliveries", body=True)
    by_month.clear()
    by_month.send(json={"at": "later"})
    by_month.wait()
    assert by_month.archive(path) == 1
    with hooknb.open(path) as opened:
        after = by_month.frame("deliveries", body=True)
        pd.testing.assert_frame_equal(opened.deliveries, pd.concat([before, after]))


@pytest.mark.parametrize("files_before", range(9))
def test_an_interrupted_archive_is_whole_and_goes_on(
    by_month: hooknb.Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files_before: int
) -> None:
    path, left = tmp_path / "orders", files_before
    real = archives.read_archived

    def interrupt(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        for rows in real(*arguments):
            yield rows
            if left < 0:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(archives, "read_archived", interrupt)
        with pytest.raises(KeyboardInterrupt):
            by_month.archive(path)
    assert len(files(path)) == files_before
    assert not [it for it in path.rglob(".*") if it.is_file()]
    whole = files_before // 3
    with hooknb.open(path) as opened:
        for name in ("deliveries", "executions"):
            pd.testing.assert_frame_equal(getattr(opened, name), frame_of(by_month, name)[:whole])
    assert by_month.archive(path) == 3 - whole
    with hooknb.open(path) as opened:
        check_same(opened, by_month)


def test_an_archive_without_the_columns_of_today_is_read_and_goes_on(
    by_month: hooknb.Hook, tmp_path: Path
) -> None:
    path = tmp_path / "orders"
    by_month.send(json=1)
    by_month.wait()
    by_month.archive(path)
    before = by_month.frame("deliveries", body=True)
    for file in (path / "deliveries").iterdir():
        table = pq.read_table(file)
        pq.write_table(table.drop_columns(["subpath"]), file)
    with hooknb.open(path) as opened:
        check_same(opened, by_month)
    by_month.clear()
    by_month.send(json=2)
    by_month.wait()
    assert by_month.archive(path) == 1
    with hooknb.open(path) as opened:
        after = by_month.frame("deliveries", body=True)
        pd.testing.assert_frame_equal(opened.deliveries, pd.concat([before, after]))


def test_an_archive_is_its_owners(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    hook = runtime.webhook("orders")
    hook.send(json=1)
    hook.wait()
    path = tmp_path / "orders"
    hook.archive(path)
    for found in (path, *path.rglob("*")):
        mode = stat.S_IMODE(found.stat().st_mode)
        assert mode == (0o700 if found.is_dir() else 0o600), found


def test_credentials_are_archived_only_where_that_is_asked_for(
    runtime: hooknb.Runtime, tmp_path: Path
) -> None:
    hook = runtime.webhook(
        "orders", auth=hooknb.BasicAuth("shop", "s3cret"), response=hooknb.Response(
            200, headers={"Set-Cookie": "answered"}
        )
    )  # fmt: skip
    hook.send(json=1, headers={"Cookie": "token"})
    hook.wait()
    wanted = {}
    for secrets in (False, True):
        path = tmp_path / str(secrets)
        hook.archive(path, secrets=secrets)
        table = pd.read_parquet(path / "deliveries")
        wanted[secrets] = table["head"][0] + table["response_headers"][0]
        assert hook.key not in (path / "archive.json").read_text()
        assert "s3cret" not in (path / "archive.json").read_text()
        with hooknb.open(path) as opened:
            check_same(opened, hook)
    for secret in (b"c2hvcDpzM2NyZXQ=", b"token", b"answered"):
        assert secret not in wanted[False]
        assert secret in wanted[True]


def test_an_archive_is_of_one_hook(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    runtime.webhook("orders").archive(tmp_path / "orders")
    with pytest.raises(SettingError, match="archive of another hook, 'orders'"):
        runtime.webhook("payments").archive(tmp_path / "orders")
    hooknb.open(tmp_path / "orders").close()
    runtime.delete("orders")
    with pytest.raises(SettingError, match="archive of an earlier hook, 'orders'"):
        runtime.webhook("orders").archive(tmp_path / "orders")


def test_what_is_not_an_archive_is_said(runtime: hooknb.Runtime, tmp_path: Path) -> None:
    hook = runtime.webhook("orders")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "note.txt").write_text("mine")
    for path in (tmp_path / "other", tmp_path / "none"):
        with pytest.raises(SettingError, match="is not an archive"):
            hooknb.open(path)
    with pytest.raises(SettingError, match="is not an archive"):
        hook.archive(tmp_path / "other")
    with pytest.raises(SettingError, match="cannot be written"):
        hook.archive(tmp_path / "other" / "note.txt")
    hook.send(json=1)
    hook.wait()
    hook.archive(tmp_path / "orders")
    [jobs] = (tmp_path / "orders" / "executions").iterdir()
    jobs.write_bytes(jobs.read_bytes()[:100])
    with pytest.raises(SettingError, match=r"cannot be read.*archive the hook again"):
        hooknb.open(tmp_path / "orders")


def test_without_pyarrow_an_archive_names_the_extra(
    runtime: hooknb.Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(SettingError, match=r'pip install "hooknb\[parquet\]"'):
        runtime.webhook("orders").archive(tmp_path / "orders")
    assert not (tmp_path / "orders").exists()


def test_what_is_deleted_while_an_archive_is_written_stays_in_it(
    runtime: hooknb.Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = runtime.webhook("orders", body=["n"], nodes=[hooknb.Calculation("body.n")])
    path = tmp_path / "orders"
    for n in (1, 2):
        hook.send(json={"n": n})
        hook.wait()
        hook.archive(path)
    with hooknb.open(path) as opened:
        check_same(opened, hook)
    before = {name: frame_of(hook, name) for name in FRAMES}
    hook.send(json={"n": 3})
    hook.wait()
    real = archives.read_archived

    def read(*arguments: Any) -> Any:
        hook.clear()
        return real(*arguments)

    monkeypatch.setattr(archives, "read_archived", read)
    hook.archive(path)
    with hooknb.open(path) as opened:
        for name in FRAMES:
            pd.testing.assert_frame_equal(getattr(opened, name), before[name])


def test_an_execution_that_ends_while_it_is_archived_is_archived_again(
    runtime: hooknb.Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    hook = runtime.webhook("orders", nodes=[hooknb.Code(lambda _: go.wait(60))])
    path = tmp_path / "orders"
    real = archives.read_archived

    def read(*arguments: Any) -> Any:
        yield from real(*arguments)
        go.set()
        hook.wait()
        assert len(hook.jobs) == 1  # it is in the store by now

    hook.send(json=1)
    with monkeypatch.context() as patch:
        patch.setattr(archives, "read_archived", read)
        hook.archive(path)
    hook.archive(path)
    with hooknb.open(path) as opened:
        check_same(opened, hook)


def test_an_archive_goes_on_where_it_was_killed_before_it_had_a_manifest(
    by_month: hooknb.Hook, tmp_path: Path
) -> None:
    path = tmp_path / "orders"
    path.mkdir()
    (path / ".archive.json.0a1b2c3d").write_bytes(b'{"version"')
    assert by_month.archive(path) == 3
    with hooknb.open(path) as opened:
        check_same(opened, by_month)


def test_an_archive_goes_on_where_it_was_interrupted_before_a_month(
    by_month: hooknb.Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "orders"
    real = Path.mkdir

    def mkdir(made: Path, *arguments: Any, **settings: Any) -> None:
        real(made, *arguments, **settings)
        if made.parent == path:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", mkdir)
        with pytest.raises(KeyboardInterrupt):
            by_month.archive(path)
    assert by_month.archive(path) == 3


@pytest.mark.parametrize("kind", ["deliveries", "executions", "jobs"])
def test_a_file_that_was_moved_away_is_archived_again(
    runtime: hooknb.Runtime, tmp_path: Path, kind: str
) -> None:
    hook = runtime.webhook("orders", body=["n"], nodes=[hooknb.Calculation("body.n")])
    hook.send(json={"n": 1})
    hook.wait()
    path = tmp_path / "orders"
    hook.archive(path)
    [file] = (path / kind).iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SettingError, match=rf"{file.name}' cannot be read.*move it away"):
        hooknb.open(path)
    hook.send(json={"n": 2})
    hook.wait()
    with pytest.raises(SettingError, match=rf"{file.name}' cannot be read.*move it away"):
        hook.archive(path)
    file.rename(tmp_path / "damaged")
    hook.archive(path)
    with hooknb.open(path) as opened:
        check_same(opened, hook)


@pytest.mark.parametrize(
    "columns",
    [{"n": [1]}, {"id": ["a"]}, {"id": [1], "received_at": ["today"]}, {"id": [None]}, {"id": [7]}],
)
def test_parquet_of_something_else_is_not_read_as_an_archive(
    by_month: hooknb.Hook, tmp_path: Path, columns: dict[str, list[Any]]
) -> None:
    path = tmp_path / "orders"
    by_month.archive(path)
    file = path / "deliveries" / "2026-02.parquet"
    pq.write_table(pa.table(columns), file)
    with pytest.raises(SettingError, match=r"2026-02.parquet' cannot be read"):
        hooknb.open(path)


def test_a_closed_archive_says_so(by_month: hooknb.Hook, tmp_path: Path) -> None:
    by_month.archive(tmp_path / "orders")
    with hooknb.open(tmp_path / "orders") as opened:
        assert len(opened.deliveries) == 3
    with pytest.raises(hooknb.StoreError, match=r"the archive is closed; open it again"):
        _ = opened.deliveries
