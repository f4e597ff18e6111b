"""What callers must send to be let in: one module for each scheme.

A scheme checks a received request, and applies itself to one that is about to be sent; nobody
else knows how it works. Another one is another module, and a line in ``SCHEMES``. A sender that
signs is a row of ``providers.toml``, in the words of :class:`Scheme`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from hooknb.errors import SettingError
from hooknb.workflow.auth.base import Auth, AuthFailure, IncomingRequest, Outgoing
from hooknb.workflow.auth.basic import BasicAuth, split_credentials
from hooknb.workflow.auth.providers import Provider, find_provider, load_providers
from hooknb.workflow.auth.several import AllOf
from hooknb.workflow.auth.signature import Signature
from hooknb.workflow.auth.tokens import Bearer, HeaderToken
from hooknb.workflow.auth.words import Scheme

__all__ = [
    "SCHEMES",
    "AllOf",
    "Auth",
    "AuthFailure",
    "BasicAuth",
    "Bearer",
    "HeaderToken",
    "IncomingRequest",
    "Outgoing",
    "Provider",
    "Scheme",
    "Signature",
    "find_provider",
    "load_providers",
    "read_auth",
    "split_credentials",
    "write_auth",
]

SCHEMES: Final[tuple[type[Auth], ...]] = (BasicAuth, Bearer, HeaderToken, Signature)

# The one whose definitions carry no "type": stores hold them since before there were others.
_UNTAGGED: Final[type[Auth]] = BasicAuth


def write_auth(data: dict[str, Any], *, secrets: bool) -> dict[str, Any] | list[dict[str, Any]]:
    """Return the JSON of a scheme, of its tagged fields; ``null`` where a secret is left out.

    Several schemes are a list.
    """
    if data["type"] == AllOf.__struct_config__.tag:
        return [_write(one, secrets=secrets) for one in data["schemes"]]
    return _write(data, secrets=secrets)


def _write(data: dict[str, Any], *, secrets: bool) -> dict[str, Any]:
    kind = _kind(data["type"])
    fields = {name: value for name, value in data.items() if name != "type"}
    if not (secrets and fields[kind.secret_field]):
        fields[kind.secret_field] = None
    return fields if kind is _UNTAGGED else {"type": data["type"], **fields}


def read_auth(value: Any, secret: str | Sequence[str] | None = None) -> Auth:
    """Make the scheme that a definition in JSON names.

    Parameters
    ----------
    value
        As :func:`write_auth` returned it.
    secret
        Taken in place of the one in the JSON; of several schemes, in place of those that are left
        out there, in order. Where neither is there, the scheme is made without: it can be shown
        and not served.

    Raises
    ------
    SettingError
        It is not an object, or it names an unknown scheme, an unknown field or a wrong value.
    """
    if not isinstance(value, list):
        return _read(value, secret if secret is None or isinstance(secret, str) else [*secret])
    given = iter([secret] if isinstance(secret, str) else secret or ())
    made = AllOf(tuple(_read_one_of(one, given) for one in value))
    if next(given, None) is not None:
        raise SettingError("password", "there are more of them than secrets that are left out")
    return made


def _read_one_of(value: Any, given: Iterator[str]) -> Auth:
    made = _read(value, None)
    secret = None if made.is_complete else next(given, None)
    return made if secret is None else _read(value, secret)


def _read(value: Any, secret: str | list[str] | None) -> Auth:
    if not isinstance(value, dict):
        raise SettingError("auth", 'write {"user": "…", "password": "…"}')
    kind = _kind(value["type"]) if "type" in value else _UNTAGGED
    known = kind.__struct_fields__
    for name in value:
        if name not in {*known, "type"}:
            raise SettingError(f"auth.{name}", f"it has only {', '.join(known)}")
    required = [field.name for field in msgspec.structs.fields(kind) if field.required]
    fields = {**dict.fromkeys(required), **value}
    fields.pop("type", None)
    if secret is not None:
        fields[kind.secret_field] = secret
    is_left_out = fields[kind.secret_field] is None
    return kind.without_secret(fields) if is_left_out else kind(**fields)


def _kind(tag: Any) -> type[Auth]:
    for kind in SCHEMES:
        if kind.__struct_config__.tag == tag:
            return kind
    known = ", ".join(str(kind.__struct_config__.tag) for kind in SCHEMES)
    raise SettingError("auth.type", f"{tag!r} is not a scheme; write one of {known}")
