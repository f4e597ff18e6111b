"""What a hook is while it is served: its revision made ready, its switch, its counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Condition
from typing import Any, NamedTuple

import msgspec

from hooknb import payloads
from hooknb.engine import Queue
from hooknb.intake import admission
from hooknb.intake.admission import Refusal
from hooknb.paths import MISSING
from hooknb.paths import compile as compile_path
from hooknb.server import Request
from hooknb.workflow import Workflow
from hooknb.workflow.nodes import render_response
from hooknb.workflow.notation import known_functions
from hooknb.workflow.variables import Variable, column

__all__ = ["HookState", "Parsed", "Served", "encode_pairs"]


class Parsed(NamedTuple):
    """What an accepted request holds: its query, its body, and which variables are missing."""

    query: dict[str, Any]
    body: Any
    missing: str | None


class Served:
    """A revision, made ready for requests once for all of them."""

    def __init__(self, workflow: Workflow, revision: int) -> None:
        self.workflow = workflow
        self.revision = revision
        response = workflow.trigger.response
        self.response = render_response(response.status, response.headers, response.body)
        self.response_headers = encode_pairs(self.response.headers)
        trigger = workflow.trigger
        self._headers = [(_usual(item.path), item.path) for item in trigger.headers]
        self._query = [(compile_path(item.path), _name("query", item)) for item in trigger.query]
        self._body = [(compile_path(item.path), _name("body", item)) for item in trigger.body]
        self._reads_query = bool(self._query or workflow.nodes)

    def parse(self, request: Request, query_string: str, raw: bytes, size: int) -> Parsed | Refusal:
        """Parse a request whose head was accepted, or say why its body is refused.

        Parameters
        ----------
        request
            The head.
        query_string
            What stands behind ``?`` in its target.
        raw
            The bytes of the body.
        size
            Bytes that were received, more than ``raw`` has where it is too large.
        """
        body = admission.read_body(self.workflow.trigger, request, raw, size)
        if isinstance(body, Refusal):
            return body
        query = payloads.parse_query_string(query_string) if self._reads_query else {}
        return Parsed(query, body, self._missing(request.headers, query, body))

    def _missing(self, headers: Mapping[str, str], query: Any, body: Any) -> str | None:
        """Return the JSON list of the configured variables that are missing, or ``None``."""
        absent = [f"headers.{name}" for usual, name in self._headers if usual not in headers]
        absent += [name for get, name in self._query if get(query) is MISSING]
        absent += [name for get, name in self._body if get(body) is MISSING]
        return json.dumps(absent) if absent else None


@dataclass(kw_only=True, eq=False)
class HookState:
    """What the server's thread and the hook's handle share.

    Attributes
    ----------
    served
        The current revision; replaced as a whole, never changed.
    enabled
        Whether it takes deliveries.
    arrived, unfinished
        Deliveries stored, and executions queued or running, since it is served; guarded by
        ``changed``.
    changed
        Notified whenever one of the two changes.
    closed
        Whether it is no longer served; set by :meth:`close`.
    listeners
        Called with the id of each delivery that was stored, and with ``None`` at the end.
    functions
        Those of its nodes in this process, by node key and source text; a revision that is made
        current again gets them back.
    """

    workflow_id: int
    name: str
    key: str
    served: Served
    enabled: bool
    queue: Queue
    arrived: int = 0
    unfinished: int = 0
    closed: bool = False
    changed: Condition = field(default_factory=Condition)
    listeners: list[Callable[[int | None], None]] = field(default_factory=list)
    functions: dict[tuple[str, str], Callable[..., Any]] = field(default_factory=dict)

    def serve(self, served: Served) -> None:
        """Make a revision the current one."""
        self.functions.update(known_functions(served.workflow.nodes))
        self.queue.concurrency = served.workflow.concurrency
        self.served = served

    def close(self) -> None:
        """Note that it is no longer served, and wake everyone who waits for it."""
        self.closed = True
        self.count()
        for listener in tuple(self.listeners):
            listener(None)

    def count(self, *, arrived: int = 0, unfinished: int = 0) -> None:
        """Change the counts and wake those who wait."""
        with self.changed:
            self.arrived += arrived
            self.unfinished += unfinished
            self.changed.notify_all()


def _name(part: str, variable: Variable) -> str:
    """Return a variable's name without its alias: ``body[0].sku``."""
    return column(part, Variable(variable.path))


def _usual(name: str) -> str:
    """Return a header's name in the usual spelling, that of the server's headers."""
    return "-".join(word.capitalize() for word in name.split("-"))


def encode_pairs(pairs: tuple[tuple[str, str], ...]) -> bytes:
    """Write header pairs as the JSON that the store keeps."""
    return msgspec.json.encode(pairs)
