from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from source import Source

from hooknb.store import Store


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    target = ":memory:" if request.param == "memory" else tmp_path / "store.db"
    store = Store(target, stored=lambda _deliveries: None)
    yield store
    store.close()


@pytest.fixture
def source(store: Store) -> Source:
    return Source(store)
