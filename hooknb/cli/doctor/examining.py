"""The whole examination, in the order in which things depend on each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from hooknb.cli.doctor.findings import Finding, ok, wrong
from hooknb.cli.doctor.packages import packages
from hooknb.cli.doctor.reach import front_ends, published, relay
from hooknb.cli.doctor.sites import sites
from hooknb.cli.doctor.stores import ports, store
from hooknb.errors import SettingError
from hooknb.relay import status
from hooknb.settings import RuntimeSettings

__all__ = ["examine"]


def examine(
    target: str | None = None, environ: Mapping[str, str] = os.environ
) -> Iterator[Finding]:
    """Look at everything that hooks need here; changes nothing.

    Blocks while other programs answer: a second usually.

    Parameters
    ----------
    target
        A store that must be there; ``None`` for the one that the first hook would take or make.
    environ
        Where the settings of the default runtime stand.
    """
    yield from packages()
    seen = status(environ=environ)
    for site in sites():
        yield from front_ends(site)
        yield from relay(site, seen)
    yield from published(seen)
    try:
        settings = RuntimeSettings.from_environment(environ)
    except SettingError as error:
        yield wrong("settings", error.problem, f"set or unset {error.setting}")
        return
    yield ok("settings", f"hooks will listen on {settings.host}")
    yield from store(target or settings.store, must_be_there=target is not None)
    yield from ports(settings, target or settings.store)
