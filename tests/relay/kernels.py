"""Kernels that a real Jupyter server started, talked to as a front end does."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jupyter_client import BlockingKernelClient

from served import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVES = """
import hooknb
hook = hooknb.webhook(NAME, accept="*/*", methods="*")
hook.publish()
"""


@contextmanager
def client_of(runtime: Path, kernel: str) -> Iterator[BlockingKernelClient]:
    """Talk to a kernel by its id; ``runtime`` is the folder of its connection file."""
    client = BlockingKernelClient(connection_file=str(runtime / f"kernel-{kernel}.json"))
    client.load_connection_file()
    client.start_channels()
    try:
        until(lambda: _is_ready(client))
        yield client
    finally:
        client.stop_channels()


def run(runtime: Path, kernel: str, code: str) -> Any:
    """Run code in a kernel, and return the value of its last line, which goes through JSON."""
    with client_of(runtime, kernel) as client:
        printed: list[str] = []

        def keep(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        *before, last = code.strip().splitlines()
        program = "\n".join([*before, "import json", f"print(json.dumps(({last})))"])
        response = client.execute_interactive(program, timeout=60, output_hook=keep)
        assert response["content"]["status"] == "ok", response["content"]
    return json.loads("".join(printed).splitlines()[-1])


def _is_ready(client: BlockingKernelClient) -> bool:
    try:
        client.wait_for_ready(30)
    except RuntimeError:  # it has ended, and is being started again
        time.sleep(0.1)
        return False
    return True
