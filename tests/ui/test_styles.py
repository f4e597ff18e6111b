"""The files of the browser: nothing in them is unused, and their order does not matter."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import hooknb.ui
from hooknb.cli.terminal import escape
from hooknb.history.table import Details
from hooknb.records import Status, response_tone
from hooknb.ui.head import HOOK_TONES
from hooknb.workflow.nodes import node_types

UI = Path(hooknb.ui.__file__).parent
SHEETS = {path.name: path.read_text() for path in sorted(UI.rglob("*.css"))}
SCRIPTS = {path.name: path.read_text() for path in sorted(UI.rglob("*.js"))}
USES = "\n".join([*SCRIPTS.values(), *(path.read_text() for path in sorted(UI.rglob("*.py")))])
CLASS = re.compile(r"\.(hk-[\w-]+)")


def rules(sheet: str) -> Iterator[tuple[str, str]]:
    """Return each selector of a sheet with its declarations, also of those in conditions."""
    text = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    for names, body in re.findall(r"([^{}]+)\{([^{}]*)\}", text):
        for selector in re.split(r",(?![^()]*\))", names):
            yield " ".join(selector.split()), body


def subject(selector: str) -> str:
    """Return the part of a selector that stands for the element itself."""
    return re.split(r"[ >~+](?![^()\[]*[)\]])", selector)[-1]


def weight(selector: str) -> tuple[int, int]:
    """Return how many classes and tags a selector has: of more, the other does not count."""
    classes = len(re.findall(r"\.[\w-]+|\[[^\]]*\]|(?<!:):(?!:|not|where)[\w-]+", selector))
    tags = len(re.findall(r"(?:^|[ >~+(])[a-z][\w-]*|::[\w-]+", selector))
    return classes, tags


def test_every_class_that_has_a_style_is_used() -> None:
    of_status = {status.tone for status in Status}
    of_response = {response_tone(status) for status in (None, 200, 404, 500)}
    # Scripts put in the end of some names, `hk-dot-${…}`; where it is a tone, it is one of these.
    ends = {
        "hk-": of_status | of_response,
        "hk-dot-": set(HOOK_TONES.values()),
        "hk-job-": of_status,
        "hk-flow-tone-": of_response | {kind.edge_tone for kind in node_types().values()},
    }
    begun = set(re.findall(r"(hk-(?:[\w-]+-)?)\$\{", "\n".join(SCRIPTS.values())))
    styled = {name for sheet in SHEETS.values() for name in CLASS.findall(sheet)}
    unused = {
        name
        for name in styled
        if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", USES)
        and not any(
            name.startswith(start)
            and (start not in ends or name.removeprefix(start) in ends[start])
            for start in begun
        )
    }
    assert set(ends) <= begun
    assert unused == set()


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_function_of_a_script_is_used(script: str) -> None:
    everything = "\n".join(SCRIPTS.values())
    named = re.findall(r"^(?:async )?(?:function|const|let) (\w+)", SCRIPTS[script], re.MULTILINE)
    assert [name for name in named if len(re.findall(rf"\b{name}\b", everything)) < 2] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_knows_a_status(script: str) -> None:
    # A message and a part of a job are called `error` too.
    words = {status.word for status in Status} - {"error"}
    assert [word for word in words if re.search(rf"\"{word}\"|\b{word}:", SCRIPTS[script])] == []


@pytest.mark.parametrize("status", Status)
def test_a_status_says_how_it_looks_and_how_severe_it_is(status: Status) -> None:
    assert {Status.named(status.word), Status.named(status.label)} == {status}
    assert f".hk-{status.tone}" in SHEETS["common.css"] or status.tone == "wait"
    assert status.is_bad == (status.tone == "bad")
    assert max(Status, key=lambda one: one.gravity) is Status.ERROR


@pytest.mark.parametrize(
    ("status", "tone"),
    [
        (None, "wait"),
        (200, "ok"),
        (302, "ok"),
        (404, "warn"),
        (422, "warn"),
        (400, "bad"),
        (503, "bad"),
    ],
)
def test_a_response_looks_as_its_status_is(status: int | None, tone: str) -> None:
    assert response_tone(status) == tone
    # The class exists, or the text has its usual look.
    assert tone == "wait" or f".hk-{tone}" in SHEETS["common.css"]


def test_the_browser_writes_out_the_characters_that_a_terminal_does() -> None:
    [unseen] = re.findall(r"UNSEEN =\s*/(\[.*\])/gu;", SCRIPTS["common.js"])
    # As Python writes it; of surrogates both find what is no pair.
    pattern = re.sub(
        r"\\u(?:\{(\w+)\}|(\w{4}))", lambda at: rf"\U{int(at[1] or at[2], 16):08x}", unseen
    )
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    assert re.findall(pattern, every) == [sign for sign in every if escape(sign) != sign]


def test_each_tab_of_a_delivery_is_drawn_again_when_what_it_shows_changes() -> None:
    [listed] = re.findall(r"DETAIL_KEYS = \[(.*?)\n\];", SCRIPTS["detail.js"], re.DOTALL)
    tabs = [re.findall(r'"(\w+)"', line) for line in listed.split("\n") if line.strip()]
    assert len(tabs) == 6
    assert {key for tab in tabs for key in tab} <= Details.__annotations__.keys()


def test_no_style_depends_on_the_order_of_the_sheets() -> None:
    said = defaultdict(set)
    for sheet, text in SHEETS.items():
        for selector, body in rules(text):
            own = subject(selector)
            state = tuple(sorted(re.findall(r":[\w-]+|\[[^\]]*\]", own)))
            for name in CLASS.findall(own):
                for declared in re.findall(r"([\w-]+)\s*:", body):
                    said[name, state, declared, weight(selector)].add(sheet)
    # Between two other sheets a class more is that of a place that only one of them has.
    assert [
        place
        for place, sheets in said.items()
        if len(sheets) > 1 and ("common.css" in sheets or place[-1] <= (2, 0))
    ] == []
