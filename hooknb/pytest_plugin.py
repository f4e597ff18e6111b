"""Fixtures for pytest: live hooks for each test, and snapshots of the deliveries they received.

pytest loads the plugin automatically where hooknb is installed; ``-p no:hooknb`` disables it.
Heavy imports are deferred, since every pytest run in that environment loads this module.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Unpack

import pytest

if TYPE_CHECKING:
    from hooknb.hook import Hook
    from hooknb.runtime import Runtime
    from hooknb.workflow import WebhookSettings

__all__ = ["DeliverySnapshot", "Webhook"]

_FOLDER: Final = "snapshots"
_MAX_LINES: Final = 100  # of a difference
_MAX_LINE: Final = 300  # characters
_MAX_NAME: Final = 150
_WRITTEN: Final = pytest.StashKey[dict[Path, str]]()


class Webhook(Protocol):
    """The type of the fixture ``webhook``, for annotations."""

    def __call__(self, name: str | None = None, **settings: Unpack[WebhookSettings]) -> Hook:
        """Serve a hook; see the fixture."""


class DeliverySnapshot(Protocol):
    """The type of the fixture ``delivery_snapshot``, for annotations."""

    def __call__(self, hook: Hook, name: str | None = None, *, headers: Sequence[str] = ()) -> None:
        """Compare a hook's deliveries with a snapshot; see the fixture."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes snapshots."""
    parser.getgroup("hooknb").addoption(
        "--hooknb-update",
        action="store_true",
        help="rewrite the snapshots of delivery_snapshot instead of comparing with them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the record of the snapshots written in this run."""
    config.stash[_WRITTEN] = {}


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """List the snapshots that were written."""
    written = config.stash[_WRITTEN]
    if written:
        terminalreporter.section("hooknb: snapshots written")
        for path in written:
            terminalreporter.line(_shown(path, config))


@pytest.fixture
def hook_runtime() -> Iterator[Runtime]:
    """Yield a :class:`hooknb.Runtime` for one test: in memory, on a free port.

    Its server starts with the first hook. The runtime is closed after the test, which waits for
    running executions for at most its ``drain`` of 3 s.
    """
    from hooknb.runtime import Runtime

    with Runtime(":memory:", port=0, deterministic=False) as runtime:
        yield runtime


@pytest.fixture
def webhook(request: pytest.FixtureRequest, hook_runtime: Runtime) -> Webhook:
    """Serve hooks on ``hook_runtime``: ``hook = webhook(body=["status"], nodes=[total])``.

    The settings are those of :func:`hooknb.webhook`; the default name is that of the test. Calling
    it again with the same name returns the same hook, with a new revision if a setting differs.
    All hooks are closed after the test.
    """

    def serve(name: str | None = None, **settings: Unpack[WebhookSettings]) -> Hook:
        return hook_runtime.webhook(request.node.name if name is None else name, **settings)

    return serve


@pytest.fixture
def delivery_snapshot(request: pytest.FixtureRequest) -> DeliverySnapshot:
    """Compare a hook's deliveries with a file: ``delivery_snapshot(hook, name="orders")``.

    The file is ``snapshots/<name>.json`` beside the test's file; the default name consists of the
    test's file and the test. For every delivery, in order of arrival, it contains the method,
    query, content type, body, the headers that ``headers`` names, and the reason if it was refused:
    nothing that differs between runs. Wait for the deliveries first, with ``hook.wait_for()``.

    ``pytest --hooknb-update`` writes the file instead; review and commit it.
    """
    config, test = request.config, request.node

    def compare(hook: Hook, name: str | None = None, *, headers: Sequence[str] = ()) -> None:
        __tracebackhide__ = True  # so that pytest reports a difference at the test's own line
        _check_call(name, headers)
        chosen = _name_of(test) if name is None else name
        path = test.path.parent / _FOLDER / f"{_file_name(chosen)}.json"
        text = _received(hook, headers)
        if config.getoption("hooknb_update"):
            _write(path, text, config)
        else:
            _check(path, text, hook.name, config)

    return compare


def _check_call(name: object, headers: object) -> None:
    from hooknb.errors import SettingError

    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise SettingError("name", f"{name!r} is not a name; write one such as 'orders'")
    if (
        isinstance(headers, str)
        or not isinstance(headers, Sequence)
        or not all(isinstance(header, str) for header in headers)
    ):
        raise SettingError("headers", f"{headers!r} is not a list of names; write ['X-Shop']")


def _name_of(test: Any) -> str:
    """Return the name of a test: its file, its classes and the test, joined by dots."""
    return ".".join([test.path.stem, *test.nodeid.split("::")[1:]])


def _file_name(name: str) -> str:
    """Return a valid file name; if it differs from the name, a digest keeps it unique."""
    file = re.sub(r"[^\w.\[\]-]+", "_", name)
    if file == name and len(file) <= _MAX_NAME:
        return file
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()
    return f"{file[:_MAX_NAME]}-{digest[:8]}"


def _received(hook: Hook, headers: Sequence[str]) -> str:
    from hooknb.history.exports import as_text, snapshot

    ids = hook.deliveries.index
    return as_text(snapshot((hook.delivery(number) for number in ids), headers))


def _check(path: Path, text: str, name: str, config: pytest.Config) -> None:
    import json

    from hooknb.history.exports import as_text

    __tracebackhide__ = True
    shown = _shown(path, config)
    try:
        kept = as_text(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        message = (
            f"there is no snapshot {shown}; run pytest with --hooknb-update to write it, then "
            "review and commit it"
        )
        raise AssertionError(message) from None
    except ValueError as error:
        message = f"{shown} is not JSON: {error}; correct it, or run pytest with --hooknb-update"
        raise AssertionError(message) from None
    if kept != text:
        message = (
            f"the deliveries of hook {name!r} (+) differ from {shown} (-):\n\n"
            f"{_difference(kept, text)}\n\n"
            "If the deliveries are right, run pytest with --hooknb-update and commit the file."
        )
        raise AssertionError(message)


def _write(path: Path, text: str, config: pytest.Config) -> None:
    __tracebackhide__ = True
    written = config.stash[_WRITTEN]
    if written.get(path, text) != text:
        message = (
            f"{_shown(path, config)} was written in this run with other deliveries; give each "
            "snapshot its own name"
        )
        raise AssertionError(message)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    written[path] = text


def _difference(kept: str, text: str) -> str:
    import difflib

    lines = list(difflib.unified_diff(kept.splitlines(), text.splitlines(), lineterm="", n=4))[2:]
    shown = [
        line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}…" for line in lines[:_MAX_LINES]
    ]
    if len(lines) > _MAX_LINES:
        shown.append(f"… and {len(lines) - _MAX_LINES} more lines")
    return "\n".join(shown)


def _shown(path: Path, config: pytest.Config) -> str:
    """Return a path relative to pytest's root directory, as pytest shows tests."""
    return (
        str(path.relative_to(config.rootpath))
        if path.is_relative_to(config.rootpath)
        else path.name
    )
