"""The Deliveries tab: the list on the left, the chosen delivery on the right."""

from __future__ import annotations

import time
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

from hooknb.errors import RecordNotFoundError
from hooknb.history.table import short_titles
from hooknb.records import response_tone
from hooknb.ui.deliveries.windows import Windows
from hooknb.ui.parts.part import Part

if TYPE_CHECKING:
    from hooknb.client.sending import HttpResponse
    from hooknb.history.table.details import Details, Tree
    from hooknb.ui.panel import HookPanel

__all__ = ["Deliveries"]

_SCAN_SECONDS: Final = 0.03
# Pending rows are read again when the hook's counts change, and at this interval.
_LOOK_SECONDS: Final = 0.5
# At a high rate, each newest delivery stays on view long enough to be recognized.
_FOLLOW_SECONDS: Final = 1.0
_BARS: Final = 30
_BAR_MICROSECONDS: Final = 10_000_000
_MAX_CHARACTERS: Final = 1_000_000


class Deliveries(Part):
    """The live list with its strip and filter, and the details of the chosen delivery.

    All views share the chosen delivery, the filter and the pause. Each view has its own scroll
    position and shows its own tab of the delivery.

    Messages to views
        ``update``: changes, at most one per round. ``rows``: rows for the view that asked.
        ``chosen``: another delivery was chosen, with its details. ``replayed``, ``sampled`` and
        ``curl``: results of buttons.
    Messages from views
        ``window``, ``filter``, ``pause``, ``choose``, ``hold``, ``take``, ``replay``, ``sample``,
        ``curl``.
    """

    title = "Deliveries"
    module = "deliveries/deliveries.js"

    def __init__(self, panel: HookPanel) -> None:
        self._panel = panel
        self._windows = Windows(panel.feed)
        self._filter = ""
        # The last id shown, while paused.
        self._last_shown: int | None = None
        self._has_chosen = False
        # Whether each new delivery becomes the chosen one: until a view chooses one.
        self._follows = True
        self._seen: tuple[Any, ...] | None = None
        self._generation: int | None = None
        self._said: dict[str, Any] = {}
        self._details: Details | None = None
        self._details_revision = 0
        self._next_details = self._next_look = self._next_follow = 0.0
        super().__init__(lock=panel.lock)

    # -- messages to views ----------------------------------------------------------------------

    def opened(self) -> None:
        """Send everything that is shown."""
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
        """Send the changes; return the number of messages: one, or more if the choice changes."""
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
        """Send which delivery is chosen, with its details."""
        self._has_chosen = self._has_chosen or self._panel.selected is not None
        self._next_follow = time.monotonic() + _FOLLOW_SECONDS
        self._read_details()
        self.say("chosen", **self._chosen())

    # -- messages from views --------------------------------------------------------------------

    def on_window(self, content: dict[str, Any]) -> None:
        """Record the window of a view, and send the rows that it lacks."""
        view = str(content.get("view"))
        window = self._windows.look(view, content)
        if content.get("lacks") is not True:
            return
        generation = self._generation
        found: tuple[int, int, list[list[Any]]] = 0, 0, []
        if content.get("generation") == generation == self._panel.feed.generation:
            found = self._windows.response(window.first, window.end, self._total())
        first, end, rows = found
        self.say("rows", to=view, generation=generation, first=first, end=end, rows=rows)

    def on_filter(self, content: dict[str, Any]) -> None:
        """Show only the deliveries that match a filter, in every view: ``hook.search(text)``."""
        text = str(content.get("text", ""))
        self._panel.feed.set_filter(text)
        self._filter = text
        self._said.pop("filter", None)
        self._windows.to_top()
        self._scan()
        self._say_changes(by=content.get("view"))
        self._panel.poke()

    def on_pause(self, content: dict[str, Any]) -> None:
        """Pause or resume the list, in every view."""
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
        """Keep the chosen delivery: somebody is looking at it."""
        self._follows = False

    def on_take(self, content: dict[str, Any]) -> None:
        """Take a value as a variable: ``hook.add_variable(name)``."""
        self._panel.hook.add_variable(str(content.get("name")))
        self._panel.poke()

    def on_replay(self, content: dict[str, Any]) -> None:
        """Send a delivery again: ``hook.replay(id)``; then choose the new delivery."""
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
        """Use a delivery's body and query as the samples of the Trigger tab."""
        if (number := _id(content)) is not None:
            self._follows = False
            self._panel.trigger.use(self._panel.hook.delivery(number))
            self.say("sampled", id=number)

    def on_curl(self, content: dict[str, Any]) -> None:
        """Send the view the command that sends a delivery: ``hook.curl(id)``."""
        if (number := _id(content)) is not None:
            self.say("curl", to=content.get("view"), text=self._panel.hook.curl(number))

    # -- list -----------------------------------------------------------------------------------

    def _scan(self) -> None:
        if self._filter:
            self._panel.feed.scan(_SCAN_SECONDS)

    def _signature(self) -> tuple[Any, ...]:
        """Return a value that differs whenever there may be changes to send."""
        feed, watch = self._panel.feed, self._panel.watch
        return (
            *(feed.generation, feed.total, feed.matched, feed.scanned),
            *(watch.arrived, watch.unfinished, self._panel.hook.revision),
            feed.now() // _BAR_MICROSECONDS,
        )

    def _total(self) -> int:
        """Return the number of rows shown; while paused, only those up to the pause."""
        feed = self._panel.feed
        paused = self._last_shown
        return feed.matched if paused is None else bisect_right(feed.ids(), paused)

    def _moved(self) -> dict[str, int] | None:
        """Locate the windows again if ordinals have changed, else return ``None``."""
        feed = self._panel.feed
        if feed.generation == self._generation:
            return None
        self._generation = feed.generation
        ids = feed.ids()
        self._forget_gone(ids[-1] if ids else 0)
        return self._windows.void(ids, self._total())

    def _forget_gone(self, last: int) -> None:
        """Clear the choice if the chosen delivery no longer exists."""
        panel = self._panel
        number = panel.selected
        if number is None:
            return
        # A delivery beyond the last row was announced before the feed read it.
        is_gone = not self._filter and number <= last and panel.feed.ordinal(number) is None
        if is_gone or panel.feed.total == 0:
            self._has_chosen = panel.feed.total > 0
            panel.choose(None)

    def _changes(self) -> dict[str, Any]:
        """Return the state that differs from the state last sent."""
        panel, feed = self._panel, self._panel.feed
        total, columns = self._total(), feed.columns()
        state: dict[str, Any] = {
            "generation": self._generation,
            "total": total,
            "kept": feed.total,
            "scanned": feed.scanned if self._filter else feed.total,
            "fresh": feed.matched - total,
            "filter": self._filter,
            "paused": self._last_shown is not None,
            "columns": [
                [item.name, item.title, item.numeric, short]
                for item, short in zip(columns, short_titles(columns), strict=True)
            ],
            "strip": self._strip(),
            "place": None if panel.selected is None else feed.ordinal(panel.selected),
        }
        changes = {key: value for key, value in state.items() if self._said.get(key, ...) != value}
        self._said = state
        return changes

    def _strip(self) -> list[Any]:
        """Return the strip: its end and a bar's length in ms, and the counts of each bar.

        The end is counted from 1970; the counts are of all deliveries, then of refused ones. An
        empty strip never changes, so an idle hook sends no messages.
        """
        if self._last_shown is not None and "strip" in self._said:
            return list(self._said["strip"])
        now = self._panel.feed.now()
        bars = self._panel.feed.strip(now, _BARS, _BAR_MICROSECONDS // 1_000_000)
        every, refused = [bar[0] for bar in bars], [bar[1] for bar in bars]
        end = (now // _BAR_MICROSECONDS + 1) * _BAR_MICROSECONDS // 1000 if any(every) else 0
        return [end, _BAR_MICROSECONDS // 1000, every, refused if any(refused) else []]

    # -- chosen delivery ------------------------------------------------------------------------

    def follow(self) -> None:
        """Choose each new delivery from now on; the caller holds the lock."""
        self._follows = True

    def _choose_newest(self) -> None:
        """Choose the newest delivery if none was chosen yet, or while the newest is followed."""
        feed = self._panel.feed
        is_first = not self._has_chosen and self._panel.selected is None and feed.matched
        is_due = self._is_behind and time.monotonic() >= self._next_follow
        if is_first or is_due:
            self._panel.choose(feed.ids()[-1])

    @property
    def _is_behind(self) -> bool:
        """Whether the list shows a newer delivery than the chosen one, which is to be followed."""
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
                self._details = found = panel.watch.details(number)
                _trim(found["body"])
                _trim(found["query"])
                if found["response"] is not None:
                    found["response"]["tone"] = response_tone(found["response"]["status"])
            except RecordNotFoundError:
                pass  # Pruned or cleared since it was chosen; the view says so.
        now = time.monotonic()
        # Reading a large delivery takes time from the server: at most a tenth of it.
        self._next_details = now + 10 * (now - started)

    @property
    def _is_settled(self) -> bool:
        """Whether the chosen delivery is final: its response sent and its execution over."""
        found = self._details
        if found is None:
            return True
        execution = found["execution"]
        return found["response"] is not None and (execution is None or execution["is_over"])

    def _changed_details(self) -> dict[str, Any] | None:
        """Return the changed details of the chosen delivery, with its id."""
        before = self._details
        is_other = self._details_revision != self._panel.hook.revision
        is_due = not self._is_settled and time.monotonic() >= self._next_details
        if before is None or not (is_other or is_due):
            return None
        self._read_details()
        if (after := self._details) is None:
            return None
        changed = {key: value for key, value in after.items() if before.get(key, ...) != value}
        return {**changed, "id": after["id"]} if changed else None


def _trim(tree: Tree) -> None:
    """Remove the lines of a tree beyond the limit of characters, and count them as ``more``."""
    left = _MAX_CHARACTERS
    for at, (_, label, _, text, name, *_) in enumerate(tree["lines"]):
        left -= len(label or "") + len(text) + len(name or "")
        if left < 0:
            rest = tree["lines"][at:]
            tree["lines"] = tree["lines"][:at]
            tree["more"] += sum(line[2] != "end" for line in rest)
            return


def _id(content: dict[str, Any]) -> int | None:
    """Return the id in a view's message."""
    number = content.get("id")
    return number if type(number) is int else None
