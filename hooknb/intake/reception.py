"""From a request to a delivery, and from a delivery to its answer.

What flows where: the server hands the head of a request to :meth:`Reception.begin`, then the body;
the trigger judges both; the store writes the delivery; once it is on disk the caller of an
asynchronous hook is answered and the execution queued, and that of a synchronous one waits for
its execution. All of it on the server's loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from hooknb import payloads
from hooknb._clock import Clock, moment
from hooknb.engine import Ending, Engine, QueuedExecution, Workers
from hooknb.intake import admission
from hooknb.intake.admission import Refusal
from hooknb.intake.grouping import Grouping
from hooknb.intake.responses import (
    OK,
    busy,
    closing_response,
    disabled,
    problem,
    response_status_of,
)
from hooknb.intake.served import HookState, encode_pairs
from hooknb.records import KEPT_REFUSED_BYTES, Delivery, SentResponse, Status
from hooknb.relay.publication import OUTCOME, Publication
from hooknb.server import Reception, Request, Send
from hooknb.settings import RuntimeSettings
from hooknb.store import EndExecution, NewDelivery, NewResponse, Store
from hooknb.workflow import depth

__all__ = ["Desk"]

_PREFIX: Final = "/hook/"
_LOG: Final = logging.getLogger("hooknb.server")
_LARGE: Final = 32 * 1024  # bytes of a body from which it is read on a thread of its own
_READERS: Final = 2  # threads that read large bodies


class Desk:
    """Receives what the server reads; a :class:`hooknb.server.Receiver`."""

    def __init__(self, settings: RuntimeSettings, clock: Clock) -> None:
        self.hooks: dict[str, HookState] = {}
        self.clock = clock
        self.settings = settings
        self.reading: set[asyncio.Task[None]] = set()
        # Of their own, so that bodies that are slow to read hold up nothing but one another.
        self.readers = Workers(_READERS)
        self._ended: list[
            tuple[HookState, list[EndExecution | NewResponse], Callable[[], object] | None]
        ] = []
        self.publication: Publication
        self.grouping = Grouping(lambda group: self.store.submit(*group))
        self.store: Store
        self.engine: Engine

    def begin(self, request: Request) -> Reception:
        """Judge the head of a request."""
        path, _, query = request.target.partition("?")
        key, slash, below = path.removeprefix(_PREFIX).partition("/")
        state = self.hooks.get(key) if path.startswith(_PREFIX) else None
        if state is None:
            return _Unknown()
        request.relayed = self.publication.admit(request, state.key)
        if request.relayed is False:
            return _Unknown()
        return _Reception(self, state, request, slash + below if below else "", query)

    def settle(self, deliveries: list[NewDelivery]) -> None:
        """Go on with deliveries that the writer has done with; on the loop."""
        try:
            responses = [delivery.caller.settle(delivery) for delivery in deliveries]
            # Asked for before any bytes leave: who has an answer finds it in the frames.
            kept = [response for response in responses if response is not None]
            if kept:
                self.store.submit(*kept)
            stored = [item for item in deliveries if item.error is None]
            running = Counter(item.caller.live for item in stored if item.owner is not None)
            for state, count in Counter(item.caller.live for item in stored).items():
                state.count(arrived=count, unfinished=running[state])
            for delivery in deliveries:
                try:
                    delivery.caller.go_on(delivery)
                except Exception:  # noqa: BLE001 - one caller's trouble is no other's
                    _LOG.exception("delivery %d could not be answered", delivery.id)
        finally:
            self.grouping.written(len(deliveries))

    def finish(
        self,
        state: HookState,
        ending: Ending,
        response_status: int | None,
        response: NewResponse | None = None,
        send: Callable[[], object] | None = None,
    ) -> None:
        """Keep how an execution ended, and what its caller got, then have that sent.

        All that end in one turn of the loop are kept together: waking the writer for each of them
        costs as much as running them.
        """
        end = EndExecution(
            workflow_id=ending.workflow_id,
            id=ending.id,
            status=ending.status.value or 0,
            reason=ending.reason,
            started_at=ending.started_at,
            finished_at=ending.finished_at,
            response_status=response_status,
            jobs=ending.jobs,
            shown=ending.shown,
        )
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._keep_ended)
        self._ended.append((state, [end] if response is None else [end, response], send))

    def _keep_ended(self) -> None:
        ended, self._ended = self._ended, []
        # Asked for before any bytes leave: who has an answer finds it in the frames.
        self.store.submit(*(operation for _, operations, _ in ended for operation in operations))
        for state, count in Counter(state for state, _, _ in ended).items():
            state.count(unfinished=-count)
        for _, _, send in ended:
            if send is not None:
                send()

    def resume(self, state: HookState, left: list[tuple[int, bool]]) -> None:
        """Queue what an earlier process left: ids, and whether each is run again. On the loop."""
        for number, recovered in left:
            self.engine.enqueue(
                state.queue,
                QueuedExecution(
                    id=number,
                    workflow=state.served.workflow,
                    revision=state.served.revision,
                    delivery=None,
                    recovered=recovered,
                    ended=lambda ending: self.finish(state, ending, response_status_of(ending)),
                ),
            )


class _Unknown:
    """A request for a key that nobody has; all get the same answer, and none is kept."""

    keep = 0

    @property
    def refused(self) -> bool:
        return True

    def finish(self, _body: bytes, _size: int, send: Send) -> None:
        refusal = Refusal(status=404, reason="unknown", detail="There is no hook at this URL.")
        send(problem(refusal), None)

    def abandon(self, body: bytes, size: int) -> None:
        """Nothing to keep."""

    def fail(self, _detail: str, body: bytes, size: int, send: Send) -> None:
        self.finish(body, size, send)


class _Reception:
    """One request of a hook on its way in and out."""

    __slots__ = (
        "_desk",
        "_missing",
        "_parsed",
        "_query",
        "_refusal",
        "_request",
        "_reserved",
        "_response",
        "_send",
        "_served",
        "_subpath",
        "keep",
        "state",
    )

    def __init__(
        self, desk: Desk, state: HookState, request: Request, subpath: str, query: str
    ) -> None:
        self._desk = desk
        self.state = state
        self._served = state.served
        self._request = request
        self._subpath = subpath
        self._query = query
        self._send: Send | None = None
        self._refusal = self._judge()
        limit = self._served.workflow.trigger.max_body
        self.keep = min(limit, KEPT_REFUSED_BYTES) if self._refusal is not None else limit

    @property
    def refused(self) -> bool:
        return self._refusal is not None

    @property
    def live(self) -> HookState:
        """The state of the hook by now: it may have been closed and made again meanwhile."""
        return self._desk.hooks.get(self.state.key, self.state)

    def _judge(self) -> Refusal | None:
        headers, state = self._request.headers, self.state
        # The relay has looked at the names under which it is reached from outside.
        if not (self._request.relayed or self._desk.settings.allows_host(headers.get("Host"))):
            return Refusal(
                status=403,
                reason="host",
                detail=f"This server is not {headers.get('Host')!r}. Where it is reached by that "
                "name, add it to allowed_hosts of the runtime.",
            )
        trigger = self._served.workflow.trigger
        if not state.enabled:
            return disabled(trigger.disabled_status)
        settings = self._desk.settings
        if depth.of_header(headers.get(depth.HEADER)) > settings.max_depth:
            return Refusal(
                status=508,
                reason="depth",
                detail=f"Executions that send to hooks stand {settings.max_depth} deep "
                "(max_depth): a hook may be calling itself.",
            )
        if len(state.queue.waiting) >= settings.max_queued:
            return busy("backlog", "Too many executions wait; send it again later.")
        if self._subpath and not trigger.subpaths:
            return Refusal(
                status=404,
                reason="subpath",
                detail="This hook takes nothing below its URL. To take it, set subpaths=True.",
            )
        return admission.check_head(trigger, self._request)

    def finish(self, body: bytes, size: int, send: Send) -> None:
        self._send = send
        trigger = self._served.workflow.trigger
        refusal = self._refusal
        if refusal is None and size > trigger.max_body:
            refusal = admission.too_large(trigger, size)
        if refusal is None:
            refusal = admission.check_body(trigger, self._request, body)
        if refusal is not None:
            self._refuse(refusal, body, size)
        elif size > _LARGE or "Content-Encoding" in self._request.headers:
            # Small ones take less time than the way to another thread.
            task = asyncio.get_running_loop().create_task(self._read_aside(body, size))
            self._desk.reading.add(task)
            task.add_done_callback(self._desk.reading.discard)
        else:
            self._decide(self._read(body), body, size)

    def _read(self, body: bytes) -> Any:
        """Return the parsed body or the refusal; also find out what is missing."""
        served, headers = self._served, self._request.headers
        parsed = admission.read_body(served.workflow.trigger, headers, body)
        if not isinstance(parsed, Refusal):
            query = payloads.parse_query_string(self._query) if served.reads_query else {}
            self._missing = served.missing(headers, query, parsed)
            # Kept for the execution, so that nothing is parsed twice.
            self._parsed = (query, parsed)
        return parsed

    async def _read_aside(self, body: bytes, size: int) -> None:
        try:
            parsed = await asyncio.get_running_loop().run_in_executor(
                self._desk.readers, self._read, body
            )
        except Exception:  # noqa: BLE001 - the sender is to get an answer
            _LOG.exception("a body could not be read")
            parsed = Refusal(status=500, reason="internal", detail="The body could not be read.")
        self._decide(parsed, body, size)

    def _decide(self, parsed: Any, body: bytes, size: int) -> None:
        if isinstance(parsed, Refusal):
            self._refuse(parsed, body, size)
        else:
            self._accept(body, size)

    def abandon(self, body: bytes, size: int) -> None:
        refusal = self._refusal or Refusal(
            status=400,
            reason="incomplete body",
            detail=f"The sender stopped after {size} bytes of the body.",
        )
        self._refuse(refusal, body, size)

    def fail(self, detail: str, body: bytes, size: int, send: Send) -> None:
        self._send = send
        refusal = self._refusal or Refusal(status=400, reason="malformed", detail=detail)
        self._refuse(refusal, body, size)

    def _accept(self, body: bytes, size: int) -> None:
        workflow = self._served.workflow
        delivery = self._delivery(body, size)
        delivery.revision = self._served.revision
        delivery.missing = self._missing
        if workflow.nodes:
            delivery.owner = self._desk.store.owner
            # Stored as started where it will start at once: a mark that came later might be lost.
            self._reserved = not workflow.sync and self.state.queue.reserve()
            starts = workflow.sync or self._reserved
            delivery.status = Status.STARTED.value if starts else Status.QUEUED.value
        else:
            delivery.status = Status.RESOLVED.value
        self._refusal = None
        self._desk.grouping.add(delivery)

    def _refuse(self, refusal: Refusal, body: bytes, size: int) -> None:
        self._refusal = refusal
        delivery = self._delivery(body[:KEPT_REFUSED_BYTES], size)
        delivery.reason = refusal.reason
        delivery.detail = refusal.detail
        self._desk.grouping.add(delivery)

    def _delivery(self, body: bytes, size: int) -> NewDelivery:
        request = self._request
        return NewDelivery(
            workflow_id=self.state.workflow_id,
            received_at=request.received_at,
            method=request.method,
            subpath=self._subpath,
            query=self._query,
            content_type=request.headers.get("Content-Type"),
            content_encoding=request.headers.get("Content-Encoding"),
            head=request.head,
            body=body,
            size=size,
            remote=request.remote,
            caller=self,
        )

    def settle(self, delivery: NewDelivery) -> NewResponse | None:
        """Decide once the delivery is on disk, or cannot be; give the answer to be kept."""
        served = self._served
        self._response: tuple[SentResponse, int | None] | None = None
        if delivery.error is not None:
            refusal = self._refusal or busy(
                "store", "The delivery could not be stored; send it again later."
            )
            self._response = (problem(refusal), None)
            return None
        if self._refusal is not None:
            response, headers = problem(self._refusal), None
        elif not served.workflow.sync:
            response, headers = served.response, served.response_headers
        elif not served.workflow.nodes:
            response, headers = OK, None
        else:
            return None
        self._response = (response, delivery.id)
        return self._record(response, delivery.id, headers)

    def go_on(self, delivery: NewDelivery) -> None:
        """Answer, and have the nodes run."""
        state, served = self.live, self._served
        runs = delivery.error is None and delivery.owner is not None
        if delivery.owner is not None and self._reserved:
            self.state.queue.reserved -= 1
        if delivery.error is None:
            for listener in tuple(state.listeners):
                listener(delivery.id)
        if self._response is not None and self._send is not None:
            self._send(self._told(*self._response), self._response[1])
        if runs:
            engine = self._desk.engine
            if served.workflow.sync:
                engine.start_now(state.queue, self._execution(delivery, self._ended_in_time))
            else:
                engine.enqueue(state.queue, self._execution(delivery, self._ended))

    def _execution(self, stored: NewDelivery, ended: Callable[[Ending], None]) -> QueuedExecution:
        delivery = Delivery(
            id=stored.id,
            workflow=self.state.name,
            received_at=moment(stored.received_at),
            method=stored.method,
            subpath=stored.subpath,
            query_string=stored.query,
            head=stored.head,
            raw=stored.body,
            size=stored.size,
            remote=stored.remote,
            outcome="accepted",
        )
        query, body = self._parsed
        delivery.__dict__.update(query=query, body_or_missing=body)  # fills the cached properties
        return QueuedExecution(
            id=stored.id,
            workflow=self._served.workflow,
            revision=self._served.revision,
            delivery=delivery,
            started=stored.status == Status.STARTED.value,
            ended=ended,
        )

    def _ended(self, ending: Ending) -> None:
        self._desk.finish(self.live, ending, None)

    def _ended_in_time(self, ending: Ending) -> None:
        """Answer the caller who waited for the execution."""
        response = closing_response(ending)
        record = self._record(response, ending.id, None)
        send = self._send
        self._desk.finish(
            self.live,
            ending,
            response.status,
            record,
            send=None
            if send is None
            else partial(send, self._told(response, ending.id), ending.id),
        )

    def _told(self, response: SentResponse, number: int | None) -> SentResponse:
        """Tell the relay whether the delivery was accepted: a status may be of anybody's choice."""
        if not self._request.relayed or number is None:
            return response
        outcome = "accepted" if self._refusal is None else "refused"
        return replace(response, headers=(*response.headers, (OUTCOME, outcome)))

    def _record(self, response: SentResponse, number: int, headers: bytes | None) -> NewResponse:
        return NewResponse(
            workflow_id=self.state.workflow_id,
            delivery_id=number,
            status=response.status,
            duration_us=self._desk.clock.duration(self._request.started),
            headers=encode_pairs(response.headers) if headers is None else headers,
            body=response.body,
            revision=self._served.revision if response is self._served.response else None,
        )
