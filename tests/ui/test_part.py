"""What every part of the panel does with views and messages."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from hooknb.errors import SettingError
from hooknb.ui.parts.form_fields import Field
from hooknb.ui.parts.part import Part


class Echo(Part):
    """Says what it hears."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.openings = 0
        super().__init__()

    def send(self, content: dict[str, Any], _buffers: Any = None) -> None:
        self.said.append(content)

    def opened(self) -> None:
        self.openings += 1

    def on_echo(self, content: dict[str, Any]) -> None:
        self.say("echo", text=content["text"])

    def on_wrong(self, _content: dict[str, Any]) -> None:
        raise SettingError("path", "it is none")

    def on_broken(self, _content: dict[str, Any]) -> None:
        raise ZeroDivisionError

    def hear(self, kind: str, **content: Any) -> None:
        self._hear(self, {"kind": kind, "view": "a", **content}, [])


@pytest.fixture
def echo() -> Echo:
    return Echo()


def test_a_part_is_watched_while_a_view_of_it_can_be_seen(echo: Echo) -> None:
    woken: list[bool] = []
    echo.when_watched = lambda: woken.append(echo.watched)
    assert not echo.watched
    echo.hear("open", visible=True)
    assert echo.watched
    assert woken == [True]
    assert not echo.silent
    echo.hear("seen", visible=False)
    assert not echo.watched
    echo.hear("seen", visible=True)
    assert woken == [True, True]
    echo.hear("close")
    assert not echo.watched
    assert echo.openings == 1


def test_who_sees_it_is_told_while_views_come_and_go(echo: Echo) -> None:
    done = threading.Event()

    def come_and_go() -> None:
        for number in range(20_000):
            echo.hear("seen", view=str(number % 50), visible=True)
            echo.hear("close", view=str((number * 7) % 50))
        done.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        while not done.is_set():
            assert echo.watched in {True, False}
            assert echo.silent in {True, False}
            assert echo.is_open in {True, False}
    finally:
        sys.setswitchinterval(interval)
        thread.join(30)


def test_a_message_reaches_its_method_and_errors_reach_who_asked(echo: Echo, caplog) -> None:
    echo.hear("echo", text="a")
    echo.hear("wrong")
    echo.hear("broken")
    echo.hear("unknown")
    assert echo.said == [
        {"kind": "echo", "text": "a"},
        {
            "kind": "error",
            "about": "wrong",
            "setting": "path",
            "message": "path: it is none",
            "to": "a",
        },
        {
            "kind": "error",
            "about": "broken",
            "setting": None,
            "message": "ZeroDivisionError: ",
            "to": "a",
        },
    ]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "content", [None, [], "text", {}, {"kind": 1}, {"kind": "say"}, {"kind": "msg"}]
)
def test_what_is_no_message_is_passed_over(echo: Echo, content: Any) -> None:
    echo._hear(echo, content, [])
    assert echo.said == []


def test_what_takes_long_is_done_aside(echo: Echo) -> None:
    done = threading.Event()
    given: list[int] = []

    def then(number: int) -> None:
        given.append(number)
        done.set()

    echo.aside("sum", lambda: 1 + 1, then, "a")
    assert done.wait(10)
    assert given == [2]
    echo.aside("sum", lambda: 1 // 0, then, "a")
    for thread in threading.enumerate():
        if thread.name == "hooknb-ui-sum":
            thread.join(10)
    assert echo.said[-1]["message"].startswith("ZeroDivisionError")


def test_what_fails_after_it_is_said_to_the_view_that_asked(echo: Echo) -> None:
    def then(number: int) -> None:
        raise SettingError("path", f"{number} is none")

    echo.aside("sum", lambda: 2, then, "a")
    echo.aside("sum", lambda: 1 // 0, then, "b")
    for thread in threading.enumerate():
        if thread.name == "hooknb-ui-sum":
            thread.join(10)
    said = {message["to"]: message for message in echo.said}
    assert said["a"]["message"] == "path: 2 is none"
    assert said["a"]["about"] == "sum"
    assert said["b"]["message"].startswith("ZeroDivisionError")


def test_numbers_of_a_view_are_forgotten_when_it_is_closed() -> None:
    field = Field("name")

    def hear(view: str, kind: str, **content: Any) -> None:
        field._hear(field, {"kind": kind, "view": view, **content}, [])

    for view in ("a", "b"):
        hear(view, "open", visible=True)
        hear(view, "typed", text=view, number=2)
    assert field.value == "b"
    hear("b", "close")
    hear("a", "typed", text="overtaken", number=1)
    assert field.value == "b"
    assert {about[0] for about in field._newest} == {"a"}


def test_the_state_of_a_part_holds_its_code_and_nothing_else(echo: Echo) -> None:
    echo.hear("echo", text="secret")
    assert "secret" not in str({k: v for k, v in echo.get_state().items() if k != "_esm"})
    assert repr(echo) == "<Echo>"
