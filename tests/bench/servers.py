"""The programs that the benchmarks compare, each run as a process of its own.

``python servers.py KIND FOLDER`` prints its URL, then serves until its standard input ends. What a
program needs on disk it puts into the folder. Each responds ``ok`` to a POST; what it does before
that stands in :data:`KINDS`.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request

VARIABLES = ["id", "status", "customer.email", "items[0].sku"]
LOOPBACK = "127.0.0.1"


def bare(_folder: Path) -> None:
    """Serve a ``RequestHandler`` of Tornado."""
    import tornado.web

    class Handler(tornado.web.RequestHandler):
        def post(self) -> None:
            self.write("ok")

    async def serve() -> None:
        application = tornado.web.Application([("/.*", Handler)], log_function=lambda _: None)
        server = application.listen(0, LOOPBACK)
        [listening] = server._sockets.values()
        say_url(listening.getsockname()[1])
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(serve())


def starlette(folder: Path, *, durable: bool = False) -> None:
    """Serve Starlette on uvicorn, with one insert and one ``fsync`` for each request or without."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    # The connection is used on the server's thread alone; it is made on this one.
    database = sqlite3.connect(folder / "store.db", check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE deliveries (id INTEGER PRIMARY KEY, at REAL, raw BLOB)")

    async def receive(request: Request) -> PlainTextResponse:
        raw = await request.body()
        if durable:
            with database:  # on the loop: a thread for each would only be slower
                database.execute(
                    "INSERT INTO deliveries (at, raw) VALUES (?, ?)", (time.time(), raw)
                )
        return PlainTextResponse("ok")

    application = Starlette(routes=[Route("/", receive, methods=["POST"])])
    listening = socket.create_server((LOOPBACK, 0), backlog=2048)
    config = uvicorn.Config(application, log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    serve_until_end(listening.getsockname()[1], lambda: server.run(sockets=[listening]))


def flask(_folder: Path) -> None:
    """Serve Flask on waitress."""
    import waitress
    from flask import Flask, request

    application = Flask("bench")

    @application.post("/")
    def receive() -> str:
        request.get_data()
        return "ok"

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it warns of every queue
    # By default waitress accepts a hundred connections, and lets the others wait.
    server = waitress.create_server(application, host=LOOPBACK, port=0, connection_limit=1000)
    serve_until_end(server.effective_port, server.run)


def adnanh(folder: Path) -> None:
    """Serve adnanh/webhook: a process for each request, whose output is the response."""
    echo = shutil.which("echo")
    hook = {
        "id": "bench",
        "execute-command": echo,
        "pass-arguments-to-command": [{"source": "string", "name": "ok"}],
        "include-command-output-in-response": True,
    }
    (folder / "hooks.json").write_text(json.dumps([hook]))
    port = free_port()
    command = ["webhook", "-hooks", "hooks.json", "-ip", LOOPBACK, "-port", str(port)]
    run_until_end(command, folder, port, "hooks/bench")


def node_red(folder: Path) -> None:
    """Serve a flow of Node-RED in memory: HTTP in, the text, HTTP response."""
    port = free_port()
    settings = {
        "uiHost": LOOPBACK,
        "uiPort": port,
        "httpAdminRoot": False,
        "diagnostics": {"enabled": False},
        "telemetry": {"enabled": False, "updateNotification": False},
        "logging": {"console": {"level": "warn"}},
    }
    (folder / "settings.js").write_text(f"module.exports = {json.dumps(settings)}")
    places = {"z": "flow", "x": 0, "y": 0}
    text = {"t": "set", "p": "payload", "pt": "msg", "to": "ok", "tot": "str"}
    flow = [
        {"id": "flow", "type": "tab", "label": "bench"},
        places
        | {"id": "in", "type": "http in", "url": "/bench", "method": "post", "wires": [["text"]]},
        places | {"id": "text", "type": "change", "rules": [text], "wires": [["out"]]},
        places | {"id": "out", "type": "http response", "statusCode": "", "wires": []},
    ]
    (folder / "flows.json").write_text(json.dumps(flow))
    command = [*engine("node-red"), "--userDir", str(folder), "flows.json"]
    run_until_end(command, folder, port, "bench", NODE_RED_DISABLE_TELEMETRY="true")


def n8n(folder: Path) -> None:
    """Serve a flow of n8n on SQLite, whose Webhook node responds at once."""
    port = free_port()
    settings = {
        "DB_TYPE": "sqlite",
        "N8N_USER_FOLDER": str(folder),
        "N8N_PORT": str(port),
        "N8N_HOST": LOOPBACK,
        "N8N_LISTEN_ADDRESS": LOOPBACK,
        "N8N_RUNNERS_BROKER_PORT": str(free_port()),
        "N8N_LOG_LEVEL": "error",
        # Those that fetch lists from their maker.
        "N8N_DISABLED_MODULES": "community-packages,instance-ai,mcp-registry",
    } | {
        f"N8N_{name}": "false"
        for name in (
            "COMMUNITY_PACKAGES_ENABLED",
            "DIAGNOSTICS_ENABLED",
            "DYNAMIC_BANNERS_ENABLED",
            "HIRING_BANNER_ENABLED",
            "LICENSE_AUTO_RENEW_ENABLED",
            "PERSONALIZATION_ENABLED",
            "TEMPLATES_ENABLED",
            "VERSION_NOTIFICATIONS_ENABLED",
            "VERSION_NOTIFICATIONS_WHATS_NEW_ENABLED",
        )
    }
    node = {
        "id": "in",
        "name": "Webhook",
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2,
        "position": [0, 0],
        "webhookId": "bench",
        "parameters": {
            "httpMethod": "POST",
            "path": "bench",
            "responseMode": "onReceived",
            "options": {"responseData": "ok"},
        },
    }
    flow = {"id": "bench", "name": "bench", "active": False, "nodes": [node], "connections": {}}
    (folder / "flow.json").write_text(json.dumps(flow | {"settings": {}}))
    for arguments in (["import:workflow", "--input=flow.json"], ["publish:workflow", "--id=bench"]):
        subprocess.run(
            [*engine("n8n"), *arguments],
            cwd=folder,
            env=home_in(folder) | settings,
            check=True,
            capture_output=True,
        )
    run_until_end([*engine("n8n"), "start"], folder, port, "webhook/bench", **settings)


def engine(name: str) -> list[str]:
    """Return the command of a program that `.ci/need engines` has installed, on its Node.js."""
    programs = Path(sys.prefix) / "engines" / "node_modules" / ".bin"
    return [str(programs / "node"), str(programs / name)]


def home_in(folder: Path) -> dict[str, str]:
    """Return the environment of a program that keeps to a folder, and finds its own Node.js."""
    path = f"{Path(sys.prefix) / 'engines' / 'node_modules' / '.bin'}:{os.environ['PATH']}"
    return os.environ | {"HOME": str(folder), "PATH": path}


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])


def run_until_end(command: list[str], folder: Path, port: int, path: str, **environ: str) -> None:
    """Run a program until standard input ends; say its URL once it responds to a POST there."""
    environment = home_in(folder) | environ
    with (folder / "output.txt").open("w+") as out:
        # Node.js would have this process read its standard input without waiting.
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            end = time.monotonic() + 120
            while not responds(port, path):
                if process.poll() is not None or time.monotonic() > end:
                    out.seek(0)
                    raise RuntimeError(f"{command} does not respond:\n{out.read()}")
                time.sleep(0.05)
            say_url(port, path)
            sys.stdin.read()
        finally:
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()


def responds(port: int, path: str) -> bool:
    """Return whether a POST gets a 200."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request("POST", f"/{path}", b"{}", {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def say_url(port: int, path: str = "") -> None:
    """Print where this process serves."""
    print(f"http://{LOOPBACK}:{port}/{path}", flush=True)


def serve_until_end(port: int, serve: Callable[[], None]) -> None:
    """Serve on a thread of its own until standard input ends."""
    threading.Thread(target=serve, daemon=True).start()
    say_url(port)
    sys.stdin.read()


def hook(folder: Path, view: str = "", **settings: Any) -> None:
    """Serve a hook; ``busy`` and ``idle`` on standard input set this thread to work, as a cell.

    A line of standard input is waited for by another thread, so that this one can compute. The
    panel is ``open`` in a view, or was and is ``hidden`` now; without a kernel its messages are
    made, but go nowhere.
    """
    import hooknb

    busy, ended = threading.Event(), threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            busy.set() if line.strip() == "busy" else busy.clear()
            print(line.strip(), flush=True)
        busy.clear()
        ended.set()

    with hooknb.Runtime(folder / "store.db") as runtime:
        made = runtime.webhook("bench", **settings)
        if view:
            look(made.panel, leave=view == "hidden")
        print(made.url_with_credentials if made.workflow.trigger.auth else made.url, flush=True)
        threading.Thread(target=listen, daemon=True).start()
        while not ended.wait(0.02):
            count = 0
            while busy.is_set():
                count += 1


def look(panel: Any, *, leave: bool = False) -> None:
    """Open a view of every part of the panel, as a browser tells it; then hide it again."""
    for part in panel.parts:
        part._hear(part, {"kind": "open", "view": "1", "visible": True}, [])
        if leave:
            part._hear(part, {"kind": "seen", "view": "1", "visible": False}, [])


def synchronous(folder: Path) -> None:
    """Serve a hook whose sender waits for a condition and a response with a template."""
    from hooknb import Condition, Response

    paid = Condition(
        'body.status == "paid"',
        yes=[Response(200, body={"ok": True, "id": "{{ body.id }}"})],
        no=[Response(422, body={"error": "not paid"})],
    )
    hook(folder, sync=True, nodes=[paid])


def basic(folder: Path) -> None:
    """Serve a hook that asks for a user and a password."""
    from hooknb import BasicAuth

    hook(folder, body=VARIABLES, auth=BasicAuth("bench", "bench"))


KINDS: dict[str, Callable[[Path], None]] = {
    "bare": bare,
    "starlette": starlette,
    "starlette_insert": lambda folder: starlette(folder, durable=True),
    "flask": flask,
    "webhook": adnanh,
    "node_red": node_red,
    "n8n": n8n,
    "hook": lambda folder: hook(folder, body=VARIABLES),
    "sync": synchronous,
    "basic": basic,
    "open_panel": lambda folder: hook(folder, "open", body=VARIABLES),
    "hidden_panel": lambda folder: hook(folder, "hidden", body=VARIABLES),
}

if __name__ == "__main__":
    KINDS[sys.argv[1]](Path(sys.argv[2]))
