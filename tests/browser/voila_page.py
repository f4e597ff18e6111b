"""A real Voilà: a notebook shown as a page, its code not."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab import environment, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

__all__ = ["running_voila"]


@contextmanager
def running_voila(home: Path, browser: Browser, notebook: Path) -> Iterator[Page]:
    """Show a notebook with Voilà, and open a page on it; both end with the block."""
    root = home / "work"
    root.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = home / "voila.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [
                sys.executable,
                *("-m", "voila", str(notebook), "--no-browser", f"--port={port}"),
                "--Voila.ip=127.0.0.1",
            ],
            cwd=root,
            env=environment(home, root, "unused"),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}/"
        _wait(server, url, log)
        context = browser.new_context(viewport={"width": 1100, "height": 900})
        try:
            page = context.new_page()
            page.goto(url, timeout=60_000)
            yield page
        finally:
            context.close()
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(20)


def _wait(server: subprocess.Popen[bytes], url: str, log: Path, timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while time.monotonic() < end and server.poll() is None:
        try:
            request(f"{url}static/", method="GET")
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    state = "ended" if server.poll() is not None else f"did not answer within {timeout} s"
    message = f"Voilà {state}:\n{log.read_text(errors='replace')[-4000:]}"
    raise RuntimeError(message)
