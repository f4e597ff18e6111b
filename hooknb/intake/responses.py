"""What callers get where no Response node responds."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from hooknb.intake.admission import Refusal
from hooknb.records import SentResponse, Status
from hooknb.server import problem as problem_document
from hooknb.store import EndExecution

__all__ = ["OK", "STOPPED", "busy", "closing_response", "disabled", "problem"]

OK: Final = SentResponse(
    status=200, headers=(("Content-Type", "text/plain; charset=utf-8"),), body=b"ok"
)


def closing_response(end: EndExecution, response: SentResponse | None) -> SentResponse:
    """Return what the caller of a synchronous hook gets."""
    if response is not None:
        return response
    status = Status(end.status)
    if status is Status.RESOLVED:
        return OK
    if end.reason == "timeout":
        return problem(Refusal(status=408, reason="timeout", detail="The workflow took too long."))
    if status is Status.ABORTED:
        return problem(STOPPED)
    return problem(
        Refusal(status=500, reason=status.word, detail=f"The workflow ended as {status.word}.")
    )


def busy(reason: str, detail: str) -> Refusal:
    """Ask the sender to come back later."""
    return Refusal(status=503, reason=reason, detail=detail, headers=(("Retry-After", "5"),))


STOPPED: Final = busy("aborted", "The workflow was stopped; send it again later.")


def disabled(status: int) -> Refusal:
    """Refuse a request to a hook that is switched off, with the status that it is set to."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return busy("disabled", "This hook is switched off; send it again later.")
    # A 404 is that of a URL at which there never was a hook.
    detail = "There is no hook at this URL."
    if status == HTTPStatus.GONE:
        detail = "There is no hook at this URL any more."
    return Refusal(status=status, reason="disabled", detail=detail)


def problem(refusal: Refusal) -> SentResponse:
    """Make the response that tells of a refusal."""
    return problem_document(refusal.status, refusal.detail, refusal.headers)
