"""Requests checked and signed as a :class:`~hooknb.workflow.auth.words.Scheme` describes it.

Comparisons take the same time wherever the first difference stands. What is signed are the bytes
as received.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from hooknb import paths
from hooknb.errors import PayloadError
from hooknb.paths import MISSING
from hooknb.payloads import decode_json
from hooknb.workflow.auth.base import AuthFailure
from hooknb.workflow.auth.messages import (
    SECOND,
    Message,
    as_text,
    decode,
    encode,
    put,
    read_time,
    usual,
    write_time,
)
from hooknb.workflow.auth.words import Scheme

__all__ = ["Additions", "check", "sign"]

_SIZES: Final = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}  # bytes
_MAX_SIGNATURES: Final = 100  # in one request: DocuSign's; others send two or three at most
_JWT_PARTS: Final = 3
_MAX_SECONDS: Final = 10**15  # since 1970, that a token may name: 31 million years
# JSON has fields that are left out, as Adyen's are, and forms have empty ones.
_MUST_BE_THERE: Final = frozenset({"header", "query", "pair", "position"})


class _FailureError(Exception):
    """Ends a check: carries why the request is not let in."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.failure = AuthFailure(reason=reason, detail=detail)


@dataclass(kw_only=True, slots=True)
class _Signed:
    """A message under a scheme: what is signed in it, and what stands beside the signature.

    Attributes
    ----------
    item
        The value in which paths begin: the body's, or one element of a list.
    pairs, positions
        What stands in the signature's own header besides.
    timestamp
        As it is sent.
    """

    scheme: Scheme
    message: Message
    item: Any = MISSING
    pairs: dict[str, str] = field(default_factory=dict)
    positions: list[str] = field(default_factory=list)
    timestamp: str = ""

    def find(self, source: str) -> str:
        """Return the text that stands at a source; ``""`` where nothing does."""
        word, _, name = source.partition(":")
        if word == "header":
            return self.message.headers.get(usual(name), "")
        if word == "json":
            return as_text(MISSING if self.item is MISSING else paths.get(self.item, name))
        if word == "pair":
            return self.pairs.get(name, "")
        if word == "position":
            return next(iter(self.positions), "")
        pairs = self.message.query if word == "query" else self.message.form
        return next((value for key, value in pairs or () if key == name), "")

    def content(self, secret: bytes = b"") -> bytes:
        """Return the bytes that are signed."""
        message = self.message
        pieces: list[bytes] = []
        for word, name in self.scheme.parts:
            if word == "body":
                pieces.append(message.body or b"")
            elif word == "secret":
                pieces.append(secret)
            elif word in {"", "form", "query", "json"}:
                pieces.append(self._value(word, name).encode("utf-8", "surrogateescape"))
            else:
                # Heads are read as Latin-1, which loses no byte.
                pieces.append(self._value(word, name).encode("latin-1", "replace"))
        return b"".join(pieces)

    def _value(self, word: str, name: str) -> str:
        if name:
            return self.find(f"{word}:{name}") if word else name
        message = self.message
        if word == "form":
            return "".join(key + value for key, value in sorted(set(message.form or ())))
        if word == "query":
            pairs = sorted(pair for pair in message.query if pair[0] != self.scheme.query)
            return "&".join(f"{_escape(key, '%&=')}={_escape(value, '%&')}" for key, value in pairs)
        values = {
            "timestamp": lambda: self.timestamp,
            "id": lambda: self.find(self.scheme.id),
            "path": lambda: urlsplit(message.url).path,
            "method": lambda: message.method,
            "url": lambda: message.url,
        }
        return values[word]()

    def signature(self, secret: str) -> str:
        """Return the signature with a secret, without its prefix."""
        scheme = self.scheme
        if scheme.has_public_key:
            from hooknb.workflow.auth import public_keys

            loaded = public_keys.load_key(scheme.kind, scheme.key, secret)
            return encode(public_keys.sign(loaded, scheme.digest, self.content()), scheme.encoding)
        if scheme.kind == "token" and scheme.encoding == "plain":
            return secret
        key = scheme.read_key(secret)
        if scheme.kind == "token":
            return encode(key, scheme.encoding)
        content = self.content(key)
        if scheme.kind == "digest":
            return encode(hashlib.new(scheme.digest, content).digest(), scheme.encoding)
        return encode(hmac.digest(key, content, scheme.digest), scheme.encoding)

    def is_signed_by(self, signatures: Sequence[str], keys: Sequence[str]) -> bool:
        """Return whether one of the signatures is that of one of the keys."""
        scheme, found = self.scheme, False
        if scheme.has_public_key:
            from hooknb.workflow.auth import public_keys

            content = self.content()
            decoded = [decode(text, scheme.encoding) or b"" for text in signatures]
            for key in keys:
                loaded = public_keys.load_key(scheme.kind, scheme.key, key)
                found |= any(
                    public_keys.verify(loaded, scheme.digest, one, content) for one in decoded
                )
            return found
        # Heads are read as Latin-1, which loses no byte.
        charset = "utf-8" if scheme.field or scheme.query else "latin-1"
        sent = [text.encode(charset, "surrogateescape") for text in signatures]
        for key in keys:
            expected = self.signature(key).encode()
            for text in sent:
                found |= hmac.compare_digest(text, expected)
                if scheme.encoding == "hex" and scheme.kind != "token":
                    found |= hmac.compare_digest(text, expected.upper())
        return found


# -- checking


def check(scheme: Scheme, messages: Sequence[Message], keys: Sequence[str]) -> AuthFailure | None:
    """Return why a request is not let in, or ``None``.

    Parameters
    ----------
    scheme
        What its sender does.
    messages
        The request, once for each URL by which the sender may know it. Without a body only the head
        is judged.
    keys
        The secrets; one that fits is enough.
    """
    try:
        if messages[0].body is None and scheme.field:
            return None
        for item in _items(scheme, messages[0]):
            _check_item(scheme, messages, item, keys)
    except _FailureError as error:
        return error.failure
    return None


def _items(scheme: Scheme, message: Message) -> list[Any]:
    if not scheme.each:
        # Nobody asks for the value of a body that is signed as it is.
        return [message.json if scheme.reads_json else MISSING]
    # A list would be looked through by paths.get, and what else stands in it proven by nothing.
    items = paths.get(message.json, scheme.each) if isinstance(message.json, dict) else MISSING
    if not isinstance(items, list) or not items:
        detail = f"The body has no list {scheme.each}, whose elements are signed."
        raise _FailureError(f"missing {scheme.noun}", detail)
    return items


def _check_item(
    scheme: Scheme, messages: Sequence[Message], item: Any, keys: Sequence[str]
) -> None:
    signed = _Signed(scheme=scheme, message=messages[0], item=item)
    signatures = _received(signed)
    if scheme.kind == "jwt":
        _check_token(signed, messages, signatures, keys)
        return
    is_head = messages[0].body is None
    if scheme.timestamp and not (is_head and scheme.timestamp.startswith("json:")):
        signed.timestamp = _judge_time(signed)
    _check_parts(signed)
    if is_head and scheme.needs_body:
        return
    if messages[0].form is None:
        _check_unsigned_body(signed)
    found = False
    for message in messages:
        signed.message = message
        found |= signed.is_signed_by(signatures, keys)
    if not found:
        detail = f"The {scheme.noun} in the {scheme.place} does not match."
        raise _FailureError(f"{scheme.noun} does not match", detail)


def _received(signed: _Signed) -> list[str]:
    """Return the signatures that a request has, without their prefixes.

    What stands beside them in their header is noted.
    """
    scheme = signed.scheme
    values = [value for value in _values(signed) if value]
    if not values:
        raise _FailureError(f"missing {scheme.noun}", f"The {scheme.place} is missing.")
    if scheme.format == "plain":
        texts = values
    else:
        texts = [text.strip() for value in values for text in value.split(scheme.separator)]
    if scheme.format == "positional":
        signed.positions, texts = texts[:1], texts[1:]
    elif scheme.format == "pairs":
        pairs = [(name, text) for name, sign, text in (t.partition("=") for t in texts) if sign]
        signed.pairs = dict(reversed(pairs))  # the first of a name counts
        texts = [text for name, text in pairs if name == scheme.pair]
    signatures = [
        text.removeprefix(prefix)
        for text in texts[:_MAX_SIGNATURES]
        for prefix in [next((one for one in scheme.longest_prefixes if text.startswith(one)), None)]
        if prefix is not None
    ]
    if not any(_is_formed(scheme, text) for text in signatures):
        detail = f"The {scheme.place} does not hold a {scheme.noun} of the form that is expected."
        raise _FailureError(f"malformed {scheme.noun}", detail)
    return signatures


def _values(signed: _Signed) -> list[str]:
    scheme, headers = signed.scheme, signed.message.headers
    if scheme.query:
        return [signed.find(f"query:{scheme.query}")]
    if scheme.field:
        value = MISSING if signed.item is MISSING else paths.get(signed.item, scheme.field)
        return [value] if isinstance(value, str) else []
    values = []
    for name in scheme.headers:
        if name.endswith("*"):
            values += [text for key, text in headers.items() if key.startswith(name[:-1])]
        elif name in headers:
            values.append(headers[name])
    return values


def _is_formed(scheme: Scheme, text: str) -> bool:
    """Return whether a text can be a signature: by its length and its characters."""
    if scheme.kind == "token":
        return bool(text)
    if scheme.kind == "jwt":
        return text.count(".") == _JWT_PARTS - 1
    decoded = decode(text, scheme.encoding)
    if decoded is None:
        return False
    return scheme.has_public_key or len(decoded) == _SIZES[scheme.digest]


def _check_parts(signed: _Signed) -> None:
    """Refuse a request that lacks a part: its neighbours could be moved into its place."""
    scheme = signed.scheme
    for word, name in scheme.parts:
        source = scheme.id if word == "id" else f"{word}:{name}" if name else ""
        if source.partition(":")[0] in _MUST_BE_THERE and not signed.find(source):
            detail = f"It is signed with {source.replace(':', ' ', 1)}, which is missing."
            raise _FailureError(f"malformed {scheme.noun}", detail)


def _judge_time(signed: _Signed) -> str:
    """Return the timestamp as it was sent."""
    scheme, received_at = signed.scheme, signed.message.at
    text = signed.find(scheme.timestamp)
    signed_at = read_time(text, scheme.unit)
    if signed_at is None:
        detail = "The time of signing is missing, or not of the form that is expected."
        raise _FailureError(f"malformed {scheme.noun}", detail)
    away = abs(received_at - signed_at)
    if scheme.tolerance is not None and away > scheme.tolerance * SECOND:
        order = "before" if signed_at < received_at else "after"
        detail = (
            f"It was signed {away // SECOND:,} s {order} it was received, and this hook allows for "
            f"{scheme.tolerance:g} s."
        )
        raise _FailureError("stale timestamp", detail)
    return text


def _check_unsigned_body(signed: _Signed) -> None:
    """Refuse a body that is not a form where forms are signed, unless its hash is sent along."""
    scheme, body = signed.scheme, signed.message.body or b""
    if not scheme.body_sha256:
        if body and scheme.signs_form_alone:
            detail = "The body is not a form, and nothing else is signed of it."
            raise _FailureError("signature does not match", detail)
        return
    sent = signed.find(scheme.body_sha256)
    if not sent and not body:
        return
    digest = hashlib.sha256(body).hexdigest()
    if not hmac.compare_digest(sent.encode("latin-1", "replace"), digest.encode()):
        detail = "The body is not a form, and its hash is not the one that was sent along."
        raise _FailureError("signature does not match", detail)


# -- tokens of JSON


def _check_token(
    signed: _Signed, messages: Sequence[Message], tokens: Sequence[str], keys: Sequence[str]
) -> None:
    scheme, message = signed.scheme, signed.message
    found = [_claims(scheme, token, key) for token in tokens for key in keys]
    claims = next((one for one in found if one is not None), None)
    if claims is None or (scheme.issuer and claims.get("iss") != scheme.issuer):
        detail = f"The token in the {scheme.place} is not one of this sender's."
        raise _FailureError("token does not match", detail)
    _judge_claims(scheme, claims, message.at / SECOND)
    if message.body is None and scheme.needs_body:
        return
    bound = [(scheme.body_claim, [message.body or b""], "body")]
    bound.append((scheme.url_claim, [_bytes(one.url) for one in messages], "URL"))
    for claim, contents, what in bound:
        sent = claims.get(claim)
        hashes = [encode(hashlib.sha256(one).digest(), scheme.encoding) for one in contents]
        if not claim or (sent is None and contents == [b""]):
            continue  # what is not there has no hash
        if not (
            isinstance(sent, str)
            and any(hmac.compare_digest(_bytes(sent), one.encode()) for one in hashes)
        ):
            raise _FailureError("token does not match", f"The token is that of another {what}.")


def _judge_claims(scheme: Scheme, claims: Mapping[str, Any], now: float) -> None:
    """Judge the times of a token (RFC 7519, section 4.1); ``now`` in seconds since 1970."""
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if not all(
        type(time) in {int, float} and abs(time) < _MAX_SECONDS for time in times.values()
    ) or (scheme.tolerance is not None and "iat" not in times):
        raise _FailureError("malformed token", "The token does not say when it was issued.")
    if (
        now > times.get("exp", now)
        or now < times.get("nbf", now)
        or (scheme.tolerance is not None and abs(now - times["iat"]) > scheme.tolerance)
    ):
        detail = "The token has expired, or is not valid yet."
        raise _FailureError("stale timestamp", detail)


def _claims(scheme: Scheme, token: str, secret: str) -> dict[str, Any] | None:
    """Return the claims of a token that a secret has signed (RFC 7515), or ``None``."""
    content, _, signature = token.rpartition(".")
    digest = hmac.digest(scheme.read_key(secret), _bytes(content), scheme.digest)
    if not hmac.compare_digest(_bytes(signature), encode(digest, "base64url").encode()):
        return None
    try:
        header, claims = (
            decode_json(decode(part, "base64url") or b"") for part in content.split(".")
        )
    except (PayloadError, ValueError):
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    is_plain = header.get("alg") == _algorithm(scheme) and "crit" not in header
    return claims if is_plain else None


def _token(signed: _Signed, secret: str) -> str:
    scheme, message = signed.scheme, signed.message
    claims: dict[str, Any] = {"iat": message.at // SECOND}
    if scheme.issuer:
        claims["iss"] = scheme.issuer
    for claim, content in (
        (scheme.body_claim, message.body or b""),
        (scheme.url_claim, _bytes(message.url)),
    ):
        if claim:
            claims[claim] = encode(hashlib.sha256(content).digest(), scheme.encoding)
    header = {"alg": _algorithm(scheme), "typ": "JWT"}
    content = b".".join(
        encode(msgspec.json.encode(part), "base64url").encode() for part in (header, claims)
    )
    digest = hmac.digest(scheme.read_key(secret), content, scheme.digest)
    return f"{content.decode()}.{encode(digest, 'base64url')}"


def _algorithm(scheme: Scheme) -> str:
    return scheme.digest.replace("sha", "HS")


# -- signing


@dataclass
class Additions:
    """What a signature adds to a message, collected while it is made.

    Attributes
    ----------
    message
        With what has been added so far; its body is another one where the signature, or its time,
        stands in the body.
    fields, query
        The header fields and the query parameters to add.
    """

    message: Message
    fields: list[tuple[str, str]] = field(default_factory=list)
    query: list[tuple[str, str]] = field(default_factory=list)

    def add(self, source: str, text: str, scheme: Scheme) -> None:
        """Put a value at a source; what stands beside the signature comes with it."""
        word, _, name = source.partition(":")
        message = self.message
        if word == "header":
            self.fields.append((name, text))
            self.message = replace(message, headers={**message.headers, usual(name): text})
        elif word == "query":
            self.query.append((name, text))
            sign = "&" if urlsplit(message.url).query else "?"
            self.message = replace(message, url=message.url + sign + urlencode({name: text}))
        elif word == "json" and message.json is not MISSING:
            changed = [
                put(item, name, int(text) if text.isdecimal() else text)
                for item in _own_items(scheme, message)
            ]
            if any(changed):
                self.message = replace(message, body=msgspec.json.encode(message.json))


def sign(scheme: Scheme, message: Message, secret: str) -> Additions | None:
    """Sign a message that is about to be sent.

    Returns
    -------
    Additions or None
        What the signature adds. ``None`` where it is not signed: there is only the public key, or
        the signature belongs into the body, which has one already or is not an object of JSON.
    """
    if not _can_sign(scheme, message, secret):
        return None
    made = Additions(message)
    if scheme.id.startswith("header:") and not _Signed(scheme=scheme, message=message).find(
        scheme.id
    ):
        made.add(scheme.id, f"msg_{secrets.token_hex(12)}", scheme)
    timestamp = write_time(message.at, scheme.unit) if scheme.timestamp else ""
    made.add(scheme.timestamp, timestamp, scheme)
    if scheme.body_sha256 and message.form is None and message.body:
        made.add(scheme.body_sha256, hashlib.sha256(message.body).hexdigest(), scheme)
    signed = _Signed(scheme=scheme, message=made.message, timestamp=timestamp)
    if scheme.field:
        return made if _sign_items(signed, made, secret) else None
    signed.item = made.message.json if scheme.reads_json else MISSING
    text = _token(signed, secret) if scheme.kind == "jwt" else signed.signature(secret)
    place = f"query:{scheme.query}"
    if not scheme.query:
        place = f"header:{scheme.headers[0].replace('*', '1')}"
    made.add(place, _formatted(scheme, timestamp, text), scheme)
    return made


def _can_sign(scheme: Scheme, message: Message, secret: str) -> bool:
    if scheme.has_public_key:
        from hooknb.workflow.auth import public_keys

        return public_keys.can_sign(public_keys.load_key(scheme.kind, scheme.key, secret))
    items = _own_items(scheme, message) if scheme.field else []
    return not any(_values(_Signed(scheme=scheme, message=message, item=item)) for item in items)


def _formatted(scheme: Scheme, timestamp: str, text: str) -> str:
    """Write a signature as it stands in its place."""
    text = scheme.prefixes[0] + text
    if scheme.format == "positional":
        return f"{timestamp}{scheme.separator}{text}"
    if scheme.format != "pairs":
        return text
    word, _, name = scheme.timestamp.partition(":")
    before = f"{name}={timestamp}{scheme.separator}" if word == "pair" else ""
    return f"{before}{scheme.pair}={text}"


def _own_items(scheme: Scheme, message: Message) -> list[Any]:
    """Return the values in a body that are signed one by one."""
    if message.json is MISSING:
        return []
    items = paths.get(message.json, scheme.each) if scheme.each else [message.json]
    return items if isinstance(items, list) else []


def _sign_items(signed: _Signed, made: Additions, secret: str) -> bool:
    """Put the signatures into a body; return whether they have a place there."""
    scheme, items = signed.scheme, _own_items(signed.scheme, signed.message)
    for item in items:
        text = scheme.prefixes[0] + replace(signed, item=item).signature(secret)
        if not put(item, scheme.field, text):
            return False
    made.message = replace(made.message, body=msgspec.json.encode(signed.message.json))
    return bool(items)


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def _escape(text: str, characters: str) -> str:
    return "".join(f"%{ord(one):02X}" if one in characters else one for one in text)
