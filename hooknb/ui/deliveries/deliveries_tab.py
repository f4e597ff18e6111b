"""What came: the list on the left, the chosen delivery on the right."""

from __future__ import annotations

import time
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

from hooknb.errors import RecordNotFoundError
from hooknb.history.table import short_titles
from hooknb.ui.deliveries.windows import Windows, read_window
from hooknb.ui.parts.part import Part
from hooknb.ui.parts.tones import is_over, response_tone, status_tone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hooknb.client.sending import HttpResponse
    from hooknb.history.table.details import Details, Tree
    from hooknb.history.table.table_columns import Column
    from hooknb.ui.panel import HookPanel

__all__ = ["Deliveries"]

_SCAN_SECONDS: Final = 0.03
# What waits is looked at when the hook's counts change, and this often besides.
_LOOK_SECONDS: Final = 0.5
# The newest is shown no more often: somebody is to see what it is.
_FOLLOW_SECONDS: Final = 1.0
_BARS: Final = 30
_BAR_MICROSECONDS: Final = 10_000_000
_MAX_CHARACTERS: Final = 1_000_000


class Deliveries(Part):
    """The live list with its strip and filter, and everything about the chosen delivery.

    What all views share is kept here: the chosen delivery, the filter, the pause. Where a view
    has scrolled to and which of a delivery's tabs it shows is its own.

    Messages to views
        ``update``: what has changed, at most one a round. ``rows``: to the view that asked.
        ``chosen``: another delivery was chosen, with its details. ``replayed``, ``sampled`` and
        ``curl``: what a button did.
    Messages of views
        ``window``, ``filter``, ``pause``, ``choose``, ``hold``, ``take``, ``replay``, ``sample``,
        ``curl``.

    Parameters
    ----------
    panel
        Whose part it is.
    """

    title = "Deliveries"
    module = "deliveries/deliveries.js"

    def __init__(self, panel: HookPanel) -> None:
        self._panel = panel
        self._windows = Windows(panel.feed)
        self._filter = ""
        # While paused: the last id that is shown.
        self._last_shown: int | None = None
        self._has_chosen = False
        # Whether the newest is chosen whenever one comes: until somebody chooses one himself.
        self._follows = True
        self._seen: tuple[Any, ...] | None = None
        self._generation: int | None = None
        self._said: dict[str, Any] = {}
        self._details: dict[str, Any] | None = None
        self._details_revision = 0
        self._next_details = self._next_look = self._next_follow = 0.0
        super().__init__(lock=panel.lock)

    # -- what is said ---------------------------------------------------------------------------

    def opened(self) -> None:
        """Say what is shown now, all of it."""
        self._panel.feed.refresh()
        self._scan()
        self._seen = self._signature()
        places = self._moved()
        before = self.messages
        self._choose_newest()
        self._said = {}
        update = self._changes()
        update["rows"] = self._windows.say_all(update["total"])
        update["places"] = places or {}
        if self.messages == before:
            self._read_details()
            update["chosen"] = self._chosen()
        self.say("update", **update)

    def publish(self) -> int:
        """Say what has changed; give the number of messages: at most one, but for a choice."""
        self._scan()
        self._windows.keep(self._views)
        seen = self._signature()
        now = time.monotonic()
        waits = self._windows.waits or not self._is_settled or self._is_behind
        if seen == self._seen and not (waits and now >= self._next_look):
            return 0
        self._seen = seen
        self._next_look = now + _LOOK_SECONDS
        before = self.messages
        self._say_changes()
        return self.messages - before

    def _say_changes(self, **besides: Any) -> None:
        places = self._moved()
        self._choose_newest()
        update = self._changes()
        total = self._said["total"]
        if places is not None or "columns" in update:
            update["rows"] = self._windows.say_all(total)
            update["places"] = places or {}
            update["place"] = self._said["place"]
        elif self._last_shown is None and (rows := self._windows.say_new(total)):
            update["rows"] = rows
        if changed := self._changed_details():
            update["details"] = changed
        if update:
            self.say(
                "update", **{"generation": self._generation, "total": total, **update, **besides}
            )

    def chosen(self) -> None:
        """Say which delivery is chosen now, with everything about it."""
        self._has_chosen = self._has_chosen or self._panel.selected is not None
        self._next_follow = time.monotonic() + _FOLLOW_SECONDS
        self._read_details()
        self.say("chosen", **self._chosen())

    # -- what views ask for ---------------------------------------------------------------------

    def on_window(self, content: dict[str, Any]) -> None:
        """Note where a view looks, and give the rows that it lacks."""
        window = read_window(content)
        view = str(content.get("view"))
        self._windows.look(view, window)
        if content.get("lacks") is not True:
            return
        generation = self._generation
        first, end = 0, 0
        rows: list[list[Any]] = []
        if content.get("generation") == generation == self._panel.feed.generation:
            first, end, rows = self._windows.response(window.first, window.end, self._total())
        self.say("rows", to=view, generation=generation, first=first, end=end, rows=rows)

    def on_filter(self, content: dict[str, Any]) -> None:
        """Show only what a filter finds, in every view: ``hook.search(text)``."""
        text = str(content.get("text", ""))
        self._panel.feed.set_filter(text)
        self._filter = text
        self._said.pop("filter", None)
        self._windows.to_top()
        self._scan()
        self._say_changes(by=content.get("view"))
        self._panel.poke()

    def on_pause(self, content: dict[str, Any]) -> None:
        """Show nothing new until it is resumed, in every view."""
        if content.get("on") is not True:
            self._last_shown = None
        elif self._last_shown is None:
            ids = self._panel.feed.ids()
            self._last_shown = ids[-1] if ids else 0
        self._say_changes()

    def on_choose(self, content: dict[str, Any]) -> None:
        """Choose a delivery, in every part of the panel."""
        if (number := _id(content)) is not None:
            self._follows = False
            self._panel.choose(number)

    def on_hold(self, _content: dict[str, Any]) -> None:
        """Stay at the chosen delivery: somebody is looking at it."""
        self._follows = False

    def on_take(self, content: dict[str, Any]) -> None:
        """Take a value as a variable: ``hook.add_variable(name)``."""
        self._panel.hook.add_variable(str(content.get("name")))
        self._panel.poke()

    def on_replay(self, content: dict[str, Any]) -> None:
        """Send a delivery again: ``hook.replay(id)``; then choose what came of it."""
        if (number := _id(content)) is None:
            return
        self._follows = False

        def then(response: HttpResponse) -> None:
            self.say("replayed", id=number, status=response.status, delivery=response.delivery)
            if response.delivery is not None:
                self._panel.choose(response.delivery)
            self._panel.poke()

        view = str(content.get("view"))
        self.aside("replay", lambda: self._panel.hook.replay(number), then, view)

    def on_sample(self, content: dict[str, Any]) -> None:
        """Put a delivery's body and query into the trigger's forms, as samples."""
        if (number := _id(content)) is not None:
            self._follows = False
            self._panel.use_sample(number)
            self.say("sampled", id=number)

    def on_curl(self, content: dict[str, Any]) -> None:
        """Return the command that sends a delivery, to be copied: ``hook.curl(id)``."""
        if (number := _id(content)) is not None:
            self.say("curl", to=content.get("view"), text=self._panel.hook.curl(number))

    # -- the list -------------------------------------------------------------------------------

    def _scan(self) -> None:
        if self._filter:
            self._panel.feed.scan(_SCAN_SECONDS)

    def _signature(self) -> tuple[Any, ...]:
        """Return what differs wherever there may be something to say."""
        feed, watch = self._panel.feed, self._panel.watch
        return (
            *(feed.generation, feed.total, feed.matched, feed.scanned),
            *(watch.arrived, watch.unfinished, self._panel.hook.revision),
            feed.now() // _BAR_MICROSECONDS,
        )

    def _total(self) -> int:
        """Count the rows that are shown; while paused those that were there then."""
        feed = self._panel.feed
        if self._last_shown is None:
            return feed.matched
        return bisect_right(feed.ids(), self._last_shown)

    def _moved(self) -> dict[str, int] | None:
        """Find the windows' places again where ordinals have changed, else give ``None``."""
        feed = self._panel.feed
        if feed.generation == self._generation:
            return None
        self._generation = feed.generation
        ids = feed.ids()
        self._forget_gone(ids[-1] if ids else 0)
        return self._windows.void(ids, self._total())

    def _forget_gone(self, last: int) -> None:
        """Choose nothing where the chosen delivery is there no more."""
        panel = self._panel
        number = panel.selected
        if number is None:
            return
        # One beyond the last was told of before it was read.
        is_gone = not self._filter and number <= last and panel.feed.ordinal(number) is None
        if is_gone or panel.feed.total == 0:
            self._has_chosen = panel.feed.total > 0
            panel.choose(None)

    def _changes(self) -> dict[str, Any]:
        """Return what differs from what was said before."""
        panel, feed = self._panel, self._panel.feed
        total = self._total()
        state: dict[str, Any] = {
            "generation": self._generation,
            "total": total,
            "kept": feed.total,
            "scanned": feed.scanned if self._filter else feed.total,
            "fresh": feed.matched - total,
            "filter": self._filter,
            "paused": self._last_shown is not None,
            "columns": _columns(feed.columns()),
            "strip": self._strip(),
            "place": None if panel.selected is None else feed.ordinal(panel.selected),
        }
        changes = {key: value for key, value in state.items() if self._said.get(key, ...) != value}
        self._said = state
        return changes

    def _strip(self) -> list[Any]:
        """Return the strip's end in milliseconds since 1970, a bar's, all of each bar, the refused.

        A strip without anything is always the same: while nothing comes, nothing is said.
        """
        if self._last_shown is not None and "strip" in self._said:
            strip: list[Any] = self._said["strip"]
            return strip
        now = self._panel.feed.now()
        bars = self._panel.feed.strip(now, _BARS, _BAR_MICROSECONDS // 1_000_000)
        every, refused = [bar[0] for bar in bars], [bar[1] for bar in bars]
        end = (now // _BAR_MICROSECONDS + 1) * _BAR_MICROSECONDS // 1000 if any(every) else 0
        return [end, _BAR_MICROSECONDS // 1000, every, refused if any(refused) else []]

    # -- the chosen one -------------------------------------------------------------------------

    def follow(self) -> None:
        """Choose the newest delivery from now on, whenever one comes; under the lock."""
        self._follows = True

    def _choose_newest(self) -> None:
        """Choose the newest delivery: the first that is there, and others while it is followed."""
        feed = self._panel.feed
        is_first = not self._has_chosen and self._panel.selected is None and feed.matched
        is_due = self._is_behind and time.monotonic() >= self._next_follow
        if is_first or is_due:
            self._panel.choose(feed.ids()[-1])

    @property
    def _is_behind(self) -> bool:
        """Whether a newer delivery than the chosen one is shown, and is to be followed."""
        feed, chosen = self._panel.feed, self._panel.selected
        if not self._follows or chosen is None or self._last_shown is not None:
            return False
        return feed.matched > 0 and feed.ids()[-1] > chosen and self._windows.are_at_top

    def _chosen(self) -> dict[str, Any]:
        number = self._panel.selected
        place = None if number is None else self._panel.feed.ordinal(number)
        return {"id": number, "place": place, "details": self._details}

    def _read_details(self) -> None:
        panel = self._panel
        number = panel.selected
        started = time.monotonic()
        self._details_revision = panel.hook.revision
        self._details = None
        if number is not None:
            try:
                found = panel.watch.details(number)
                _trim(found["body"])
                _trim(found["query"])
                self._details = _toned(found)
            except RecordNotFoundError:
                # It was pruned, or cleared, since it was chosen; the view says so.
                self._details = None
        now = time.monotonic()
        # Large ones take their time, which is the server's as well.
        self._next_details = now + 10 * (now - started)

    @property
    def _is_settled(self) -> bool:
        """Whether nothing is to come for the chosen delivery."""
        found = self._details
        if found is None:
            return True
        execution = found["execution"]
        return found["response"] is not None and (execution is None or execution["is_over"])

    def _changed_details(self) -> dict[str, Any] | None:
        """Return what has changed about the chosen delivery, with its id."""
        before = self._details
        is_other = self._details_revision != self._panel.hook.revision
        is_due = not self._is_settled and time.monotonic() >= self._next_details
        if before is None or not (is_other or is_due):
            return None
        self._read_details()
        after = self._details
        if after is None:
            return None
        changed = {key: value for key, value in after.items() if before.get(key, ...) != value}
        return {**changed, "id": after["id"]} if changed else None


def _columns(columns: Sequence[Column]) -> list[list[Any]]:
    """Return name, title, whether it is numeric, and short title of each."""
    shorts = short_titles(columns)
    return [
        [item.name, item.title, item.numeric, short]
        for item, short in zip(columns, shorts, strict=True)
    ]


def _toned(found: Details) -> dict[str, Any]:
    """Return a delivery's details with the tones of what they say."""
    response, execution = found["response"], found["execution"]
    if response is not None:
        response = {**response, "tone": response_tone(response["status"])}
    if execution is not None:
        word = execution["status"]
        jobs = [{**job, "tone": status_tone(job["status"])} for job in execution["jobs"]]
        about = {"tone": status_tone(word), "is_over": is_over(word), "jobs": jobs}
        execution = {**execution, **about}
    return {**found, "response": response, "execution": execution}


def _trim(tree: Tree) -> None:
    """Leave out the lines of a tree that are too many characters to be sent, and count them."""
    left = _MAX_CHARACTERS
    for at, (_, label, _, text, name, *_) in enumerate(tree["lines"]):
        left -= len(label or "") + len(text) + len(name or "")
        if left < 0:
            rest = tree["lines"][at:]
            tree["lines"] = tree["lines"][:at]
            tree["more"] += sum(line[2] != "end" for line in rest)
            return


def _id(content: dict[str, Any]) -> int | None:
    """Take the id out of a view's message."""
    number = content.get("id")
    return number if type(number) is int else None
