"""The default runtime, one per process, and the hooks of all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hooknb import _registry
from hooknb.hook import Hook
from hooknb.runtime import Runtime
from hooknb.settings import RuntimeSettings
from hooknb.workflow.notation import Functions

if TYPE_CHECKING:
    from hooknb.ui import Panels

__all__ = ["hooks", "panel", "serve", "webhook", "workflows"]


def webhook(name: str, **settings: Any) -> Hook:
    """Serve a workflow on the default runtime; see :meth:`Runtime.webhook` for the settings.

    The default runtime is made with the first hook: one per process, its store is
    ``.hooknb/store.db`` in the working directory, unless ``HOOKNB_STORE``, ``HOOKNB_HOST``,
    ``HOOKNB_PORT``, ``HOOKNB_PUBLIC_URL`` and ``HOOKNB_DETERMINISTIC`` say otherwise.
    """
    with _default() as runtime:
        return runtime.webhook(name, **settings)


def serve(name: str, functions: Functions = ()) -> Hook:
    """Serve a stored workflow on the default runtime as it stands; see :meth:`Runtime.serve`."""
    with _default() as runtime:
        return runtime.serve(name, functions)


def workflows() -> list[str]:
    """Name the workflows in the store of the default runtime, in the order of their making.

    Where there is no default runtime yet, the store that it would have is looked into, and made
    where there is none.
    """
    with _registry.lock():
        runtime = _registry.default()
        if runtime is not None:
            names: list[str] = runtime.workflows()
            return names
        # Not kept: the first hook reads the environment anew.
        with _made() as runtime:
            return runtime.workflows()


def hooks() -> dict[str, Hook]:
    """Give the hooks being served in this process, by name; those of the default runtime win."""
    with _registry.lock():
        found: dict[str, Hook] = {}
        for runtime in _registry.runtimes():
            for name, hook in runtime.hooks.items():
                if runtime is _registry.default() or name not in found:
                    found[name] = hook
        return found


def panel() -> Panels:
    """Give all hooks of this process to look at and to click on, and *New webhook*.

    A widget: put it at the end of a cell. A hook can be made, configured and used in it without
    writing a line; what the store holds and nobody serves is offered too.
    """
    from hooknb.ui import Panels  # ipywidgets take a third of a second to load

    return Panels(sys.modules[__name__])


@contextmanager
def _default() -> Iterator[Runtime]:
    """Give the default runtime; one that is made here stays where its first hook is made."""
    with _registry.lock():
        runtime = _registry.default()
        if runtime is not None:
            yield runtime
            return
        runtime = _made()
        try:
            yield runtime
        except BaseException:
            # The next try reads the environment anew.
            runtime.close()
            raise
        _registry.set_default(runtime)


def _made() -> Runtime:
    chosen = RuntimeSettings.from_environment()
    return Runtime(
        chosen.store,
        chosen.host,
        chosen.port,
        public_url=chosen.public_url,
        deterministic=chosen.deterministic,
    )
