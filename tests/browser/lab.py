"""A real JupyterLab, driven through a real Chromium.

:func:`running_server` starts a server that listens on the loopback only and knows nothing of the
person who runs the tests: home, settings, runtime files and notebooks are in a folder of its own.
One server and one page are enough for many tests: :func:`opened_lab` gives each a folder and
kernels of its own, and :class:`Lab` is the page meanwhile. Everything here blocks, and gives
up after a time with the reason.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Page

__all__ = [
    "CHROMIUM_ARGS",
    "Lab",
    "Server",
    "environment",
    "find_chromium",
    "opened_lab",
    "request",
    "running_server",
]

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_ARGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing but this machine has a name.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)

# A page function: `panel` is the notebook that was opened, `app` is JupyterLab.
_SCRIPT = """async ([body, args, seconds]) => {
    const work = new Function('app', 'panel', 'args', `return (async () => { ${body} })()`);
    let timer;
    const late = new Promise((_, refuse) => {
        timer = setTimeout(() => refuse(new Error(`not done after ${seconds} s`)), seconds * 1000);
    });
    try {
        return await Promise.race([work(window.jupyterapp, window.openedNotebook, args), late]);
    } finally {
        clearTimeout(timer);
    }
}"""

# A proxy of the environment is not for the loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def find_chromium(bundled: str) -> str | None:
    """Return the Chromium to start: the system's, else Playwright's own (`bundled`), else none."""
    for name in CHROMIUM_NAMES:
        if found := shutil.which(name):
            return found
    return bundled if Path(bundled).exists() else None


def request(
    url: str,
    data: Any = None,
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    timeout: float = 10,
) -> tuple[int, bytes]:
    """Send one request (`data` as JSON) and return its status and body, whatever the status."""
    asked = urllib.request.Request(
        url,
        method=method,
        data=None if data is None else json.dumps(data).encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
    )
    try:
        with _opener.open(asked, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


@dataclass(frozen=True, kw_only=True)
class Server:
    """A JupyterLab server that runs.

    Attributes
    ----------
    url
        Its address, with a slash at its end.
    token
        Its token.
    home
        The folder for all that the server and its kernels write.
    """

    url: str
    token: str
    home: Path

    @property
    def root(self) -> Path:
        """The folder that the server shows."""
        return self.home / "work"

    def call(self, method: str, path: str) -> Any:
        """Call the server's API, and return what it says."""
        status, body = request(
            f"{self.url}api/{path}",
            method=method,
            headers={"Authorization": f"token {self.token}"},
            timeout=60,
        )
        if status >= 400:
            message = f"{method} api/{path} returned {status}: {body.decode()}"
            raise RuntimeError(message)
        return json.loads(body) if body else None


class Lab:
    """One page of JupyterLab and the server behind it.

    Parameters
    ----------
    page
        The page; it need not have been anywhere.
    server
        The server behind it.
    root
        The page's folder in the server's root: the working directory of its kernels.
    """

    def __init__(self, page: Page, server: Server, root: Path) -> None:
        self.page = page
        self.root = root
        self._server = server

    def write(self, name: str, *cells: str) -> str:
        """Write a notebook of code cells into the root, and return its name for `open`."""
        import nbformat
        from nbformat import v4

        notebook = v4.new_notebook(
            cells=[v4.new_code_cell(cell) for cell in cells],
            # Without it JupyterLab asks which kernel to take, and waits for the answer.
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(notebook, self.root / name)
        return name

    def open(self, notebook: str, timeout: float = 60) -> None:
        """Open a notebook of the root in this page, and wait until its kernel can run cells."""
        # Once with the token; from then on the page has the server's cookie.
        url, folder = self._server.url, self.root.name
        if not self.page.url.startswith(url):
            # In a workspace of its own nothing is open that another page has opened.
            self.page.goto(
                f"{url}lab/workspaces/{folder}?token={self._server.token}", timeout=timeout * 1000
            )
        self.page.wait_for_function("() => window.jupyterapp", timeout=timeout * 1000)
        self.evaluate(
            """
            await app.restored;
            const opened = await app.commands.execute(
                'docmanager:open', {path: args, factory: 'Notebook'});
            await opened.context.ready;
            await opened.sessionContext.ready;
            await opened.sessionContext.session.kernel.info;
            window.openedNotebook = opened;
            """,
            f"{folder}/{notebook}",
            timeout=timeout,
        )

    def close_all(self) -> bool:
        """Close what is open, unsaved; return whether no dialog is left."""
        if not self.page.url.startswith(self._server.url):
            return True
        return self.evaluate(  # type: ignore[no-any-return]
            """
            for (const opened of [...app.shell.widgets('main')]) opened.dispose();
            delete window.openedNotebook;
            return document.querySelector('.jp-Dialog') === null;
            """
        )

    def evaluate(self, body: str, args: Any = None, timeout: float = 60) -> Any:
        """Run the body of an asynchronous JavaScript function that sees `app`, `panel`, `args`."""
        return self.page.evaluate(_SCRIPT, [body, args, timeout])

    def run_all(self, timeout: float = 120) -> None:
        """Run every cell, and wait; raises `AssertionError` with what went wrong in a cell."""
        self.evaluate("await app.commands.execute('notebook:run-all-cells');", timeout=timeout)
        for index in range(len(self.outputs())):
            self._raise_error_of(index)

    def run_cell(self, index: int, *, wait: bool = True, timeout: float = 60) -> None:
        """Run one cell (counted from 0); with `wait`, until it has ended, and raise its error."""
        body = """
            panel.content.deselectAll();
            panel.content.activeCellIndex = args;
            const run = app.commands.execute('notebook:run-cell');
        """
        self.evaluate(body + ("await run;" if wait else ""), index, timeout=timeout)
        if wait:
            self._raise_error_of(index)

    def is_running(self, index: int) -> bool:
        """Tell whether a cell is being run; the kernel's own state is that of its subshells too."""
        return self.evaluate(  # type: ignore[no-any-return]
            "return panel.content.widgets[args].model.executionState === 'running';", index
        )

    def wait_until_run(self, index: int, timeout: float = 10) -> None:
        """Wait until a cell that was started has ended, and raise its error."""
        end = time.monotonic() + timeout
        while self.is_running(index):
            if time.monotonic() > end:
                message = f"cell {index} still runs after {timeout} s"
                raise TimeoutError(message)
            time.sleep(0.05)
        self._raise_error_of(index)

    def outputs(self) -> list[list[dict[str, Any]]]:
        """Return the outputs of every cell, as they would be saved."""
        return self.evaluate(  # type: ignore[no-any-return]
            """
            return panel.content.widgets.map(
                cell => cell.model.type === 'code' ? cell.model.outputs.toJSON() : []);
            """
        )

    def output(self, index: int) -> str:
        """Return the text of one cell's outputs (counted from 0): printed, shown, and errors."""
        return "".join(_text_of(output) for output in self.outputs()[index])

    def kernel_id(self) -> str:
        """Return the id of the opened notebook's kernel."""
        return self.evaluate("return panel.sessionContext.session.kernel.id;")  # type: ignore[no-any-return]

    def kernel_state(self) -> str:
        """Return what the server says of the kernel: `idle`, `busy`, `starting`."""
        return self._server.call("GET", f"kernels/{self.kernel_id()}")["execution_state"]  # type: ignore[no-any-return]

    def wait_for_kernel(self, state: str = "idle", timeout: float = 30) -> None:
        """Wait until the kernel is in a state."""
        end = time.monotonic() + timeout
        while (seen := self.kernel_state()) != state:
            if time.monotonic() > end:
                message = f"the kernel is {seen} and not {state} after {timeout} s"
                raise TimeoutError(message)
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Interrupt what the kernel runs, as the button does, and wait until it is idle."""
        self._server.call("POST", f"kernels/{self.kernel_id()}/interrupt")
        self.wait_for_kernel("idle")

    def restart_kernel(self, timeout: float = 60) -> None:
        """Restart the kernel, and wait until it can run cells."""
        self.evaluate(
            """
            const kernel = panel.sessionContext.session.kernel;
            await kernel.restart();
            await kernel.info;
            """,
            timeout=timeout,
        )
        self.wait_for_kernel("idle", timeout)

    def screenshot(self, path: Path) -> None:
        """Save a picture of the whole page."""
        self.page.screenshot(path=path)

    def _raise_error_of(self, index: int) -> None:
        for output in self.outputs()[index]:
            if output["output_type"] == "error":
                message = f"cell {index} raised:\n{_text_of(output)}"
                raise AssertionError(message)


def _text_of(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        text = output["text"]
    elif output["output_type"] == "error":
        text = "\n".join(output["traceback"] or [f"{output['ename']}: {output['evalue']}"])
    else:
        text = output["data"].get("text/plain", "")
    text = text if isinstance(text, str) else "".join(text)
    return re.sub(r"\x1b\[[0-9;]*m", "", text)  # tracebacks come in colours


@contextmanager
def running_server(home: Path) -> Iterator[Server]:
    """Start JupyterLab in an empty folder; it ends with the block, and its kernels with it."""
    root = home / "work"
    root.mkdir(parents=True)
    token = secrets.token_hex(16)
    log = home / "lab.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [
                sys.executable,
                *("-m", "jupyterlab", "--no-browser", "--expose-app-in-browser"),
                *(["--allow-root"] if os.name == "posix" and os.geteuid() == 0 else []),
            ],
            cwd=root,
            env=environment(home, root, token),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Server(url=_wait_for_server(server, home / "runtime", log), token=token, home=home)
    finally:
        # Asked to end, the server takes its kernels with it.
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(20)


@contextmanager
def opened_lab(server: Server, page: Page, notebooks: Sequence[Path] = ()) -> Iterator[Lab]:
    """Use a page for a server's JupyterLab; what it opened and its kernels end with the block.

    JupyterLab itself stays loaded, which takes longer than most of what is done with it, for the
    next block with this page.

    Parameters
    ----------
    server
        The server; no other page may be open on it.
    page
        The page; it need not have been anywhere.
    notebooks
        Notebooks to copy into the block's folder. The originals are never written to.
    """
    folder = server.root / f"page{len(list(server.root.iterdir()))}"
    folder.mkdir()
    for notebook in notebooks:
        shutil.copy(notebook, folder)
    page.set_viewport_size({"width": 1280, "height": 900})
    lab = Lab(page, server, folder)
    try:
        yield lab
    finally:
        # What was set, such as a theme, or still asks something, goes with the page's JupyterLab.
        settings = server.home / "config" / "lab" / "user-settings"
        if not lab.close_all() or settings.exists():
            page.goto("about:blank")
        for session in server.call("GET", "sessions"):
            server.call("DELETE", f"sessions/{session['id']}")
        shutil.rmtree(settings, ignore_errors=True)


def environment(home: Path, root: Path, token: str) -> dict[str, str]:
    """Return the environment of the server: this one's, without what points at other settings."""
    foreign = ("HOOKNB_", "IPYTHON", "JPY_", "JUPYTER", "XDG_")
    given = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    settings = home / "config"
    (settings / "labconfig").mkdir(parents=True)
    (settings / "labconfig" / "page_config.json").write_text(
        # It would ask whether to fetch news, and fetch them.
        json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}})
    )
    (settings / "jupyter_server_config.json").write_text(
        json.dumps(
            {
                "IdentityProvider": {"token": token},
                # Seconds for a kernel to end with the server; then it is made to.
                "KernelManager": {"shutdown_wait_time": 1.0},
                "LabApp": {"extension_manager": "readonly"},
                "LanguageServerManager": {"autodetect": False},
                # Port 0: whichever is free. The server says in its runtime file which one it took.
                "ServerApp": {"ip": "127.0.0.1", "port": 0, "root_dir": str(root)},
            }
        )
    )
    (settings / "jupyter_server_config.json").chmod(0o600)
    return given | {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(settings),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }


def _wait_for_server(
    server: subprocess.Popen[bytes], runtime: Path, log: Path, timeout: float = 60
) -> str:
    end = time.monotonic() + timeout
    while time.monotonic() < end and server.poll() is None:
        try:
            url: str = json.loads((runtime / f"jpserver-{server.pid}.json").read_text())["url"]
            if request(f"{url}api", method="GET")[0] == 200:
                return url
        except (FileNotFoundError, json.JSONDecodeError, urllib.error.URLError):
            pass
        time.sleep(0.1)
    state = "ended" if server.poll() is not None else f"did not answer within {timeout} s"
    message = f"JupyterLab {state}:\n{log.read_text(errors='replace')[-4000:]}"
    raise RuntimeError(message)
