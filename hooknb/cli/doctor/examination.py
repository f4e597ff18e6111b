"""All checks, in the order in which they depend on each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from hooknb.cli.doctor.finding import Finding, ok, wrong
from hooknb.cli.doctor.packages import check_packages
from hooknb.cli.doctor.reach import check_front_ends, check_publication, check_relay
from hooknb.cli.doctor.sites import find_sites
from hooknb.cli.doctor.stores import check_ports, check_store
from hooknb.errors import SettingError
from hooknb.relay import status
from hooknb.settings import RuntimeSettings

__all__ = ["examine"]


def examine(
    target: str | None = None, environ: Mapping[str, str] = os.environ
) -> Iterator[Finding]:
    """Check everything that hooks need here; changes nothing.

    Blocks while Jupyter servers and other Pythons respond, usually for a second.

    Parameters
    ----------
    target
        A store that must exist; ``None`` for the one that the first hook would use or create.
    environ
        The environment variables, which hold the settings of the default runtime.
    """
    yield from check_packages()
    seen = status(environ=environ)
    for site in find_sites():
        yield from check_front_ends(site)
        yield from check_relay(site, seen)
    yield from check_publication(seen, on_hub="JUPYTERHUB_SERVICE_PREFIX" in environ)
    try:
        settings = RuntimeSettings.from_environment(environ)
    except SettingError as error:
        yield wrong("settings", str(error), f"correct or unset {error.setting}")
        return
    yield ok("settings", f"hooks will listen on {settings.host}")
    yield from check_store(target or settings.store, must_exist=target is not None)
    yield from check_ports(settings, target or settings.store)
