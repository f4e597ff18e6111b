"""The plugin in runs of its own: what it gives, what it says, and that nothing is left over."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()

HEAVY = [
    "hooknb.hook",
    "hooknb.runtime",
    "ipywidgets",
    "msgspec",
    "pandas",
    "sqlalchemy",
    "tornado",
]


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run in another process, where warnings are errors, as here; nbval loads half of Jupyter."""
    off = [f"-pno:{name}" for name in ("cacheprovider", "nbval", "hypothesispytest", "anyio")]
    return pytester.runpytest_subprocess("-Werror", *off, *arguments, timeout=120)


def test_the_hooks_of_a_test_are_live_and_gone_after_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import gc
        import os
        import threading
        import time

        import psutil
        import pytest

        import hooknb

        seen = []


        def open_sockets():
            gc.collect()
            found = psutil.Process().net_connections(kind="all")
            return {(each.fd, each.laddr) for each in found}


        @pytest.fixture(autouse=True)
        def nothing_is_left():
            threads, sockets = set(threading.enumerate()), open_sockets()
            yield
            # This one is torn down after the others: it was set up before them. A worker is told
            # to end and not waited for, since a function that runs may take its time.
            end = time.monotonic() + 30
            while set(threading.enumerate()) != threads and time.monotonic() < end:
                time.sleep(0.01)
            assert set(threading.enumerate()) == threads
            assert open_sockets() == sockets
            assert hooknb.hooks() == {}


        def test_a_hook_is_called_after_its_test(webhook):
            hook = webhook(body=["a"])
            assert hook.name == "test_a_hook_is_called_after_its_test"
            assert hook.send(json={"a": 1}).status == 200
            assert hook.wait_for().body == {"a": 1}
            seen.append(hook)


        def test_the_last_ones_hook_is_closed():
            assert seen[0].status == "closed"
            assert not os.path.exists(".hooknb")


        @pytest.mark.parametrize("value", ["a/b", "ü", "[x]"])
        def test_any_id_is_a_name(webhook, value):
            assert webhook().send(json=value).status == 200


        def test_many_hooks_on_one_runtime(webhook, hook_runtime):
            one, two = webhook("one"), webhook("two", methods="GET")
            assert {*hook_runtime.hooks} == {"one", "two"}
            assert one.send(json={}).status == 200
            assert two.send(method="GET").status == 200
            assert len(list(one.deliveries.index)) == 1
            assert webhook("one", body=["a"]) is one
            assert one.revision == 2


        def test_another_test_starts_with_nothing(webhook):
            hook = webhook("one")
            assert (hook.revision, len(hook.deliveries)) == (1, 0)


        def test_what_runs_is_ended(webhook):
            may_end = threading.Event()
            hook = webhook(nodes=[lambda context: may_end.wait(0.2)])
            hook.send(json={})
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=8)


def test_a_failure_to_come_shows_what_came_and_the_line_of_the_test(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        def test_paid(webhook):
            hook = webhook("orders", body=["status"])
            hook.send(json={"status": "open"})
            hook.wait_for('body.status == "paid"', timeout=0.1)
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       hook.wait_for('body.status == \"paid\"', timeout=0.1)",
            "E       hooknb.errors.WaitTimeoutError: orders: after 0.1 s, 0 of 1 delivery *",
            "E       id  found  response  execution  received",
            "E       1   no     200       resolved   body.status: open",
        ],
        consecutive=False,
    )
    result.stdout.no_fnmatch_line("*arrivals.py*")


def test_snapshots_are_written_compared_and_told_apart(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_shop="""
        import pytest


        @pytest.mark.parametrize("amount", [1, 2])
        def test_named_after_the_test(webhook, delivery_snapshot, amount):
            hook = webhook(accept=["*/*"])
            hook.send(json={"b": amount, "a": 9007199254740993}, params={"q": "ü"})
            hook.send(data=bytes([0, 255]), headers={"X-Shop": "7", "User-Agent": "x"})
            delivery_snapshot(hook, headers=["X-Shop"])


        def test_named(webhook, delivery_snapshot):
            hook = webhook()
            hook.send(json={"status": "paid"})
            delivery_snapshot(hook, "sub/paid")
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        ["E*: there is no snapshot snapshots/test_shop.test_named_after_the_test[[]1].json; *"]
    )
    assert not (pytester.path / "snapshots").exists()

    result = run(pytester, "--hooknb-update")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*hooknb: snapshots written*", "snapshots/sub_paid-e16cd648.json"])
    written = sorted(path.name for path in (pytester.path / "snapshots").iterdir())
    assert written == [
        "sub_paid-e16cd648.json",
        "test_shop.test_named_after_the_test[1].json",
        "test_shop.test_named_after_the_test[2].json",
    ]
    first = pytester.path / "snapshots" / written[1]
    assert json.loads(first.read_text("utf-8")) == [
        {
            "method": "POST",
            "query": {"q": "ü"},
            "content_type": "application/json",
            "body": {"a": 9007199254740993, "b": 1},
        },
        {"method": "POST", "headers": {"X-Shop": "7"}, "body": {"base64": "AP8="}},
    ]

    # What a formatter did to the file is no difference; another type of number is one.
    paid = pytester.path / "snapshots" / "sub_paid-e16cd648.json"
    paid.write_text(json.dumps(json.loads(paid.read_text())))
    first.write_text(first.read_text("utf-8").replace('"b": 1', '"b": 1.0'), "utf-8")
    (pytester.path / "snapshots" / written[2]).write_text("[")
    result = run(pytester)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "E*: the deliveries of hook 'test_named_after_the_test[[]1[]]' (+) differ from snap*:",
            'E       -      "b": 1.0',
            'E       +      "b": 1',
            "E*If the deliveries are right, run pytest with --hooknb-update and commit the file.",
            "E*snapshots/test_shop.test_named_after_the_test[[]2].json is not JSON: *",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_two_snapshots_of_one_name_are_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_twice(webhook, delivery_snapshot):
            hook = webhook()
            hook.send(json=1)
            delivery_snapshot(hook, "same")
            delivery_snapshot(hook, "same")
            hook.send(json=2)
            delivery_snapshot(hook, "same")
        """
    )
    result = run(pytester, "--hooknb-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E*snapshots/same.json was written in this run with other deliveries; give each*"]
    )


def test_snapshots_of_different_tests_are_different_files(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from hooknb import SettingError


        class TestOne:
            def test_it(self, webhook, delivery_snapshot):
                delivery_snapshot(webhook())


        class TestOther:
            def test_it(self, webhook, delivery_snapshot):
                delivery_snapshot(webhook())


        @pytest.mark.parametrize("text", ["a/b", "a b", "a:b", "a_b", "x" * 300])
        def test_texts(webhook, delivery_snapshot, text):
            delivery_snapshot(webhook())


        @pytest.mark.parametrize(
            "settings", [{"name": ""}, {"name": 5}, {"headers": "X-Shop"}, {"headers": [5]}]
        )
        def test_wrong(webhook, delivery_snapshot, settings):
            with pytest.raises(SettingError):
                delivery_snapshot(webhook(), **settings)
        """
    )
    run(pytester, "--hooknb-update").assert_outcomes(passed=11)
    assert len([*(pytester.path / "snapshots").iterdir()]) == 7
    run(pytester).assert_outcomes(passed=11)


def test_the_example_of_the_readme_runs(pytester: pytest.Pytester) -> None:
    [example] = re.findall(r"```py\n(from shop .*?)```", README, re.DOTALL)
    pytester.makepyfile(
        shop="""
        import json
        import urllib.request


        def total(context):
            return context.body["amount"] * 1.25


        def notify(url, **body):
            headers = {"Content-Type": "application/json", "X-Shop": "7"}
            request = urllib.request.Request(url, json.dumps(body).encode(), headers)
            urllib.request.urlopen(request, timeout=30).close()
        """,
        test_first="""
        from shop import notify


        def test_monday(webhook):
            hook = webhook()
            notify(hook.url, status="paid", amount=42)
            notify(hook.url, status="open", amount=1)
            assert hook.export("monday.jsonl") == 2
        """,
        test_readme=example,
    )
    run(pytester, "--hooknb-update").assert_outcomes(passed=3)
    kept = json.loads((pytester.path / "snapshots" / "paid.json").read_text())
    assert kept == [
        {
            "method": "POST",
            "content_type": "application/json",
            "headers": {"X-Shop": "7"},
            "body": {"amount": 42, "status": "paid"},
        }
    ]
    run(pytester).assert_outcomes(passed=3)


def test_the_plugin_loads_nothing_heavy() -> None:
    program = "import sys, pytest, hooknb.pytest_plugin; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert "hooknb.pytest_plugin" in loaded
    assert not {*HEAVY} & {*loaded}


def test_the_plugin_is_active_here(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("hooknb")
