from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE_THE_REPOSITORY = Path(__file__).parents[2].parent / "shared" / "corpus"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Return the folder of real traffic; where there is none its tests are skipped."""
    folder = Path(os.environ.get("HOOKNB_CORPUS", BESIDE_THE_REPOSITORY))
    if not folder.is_dir():
        pytest.skip(f"no corpus at {folder}; set HOOKNB_CORPUS to where it is")
    return folder
