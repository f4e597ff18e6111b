"""Definitions as text: as JSON, and as Python code.

Works on the settings of :func:`hooknb.webhook` by name, without those at their defaults;
:mod:`hooknb.workflow` defines their meaning.
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
