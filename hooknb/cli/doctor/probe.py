"""Inspects the Python environment of a Jupyter server: a program run there, which prints JSON.

The server's environment may differ from the kernel's and lack hooknb, so this file imports only the
standard library and, where it is installed, ``jupyter_core``.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["look"]

PACKAGES = ("hooknb", "jupyterlab", "jupyter_server")
FRONT_ENDS = {"ipywidgets": "@jupyter-widgets/jupyterlab-manager", "anywidget": "anywidget"}


def look() -> dict[str, Any]:
    """Inspect this environment.

    Returns
    -------
    dict
        ``python``, the interpreter; ``versions`` of packages, null for one that is not installed;
        ``front_ends``, the folder of each package's JupyterLab extension, or null; ``relay``,
        whether hooknb's server extension can be imported; ``enabled``, whether the configuration
        of this environment enables it.
    """
    return {
        "python": sys.executable,
        "versions": {name: _version(name) for name in PACKAGES},
        "front_ends": {
            name: _first("labextensions", f"{extension}/package.json")
            for name, extension in FRONT_ENDS.items()
        },
        "relay": _has_relay(),
        "enabled": _is_enabled(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _folders(kind: str) -> list[str]:
    try:
        from jupyter_core.paths import jupyter_config_path, jupyter_path
    except ImportError:
        return []
    return jupyter_config_path() if kind == "config" else jupyter_path(kind)


def _first(kind: str, file: str) -> str | None:
    for folder in _folders(kind):
        if (Path(folder) / file).is_file():
            return str((Path(folder) / file).parent)
    return None


def _has_relay() -> bool:
    try:
        return importlib.util.find_spec("hooknb.relay") is not None
    except ImportError:
        return False


def _is_enabled() -> bool:
    """Read the configuration as the server does: the first folder that says something wins."""
    for folder in _folders("config"):
        for pattern in ("jupyter_server_config.json", "jupyter_server_config.d/*.json"):
            for file in sorted(Path(folder).glob(pattern)):
                try:
                    said = json.loads(file.read_text(encoding="utf-8"))
                    return bool(said["ServerApp"]["jpserver_extensions"]["hooknb.relay"])
                except (OSError, ValueError, KeyError, TypeError):
                    continue
    return False


if __name__ == "__main__":
    print(json.dumps(look()))  # noqa: T201 - its output is its result
