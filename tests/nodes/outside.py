"""A server of somebody else, on this machine: it keeps what came and answers as it is told."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class Came:
    method: str
    path: str
    headers: Any
    body: bytes


class Outside:
    """Answers by path; ``answers["/x"] = (status, headers, body)``, or a function of what came."""

    def __init__(self) -> None:
        self.came: list[Came] = []
        self.responses: dict[str, Any] = {}
        self.gate = threading.Event()
        outside = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _response(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                came = Came(self.command, self.path, self.headers, self.rfile.read(size))
                outside.came.append(came)
                response = outside.responses.get(self.path.partition("?")[0], (200, {}, b""))
                status, headers, body = response(came) if callable(response) else response
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _response  # noqa: N815

            def log_message(self, *_arguments: Any) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # the client had enough
                    self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.other_name = f"http://localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def json(self, path: str, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.responses[path] = (status, {"Content-Type": "application/json"}, body)

    def redirect(self, path: str, location: str, status: int = 302) -> None:
        self.responses[path] = (status, {"Location": location}, b"")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
