"""A real JupyterHub with its default settings, a user who logs in, and senders from outside."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from kernels import SERVES, run
from served import until

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a test needs to say; JupyterHub is left to its defaults in all that it does to a server.
CONFIG = """
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_port = {hub}
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.allow_named_servers = True
c.Authenticator.allow_all = True
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.SimpleLocalProcessSpawner.home_dir_template = {home!r} + "/{{username}}"
c.Spawner.args = {arguments!r}
"""
PAUSE = 0.2  # seconds between two questions: what is asked needs the processor for itself


class Hub:
    """A JupyterHub, and the session of somebody who is logged in."""

    def __init__(self, port: int, home: Path) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.home = home / "ann"
        self.runtime = self.home / ".local" / "share" / "jupyter" / "runtime"
        self.session = requests.Session()
        self.session.trust_env = False

    def xsrf(self, path: str) -> str:
        """Return the token that pages below a path send along."""
        cookies = self.session.cookies
        values = {found.path: found.value for found in cookies if found.name == "_xsrf"}
        return str(values[path])

    def log_in(self) -> None:
        """Fill in the form."""
        self.session.get(f"{self.origin}/hub/login", timeout=30)
        form = {"username": "ann", "password": "any", "_xsrf": self.xsrf("/hub/")}
        response = self.session.post(f"{self.origin}/hub/login", data=form, timeout=60)
        assert response.ok, response.text

    def open(self, server: str = "") -> str:
        """Open JupyterLab in a browser until it is there; return the base path of the server."""
        base = f"/user/ann/{server}/" if server else "/user/ann/"
        self.session.get(f"{self.origin}/hub/spawn/ann/{server}".rstrip("/"), timeout=60)

        def is_there() -> bool:
            time.sleep(PAUSE)
            page = self.session.get(f"{self.origin}{base}lab", timeout=60)
            return page.ok and page.url.startswith(f"{self.origin}{base}lab")

        until(is_there, 60)
        return base

    def api(self, base: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask a server's own interface, as the page of JupyterLab does."""
        response = self.session.request(
            method,
            f"{self.origin}{base}api/{path}",
            json=body or {},
            headers={"Referer": f"{self.origin}{base}lab", "X-XSRFToken": self.xsrf(base)},
            timeout=60,
        )
        assert response.ok, response.text
        return response.json() if response.content else None

    def stop(self, server: str = "") -> None:
        """Have the hub stop a server of the user's, and wait until it has."""
        what = f"servers/{server}" if server else "server"
        url = f"{self.origin}/hub/api/users/ann/{what}"
        headers = {"Referer": f"{self.origin}/hub/home", "X-XSRFToken": self.xsrf("/hub/")}
        assert self.session.delete(url, headers=headers, timeout=60).ok

        def has_ended() -> bool:
            time.sleep(PAUSE)
            user = self.session.get(f"{self.origin}/hub/api/users/ann", headers=headers, timeout=60)
            return server not in user.json()["servers"]

        until(has_ended, 60)

    def run(self, kernel: str, code: str) -> Any:
        """Run code in a kernel, and return what its last line is as JSON."""
        return run(self.runtime, kernel, code)

    def send(self, url: str, body: bytes) -> int:
        """Send a delivery as somebody who has no session, and return its status."""
        with requests.Session() as sender:
            sender.trust_env = False
            headers = {"Content-Type": "application/x-any"}
            return sender.post(
                url, body, headers=headers, timeout=60, allow_redirects=False
            ).status_code


def _proxy() -> str | None:
    own = Path(sys.prefix) / "node" / "node_modules" / ".bin" / "configurable-http-proxy"
    return shutil.which("configurable-http-proxy") or (str(own) if own.is_file() else None)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Start a JupyterHub and log in; where there is none its tests are skipped, or fail in CI."""
    proxy = _proxy()
    program = Path(sys.executable).with_name("jupyterhub")
    if proxy is None or not program.exists() or shutil.which("node") is None:
        reason = "JupyterHub or its proxy was not found: `make hub` installs them"
        if os.environ.get("HOOKNB_REQUIRE_HUB") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    home = tmp_path_factory.mktemp("hub")
    with ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        public, hub, api = (listening.getsockname()[1] for listening in free)
    (home / "config.py").write_text(
        CONFIG.format(
            public=public,
            hub=hub,
            api=api,
            proxy=proxy,
            home=str(home),
            arguments=["--allow-root"] if os.geteuid() == 0 else [],
        )
    )
    foreign = ("HOOKNB_", "IPYTHON", "JPY_", "JUPYTER", "XDG_")
    given = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    log = home / "hub.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [program, "-f", str(home / "config.py")],
            cwd=home,
            env=given | {"PATH": f"{program.parent}{os.pathsep}{given['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    made = Hub(public, home)
    try:

        def is_there() -> bool:
            time.sleep(PAUSE)
            assert process.poll() is None, log.read_text(errors="replace")[-4000:]
            with suppress(requests.ConnectionError):
                return made.session.get(f"{made.origin}/hub/health", timeout=30).ok
            return False

        until(is_there, 60)
        made.log_in()
        yield made
    finally:
        process.terminate()  # it takes its servers and the proxy along
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        made.session.close()


def _serve(hub: Hub, base: str, name: str) -> tuple[str, str]:
    """Start a kernel that publishes a hook; return the kernel's id and the hook's URL."""
    kernel = str(hub.api(base, "POST", "kernels")["id"])
    key, url = hub.run(kernel, f"NAME = {name!r}" + SERVES + "hook.key, hook.url")
    assert url == f"{hub.origin}{base}hooknb/{key}"
    return kernel, url


# In the order of their ids, whatever those are.
BODIES = "[hook.delivery(id).raw.decode() for id in hook.deliveries.index]"


def test_a_hook_is_published_on_a_jupyterhub_with_default_settings(hub: Hub) -> None:
    kernel, url = _serve(hub, hub.open(), "default")
    assert hub.send(url, b"a") == 200
    assert hub.run(kernel, BODIES) == ["a"]


def test_named_servers_publish_beside_each_other(hub: Hub) -> None:
    kernel, url = _serve(hub, hub.open(), "first")
    named, named_url = _serve(hub, hub.open("second"), "second")
    assert [hub.send(url, b"a"), hub.send(named_url, b"b")] == [200, 200]
    assert [hub.run(kernel, BODIES), hub.run(named, BODIES)] == [["a"], ["b"]]


def test_a_restarted_server_loses_no_delivery_that_it_took(hub: Hub) -> None:
    base = hub.open()
    kernel, url = _serve(hub, base, "restarted")
    taken = []

    def send(count: int) -> list[int]:
        statuses = []
        for _ in range(count):
            body = f"{len(taken)} {os.urandom(8).hex()}"
            statuses.append(hub.send(url, body.encode()))
            if statuses[-1] < 300:
                taken.append(body)
        return statuses

    assert send(20) == [200] * 20
    os.kill(hub.run(kernel, "import os\nos.getpid()"), signal.SIGKILL)
    assert 202 in send(20)
    hub.stop()
    # The hub, not the relay, answers for a server that is not there: senders try again later.
    assert min(send(3)) >= 300
    assert hub.open() == base
    assert send(10) == [202] * 10
    kernel, again = _serve(hub, base, "restarted")
    assert again == url
    assert set(send(10)) <= {200, 202}
    until(lambda: hub.run(kernel, "len(hook.deliveries)") >= len(taken))
    came = hub.run(kernel, BODIES)
    # At least once: what the kernel was taking when it ended may have come twice, in its place.
    assert [body for index, body in enumerate(came) if came[index - 1 : index] != [body]] == taken
