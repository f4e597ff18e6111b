"""The tab of deliveries, by what it says to the views that are open."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import hooknb
from hooknb.ui.parts.publisher import PUBLISHER

Message = dict[str, Any]


class Views:
    """Stands where the browser stands: hears what is said, and sends what views send."""

    def __init__(self, hook: hooknb.Hook) -> None:
        self.hook = hook
        self.panel = hook.panel
        # What is said is said when a test asks for it.
        PUBLISHER._watched.discard(self.panel)
        self.part = self.panel.deliveries
        self.said: list[Message] = []
        self._news = threading.Condition()
        self.part.send = self._hear

    def _hear(self, content: Message, _buffers: Any = None) -> None:
        with self._news:
            self.said.append(content)
            self._news.notify_all()

    def wait(self, count: int) -> list[Message]:
        """Wait until so many messages were said, and give them."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.said) >= count, 20)
            return self.said[:count]

    def send(self, kind: str, view: str = "a", **content: Any) -> list[Message]:
        """Send a message of a view, and give what is said to it at once."""
        self.said.clear()
        self.part._hear(None, {"kind": kind, "view": view, **content}, None)
        return list(self.said)

    def open(self, view: str = "a") -> Message:
        """Open a view, and give what it is told."""
        told = self.send("open", view, visible=True)
        return told[-1]

    def look(self, first: int, end: int, view: str = "a", **content: Any) -> list[Message]:
        """Tell where a view has scrolled to."""
        window = {"first": first, "end": end, "follows": False, "lacks": False}
        generation = self.panel.feed.generation
        return self.send("window", view, **{**window, "generation": generation, **content})

    def publish(self) -> list[Message]:
        """Go one round of the publisher, and give what was said."""
        with self.panel.lock:
            self.said.clear()
            self.hook._flush()
            self.panel.feed.refresh()
            assert self.part.publish() == len(self.said)
            return list(self.said)

    def is_quiet(self) -> bool:
        """Go one round, and tell whether nothing was said but that time goes by."""
        return all(
            message.keys() <= {"kind", "generation", "total", "strip"} for message in self.publish()
        )

    def later(self) -> list[Message]:
        """Go one round when it is time to look again at what waits, and give what was said."""
        self.part._next_look = self.part._next_details = 0
        return self.publish()


def size(messages: list[Message]) -> int:
    return sum(len(json.dumps(message)) for message in messages)


def ids(message: Message) -> list[int]:
    return [row[1] for row in message["rows"]]


def write(hook: hooknb.Hook, statement: str, parameters: tuple[int, ...] = ()) -> None:
    hook._store._writer.call(lambda connection: connection.exec_driver_sql(statement, parameters))


def fill(hook: hooknb.Hook, count: int) -> None:
    """Have many deliveries, as copies of one."""
    hook.send(json={"n": 0, "text": "first"})
    hook.wait()
    store = hook._store

    [[number]] = store.rows("SELECT max(id) FROM deliveries")
    write(
        hook,
        "INSERT INTO deliveries (workflow_id, id, received_at, method, query, content_type, "
        "content_encoding, head, body, size, remote, reason, detail) "
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?) "
        "SELECT workflow_id, id + n, received_at + n, method, query, content_type, "
        "content_encoding, head, "
        "CAST('{\"n\":' || n || ',\"text\":\"row ' || n || '\"}' AS BLOB), size, remote, "
        "reason, detail FROM c, deliveries WHERE id = ?",
        (count - 1, number),
    )
    write(
        hook,
        "INSERT INTO responses SELECT d.workflow_id, d.id, 200, 1000, a.revision, a.headers, "
        "a.body, a.size FROM deliveries d, responses a WHERE a.delivery_id = ? AND d.id > ?",
        (number, number),
    )
    write(hook, "UPDATE workflows SET last_delivery = last_delivery + ?", (count - 1,))


@pytest.fixture
def hook(runtime: hooknb.Runtime) -> hooknb.Hook:
    return runtime.webhook("orders", body=["n", "text"])


@pytest.fixture
def views(hook: hooknb.Hook) -> Views:
    return Views(hook)


class Held:
    """A node that runs until it is let go; then it gives ``body.n``."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self, context: Any) -> Any:
        self.began.set()
        self.go.wait(20)
        return context.body["n"]


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.go.set()


@pytest.fixture
def waiting(runtime: hooknb.Runtime, held: Held) -> Iterator[hooknb.Hook]:
    """Return a hook with a caller who waits for its response."""

    def hold(context: Any) -> Any:
        return held(context)

    hook = runtime.webhook("slow", sync=True, body=["n"], nodes=[hold])
    sender = threading.Thread(target=hook.send, kwargs={"json": {"n": 7}})
    sender.start()
    assert held.began.wait(20)
    yield hook
    held.go.set()
    sender.join()


# -- the list -------------------------------------------------------------------------------------


def test_an_empty_hook_says_that_nothing_is_there(views: Views) -> None:
    told = views.open()
    assert (told["total"], told["kept"], told["rows"]) == (0, 0, [])
    assert [column[0] for column in told["columns"]] == ["body.n", "body.text"]
    assert told["chosen"] == {"id": None, "place": None, "details": None}
    assert views.is_quiet()


def test_opening_says_one_window_of_many(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 20_000)
    told = views.open()
    assert told["total"] == told["kept"] == 20_000
    assert ids(told) == list(range(20_000, 19_940, -1))
    assert told["rows"][0][6] == ["19999", "row 19999"]
    assert size(views.said) < 20_000
    assert views.is_quiet()


def test_fifty_new_rows_are_one_small_message(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 1_000)
    views.open()
    for number in range(50):
        hook.send(json={"n": number, "text": f"of a customer with the number {number}"})
    hook.wait()
    said = views.publish()
    assert len(said) == 1
    assert size(said) < 20_000
    assert ids(said[0]) == list(range(1_050, 1_000, -1))
    assert said[0]["total"] == 1_050
    assert "columns" not in said[0]
    assert views.is_quiet()


def test_wide_rows_are_left_to_be_asked_for(runtime: hooknb.Runtime) -> None:
    names = [f"a_long_name_of_a_column_{number}" for number in range(20)]
    hook = runtime.webhook("wide", body=names)
    views = Views(hook)
    hook.send(json={})
    hook.wait()
    views.open()
    for _ in range(50):
        hook.send(json=dict.fromkeys(names, "é" * 100))
    hook.wait()
    [said] = views.publish()
    # As Jupyter writes it.
    assert len(json.dumps(said, ensure_ascii=False).encode()) < 20_000
    assert 0 < len(said["rows"]) < 50
    [response] = views.look(1, 21, lacks=True)
    assert (response["first"], response["end"]) == (1, 21)
    assert {row[0] for row in response["rows"]} >= set(range(1, 21))


def test_rows_in_sight_are_given_at_once_to_who_asks(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 2_000)
    views.open()
    views.open("b")
    [response] = views.look(700, 720, view="b", lacks=True)
    assert response["kind"] == "rows"
    assert response["to"] == "b"
    assert response["first"] <= 640
    assert response["end"] >= 780
    assert response["end"] - response["first"] <= 200
    found = [row[0] for row in response["rows"]]
    assert found[:20] == list(range(700, 720))
    assert sorted(found) == list(range(response["first"], response["end"]))
    assert views.look(700, 720, view="b") == []


@pytest.mark.parametrize(
    "window",
    [
        {"first": -5, "end": 10**30},
        {"first": "x", "end": None},
        {"first": True, "end": 1.5},
        {"first": 50, "end": 10, "anchor": []},
        {"first": 10**9, "end": 2 * 10**9},
        {"generation": "other"},
    ],
)
def test_a_window_that_cannot_be_gets_no_rows_beyond_the_list(
    hook: hooknb.Hook, views: Views, window: dict[str, Any]
) -> None:
    fill(hook, 30)
    views.open()
    asked = {"first": 0, "end": 10, "generation": views.panel.feed.generation, "lacks": True}
    [response] = views.send("window", **{**asked, **window})
    assert response["kind"] == "rows"
    assert {row[0] for row in response["rows"]} <= set(range(30))
    hook.send(json={"n": 1})
    hook.wait()
    assert ids(views.publish()[0]) == [31]


def test_the_strip_counts_what_came_lately(hook: hooknb.Hook, views: Views) -> None:
    hook.send(json={"n": 1})
    hook.send(data="x", headers={"Content-Type": "text/plain"})
    hook.wait()
    _, milliseconds, every, refused = views.open()["strip"]
    assert milliseconds == 10_000
    assert len(every) == 30
    assert sum(every) == 2
    assert sum(refused) == 1


# -- what comes later -----------------------------------------------------------------------------


def test_a_late_response_is_sent(waiting: hooknb.Hook, held: Held) -> None:
    views = Views(waiting)
    [row] = views.open()["rows"]
    assert (row[3], row[9:]) == (None, ["wait", False])
    assert views.panel.selected == 1
    assert views.later() == []
    held.go.set()
    waiting.wait()
    [said] = views.later()
    [row] = said["rows"]
    assert (row[3], row[8:]) == (200, ["resolved", "ok", True])
    changes = said["details"]
    assert "body" not in changes
    assert (changes["response"]["status"], changes["response"]["tone"]) == (200, "ok")
    execution = changes["execution"]
    assert (execution["status"], execution["tone"], execution["is_over"]) == (
        "resolved",
        "ok",
        True,
    )
    assert execution["jobs"][0]["tone"] == "ok"
    assert changes["execution"]["jobs"][0]["result"] == "7"
    assert views.later() == []


def test_what_waits_out_of_sight_is_not_read(waiting: hooknb.Hook, held: Held) -> None:
    views = Views(waiting)
    assert ids(views.open()) == [1]
    refused = [waiting.send(data="x", headers={"Content-Type": "text/plain"}) for _ in range(80)]
    assert {response.status for response in refused} == {415}
    views.send("choose", id=81)
    views.publish()
    held.go.set()
    waiting.wait()
    assert all(row[1] != 1 for message in views.later() for row in message.get("rows", []))
    # It is asked for when it comes into sight.
    [response] = views.look(0, 20, lacks=True)
    assert next(row for row in response["rows"] if row[1] == 1)[3] == 200


def test_an_execution_that_fails_later_is_said(runtime: hooknb.Runtime, held: Held) -> None:
    def fails(context: Any) -> Any:
        return held(context) + context.body["amount"]

    hook = runtime.webhook("fails", body=["n"], nodes=[fails])
    views = Views(hook)
    views.open()
    hook.send(json={"n": 1})
    assert held.began.wait(20)
    [row] = views.publish()[-1]["rows"]
    assert row[3] == 200
    assert row[5] is None
    held.go.set()
    hook.wait()
    [row] = views.later()[-1]["rows"]
    assert (row[3], row[5], row[8]) == (200, "KeyError: 'amount'", "error")


def test_new_columns_come_with_their_rows(hook: hooknb.Hook, views: Views) -> None:
    hook.send(json={"n": 1, "order": {"id": 9007199254740993}})
    hook.wait()
    views.open()
    assert views.send("take", name="body.order.id") == []
    [said] = views.publish()
    assert [column[0] for column in said["columns"]] == ["body.n", "body.text", "body.order.id"]
    assert said["rows"][0][6] == ["1", "", "9007199254740993"]
    assert ["body.order.id", "body.order.id", "9007199254740993"] in said["details"]["variables"]
    assert "body" not in said["details"]
    [error] = views.send("take", name="body[")
    assert (error["kind"], error["about"], error["to"]) == ("error", "take", "a")


# -- the filter -----------------------------------------------------------------------------------


def test_a_filter_is_shared_by_all_views(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 300)
    views.open()
    views.open("b")
    views.look(0, 20, view="b", anchor=20)
    said = views.send("filter", text="body.n >= 290")
    assert said[0]["by"] == "a"
    assert "to" not in said[0]
    shown = {row[1] for message in said for row in message["rows"]}
    while views.panel.feed.scanned < 300:
        shown |= {row[1] for message in views.publish() for row in message.get("rows", [])}
    assert shown == set(range(291, 301))
    told = views.open("c")
    assert (told["filter"], told["total"], told["kept"]) == ("body.n >= 290", 10, 300)
    hook.send(json={"n": 1})
    hook.send(json={"n": 400})
    hook.wait()
    [new] = views.publish()
    assert ids(new) == [302]
    assert (new["total"], new["kept"]) == (11, 302)
    back = views.send("filter", text="")
    assert back[0]["total"] == 302
    assert len(back[0]["rows"]) == 60


def test_a_wrong_filter_changes_nothing(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 5)
    views.open()
    [error] = views.send("filter", text="body.n > > 1")
    assert (error["kind"], error["about"], error["to"]) == ("error", "filter", "a")
    assert views.is_quiet()
    assert views.open("b")["filter"] == ""


def test_a_filter_that_finds_nothing(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 5)
    views.open()
    [said] = views.send("filter", text="nothing like it")
    assert (said["total"], said["rows"]) == (0, [])
    assert views.panel.selected == 5


# -- the pause ------------------------------------------------------------------------------------


def test_while_paused_new_ones_are_only_counted(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 10)
    views.open()
    views.open("b")
    [said] = views.send("pause", on=True)
    assert said["paused"] is True
    for number in range(3):
        hook.send(json={"n": number})
    hook.wait()
    [said] = views.publish()
    assert (said["total"], said["fresh"]) == (10, 3)
    assert "rows" not in said
    told = views.open("c")
    assert (told["paused"], told["total"], told["fresh"]) == (True, 10, 3)
    assert max(ids(told)) == 10
    [response] = views.look(0, 20, lacks=True)
    assert {row[1] for row in response["rows"]} == set(range(1, 11))
    [said] = views.send("pause", view="b", on=False)
    assert (said["paused"], said["total"], said["fresh"]) == (False, 13, 0)
    assert ids(said) == [13, 12, 11]


def test_a_pause_outlives_what_is_pruned(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 10)
    views.open()
    views.send("pause", on=True)
    hook.send(json={"n": 1})
    hook.wait()
    write(hook, "DELETE FROM deliveries WHERE id <= 2")
    [said] = views.publish()
    assert (said["total"], said["fresh"]) == (8, 1)
    assert ids(said) == list(range(10, 2, -1))


# -- what goes ------------------------------------------------------------------------------------


def test_cleared_while_open(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 100)
    before = views.open()["generation"]
    assert views.panel.selected == 100
    hook.clear()
    said = views.publish()
    assert said[0] == {"kind": "chosen", "id": None, "place": None, "details": None}
    assert said[-1]["generation"] != before
    assert (said[-1]["total"], said[-1]["rows"]) == (0, [])
    hook.send(json={"n": 1})
    hook.wait()
    said = views.publish()
    assert ids(said[-1]) == [101]
    assert said[0]["id"] == 101


def test_a_view_finds_its_place_again(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 500)
    views.open()
    views.open("b")
    views.look(200, 220, anchor=220)
    write(hook, "DELETE FROM deliveries WHERE id <= 7")
    [said] = views.publish()
    # Row 220 has the ordinal 212 now; the other view stays at the top.
    assert said["places"] == {"a": 212}
    assert set(range(201, 221)) <= set(ids(said))
    assert 500 in ids(said)
    assert size([said]) < 20_000


# -- the chosen one -------------------------------------------------------------------------------


def test_the_newest_is_followed_once_a_second(hook: hooknb.Hook, views: Views) -> None:
    views.open()
    hook.send(json={"n": 1})
    hook.wait()
    said = views.publish()
    assert [message["kind"] for message in said] == ["chosen", "update"]
    assert (said[0]["id"], said[0]["place"]) == (1, 0)
    hook.send(json={"n": 2})
    hook.wait()
    assert [message["kind"] for message in views.publish()] == ["update"]
    assert views.panel.selected == 1
    views.part._next_follow = 0
    assert [message["kind"] for message in views.later()] == ["chosen", "update"]
    assert views.panel.selected == 2
    views.part._next_follow = 0
    assert views.later() == []


def follows(hook: hooknb.Hook, views: Views) -> bool:
    """Send one more, and tell whether it is chosen."""
    number = hook.send(json={"n": 1}).delivery
    hook.wait()
    views.part._next_follow = 0
    views.later()
    return views.panel.selected == number


@pytest.mark.parametrize("kind", ["choose", "hold", "sample", "replay"])
def test_what_somebody_chose_or_uses_stays(hook: hooknb.Hook, views: Views, kind: str) -> None:
    fill(hook, 3)
    views.open()
    views.send(kind, id=3)
    if kind == "replay":
        views.wait(2)
    assert not follows(hook, views)


def test_after_a_test_the_newest_is_followed(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 3)
    views.open()
    views.send("choose", id=2)
    assert not follows(hook, views)
    views.said.clear()
    head = views.panel.head
    head._hear(head, {"kind": "test", "view": "a"}, [])
    [chosen] = views.wait(1)
    assert (chosen["kind"], chosen["id"]) == ("chosen", 5)
    with views.panel.lock:
        assert views.panel.selected == 5
    assert follows(hook, views)


def test_the_newest_is_not_followed_where_it_is_not_looked_at(
    hook: hooknb.Hook, views: Views
) -> None:
    fill(hook, 50)
    views.open()
    views.look(0, 10)
    assert not follows(hook, views)
    views.look(40, 51, follows=True)
    assert follows(hook, views)
    views.send("pause", on=True)
    assert not follows(hook, views)
    views.send("pause", on=False)
    assert follows(hook, views)


def test_a_choice_is_said_to_all_views_with_its_details(hook: hooknb.Hook, views: Views) -> None:
    fill(hook, 20)
    views.open()
    views.open("b")
    [said] = views.send("choose", id=3)
    assert "to" not in said
    assert (said["id"], said["place"]) == (3, 2)
    assert said["details"]["variables"] == [
        ["body.n", "body.n", "2"],
        ["body.text", "body.text", "row 2"],
    ]
    assert views.open("c")["chosen"] == {key: said[key] for key in ("id", "place", "details")}
    for number in ("3", None, True, 3.5):
        assert views.send("choose", id=number) == []
    [gone] = views.send("choose", id=10**6)
    assert gone["details"] is None


def test_credentials_are_masked(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("safe", auth=hooknb.BasicAuth("shop", "s3cret"))
    views = Views(hook)
    hook.send(json={"n": 1})
    hook.wait()
    views.open()
    assert ["Authorization", "Basic •••••", True] in views.said[0]["details"]["headers"]
    assert "s3cret" not in json.dumps(views.said)


def test_nothing_that_came_is_kept_in_the_state_of_the_widget(
    hook: hooknb.Hook, views: Views
) -> None:
    hook.send(json={"n": "a payload", "text": "another"})
    hook.wait()
    views.open()
    assert "a payload" in json.dumps(views.said)
    views.send("filter", text="a payload")
    state = {
        key: value for key, value in views.part.get_state().items() if key not in {"_esm", "_css"}
    }
    assert "payload" not in repr(state)


def test_sent_again_and_chosen(hook: hooknb.Hook, views: Views) -> None:
    hook.send(json={"n": 1})
    hook.wait()
    views.open()
    views.send("replay", id=1)
    done, chosen = views.wait(2)
    assert done == {"kind": "replayed", "id": 1, "status": 200, "delivery": 2}
    assert (chosen["kind"], chosen["id"]) == ("chosen", 2)
    assert chosen["details"]["body"]["lines"]
    said = views.publish()[-1]
    assert ids(said) == [2]
    assert said["place"] == 1


def test_the_command_is_given_to_who_asks_for_it(hook: hooknb.Hook, views: Views) -> None:
    hook.send(json={"n": 1})
    hook.wait()
    views.open()
    views.open("b")
    [said] = views.send("curl", view="b", id=1)
    assert said == {"kind": "curl", "to": "b", "text": hook.curl(1)}
    [error] = views.send("curl", view="b", id=99)
    assert (error["about"], error["to"]) == ("curl", "b")


def test_a_delivery_becomes_the_sample(hook: hooknb.Hook, views: Views) -> None:
    hook.send(json={"n": 1, "other": True})
    hook.wait()
    views.open()
    assert views.send("sample", id=1) == [{"kind": "sampled", "id": 1}]
