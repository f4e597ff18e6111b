"""What connects the kernel to the browser (widgets) and to senders (the relay)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hooknb.cli.doctor.finding import Finding, ok, warning, wrong
from hooknb.cli.doctor.sites import Site
from hooknb.cli.terminal import count
from hooknb.relay import RelayStatus

__all__ = ["check_front_ends", "check_publication", "check_relay"]

_INSTALLS: Final = {"ipywidgets": "jupyterlab_widgets", "anywidget": "anywidget"}


def check_front_ends(site: Site) -> Iterator[Finding]:
    """Check JupyterLab and its widget extensions where the Jupyter server runs."""
    if site.server is None:
        yield warning(
            "Jupyter server",
            f"none is running; checked the environment of {site.python} instead",
            "to check a server, run `hooknb doctor` in a terminal of JupyterLab",
        )
    else:
        yield ok(
            "Jupyter server", f"process {site.server.pid} in {site.python or 'an unknown Python'}"
        )
    if site.seen is None:
        yield warning(
            "JupyterLab",
            "the environment of that server cannot be inspected",
            "run `hooknb doctor` in that environment",
        )
        return
    version = site.seen["versions"]["jupyterlab"]
    if version is None:
        yield warning(
            "JupyterLab",
            "not installed there; hooks work without it",
            f"{site.python} -m pip install jupyterlab",
        )
    else:
        yield ok("JupyterLab", version)
    for package, folder in site.seen["front_ends"].items():
        subject = f"{package} front end"
        if folder is None:
            yield wrong(
                subject,
                f"missing in the environment of {site.python}, so panels are not shown",
                f"{site.python} -m pip install {_INSTALLS[package]}, then reload the page",
            )
        else:
            yield ok(subject, folder)


def check_relay(site: Site, seen: RelayStatus) -> Iterator[Finding]:
    """Check the relay, by a request to the Jupyter server if it runs."""
    install = f"{site.python} -m pip install hooknb"
    enable = f"{site.python} -m jupyter server extension enable hooknb.relay"
    if site.server is None:
        if site.seen is not None and site.seen["versions"]["jupyter_server"] is None:
            return  # without a Jupyter server no relay is needed
        if site.seen is None or not site.seen["relay"]:
            yield wrong("relay", "not installed in that environment", install)
        elif not site.seen["enabled"]:
            yield wrong("relay", "disabled in that environment", enable)
        else:
            yield ok("relay", "installed; a Jupyter server of that environment will load it")
        return
    pid = site.server.pid
    asked = next((server for server in seen.servers if server.pid == pid), None)
    if asked is None:
        yield warning(
            "relay", "the Jupyter server has ended meanwhile", "run `hooknb doctor` again"
        )
    elif asked.has_relay:
        yield ok("relay", "the Jupyter server relays to published hooks")
    elif site.seen is not None and site.seen["relay"]:
        remedy = "restart the Jupyter server" if site.seen["enabled"] else enable
        yield wrong("relay", f"installed, but {asked.problem or 'not loaded'}", remedy)
    else:
        yield wrong(
            "relay",
            "missing where the server runs, so hook.publish() fails",
            f"{install}, then restart the Jupyter server",
        )


def check_publication(seen: RelayStatus, *, on_hub: bool) -> Iterator[Finding]:
    """Check the URL for published hooks, how many there are, and the deliveries that wait.

    Parameters
    ----------
    seen
        The state of the relay.
    on_hub
        Whether JupyterHub started this: senders reach its hooks only by the public URL.
    """
    if seen.public_url is not None:
        yield ok("public URL", seen.public_url)
    elif not on_hub:
        yield ok(
            "public URL", "none; only hook.publish() needs it, in a kernel of a Jupyter server"
        )
    else:
        problem, _, remedy = (seen.problem or "unknown").partition("; ")
        yield warning("public URL", problem, remedy or "set HOOKNB_PUBLIC_URL")
    if not seen.folder_is_safe:
        yield wrong(
            "publication",
            f"{seen.folder} is not a folder that only you can enter",
            f"remove it, or chmod 700 {seen.folder}",
        )
        return
    alive = sum(found.hooks for found in seen.registrations if found.is_alive)
    away = sum(found.hooks for found in seen.registrations if not found.is_alive)
    text = f"{count(alive, 'hook')} published"
    if away or seen.waiting:
        waiting = count(seen.waiting, "delivery")
        yield warning(
            "publication",
            f"{text}, {away:,} more by kernels that have ended; {waiting} waiting",
            "run their notebooks again: publish() delivers what is waiting",
        )
    else:
        yield ok("publication", text)
