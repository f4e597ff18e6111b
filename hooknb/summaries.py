"""What a hook says of itself: its URL for senders and for the eye, and its summary."""

from __future__ import annotations

import html
from urllib.parse import quote

from hooknb.payloads.headers import MASK
from hooknb.workflow import Workflow
from hooknb.workflow.credentials import BasicAuth

__all__ = ["as_html", "as_text", "masked_url", "saved_url", "summary", "url_with_credentials"]

Rows = list[tuple[str, str]]


def url_with_credentials(url: str, auth: BasicAuth | None) -> str:
    """Put user name and password, percent-encoded, before the host (RFC 3986, section 3.2.1)."""
    return url if auth is None else _with_userinfo(url, auth.user, quote(auth.password, safe=""))


def masked_url(url: str, auth: BasicAuth | None) -> str:
    """Put the user name and a mask before the host."""
    return url if auth is None else _with_userinfo(url, auth.user, MASK)


def saved_url(url: str, auth: BasicAuth | None) -> str:
    """Mask the key too, for what is saved with a notebook and read by others.

    Whoever has the key can call the hook once it is published, if not now.
    """
    return masked_url(f"{url.rpartition('/')[0]}/{MASK}", auth)


def _with_userinfo(url: str, user: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{password}@{rest}"


def summary(workflow: Workflow, *, url: str, status: str, revision: int, deliveries: str) -> Rows:
    """List what a hook is, as pairs of a label and a text, without secrets.

    Parameters
    ----------
    workflow
        Its current definition.
    url
        Where senders reach it; credentials are masked here, and its key as of
        :func:`saved_url`.
    status
        Such as ``enabled``.
    revision
        The number of the current one.
    deliveries
        How many came, in words.
    """
    trigger = workflow.trigger
    return [
        ("hook", f"{workflow.name} ({status})"),
        ("url", f"{', '.join(trigger.methods)} {saved_url(url, trigger.auth)}"),
        ("mode", "synchronous" if workflow.sync else "asynchronous"),
        ("revision", str(revision)),
        ("deliveries", deliveries),
    ]


def as_text(rows: Rows) -> str:
    """Write a summary as lines of text."""
    return "\n".join(f"{label:<11}{text}" for label, text in rows)


def as_html(rows: Rows) -> str:
    """Write a summary as a table; whatever it says is text there."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for label, text in rows
    )
    return f"<table>{cells}</table>"
