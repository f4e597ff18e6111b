"""Whether a trigger accepts a request, or refuses it with a status and a reason.

Pure: bytes and settings in, a verdict out. The order of the checks is that of what a caller has
to put right first: the method, the credentials, the size, the type, then the content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hooknb import payloads
from hooknb.errors import PayloadError
from hooknb.paths import MISSING
from hooknb.workflow import Trigger
from hooknb.workflow.auth import Auth, IncomingRequest

__all__ = ["Refusal", "check_head", "read_body"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a request is not taken.

    Attributes
    ----------
    status
        The HTTP status of the response.
    reason
        The short word that the delivery keeps.
    detail
        One sentence: what was received, and the remedy.
    headers
        Header fields that the response needs.
    """

    status: int
    reason: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()


def check_head(trigger: Trigger, request: IncomingRequest) -> Refusal | None:
    """Return why a request is refused by its head alone, or ``None``.

    Parameters
    ----------
    trigger
        The settings.
    request
        Its head.
    """
    method = request.method
    if trigger.methods != ("*",) and method not in trigger.methods:
        allowed = ", ".join(trigger.methods)
        return Refusal(
            status=405,
            reason="method",
            detail=f"{method} is not a method of this hook; it takes {allowed}.",
            headers=(("Allow", allowed),),
        )
    if trigger.auth is not None:
        # One that needs the body refuses here what no body could put right.
        refusal = _check_credentials(trigger.auth, request)
        if refusal is not None:
            return refusal
    length = request.headers.get("Content-Length")
    # Longer ones are no lengths; the server refuses them.
    if length and len(length) < 19 and length.isdecimal() and int(length) > trigger.max_body:  # noqa: PLR2004
        return _too_large(trigger, int(length))
    return None


def _check_credentials(
    auth: Auth, request: IncomingRequest, raw: bytes | None = None
) -> Refusal | None:
    failure = auth.check(request, raw)
    if failure is None:
        return None
    return Refusal(
        status=failure.status,
        reason=failure.reason,
        detail=failure.detail,
        headers=failure.headers,
    )


def read_body(trigger: Trigger, request: IncomingRequest, raw: bytes, size: int) -> Any:
    """Return the parsed body (``MISSING`` where there is none), or the refusal.

    Parameters
    ----------
    trigger
        The settings.
    request
        The head.
    raw
        The bytes of the body, of which there are more than were kept where it is too large.
    size
        Bytes that were received.
    """
    if size > trigger.max_body:
        return _too_large(trigger, size)
    if trigger.auth is not None and trigger.auth.needs_body:
        refusal = _check_credentials(trigger.auth, request, raw)
        if refusal is not None:
            return refusal
    if not raw:
        return MISSING  # what is not there has no type to judge
    headers = request.headers
    content_type = headers.get("Content-Type")
    if not payloads.accepts(trigger.accept, content_type):
        return _not_accepted(trigger, content_type, raw)
    try:
        return payloads.parse(
            raw,
            content_type=content_type,
            content_encoding=headers.get("Content-Encoding"),
            max_size=trigger.max_body,
        )
    except PayloadError as error:
        return Refusal(status=error.status, reason=error.reason, detail=error.detail)


def _too_large(trigger: Trigger, size: int) -> Refusal:
    return Refusal(
        status=413,
        reason="too large",
        detail=f"The body has {size} bytes or more; this hook takes {trigger.max_body} (max_body).",
    )


def _not_accepted(trigger: Trigger, content_type: str | None, raw: bytes) -> Refusal:
    given = f"content type {content_type}" if content_type else "no content type"
    accepted = ", ".join(trigger.accept)
    wanted = payloads.media_type(content_type) if content_type else "*/*"
    # What looks like JSON is JSON that a tool called a form: `curl -d` does by itself.
    looks = raw.lstrip()[:1] in {b"{", b"["}
    remedy = "If it is JSON, send it as application/json (curl --json). " if looks else ""
    return Refusal(
        status=415,
        reason=given[:200],
        detail=f"The body has {given}, and this hook accepts {accepted}. {remedy}"
        f"To take it as it is, set accept={[*trigger.accept, wanted]!r}.",
    )
