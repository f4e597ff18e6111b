"""Node types: what a workflow can do with a delivery, each in a file of its own."""

from __future__ import annotations

from hooknb.nodes.base import Context, Node, node_types, register
from hooknb.nodes.calculation import Calculation
from hooknb.nodes.code import Code
from hooknb.nodes.condition import Condition
from hooknb.nodes.delay import Delay
from hooknb.nodes.end import End
from hooknb.nodes.loop import Loop
from hooknb.nodes.output import Output
from hooknb.nodes.parallel import Parallel
from hooknb.nodes.query import Query
from hooknb.nodes.request import Request
from hooknb.nodes.response import Response, render_answer
from hooknb.nodes.switch import Case, Switch
from hooknb.nodes.tree import as_nodes, built, walk, with_keys

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
    "built",
    "node_types",
    "register",
    "render_answer",
    "walk",
    "with_keys",
]
