"""The picture of a workflow: its nodes, their runs and durations, and a delivery's path."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from hooknb.errors import HooknbError, RecordNotFoundError
from hooknb.records import Execution, Status
from hooknb.ui.draft.arrangement import Place
from hooknb.ui.draft.drafts import PARTS
from hooknb.ui.draft.typed import read_setting, shown_json
from hooknb.ui.parts.controls import counted
from hooknb.ui.parts.part import Part
from hooknb.workflow import Trigger
from hooknb.workflow.auth import BasicAuth
from hooknb.workflow.nodes import Node, closes, walk
from hooknb.workflow.nodes.sources import is_function, name_of, source_of

if TYPE_CHECKING:
    from hooknb.ui.panel import HookPanel

__all__ = ["Flow", "changes", "drawn", "way_of"]

_MAX_LINE_CHARACTERS: Final = 160
_SPACE: Final = re.compile(r"\s+")


def drawn(nodes: Iterable[Node], base: Iterable[Node], wrong: str = "") -> list[dict[str, Any]]:
    """Return the data from which the picture of a tree of nodes is drawn.

    Parameters
    ----------
    nodes
        The tree.
    base
        The tree that it is compared with; new and different nodes are marked.
    wrong
        The place of an invalid setting, as errors name it: ``nodes[1].yes[0].status``.
    """
    return _list(tuple(nodes), _shallow(base), "nodes", wrong)


def _list(
    nodes: tuple[Node, ...], known: Mapping[str, Node], place: str, wrong: str
) -> list[dict[str, Any]]:
    return [_item(node, known, f"{place}[{index}]", wrong) for index, node in enumerate(nodes)]


def _item(node: Node, known: Mapping[str, Node], place: str, wrong: str) -> dict[str, Any]:
    lists = [
        {
            **_branch(node, name),
            "name": name,
            "items": _list(below, known, f"{place}.{name}", wrong),
            "closes": closes(below),
        }
        for name, below in node.below().items()
    ]
    inside = any(wrong.startswith(f"{place}.{name}[") for name in node.below())
    before, shape = known.get(node.key), node.shown_shape()
    return {
        "key": node.key,
        "title": node.shown_title(),
        "type": type(node).__name__,
        "tone": node.shown_tone(),
        "line": _cut("".join(map(_text, node.line()))),
        "mark": "new" if before is None else "" if before == node.without_below() else "edited",
        "wrong": not inside and (wrong == place or wrong.startswith((f"{place}.", f"{place}["))),
        "gate": shape == "gate",
        "frame": shape == "frame",
        "lists": lists,
        "closes": node.closes(),
    }


def changes(nodes: Iterable[Node], base: Iterable[Node]) -> str:
    """Describe how a tree differs from another: ``2 nodes added, 1 edited``, or ``""``."""
    now, before = _shallow(nodes), _shallow(base)
    numbers = {
        "added": len(now.keys() - before.keys()),
        "edited": sum(now[key] != before[key] for key in now.keys() & before.keys()),
        "removed": len(before.keys() - now.keys()),
    }
    said = [(number, word) for word, number in numbers.items() if number]
    if not said:
        return "" if _shape(nodes) == _shape(base) else "nodes moved"
    (number, word), *others = said
    return ", ".join([f"{counted(number, 'node')} {word}", *(f"{n} {what}" for n, what in others)])


def _shallow(nodes: Iterable[Node]) -> dict[str, Node]:
    return {node.key: node.without_below() for _, node in walk(nodes)}


def _shape(nodes: Iterable[Node]) -> list[tuple[str, str]]:
    return [(place, node.key) for place, node in walk(nodes)]


# -- texts of a node ----------------------------------------------------------------------------


def _branch(node: Node, name: str) -> dict[str, str]:
    shown = node.shown_branch(name)
    return {**shown._asdict(), "why": _cut(_text(shown.why))}


def _text(value: Any) -> str:
    if is_function(value):
        rows = [row.strip() for row in source_of(value).splitlines() if row.strip()]
        return rows[0] if rows else name_of(value)
    if isinstance(value, (bytes, bytearray)):
        return counted(len(value), "byte")
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.format(shown_json(value), indent=0)
    except msgspec.DecodeError:  # a repr, since JSON cannot represent the value
        return shown_json(value)


def _cut(text: str) -> str:
    # Cut first: a text of megabytes is not searched for spaces.
    text = _SPACE.sub(" ", text[: 4 * _MAX_LINE_CHARACTERS]).strip()
    return text if len(text) <= _MAX_LINE_CHARACTERS else f"{text[: _MAX_LINE_CHARACTERS - 1]}…"


# -- path of a delivery -------------------------------------------------------------------------


def way_of(execution: Execution, nodes: Iterable[Node]) -> dict[str, Any]:
    """Return the path of an execution through a tree of nodes.

    Returns
    -------
    dict
        ``nodes``: the status of each node reached, by key; ``inside`` if a node below it failed.
        ``failed``: the keys of nodes that failed themselves. ``lists``: the branches taken, as
        ``[key, name]``. ``ends``: those of them that ran to their end; ``[None, None]`` is the
        top level.
    """
    nodes = tuple(nodes)
    reached: dict[str, Status] = {}
    results: dict[str, Any] = {}
    inside: set[str] = set()
    for job in execution.jobs:
        before = reached.get(job.node, job.status)
        reached[job.node] = max(before, job.status, key=lambda status: status.gravity)
        results[job.node] = job.result
        if job.is_nested_failure:
            inside.add(job.node)
    lists: list[list[str]] = []
    ends: list[list[str | None]] = []
    if _passed(nodes, reached) and execution.status is Status.RESOLVED:
        ends.append([None, None])
    for _, node in walk(nodes):
        if node.key not in reached:
            continue
        for name, below in node.below().items():
            if _is_taken(node, name, below, reached, results.get(node.key)):
                lists.append([node.key, name])
                if _passed(below, reached):
                    ends.append([node.key, name])
    return {
        "nodes": {
            key: "inside" if key in inside else status.word for key, status in reached.items()
        },
        "failed": [
            key for key, status in reached.items() if key not in inside and status.is_failure
        ],
        "lists": lists,
        "ends": ends,
    }


def _passed(nodes: tuple[Node, ...], reached: Mapping[str, Status]) -> bool:
    """Whether an execution reached the end of a list that it entered."""
    last = nodes[-1] if nodes else None
    return last is None or (reached.get(last.key) is Status.RESOLVED and not last.closes())


def _is_taken(
    node: Node, name: str, below: tuple[Node, ...], reached: Mapping[str, Status], result: Any
) -> bool:
    if any(inner.key in reached for _, inner in walk(below)):
        return True
    return node.has_taken(name, result, is_resolved=reached[node.key] is Status.RESOLVED)


_COUNT_SECONDS: Final = 1.0


class Flow(Part):
    """The flow as a picture, to choose nodes and places for new ones.

    Parameters
    ----------
    panel
        The panel whose draft it draws and whose editor it opens.
    """

    module = "workflow/picture.js"

    def __init__(self, panel: HookPanel) -> None:
        self._panel = panel
        self._counts = panel.watch.flow
        self._said_counts: dict[str, Any] = {}
        self._next = 0.0
        self._marked: tuple[str | None, Place | None] = (None, None)
        # The delivery whose path was closed in a view.
        self._put_out: int | None = None
        self._way: dict[str, Any] | None = None
        self._is_settled = True
        super().__init__(lock=panel.lock)

    # -- messages to views ----------------------------------------------------------------------

    def opened(self) -> None:
        """Send everything."""
        self.redraw()
        self._count()
        self.say("counts", nodes=self._said_counts)
        self.follow()

    def redraw(self) -> None:
        """Send the draft's nodes."""
        draft = self._panel.draft
        problems = [error.setting for error in draft.problems]
        wrong = next((place for place in problems if place.startswith("nodes[")), "")
        self.say(
            "flow",
            trigger=self._trigger(),
            nodes=drawn(draft.nodes, draft.base.nodes, wrong),
            **self._marks(),
        )

    def mark(self, chosen: str | None, place: Place | None) -> None:
        """Send which node is chosen, or where one is being added."""
        if (chosen, place) != self._marked:
            self._marked = (chosen, place)
            self.say("marked", **self._marks())

    def enter(self) -> None:
        """Focus the form, in the view that somebody works in."""
        self.say("entered")

    def follow(self) -> None:
        """Send the path of the chosen delivery."""
        self._way = self._find_way()
        self.say("way", way=self._way)

    def publish(self) -> int:
        """Send the changes, at most once a second."""
        now = time.monotonic()
        if now < self._next:
            return 0
        self._next = now + _COUNT_SECONDS
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

    # -- messages from views --------------------------------------------------------------------

    def on_choose(self, content: dict[str, Any]) -> None:
        """Choose a node."""
        self._panel.workflow.editor.choose(str(content.get("key")))
        # Even if it was chosen before: a view waits for it to move the focus.
        self.say("marked", **self._marks())

    def on_add(self, content: dict[str, Any]) -> None:
        """Offer node types for a place."""
        parent, branch, at = content.get("parent"), content.get("branch"), content.get("at")
        self._panel.workflow.editor.offer(
            Place(
                None if parent is None else str(parent),
                None if branch is None else str(branch),
                at if isinstance(at, int) else 0,
            )
        )

    def on_trigger(self, _content: dict[str, Any]) -> None:
        """Open the Trigger tab."""
        self._panel.open_tab(self._panel.trigger)

    def on_unlight(self, _content: dict[str, Any]) -> None:
        """Hide the path until another delivery is chosen."""
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
        auth = draft.value("auth")
        if auth is not None:
            # A pair of user and password, still incomplete, is HTTP Basic.
            schemes = getattr(auth, "parts", (BasicAuth,))
            said.append(", ".join(scheme.title for scheme in schemes))
        said.append(counted(number, "variable") if number else "no variables")
        return {"text": " · ".join(said), "line": self._response()}

    def _response(self) -> str:
        draft = self._panel.draft
        if draft.value("sync"):
            return "the caller waits for the workflow's response"
        response = draft.value("response")
        get = response.get if isinstance(response, dict) else partial(getattr, response)
        return f"responds with {get('status', Trigger().response.status)} at once"

    def _count(self) -> bool:
        """Read the new runs; return whether there are any."""
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
        way: dict[str, Any] = {"nodes": {}, "failed": [], "lists": [], "ends": [], "status": ""}
        way |= {"tone": "wait", "is_lit": False}
        hook = self._panel.hook
        try:
            execution = hook.execution(number)
        except RecordNotFoundError:
            return way | {"text": f"delivery #{number} started no execution"}
        except HooknbError as error:
            return way | {"text": str(error)}
        self._is_settled = execution.status.is_over
        text = f"path of delivery #{number}"
        if execution.status is Status.QUEUED:
            text = f"delivery #{number} is queued"
        elif execution.revision != hook.revision:
            text += f", in revision {execution.revision}"
        return {
            **way_of(execution, self._panel.draft.nodes),
            "text": text,
            "status": execution.status.word,
            "tone": execution.status.tone,
            # A queued execution has no path to highlight yet.
            "is_lit": execution.status is not Status.QUEUED,
        }
