"""The head of the panel: the hook's state, its URL, its switch, and the tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import traitlets

from hooknb.errors import HooknbError
from hooknb.ui.parts.part import Part
from hooknb.workflow.samples import has_sample

if TYPE_CHECKING:
    from hooknb.hook import Hook
    from hooknb.ui.panel import HookPanel

__all__ = ["HOOK_TONES", "Head"]

HOOK_TONES: Final = {"enabled": "ok", "disabled": "warn", "closed": "bad"}
"""The tone of each status of a hook: the suffix of its CSS class, ``ok`` of ``hk-ok``."""


class Head(Part):
    """State, name, mode, revision, counts and median time; the URL; Copy, Send a test; the switch.

    Attributes
    ----------
    tab
        The position of the open tab; the browser keeps it in step with the tab shown below.
    tabs
        The titles of the tabs.
    """

    module = "head.js"
    carries = True
    tab = traitlets.Int(0).tag(sync=True)
    tabs = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, panel: HookPanel, tabs: list[str]) -> None:
        self._panel = panel
        self._said: dict[str, Any] = {}
        self._median: float | None = None
        super().__init__(lock=panel.lock, tabs=tabs)

    def _state(self) -> dict[str, Any]:
        hook, feed = self._panel.hook, self._panel.feed
        if hook.status != "closed":
            self._median = feed.median_ms()
        workflow = hook.workflow
        trigger = workflow.trigger
        return {
            "name": hook.name,
            "state": hook.status,
            "tone": HOOK_TONES[hook.status],
            "sync": workflow.sync,
            "revision": hook.revision,
            "total": feed.total,
            "refused": feed.refused,
            "median": self._median,
            "methods": "any method" if trigger.methods == ("*",) else ", ".join(trigger.methods),
            "url": self._panel.watch.masked_url,
            "secret": trigger.auth is not None,
        }

    def opened(self) -> None:
        """Send the whole state."""
        self._said = {}
        self.publish()

    def publish(self) -> int:
        """Send the state if it has changed."""
        state = self._state()
        if state == self._said:
            return 0
        self._said = state
        self.say("state", **state)
        return 1

    # -- buttons --------------------------------------------------------------------------------

    def on_url(self, content: dict[str, Any]) -> None:
        """Send the view the URL to copy: ``hook.url_with_credentials``."""
        self.say("url", to=content["view"], text=self._panel.hook.url_with_credentials)

    def on_curl(self, content: dict[str, Any]) -> None:
        """Send the view the command to copy: ``hook.curl()``."""
        self.say("curl", to=content["view"], text=self._panel.hook.curl())

    def on_test(self, content: dict[str, Any]) -> None:
        """Send a test: ``hook.send_sample()``."""
        hook, panel = self._panel.hook, self._panel

        def then(response: Any) -> None:
            self.say(
                "tested",
                status=response.status,
                delivery=response.delivery,
                empty=_is_empty(hook, response.delivery),
            )
            if response.delivery is not None:
                panel.choose(response.delivery)
                # Choosing the test's delivery must not stop the list from following new ones.
                panel.deliveries.follow()

        self.aside("test", hook.send_sample, then, str(content.get("view")))

    def on_switch(self, content: dict[str, Any]) -> None:
        """Enable or disable the hook: ``hook.enabled = …``."""
        self._panel.hook.enabled = content.get("on") is True
        self._panel.poke()


def _is_empty(hook: Hook, number: int | None) -> bool:
    """Whether a test sent ``{}`` because there are no samples."""
    if number is None or any(map(has_sample, hook.workflow.trigger.body)):
        return False
    try:
        return hook.delivery(number).raw == b"{}"
    except HooknbError:  # gone, or not kept
        return False
