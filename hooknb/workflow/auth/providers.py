"""The senders that are known by name: the rows of ``providers.toml``."""

from __future__ import annotations

import difflib
import tomllib
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from hooknb.errors import SettingError
from hooknb.workflow.auth.words import Scheme

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Provider", "find_provider", "load_providers", "read_providers"]


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sender that is known by name.

    Attributes
    ----------
    name
        In lower case, with hyphens: ``standard-webhooks``.
    title
        As it writes itself.
    source
        Where the facts of the row are from: a repository and a path, or a page of documentation.
    signature
        How it signs.
    """

    name: str
    title: str
    source: str
    signature: Scheme


@cache
def load_providers() -> Mapping[str, Provider]:
    """Return every known sender by its name."""
    text = resources.files("hooknb.workflow.auth").joinpath("providers.toml").read_text("utf-8")
    return MappingProxyType(read_providers(text))


def read_providers(text: str) -> dict[str, Provider]:
    """Read senders from TOML.

    A row without a ``signature`` has a line ``like``, the name of the row whose signature it has.

    Raises
    ------
    SettingError
        A row is wrong; its name is in the message.
    """
    rows: dict[str, dict[str, Any]] = tomllib.loads(text)
    return {name: _provider(name, row, rows) for name, row in rows.items()}


def _provider(name: str, row: Mapping[str, Any], rows: Mapping[str, Any]) -> Provider:
    place, like = f"providers.toml[{name}]", row.get("like")
    fields = {"name": name, **{key: value for key, value in row.items() if key != "like"}}
    if like is not None and "signature" not in rows.get(like, {}):
        raise SettingError(place, f"it is like {like!r}, which has no signature of its own")
    if like is not None:
        fields["signature"] = rows[like]["signature"]
    if "signature" not in fields:
        raise SettingError(place, "it has neither signature nor like")
    try:
        return msgspec.convert(fields, Provider)
    except msgspec.ValidationError as error:
        raise SettingError(place, str(error)) from None


def find_provider(name: str) -> Provider:
    """Return a known sender.

    Raises
    ------
    SettingError
        None is known by that name; with those that are like it.
    """
    providers = load_providers()
    if isinstance(name, str) and name in providers:
        return providers[name]
    near = difflib.get_close_matches(str(name).lower(), providers, n=3) or sorted(providers)[:3]
    raise SettingError(
        "auth.name",
        f"{name!r} is not a known sender; write one such as {', '.join(map(repr, near))}, or "
        "describe it: scheme=hooknb.Scheme(…)",
    )
