"""Fixtures for the tests that need a real JupyterLab in a real Chromium."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from lab import CHROMIUM_ARGS, Lab, find_chromium, running_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser


# Not for the whole session: while Playwright is there, `asyncio.run` in this thread is refused, and
# a package's fixtures are not taken down before the next folder's tests.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start a Chromium for a module; where there is none its tests are skipped, or fail in CI."""
    with sync_playwright() as playwright:
        executable = find_chromium(playwright.chromium.executable_path)
        if executable is None:
            reason = "no Chromium was found: `make browser` installs one"
            if os.environ.get("HOOKNB_REQUIRE_BROWSER") == "1":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
        browser = playwright.chromium.launch(
            executable_path=executable, headless=True, args=CHROMIUM_ARGS
        )
        yield browser
        browser.close()


@pytest.fixture
def start_lab(tmp_path: Path, chromium: Browser) -> Iterator[Callable[..., Lab]]:
    """Give a function that starts JupyterLab with copies of notebooks; it ends with the test."""
    with ExitStack() as stack:
        count = 0

        def start(*notebooks: Path) -> Lab:
            nonlocal count
            count += 1
            return stack.enter_context(running_lab(tmp_path / f"lab{count}", chromium, notebooks))

        yield start


@pytest.fixture
def lab(start_lab: Callable[..., Lab]) -> Lab:
    """Start a JupyterLab with an empty root."""
    return start_lab()


@pytest.fixture
def quiet(lab: Lab) -> Iterator[Lab]:
    """Give a lab whose console may show no error of ours."""
    heard: list[str] = []
    lab.page.on("console", lambda said: heard.append(said.text) if said.type == "error" else None)
    lab.page.on("pageerror", lambda error: heard.append(str(error)))
    yield lab
    assert heard == []
