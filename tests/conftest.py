from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import hooknb

pytest_plugins = ["pytester"]


@pytest.fixture
def runtime() -> Iterator[hooknb.Runtime]:
    """Give a runtime that keeps in memory."""
    with hooknb.Runtime(":memory:", port=0) as made:
        yield made


@pytest.fixture
def stored_runtime(tmp_path: Path) -> Iterator[hooknb.Runtime]:
    """Give a runtime that keeps in a file."""
    with hooknb.Runtime(tmp_path / "store.db", port=0) as made:
        yield made
