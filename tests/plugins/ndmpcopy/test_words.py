"""What servers say is heard, kept and made harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit_ndmp_v4.client import Side
from tapekit_ndmp_v4.messages import LogMessagePost
from tapekit_ndmp_v4.numbers import LogType
from tapekit_ndmpcopy.words import Hearing, Words

if TYPE_CHECKING:
    from collections.abc import Callable


class MemoryClient:
    """A session that only keeps who listens."""

    def __init__(self) -> None:
        self.handler: Callable[[LogMessagePost], object] | None = None

    def on_post(self, kind: type, handler: Callable[[LogMessagePost], object]) -> None:
        assert kind is LogMessagePost
        self.handler = handler

    def say(self, log_type: int, entry: str) -> None:
        assert self.handler is not None
        self.handler(LogMessagePost(log_type=log_type, message_id=1, entry=entry))


@pytest.fixture
def told() -> list[Words]:
    return []


@pytest.fixture
def hearing(told: list[Words]) -> Hearing:
    return Hearing(told.append)


def listening(hearing: Hearing, side: Side) -> MemoryClient:
    client = MemoryClient()
    hearing.listen_to(side, client)  # type: ignore[arg-type]  # only posts matter here
    return client


def test_every_message_is_told_as_it_comes(hearing: Hearing, told: list[Words]) -> None:
    listening(hearing, Side.SOURCE).say(LogType.NORMAL, "phase I\n")
    listening(hearing, Side.DESTINATION).say(17, "odd")
    expected = (Words(Side.SOURCE, "NORMAL", "phase I"), Words(Side.DESTINATION, "17", "odd"))
    assert (tuple(told), hearing.words) == (expected, expected)


def test_only_errors_are_complaints(hearing: Hearing) -> None:
    source, target = (listening(hearing, side) for side in Side)
    source.say(LogType.NORMAL, "fine")
    source.say(LogType.WARNING, "well")
    assert hearing.complaints == ""
    target.say(LogType.ERROR, "disk full")
    assert hearing.complaints == "the destination says: disk full"


def test_the_last_complaints_of_each_side_are_quoted_once(hearing: Hearing) -> None:
    source, target = (listening(hearing, side) for side in Side)
    for number in (1, 2, 3, 4, 4):
        source.say(LogType.ERROR, f"error {number}")
    target.say(LogType.ERROR, "broken")
    assert hearing.complaints == (
        "the source says: error 2 / error 3 / error 4; the destination says: broken"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\nb", "a\\nb"),
        ("bl\udce4", "bl\\udce4"),
        ("Gr\xfc\xdfe", "Gr\xfc\xdfe"),
    ],
)
def test_no_terminal_obeys_a_server(hearing: Hearing, text: str, shown: str) -> None:
    listening(hearing, Side.SOURCE).say(LogType.NORMAL, text)
    assert [words.text for words in hearing.words] == [shown]
