"""What callers must send to be let in: one module for each scheme.

A scheme checks a received request, and applies itself to one that is about to be sent; nobody
else knows how it works. Another one is another module, and a line in ``SCHEMES``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from hooknb.errors import SettingError
from hooknb.workflow.auth.basic import BasicAuth, split_credentials
from hooknb.workflow.auth.scheme import Auth, AuthFailure, IncomingRequest, Outgoing

__all__ = [
    "SCHEMES",
    "Auth",
    "AuthFailure",
    "BasicAuth",
    "IncomingRequest",
    "Outgoing",
    "read_auth",
    "split_credentials",
    "write_auth",
]

SCHEMES: Final[tuple[type[Auth], ...]] = (BasicAuth,)

# The one whose definitions carry no "type": stores hold them since before there were others.
_UNTAGGED: Final[type[Auth]] = BasicAuth


def write_auth(data: dict[str, Any], *, secrets: bool) -> dict[str, Any]:
    """Return the JSON of a scheme, of its tagged fields; ``null`` where a secret is left out."""
    kind = _kind(data["type"])
    fields = {name: value for name, value in data.items() if name != "type"}
    if not (secrets and fields[kind.secret]):
        fields[kind.secret] = None
    return fields if kind is _UNTAGGED else {"type": data["type"], **fields}


def read_auth(value: Any, secret: str | None = None) -> Auth:
    """Make the scheme that a definition in JSON names.

    Parameters
    ----------
    value
        As :func:`write_auth` gave it.
    secret
        Taken in place of the one in the JSON. Where neither is there, the scheme is made without:
        it can be shown and not served.

    Raises
    ------
    SettingError
        It is not an object, or it names an unknown scheme, an unknown field or a wrong value.
    """
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
        fields[kind.secret] = secret
    return kind.without_secret(fields) if fields[kind.secret] is None else kind(**fields)


def _kind(tag: Any) -> type[Auth]:
    for kind in SCHEMES:
        if kind.__struct_config__.tag == tag:
            return kind
    known = ", ".join(str(kind.__struct_config__.tag) for kind in SCHEMES)
    raise SettingError("auth.type", f"{tag!r} is not a scheme; write one of {known}")
