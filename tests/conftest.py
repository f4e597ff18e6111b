from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

import hooknb

if TYPE_CHECKING:
    from collections.abc import Generator

    from xdist.remote import Producer

pytest_plugins = ["pytester"]

# Files whose tests run one after the other, in one process, as those of one file do: a
# deterministic runtime takes port 8765, which the machine has once.
GROUPS = {
    "test_deterministic.py": "port 8765",
    "test_notebooks.py": "port 8765",
}
# A skip with one of these reasons is right in continuous integration too.
RIGHT_SKIPS = ("only root can",)


class _ByFile(LoadScopeScheduling):
    """Sends the tests of a file, or of a group of files, to one process.

    `--dist loadgroup` of xdist 3.8 does nothing under pytest 9.2, which keeps ids elsewhere.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        name = path.rpartition("/")[2]
        if "/browser/" in path and name != "test_lab.py":
            return "the panel in a browser"
        return GROUPS.get(name, path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Have xdist keep together what shares fixtures or a port."""
    return _ByFile(config, log)


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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("only root can mount a small disk, and not everywhere")
    yield folder
    subprocess.run(["/bin/umount", str(folder)], check=True)
