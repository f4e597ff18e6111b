"""The README is true: its examples run, and its tables name what there is."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import hooknb
from hooknb.settings import RuntimeSettings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_examples_run(tmp_path) -> None:
    program = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    assert "hooknb.webhook" in program
    check = """
assert len(hook.variables) == 2
assert hook.deliveries["status"].tolist() == [200, 200, 400]
assert hook.jobs["result"].tolist() == [125.0]
assert hook.variables["body.order.id"].tolist() == [9007199254740993, 7]
assert payments.executions["response_status"].tolist() == [200, 422]
assert payments.jobs["result"].tolist() == [52.5, 200, True, 52.5, 422, False]
assert fees.jobs["result"].tolist() == [6.0, 200]
"""
    done = subprocess.run(
        [sys.executable, "-c", program + check],
        cwd=tmp_path,
        env={**os.environ, "HOOKNB_STORE": ":memory:"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def table_names(start: str, end: str) -> set[str]:
    part = README.split(start)[1].split(end)[0]
    first_cells = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    return {name for cell in first_cells for name in re.findall(r"`([a-z_]+)`", cell)}


def test_the_tables_of_settings_are_complete() -> None:
    parameters = set(inspect.signature(hooknb.Runtime.webhook).parameters) - {"self", "name"}
    assert table_names("## The settings of a hook", "## The settings of a runtime") == parameters
    fields = {field.name for field in dataclasses.fields(RuntimeSettings) if field.init}
    assert table_names("## The settings of a runtime", "## Calls") == fields


def test_every_room_is_on_the_map() -> None:
    rooms = {
        path.stem
        for path in (ROOT / "hooknb").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__", "__main__"}
    assert rooms <= set(re.findall(r"`([a-z_]+)`", README.split("## The map")[1]))


def test_every_linked_file_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert "://" in link or (ROOT / link).exists(), link
