from __future__ import annotations

from typing import Any

import pytest

from hooknb import SettingError
from hooknb.paths import MISSING
from hooknb.ui.draft.variable_table import Row
from hooknb.ui.parts.form_fields import Choice, Field, Note
from hooknb.ui.trigger.variable_rows import Rows


def heard(part: Any) -> list[dict[str, Any]]:
    """Return the list to which everything is added that the part says."""
    said: list[dict[str, Any]] = []
    part.say = lambda kind, **content: said.append({"kind": kind, **content})
    return said


def tell(part: Any, kind: str, view: str = "v1", **content: Any) -> None:
    part._handle_custom_msg({"kind": kind, "view": view, **content}, [])


# -- fields
# -----------------------------------------------------------------------------------------------


def test_what_is_typed_is_the_value():
    typed: list[str] = []
    field = Field("status", value="200", on_change=typed.append)
    said = heard(field)
    tell(field, "typed", text="404")
    assert field.value == "404"
    assert typed == ["404"]
    assert [(message["cause"], message["by"], message["text"]) for message in said] == [
        ("typed", "v1", "404")
    ]


def test_an_opened_field_says_all_of_itself():
    field = Field("sample", value="{}", lines=3, mono=True, placeholder="paste a body")
    field.error = "The body is not JSON at line 1, column 2."
    said = heard(field)
    tell(field, "open", visible=True)
    assert (
        said[0]
        | {
            "label": "sample",
            "text": "{}",
            "lines": 3,
            "mono": True,
            "placeholder": "paste a body",
            "error": field.error,
            "enabled": True,
            "cause": "open",
        }
        == said[0]
    )


def test_what_is_set_is_said_once():
    field = Field("status")
    said = heard(field)
    field.value = "1"
    field.value = "1"
    field.note = "n"
    field.note = "n"
    field.enabled = False
    field.placeholder = "p"
    assert [message["cause"] for message in said] == ["value", "around", "around", "around"]


def test_a_password_never_goes_back():
    field = Field("password", value="s3cret", password=True)
    said = heard(field)
    tell(field, "open", visible=True)
    tell(field, "typed", text="n3w")
    field.error = "too short"
    assert field.value == "n3w"
    field.value = "n3w"
    assert "s3cret" not in repr(said)
    assert "n3w" not in repr(said)
    assert said[-1]["cause"] == "value"
    assert said[-1]["placeholder"].startswith("•")


def test_an_emptied_password_field_stands_for_the_password_that_was_set():
    field = Field("password", value="s3cret", password=True)
    tell(field, "typed", text="n")
    tell(field, "typed", text="")
    assert field.value == "s3cret"
    tell(field, "typed", text="n")
    said = heard(field)
    field.value = "s3cret"
    assert [message["cause"] for message in said] == ["value"]


@pytest.mark.parametrize(
    "part", [Field("a", value="s3cret"), Note(), Choice("a", [("s3cret", "s3cret")])]
)
def test_nothing_of_it_is_saved(part):
    if isinstance(part, Note):
        part.show("s3cret")
    assert "s3cret" not in repr(part.get_state())
    assert "s3cret" not in repr(part)


def test_a_note_is_said_when_it_changes():
    note = Note()
    said = heard(note)
    note.show("fine")
    note.show("fine")
    note.show("not fine", "bad")
    assert [(message["text"], message["tone"]) for message in said] == [
        ("fine", ""), ("not fine", "bad")
    ]  # fmt: skip
    assert note.publish() == 0
    note.when_published = lambda: 2
    assert note.publish() == 2


# -- choices
# -----------------------------------------------------------------------------------------------


def test_what_is_chosen_is_the_value():
    chosen: list[Any] = []
    choice = Choice("mode", [("no", 1), ("yes", 2)], on_change=chosen.append)
    said = heard(choice)
    for at in (1, 1, 2, -1, "0", None):
        tell(choice, "chosen", at=at)
    assert choice.value == 2
    assert chosen == [2]
    assert [message["at"] for message in said] == [1]
    choice.value = 1
    choice.enabled = False
    assert chosen == [2]
    assert [(message["at"], message["enabled"]) for message in said[1:]] == [(0, True), (0, False)]


def test_other_values_are_offered_to_every_view():
    choice = Choice("method", [("GET", "GET")], note="how")
    said = heard(choice)
    choice.offer([("GET", "GET"), ("x", "x")], "x")
    choice.offer([("GET", "GET"), ("x", "x")], "x")
    assert [(message["labels"], message["at"], message["note"]) for message in said] == [
        (["GET", "x"], 1, "how")
    ]
    assert choice.value == "x"


def test_a_choice_without_options_is_a_switch():
    choice = Choice("HTTP Basic")
    said = heard(choice)
    tell(choice, "open", visible=True)
    assert said[0]["is_switch"]
    assert choice.value is False
    tell(choice, "chosen", at=1)
    assert choice.value is True


def test_what_is_numbered_is_said_to_be_heard_when_all_is_done():
    field = Field("status")
    said = heard(field)
    field.on_change = lambda _text: field.say("changed")
    tell(field, "typed", text="4", number=1)
    tell(field, "typed", text="40")
    assert [message["kind"] for message in said[:3]] == ["field", "changed", "heard"]
    assert said[2] == {"kind": "heard", "to": "v1", "number": 1}
    assert [message["kind"] for message in said[3:]] == ["field", "changed"]


def test_what_was_overtaken_is_left_out():
    field = Field("status")
    said = heard(field)
    tell(field, "typed", text="404", number=2)
    tell(field, "typed", text="4", number=1)
    assert field.value == "404"
    assert [message["kind"] for message in said] == ["field", "heard", "heard"]
    tell(field, "typed", view="v2", text="5", number=1)
    assert field.value == "5"


def test_cells_are_numbered_each_for_itself():
    rows, changes = table([Row(path="a"), Row(path="b")])
    tell(rows, "cell", row=2, column="path", text="x", number=2)
    tell(rows, "cell", row=1, column="path", text="y", number=1)
    tell(rows, "cell", row=2, column="path", text="z", number=1)
    assert changes[-1] == [Row(path="y"), Row(path="x")]


def test_what_goes_wrong_was_heard_too():
    def refuse(_text: str) -> None:
        raise SettingError("status", "no")

    field = Field("status", on_change=refuse)
    said = heard(field)
    tell(field, "typed", text="4", number=1)
    assert [message["kind"] for message in said] == ["field", "error", "heard"]


# -- rows
# -----------------------------------------------------------------------------------------------


def table(rows: list[Row], part: str = "body") -> tuple[Rows, list[list[Row]]]:
    changes: list[list[Row]] = []
    made = Rows(part, on_change=changes.append)
    made.show(rows, {}, ())
    return made, changes


def test_rows_are_said_as_text():
    rows, _ = table([])
    said = heard(rows)
    rows.show(
        [Row(path="a", type="integer", sample=2**70), Row(path="b", type="list", sample=[1])],
        {1: "no path"},
        ["x" * 100, MISSING],
    )
    assert said[0]["rows"] == [
        [1, "a", "", "integer", str(2**70), True, "", "x" * 80],
        [2, "b", "", "list", "1 item", False, "no path", None],
    ]
    assert said[0]["word"] == "path"


def test_only_rows_that_changed_are_said_again():
    first = [Row(path=f"key{number}") for number in range(500)]
    rows, _ = table(first)
    said = heard(rows)
    rows.show([*first[:499], Row(path="last")], {}, ())
    assert said[0]["kind"] == "rows"
    rows.show(rows.rows, {3: "wrong"}, ())
    assert said[1]["kind"] == "some"
    assert [at for at, _ in said[1]["rows"]] == [3]
    rows.show(rows.rows, {3: "wrong"}, ())
    assert len(said) == 2


@pytest.mark.parametrize(
    ("column", "text", "row"),
    [
        ("path", "b", Row(path="b", type="text", sample="42")),
        ("path", "", Row(path="", type="text", sample="42")),
        ("alias", "A", Row(path="a", alias="A", type="text", sample="42")),
        ("sample", "43", Row(path="a", type="text", sample="42", typed="43")),
        ("type", "integer", Row(path="a", type="integer", sample="42", typed="42")),
        ("type", "", Row(path="a", sample="42", typed="42")),
        ("type", "colour", Row(path="a", sample="42", typed="42")),
        ("colour", "red", Row(path="a", type="text", sample="42")),
    ],
)
def test_cells_are_edited(column, text, row):
    rows, changes = table([Row(path="a", type="text", sample="42")])
    tell(rows, "cell", row=1, column=column, text=text)
    assert changes == [[row]]
    assert rows.rows == [row]


def test_the_sample_of_a_list_is_not_typed():
    row = Row(path="a", type="list", sample=[1])
    rows, changes = table([row])
    tell(rows, "cell", row=1, column="sample", text="2 items")
    assert changes == [[row]]


def test_the_view_that_typed_is_named():
    rows, _ = table([Row(path="a")])
    said = heard(rows)
    tell(rows, "cell", row=1, column="path", text="b")
    assert said[0]["from"] == {"view": "v1", "row": 1, "column": "path"}
    rows.show([Row(path="c")], {}, ())
    assert "from" not in said[1]


def test_rows_are_removed():
    rows, changes = table([Row(path="a"), Row(path="b"), Row(path="c")])
    tell(rows, "remove", row=2)
    assert [row.path for row in changes[0]] == ["a", "c"]
    said = heard(rows)
    tell(rows, "remove", row=2)
    tell(rows, "cell", row=2, column="path", text="x")
    assert len(changes) == 1
    assert said == []


def test_a_blank_row_is_added_once():
    rows, changes = table([Row(path="a")], "headers")
    said = heard(rows)
    tell(rows, "add")
    tell(rows, "add", view="v2")
    assert changes == [[Row(path="a"), Row(type="text")]]
    assert [message for message in said if message["kind"] == "focus"] == [
        {"kind": "focus", "to": "v1", "row": 2}, {"kind": "focus", "to": "v2", "row": 2}
    ]  # fmt: skip


def test_an_opened_table_says_all_of_itself():
    rows, _ = table([Row(path="<b>a</b>", sample="\u202etxt")])
    said = heard(rows)
    tell(rows, "open", visible=True)
    assert said[0]["rows"][0][1] == "<b>a</b>"
    assert "<b>" not in repr(rows.get_state()["_esm"])
    assert "txt" not in repr({k: v for k, v in rows.get_state().items() if k[0] != "_"})
