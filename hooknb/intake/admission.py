"""What a trigger says to a request: taken, or refused with a status and a reason.

Pure: bytes and settings in, a verdict out. The order of the checks is that of what a caller has
to put right first: the method, the credentials, the size, the type, then the content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from hooknb import payloads
from hooknb.errors import PayloadError
from hooknb.paths import MISSING
from hooknb.workflow import Trigger
from hooknb.workflow.auth import Auth, IncomingRequest

__all__ = ["Refusal", "check_body", "check_head", "problem", "read_body", "too_large"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a request is not taken.

    Attributes
    ----------
    status
        The HTTP status of the answer.
    reason
        The short word that the delivery keeps.
    detail
        One sentence: what came, and the remedy.
    headers
        Header fields that the answer needs.
    """

    status: int
    reason: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()


def check_head(trigger: Trigger, request: IncomingRequest) -> Refusal | None:
    """Say what can be said before the body has come.

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
    if trigger.auth is not None and not trigger.auth.needs_body:
        refusal = _check_credentials(trigger.auth, request)
        if refusal is not None:
            return refusal
    length = request.headers.get("Content-Length")
    # Longer ones are no lengths; the server refuses them.
    if length and len(length) < 19 and length.isdecimal() and int(length) > trigger.max_body:  # noqa: PLR2004
        return too_large(trigger, int(length))
    return None


def check_body(trigger: Trigger, request: IncomingRequest, raw: bytes) -> Refusal | None:
    """Say what can be said of the bytes of the whole body, before anybody reads them."""
    if trigger.auth is None or not trigger.auth.needs_body:
        return None
    return _check_credentials(trigger.auth, request, raw)


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


def too_large(trigger: Trigger, size: int) -> Refusal:
    """Refuse a body of more bytes than the trigger allows."""
    return Refusal(
        status=413,
        reason="too large",
        detail=f"The body has {size} bytes or more; this hook takes {trigger.max_body} (max_body).",
    )


def read_body(trigger: Trigger, headers: Mapping[str, str], raw: bytes) -> Any:
    """Return the parsed body (``MISSING`` where there is none), or the refusal.

    A request without a body has no type to judge.
    """
    if not raw:
        return MISSING
    content_type = headers.get("Content-Type")
    if not payloads.accepts(trigger.accept, content_type):
        came = f"came as {content_type}" if content_type else "came without a Content-Type"
        accepted = ", ".join(trigger.accept)
        wanted = payloads.media_type(content_type) if content_type else "*/*"
        # What looks like JSON is JSON that a tool called a form: `curl -d` does by itself.
        looks = raw.lstrip()[:1] in {b"{", b"["}
        remedy = "If it is JSON, send it as application/json (curl --json)." if looks else ""
        return Refusal(
            status=415,
            reason=came[:200],
            detail=f"The body {came}; this hook takes {accepted}. {remedy}{' ' if looks else ''}"
            f"To take it as it is, set accept={[*trigger.accept, wanted]!r}.",
        )
    try:
        return payloads.parse(
            raw,
            content_type=content_type,
            content_encoding=headers.get("Content-Encoding"),
            max_size=trigger.max_body,
        )
    except PayloadError as error:
        return Refusal(status=error.status, reason=error.reason, detail=error.detail)


def problem(refusal: Refusal, title: str) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """Write a refusal as a problem document (RFC 9457): header fields and body."""
    body = msgspec.json.encode(
        {"type": "about:blank", "status": refusal.status, "title": title, "detail": refusal.detail}
    )
    return (("Content-Type", "application/problem+json"), *refusal.headers), body
