"""The picture of the flow: the draft's nodes, how often and fast they ran, and a delivery's way."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from hooknb.errors import HooknbError, RecordNotFoundError
from hooknb.history.feed import FlowCounts
from hooknb.records import Status
from hooknb.ui.draft.arrangement import Place
from hooknb.ui.draft.drafts import PARTS
from hooknb.ui.draft.typed import read_setting
from hooknb.ui.parts.part import Part
from hooknb.ui.parts.words import RUNNING, counted
from hooknb.ui.workflow import picture
from hooknb.workflow.nodes import Response

if TYPE_CHECKING:
    from hooknb.ui.panel import HookPanel

__all__ = ["Flow"]

_PACE: Final = 1.0


class Flow(Part):
    """The flow as a picture, in which nodes are chosen and places for new ones.

    Parameters
    ----------
    panel
        Whose draft it draws.
    on_choose
        Called with the key of the node that somebody chose.
    on_add
        Called with the place at which somebody wants a node.
    """

    pieces = ("flow_lines", "flow")

    def __init__(
        self,
        panel: HookPanel,
        on_choose: Callable[[str], None],
        on_add: Callable[[Place], None],
    ) -> None:
        self._panel = panel
        self._on_choose = on_choose
        self._on_add = on_add
        self._counts = FlowCounts(panel.hook._store, panel.hook._state.workflow_id)
        self._said_counts: dict[str, Any] = {}
        self._next = 0.0
        self._marked: tuple[str | None, Place | None] = (None, None)
        # The chosen delivery whose way somebody did not want to see any longer.
        self._put_out: int | None = None
        self._way: dict[str, Any] | None = None
        self._is_settled = True
        super().__init__(lock=panel.lock)

    # -- what it says ---------------------------------------------------------------------------

    def opened(self) -> None:
        """Say all of it."""
        self.redraw()
        self._count()
        self.say("counts", nodes=self._said_counts)
        self.follow()

    def redraw(self) -> None:
        """Say what the draft's nodes are now."""
        draft = self._panel.draft
        problems = [error.setting for error in draft.problems]
        wrong = next((place for place in problems if place.startswith("nodes[")), "")
        self.say(
            "flow",
            trigger=self._trigger(),
            nodes=picture.drawn(draft.nodes, draft.base.nodes, wrong),
            **self._marks(),
        )

    def mark(self, chosen: str | None, place: Place | None) -> None:
        """Show which node is chosen, or where one is being added."""
        if (chosen, place) != self._marked:
            self._marked = (chosen, place)
            self.say("marked", **self._marks())

    def enter(self) -> None:
        """Take whoever works in a view to the form beside it."""
        self.say("entered")

    def follow(self) -> None:
        """Say which way the chosen delivery went."""
        self._way = self._find_way()
        self.say("way", way=self._way)

    def publish(self) -> int:
        """Say what has changed, once a second."""
        now = time.monotonic()
        if now < self._next:
            return 0
        self._next = now + _PACE
        said = 0
        if self._count():
            self.say("counts", nodes=self._said_counts)
            said += 1
        if not self._is_settled:
            way = self._find_way()
            if way != self._way:
                self._way = way
                self.say("way", way=way)
                said += 1
        return said

    # -- what is clicked ------------------------------------------------------------------------

    def on_choose(self, content: dict[str, Any]) -> None:
        """Choose a node."""
        self._on_choose(str(content.get("key")))
        # Also where it was chosen before: it may be waited for.
        self.say("marked", **self._marks())

    def on_add(self, content: dict[str, Any]) -> None:
        """Want a node at a place."""
        parent, branch, at = content.get("parent"), content.get("branch"), content.get("at")
        self._on_add(
            Place(
                None if parent is None else str(parent),
                None if branch is None else str(branch),
                at if isinstance(at, int) else 0,
            )
        )

    def on_trigger(self, _content: dict[str, Any]) -> None:
        """Open the tab of the trigger."""
        self._panel.head.tab = 1

    def on_unlight(self, _content: dict[str, Any]) -> None:
        """Put the way out, until another delivery is chosen."""
        self._put_out = self._panel.selected
        self.follow()

    # -- inside ---------------------------------------------------------------------------------

    def _marks(self) -> dict[str, Any]:
        chosen, place = self._marked
        return {"chosen": chosen, "adding": None if place is None else place._asdict()}

    def _trigger(self) -> dict[str, str]:
        draft = self._panel.draft
        methods = read_setting("methods", draft.value("methods"))
        names = ", ".join(map(str, methods)) if isinstance(methods, (tuple, list)) else str(methods)
        number = sum(not row.is_blank for part in PARTS for row in draft.rows(part))
        said = ["any method" if names == "*" else names]
        if draft.value("auth") is not None:
            said.append("Basic")
        said.append(counted(number, "variable") if number else "no variables")
        return {"text": " · ".join(said), "line": self._response()}

    def _response(self) -> str:
        draft = self._panel.draft
        if draft.value("sync"):
            return "the caller waits for a Response"
        response = draft.value("response")
        status: Any = response.status if isinstance(response, Response) else None
        if isinstance(response, dict):
            status = response.get("status")
        return f"answers {Response().status if status is None else status} at once"

    def _count(self) -> bool:
        """Read what ran since; whether anything did."""
        if not self._counts.refresh():
            return False
        self._said_counts = deepcopy(self._counts.nodes)
        return True

    def _find_way(self) -> dict[str, Any] | None:
        number = self._panel.selected
        self._is_settled = True
        if number is None or number == self._put_out:
            return None
        self._put_out = None
        way: dict[str, Any] = {"nodes": {}, "lists": [], "ends": [], "status": ""}
        hook = self._panel.hook
        try:
            execution = hook.execution(number)
        except RecordNotFoundError:
            return way | {"text": f"delivery #{number} started no execution"}
        except HooknbError as error:
            return way | {"text": str(error)}
        self._is_settled = execution.status.word not in RUNNING
        text = f"delivery #{number} went this way"
        if execution.status is Status.QUEUED:
            text = f"delivery #{number} waits for its turn"
        elif execution.revision != hook.revision:
            text += f", in revision {execution.revision}"
        return {
            **picture.way_of(execution, self._panel.draft.nodes),
            "text": text,
            "status": execution.status.word,
        }
