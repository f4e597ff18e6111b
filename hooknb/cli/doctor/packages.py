"""The versions of Python and of the packages that hooknb needs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Final

from packaging.requirements import Requirement

import hooknb
from hooknb.cli.doctor.finding import Finding, ok, warning, wrong

__all__ = ["check_packages"]

_SHOWN: Final = ("ipykernel", "ipywidgets", "anywidget")


def check_packages() -> Iterator[Finding]:
    """Check the versions of Python, hooknb and the packages that hooknb needs."""
    needs = metadata.metadata("hooknb")["Requires-Python"] if _version("hooknb") else None
    version = platform.python_version()
    if needs is not None and version not in Requirement(f"python{needs}").specifier:
        yield wrong(
            "Python",
            f"{version}, but hooknb needs {needs}",
            "create an environment with a newer Python",
        )
    else:
        yield ok("Python", f"{version} ({sys.executable})")
    yield ok("hooknb", hooknb.__version__)
    if _version("hooknb") is None:
        yield warning(
            "packages",
            "hooknb is not installed but imported from a folder",
            f"{sys.executable} -m pip install . (in that folder)",
        )
        return
    for text in metadata.requires("hooknb") or []:
        needed = Requirement(text)
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            yield from _package(needed)


def _package(needed: Requirement) -> Iterator[Finding]:
    version = _version(needed.name)
    remedy = f'{sys.executable} -m pip install "{needed.name}{needed.specifier}"'
    if version is None:
        yield wrong(needed.name, "not installed", remedy)
    elif not needed.specifier.contains(version, prereleases=True):
        yield wrong(needed.name, f"version {version}, but hooknb needs {needed.specifier}", remedy)
    elif needed.name in _SHOWN:
        yield ok(needed.name, version)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
