"""The options of `make endure`, and the table of what it saw.

Without `--endure` the same tests run in their short form, as a part of `make test`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Tell = Callable[[str, str], None]
BENCH = Path(__file__).parents[1] / "bench"
ROWS = pytest.StashKey[list[tuple[str, str]]]()
BEGAN = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("endure")
    group.addoption("--endure", action="store_true", help="the long form")
    group.addoption("--minutes", type=float, default=5.0, help="of steady load, with --endure")
    group.addoption("--write", action="store_true", help="the table into the README")


def pytest_configure(config: pytest.Config) -> None:
    """Make the table."""
    config.stash[ROWS] = []


@pytest.fixture
def scale(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """Give a function that chooses between the count of the short form and of the long one."""
    is_long = request.config.getoption("endure", default=False)
    return lambda short, long: long if is_long else short


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """Give the seconds of steady load."""
    is_long = request.config.getoption("endure", default=False)
    return 60 * request.config.getoption("minutes") if is_long else 2.0


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Give a function that adds a row to the table: what was done, and what was seen."""
    return lambda what, seen: request.config.stash.setdefault(ROWS, []).append((what, seen))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Print the table of the long form, and write it where all has held."""
    config = session.config
    rows = config.stash.get(ROWS, [])
    if not rows or not config.getoption("endure", default=False):
        return
    lines = ["| what | seen |", "| --- | --- |", *(f"| {what} | {seen} |" for what, seen in rows)]
    minutes = (time.monotonic() - BEGAN) / 60
    text = "\n".join([*lines, "", f"{os.cpu_count()} cores; {minutes:.1f} minutes in all.", ""])
    sys.stdout.write(f"\n\n{text}")
    if exitstatus == 0 and config.getoption("write"):
        sys.path.insert(0, str(BENCH))
        import run

        run.write_readme(f"\n{text}\n", "endure")
