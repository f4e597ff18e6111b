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

__all__ = ["Provider", "find_provider", "load_providers"]


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
    """Return every known sender by its name.

    A row without a ``signature`` has a line ``like``, the name of the row whose signature it has.

    Raises
    ------
    SettingError, msgspec.ValidationError
        A row is wrong.
    """
    text = resources.files("hooknb.workflow.auth").joinpath("providers.toml").read_text("utf-8")
    rows: dict[str, dict[str, Any]] = tomllib.loads(text)
    providers = {}
    for name, row in rows.items():
        like = row.pop("like", name)
        fields = {"name": name, "signature": rows[like]["signature"], **row}
        providers[name] = msgspec.convert(fields, Provider)
    return MappingProxyType(providers)


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
