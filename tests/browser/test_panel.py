"""The panel in a real JupyterLab: made, configured, watched and used by clicks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from lab import request
from panel_page import open_tab, panel_of, rows_of, url_of

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from lab import Lab

CURL = shutil.which("curl") or "curl"

pytestmark = pytest.mark.browser

BUSY = "import time\nend = time.monotonic() + 6\nwhile time.monotonic() < end:\n    pass"


def test_a_hook_is_made_configured_and_used_without_writing_a_line(quiet: Lab) -> None:
    lab, page = quiet, quiet.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.open(lab.write("clicks.ipynb", "import hooknb\nhooknb.panel()", BUSY, "", "hook = None"))
    lab.run_cell(0)

    # New webhook.
    page.get_by_placeholder("name of a new webhook").fill("orders")
    page.get_by_role("button", name="New webhook").click()
    panel = panel_of(page)
    expect(panel.locator(".hk-name")).to_have_text("orders")
    url = url_of(panel)

    # Paste a sample, parse, rename a path, give an alias, apply.
    open_tab(panel, "Trigger")
    body = panel.locator(".hk-card", has=page.get_by_text("Body", exact=True)).first
    body.locator("textarea").fill('{"status": "paid", "order": {"id": 9007199254740993')
    body.get_by_role("button", name="Parse").click()
    expect(body.locator("textarea ~ .hk-error, .hk-error").first).to_contain_text("line 1")
    body.locator("textarea").fill('{"status": "paid", "order": {"id": 9007199254740993}, "x": 1}')
    body.get_by_role("button", name="Parse").click()
    paths = body.locator('input[data-column="path"]')
    expect(paths).to_have_count(4)
    assert [paths.nth(i).input_value() for i in range(4)] == ["status", "order", "order.id", "x"]
    paths.nth(3).fill("amount")
    body.locator('input[data-column="alias"]').nth(2).fill("Order")
    page.keyboard.press("Tab")
    panel.get_by_role("button", name=re.compile("^Apply as revision")).first.click()
    expect(panel.get_by_text("revision 2", exact=True)).to_be_visible()

    # Send from outside, and see the row arrive while a cell runs.
    open_tab(panel, "Deliveries")
    lab.run_cell(1, wait=False)
    sent = {"status": "paid", "order": {"id": 9007199254740993}, "amount": 42, "charge": "ch_1"}
    done = subprocess.run(
        [CURL, "-sS", "-H", "Content-Type: application/json", "-d", json.dumps(sent), url],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "ok"
    row = rows_of(panel).filter(has_text="9007199254740993")
    expect(row).to_be_visible()
    assert lab.is_running(1)
    expect(panel.get_by_role("columnheader", name="Order")).to_be_visible()

    # Take a leaf as a variable.
    row.click()
    leaf = panel.get_by_role("treeitem").filter(has_text="charge").last
    leaf.hover()
    panel.get_by_role("button", name=re.compile("take body.charge")).click()
    expect(panel.get_by_text("revision 3", exact=True)).to_be_visible()
    expect(panel.get_by_role("columnheader", name="body.charge")).to_be_visible()

    # Copy the URL.
    panel.get_by_role("button", name="Copy", exact=True).first.click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == url

    # The switch.
    switch = panel.get_by_role("switch")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert request(url, sent)[0] == 404
    expect(rows_of(panel).filter(has_text="disabled")).to_be_visible()
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    assert request(url, sent) == (200, b"ok")


def add_node(panel: Locator, place: Locator, kind: str, **fields: str) -> None:
    """Add a node at a place of the flow; fields go by the beginning of their labels."""
    place.click()
    side = panel.locator(".hk-side")
    side.get_by_role("button", name=kind, exact=True).click()
    for label, text in fields.items():
        field = side.get_by_label(re.compile(f"^{label}", re.IGNORECASE)).first
        field.fill(text)
    side.get_by_role("button", name="Add", exact=True).click()


def test_a_condition_and_two_responses_are_added_and_the_code_makes_the_same_hook(
    quiet: Lab,
) -> None:
    lab, page = quiet, quiet.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.open(
        lab.write(
            "flow.ipynb",
            "import hooknb\nhook = hooknb.webhook('payments')\nhook",
            "",
            "hook.revision, hook.url, hook.send(json={'status': 'open'}).status",
        )
    )
    lab.run_cell(0)
    panel = panel_of(page)
    url = url_of(panel)

    open_tab(panel, "Trigger")
    panel.get_by_label("mode").select_option(label="synchronous: the caller waits")
    open_tab(panel, "Workflow")
    places = panel.get_by_role("button", name="Add a node here")
    add_node(panel, places.first, "Condition", condition='body.status == "paid"')
    for branch, status, body in (("yes", "200", '{"ok": true}'), ("no", "422", "not paid")):
        add_node(
            panel,
            panel.get_by_role("group", name=branch, exact=True).get_by_role(
                "button", name="Add a node here"
            ),
            "Response",
            status=status,
            body=body,
        )
    panel.get_by_role("button", name=re.compile("^Apply as revision 2")).locator(
        "visible=true"
    ).click()
    expect(panel.get_by_text("revision 2", exact=True)).to_be_visible()
    assert request(url, {"status": "paid"}) == (200, b'{"ok":true}')
    assert request(url, {"status": "open"}) == (422, b"not paid")
    expect(panel.get_by_text("yes · 1")).to_be_visible()
    expect(panel.get_by_text("no · 1")).to_be_visible()

    open_tab(panel, "Python")
    panel.get_by_role("button", name="Copy the Python").click()
    code = page.evaluate("navigator.clipboard.readText()")
    assert "hooknb.Condition(" in code
    lab.evaluate("panel.content.widgets[1].model.sharedModel.setSource(args);", code)
    lab.run_cell(1)
    lab.run_cell(2)
    assert lab.output(2) == f"(2, '{url}', 422)"


LONG = """
import hooknb
hook = hooknb.webhook("orders")
hook.send(json={f"k{number}": number for number in range(60)},
          headers={f"X-Header-{number}": str(number) for number in range(40)})
hook
"""


def test_the_chosen_delivery_is_read_and_used_by_keyboard(quiet: Lab) -> None:
    lab, page = quiet, quiet.page
    lab.open(lab.write("keys.ipynb", LONG))
    lab.run_cell(0)
    panel = panel_of(page)
    expect(panel.get_by_role("treeitem").first).to_be_visible()

    # The tab names what it shows, and that names the tab.
    panel.get_by_role("tab", name="Body").focus()
    page.keyboard.press("ArrowRight")
    tab = panel.get_by_role("tab", name="Headers")
    expect(tab).to_be_focused()
    content = panel.get_by_role("tabpanel", name="Headers")
    expect(content).to_be_visible()
    expect(tab).to_have_attribute("aria-controls", content.get_attribute("id") or "none")

    # It is scrolled, and no cell is chosen instead.
    page.keyboard.press("Tab")
    expect(content).to_be_focused()
    ring = "element => getComputedStyle(element).outlineStyle"
    assert content.evaluate(ring) == "solid"
    page.keyboard.press("PageDown")
    page.wait_for_function("element => element.scrollTop > 50", arg=content.element_handle())
    assert content.evaluate("element => element.scrollWidth <= element.clientWidth")

    # A header is taken.
    page.keyboard.press("Tab")
    focused = panel.get_by_role("button", name="+ take headers.Host")
    expect(focused).to_be_focused()
    assert (focused.bounding_box() or {})["width"] > 60
    page.keyboard.press("Enter")
    expect(panel.get_by_text("revision 2", exact=True)).to_be_visible()

    # The parts of the panel say which of them is shown.
    open_tab(panel, "Trigger")
    parts = panel.get_by_role("group", name="Parts of the panel")
    expect(parts.locator("[aria-current=true]")).to_have_text("Trigger")


SHOWN = """
import hooknb
from hooknb import BasicAuth, Condition, Response, Variable

def total(context):
    return context.body["amount"] * 1.25

hook = hooknb.webhook(
    "payments", sync=True, auth=BasicAuth("shop", "s3cret"),
    body=["status", Variable("amount", alias="Amount"), "charge"],
    nodes=[total, Condition('body.status == "paid"', key="is it paid?",
        yes=[Response(200, body={"ok": True, "total": "{{ nodes.total }}"}, key="200")],
        no=[Response(422, body={"error": "not paid"}, key="422")])])
for number in range(24):
    hook.send(
        json={"status": "open" if number % 5 == 3 else "paid", "amount": 15.5 + 3.25 * number,
              "charge": f"ch_{70 + number}",
              "order": {"id": 9007199254740993, "items": [{"sku": "A-1"}, {"sku": "B-2"}]}},
        params={"ref": "spring"}, headers={"X-Request-Id": f"r-{number}"})
    if number == 19:
        hook.send(data="paid", headers={"Content-Type": "text/plain"})
        hook.send(json={"status": "paid"}, headers={"X-Request-Id": "r-x"})
    if number == 21:
        hook.send(json={}, headers={"Authorization": "Basic c2hvcDp4"})
hook
"""
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


@pytest.mark.parametrize("theme", THEMES)
def test_every_tab_is_pictured(quiet: Lab, theme: str, tmp_path: Path) -> None:
    """Make the pictures; `HOOKNB_PICTURES` names a folder to keep them in."""
    lab, page = quiet, quiet.page
    folder = Path(os.environ.get("HOOKNB_PICTURES") or tmp_path)
    page.set_viewport_size({"width": 1280, "height": 1120})
    lab.open(lab.write("shown.ipynb", SHOWN))
    lab.evaluate(
        "await app.commands.execute('apputils:change-theme', {theme: args});", THEMES[theme]
    )
    lab.evaluate("await app.commands.execute('application:toggle-left-area');")
    lab.run_cell(0)
    panel = panel_of(page)
    rows_of(panel).nth(5).click()
    expect(panel.get_by_text(re.compile("in Python: hook.delivery"))).to_be_visible()
    for name in ("Deliveries", "Trigger", "Workflow", "Python"):
        open_tab(panel, name)
        page.wait_for_timeout(400)
        picture = folder / f"panel-{name.lower()}-{theme}.png"
        panel.screenshot(path=picture)
        assert picture.stat().st_size > 10_000
    # Readable in a narrow window: nothing stands beyond its edge.
    page.set_viewport_size({"width": 700, "height": 900})
    for name in ("Deliveries", "Trigger", "Workflow", "Python"):
        open_tab(panel, name)
        page.wait_for_timeout(200)
        panel.screenshot(path=folder / f"panel-{name.lower()}-{theme}-narrow.png")
        assert panel.evaluate("element => element.scrollWidth <= element.clientWidth")
