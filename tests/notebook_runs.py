"""Notebooks run from the top, the same in every run; as a program it saves what they show.

``python tests/notebook_runs.py notebooks/00_quickstart.ipynb`` runs a notebook anew and writes its
outputs into it. Nothing else of it changes: neither sources nor ids of cells, and of its metadata
only what the kernel and the widgets had left there goes.

nbformat takes a second to load: only what reads a notebook does so.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

VIEW = "application/vnd.jupyter.widget-view+json"


def environment() -> dict[str, str]:
    """Give the environment of a kernel whose default runtime is deterministic."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOOKNB_")}
    return {**kept, "HOOKNB_DETERMINISTIC": "1"}


def run(path: Path, folder: Path) -> NotebookNode:
    """Run a notebook in a kernel of its own, among copies of what lies beside it.

    Parameters
    ----------
    path
        Of the notebook.
    folder
        Where its kernel works; what was there is removed, so that every run finds the same.
    """
    import nbformat
    from nbclient import NotebookClient

    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(path.parent, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        store_widget_state=False,
        record_timing=False,
    )
    client.execute(env=environment())
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def shown(notebook: NotebookNode) -> list[list[dict[str, Any]]]:
    """Give what each cell shows, without what ``nbval_sanitize.cfg`` names."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[_sanitized(dict(output)) for output in cell.outputs] for cell in cells]


def _sanitized(value: Any) -> Any:
    if isinstance(value, dict):
        # The id of a widget's model is random, and no saved notebook keeps it.
        return {key: _sanitized(inner) for key, inner in value.items() if key != VIEW}
    if isinstance(value, list):
        return [_sanitized(inner) for inner in value]
    if isinstance(value, str):
        for pattern, replacement in _REPLACED:
            value = pattern.sub(replacement, value)
    return value


def _replaced() -> list[tuple[re.Pattern[str], str]]:
    parser = configparser.RawConfigParser()
    parser.read(ROOT / "tests" / "nbval_sanitize.cfg")
    return [(re.compile(part["regex"]), part["replace"]) for _, part in list(parser.items())[1:]]


_REPLACED = _replaced()


def save(path: Path) -> None:
    """Run a notebook and write what it shows into it; of a widget what stands in its place."""
    import nbformat

    with tempfile.TemporaryDirectory() as scratch:
        made = run(path, Path(scratch) / "notebooks")
    for cell in made.cells:
        for output in cell.get("outputs", ()):
            # Its model is gone with the kernel, and its id would be another one each time.
            output.get("data", {}).pop(VIEW, None)
    nbformat.write(made, path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        save(Path(name))
