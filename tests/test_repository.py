"""What is promised of the repository itself: what is tracked, what is pinned, what is packaged."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent

LOCK_FILES = re.compile(
    r"""
    (.*\.lock | .*\.lock\.json | .*-lock\.(json|ya?ml) | lock\.(json|toml) | npm-shrinkwrap\.json
    | pylock(\..+)?\.toml | pnpm-lock\.yaml | direct_url\.json | \.npmrc | pip\.conf)
    """,
    re.VERBOSE,
)
# What a package manager writes down about a package's origin, or how it is told to look there.
DOWNLOADS = re.compile(
    rb"""
    https?://[^\s"']+\.(whl|tgz|tar\.gz|tar\.bz2|conda)\b
    | files\.pythonhosted\.org | registry\.npmjs\.org/ | registry\.yarnpkg\.com | pypi\.org/simple
    | --(extra-)?index-url\b | --find-links\b | --hash=sha\d+
    """,
    re.VERBOSE,
)


def tracked_files() -> list[PurePosixPath]:
    """Return what git tracks, or would track after `git add`, as it is on the disk."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().split("\0")
    return [PurePosixPath(name) for name in names if name and (ROOT / name).is_file()]


def test_no_file_records_where_a_package_was_downloaded_from() -> None:
    files = tracked_files()
    locks = [str(file) for file in files if LOCK_FILES.fullmatch(file.name)]
    assert locks == []

    found = []
    for file in files:
        if file == PurePosixPath("tests/test_repository.py"):
            continue  # it names them, to look for them
        for number, line in enumerate((ROOT / file).read_bytes().split(b"\n"), 1):
            if match := DOWNLOADS.search(line):
                found.append(f"{file}:{number}: {match.group().decode(errors='replace')}")
    assert found == []


def test_constraints_are_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    names = []
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+(; .+)?", line), line
        names.append(canonicalize_name(Requirement(line).name))
    assert len(set(names)) == len(names)
    assert not {"hooknb", "pip", "setuptools"} & set(names)


def test_constraints_fit_the_oldest_python_that_is_promised() -> None:
    unfit = []
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        pin = Requirement(line)
        try:
            installed = metadata.metadata(pin.name)
        except metadata.PackageNotFoundError:
            continue  # pinned for another platform
        assert installed["Version"] in pin.specifier, f"{line}: run `make install`"
        if "3.11.0" not in SpecifierSet(installed["Requires-Python"] or ""):
            unfit.append(f"{line}: Python {installed['Requires-Python']}")
    assert unfit == []


def test_every_ignore_of_ruff_has_its_reason_beside_it() -> None:
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = settings.split("[tool.ruff.lint]", 1)[1].split("[tool.mypy]", 1)[0]
    lists = block.split("\nignore = [", 1)[1]  # `select` comes before
    entries = [line for line in lists.splitlines() if re.match(r'    "', line)]
    assert len(entries) > 10
    for entry in entries:
        assert re.fullmatch(r'    "[A-Za-z0-9*/]+", +# \S.{8,}', entry), entry
    # No list on one line slips through: an entry is on a line of its own.
    one_line = [line for line in lists.splitlines() if re.match(r"\S.*= \[.+\]", line)]
    assert one_line == []


class Wheel(NamedTuple):
    """A wheel that was built, and the files of the package that were there when it was."""

    path: Path
    files: set[str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """Build the wheel of a copy of the checkout, with what the environment has."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    # A copy, since others may be at work in the checkout, and without what git does not know.
    files = tracked_files()
    for file in files:
        if file.parts[0] == "hooknb" or len(file.parts) == 1:
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, source / file)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source],
        check=True,
        capture_output=True,
        text=True,
    )
    (built,) = folder.glob("hooknb-*.whl")
    return Wheel(built, {str(file) for file in files if file.parts[0] == "hooknb"})


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Wheel) -> None:
    with zipfile.ZipFile(wheel.path) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == wheel.files
    assert "hooknb/py.typed" in names


def test_the_wheel_installed_alone_has_every_file(wheel: Wheel, tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
            *("--no-compile", "--target", target, wheel.path),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    installed = {
        file.relative_to(target).as_posix()
        for file in (target / "hooknb").rglob("*")
        if file.is_file()
    }
    assert installed == wheel.files
