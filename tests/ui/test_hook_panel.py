"""The whole panel: what it is shown as, what is saved of it, and the panels of all hooks."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest

import hooknb
from hooknb import BasicAuth, Condition, Request, Response
from hooknb.errors import HooknbError
from hooknb.ui import HookPanel, Panels
from hooknb.ui.draft.arrangement import Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hooknb import Hook, Runtime

WIDGET = "application/vnd.jupyter.widget-view+json"


def look(panel: HookPanel) -> list[dict[str, Any]]:
    """Open a view of every part, as a browser does, and give what will be said."""
    said: list[dict[str, Any]] = []
    for part in panel.parts:
        part.send = lambda content, _buffers=None: said.append(content)
        part._hear(part, {"kind": "open", "view": "a", "visible": True}, [])
    return said


@pytest.fixture
def hook(runtime: Runtime) -> Hook:
    return runtime.webhook(
        "payments",
        sync=True,
        auth=BasicAuth("shop", "s3cret-password"),
        body=hooknb.parse_body('{"status": "sample-marker", "amount": 1}'),
        nodes=[
            Request("http://127.0.0.1:9/", headers={"Authorization": "Bearer s3cret-token"}),
            Condition("true", yes=[Response(200, body="s3cret-answer")]),
        ],
    )


def test_without_a_kernel_a_hook_shows_its_summary(hook: Hook) -> None:
    bundle = hook._repr_mimebundle_()
    assert bundle.keys() == {"text/plain", "text/html"}
    assert "panel" not in vars(hook)
    assert bundle["text/plain"] == repr(hook)
    assert "s3cret" not in json.dumps(bundle)


def test_there_is_one_panel_for_all_cells_and_it_has_the_summary_beside_it(hook: Hook) -> None:
    panel = hook.panel
    assert panel is hook.panel
    assert panel.view()[WIDGET]["model_id"] == panel.model_id
    assert repr(panel) == repr(hook)


def test_nothing_secret_and_nothing_that_came_is_in_what_is_saved(hook: Hook) -> None:
    number = hook.send(json={"status": "payload-marker", "amount": 2}).delivery
    panel = hook.panel
    said = look(panel)
    with panel.lock:
        panel.choose(number)
        panel.trigger.use(hook.delivery(number))
    panel.workflow.editor.choose(hook.workflow.nodes[0].key)
    panel.trigger.body.parse.click()
    panel.publish()
    assert "payload-marker" in json.dumps(said)
    saved = json.dumps(ipywidgets.Widget.get_manager_state(drop_defaults=False))
    for mark in ("s3cret", "payload-marker", "sample-marker", hook.key):
        assert mark not in saved, mark
    assert "s3cret-password" not in json.dumps(said)


def test_what_changes_is_said_and_what_does_not_is_not(hook: Hook) -> None:
    said = look(hook.panel)
    hook.panel.publish()
    said.clear()
    assert hook.panel.publish() == 0
    assert said == []
    hook.enabled = False
    hook.panel.publish()
    states = [message for message in said if message["kind"] == "state"]
    assert [(state["state"], state["tone"]) for state in states] == [("disabled", "warn")]
    assert states[0]["url"].startswith("http://shop:•••••@127.0.0.1:")


def test_the_head_copies_tests_and_switches(hook: Hook) -> None:
    hook.configure(nodes=[Response(201)])
    said = look(hook.panel)
    head = hook.panel.head

    def ask(kind: str, **content: Any) -> None:
        head._hear(head, {"kind": kind, "view": "a", **content}, [])

    ask("url")
    assert said[-1]["text"] == hook.url_with_credentials
    ask("curl")
    assert said[-1]["text"] == hook.curl()
    ask("switch", on=False)
    assert hook.enabled is False
    ask("switch", on=True)
    tested = threading.Event()
    head.send = lambda content, _buffers=None: tested.set() if content["kind"] == "tested" else None
    ask("test")
    assert tested.wait(20)
    assert hook.deliveries["status"].tolist() == [201]
    assert hook.delivery(1).body == {"status": "sample-marker", "amount": 1}


def test_a_closed_runtime_is_shown_as_such_without_an_error(caplog: Any) -> None:
    with hooknb.Runtime(":memory:", port=0) as runtime:
        hook = runtime.webhook("orders")
        said = look(hook.panel)
    hook.panel.publish()
    assert [m["state"] for m in said if m["kind"] == "state"][-1] == "closed"
    assert caplog.text == ""


def widgets() -> int:
    return len(ipywidgets.widgets.widget._instances)


def test_the_panel_of_a_closed_hook_gives_way_to_the_next_of_its_name(runtime: Runtime) -> None:
    first = runtime.webhook("replaced")
    other = runtime.webhook("beside")
    before = widgets()
    panel = first.panel
    each = widgets() - before
    look(panel)
    panel.workflow.editor.offer(Place())
    for kind in panel.workflow.editor.types.values():
        kind.click()
    used = widgets() - before
    assert used > each
    first.close()
    panel.publish()
    assert panel.watched
    assert widgets() == before + used  # it stands where it was shown, as closed
    beside = other.panel
    before += each
    second = runtime.webhook("replaced")
    assert panel.comm is not None
    assert second.panel is not panel
    assert widgets() == before + each
    assert panel.comm is None
    assert not panel.watched
    assert beside.comm is not None
    assert panel.publish() == 0  # the publisher may be at it just then
    # The closed one can be shown again, beside the one that is served.
    assert first.panel is not panel
    assert second.panel.comm is not None
    assert first.panel.comm is not None


class Calls:
    """What the buttons of the panels call, on one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def hooks(self) -> Mapping[str, Hook]:
        return self._runtime.hooks

    def workflows(self) -> list[str]:
        return self._runtime.workflows()

    def store_users(self) -> list[int | None]:
        return hooknb.runtime.store_users()

    def webhook(self, name: str, *, sync: bool) -> Hook:
        return self._runtime.webhook(name, sync=sync)

    def serve(self, name: str) -> Hook:
        return self._runtime.serve(name)


def listed(panels: Panels) -> list[tuple[str, bool]]:
    return [(row["name"], row["stored"]) for row in panels._listed()["hooks"]]


def test_new_webhook_makes_one_and_shows_it(runtime: Runtime) -> None:
    panels = Panels(Calls(runtime))
    assert listed(panels) == []
    panels.name.value = "orders"
    panels.mode.value = True
    panels.make.click()
    assert runtime.hooks["orders"].workflow.sync
    assert panels.place.children == (runtime.hooks["orders"].panel,)
    assert panels.name.value == "orders"
    assert listed(panels) == [("orders", False)]


def test_what_is_only_stored_is_served_as_it_stands(runtime: Runtime) -> None:
    runtime.webhook("orders", body=["id"]).close()
    panels = Panels(Calls(runtime))
    assert listed(panels) == [("orders", True)]
    panels.name.value = "orders"
    panels.make.click()
    hook = runtime.hooks["orders"]
    assert hook.revision == 1
    assert [variable.path for variable in hook.workflow.trigger.body] == ["id"]
    assert listed(panels) == [("orders", False)]


def test_a_name_that_is_none_is_told_and_kept(runtime: Runtime) -> None:
    panels = Panels(Calls(runtime))
    for empty in ("", "  "):
        panels.name.value = empty
        panels.make.click()
        assert panels.name.error == "enter a name"
        assert panels.name.value == empty
    panels.name._hear(None, {"kind": "typed", "view": "a", "text": "a\nb"}, None)
    assert panels.name.error == ""
    panels.make.click()
    assert "is not a name" in panels.name.error
    panels.name.value = "right"
    panels.make.click()
    assert panels.name.error == ""
    with pytest.raises(HooknbError, match="nowhere"):
        panels.choose("nowhere")


def test_what_came_of_each_is_counted(runtime: Runtime) -> None:
    hook = runtime.webhook("orders")
    panels = Panels(Calls(runtime))
    assert panels._listed()["hooks"][0]["said"] == "nothing new"
    hook.send(json={})
    assert panels._listed()["hooks"][0]["said"] == "1 new"


def test_how_large_the_store_is_and_what_grows_is_told(
    stored_runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    panels = Panels(Calls(stored_runtime))
    assert panels._listed()["size"] == ""
    hook = stored_runtime.webhook("orders")
    stored_runtime.webhook("other").send(json={})
    hook.send(json={"text": "x" * 3000})
    panels._next_stored = 0
    listed = panels._listed()
    assert re.fullmatch(
        r"store: \d+ KiB and \d+ KiB in its log; about 3 KiB received in the last 24 hours, 3 KiB "
        r"in the last 7 days; largest: orders, 3 KiB",
        listed["size"],
    )
    assert listed["remedy"] == ""
    monkeypatch.setattr("hooknb.history.store_size.LARGE_BYTES", 1)
    panels._next_stored = panels._next_size = 0
    assert "keep_days" in panels._listed()["remedy"]


def test_who_else_uses_the_store_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store.db"
    monkeypatch.setenv("HOOKNB_STORE", str(store))
    code = (
        f"import hooknb; r = hooknb.Runtime({str(store)!r}, port=0); "
        "r.webhook('theirs'); print('served', flush=True); input()"
    )
    with (
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other,
        hooknb.Runtime(store, port=0) as runtime,
    ):
        assert other.stdout is not None
        assert other.stdout.readline() == b"served\n"
        panels = Panels(Calls(runtime))
        [row] = panels._listed()["hooks"]
        used = f"stored; the store is also used by process {other.pid}"
        assert (row["name"], row["said"]) == ("theirs", used)
        panels.choose("theirs")
        assert listed(panels) == [("theirs", False)]
        other.communicate(b"\n", timeout=20)
        runtime.webhook("mine").close()
        panels._next_stored = 0
        assert panels._listed()["hooks"][1]["said"] == "stored, not served"


def test_a_test_without_samples_is_told(runtime: Runtime) -> None:
    head = runtime.webhook("orders").panel.head
    told: queue.Queue[dict[str, Any]] = queue.Queue()

    def test() -> bool:
        head._hear(head, {"kind": "test", "view": "a"}, [])
        while (message := told.get(timeout=20))["kind"] != "tested":
            pass
        return bool(message["empty"])

    head.send = lambda content, _buffers=None: told.put(content)
    assert test()
    runtime.hooks["orders"].configure(body=hooknb.parse_body('{"id": 1}'))
    assert not test()
    runtime.hooks["orders"].configure(body=[])
    assert not test()  # the newest is sent again


def test_the_list_is_published_under_the_lock_of_all_its_panels(runtime: Runtime) -> None:
    panels = Panels(Calls(runtime))
    runtime.webhook("orders")
    said: list[dict[str, Any]] = []
    panels.list.send = lambda content, _buffers=None: said.append(content)
    publisher = threading.Thread(target=panels.list.publish)
    with panels.name.lock, panels.mode.lock:
        publisher.start()
        publisher.join(0.3)
        assert said == []
        panels.list._hear(panels.list, {"kind": "open", "view": "a", "visible": True}, [])
    publisher.join(10)
    # What the view was told when it was opened is not said again.
    assert [message["kind"] for message in said] == ["hooks"]
