"""Node types, one module each.

A type is registered when its module is imported, so all modules of this package are imported.
"""

from __future__ import annotations

import importlib
import pkgutil

from hooknb.workflow.nodes.calculation import Calculation
from hooknb.workflow.nodes.code import Code
from hooknb.workflow.nodes.condition import Condition
from hooknb.workflow.nodes.delay import Delay
from hooknb.workflow.nodes.end import End
from hooknb.workflow.nodes.loop import Loop
from hooknb.workflow.nodes.node import Context, Node, closes, node_types, register
from hooknb.workflow.nodes.output import Output
from hooknb.workflow.nodes.parallel import Parallel
from hooknb.workflow.nodes.query import Query
from hooknb.workflow.nodes.request import Request
from hooknb.workflow.nodes.response import Response, check_sent, render_response
from hooknb.workflow.nodes.switch import Case, Switch
from hooknb.workflow.nodes.tree import as_nodes, build_node, masked_nodes, walk, with_keys

__all__ = [
    "Calculation",
    "Case",
    "Code",
    "Condition",
    "Context",
    "Delay",
    "End",
    "Loop",
    "Node",
    "Output",
    "Parallel",
    "Query",
    "Request",
    "Response",
    "Switch",
    "as_nodes",
    "build_node",
    "check_sent",
    "closes",
    "masked_nodes",
    "node_types",
    "register",
    "render_response",
    "walk",
    "with_keys",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
