from __future__ import annotations

from collections.abc import Iterator

import pytest
from written import Hook

from hooknb.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store(":memory:", stored=lambda _deliveries: None)
    yield store
    store.close()


@pytest.fixture
def hook(store: Store) -> Hook:
    return Hook(store)
