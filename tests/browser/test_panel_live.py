"""The panel while much comes, after a reload, twice, and with what should never be run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from lab import request
from panel_page import filled, open_tab, panel_of, post_many, rows_of, url_of
from voila_page import running_voila

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from lab import Lab

pytestmark = pytest.mark.browser

BUSY = "import os\nwhile not os.path.exists('enough'):\n    pass"


def test_twenty_thousand_deliveries_are_there_and_more_follow(lab: Lab) -> None:
    page = lab.page
    lab.open(lab.write("many.ipynb", filled(20_000), "hook"))
    lab.run_cell(0, timeout=120)
    lab.run_cell(1)
    panel = page.locator(".hk-panel")
    grid = panel.get_by_role("grid")
    expect(grid).to_have_attribute("aria-rowcount", "20001")
    expect(rows_of(panel).filter(has_text="19999").first).to_be_visible()

    # The oldest, by keyboard.
    rows_of(panel).nth(1).click()
    page.keyboard.press("End")
    expect(rows_of(panel).filter(has=page.get_by_text("0", exact=True)).first).to_be_visible()
    expect(panel.get_by_text("hook.delivery(1)")).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(panel.get_by_text("hook.delivery(2)")).to_be_visible()
    page.keyboard.press("Home")
    expect(panel.get_by_text("hook.delivery(20000)")).to_be_visible()

    # In the middle.
    grid.evaluate("element => { element.scrollTop = element.scrollHeight / 2; }")
    expect(rows_of(panel).filter(has_text="paid").nth(3)).to_be_visible()
    grid.evaluate("element => { element.scrollTop = 0; }")
    expect(rows_of(panel).filter(has_text="19999").first).to_be_visible()

    url = url_of(panel)
    for number in range(50):
        assert request(url, {"id": 200_000 + number, "status": "open"}) == (200, b"ok")
    expect(rows_of(panel).filter(has_text="200049").first).to_be_visible()

    # A filter over the body, which ends on the right number.
    panel.get_by_role("searchbox", name="Filter").fill('body.amount > 95 && body.status == "paid"')
    expect(panel.get_by_text("206 of 20,050")).to_be_visible(timeout=30_000)


def test_what_is_received_is_followed_while_a_cell_runs(lab: Lab) -> None:
    page = lab.page
    make = "import hooknb\nhook = hooknb.webhook('orders', body=['id'])\nhook"
    lab.open(lab.write("busy.ipynb", make, BUSY, "len(hook.deliveries)"))
    lab.run_cell(0)
    panel = page.locator(".hk-panel")
    url = url_of(panel)
    lab.run_cell(1, wait=False)
    for count in (100, 200, 300):
        post_many(url, 100)
        expect(panel.locator(".hk-counts")).to_contain_text(f"{count} deliveries", timeout=30_000)
        expect(panel.get_by_role("grid")).to_have_attribute("aria-rowcount", f"{count + 1}")
    assert lab.is_running(1)
    (lab.root / "enough").touch()
    lab.wait_until_run(1, timeout=30)
    lab.run_cell(2)
    assert lab.output(2) == "300"


def test_clicks_are_heard_while_a_cell_waits_for_what_they_do(quiet: Lab) -> None:
    lab, page = quiet, quiet.page
    waits = "hook.wait_for('accepted', timeout=60).id"
    makes = "import time\nwhile 'refunds' not in hooknb.hooks():\n    time.sleep(0.01)"
    lab.open(
        lab.write(
            "waits.ipynb",
            "import hooknb\nhook = hooknb.webhook('orders', body=['id'])\nhook",
            waits,
            "hooknb.panel()",
            makes,
        )
    )
    lab.run_cell(0)
    panel = panel_of(page)
    expect(panel.locator(".hk-name")).to_have_text("orders")
    lab.run_cell(1, wait=False)
    assert request(url_of(panel), "not an object", headers={"Content-Type": "text/plain"})[0] == 415
    expect(rows_of(panel)).to_have_count(2)  # said by the publisher while the cell runs
    panel.get_by_role("button", name="Send a test").click()
    expect(rows_of(panel)).to_have_count(3)
    lab.wait_until_run(1)
    assert lab.output(1) == "2"

    lab.run_cell(2)
    lab.run_cell(3, wait=False)
    page.get_by_placeholder("name of a new webhook").fill("refunds")
    page.keyboard.press("Enter")  # it is the button
    lab.wait_until_run(3)


def test_a_reload_shows_the_same_and_two_views_agree(lab: Lab) -> None:
    page = lab.page
    make = (
        "import hooknb\nhook = hooknb.webhook('orders', body=['n'])\n"
        "for n in range(30): hook.send(json={'n': n})\nhook"
    )
    lab.open(lab.write("twice.ipynb", make, "hook"))
    lab.run_cell(0)
    lab.run_cell(1)
    views = page.locator(".hk-panel")
    expect(views).to_have_count(2)
    first, second = views.nth(0), views.nth(1)
    rows_of(first).nth(10).click()  # below the titles, the newest first: the 30th to the 21st
    for view in (first, second):
        expect(view.get_by_text("hook.delivery(21)")).to_be_visible()
    second.get_by_role("searchbox", name="Filter").fill("body.n >= 20")
    for view in (first, second):
        expect(view.get_by_text("10 of 30")).to_be_visible()
    first.get_by_role("switch").click()
    for view in (first, second):
        expect(view.get_by_role("switch")).to_have_attribute("aria-checked", "false")

    lab.evaluate("await app.commands.execute('docmanager:save');")
    page.reload()
    lab.open("twice.ipynb")
    first = page.locator(".hk-panel").first
    expect(first.get_by_text("10 of 30")).to_be_visible(timeout=30_000)
    expect(first.get_by_role("searchbox", name="Filter")).to_have_value("body.n >= 20")
    expect(first.get_by_text("hook.delivery(21)")).to_be_visible()
    expect(first.get_by_role("switch")).to_have_attribute("aria-checked", "false")


HOSTILE = """
import hooknb
from hooknb import Condition, Variable
evil = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'
hook = hooknb.webhook(evil, sync=True,
    body=[Variable('["' + evil.replace('"', "'") + '"]', alias="<b>alias</b>"), "__proto__.x"],
    nodes=[Condition('body.a == "</script><script>window.ran=1</script>"', key="<i>key</i>",
        yes=[hooknb.Response(200, body=evil)])])
hook.send(json={evil.replace('"', "'"): evil, "__proto__": {"x": evil}, "constructor": 1,
    "rtl": "\\u202eevil\\u2066", "control": "a\\x00b\\x1b[31m", "tag": "a\\U000e0041b", "a": "x"},
    params={evil: evil}, headers={"X-Evil": evil})
hook.send(data=evil, headers={"Content-Type": "text/html" + evil})
hook
"""


def test_what_came_is_shown_as_text_and_never_run(lab: Lab) -> None:
    page = lab.page
    lab.open(lab.write("hostile.ipynb", HOSTILE))
    lab.run_cell(0)
    panel = page.locator(".hk-panel")
    expect(panel.locator(".hk-name")).to_contain_text("<img src=x onerror=")
    expect(panel.get_by_role("columnheader", name="<b>alias</b>")).to_be_visible()
    rows_of(panel).filter(has=page.get_by_role("gridcell", name="1", exact=True)).click()
    expect(panel.get_by_role("treeitem").filter(has_text="rtl").last).to_contain_text("\\u202e")
    expect(panel.get_by_role("treeitem").filter(has_text="tag").last).to_contain_text(
        "a\\U000e0041b"
    )
    expect(panel.get_by_role("treeitem").filter(has_text="__proto__").last).to_be_visible()
    for name in ("Headers", "Query", "Variables", "Response", "Raw"):
        panel.get_by_role("tab", name=name).click()
        page.wait_for_timeout(100)
    panel.get_by_role("searchbox", name="Filter").fill("<img src=x onerror=window.ran=1>")
    for name in ("Trigger", "Workflow", "Python"):
        open_tab(panel, name)
        page.wait_for_timeout(300)
    open_tab(panel, "Workflow")
    expect(panel.get_by_text("<i>key</i>").first).to_be_visible()
    assert page.evaluate("window.ran") is None
    assert panel.locator("img, script, b, i").count() == 0


def test_voila_has_the_live_table_and_the_switch(
    tmp_path: Path, chromium: Browser, lab: Lab
) -> None:
    lab.write("shown.ipynb", "import hooknb\nhook = hooknb.webhook('orders', body=['n'])\nhook")
    with running_voila(tmp_path / "voila", chromium, lab.root / "shown.ipynb") as page:
        panel = page.locator(".hk-panel")
        expect(panel).to_be_visible(timeout=60_000)
        url = url_of(panel)
        assert request(url, {"n": 7_000_007}) == (200, b"ok")
        expect(rows_of(panel).filter(has_text="7000007")).to_be_visible()
        switch = panel.get_by_role("switch")
        switch.click()
        expect(switch).to_have_attribute("aria-checked", "false")
        assert request(url, {"n": 1})[0] == 404
        expect(rows_of(panel).filter(has_text="disabled")).to_be_visible()
        switch.click()
        expect(switch).to_have_attribute("aria-checked", "true")
        assert request(url, {"n": 2}) == (200, b"ok")


def test_what_is_left_of_an_earlier_kernel_holds_nothing_up(lab: Lab) -> None:
    page = lab.page
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    make = "import hooknb\nhook = hooknb.webhook('{}', body=['id'])\nhook"
    lab.open(lab.write("left.ipynb", make.format("first"), make.format("second")))
    for index in (0, 1):
        lab.run_cell(index)
        panel = page.locator(".hk-panel").nth(index)
        open_tab(panel, "Trigger")
        expect(panel.locator('input[data-column="alias"]').first).to_be_visible()
    lab.restart_kernel()
    lab.run_cell(0)
    alive, left = page.locator(".hk-panel").nth(0), page.locator(".hk-panel").nth(1)
    left.locator('input[data-column="alias"]').first.fill("of the dead")
    page.keyboard.press("Tab")
    open_tab(alive, "Trigger")
    alive.locator('input[data-column="alias"]').first.fill("Number")
    alive.get_by_role("button", name="Apply as revision 2").locator("visible=true").click()
    expect(alive.get_by_text("revision 2", exact=True)).to_be_visible(timeout=15_000)
    assert wrong == []


def test_what_is_typed_stays_where_a_cell_changes_the_hook_meanwhile(lab: Lab) -> None:
    page = lab.page
    make = "import hooknb\nhook = hooknb.webhook('orders', body=['id', 'status'])\nhook"
    change = "import threading\nthreading.Timer(0.5, lambda: hook.configure(timeout=44)).start()"
    lab.open(lab.write("typing.ipynb", make, change))
    lab.run_cell(0)
    panel = page.locator(".hk-panel")
    open_tab(panel, "Trigger")
    alias = panel.locator('input[data-column="alias"]').first
    alias.focus()
    lab.run_cell(1)
    alias.focus()
    page.keyboard.type("abcdefghijklmnopqrst", delay=60)
    page.wait_for_timeout(600)
    expect(panel.get_by_text("revision 2", exact=True)).to_be_visible()
    expect(alias).to_have_value("abcdefghijklmnopqrst")
