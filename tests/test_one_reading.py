"""A stored body reads the same wherever it is read."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hooknb
from hooknb.cli.following import Follower
from hooknb.history import exports
from hooknb.history.table import Feed, compile_filter, details
from hooknb.records import KEPT_REFUSED_BYTES
from hooknb.store import Reading

SMALL = {"note": "x" * 1_000, "n": 7}
LARGE = {"note": "x" * 1_000_000, "n": 7}


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[hooknb.Hook]:
    with hooknb.Runtime(tmp_path / "store.db", port=0) as runtime:
        yield runtime.webhook("orders", auth=hooknb.BasicAuth("user", "right"), body=["n"])


def readings(hook: hooknb.Hook, folder: Path) -> dict[str, Any]:
    """Return what each reader has at ``body.n`` of the hook's only delivery; ``None`` for none."""

    def taken(body: Any) -> Any:
        return None if body is None else body["n"]

    workflow_id, trigger = hook._state.workflow_id, hook.workflow.trigger
    with contextlib.closing(Reading(folder / "store.db")) as store:
        feed = Feed(store, workflow_id, lambda: trigger)
        feed.refresh()
        [row] = feed.rows([0])
        shown = details(store, workflow_id, 1, trigger)
        [seen] = Follower(store, {workflow_id: "orders"}, compile_filter("")).newest(1)
    hook.export(folder / "kept.jsonl")
    [line] = (folder / "kept.jsonl").read_text().splitlines()
    [exported] = exports.read_lines(folder / "kept.jsonl")
    lines = shown["body"]["lines"]
    cells = [*row.cells, *(text for _, _, text in shown["variables"])]
    told = [value for _, value in seen.variables]
    return {
        "hook.delivery": taken(hook.delivery(1).body),
        "hook.frame": taken(hook.frame("deliveries", body=True)["body"].iloc[0]),
        "hook.search": 7 if len(hook.search("body.n == 7")) else None,
        "the tree of the details": 7 if "n" in [label for _, label, *_ in lines] else None,
        "the table and the variables of the details": 7 if cells == ["7", "7"] else None,
        "hooknb tail": 7 if told == [7] else None,
        "an export": taken(json.loads(line)["body"]),
        "an export read back": taken(exported.body),
    }


def send_wrong_password(hook: hooknb.Hook, data: bytes, **headers: str) -> None:
    fields = {"Authorization": "Basic dXNlcjp3cm9uZw==", "Content-Type": "application/json"}
    assert hook.send(data=data, headers=fields | headers).status == 401


@pytest.mark.parametrize(("body", "n"), [(SMALL, 7), (LARGE, None)])
def test_a_refused_gzip_body_reads_the_same_everywhere(
    hook: hooknb.Hook, tmp_path: Path, body: dict[str, Any], n: int | None
) -> None:
    compressed = gzip.compress(json.dumps(body).encode())
    send_wrong_password(hook, compressed, **{"Content-Encoding": "gzip"})
    found = readings(hook, tmp_path)
    assert found == dict.fromkeys(found, n)


def test_a_body_of_which_only_the_start_was_kept_is_not_read_anywhere(
    hook: hooknb.Hook, tmp_path: Path
) -> None:
    text = "n=7&" + "x" * KEPT_REFUSED_BYTES
    form = "application/x-www-form-urlencoded"
    send_wrong_password(hook, text.encode(), **{"Content-Type": form})
    found = readings(hook, tmp_path)
    assert found == dict.fromkeys(found)
    assert hook.delivery(1).raw == text.encode()[:KEPT_REFUSED_BYTES]
