"""Definitions written down: as JSON, and as the Python that makes them.

Works on the settings of :func:`hooknb.webhook` by name, those at their defaults left out; what
they mean is said in :mod:`hooknb.workflow`.
"""

from __future__ import annotations

from hooknb.workflow.notation.binding import Functions, Known, bind, known_functions, unbound
from hooknb.workflow.notation.json_text import SETTINGS, VERSION, read, write
from hooknb.workflow.notation.python_text import to_python

__all__ = [
    "SETTINGS",
    "VERSION",
    "Functions",
    "Known",
    "bind",
    "known_functions",
    "read",
    "to_python",
    "unbound",
    "write",
]
