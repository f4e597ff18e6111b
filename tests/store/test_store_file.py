"""The store's file: deleted, moved or replaced while it is served, and on a disk that is full."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from hooknb import Runtime, StoreError, StoreUnavailableError
from hooknb.store import Store
from stored import new_delivery
from wire import Wire, exchange, request


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "hooknb.store"]


def noticed(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if any(words in message for message in logged(caplog)):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_gone_is_noticed_and_senders_get_503_until_it_is_back(
    stored_runtime: Runtime, caplog, replaced
) -> None:
    hook = stored_runtime.webhook("orders", nodes=[lambda context: context.body])
    path = Path(stored_runtime.settings.store)
    assert exchange(hook, request(hook, b"1")).delivery == 1
    hook.wait()
    aside = path.with_name("aside.db")
    path.rename(aside)
    if replaced:
        path.write_bytes(aside.read_bytes())
    started = time.monotonic()
    assert noticed(caplog, "deleted or replaced")  # nobody has sent anything
    assert time.monotonic() - started < 4
    with Wire(hook) as wire:
        for body in (b"2", b"3"):
            wire.send(request(hook, body))
            response = wire.response()
            assert response.status == 503
            assert response.header("X-Hooknb-Delivery") is None
    assert hook.delivery(1).body == 1  # what came can still be read
    with pytest.raises(StoreError, match="Put the file back, or restart"):
        hook.clear()
    assert path.exists() is replaced

    aside.rename(path)
    assert noticed(caplog, "there again")
    response = exchange(hook, request(hook, b"4"))
    assert (response.status, response.delivery) == (200, 2)
    hook.wait()
    assert hook.frame("deliveries", body=True)["body"].tolist() == [1, 4]
    assert len(logged(caplog)) == 2


@pytest.mark.parametrize("replaced", [False, True])
def test_a_log_that_is_gone_is_noticed_before_anything_is_lost(tmp_path, caplog, replaced) -> None:
    path = tmp_path / "store.db"
    log = path.with_name("store.db-wal")
    with Runtime(path, port=0) as runtime:
        hook = runtime.webhook("orders")
        assert exchange(hook, request(hook, b"1")).status == 200
        content = log.read_bytes()
        log.unlink()
        if replaced:
            log.write_bytes(content)
        assert noticed(caplog, "deleted or replaced")
        assert exchange(hook, request(hook, b"2")).status == 503
    with Runtime(path, port=0) as runtime:
        assert runtime.serve("orders").delivery(1).body == 1


def test_a_deleted_file_is_not_made_again_by_reading(tmp_path) -> None:
    path = tmp_path / "store.db"
    with closing(Store(path, lambda _: None)) as store:
        path.unlink()
        with pytest.raises(StoreUnavailableError, match="deleted or replaced"):
            store.names()
        assert not path.exists()


# -- a full disk ----------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_clearing_frees_a_full_disk(small_disk: Path) -> None:
    with closing(Store(small_disk / "store.db", lambda _: None)) as store:
        full = store.define("full", b"{}", enabled=True).workflow_id
        other = store.define("other", b"{}", enabled=True).workflow_id
        stored = {full: 0, other: 0}
        for size in (100_000, 1_000, 10):
            delivery = None
            while delivery is None or delivery.error is None:
                hook = full if stored[full] <= 9 * stored[other] else other
                delivery = new_delivery(hook, raw=os.urandom(size))
                store.submit(delivery)
                store.flush()
                stored[delivery.workflow_id] += delivery.error is None
        assert os.statvfs(small_disk).f_bavail < 25  # pages

        store.clear(full)

        assert store.counts(full).deliveries == 0
        assert store.counts(other).deliveries == stored[other]
        delivery = new_delivery(full, raw=os.urandom(100_000))
        store.submit(delivery)
        store.flush()
        assert delivery.error is None
        assert delivery.id == stored[full] + 1
        assert (small_disk / "store.db").stat().st_size < 4 * 2**20
        # The reserve is there for the next time.
        assert sum(file.stat().st_size for file in small_disk.glob("*.owner-*")) == 8 * 2**20


def test_after_a_clearing_the_file_is_small_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(Store(path, lambda _: None)) as store:
        full = store.define("full", b"{}", enabled=True).workflow_id
        store.submit(*[new_delivery(full, raw=os.urandom(20_000)) for _ in range(200)])
        store.flush()
        store.clear(full)
        assert path.stat().st_size < 200_000
        assert path.with_name("store.db-wal").stat().st_size < 200_000
