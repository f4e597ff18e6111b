"""The quickstart in a JupyterLab such as Binder's, and a sender from outside: run by `.ci/binder`.

The server stands under ``/user/ci/`` and asks for a token. Its kernel runs the notebook, publishes
the hook, and gets what is sent to the public URL without a token.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import nbformat
from jupyter_client import BlockingKernelClient

ROOT: Final = Path(__file__).resolve().parents[1]
NOTEBOOK: Final = "notebooks/00_quickstart.ipynb"
BODY: Final = b'{"order": {"id": 9007199254740993, "note": "\xc3\xa9"}, "status": "sent"}\n'
PATIENCE: Final = 120.0  # seconds for a start, or for one cell


class Server:
    """A JupyterLab of this environment."""

    def __init__(self, url: str, token: str, runtime: Path) -> None:
        self.url = url
        self.runtime = runtime
        self._token = token

    def ask(self, path: str, data: Any = None, *, token: bool = True) -> bytes:
        """Ask it for something, with the token or without."""
        headers = {"Authorization": f"token {self._token}"} if token else {}
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.read()


@contextmanager
def jupyterlab(folder: Path) -> Iterator[Server]:
    """Start JupyterLab as Binder does, and end it."""
    token, runtime = secrets.token_hex(16), folder / "runtime"
    log = (folder / "log").open("wb")
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ServerApp.base_url=/user/ci/", f"--IdentityProvider.token={token}"),
            *("--ServerApp.port=0", f"--ServerApp.root_dir={ROOT}"),
        ],
        cwd=ROOT,
        env={**os.environ, "JUPYTER_RUNTIME_DIR": str(runtime)},
        stdout=log,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield Server(started(process, runtime), token, runtime)
        except BaseException:
            sys.stderr.write((folder / "log").read_text(errors="replace")[-4000:])
            raise
        finally:
            process.terminate()


def started(process: subprocess.Popen[bytes], runtime: Path) -> str:
    """Wait for a server, and give its URL."""
    file, end = runtime / f"jpserver-{process.pid}.json", time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            url = json.loads(file.read_text())["url"]
            with urllib.request.urlopen(f"{url}api", timeout=PATIENCE):
                return url
        except (OSError, ValueError):
            time.sleep(0.2)
    raise SystemExit("JupyterLab does not start")


class Kernel:
    """A kernel that the server started for the notebook."""

    def __init__(self, server: Server) -> None:
        session = server.ask(
            "api/sessions",
            {
                "path": NOTEBOOK,
                "name": "",
                "type": "notebook",
                "kernel": {"name": "python3"},
            },
        )
        number = json.loads(session)["kernel"]["id"]
        self._client = BlockingKernelClient(
            connection_file=str(server.runtime / f"kernel-{number}.json")
        )
        self._client.load_connection_file()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)

    def run(self, source: str) -> str:
        """Run a cell; give what it printed. An error ends everything."""
        printed: list[str] = []

        def take(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        response = self._client.execute_interactive(source, timeout=PATIENCE, output_hook=take)
        if response["content"]["status"] != "ok":
            raise SystemExit(
                "\n".join(["a cell fails:", source, *response["content"]["traceback"]])
            )
        return "".join(printed)


def main() -> None:
    """Go through it, and say what held."""
    with tempfile.TemporaryDirectory() as name, jupyterlab(Path(name)) as server:
        page = server.ask(f"lab/tree/{NOTEBOOK}").decode()
        for extension in ("@jupyter-widgets/jupyterlab-manager", "anywidget"):
            check(f'"name": "{extension}"' in page, f"JupyterLab loads {extension}")
        kernel = Kernel(server)
        notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                kernel.run(cell.source)
        say(f"{NOTEBOOK} runs")
        doctor = kernel.run(
            "import subprocess, sys\n"
            "command = [sys.executable, '-m', 'hooknb', 'doctor', '--json']\n"
            "done = subprocess.run(command, text=True, capture_output=True)\n"
            "print(done.stdout)"
        )
        poor = [finding for finding in json.loads(doctor) if finding["state"] != "ok"]
        check(not poor, f"hooknb doctor finds everything in order {poor or ''}")
        url = kernel.run("print(hook.publish())").strip()
        check(url.startswith(f"{server.url}hooknb/"), "the hook is published under /user/ci/")
        request = urllib.request.Request(
            url, data=BODY, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            check(response.status == 200, "a sender without a token is answered")
        came = kernel.run(
            "hook.wait()\n"
            "last = hook.delivery(int(hook.deliveries.index[-1]))\n"
            "print(last.raw.hex(), last.status)"
        )
        check(came.split() == [BODY.hex(), "200"], "what it sent came, byte for byte")
        try:
            server.ask("api/contents", token=False)
        except urllib.error.HTTPError as error:
            check(error.code == 403, "the server stays closed without its token")
        else:
            raise SystemExit("the server is open to everybody")


def check(holds: bool, what: str) -> None:  # noqa: FBT001 - it reads as a sentence
    """Say that something holds, or end."""
    if not holds:
        raise SystemExit(f"this does not hold: {what}")
    say(what.splitlines()[0])


def say(what: str) -> None:
    """Say that something holds."""
    sys.stdout.write(f"binder: {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
