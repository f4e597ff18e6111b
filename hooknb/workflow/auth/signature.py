"""Signatures of a sender that is named, or described."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from hooknb._clock import now
from hooknb.errors import SettingError
from hooknb.payloads.headers import MASK, HeaderMap, Headers, add_secret_header
from hooknb.workflow.auth import signing
from hooknb.workflow.auth.base import (
    Auth,
    AuthFailure,
    IncomingRequest,
    Outgoing,
    Secret,
    as_secrets,
)
from hooknb.workflow.auth.messages import Message, usual
from hooknb.workflow.auth.providers import find_provider
from hooknb.workflow.auth.words import Scheme

__all__ = ["Signature"]

_KEY: Final = re.compile(r"/hook/[^/?]*")
_PORTS: Final = {"http": 80, "https": 443}


def _is_base(url: Any) -> bool:
    """Return whether a text is a URL to which a subpath and a query can be appended."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError:
        return False
    return parts.scheme in _PORTS and bool(parts.netloc) and not set("?#") & set(url)


class _Named(Auth, frozen=True):
    """Has the name first, so that it may stand without its own."""

    name: str = ""


class Signature(_Named, frozen=True, kw_only=True, tag="signature", dict=True):
    """The signature, or the token, with which a sender proves where its requests come from.

    ``Signature("stripe", secret="whsec_…")`` checks them as Stripe signs them. A request that is
    not signed, or not by this secret, gets a 401 and is kept as refused, with the reason.

    Attributes
    ----------
    name
        Of a sender that hooknb knows, in lower case: ``"github"``, ``"standard-webhooks"``.
    scheme
        How a sender that it does not know signs; in place of the name.
    secret
        As the sender shows it, or several (``[new, old]``) while they are changed: each is
        accepted, and the first signs what is sent from here. For a sender with a public key that
        key; with the private key in PEM requests can also be signed. Never shown.
    url
        The URL that the sender was given, where it is a part of what is signed and is neither the
        one at which the hook is published nor the one in ``Host``: behind a proxy of one's own.
        Without a query.

    Raises
    ------
    SettingError
        No sender is known by that name (the message names those that are like it), or the secret
        cannot be one of that sender's.

    Examples
    --------
    The secret is the one that GitHub's form for webhooks asks for, or that Stripe's dashboard shows
    beside the endpoint::

        hooknb.webhook("pushes", auth=hooknb.Signature("github", secret="…"))
        hooknb.webhook("payments", auth=hooknb.Signature("stripe", secret="whsec_…"))

    A sender that is not known, which sends ``X-Sig: v1=…`` and ``X-Time: 1700000000``::

        scheme = hooknb.Scheme(
            header="X-Sig",
            prefix="v1=",
            timestamp="header:X-Time",
            tolerance=300,
            signed="{timestamp}.{body}",
        )
        hooknb.webhook("orders", auth=hooknb.Signature(scheme=scheme, secret="…"))
    """

    title: ClassVar[str] = "Signature"
    secret_field: ClassVar[str] = "secret"  # noqa: S105 - the name of the field

    secret: Secret
    scheme: Scheme | None = None
    url: str = ""

    def __post_init__(self) -> None:
        """Find the sender, and refuse a secret that cannot be one of its."""
        if bool(self.name) == (self.scheme is not None):
            raise SettingError("auth.name", "write the name of a sender, or its scheme")
        if isinstance(self.scheme, Mapping):
            try:
                scheme = msgspec.convert(self.scheme, Scheme)
            except msgspec.ValidationError as error:
                raise SettingError("auth.scheme", str(error)) from None
            msgspec.structs.force_setattr(self, "scheme", scheme)
        elif not isinstance(self.scheme, Scheme | None):
            raise SettingError("auth.scheme", "write hooknb.Scheme(header=…), or name the sender")
        if self.url and not _is_base(self.url):
            raise SettingError("auth.url", "write the whole URL that the sender has: https://…")
        secret = as_secrets(self.secret, "auth.secret")
        msgspec.structs.force_setattr(self, "secret", secret)
        described = self.description
        for one in self._secrets:
            if one != MASK:
                described.check_secret(one)
        for header in described.headers if described.kind == "token" else ():
            add_secret_header(header)

    @cached_property
    def description(self) -> Scheme:
        """How the sender signs: its scheme, or that of the name."""
        return self.scheme or find_provider(self.name).signature

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        return (self.secret,) if isinstance(self.secret, str) else self.secret

    @property
    def needs_body(self) -> bool:
        """Whether the body is signed too, or holds the signature."""
        return self.description.needs_body

    @property
    def carriers(self) -> frozenset[str]:
        """The header fields of the signature and of its time, in lower case."""
        return self.description.carriers

    @property
    def prompt(self) -> str:
        """The question that asks a person for the secret."""
        return f"Secret of {self.name}: " if self.name else "Secret: "

    def check(self, request: IncomingRequest, body: bytes | None = None) -> AuthFailure | None:
        """Say why a request is not let in, or return ``None``."""
        scheme = self.description
        urls = list(self._urls(request)) if scheme.signs_url else [request.target]
        messages = [
            Message(
                method=request.method,
                url=url,
                headers=request.headers,
                body=body,
                at=request.received_at,
            )
            for url in urls
        ]
        return signing.check(scheme, messages, self._secrets)

    def apply(self, request: Outgoing) -> Outgoing:
        """Sign a request with the first secret; one that carries a signature is left as it is."""
        scheme = self.description
        headers = {usual(name): value for name, value in HeaderMap(request.fields).items()}
        if any(name.lower() in scheme.signature_carriers for name in headers):
            return request
        names = {part.partition("=")[0] for part in request.query.split("&")}
        if scheme.query and scheme.query in names:
            return request
        below = f"{request.subpath}?{request.query}" if request.query else request.subpath
        made = signing.sign(
            scheme,
            Message(
                method=request.method,
                url=(self.url or request.url) + below,
                headers=headers,
                body=request.content,
                at=now() if request.sent_at is None else request.sent_at,
            ),
            self._secrets[0],
        )
        if made is None:
            return request
        added = urlencode(made.query)
        return replace(
            request,
            fields=Headers([*request.fields, *made.fields]),
            query="&".join(part for part in (request.query, added) if part),
            content=made.message.body,
        )

    def _urls(self, request: IncomingRequest) -> Iterator[str]:
        """Return the URLs by which the sender may know the hook, as senders write them."""
        below = _KEY.sub("", request.target, count=1)
        if self.url:
            yield self.url + below
            return
        host = request.headers.get("Host", "")
        known = (
            [request.public_url]
            if request.public_url
            # Whatever ends TLS before this server does not say so in a way that can be trusted.
            else [f"{scheme}://{host}{request.target}" for scheme in _PORTS]
        )
        for url in known:
            yield url
            # Twilio signs now with the port and now without; its own library tries both.
            scheme, _, rest = url.partition("://")
            netloc, slash, path = rest.partition("/")
            name, _, port = netloc.rpartition(":")
            other = name if port.isdecimal() else f"{netloc}:{_PORTS[scheme]}"
            yield f"{scheme}://{other}{slash}{path}"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show what is set, with a mask in place of the secret."""
        shown = [("name", self.name), ("scheme", self.scheme), ("secret", MASK), ("url", self.url)]
        return [(name, value) for name, value in shown if value]

    def __repr__(self) -> str:
        """Show the same, as it is written."""
        shown = [
            repr(value) if name == "name" else f"{name}={value!r}"
            for name, value in self.__rich_repr__()
        ]
        return f"{type(self).__name__}({', '.join(shown)})"
