"""Node types: what a workflow can do with a delivery, each in a file of its own."""

from __future__ import annotations

from hooknb.nodes.base import Context, Node, node_types, register
from hooknb.nodes.code import Code
from hooknb.nodes.response import Response, render_answer

__all__ = ["Code", "Context", "Node", "Response", "node_types", "register", "render_answer"]
