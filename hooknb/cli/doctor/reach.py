"""What reaches from here to the browser, and from senders to here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hooknb.cli.doctor.findings import Finding, ok, warning, wrong
from hooknb.cli.doctor.sites import Site
from hooknb.relay import RelayStatus

__all__ = ["front_ends", "published", "relay"]

_INSTALLS: Final = {"ipywidgets": "jupyterlab_widgets", "anywidget": "anywidget"}


def front_ends(site: Site) -> Iterator[Finding]:
    """Look for what draws widgets, where the Jupyter server runs."""
    if site.server is None:
        yield warning(
            "Jupyter server",
            f"none of this user runs; looked at the environment of {site.python}",
            "start JupyterLab and ask again, from a terminal in it or a cell: !hooknb doctor",
        )
    else:
        yield ok(
            "Jupyter server", f"process {site.server.pid} in {site.python or 'an unknown Python'}"
        )
    if site.seen is None:
        yield warning(
            "JupyterLab",
            "the environment of that server cannot be looked at",
            "run `hooknb doctor` in it",
        )
        return
    version = site.seen["versions"]["jupyterlab"]
    if version is None:
        yield warning(
            "JupyterLab",
            "it is not installed there; hooks work all the same",
            f"{site.python} -m pip install jupyterlab",
        )
    else:
        yield ok("JupyterLab", version)
    for package, folder in site.seen["front_ends"].items():
        subject = f"{package} front end"
        if folder is None:
            yield wrong(
                subject,
                f"it is missing where the server runs ({site.python}): panels are not shown",
                f"{site.python} -m pip install {_INSTALLS[package]}, then reload the page",
            )
        else:
            yield ok(subject, folder)


def relay(site: Site, seen: RelayStatus) -> Iterator[Finding]:
    """Look for the relay, where the Jupyter server runs: asked itself, if it runs."""
    install = f"{site.python} -m pip install hooknb"
    enable = f"{site.python} -m jupyter server extension enable hooknb.relay"
    if site.server is None:
        if site.seen is not None and site.seen["versions"]["jupyter_server"] is None:
            return  # without a Jupyter server there is nothing to be missed
        if site.seen is None or not site.seen["relay"]:
            yield wrong("relay", "it is not installed in that environment", install)
        elif not site.seen["enabled"]:
            yield wrong("relay", "it is switched off in that environment", enable)
        else:
            yield ok("relay", "the next Jupyter server of that environment loads it")
        return
    pid = site.server.pid
    asked = next((server for server in seen.servers if server.pid == pid), None)
    if asked is None:
        yield warning("relay", "that server has ended meanwhile", "ask again")
    elif asked.has_relay:
        yield ok("relay", "the server responds for published hooks")
    elif site.seen is not None and site.seen["relay"]:
        remedy = "start the Jupyter server again" if site.seen["enabled"] else enable
        yield wrong("relay", f"it is installed, and {asked.problem or 'not loaded'}", remedy)
    else:
        yield wrong(
            "relay",
            "it is missing where the server runs: hook.publish() reaches nobody",
            f"{install}, then start the Jupyter server again",
        )


def published(seen: RelayStatus) -> Iterator[Finding]:
    """Say under which address hooks would be published, which are, and what waits for them."""
    if seen.public_url is not None:
        yield ok("public URL", seen.public_url)
    else:
        problem, _, remedy = (seen.problem or "it is not known").partition("; ")
        yield warning("public URL", problem, remedy or "set HOOKNB_PUBLIC_URL")
    if not seen.folder_is_safe:
        yield wrong(
            "publication",
            f"{seen.folder} is not a folder that only this user can enter",
            f"remove it, or chmod 700 {seen.folder}",
        )
        return
    alive = sum(found.hooks for found in seen.registrations if found.is_alive)
    away = sum(found.hooks for found in seen.registrations if not found.is_alive)
    text = f"{alive:,} hooks published"
    if away or seen.waiting:
        yield warning(
            "publication",
            f"{text}; {away:,} of kernels that have ended, {seen.waiting:,} deliveries wait",
            "run their notebooks again: publish() hands over what waits",
        )
    else:
        yield ok("publication", text)
