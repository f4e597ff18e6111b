"""What Binder builds from fits the package; `make binder` builds it."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
# repo2docker brings its own, which the pinned one replaces; nothing else here needs it.
OF_THE_IMAGE = {"notebook"}


def pins(file: Path) -> dict[str, str]:
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if "==" in line:
            name, _, version = line.partition(";")[0].strip().partition("==")
            found[canonicalize_name(name)] = version
    return found


def test_the_python_is_one_that_the_package_takes() -> None:
    text = (BINDER / "runtime.txt").read_text(encoding="utf-8")
    found = re.fullmatch(r"python-(3\.\d+)\n", text)
    assert found is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert found[1] in SpecifierSet(project["requires-python"])


def test_requirements_are_pins_that_agree_with_the_constraints() -> None:
    lines = (BINDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    asked = [line for line in lines if line and not line.startswith("#")]
    assert asked[0] == "-c ../constraints.txt"
    assert re.fullmatch(r"\.\[[a-z,]+\]", asked[-1]), "the repository itself comes last"
    for line in asked[1:-1]:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line
    constraints = pins(ROOT / "constraints.txt")
    for name, version in pins(BINDER / "requirements.txt").items():
        if name in OF_THE_IMAGE:
            assert name not in constraints
        else:
            assert constraints[name] == version


def test_everything_that_is_installed_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (BINDER / "requirements.txt").read_text(encoding="utf-8").rpartition("[")[2]
    wanted = [*project["dependencies"]]
    for extra in extras.strip().rstrip("]").split(","):
        wanted += project["optional-dependencies"][extra]
    constraints = pins(ROOT / "constraints.txt")
    for line in wanted:
        needed = Requirement(line)
        assert needed.specifier.contains(constraints[canonicalize_name(needed.name)]), line


def test_the_notebooks_find_what_they_import() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    there = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    there |= set(pins(BINDER / "requirements.txt")) | {"hooknb", "ipython"}
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        written = re.findall(r"^%%writefile (\w+)\.py$", source, re.MULTILINE)
        for name in re.findall(r"^\s*(?:import|from) ([A-Za-z_]\w*)", source, re.MULTILINE):
            if name not in {*sys.stdlib_module_names, *written}:
                assert canonicalize_name(name) in there, f"{notebook.name} imports {name}"


def test_scripts_can_be_run() -> None:
    for file in (BINDER / "postBuild", ROOT / ".ci" / "binder"):
        assert os.access(file, os.X_OK), file
        assert file.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")


def test_the_badge_opens_the_quickstart_in_jupyterlab() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (link,) = re.findall(r"\]\((https://mybinder\.org/v2/[^)]+)\)", readme)
    assert link.endswith("/HEAD?urlpath=lab%2Ftree%2Fnotebooks%2F00_quickstart.ipynb")
