from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hooknb

if TYPE_CHECKING:
    from collections.abc import Generator

pytest_plugins = ["pytester"]

# Tests of one group run one after the other, in one process: a deterministic runtime takes port
# 8765, which the machine has once, and the others share what takes long to make.
GROUPS = {
    "test_deterministic.py": "port 8765",
    "test_notebooks.py": "port 8765",
    "test_jupyter.py": "a JupyterLab",
    "test_jupyterhub.py": "a JupyterHub",
    "test_lab.py": "the notebooks in a browser",
    "test_payloads.py": "the payloads",
    "test_repository.py": "the wheel",
}
# A skip with one of these reasons is right in continuous integration too.
RIGHT_SKIPS = ("only root can",)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests must not run side by side."""
    for item in items:
        group = GROUPS.get(item.path.name)
        if group is None and item.get_closest_marker("browser"):
            group = "the panel in a browser"
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With `HOOKNB_REQUIRE_ALL=1`, have a test that is skipped fail."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and _requires_all():
        _, _, reason = report.longrepr  # type: ignore[misc]
        if not any(right in reason for right in RIGHT_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"{reason}\nHOOKNB_REQUIRE_ALL=1: nothing may be skipped"
    return report


def _requires_all() -> bool:
    return os.environ.get("HOOKNB_REQUIRE_ALL") == "1"


@pytest.fixture
def runtime() -> Iterator[hooknb.Runtime]:
    """Serve from a store in memory."""
    with hooknb.Runtime(":memory:", port=0) as made:
        yield made


@pytest.fixture
def stored_runtime(tmp_path: Path) -> Iterator[hooknb.Runtime]:
    """Serve from a store in a file."""
    with hooknb.Runtime(tmp_path / "store.db", port=0) as made:
        yield made
