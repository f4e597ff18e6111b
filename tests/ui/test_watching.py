"""What a hook lets a view read: counts, rows and details, which the panel is made of."""

from __future__ import annotations

import pytest

import hooknb
from hooknb.errors import RecordNotFoundError


def test_a_view_reads_counts_rows_and_details_of_a_hook(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("orders", body=["id"], auth=hooknb.BasicAuth("shop", "secret"))
    watch = hook.watch()
    watch.feed.refresh()
    assert (watch.arrived, watch.unfinished, watch.newest(), watch.feed.total) == (0, 0, None, 0)
    assert "shop" in watch.masked_url
    assert "secret" not in watch.masked_url
    hook.send(json={"id": 7})
    hook.send(data=b"{", headers={"Content-Type": "application/json"})
    hook.wait()
    watch.flush()
    watch.feed.refresh()
    assert watch.arrived == 2
    assert watch.feed.total == 2
    assert watch.newest() == 1
    assert watch.details(1)["variables"] == [["body.id", "body.id", "7"]]
    assert watch.details(2)["outcome"] == "refused"
    with pytest.raises(RecordNotFoundError):
        watch.details(3)


def test_views_do_not_share_where_they_are(runtime: hooknb.Runtime) -> None:
    hook = runtime.webhook("orders")
    one, other = hook.watch(), hook.watch()
    hook.send(json={})
    hook.wait()
    one.feed.refresh()
    assert (one.feed.total, other.feed.total) == (1, 0)
    hook.close()
    other.flush()  # of a closed hook nothing is waited for
    assert hook.status == "closed"
