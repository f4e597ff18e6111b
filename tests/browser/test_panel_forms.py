"""What the forms of the panel look like in a real JupyterLab: idle, changed, and wrong."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from lab import request
from panel_page import open_tab, panel_of, rows_of, url_of

if TYPE_CHECKING:
    from lab import Lab

pytestmark = pytest.mark.browser


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give where pictures are kept."""
    return Path(os.environ.get("HOOKNB_PICTURES") or tmp_path)


def test_a_name_that_is_missing_is_told_below_its_field(quiet: Lab, folder: Path) -> None:
    lab, page = quiet, quiet.page
    lab.open(lab.write("new.ipynb", "import hooknb\nhooknb.panel()"))
    lab.run_cell(0)
    form = page.locator(".hk-new")
    name, make = form.get_by_label("name"), form.get_by_role("button", name="New webhook")
    mode = form.get_by_label("mode")
    top = "element => element.getBoundingClientRect().top"
    before = [part.evaluate(top) for part in (name, mode, make)]
    make.click()
    expect(form.get_by_text("enter a name", exact=True)).to_be_visible()
    page.locator(".hk-panels").screenshot(path=folder / "new-wrong.png")
    assert [part.evaluate(top) for part in (name, mode, make)] == before
    assert max(before) - min(before) < 3
    name.fill("orders")
    make.click()
    expect(panel_of(page)).to_be_visible()
    expect(form.get_by_text("enter a name", exact=True)).to_have_count(0)
    expect(page.locator(".hk-hook")).to_contain_text("nothing new")
    page.locator(".hk-panels").screenshot(path=folder / "new-right.png")


@pytest.mark.parametrize("tab", ["Trigger", "Workflow"])
def test_buttons_with_nothing_to_apply_look_so(quiet: Lab, folder: Path, tab: str) -> None:
    lab, page = quiet, quiet.page
    make = "import hooknb\nhook = hooknb.webhook('orders', nodes=[hooknb.Output(1, key='told')])"
    lab.open(lab.write("idle.ipynb", f"{make}\nhook"))
    lab.run_cell(0)
    panel = panel_of(page)
    open_tab(panel, tab)
    bar = panel.locator(".hk-bar").locator("visible=true")
    buttons = [bar.get_by_role("button", name=re.compile(name)) for name in ("Apply", "Discard")]
    for button in buttons:
        expect(button).to_have_css("opacity", "0.5")
        expect(button).to_have_css("cursor", "default")
    bar.screenshot(path=folder / f"bar-idle-{tab.lower()}.png")
    panel.screenshot(path=folder / f"panel-idle-{tab.lower()}.png")
    if tab == "Trigger":
        field = panel.get_by_label("time limit in seconds")
    else:
        panel.get_by_role("button", name=re.compile("told")).first.click()
        field = panel.locator(".hk-side").get_by_label("name").first
    field.fill("5")
    for button in buttons:
        expect(button).to_have_css("opacity", "1")
        expect(button).to_have_css("cursor", "pointer")
    # What was typed last is applied by the press that ends the typing.
    field.fill("6")
    buttons[0].click()
    expect(panel.get_by_text("revision 2", exact=True)).to_be_visible()
    for button in buttons:
        expect(button).to_have_css("opacity", "0.5")


def test_after_a_test_the_newest_is_shown_until_one_is_looked_at(quiet: Lab) -> None:
    lab, page = quiet, quiet.page
    lab.open(lab.write("follows.ipynb", "import hooknb\nhook = hooknb.webhook('orders')\nhook"))
    lab.run_cell(0)
    panel = panel_of(page)
    panel.get_by_role("button", name="Send a test").click()
    expect(panel.get_by_text("no samples yet: sent {}")).to_be_visible()
    expect(panel.get_by_text("hook.delivery(1)")).to_be_visible()
    request(url_of(panel), {"id": 7_000_002})
    expect(panel.get_by_text("hook.delivery(2)")).to_be_visible()
    panel.get_by_role("tab", name="Headers").click()
    request(url_of(panel), {"id": 7_000_003})
    expect(rows_of(panel).filter(has_text="7000003")).to_be_visible()
    page.wait_for_timeout(1500)
    expect(panel.get_by_text("hook.delivery(2)")).to_be_visible()
    rows_of(panel).nth(3).click()
    expect(panel.get_by_text("hook.delivery(1)")).to_be_visible()
