"""The default runtime, one per process, and the hooks of all."""

from __future__ import annotations

from typing import Any

from hooknb import registry
from hooknb.hook import Hook
from hooknb.runtime import Runtime
from hooknb.settings import RuntimeSettings

__all__ = ["hooks", "webhook"]


def webhook(name: str, **settings: Any) -> Hook:
    """Serve a workflow on the default runtime; see :meth:`Runtime.webhook` for the settings.

    The default runtime is made with the first hook: one per process, its store is
    ``.hooknb/store.db`` in the working directory, unless ``HOOKNB_STORE``, ``HOOKNB_HOST``,
    ``HOOKNB_PORT`` and ``HOOKNB_PUBLIC_URL`` say otherwise.
    """
    with registry.lock():
        runtime = registry.default()
        if runtime is not None:
            found: Hook = runtime.webhook(name, **settings)
            return found
        chosen = RuntimeSettings.from_environment()
        runtime = Runtime(chosen.store, chosen.host, chosen.port, public_url=chosen.public_url)
        try:
            hook: Hook = runtime.webhook(name, **settings)
        except BaseException:
            # The next try reads the environment anew.
            runtime.close()
            raise
        registry.set_default(runtime)
        return hook


def hooks() -> dict[str, Hook]:
    """Give the hooks being served in this process, by name; those of the default runtime win."""
    with registry.lock():
        found: dict[str, Hook] = {}
        for runtime in registry.runtimes():
            for name, hook in runtime.hooks.items():
                if runtime is registry.default() or name not in found:
                    found[name] = hook
        return found
