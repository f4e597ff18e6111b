"""What only a real JupyterLab can show: a hook beside cells that run, hang and start again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import request

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import Lab

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"

pytestmark = pytest.mark.browser


def test_the_lab_of_the_tests_runs_cells_and_says_what_they_raise(lab: Lab) -> None:
    lab.open(lab.write("sums.ipynb", "print(1 + 1)", "'a' * 3"))
    lab.run_all()
    assert lab.output(0) == "2\n"
    assert lab.output(1) == "'aaa'"

    lab.open(lab.write("wrong.ipynb", "1 / 0"))
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        lab.run_all()


def test_a_hook_answers_during_a_busy_cell_after_an_interrupt_and_after_a_restart(lab: Lab) -> None:
    make, hang = (
        "import hooknb\nhook = hooknb.webhook('orders')\nprint(hook.url)",
        "while True: pass",
    )
    lab.open(lab.write("orders.ipynb", make, hang))

    lab.run_cell(0)
    url = lab.output(0).strip()
    assert request(url, {"id": 1}) == (200, b"ok")

    lab.run_cell(1, wait=False)
    lab.wait_for_kernel("busy")
    assert request(url, {"id": 2}) == (200, b"ok")
    assert lab.kernel_state() == "busy"

    lab.interrupt()
    assert "KeyboardInterrupt" in lab.output(1)
    assert request(url, {"id": 3}) == (200, b"ok")

    lab.restart_kernel()
    with pytest.raises(OSError, match="refused"):
        request(url, {"id": 0})
    lab.run_cell(0)
    assert lab.output(0).strip() == url
    assert request(url, {"id": 4}) == (200, b"ok")


def test_the_notebooks_run_and_run_again_on_what_they_left(start_lab: Callable[..., Lab]) -> None:
    """People run all, restart the kernel and run all again: on one store, with ids that go on."""
    shows = {
        "00_quickstart": (6, "ok"),
        "01_responding": (2, """<200 '{"ok":true,"total":52.5}'>"""),
        "02_parsing": (17, "('order', 'a.b', 'c')"),
        "03_inspecting": (2, "inbox (enabled)"),
        "04_panel": (2, "checkout (enabled)"),
        "05_testing": (7, "3 passed"),
    }
    lab = start_lab(*(NOTEBOOKS / f"{name}.ipynb" for name in shows))
    for name, (cell, text) in shows.items():
        lab.open(f"{name}.ipynb")
        for again in (False, True):
            if again and name == "05_testing":
                continue  # it keeps nothing
            if again:
                lab.restart_kernel()
            lab.run_all()
            assert text in lab.output(cell), name
            shown = [output for outputs in lab.outputs() for output in outputs]
            assert not [output for output in shown if output.get("name") == "stderr"], name
            drawn = any("image/png" in output.get("data", {}) for output in shown)
            assert drawn == (name in {"00_quickstart", "03_inspecting"})
            panel = any(WIDGET in output.get("data", {}) for output in shown)
            assert panel == (name in {"00_quickstart", "03_inspecting", "04_panel"})
