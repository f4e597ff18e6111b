"""What `make bench` writes; what it measures is measured by nobody else."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import hooknb

BENCH = Path(__file__).parent / "bench"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import run

    yield run
    for name in ("run", "chart", "probes"):
        sys.modules.pop(name, None)


def test_a_ratio_is_taken_turn_by_turn_and_shown_with_its_spread(run) -> None:
    ratio = run.Spread([10.0, 30.0, 90.0]).over(run.Spread([10.0, 20.0, 30.0]))
    assert ratio.values == [1.0, 1.5, 3.0]
    assert ratio.show() == "1.50 (1.00 to 3.00)"
    assert run.Spread([2.0]).show("{:.1f} s") == "2.0 s"
    assert run.Spread([0.00312]).show() == "0.0031"


def test_a_growth_table_has_the_figures_that_every_turn_gave_and_the_longest_wait(run) -> None:
    seen = run.gather(
        [
            {"variables_s": 2.0, "variables_wait_s": 0.1, "normalize_s": 4.0},
            {"variables_s": 1.0, "variables_wait_s": 0.3, "normalize_s": 4.0, "peak": 3.0},
        ]
    )
    assert run.show_figure("variables", seen) == ["1.5 s (1 s to 2 s)", "0.3 s"]
    assert run.show_figure("normalize", seen) == ["3.00 (2.00 to 4.00)", ""]
    assert run.show_figure("peak", seen) == ["", ""]


@pytest.mark.usefixtures("run")  # which finds the modules beside it
def test_a_sender_reports_its_longest_wait_of_each_span(runtime: hooknb.Runtime) -> None:
    import probes

    hook = runtime.webhook("orders")
    sender = probes.Sender(hook.url)
    waits = [sender.take_longest() for _ in range(3)]
    sender.close()
    assert all(wait > 0 for wait in waits)
    assert len(hook.deliveries) > len(waits)


def test_a_target_holds_at_its_limit_and_is_missed_beyond(run) -> None:
    report = run.Report()
    for rule, seen in [("at least", 1.4), ("at least", 1.39), ("at most", 1.4), ("at most", 1.41)]:
        report.compare("speed", rule, 1.4, run.Spread([seen]), "{:.2f} s")
    assert [holds for *_, holds in report.rows] == [True, False, True, False]
    assert report.markdown().splitlines()[-1] == "| speed | at most 1.4 s | 1.41 s | missed |"


def test_the_readme_changes_between_its_markers_only(run, tmp_path, monkeypatch) -> None:
    copy = tmp_path / "README.md"
    text = run.README.read_text(encoding="utf-8")
    copy.write_text(text, encoding="utf-8")
    monkeypatch.setattr(run, "README", copy)
    run.write_readme("new\n")
    first, last = (text.index(marker) for marker in run.MARKERS)
    first += len(run.MARKERS[0])
    assert copy.read_text(encoding="utf-8") == f"{text[:first]}new\n{text[last:]}"


def test_the_chart_is_drawn_without_scripts_and_links(run) -> None:
    text = run.draw_bars(
        [("bare <handler>", run.Spread([1.0])), ("hooknb", run.Spread([1.2, 1.4]))]
    )
    tags = [element.tag.rpartition("}")[2] for element in ET.fromstring(text).iter()]  # noqa: S314 - drawn above
    assert set(tags) <= {"svg", "title", "g", "text", "line", "rect"}
    assert tags.count("rect") == 2
    assert "bare &lt;handler&gt;" in text
