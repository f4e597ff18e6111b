"""The doctor: what it finds, what it says to do, and that it changes nothing."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hooknb import Runtime
from hooknb.cli import app
from hooknb.cli.doctor.examination import examine


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of one's own, where no Jupyter server and no store is known."""
    for name in [name for name in os.environ if name.startswith(("HOOKNB_", "JUPYTER"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    (tmp_path / "runtime").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def found(*arguments: object, code: int = 0) -> dict[str, dict[str, Any]]:
    """Run `hooknb doctor --json`; give what it found by subject, the last of each."""
    done = CliRunner().invoke(app, ["doctor", "--json", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return {finding["subject"]: finding for finding in json.loads(done.stdout)}


def states(findings: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {subject: finding["state"] for subject, finding in findings.items()}


def test_where_everything_is_there_nothing_is_wrong(place: Path) -> None:
    seen = found()
    assert "wrong" not in states(seen).values()
    for subject in ("Python", "hooknb", "ipykernel", "ipywidgets", "anywidget", "JupyterLab"):
        assert seen[subject]["state"] == "ok"
    for subject in ("ipywidgets front end", "anywidget front end", "store", "port", "settings"):
        assert seen[subject]["state"] == "ok"
    assert states(seen)["Jupyter server"] == "warning"
    assert list(place.iterdir()) == []


def test_lines_say_the_state_and_what_to_do() -> None:
    done = CliRunner().invoke(app, ["doctor", "--store", "nothing[red].db"])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("wrong"))
    assert lines[at].startswith("wrong    store: ")
    assert lines[at].endswith("nothing[red].db does not exist")
    assert lines[at + 1] == "         → name another store with --store"
    assert any(line.startswith("ok       Python: ") for line in lines)


def test_a_store_that_is_served_is_described(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Runtime(path, port=0) as runtime:
        hook = runtime.webhook("orders")
        hook.send(json={})
        hook.wait()
        seen = found("--store", path)
        port = hook.url.split(":")[2].split("/")[0]
        assert "version 2" in seen["store"]["text"]
        assert "1 hook, 1 delivery" in seen["store"]["text"]
        grows = seen["largest hooks"]["text"]
        assert grows.startswith("orders: 1 delivery, ")
        assert grows.endswith(" bytes, 1 in the last 24 hours, 1 in the last 7 days")
        assert re.search(
            r"KiB and \d+ KiB in its log, 1 hook, 1 delivery; "
            r"about \d+ bytes received in the last 24 hours, \d+ bytes in the last 7 days$",
            seen["store"]["text"],
        )
        assert seen["store"]["state"] == "ok"
        assert seen["served by"]["text"] == f"process {os.getpid()}"
        assert seen["port"]["text"] == f"{port}: hooknb responds"
        assert len(hook.deliveries) == 1
    seen = found("--store", path)
    assert "no process" in seen["served by"]["text"]
    assert seen["port"]["text"] == f"{port} is free"


def test_a_large_store_names_the_settings_that_limit_it(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "store.db"
    with Runtime(path, port=0) as runtime:
        runtime.webhook("orders").send(json={})
    monkeypatch.setattr("hooknb.history.store_size.LARGE_BYTES", 1024)
    seen = found("--store", path)["store"]
    assert seen["state"] == "warning"
    assert seen["text"].endswith("; it is large")
    assert "keep_days" in seen["remedy"]
    assert "hook.archive(path)" in seen["remedy"]


def test_a_port_that_another_program_has_is_said(tmp_path: Path, monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        monkeypatch.setenv("HOOKNB_PORT", str(stranger.getsockname()[1]))
        monkeypatch.setattr("hooknb.cli.doctor.stores._MAX_SECONDS", 0.2)
        seen = found()
    assert seen["port"]["state"] == "warning"
    assert "another program" in seen["port"]["text"]
    with Runtime(tmp_path / "other.db", port=0) as runtime:
        port = runtime.webhook("orders").url.split(":")[2].split("/")[0]
        monkeypatch.setenv("HOOKNB_PORT", port)
        assert "another store's hooks" in found()["port"]["text"]


def test_permissions_and_broken_stores_are_said(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Runtime(path, port=0) as runtime:
        runtime.webhook("orders")
    path.chmod(0o644)
    seen = found("--store", path)
    assert seen["permissions"]["state"] == "warning"
    assert seen["permissions"]["remedy"] == f"chmod 600 {path}"
    path.write_text("no store")
    seen = found("--store", path, code=1)
    assert "not a database" in seen["store"]["text"]
    assert seen["store"]["remedy"] == "name another file"
    assert found("--store", ":memory:")["store"]["state"] == "ok"


def test_settings_that_cannot_be_are_said(monkeypatch) -> None:
    monkeypatch.setenv("HOOKNB_PORT", "many")
    seen = found(code=1)
    assert seen["settings"]["state"] == "wrong"
    assert "HOOKNB_PORT" in seen["settings"]["remedy"]


def test_an_unknown_public_url_is_a_warning_only_on_jupyterhub() -> None:
    def public_url(**environ: str) -> str:
        environ["PATH"] = os.environ["PATH"]
        return next(one for one in examine(environ=environ) if one.subject == "public URL").state

    assert public_url() == "ok"
    assert public_url(JUPYTERHUB_SERVICE_PREFIX="/user/me/") == "warning"


def test_a_public_url_that_is_set_is_known() -> None:
    environ = {"HOOKNB_PUBLIC_URL": "https://example.org/user/me", "PATH": os.environ["PATH"]}
    seen = {finding.subject: finding for finding in examine(environ=environ)}
    assert seen["public URL"].state == "ok"
    assert seen["public URL"].text == "https://example.org/user/me/"


@pytest.mark.parametrize("version", ["7.0.1", "6.30.0"])
def test_a_kernel_that_loses_what_threads_set_is_wrong(version: str, tmp_path: Path) -> None:
    folder = tmp_path / "packages" / f"ipykernel-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: ipykernel\nVersion: {version}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "hooknb", "doctor", "--json"],
        env={**os.environ, "PYTHONPATH": str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (kernel,) = (one for one in json.loads(done.stdout) if one["subject"] == "ipykernel")
    assert kernel["state"] == "wrong"
    assert version in kernel["text"]
    assert "!=7.0.*" in kernel["remedy"]


def test_a_server_in_an_environment_without_hooknb_is_told_from_this_one(tmp_path: Path) -> None:
    environment = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    with subprocess.Popen([python, "-c", "input()"], stdin=subprocess.PIPE) as server:
        file = tmp_path / "runtime" / f"jpserver-{server.pid}.json"
        # Nothing listens there: only the process is asked what it runs.
        file.write_text(json.dumps({"pid": server.pid, "url": "http://127.0.0.1:1/", "port": 1}))
        seen = found(code=1)
        assert server.stdin is not None
        server.communicate(b"\n")
    assert f"process {server.pid} in {python}" in seen["Jupyter server"]["text"]
    assert seen["JupyterLab"]["state"] == "warning"
    assert seen["relay"]["state"] == "wrong"
    assert seen["relay"]["remedy"].startswith(f"{python} -m pip install hooknb")
    for package in ("ipywidgets", "anywidget"):
        finding = seen[f"{package} front end"]
        assert finding["state"] == "wrong"
        assert finding["remedy"].startswith(f"{python} -m pip install")
