"""What is promised of the repository itself: what is tracked, what is pinned, what is packaged."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

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
        if file.parts[0] in {"hooknb", "jupyter-config"} or len(file.parts) == 1:
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
    (extension,) = (name for name in names if ".data/data/" in name)
    assert names - {extension} == wheel.files
    # The Jupyter server of the environment that it is installed in looks there.
    assert extension.endswith("/etc/jupyter/jupyter_server_config.d/hooknb.json")
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


@pytest.fixture(scope="module")
def fresh(wheel: Wheel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with the wheel alone, and give its Python.

    What hooknb needs is found where these tests find it, but for hooknb: an editable one is put on
    the path by a file of its own, which only the environment that it lies in reads.
    """
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet"),
            *("--no-deps", "--no-index", "--disable-pip-version-check", wheel.path),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    needed = sysconfig.get_path("purelib")
    packages = Path(ask(python, "import sysconfig; print(sysconfig.get_path('purelib'))"))
    (packages / "needed.pth").write_text(f"{needed}\n", encoding="utf-8")
    return python


def ask(python: Path, program: str, **settings: Any) -> str:
    """Run a program in an environment, without what the one of the tests says."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", program],
        cwd=python.parent,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        **settings,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_alone_has_its_front_end_its_types_and_its_version(
    fresh: Path, wheel: Wheel
) -> None:
    found = ask(
        fresh,
        "import hooknb, importlib.metadata, pathlib\n"
        "folder = pathlib.Path(hooknb.__file__).parent\n"
        "print(folder, hooknb.__version__, importlib.metadata.version('hooknb'))\n"
        "files = (file for file in (folder / 'ui').rglob('*') if file.suffix in {'.js', '.css'})\n"
        "for file in sorted(files): print(file.relative_to(folder.parent).as_posix())\n"
        "print(*(file.name for file in folder.glob('py.typed')))",
    ).splitlines()
    folder, *versions = found[0].split()
    assert Path(folder).is_relative_to(fresh.parent.parent)
    assert len(set(versions)) == 1
    static = [name for name in wheel.files if PurePosixPath(name).suffix in {".js", ".css"}]
    assert sorted(found[1:-1]) == sorted(static)
    assert static
    assert found[-1] == "py.typed"


def test_the_wheel_alone_gives_a_hook_and_the_command(fresh: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    status = ask(
        fresh,
        "import hooknb\n"
        f"with hooknb.Runtime({str(store)!r}, port=0) as runtime:\n"
        "    print(runtime.webhook('orders').send(json={}).status)",
    )
    assert status == "200"
    target = tmp_path / "orders.jsonl"
    done = subprocess.run(
        [fresh.with_name("hooknb"), "export", "orders", target, "--store", store],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("1 delivery")
    assert target.exists()


def test_a_jupyter_server_beside_the_wheel_loads_the_relay(fresh: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [fresh, "-m", "jupyter_server.extension.serverextension", "list"],
        env={**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    listed = done.stdout + done.stderr
    assert f"{fresh.parent.parent / 'etc' / 'jupyter'}" in listed
    assert re.search(r"hooknb\.relay\S* \S*enabled", listed), listed
    assert re.search(r"hooknb\.relay \S* ?\S*OK", listed), listed


def test_pytest_beside_the_wheel_has_its_fixtures(fresh: Path, tmp_path: Path) -> None:
    (tmp_path / "test_hook.py").write_text(
        "import hooknb\n"
        "def test_it(webhook):\n"
        f"    assert hooknb.__file__.startswith({str(fresh.parent.parent)!r})\n"
        "    assert webhook('orders').send(json={}).status == 200\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [fresh, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
