"""Fixtures for the tests that need a real JupyterLab in a real Chromium."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from lab import CHROMIUM_ARGS, Lab, Server, find_chromium, opened_lab, running_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Error, Page


# Far longer than anything takes, so that only what never comes is noticed.
expect.set_options(timeout=30_000)


# Not for the whole session: while Playwright is there, `asyncio.run` in this thread is refused, and
# a package's fixtures are not taken down before the next folder's tests.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start a Chromium for a module; where there is none its tests are skipped."""
    with sync_playwright() as playwright:
        executable = find_chromium(playwright.chromium.executable_path)
        if executable is None:
            pytest.skip("no Chromium was found: `make browser` installs one")
        browser = playwright.chromium.launch(
            executable_path=executable, headless=True, args=CHROMIUM_ARGS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start the one JupyterLab of these tests."""
    with running_server(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="module")
def lab_page(chromium: Browser) -> Iterator[Page]:
    """Open the page in which the tests of a module use JupyterLab, one after the other."""
    with chromium.new_context() as context:
        yield context.new_page()


@pytest.fixture
def start_lab(lab_page: Page, lab_server: Server) -> Iterator[Callable[..., Lab]]:
    """Return a function that uses the page, with copies of notebooks; they end with the test."""
    with ExitStack() as stack:

        def start(*notebooks: Path) -> Lab:
            return stack.enter_context(opened_lab(lab_server, lab_page, notebooks))

        yield start


@pytest.fixture
def lab(start_lab: Callable[..., Lab]) -> Lab:
    """Use the page with an empty folder."""
    return start_lab()


@pytest.fixture
def quiet(lab: Lab) -> Iterator[Lab]:
    """Use the page, whose console may show no error meanwhile."""
    heard: list[str] = []

    def on_console(said: ConsoleMessage) -> None:
        if said.type == "error":
            heard.append(said.text)

    def on_error(error: Error) -> None:
        heard.append(str(error))

    lab.page.on("console", on_console)
    lab.page.on("pageerror", on_error)
    yield lab
    lab.page.remove_listener("console", on_console)
    lab.page.remove_listener("pageerror", on_error)
    assert heard == []
