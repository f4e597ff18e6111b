"""How a sender signs a request, in words: what is signed, with which key, where it stands."""

from __future__ import annotations

import base64
import re
from functools import cached_property, lru_cache
from string import Formatter
from typing import Final, Literal, NamedTuple

import msgspec

from hooknb import paths
from hooknb.errors import SettingError
from hooknb.payloads.headers import TOKEN
from hooknb.workflow.auth.messages import usual

__all__ = ["Part", "Scheme", "split_template"]

_PUBLIC: Final = frozenset({"ed25519", "ecdsa", "rsa"})
_SOURCES: Final = frozenset({"header", "query", "json", "form", "pair", "position"})
_WORDS: Final = frozenset(
    {"body", "timestamp", "id", "method", "url", "path", "query", "form", "secret"}
)
_MAX_NUMBERED: Final = 100  # header fields of one name with numbers behind (DocuSign)
_PUBLIC_PEM: Final = re.compile("-----BEGIN [A-Z ]*(?:PUBLIC KEY|CERTIFICATE)")
_OF_BODY: Final = frozenset({"body", "form", "json"})


class Part(NamedTuple):
    """A piece of what is signed: a literal (its word is ``""``), a word, or a source."""

    word: str
    name: str


class Scheme(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    repr_omit_defaults=True,
    dict=True,
):
    """How a sender signs its requests. One of ``header``, ``query`` and ``field`` says where.

    A *source* is a text that says where a value stands: ``header:X-Time``, ``query:ts``,
    ``json:meta.time`` (a path in the JSON body), ``form:time``, and beside the signature in its
    own header ``pair:t`` or ``position:0`` (the first of ``positional``).

    Attributes
    ----------
    kind
        ``hmac``; ``digest``, a hash over a text that holds ``{secret}``; ``token``, where the
        secret itself is sent; ``jwt``, a token that is signed with it (HS256, with ``digest``);
        ``ed25519``, ``ecdsa`` and ``rsa`` (PKCS #1 v1.5), whose secret is the sender's public key
        and which need the extra ``hooknb[signatures]``.
    header
        The field that holds the signature, or several of which each is looked at; a name that ends
        with ``*`` stands for all that begin like that, and end with a number from 1.
    query
        The query parameter that holds it. A ``token`` there is kept and shown with its delivery.
    field
        The path in the JSON body at which it stands; a ``token`` there is shown with the body.
    each
        The path of a list in the JSON body whose elements are signed one by one: ``field`` and
        ``json:`` begin at the element, and each must be signed.
    format
        ``plain``, the signature alone; ``list``, several with ``separator`` between; ``pairs``,
        ``name=value`` with ``separator`` between; ``positional``, values with ``separator``
        between, of which the first is the timestamp and the others are signatures.
    separator
        See ``format``.
    pair
        The name of the signature in ``pairs``.
    prefix
        What stands before a signature, or several of which any one may; ``""`` among them lets it
        be left out.
    signed
        What is signed: text with ``{body}``, ``{timestamp}``, ``{id}``, ``{method}``, ``{url}``
        (the public one, whole), ``{path}``, ``{form}`` (names and values of the form's fields,
        sorted), ``{query}`` (the parameters but the signature, sorted, as ``a=1&b=2``),
        ``{secret}``, or a source such as ``{header:X-Request-Id}`` and ``{json:data.id}``. An
        id, a header or a query parameter that is signed must be there; what JSON lacks counts as
        ``""``.
    key
        How the secret is written: ``utf8``, ``hex``, ``base64``, or ``whsec`` (Base64, with or
        without ``whsec_`` before it).
    digest
        ``sha1``, ``sha256``, ``sha384`` or ``sha512``.
    encoding
        Of the signature: ``hex``, ``base64``, ``base64url`` (without padding), or ``plain`` for a
        token that is sent as it is.
    timestamp
        The source of the time of signing.
    unit
        How it is written: ``s`` or ``ms`` since 1970, ``iso`` (RFC 3339), ``http`` (RFC 9110).
    tolerance
        Seconds by which it may differ from the time of receipt, either way; ``None`` where it is
        not judged. Of a ``jwt``: how old it may be, by the claim ``iat``.
    id
        The source of the message's id.
    body_sha256
        The source of the body's SHA-256 in hexadecimal, which must be there where the body is not
        a form (Twilio).
    issuer
        Of a ``jwt``; ``""`` where it is not judged.
    body_claim, url_claim
        The claims of a ``jwt`` that hold the SHA-256 of the body and of the URL, in ``encoding``.
    """

    kind: Literal["hmac", "digest", "token", "jwt", "ed25519", "ecdsa", "rsa"] = "hmac"
    header: str | tuple[str, ...] = ()
    query: str = ""
    field: str = ""
    each: str = ""
    format: Literal["plain", "list", "pairs", "positional"] = "plain"
    separator: str = ","
    pair: str = ""
    prefix: str | tuple[str, ...] = ""
    signed: str = "{body}"
    key: Literal["utf8", "hex", "base64", "whsec"] = "utf8"
    digest: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256"
    encoding: Literal["hex", "base64", "base64url", "plain"] = "hex"
    timestamp: str = ""
    unit: Literal["s", "ms", "iso", "http"] = "s"
    tolerance: float | None = None
    id: str = ""
    body_sha256: str = ""
    issuer: str = ""
    body_claim: str = ""
    url_claim: str = ""

    def __post_init__(self) -> None:
        """Refuse a description that contradicts itself."""
        for name in ("header", "prefix"):
            if isinstance(value := getattr(self, name), list):
                msgspec.structs.force_setattr(self, name, tuple(value))
        try:
            msgspec.convert(
                {name: getattr(self, name) for name in self.__struct_fields__}, _Typed, strict=True
            )
        except msgspec.ValidationError as error:
            raise SettingError("scheme", str(error)) from None
        self._check_place()
        self._check_digest()
        words = {part.word for part in self.parts}
        for name in ("timestamp", "id"):
            if name in words and not getattr(self, name):
                raise SettingError(f"scheme.{name}", f"{{{name}}} is signed; write where it stands")
        if self.tolerance is not None and not (
            self.tolerance > 0 and (self.timestamp or self.kind == "jwt")
        ):
            raise SettingError("scheme.tolerance", "it is in seconds, and needs a timestamp")
        if self.kind != "jwt" and self.tolerance is not None and not self._signs_timestamp:
            raise SettingError(
                "scheme.tolerance",
                "the timestamp is not signed, so that anybody can change it; write {timestamp} "
                "into signed, or leave out tolerance",
            )
        if self.kind not in {"token", "jwt"} and not words - {"", "secret"}:
            raise SettingError("scheme.signed", "nothing of the request is signed; write {body}")

    def _check_source(self, setting: str, text: str) -> None:
        word, _, name = text.partition(":")
        if (
            not name
            or word not in _SOURCES
            or (word == "position" and name != "0")
            or (word == "header" and not TOKEN.fullmatch(name))
        ):
            raise SettingError(setting, f"{text!r} is not a source such as header:X-Time")
        needed = {"pair": "pairs", "position": "positional"}.get(word)
        if needed and self.format != needed:
            raise SettingError(setting, f"{text!r} needs format={needed!r}")
        if word == "header" and usual(name) in self.headers:
            raise SettingError(setting, f"{text!r} holds the signature; name a part of it: pair:t")
        if word == "json":
            paths.parse(name)

    def _check_digest(self) -> None:
        has_secret = any(part.word == "secret" for part in self.parts)
        for is_right, name, problem in (
            (
                (self.kind == "digest") == has_secret,
                "signed",
                "a digest needs {secret}, and nothing else has it",
            ),
            (
                self.encoding != "plain" or self.kind == "token",
                "encoding",
                "only a token is sent as it is; write 'hex'",
            ),
            (
                self.kind != "jwt" or self.digest != "sha1",
                "digest",
                "no token of JSON is signed with SHA-1; write 'sha256'",
            ),
        ):
            if not is_right:
                raise SettingError(f"scheme.{name}", problem)

    def _check_place(self) -> None:
        is_positional = self.format == "positional"
        for is_right, name, problem in (
            (
                sum(map(bool, (self.header, self.query, self.field))) == 1,
                "header",
                "write one of header, query and field",
            ),
            (self.prefixes, "prefix", "the list is empty; write '' for none"),
            (self.separator, "separator", "it is empty; write ','"),
            (
                (self.format == "pairs") == bool(self.pair),
                "pair",
                "the format 'pairs' needs it, and no other has it",
            ),
            (
                not is_positional or self.timestamp == "position:0",
                "timestamp",
                "the format 'positional' has it at position:0",
            ),
            (self.field or not self.each, "each", "it needs field, the path in each element"),
        ):
            if not is_right:
                raise SettingError(f"scheme.{name}", problem)
        names = (self.header,) if isinstance(self.header, str) else self.header
        for name in names if self.header else ():
            if not TOKEN.fullmatch(name) or name == "*":
                problem = f"{name!r} is not the name of a header; write 'X-Signature'"
                raise SettingError("scheme.header", problem)
        for name in ("timestamp", "id", "body_sha256"):
            if text := getattr(self, name):
                self._check_source(f"scheme.{name}", text)
        for word, name in split_template(self.signed):
            if word and name:
                self._check_source("scheme.signed", f"{word}:{name}")
        for place in (self.field, self.each):
            paths.parse(place)

    @cached_property
    def binds_body(self) -> bool:
        """Whether the whole body is proven; otherwise only where the request comes from."""
        if self.kind in {"token", "jwt"}:
            return bool(self.body_claim)
        return any(part in {("body", ""), ("form", "")} for part in self.parts)

    @cached_property
    def signs_form_alone(self) -> bool:
        """Whether a body is signed by its fields as a form, and not as it is."""
        return Part("form", "") in self.parts and Part("body", "") not in self.parts

    @cached_property
    def needs_body(self) -> bool:
        """Whether the head alone does not tell if it is right."""
        if self.field or self.body_claim or self.body_sha256 or self.timestamp.startswith("json:"):
            return True
        return self.kind not in {"token", "jwt"} and any(
            part.word in _OF_BODY for part in self.parts
        )

    @cached_property
    def _signs_timestamp(self) -> bool:
        """Whether the time is a part of what is signed: by itself, or in what holds it."""
        if self.kind == "token":
            return False
        word, _, name = self.timestamp.partition(":")
        whole = {"json": {"body"}, "form": {"body", "form"}, "query": {"query", "url"}}
        name = usual(name) if word == "header" else name
        return any(
            part.word == "timestamp"
            or (not part.name and part.word in whole.get(word, ()))
            or (part.word == word and (usual(part.name) if word == "header" else part.name) == name)
            for part in self.parts
        )

    @cached_property
    def signs_url(self) -> bool:
        """Whether the URL is a part of what is signed."""
        return bool(self.url_claim) or any(part.word in {"url", "path"} for part in self.parts)

    @cached_property
    def has_public_key(self) -> bool:
        """Whether its secret is a public key."""
        return self.kind in _PUBLIC

    @cached_property
    def carriers(self) -> frozenset[str]:
        """The header fields that are made anew with each signature, in lower case."""
        kind, _, name = self.timestamp.partition(":")
        return self.signature_carriers | ({name.lower()} if kind == "header" else set())

    @cached_property
    def signature_carriers(self) -> frozenset[str]:
        """The header fields that can hold the signature, in lower case."""
        numbers = range(1, _MAX_NUMBERED + 1)
        return frozenset(
            one.lower()
            for name in self.headers
            for one in (
                [f"{name[:-1]}{number}" for number in numbers] if name.endswith("*") else [name]
            )
        )

    @cached_property
    def headers(self) -> tuple[str, ...]:
        """The names in ``header``, in the usual spelling."""
        names = (self.header,) if isinstance(self.header, str) else self.header
        return tuple(map(usual, names)) if self.header else ()

    @cached_property
    def prefixes(self) -> tuple[str, ...]:
        """Those in ``prefix``."""
        return (self.prefix,) if isinstance(self.prefix, str) else self.prefix

    @cached_property
    def longest_prefixes(self) -> tuple[str, ...]:
        """The same, the longest first: an empty one stands before everything."""
        return tuple(sorted(self.prefixes, key=len, reverse=True))

    @cached_property
    def reads_json(self) -> bool:
        """Whether the value of the body is looked at, not its bytes alone."""
        return bool(self.field) or (
            any(part.word == "json" for part in self.parts)
            or any(source.startswith("json:") for source in (self.timestamp, self.id))
        )

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What is signed, in its parts."""
        return split_template(self.signed)

    @cached_property
    def noun(self) -> str:
        """What it sends: a signature or a token."""
        return "token" if self.kind in {"token", "jwt"} else "signature"

    @cached_property
    def place(self) -> str:
        """Where that stands, in words."""
        if self.query:
            return f"query parameter {self.query}"
        return f"field {self.field} of the body" if self.field else f"header {self.headers[0]}"

    def read_key(self, secret: str) -> bytes:
        """Return the bytes of a shared secret.

        Raises
        ------
        ValueError
            It is not written in the form of ``key``.
        """
        if self.key == "hex":
            return bytes.fromhex(secret)
        if self.key == "utf8":
            return secret.encode()
        if self.key == "whsec":
            secret = secret.removeprefix("v1,").removeprefix("whsec_")
        return base64.b64decode(secret, validate=True)

    def check_secret(self, secret: str) -> None:
        """Refuse a secret that cannot be one of this sender's.

        Raises
        ------
        SettingError
            It is not written as ``key`` says, has blanks around it, or is a public key where it
            should not be one, or the other way round.
        """
        if not self.has_public_key and secret != secret.strip():
            raise SettingError("auth.secret", "it begins or ends with blanks; strip() them")
        if not self.has_public_key and _PUBLIC_PEM.search(secret):
            raise SettingError(
                "auth.secret",
                "it is a public key, which everybody may have; describe a sender that signs with "
                "one by kind='rsa', 'ecdsa' or 'ed25519'",
            )
        form = (
            "a public key" if self.has_public_key else {"whsec": "Base64"}.get(self.key, self.key)
        )
        try:
            if self.has_public_key:
                from hooknb.workflow.auth import public_keys

                public_keys.load_key(self.kind, self.key, secret)
                return
            is_empty = not self.read_key(secret)
        except ValueError as error:
            if isinstance(error, SettingError):
                raise
            is_empty = True
        if is_empty:
            raise SettingError("auth.secret", f"it is not {form}; copy it from the sender")


class _Typed(Scheme, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same fields, for their types to be checked."""

    def __post_init__(self) -> None:
        """Check nothing more."""


@lru_cache(maxsize=512)
def split_template(template: str) -> tuple[Part, ...]:
    """Split the text that says what is signed into its parts.

    Raises
    ------
    SettingError
        It is not written as it should be.
    """
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        problem = f"{error}; double a brace that is signed itself"
        raise SettingError("scheme.signed", problem) from None
    parts: list[Part] = []
    for literal, word, name, conversion in pieces:
        if literal:
            parts.append(Part("", literal))
        if word is None:
            continue
        if conversion or word not in (_SOURCES if name else _WORDS):
            shown = f"{word}:{name}" if name else word
            known = ", ".join(sorted(_WORDS))
            raise SettingError(
                "scheme.signed",
                f"{{{shown}}} is not a part; write one of {known}, or a source such as "
                "{header:X-Time}",
            )
        parts.append(Part(word, name or ""))
    return tuple(parts)
