"""The table of deliveries in a real JupyterLab: what does not fit, and what tells of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from panel_page import panel_of, rows_of

if TYPE_CHECKING:
    from lab import Lab

pytestmark = pytest.mark.browser

WIDE = """
import hooknb
hook = hooknb.webhook("orders", accept=["application/json"])
for number in range(3):
    hook.send(json={
        "delivery": {"status": "paid"}, "order": {"id": 9007199254740993 + 10**40},
        "customer": {"total": 12.5, "a rather long name of a field": "x" * 60}, "charge": "ch_1"})
hook.send(data="a=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
hook
"""
CUT = "element => element.scrollWidth > element.clientWidth"
OVERFLOW = "element => getComputedStyle(element).textOverflow"


def test_what_is_too_wide_ends_with_an_ellipsis_and_is_told(quiet: Lab, tmp_path: Path) -> None:
    lab, page = quiet, quiet.page
    page.set_viewport_size({"width": 1100, "height": 900})
    lab.open(lab.write("wide.ipynb", WIDE))
    lab.evaluate("await app.commands.execute('application:toggle-left-area');")
    lab.run_cell(0)
    panel = panel_of(page)
    expect(rows_of(panel)).to_have_count(5)
    page.wait_for_timeout(300)
    panel.screenshot(path=Path(os.environ.get("HOOKNB_PICTURES") or tmp_path) / "table-wide.png")

    # Titles begin with what tells them apart; their names are whole.
    title = panel.get_by_role("columnheader", name="body.delivery.status")
    expect(title).to_have_text("delivery.status")
    expect(title).to_have_attribute("title", "body.delivery.status")
    assert title.evaluate("element => getComputedStyle(element).direction") == "ltr"

    # So are values, and reasons, whose ellipsis is in sight.
    value = panel.get_by_role("gridcell", name="10000").first
    assert value.evaluate(CUT)
    assert value.evaluate(OVERFLOW) == "ellipsis"
    expect(value).to_have_attribute("title", str(9007199254740993 + 10**40))
    reason = panel.locator(".hk-wide")
    assert "application/x-www-form-urlencoded" in (reason.get_attribute("title") or "")
    assert reason.evaluate(OVERFLOW) == "ellipsis"
    grid = panel.get_by_role("grid")
    right = "element => element.getBoundingClientRect().right"
    assert reason.evaluate(right) <= grid.evaluate(right)

    # There is more at the right, and a hint of it, until it is scrolled there.
    assert grid.evaluate(CUT)
    before, after = panel.locator(".hk-grid-before"), panel.locator(".hk-grid-after")
    expect(after).to_have_css("opacity", "1")
    expect(before).to_have_css("opacity", "0")
    grid.evaluate("element => element.scrollTo({left: 10000})")
    expect(after).to_have_css("opacity", "0")
    expect(before).to_have_css("opacity", "1")
    assert reason.evaluate(right) <= grid.evaluate(right)
