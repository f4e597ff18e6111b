"""Webhooks inside Jupyter: receive, understand, answer and test them.

::

    import hooknb

    hook = hooknb.webhook("orders")     # a live URL, at once
    hook.url
    hook.variables                      # what came, as a DataFrame
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hooknb import paths
from hooknb.errors import (
    ExpressionError,
    HooknbError,
    PathError,
    PayloadError,
    PortInUseError,
    PublicationError,
    RecordNotFoundError,
    RequestError,
    SampleError,
    ServerError,
    SettingError,
    StoreError,
    StoreUnavailableError,
    StoreVersionError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from hooknb.credentials import BasicAuth
    from hooknb.default import hooks, panel, serve, webhook, workflows
    from hooknb.engine import Context
    from hooknb.hook import Hook
    from hooknb.nodes import (
        Calculation,
        Case,
        Code,
        Condition,
        Delay,
        End,
        Loop,
        Node,
        Output,
        Parallel,
        Query,
        Request,
        Response,
        Switch,
        register,
    )
    from hooknb.records import Answer, Delivery, Execution, Job, Status
    from hooknb.runtime import Runtime
    from hooknb.sending import Reply
    from hooknb.variables import Variable, parse_body, parse_query
    from hooknb.workflow import Trigger, Workflow

__all__ = [
    "Answer",
    "BasicAuth",
    "Calculation",
    "Case",
    "Code",
    "Condition",
    "Context",
    "Delay",
    "Delivery",
    "End",
    "Execution",
    "ExpressionError",
    "Hook",
    "HooknbError",
    "Job",
    "Loop",
    "Node",
    "Output",
    "Parallel",
    "PathError",
    "PayloadError",
    "PortInUseError",
    "PublicationError",
    "Query",
    "RecordNotFoundError",
    "Reply",
    "Request",
    "RequestError",
    "Response",
    "Runtime",
    "SampleError",
    "ServerError",
    "SettingError",
    "Status",
    "StoreError",
    "StoreUnavailableError",
    "StoreVersionError",
    "Switch",
    "Trigger",
    "Variable",
    "WaitTimeoutError",
    "Workflow",
    "__version__",
    "hooks",
    "panel",
    "parse_body",
    "parse_query",
    "paths",
    "register",
    "serve",
    "webhook",
    "workflows",
]

__version__ = "0.1.0"

# Loaded when first used, so that `import hooknb` stays light.
_HOMES = {
    "Answer": "hooknb.records",
    "BasicAuth": "hooknb.credentials",
    "Calculation": "hooknb.nodes",
    "Case": "hooknb.nodes",
    "Code": "hooknb.nodes",
    "Condition": "hooknb.nodes",
    "Context": "hooknb.engine",
    "Delay": "hooknb.nodes",
    "Delivery": "hooknb.records",
    "End": "hooknb.nodes",
    "Execution": "hooknb.records",
    "Hook": "hooknb.hook",
    "Job": "hooknb.records",
    "Loop": "hooknb.nodes",
    "Node": "hooknb.nodes",
    "Output": "hooknb.nodes",
    "Parallel": "hooknb.nodes",
    "Query": "hooknb.nodes",
    "Reply": "hooknb.sending",
    "Request": "hooknb.nodes",
    "Response": "hooknb.nodes",
    "Runtime": "hooknb.runtime",
    "Status": "hooknb.records",
    "Switch": "hooknb.nodes",
    "Trigger": "hooknb.workflow",
    "Variable": "hooknb.variables",
    "Workflow": "hooknb.workflow",
    "hooks": "hooknb.default",
    "panel": "hooknb.default",
    "parse_body": "hooknb.variables",
    "parse_query": "hooknb.variables",
    "register": "hooknb.nodes",
    "serve": "hooknb.default",
    "webhook": "hooknb.default",
    "workflows": "hooknb.default",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'hooknb' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
