"""The notebooks show the same in every run, and hold nothing but what they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from notebook_runs import METADATA, NOTEBOOKS, ROOT, VIEW, run, shown


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_another_run_shows_the_very_same(notebook: Path, tmp_path: Path) -> None:
    """Compare with what is saved, pictures too, which nbval leaves out: two runs, one result."""
    import nbformat

    saved, again = nbformat.read(notebook, as_version=4), run(notebook, tmp_path / "notebooks")
    assert any(shown(saved))
    for number, (here, there) in enumerate(zip(shown(saved), shown(again), strict=True)):
        assert here == there, f"code cell {number} of {notebook.name}, counted from 0"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_nothing_of_who_ran_it(notebook: Path) -> None:
    import nbformat

    saved = nbformat.read(notebook, as_version=4)
    nbformat.validate(saved)
    assert saved.metadata == METADATA
    assert [cell.metadata for cell in saved.cells] == [{}] * len(saved.cells)
    counts = [cell.execution_count for cell in saved.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), f"run tests/notebook_runs.py {notebook.name}"
    text = notebook.read_text()
    assert VIEW not in text
    assert str(ROOT) not in text
