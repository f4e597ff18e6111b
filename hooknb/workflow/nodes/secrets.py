"""Credentials in the settings of nodes, recognized by the names of settings, and masked.

A value that consists of templates (``{{ env.TOKEN }}``) is not a secret: it only refers to one. It
may follow an authentication scheme.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

from hooknb.payloads.headers import MASK, SECRET_HEADERS

__all__ = [
    "MASK",
    "holds_mask",
    "is_secret_name",
    "masked_body",
    "masked_fields",
    "masked_url",
    "shown",
]

_NAME: Final = re.compile(
    r"key|pass|auth|sig|jwt|pwd|.*[^a-z](?:pwd|auth)"
    r"|.*(?:token|secret|password|passwd|passphrase|signature|credentials?"
    r"|(?:api|app|access|account|auth|private|secret|signing|subscription|functions)[-_]?key)",
    re.IGNORECASE | re.DOTALL,
)
_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*) (.*)", re.DOTALL)
_USERINFO: Final = re.compile(r"(?<=//)((?:\{\{.*?\}\}|[^/?#@])*)@", re.DOTALL)
_PARAMETER: Final = re.compile(r"([?&])([^=&#]*)=((?:\{\{.*?\}\}|[^&#])*)", re.DOTALL)


def is_secret_name(name: str) -> bool:
    """Whether a name is that of a credential: ``X-Api-Key``, ``access_token``."""
    return name.lower() in SECRET_HEADERS or _NAME.fullmatch(name) is not None


def masked_fields(fields: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return headers or a query with credentials masked; a scheme (``Bearer``) stays."""
    return {
        name: _masked(value) if isinstance(name, str) and is_secret_name(name) else value
        for name, value in fields.items()
    }


def masked_body(body: Any) -> Any:
    """Return a body in which texts under the name of a credential are masked.

    ``key`` alone does not count: in a body, it may name anything.
    """
    if isinstance(body, Mapping):
        return {
            name: _masked(value)
            if isinstance(value, str)
            and isinstance(name, str)
            and name.lower() != "key"
            and is_secret_name(name)
            else masked_body(value)
            for name, value in body.items()
        }
    return [masked_body(item) for item in body] if isinstance(body, (list, tuple)) else body


def masked_url(url: str) -> str:
    """Return a URL with its password and the credentials in its query masked."""

    def userinfo(found: re.Match[str]) -> str:
        user, colon, password = found[1].rpartition(":")
        return f"{user}{colon}{_masked(password)}@"

    def parameter(found: re.Match[str]) -> str:
        mark, name, value = found.groups()
        return f"{mark}{name}={_masked(value) if is_secret_name(unquote_plus(name)) else value}"

    return _PARAMETER.sub(parameter, _USERINFO.sub(userinfo, url, count=1))


def holds_mask(value: Any) -> bool:
    """Whether a value contains a mask, so that a credential is missing."""
    if isinstance(value, str):
        return MASK in value
    if isinstance(value, Mapping):
        return any(map(holds_mask, value.values()))
    return isinstance(value, (list, tuple)) and any(map(holds_mask, value))


def shown(value: Any) -> str:
    """Return a setting as text for a message, with credentials masked."""
    if isinstance(value, str):
        return repr(masked_url(value))
    if value and isinstance(value, (list, tuple)):  # it may contain credentials
        return f"a list of {len(value)}"
    return repr(masked_fields(value) if isinstance(value, dict) else value)


def _masked(value: Any) -> Any:
    if value is None or value == "":
        return value
    if not isinstance(value, str):
        return MASK
    scheme = _SCHEME.fullmatch(value)
    secret = value if scheme is None else scheme[2]
    if not _TEMPLATE.sub("", secret).strip():
        return value
    return MASK if scheme is None else f"{scheme[1]} {MASK}"
