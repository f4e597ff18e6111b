"""A real JupyterLab under ``/user/someone/`` with a token, and a real kernel that it started."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from kernels import SERVES, run
from served import until

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = "/user/someone/"


class Jupyter(NamedTuple):
    """A server that runs."""

    port: int
    token: str
    runtime: Path
    log: Path

    def request(
        self,
        path: str,
        body: bytes = b"",
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        token: bool = False,
    ) -> tuple[int, Any, bytes]:
        """Send a request, with the token where it is asked for; give status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        authorization = {"Authorization": f"token {self.token}"} if token else {}
        try:
            connection.request(method, path, body, {**authorization, **(headers or {})})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def api(self, method: str, path: str) -> Any:
        """Ask Jupyter's own interface."""
        status, _, body = self.request(f"{BASE}api/{path}", b"{}", method=method, token=True)
        assert status < 300, body
        return json.loads(body)

    def run(self, kernel: str, code: str) -> Any:
        """Run code in a kernel, and return what its last line is as JSON."""
        return run(self.runtime, kernel, f'NAME = "orders"\n{code}')


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """Start JupyterLab, as somebody who has no settings of their own."""
    home = tmp_path_factory.mktemp("jupyter")
    root, settings, token = home / "work", home / "config", secrets.token_hex(16)
    root.mkdir()
    settings.mkdir()
    (settings / "jupyter_server_config.json").write_text(
        json.dumps(
            {
                "IdentityProvider": {"token": token},
                "LabApp": {"extension_manager": "readonly"},
                "LanguageServerManager": {"autodetect": False},
                "ServerApp": {
                    "base_url": BASE,
                    "ip": "127.0.0.1",
                    "port": 0,
                    "root_dir": str(root),
                    # Stricter than by default: what is open says so.
                    "allow_unauthenticated_access": False,
                },
            }
        )
    )
    foreign = ("HOOKNB_", "IPYTHON", "JPY_", "JUPYTER", "XDG_")
    given = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    log = home / "lab.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser"),
                *(["--allow-root"] if os.geteuid() == 0 else []),
            ],
            cwd=root,
            env=given
            | {
                "HOME": str(home),
                "IPYTHONDIR": str(home / "ipython"),
                "JUPYTER_CONFIG_DIR": str(settings),
                "JUPYTER_DATA_DIR": str(home / "data"),
                "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            },
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Jupyter(_port(server, home / "runtime", log), token, home / "runtime", log)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(20)


def _port(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> int:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            info = json.loads((runtime / f"jpserver-{server.pid}.json").read_text())
            with urllib.request.urlopen(f"{info['url']}hooknb/", timeout=10) as response:
                assert json.load(response)["hooknb"] == "relay"
                return int(info["port"])
        except (FileNotFoundError, json.JSONDecodeError, urllib.error.URLError):
            time.sleep(0.1)
    pytest.fail(f"the relay does not answer:\n{log.read_text(errors='replace')[-4000:]}")


@pytest.fixture(scope="module")
def kernel(jupyter: Jupyter) -> str:
    """Start a kernel that publishes a hook, and give its id."""
    return str(jupyter.api("POST", "kernels")["id"])


def test_a_hook_is_open_and_nothing_else_is(jupyter: Jupyter, kernel: str) -> None:
    key, url, local, works = jupyter.run(
        kernel,
        SERVES + "import hooknb.relay\n"
        "hook.key, hook.url, hook.local_url, hooknb.relay.status().works",
    )
    assert url == f"http://127.0.0.1:{jupyter.port}{BASE}hooknb/{key}"
    assert works
    port = urlsplit(local).port
    status, headers, body = jupyter.request(
        f"{BASE}hooknb/{key}?token={jupyter.token}&a=1",
        b'{"a": 1}',
        headers={
            "Content-Type": "application/json",
            "Authorization": f"token {jupyter.token}",
            "Cookie": "a=b",
        },
    )
    assert (status, body) == (200, b"ok")
    assert headers["Content-Security-Policy"].startswith("sandbox")
    kept = jupyter.run(
        kernel, "kept = hook.delivery(1)\n[kept.query_string, kept.raw.decode(), kept.headers]"
    )
    assert kept[:2] == ["a=1", '{"a": 1}']
    assert jupyter.token not in json.dumps(kept)
    assert "Cookie" not in dict(kept[2])

    for method in ("GET", "POST", "PUT", "DELETE"):
        for path in ("api/contents", "api/kernels", f"api/kernels/{kernel}", f"proxy/{port}/"):
            status, headers, _ = jupyter.request(BASE + path, method=method)
            if status == 302:
                # To the same path without a slash at its end, and then to the page for the token.
                assert method == "GET"
                status, headers, _ = jupyter.request(headers["Location"], method=method)
                if status == 302:
                    assert headers["Location"].startswith(f"{BASE}login?")
                    status = 403
            assert status in {403, 404, 405}, (method, path, status)
    for path in (
        f"{BASE}proxy/{port}/hook/{key}",
        f"{BASE}hooknb/{port}",
        f"{BASE}hooknb/../api/kernels",
        f"{BASE}hooknb/%2e%2e/api/kernels",
        f"{BASE}hooknb/{key}/../../api/kernels",
        f"{BASE}hooknb/{'A' * 22}",
        f"/hooknb/{key}",
    ):
        assert jupyter.request(path)[0] in {403, 404}, path
    assert jupyter.request(f"{BASE}hooknb/{key}", headers={"Host": "evil.example"})[0] == 403
    assert jupyter.token not in jupyter.log.read_text(errors="replace").split("ServerApp] http")[-1]


def test_a_browser_tells_the_address(jupyter: Jupyter, kernel: str) -> None:
    host = f"localhost:{jupyter.port}"
    page = f"http://{host}"

    def ask(*, token: bool, **headers: str) -> None:
        jupyter.request(f"{BASE}api/kernels", method="GET", headers=headers, token=token)

    ask(token=False, Origin=page, Host=host)
    ask(token=True, Origin="http://evil.example", Host=host)
    ask(token=True, Origin="http://evil.example", Host="evil.example")
    assert "127.0.0.1" in jupyter.run(kernel, SERVES + "hook.url")
    ask(token=True, Origin=page, Host=host)
    assert jupyter.run(kernel, "hook.publish()").startswith(page + BASE)


@pytest.mark.parametrize("way", ["restart", "kill"])
def test_a_restart_in_the_middle_loses_nothing(jupyter: Jupyter, kernel: str, way: str) -> None:
    key, pid = jupyter.run(kernel, SERVES + "import os\nhook.clear()\nhook.key, os.getpid()")
    bodies = [b"%d \xff\x00 %b" % (number, secrets.token_bytes(50)) for number in range(200)]
    statuses = []
    for number, body in enumerate(bodies):
        if number == 60:
            if way == "kill":
                os.kill(pid, 9)
            else:
                assert jupyter.api("POST", f"kernels/{kernel}/restart")["id"] == kernel
        if number == 140:
            assert jupyter.run(kernel, SERVES + "hook.key") == key
        status, _, _ = jupyter.request(
            f"{BASE}hooknb/{key}", body, headers={"Content-Type": "application/x-any"}
        )
        statuses.append(status)
    assert set(statuses) == {200, 202}
    assert statuses[:60] == [200] * 60
    assert statuses[61:140] == [202] * 79
    until(
        lambda: (
            jupyter.run(kernel, "len(hook.deliveries)") >= 200
            and not list((jupyter.runtime / "hooknb" / "spool").glob("*/*"))
        )
    )
    came = jupyter.run(
        kernel, "[hook.delivery(number).raw.hex() for number in hook.deliveries.index]"
    )
    # At least once: what the kernel was taking when it ended may have come twice, in its place.
    once = [body for index, body in enumerate(came) if index == 0 or came[index - 1] != body]
    assert once == [body.hex() for body in bodies]
    assert jupyter.request(f"{BASE}hooknb/{key}", b"x")[0] == 200
