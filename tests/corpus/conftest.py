from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE_THE_REPOSITORY = Path(__file__).parents[2].parent / "shared" / "corpus"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Give the folder of real traffic; without it skip the test, or fail where it is required."""
    folder = Path(os.environ.get("HOOKNB_CORPUS", BESIDE_THE_REPOSITORY))
    if not folder.is_dir():
        message = f"no corpus at {folder}; set HOOKNB_CORPUS to where it is"
        if os.environ.get("HOOKNB_REQUIRE_CORPUS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder
