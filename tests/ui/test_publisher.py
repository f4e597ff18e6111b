"""The publisher: one thread, at most ten messages a second, and the last state is always said."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from hooknb.ui.parts.publisher import Publisher


@dataclass(eq=False)
class Item:
    """Something that is watched."""

    messages: int = 1
    watched: bool = True
    silent: bool = False
    raises: bool = False
    rounds: int = 0
    many: int = 3
    enough: threading.Event = field(default_factory=threading.Event)

    def publish(self) -> int:
        self.rounds += 1
        if self.rounds >= self.many:
            self.enough.set()
        if self.raises:
            raise ValueError(self.rounds)
        return self.messages


def running(*items: Item) -> Publisher:
    """Return a publisher that goes round without a pause."""
    publisher = Publisher(lambda _: None)
    for item in items:
        publisher.add(item)
    publisher.wake()
    return publisher


def test_the_pause_after_a_round_is_as_long_as_its_messages_ask_for() -> None:
    pauses: list[float] = []
    enough = threading.Event()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            first.watched = second.watched = False
            enough.set()

    first, second = Item(messages=2), Item(messages=1)
    publisher = Publisher(sleep)
    publisher.add(first)
    publisher.add(second)
    publisher.wake()
    assert enough.wait(10)
    assert [round(pause, 6) for pause in pauses[:4]] == [0.375] * 4


def test_what_nobody_watches_is_left_alone_until_it_is_watched() -> None:
    item = Item(watched=False)
    publisher = running(item)
    other = Item()
    publisher.add(other)
    publisher.wake()
    assert other.enough.wait(10)
    assert item.rounds == 0
    item.watched = True
    publisher.wake()
    assert item.enough.wait(10)
    item.watched = other.watched = False


def test_one_that_fails_holds_up_no_other_and_has_its_next_round(caplog) -> None:
    broken, whole = Item(raises=True), Item()
    running(broken, whole)
    assert broken.enough.wait(10)
    assert whole.enough.wait(10)
    broken.watched = whole.watched = False
    assert "cannot publish changes" in caplog.text


class Unsure(Item):
    """Something that cannot say at first whether it is watched, nor whether it is silent."""

    def __getattribute__(self, name: str) -> Any:
        failures = vars(type(self))["failures"]
        if name in failures and failures[name] > 0:
            failures[name] -= 1
            raise RuntimeError(name)
        return super().__getattribute__(name)

    failures: ClassVar[dict[str, int]] = {}


@pytest.mark.parametrize("question", ["watched", "silent"])
def test_one_that_cannot_say_who_sees_it_ends_nothing(question: str, caplog) -> None:
    unsure, whole = Unsure(), Item()
    Unsure.failures[question] = 3
    running(unsure, whole)
    assert whole.enough.wait(10)
    assert unsure.enough.wait(10)
    unsure.watched = whole.watched = False
    assert caplog.text.count(f"RuntimeError: {question}") == 3


def test_one_whose_viewers_are_silent_gets_few_rounds() -> None:
    silent, lively = Item(silent=True), Item(many=200)
    publisher = running(silent, lively)
    assert lively.enough.wait(10)
    silent.watched = lively.watched = False
    publisher.wake()
    # One in two seconds: for 200 rounds without a pause there is no need of more.
    assert 0 < silent.rounds <= 5
