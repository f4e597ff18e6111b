"""The tab of the workflow: what is clicked is what the hook does; the picture says what it did."""

from __future__ import annotations

import json
import threading
from typing import Any

import ipywidgets
import pytest

import hooknb
from hooknb.ui.draft.arrangement import Place
from hooknb.ui.panel import HookPanel
from hooknb.ui.parts.part import Part
from hooknb.workflow.nodes import Case


def hear(part: Any, kind: str, **content: Any) -> None:
    part._hear(part, {"kind": kind, "view": "v", **content}, [])


def typed(field: Any, text: str) -> None:
    hear(field, "typed", text=text)


class Listened:
    """A tab, and what its picture says."""

    def __init__(self, panel: HookPanel) -> None:
        self.panel = panel
        self.tab = panel.workflow
        self.editor = self.tab.editor
        self.bar = self.tab.bar
        self.said: list[dict[str, Any]] = []
        self.tab.flow.send = lambda content, **_: self.said.append(content)
        self._publish_in_turn()

    def last(self, kind: str) -> dict[str, Any]:
        return [message for message in self.said if message["kind"] == kind][-1]

    def add(self, name: str, at: Place, **texts: str) -> None:
        """Add a node as somebody does: by its place, its type and its form."""
        hear(self.tab.flow, "add", parent=at.parent, branch=at.branch, at=at.at)
        self.editor.types[name].click()
        self.fill(**texts)
        self.editor.done.click()

    def edit(self, which: str, /, **texts: str) -> None:
        hear(self.tab.flow, "choose", key=which)
        self.fill(**texts)
        self.editor.done.click()

    def fill(self, **texts: str) -> None:
        form = self.editor.form
        for name, text in texts.items():
            typed(form.key if name == "key" else form.inputs[name].field, text)

    def field(self, name: str) -> Any:
        return self.editor.form.inputs[name].field

    def keys(self) -> list[str]:
        return [node.key for node in self.panel.draft.nodes]

    def publish(self) -> None:
        self.panel.hook._flush()
        self.tab.flow._next = 0
        self.tab.flow.publish()

    def _publish_in_turn(self) -> None:
        """Have the tests' thread and the publisher's, which never meet in a kernel, take turns."""
        publish, turn = self.tab.flow.publish, threading.Lock()

        def in_turn() -> int:
            with turn:
                return publish()

        self.tab.flow.publish = in_turn


@pytest.fixture
def listen(runtime):
    listened: list[Listened] = []

    def made(**settings: Any) -> Listened:
        listened.append(Listened(HookPanel(runtime.webhook("payments", **settings))))
        return listened[-1]

    yield made
    for each in listened:
        hear(each.tab.flow, "close")


def test_a_condition_and_two_responses_are_added_and_the_hook_responds_to_both(listen):
    it = listen()
    hook = it.panel.hook
    it.add("condition", Place(), condition='body.status == "paid"', key="paid")
    assert it.editor.key == "paid"
    it.add("response", Place("paid", "yes", 0), status="200", body='{"ok": true}')
    it.add("response", Place("paid", "no", 0), status="422", body="not {{ body.status }}, but paid")
    # Nobody waits for a response yet.
    assert "is for a waiting caller" in it.bar.note.text
    assert it.last("flow")["nodes"][0]["lists"][0]["items"][0]["wrong"]
    assert it.bar.synchronous.layout.display is None
    it.bar.synchronous.click()
    assert it.bar.synchronous.layout.display == "none"
    assert it.bar.note.text == "3 nodes added"
    assert it.bar.apply.description == "Apply as revision 2"
    assert hook.revision == 1
    it.bar.apply.click()
    assert hook.revision == 2
    assert hook.workflow.sync
    assert not it.panel.draft.changed
    assert hook.send(json={"status": "paid"}).json() == {"ok": True}
    refused = hook.send(json={"status": "open"})
    assert (refused.status, refused.text) == (422, "not open, but paid")
    assert it.bar.apply.description == "Apply as revision 3"


def test_the_same_as_written_in_a_cell_is_no_new_revision(listen, runtime):
    it = listen(sync=True)
    it.add("condition", Place(), condition="body.a", key="asked")
    it.add("response", Place("asked", "no", 0), status="404", body="")
    it.bar.apply.click()
    condition = hooknb.Condition("body.a", key="asked", no=[hooknb.Response(404, body="")])
    assert runtime.webhook("payments", sync=True, nodes=[condition]).revision == 2


def test_nodes_are_renamed_moved_and_removed(listen):
    it = listen(nodes=[hooknb.Output(1, key="a"), hooknb.Output(2, key="b")])
    it.edit("a", key="c")
    assert it.keys() == ["c", "b"]
    assert it.editor.earlier.disabled
    it.editor.later.click()
    assert it.keys() == ["b", "c"]
    assert it.editor.later.disabled
    it.editor.earlier.click()
    assert it.keys() == ["c", "b"]
    # It asks before it removes.
    it.editor.remove.click()
    assert it.keys() == ["c", "b"]
    assert it.editor.remove.description == "Really remove it"
    it.editor.keep.click()
    assert it.editor.remove.description == "Remove"
    it.editor.remove.click()
    it.editor.remove.click()
    assert it.keys() == ["b"]
    assert it.editor.form is None
    it.bar.apply.click()
    assert [node.key for node in it.panel.hook.workflow.nodes] == ["b"]


def test_errors_stand_beside_the_field_and_nothing_is_lost(listen):
    it = listen(nodes=[hooknb.Calculation("body.a", key="a"), hooknb.Output(2, key="b")])
    it.edit("a", expression="body.a +")
    assert it.field("expression").error
    assert it.panel.draft.find("a").expression == "body.a"
    # Another node is not shown before this one is right.
    hear(it.tab.flow, "choose", key="b")
    assert it.editor.key == "a"
    assert it.field("expression").value == "body.a +"
    it.bar.apply.click()
    assert it.panel.hook.revision == 1
    it.fill(expression="body.a + 1", key="b")
    it.editor.done.click()
    assert "the key of another node" in it.editor.form.key.error
    it.fill(key="a")
    hear(it.tab.flow, "choose", key="b")
    assert it.editor.key == "b"
    assert it.panel.draft.find("a").expression == "body.a + 1"
    it.add("output", Place(at=0), key="a", value="1")
    assert "the key of another node" in it.editor.form.key.error


def test_what_is_typed_is_applied_without_done(listen):
    it = listen(nodes=[hooknb.Output(1, key="a")])
    hear(it.tab.flow, "choose", key="a")
    it.fill(value="2")
    it.bar.apply.click()
    assert it.panel.hook.workflow.nodes == (hooknb.Output(2, key="a"),)


def test_cancel_and_discard_forget(listen):
    it = listen(nodes=[hooknb.Output(1, key="a")])
    hear(it.tab.flow, "choose", key="a")
    it.fill(value="2")
    it.editor.cancel.click()
    assert not it.panel.draft.changed
    it.edit("a", value="3")
    assert it.panel.draft.changed
    assert it.last("flow")["nodes"][0]["mark"] == "edited"
    it.fill(value="4")
    it.bar.discard.click()
    assert not it.panel.draft.changed
    assert it.editor.form is None
    assert it.last("flow")["nodes"][0]["mark"] == ""


def test_loops_switches_and_parallels_are_built(listen):
    it = listen(sync=True)
    it.add("loop", Place(), over="{{ body.items }}", key="each")
    it.add("calculation", Place("each", "nodes", 0), expression="item * 2", key="twice")
    hear(it.tab.flow, "add", parent=None, branch=None, at=1)
    it.editor.types["switch"].click()
    cases = it.editor.form.inputs["cases"]
    typed(cases.rows[0].condition.field, "size(nodes.each) > 2")
    typed(cases.rows[0].name, "many")
    typed(it.editor.form.key, "how")
    it.editor.done.click()
    it.add("response", Place("how", "cases[0].nodes", 0), body="many")
    it.add("parallel", Place("how", "otherwise", 0), branches="3", key="both")
    it.add("output", Place("both", "branches[1]", 0), value='"17"', key="text")
    it.add("response", Place("how", "otherwise", 1), body="{{ nodes.both }}")
    it.bar.apply.click()
    hook = it.panel.hook
    assert hook.send(json={"items": [1, 2, 3]}).text == "many"
    assert hook.send(json={"items": [1]}).json() == [None, "17", None]
    assert hook.workflow.nodes[0].nodes[0] == hooknb.Calculation("item * 2", key="twice")


def test_nodes_below_a_node_stay_when_its_form_is_written(listen):
    inner = hooknb.Output(1, key="inner")
    it = listen(nodes=[hooknb.Condition("body.a", key="a", yes=[inner]), hooknb.Output(2, key="b")])
    hear(it.tab.flow, "choose", key="a")
    # A node is added below while the form is open.
    it.panel.draft.add(Place("a", "no", 0), hooknb.Output(3, key="new"))
    it.panel.draft_changed()
    it.fill(condition="body.b")
    it.editor.done.click()
    assert [node.key for node in it.panel.draft.find("a").no] == ["new"]
    assert it.panel.draft.find("a").yes == (inner,)


@pytest.fixture
def double():
    from hooknb.workflow.nodes import node as registry

    @hooknb.register
    class Double(hooknb.Node, frozen=True, tag="double_of_tab"):
        """Twice a number. As an example."""

        path: str

        async def run(self, context: Any) -> Any:
            return 2 * context.render("{{ " + self.path + " }}")

    yield Double
    del registry._types["double_of_tab"]


def test_a_type_of_ones_own_is_offered_and_runs(listen, double):
    it = listen(sync=True)
    it.add("double_of_tab", Place(), path="body.n", key="twice")
    it.add("response", Place(at=1), body="{{ nodes.twice }}")
    it.bar.apply.click()
    assert it.panel.hook.workflow.nodes[0] == double(path="body.n", key="twice")
    assert it.panel.hook.send(json={"n": 21}).json() == 42


def count_widgets() -> int:
    return len(ipywidgets.widgets.widget._instances)


def test_a_class_that_is_made_again_leaves_no_widgets_behind(listen, double):
    it = listen()
    counts, buttons = [], []
    for _ in range(3):
        # As a cell that is run again does; its function is looked for by module and name.
        again = type(hooknb.Node)(
            "Double",
            (hooknb.Node,),
            {
                "__module__": double.__module__,
                "__qualname__": double.__qualname__,
                "__doc__": double.__doc__,
                "__annotations__": {"path": str},
            },
            frozen=True,
            tag="double_of_tab",
        )
        hooknb.register(again)
        hear(it.tab.flow, "add", parent=None, branch=None, at=0)
        buttons.append(dict(it.editor.types))
        it.editor.types["double_of_tab"].click()
        assert it.editor.form.kind is again
        counts.append(count_widgets())
        it.editor.cancel.click()
    assert counts == [counts[0]] * 3
    first, _, last = buttons
    assert last["condition"] is first["condition"]
    assert last["double_of_tab"] is not first["double_of_tab"]
    assert first["double_of_tab"].comm is None


def test_cases_that_are_taken_out_leave_no_widgets_behind(listen):
    cases = [Case(f"body.a == {number}") for number in range(3)]
    it = listen(nodes=[hooknb.Switch(cases, key="way"), hooknb.Switch(cases[:1], key="other")])
    hear(it.tab.flow, "choose", key="other")
    before = count_widgets()
    hear(it.tab.flow, "choose", key="way")
    assert count_widgets() > before
    assert [row.name.placeholder for row in it.editor.form.inputs["cases"].rows] == [*"012"]
    hear(it.tab.flow, "choose", key="other")
    assert count_widgets() == before
    it.editor.form.inputs["cases"].add.click()
    it.editor.form.inputs["cases"].rows[1].remove.click()
    assert len(it.editor.form.inputs["cases"].rows) == 1
    assert count_widgets() == before


def test_code_is_shown_moved_and_removed_but_not_edited(listen):
    def first(context):
        return context.body["n"]

    def holds(_context):
        return True

    it = listen(nodes=[first, hooknb.Condition(holds, key="asked")])
    it.tab.flow.redraw()
    hear(it.tab.flow, "add", parent=None, branch=None, at=0)
    assert "code" not in it.editor.types
    hear(it.tab.flow, "choose", key="first")
    assert it.editor.source.text == 'def first(context):\n    return context.body["n"]\n'
    assert list(it.editor.form.inputs) == []
    assert it.last("flow")["nodes"][0]["line"] == 'return context.body["n"]'
    it.editor.later.click()
    it.editor.done.click()
    assert it.keys() == ["asked", "first"]
    assert it.panel.draft.find("first").function is first
    hear(it.tab.flow, "choose", key="asked")
    assert "def holds" in it.editor.source.text
    it.editor.remove.click()
    it.editor.remove.click()
    assert it.keys() == ["first"]


def test_another_revision_is_followed_unless_something_was_edited(listen):
    it = listen(nodes=[hooknb.Output(1, key="a")])
    it.panel.publish()
    it.panel.hook.configure(nodes=[hooknb.Output(2, key="a")])
    it.panel.publish()
    assert it.panel.draft.find("a").value == 2
    it.edit("a", value="3")
    it.panel.hook.configure(nodes=[hooknb.Output(4, key="a")])
    it.panel.publish()
    assert it.panel.draft.find("a").value == 3
    assert it.bar.note.text == "revision 3 was made elsewhere; Discard shows it"
    assert it.bar.apply.description == "Apply as revision 4"
    it.bar.apply.click()
    assert it.panel.hook.workflow.nodes == (hooknb.Output(3, key="a"),)
    # After going back the next number is not the next in line.
    it.panel.hook.revert(1)
    it.panel.publish()
    assert it.panel.draft.find("a").value == 1
    assert it.bar.apply.description == "Apply as revision 5"


def test_the_form_is_closed_where_its_node_is_gone(listen):
    it = listen(nodes=[hooknb.Output(1, key="a"), hooknb.Condition("true", key="b", yes=[])])
    hear(it.tab.flow, "choose", key="a")
    it.panel.draft.remove("a")
    it.panel.draft_changed()
    assert it.editor.form is None
    hear(it.tab.flow, "add", parent="b", branch="yes", at=0)
    assert it.last("marked")["adding"] == {"parent": "b", "branch": "yes", "at": 0}
    it.panel.draft.remove("b")
    it.panel.draft_changed()
    assert it.last("marked")["adding"] is None
    hear(it.tab.flow, "choose", key="a")
    assert "there is no node 'a'" in it.last("error")["message"]


# -- the picture ----------------------------------------------------------------------------------


def risky(context):
    return 1 / context.body["n"]


def test_the_picture_counts_runs_and_shows_the_way_of_the_chosen_delivery(listen):
    asked = hooknb.Condition(
        "body.n > 0",
        key="asked",
        yes=[hooknb.Code(risky)],
        no=[hooknb.Code(risky, key="again")],
    )
    it = listen(sync=True, nodes=[asked, hooknb.Output(1, key="after")])
    hook = it.panel.hook
    hear(it.tab.flow, "open", visible=True)
    assert it.last("way")["way"] is None
    for n in (1, 2, 0):
        hook.send(json={"n": n})
    hook.wait()
    it.publish()
    counts = it.last("counts")["nodes"]
    assert counts["asked"]["branches"] == {"yes": 2, "no": 1}
    assert (counts["risky"]["runs"], counts["risky"]["errors"]) == (2, 0)
    assert counts["again"]["errors"] == 1
    first, _, last = hook.deliveries.index
    it.panel.choose(int(first))
    way = it.last("way")["way"]
    assert way["text"] == f"path of delivery #{first}"
    assert way["nodes"] == {"risky": "resolved", "asked": "resolved", "after": "resolved"}
    assert way["lists"] == [["asked", "yes"]]
    assert way["ends"] == [[None, None], ["asked", "yes"]]
    it.panel.choose(int(last))
    way = it.last("way")["way"]
    assert (way["status"], way["tone"], way["is_lit"]) == ("error", "bad", True)
    assert way["failed"] == ["again"]
    assert way["nodes"] == {"again": "error", "asked": "inside"}
    assert way["lists"] == [["asked", "no"]]
    assert way["ends"] == []
    # Put out until another one is chosen.
    hear(it.tab.flow, "unlight")
    assert it.last("way")["way"] is None
    it.publish()
    assert it.last("way")["way"] is None
    it.panel.choose(int(first))
    assert it.last("way")["way"]["text"] == f"path of delivery #{first}"
    it.panel.hook.configure(concurrency=2)
    it.panel.choose(int(first))
    assert it.last("way")["way"]["text"] == f"path of delivery #{first}, in revision 1"


def test_a_refused_delivery_has_no_way(listen):
    it = listen()
    it.panel.hook.send(data=b"{", headers={"Content-Type": "application/json"})
    [number] = it.panel.hook.deliveries.index
    it.panel.choose(int(number))
    way = it.last("way")["way"]
    assert way["text"] == f"delivery #{number} started no execution"
    assert (way["status"], way["is_lit"], way["nodes"]) == ("", False, {})


def test_ways_through_empty_branches_are_told_by_results(listen):
    nodes = [
        hooknb.Condition("body.n == 1", key="one", yes=[], no=[]),
        hooknb.Switch([Case("body.n == 1", name="first"), Case("body.n == 2")], key="which"),
        hooknb.Loop("{{ body.items }}", nodes=[hooknb.Output("{{ item }}", key="in")], key="each"),
        hooknb.Parallel([[], []], key="both"),
    ]
    it = listen(nodes=nodes)
    hook = it.panel.hook
    ways = []
    for n in (1, 2, 3):
        hook.send(json={"n": n, "items": [1] * (n - 1)})
        hook.wait()
        it.panel.choose(int(hook.deliveries.index[-1]))
        ways.append([tuple(pair) for pair in it.last("way")["way"]["lists"]])
    both = [("both", "branches[0]"), ("both", "branches[1]")]
    assert ways == [
        [("one", "yes"), ("which", "cases[0].nodes"), *both],
        [("one", "no"), ("which", "cases[1].nodes"), ("each", "nodes"), *both],
        [("one", "no"), ("which", "otherwise"), ("each", "nodes"), *both],
    ]


def test_the_picture_names_every_scheme_that_callers_must_prove(listen):
    it = listen(auth=[hooknb.Signature("github", secret="s3cret"), hooknb.Bearer("s3cret")])
    hear(it.tab.flow, "open", visible=True)
    text = it.last("flow")["trigger"]["text"]
    assert text == "POST · Signature, Bearer token · no variables"


def test_the_picture_says_what_is_new_and_where_nothing_comes_after(listen):
    it = listen(
        sync=True,
        nodes=[
            hooknb.Condition("true", key="a", yes=[hooknb.Response()], no=[hooknb.End("failed")]),
            hooknb.Condition("true", key="gate"),
            hooknb.Request("https://u:s3cret@a.example.com/x", key="tell"),
        ],
    )
    hear(it.tab.flow, "open", visible=True)
    asked, gate, tell = it.last("flow")["nodes"]
    assert asked["closes"]
    assert [each["closes"] for each in asked["lists"]] == [True, True]
    assert asked["lists"][0]["items"][0]["title"] == "200"
    assert gate["gate"]
    assert "s3cret" not in tell["line"]
    assert it.last("flow")["trigger"]["text"] == "POST · no variables"
    it.add("output", Place("a", "no", 5), value="x" * 1000)
    asked = it.last("flow")["nodes"][0]
    assert [item["mark"] for item in asked["lists"][1]["items"]] == ["", "new"]
    assert asked["lists"][1]["items"][1]["line"].endswith("…")
    assert asked["mark"] == ""


def test_nothing_of_a_definition_is_in_what_a_notebook_saves(listen):
    def secret_function(_context):
        return "s3cret"

    it = listen(
        sync=True,
        auth=hooknb.BasicAuth("s3cret-user", "s3cret-password"),
        nodes=[
            secret_function,
            hooknb.Request(
                "https://s3cret@a.example.com",
                method="{{ body.s3cret }}",
                headers={"X": "s3cret"},
                key="s3cret1",
            ),
            hooknb.Switch([Case('body.a == "s3cret"', name="s3cret")], key="s3cret2"),
            hooknb.Response(body="s3cret", key="s3cret3"),
        ],
    )
    it.panel.hook.send(json={"a": "s3cret"})
    for key in ("secret_function", "s3cret1", "s3cret2", "s3cret3"):
        hear(it.tab.flow, "choose", key=key)
    it.fill(status="s3cret")
    it.editor.done.click()
    it.panel.choose(1)
    for widget in widgets(it.tab):
        assert "s3cret" not in json.dumps(widget.get_state(), default=str)


def widgets(widget: Any) -> list[Any]:
    found = [widget]
    for child in getattr(widget, "children", ()):
        found += widgets(child)
    return found


def test_every_message_is_heard_under_the_lock_of_the_panel(listen):
    it = listen(nodes=[hooknb.Output(1, key="a")])
    hear(it.tab.flow, "choose", key="a")
    parts = [widget for widget in widgets(it.tab) if isinstance(widget, Part)]
    assert parts
    assert all(part.lock is it.panel.lock for part in parts)


def test_the_box_of_the_trigger_leads_to_its_tab(listen):
    it = listen()
    hear(it.tab.flow, "trigger")
    assert it.panel.head.tab == 1
