from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import hooknb
from served import RelayServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of the registrations, which is in a runtime folder of the test's own."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    for name in ("JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_PUBLIC_URL", "HOOKNB_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "runtime" / "hooknb"


@pytest.fixture
def relay(folder: Path) -> Iterator[RelayServer]:
    """Give a server with the relay."""
    server = RelayServer(folder)
    yield server
    server.close()


@pytest.fixture
def published(relay: RelayServer) -> Iterator[hooknb.Runtime]:
    """Give a runtime whose hooks are reached through the relay, once they are published."""
    with hooknb.Runtime(":memory:", port=0, public_url=relay.url) as made:
        yield made
