"""From a request to a kept delivery and its response.

Each request is one coroutine, :meth:`Intake.receive`, on the server's loop: the trigger judges
the head, then the body; the delivery waits for its group to be on disk; the response leaves after
that. The nodes of a synchronous hook that have no effect run meanwhile, so that the whole of what
they did is kept in the delivery's own transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Final

from hooknb._clock import Clock, moment
from hooknb.engine import Engine, Run, Workers
from hooknb.intake import admission
from hooknb.intake.admission import Refusal
from hooknb.intake.grouping import Grouping
from hooknb.intake.responses import OK, STOPPED, busy, closing_response, disabled, problem
from hooknb.intake.served import HookState, Parsed, Served, encode_pairs
from hooknb.records import KEPT_REFUSED_BYTES, Delivery, ReceivedRequest, SentResponse, Status
from hooknb.relay.publication import OUTCOME, Publication
from hooknb.server import Body, BodyError, Request
from hooknb.settings import RuntimeSettings
from hooknb.store import EndExecution, NewDelivery, NewResponse, Store
from hooknb.workflow import depth

__all__ = ["Intake"]

_PREFIX: Final = "/hook/"
_LOG: Final = logging.getLogger("hooknb.server")
_LARGE: Final = 32 * 1024  # bytes of a body from which it is parsed on a thread of its own
_READERS: Final = 2  # threads that parse large bodies
_NOT_FOUND: Final = problem(
    Refusal(status=404, reason="unknown", detail="There is no hook at this URL.")
)
_NOT_STORED: Final = busy("store", "The delivery could not be stored; send it again later.")


class Intake:
    """Takes what the server reads; a :class:`hooknb.server.Receiver`."""

    def __init__(self, settings: RuntimeSettings, clock: Clock) -> None:
        self.hooks: dict[str, HookState] = {}
        self.clock = clock
        self.settings = settings
        # Of their own, so that bodies that are slow to parse hold up nothing but one another.
        self.readers = Workers(_READERS)
        self._ended: list[
            tuple[HookState, list[EndExecution | NewResponse], asyncio.Future[None] | None]
        ] = []
        self.publication: Publication
        self.grouping = Grouping(lambda group: self.store.submit(*group))
        self.store: Store
        self.engine: Engine

    async def receive(self, request: Request, body: Body) -> tuple[SentResponse, int | None]:
        """Judge a request, keep it, and return its response once it is on disk.

        The id of the delivery comes with it; ``None`` where nothing was kept.
        """
        path, mark, query = request.target.partition("?")
        key, slash, below = path.removeprefix(_PREFIX).partition("/")
        state = self.hooks.get(key) if path.startswith(_PREFIX) else None
        if state is not None:
            request.relayed = self.publication.admit(request, state.key)
        if state is None or request.relayed is False:
            with contextlib.suppress(BodyError):
                await body.read(0, is_wanted=False)
            return _NOT_FOUND, None
        served, subpath = state.served, slash + below if below else ""
        if request.relayed:
            base = self.publication.url(state.key)  # None where it was withdrawn just now
            request.public_url = base and base + path.removeprefix(_PREFIX + key) + mark + query
        refusal = self._judge(state, served, request, subpath)
        raw, parsed = await self._read(served, request, query, body, refusal)
        is_refused = isinstance(parsed, Refusal)
        delivery = NewDelivery(
            workflow_id=state.workflow_id,
            received_at=request.received_at,
            request=ReceivedRequest(
                method=request.method,
                subpath=subpath,
                query_string=query,
                size=body.size,
                remote=request.remote,
                head=request.head,
                raw=raw[:KEPT_REFUSED_BYTES] if is_refused else raw,
            ),
            content_type=request.headers.get("Content-Type"),
            content_encoding=request.headers.get("Content-Encoding"),
        )
        if isinstance(parsed, Refusal):
            response = await self._refuse(state, request, delivery, parsed)
        elif served.workflow.sync and served.workflow.nodes:
            response = await self._run(state, served, request, delivery, parsed)
        else:
            response = await self._accept(state, served, request, delivery, parsed)
        if delivery.error is not None:
            return response, None
        if request.relayed:
            # The status is of anybody's choice; this tells the relay whether it was accepted.
            outcome = "accepted" if delivery.reason is None else "refused"
            response = replace(response, headers=(*response.headers, (OUTCOME, outcome)))
        return response, delivery.id

    def _judge(
        self, state: HookState, served: Served, request: Request, subpath: str
    ) -> Refusal | None:
        headers, settings = request.headers, self.settings
        # The relay has looked at the names under which it is reached from outside.
        if not (request.relayed or settings.allows_host(headers.get("Host"))):
            return Refusal(
                status=403,
                reason="host",
                detail=f"This server is not {headers.get('Host')!r}. Where it is reached by that "
                "name, add it to allowed_hosts of the runtime.",
            )
        trigger = served.workflow.trigger
        if not state.enabled:
            return disabled(trigger.disabled_status)
        if depth.of_header(headers.get(depth.HEADER)) > settings.max_depth:
            return Refusal(
                status=508,
                reason="depth",
                detail=f"Executions that send to hooks stand {settings.max_depth} deep "
                "(max_depth): a hook may be calling itself.",
            )
        if len(state.queue.waiting) >= settings.max_queued:
            return busy("backlog", "Too many executions wait; send it again later.")
        if subpath and not trigger.subpaths:
            return Refusal(
                status=404,
                reason="subpath",
                detail="This hook takes nothing below its URL. To take it, set subpaths=True.",
            )
        return admission.check_head(trigger, request)

    async def _read(
        self, served: Served, request: Request, query: str, body: Body, refusal: Refusal | None
    ) -> tuple[bytes, Parsed | Refusal]:
        """Receive the body; return its bytes, and what it holds or why it is refused."""
        trigger = served.workflow.trigger
        if refusal is not None:
            keep = min(trigger.max_body, KEPT_REFUSED_BYTES)
            try:
                return await body.read(keep, is_wanted=False), refusal
            except BodyError as error:
                return error.kept, refusal
        try:
            raw = await body.read(trigger.max_body)
        except BodyError as error:
            return error.kept, Refusal(status=400, reason=error.reason, detail=error.detail)
        try:
            # Small ones take less time than the way to another thread.
            if len(raw) <= _LARGE and "Content-Encoding" not in request.headers:
                return raw, served.parse(request, query, raw, body.size)
            parsed = await asyncio.get_running_loop().run_in_executor(
                self.readers, served.parse, request, query, raw, body.size
            )
        except Exception:  # noqa: BLE001 - the sender is to get a response
            _LOG.exception("a body could not be parsed")
            detail = "The body could not be parsed."
            parsed = Refusal(status=500, reason="internal", detail=detail)
        return raw, parsed

    async def _refuse(
        self, state: HookState, request: Request, delivery: NewDelivery, refusal: Refusal
    ) -> SentResponse:
        delivery.reason, delivery.detail = refusal.reason, refusal.detail
        response = problem(refusal)
        delivery.response = self._record(delivery, request, response)
        await self._store(state, delivery)
        return response

    async def _accept(
        self,
        state: HookState,
        served: Served,
        request: Request,
        delivery: NewDelivery,
        parsed: Parsed,
    ) -> SentResponse:
        """Have the delivery stored, then its execution queued, and respond meanwhile."""
        workflow = served.workflow
        delivery.revision, delivery.missing = served.revision, parsed.missing
        response = OK if workflow.sync else served.response
        delivery.response = self._record(delivery, request, response, served)
        queue, is_reserved = state.queue, False
        delivery.status = Status.RESOLVED.value
        if workflow.nodes:
            delivery.owner = self.store.owner
            # Stored as started where it will start at once: a mark that came later might be lost.
            is_reserved = queue.reserve()
            delivery.status = (Status.STARTED if is_reserved else Status.QUEUED).value
        state = await self._store(state, delivery)
        if is_reserved:
            queue.reserved -= 1
        if delivery.error is not None:
            return problem(_NOT_STORED)
        if workflow.nodes:
            on_end = partial(self._keep_end, state)
            self.engine.enqueue(self._make_run(state, served, delivery, parsed, on_end))
        return response

    async def _run(
        self,
        state: HookState,
        served: Served,
        request: Request,
        delivery: NewDelivery,
        parsed: Parsed,
    ) -> SentResponse:
        """Run the workflow of a synchronous hook, and return what its caller gets."""
        delivery.revision, delivery.missing = served.revision, parsed.missing
        delivery.owner, delivery.status = self.store.owner, Status.STARTED.value
        run, response = None, OK
        # A fixed clock is derived from the id, which is given by the commit.
        if not self.clock.is_fixed:
            run = self._make_run(state, served, delivery, parsed)
            run.run_ahead()
            if run.end is not None:
                response = closing_response(run.end, run.response)
                run.end.response_status = response.status
                delivery.owner, delivery.end = None, run.end
                delivery.response = self._record(delivery, request, response)
        state = await self._store(state, delivery, run)
        if delivery.error is not None:
            return problem(_NOT_STORED)
        if delivery.end is not None:
            return response
        if run is None:
            run = self._make_run(state, served, delivery, parsed)
            run.start()
        end = await run.wait()
        if end is None:
            return problem(STOPPED)
        response = closing_response(end, run.response)
        end.response_status = response.status
        submitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keep_ended(state, [end, self._record(delivery, request, response)], submitted)
        await submitted
        return response

    def _make_run(
        self,
        state: HookState,
        served: Served,
        stored: NewDelivery,
        parsed: Parsed,
        on_end: Callable[[EndExecution], None] | None = None,
    ) -> Run:
        # Fills the cached properties, so that nothing is parsed twice.
        stored.request.__dict__.update(
            query=parsed.query,
            body_or_missing=parsed.body,
            content_type=stored.content_type,
            content_encoding=stored.content_encoding,
        )
        return Run(
            self.engine,
            state.queue,
            id=stored.id,
            workflow=served.workflow,
            revision=served.revision,
            request=stored.request,
            delivery=partial(_delivery, state.name, stored),
            is_started=stored.status == Status.STARTED.value,
            on_end=on_end,
        )

    def _record(
        self,
        delivery: NewDelivery,
        request: Request,
        response: SentResponse,
        served: Served | None = None,
    ) -> NewResponse:
        if served is None or response is not served.response:
            headers, revision = encode_pairs(response.headers), None
        else:
            headers, revision = served.response_headers, served.revision
        return NewResponse(
            workflow_id=delivery.workflow_id,
            delivery_id=delivery.id,
            status=response.status,
            duration_us=self.clock.duration(request.started),
            headers=headers,
            body=response.body,
            revision=revision,
        )

    # -- storing --------------------------------------------------------------------------------

    async def _store(
        self, state: HookState, delivery: NewDelivery, run: Run | None = None
    ) -> HookState:
        """Wait until the delivery is on disk, or cannot be: its ``error`` says so.

        Return the hook as it is by then: it may have been closed and made again meanwhile.
        """
        stored: asyncio.Future[HookState] = asyncio.get_running_loop().create_future()
        delivery.caller = (state, stored, run)
        self.grouping.add(delivery)
        return await stored

    def let_go(self, deliveries: list[NewDelivery]) -> None:
        """Go on with deliveries that the writer has done with; on the loop."""
        try:
            # A hook may have been closed and made again while its deliveries were being stored.
            waiting = [delivery.caller for delivery in deliveries]
            states = [self.hooks.get(state.key, state) for state, _, _ in waiting]
            self._count(states, deliveries)
            for state, delivery, (_, stored, run) in zip(states, deliveries, waiting, strict=True):
                if run is not None and delivery.error is None:
                    run.go_on(delivery.id)
                elif run is not None:
                    run.drop()
                if not stored.done():
                    stored.set_result(state)
        finally:
            # After the responses have left: the next group waits for those who then send again.
            asyncio.get_running_loop().call_soon(self.grouping.written, len(deliveries))

    def _count(self, states: list[HookState], deliveries: list[NewDelivery]) -> None:
        stored = [
            (state, item)
            for state, item in zip(states, deliveries, strict=True)
            if item.error is None
        ]
        running = Counter(state for state, item in stored if item.owner is not None)
        for state, count in Counter(state for state, _ in stored).items():
            state.count(arrived=count, unfinished=running[state])
        for state, item in stored:
            for listener in tuple(state.listeners):
                listener(item.id)

    def _keep_end(self, state: HookState, end: EndExecution) -> None:
        self._keep_ended(state, [end])

    def _keep_ended(
        self,
        state: HookState,
        operations: list[EndExecution | NewResponse],
        submitted: asyncio.Future[None] | None = None,
    ) -> None:
        """Keep how an execution ended, and what its caller got; ``submitted`` is resolved then.

        All that end in one turn of the loop are kept together: waking the writer for each of them
        costs as much as running them.
        """
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._submit_ended)
        self._ended.append((state, operations, submitted))

    def _submit_ended(self) -> None:
        ended, self._ended = self._ended, []
        # Asked for before any bytes leave: who has a response finds it in the frames.
        self.store.submit(*(operation for _, operations, _ in ended for operation in operations))
        for state, count in Counter(state for state, _, _ in ended).items():
            state.count(unfinished=-count)
        for _, _, submitted in ended:
            if submitted is not None and not submitted.done():
                submitted.set_result(None)

    def resume(self, state: HookState, left: list[tuple[int, bool]]) -> None:
        """Queue what an earlier process left: ids, and whether each is run again. On the loop."""
        for number, recovered in left:
            self.engine.enqueue(
                Run(
                    self.engine,
                    state.queue,
                    id=number,
                    workflow=state.served.workflow,
                    revision=state.served.revision,
                    recovered=recovered,
                    on_end=partial(self._keep_end, state),
                )
            )


def _delivery(workflow: str, stored: NewDelivery) -> Delivery:
    """Make the record that nodes see, of a delivery that is stored."""
    delivery = Delivery(
        id=stored.id,
        workflow=workflow,
        received_at=moment(stored.received_at),
        outcome="accepted",
        **{item.name: getattr(stored.request, item.name) for item in fields(ReceivedRequest)},
    )
    for name in ("query", "body_or_missing"):
        delivery.__dict__[name] = stored.request.__dict__[name]
    return delivery
