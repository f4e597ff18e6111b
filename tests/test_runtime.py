"""The runtime: one server, one store, found again, left cleanly."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
import threading
import urllib.request
from pathlib import Path

import pytest

import hooknb
from hooknb import Runtime, _registry


def run(code: str, folder: Path, **environment: str) -> str:
    """Run a program in a folder of its own and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_key_and_port_are_found_again(tmp_path) -> None:
    with Runtime(tmp_path / "s.db") as runtime:
        url = runtime.webhook("orders").url
    with Runtime(tmp_path / "s.db") as runtime:
        assert runtime.webhook("orders").url == url


def test_two_runtimes_keep_the_ports_of_their_own_hooks(tmp_path) -> None:
    with Runtime(tmp_path / "s.db") as one, Runtime(tmp_path / "s.db") as two:
        first = one.webhook("first").url
        # It had no URL that could change: nobody is warned.
        second = two.webhook("second").url
    with Runtime(tmp_path / "s.db") as two, Runtime(tmp_path / "s.db") as one:
        assert two.webhook("second").url == second
        assert one.webhook("first").url == first


def test_a_hook_whose_own_port_is_taken_says_that_its_url_changes(tmp_path) -> None:
    with Runtime(tmp_path / "s.db") as one, Runtime(tmp_path / "s.db") as two:
        url = one.webhook("first").url
        two.webhook("second")  # its port is free again below, and is taken instead
    with Runtime(tmp_path / "s.db") as one, Runtime(tmp_path / "s.db") as two:
        assert one.webhook("first").url == url
        with pytest.warns(UserWarning, match=r"'first' was served, is in use: its URL changes"):
            assert two.webhook("first").url != url


def test_a_busy_port_is_an_error_in_the_cell() -> None:
    with Runtime(":memory:", port=0) as one:
        one.webhook("a")
        with (
            Runtime(":memory:", port=one.port) as two,
            pytest.raises(hooknb.PortInUseError, match=rf"port {one.port} .* is in use"),
        ):
            two.webhook("b")


def test_closing_twice_is_closing_once_and_a_closed_one_says_so() -> None:
    runtime = Runtime(":memory:")
    runtime.webhook("a")
    runtime.close()
    runtime.close()
    with pytest.raises(hooknb.ServerError, match="is closed"):
        runtime.webhook("b")


def test_closing_leaves_no_thread_and_gives_the_switch_interval_back() -> None:
    before, interval = threading.active_count(), sys.getswitchinterval()
    with Runtime(":memory:", switch_interval=0.0011) as runtime:
        runtime.webhook("a").send(json=1)
        assert sys.getswitchinterval() == pytest.approx(0.0011)
    assert threading.active_count() == before
    assert sys.getswitchinterval() == pytest.approx(interval)


def test_the_default_runtime_is_one_per_process_and_its_folder_is_private(tmp_path) -> None:
    out = run(
        """
        import hooknb, os, stat
        one, two = hooknb.webhook("one"), hooknb.webhook("two")
        assert one.url.split("/hook/")[0] == two.url.split("/hook/")[0]
        assert sorted(hooknb.hooks()) == ["one", "two"]
        one.send(json=1)
        print(one.url)
        """,
        tmp_path,
    )
    folder = tmp_path / ".hooknb"
    assert (folder.stat().st_mode & 0o777, (folder / "store.db").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )
    assert (folder / ".gitignore").read_text() == "*\n"
    again = run(
        """
        import hooknb
        hook = hooknb.webhook("one")
        print(hook.url)
        assert len(hook.deliveries) == 1
        """,
        tmp_path,
    )
    assert again == out


def test_the_environment_sets_the_default_runtime(tmp_path) -> None:
    out = run(
        """
        import hooknb
        hook = hooknb.webhook("one")
        print(hook._runtime.settings.public_url, hook.send(json=1).status)
        """,
        tmp_path,
        HOOKNB_STORE=str(tmp_path / "other.db"),
        HOOKNB_PUBLIC_URL="https://hooks.example.org/base/",
    )
    assert out == "https://hooks.example.org/base/ 200\n"
    assert (tmp_path / "other.db").exists()
    assert not (tmp_path / ".hooknb").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": 70_000}, "port: 70000 is not a whole number from 0 to 65535"),
        ({"store": ""}, "store: '' is not a store"),
        ({"store": "postgresql://x/y"}, "store: postgresql is not supported"),
        ({"public_url": "nowhere"}, "public_url: it is not a web URL, or contains credentials"),
        (
            {"public_url": "http://u:p@h.example"},
            "public_url: it is not a web URL, or contains credentials",
        ),
        ({"allowed_hosts": "a"}, "allowed_hosts: write a list"),
        ({"workers": 0}, "workers: 0 is not"),
        ({"drain": -1}, "drain: -1 is not a number of seconds"),
        ({"colour": "red"}, "colour: there is no such setting; write one of store, host, port"),
    ],
)
def test_a_wrong_setting_names_itself_and_the_remedy(settings, message) -> None:
    with pytest.raises(hooknb.SettingError, match=message):
        Runtime(**{"store": ":memory:", **settings})


def test_a_program_that_ends_with_an_endless_node_ends(tmp_path) -> None:
    run(
        """
        import hooknb, time
        runtime = hooknb.Runtime("s.db", drain=0.1)
        hook = runtime.webhook("a", nodes=[lambda context: time.sleep(600)])
        hook.send(json=1)
        """,
        tmp_path,
    )


def test_a_forked_child_lets_go_and_its_parent_goes_on(tmp_path) -> None:
    run(
        """
        import hooknb, os, warnings
        warnings.simplefilter("ignore")
        runtime = hooknb.Runtime("s.db", port=0)
        hook = runtime.webhook("a")
        hook.send(json=1)
        child = os.fork()
        if child == 0:
            try:
                assert hooknb.hooks() == {}
                other = hooknb.Runtime("child.db", port=runtime.port + 0)
                try:
                    hook.send(json=1)
                except hooknb.HooknbError:
                    os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert hook.send(json=2).status == 200
        assert len(hook.deliveries) == 2
        """,
        tmp_path,
    )


def test_a_child_does_not_keep_the_port(tmp_path) -> None:
    run(
        """
        import hooknb, os, signal, time, warnings
        warnings.simplefilter("ignore")
        runtime = hooknb.Runtime("s.db", port=0)
        url = runtime.webhook("a").url
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        try:
            runtime.close()
            with hooknb.Runtime("s.db") as again:
                assert again.webhook("a").url == url
                assert again.webhook("a").send(json=1).status == 200
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        """,
        tmp_path,
    )


def test_reloading_the_package_starts_no_second_server(tmp_path) -> None:
    run(
        """
        import importlib, sys, threading
        import hooknb
        hook = hooknb.webhook("a", auth=hooknb.BasicAuth("u", "p"), body=["x"])
        url, threads = hook.url, threading.active_count()
        importlib.reload(hooknb)
        assert hooknb.webhook("a", auth=hooknb.BasicAuth("u", "p"), body=["x"]).url == url
        for name in [name for name in sys.modules if name.split(".")[0] == "hooknb"]:
            del sys.modules[name]
        import hooknb
        again = hooknb.webhook(
            "a", auth=hooknb.BasicAuth("u", "p"), body=[hooknb.Variable("x")],
            response=hooknb.Response(201),
        )
        assert again.url == url
        assert threading.active_count() == threads
        assert again.send(json={"x": 1}).status == 201
        assert list(hooknb.hooks()) == ["a"]
        """,
        tmp_path,
    )


def test_importing_is_light() -> None:
    code = "import sys, hooknb; print(*[m for m in sys.modules])"
    loaded = set(run(code, Path.cwd()).split())
    assert loaded.isdisjoint({"pandas", "ipywidgets", "anywidget", "sqlalchemy", "numpy"})


def test_public_names_are_complete_and_sorted() -> None:
    assert hooknb.__all__ == sorted(hooknb.__all__)
    for name in hooknb.__all__:
        assert getattr(hooknb, name) is not None
    assert set(hooknb.__all__) <= set(dir(hooknb))
    public = {name for name in vars(hooknb) if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(hooknb, name), type(hooknb))}
    assert public - modules <= {*hooknb.__all__, "open", "annotations", "Any", "TYPE_CHECKING"}
    with pytest.raises(AttributeError, match="nonsense"):
        hooknb.nonsense  # noqa: B018


def test_every_module_has_its_names_and_a_docstring() -> None:
    root = Path(hooknb.__file__).parent
    for path in root.rglob("*.py"):
        parts = path.relative_to(root.parent).with_suffix("").parts
        module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        assert module.__doc__, path
        names = getattr(module, "__all__", [])
        assert all(hasattr(module, name) for name in names), path


def test_a_request_to_a_closed_runtime_is_refused_at_the_socket() -> None:
    runtime = Runtime(":memory:")
    url = runtime.webhook("a").url
    runtime.close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, b"1", timeout=5)
    assert runtime not in _registry.state().runtimes
