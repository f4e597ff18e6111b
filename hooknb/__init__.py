"""Webhooks inside Jupyter: receive, understand, respond to and test them.

::

    import hooknb

    hook = hooknb.webhook("orders")     # a live URL, at once
    hook.url
    hook.variables                      # the values received, as a DataFrame
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
    from hooknb.client.sending import HttpResponse
    from hooknb.engine import Context
    from hooknb.history.exports.archive import Archive
    from hooknb.history.exports.archive import open as open  # noqa: A004 - hooknb.open
    from hooknb.hook import Hook
    from hooknb.records import Delivery, Execution, Job, SentResponse, Status
    from hooknb.runtime import Runtime, delete, hooks, panel, serve, webhook, workflows
    from hooknb.workflow import Trigger, Workflow
    from hooknb.workflow.auth import BasicAuth, Bearer, HeaderToken, Scheme, Signature
    from hooknb.workflow.nodes import (
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
    from hooknb.workflow.variables import Variable, parse_body, parse_query

__all__ = [
    "Archive",
    "BasicAuth",
    "Bearer",
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
    "HeaderToken",
    "Hook",
    "HooknbError",
    "HttpResponse",
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
    "Request",
    "RequestError",
    "Response",
    "Runtime",
    "SampleError",
    "Scheme",
    "SentResponse",
    "ServerError",
    "SettingError",
    "Signature",
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
    "delete",
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

# Loaded when first used, so that `import hooknb` stays light; what is not listed is a node.
# `open` is not in `__all__`: an import of `*` must not replace Python's.
_HOMES = {
    name: module
    for module, names in {
        "hooknb.client.sending": ["HttpResponse"],
        "hooknb.engine": ["Context"],
        "hooknb.history.exports.archive": ["Archive", "open"],
        "hooknb.hook": ["Hook"],
        "hooknb.records": ["Delivery", "Execution", "Job", "SentResponse", "Status"],
        "hooknb.runtime": ["Runtime", "delete", "hooks", "panel", "serve", "webhook", "workflows"],
        "hooknb.workflow": ["Trigger", "Workflow"],
        "hooknb.workflow.auth": ["BasicAuth", "Bearer", "HeaderToken", "Scheme", "Signature"],
        "hooknb.workflow.variables": ["Variable", "parse_body", "parse_query"],
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name not in __all__ and name not in _HOMES:
        message = f"module 'hooknb' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(_HOMES.get(name, "hooknb.workflow.nodes")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_HOMES})
