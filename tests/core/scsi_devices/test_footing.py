"""News count until somebody has made sure of the tape's place."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.sense import Sense
from tapekit.scsi_devices.conversation import Conversation
from tapekit.scsi_devices.footing import Footing

PATH_LOST, RESET, ANOTHER_TAPE = Sense(6, 0x29, 7), Sense(6, 0x29, 0), Sense(6, 0x28, 0)


@pytest.fixture
def talk(door: Any) -> Conversation:
    return Conversation(door, "v.0", TAPE_COMMANDS)


@pytest.mark.parametrize(
    ("news", "is_path_alone"),
    [
        ([], False),
        ([PATH_LOST], True),
        ([PATH_LOST, RESET], True),
        ([RESET], False),
        ([RESET, PATH_LOST], False),
        ([PATH_LOST, ANOTHER_TAPE], False),
    ],
)
def test_a_lost_path_is_told_from_more(
    door: Any, talk: Conversation, news: list[Sense], is_path_alone: bool
) -> None:
    footing = Footing(talk, "v.0")
    door.next["TEST UNIT READY"] = list(news)
    talk.run("TEST UNIT READY")
    assert footing.has_lost_path_alone is is_path_alone
    assert footing.has_news is bool(news)
    assert footing.is_prepared is not bool(news)


def test_news_are_forgotten_step_by_step(door: Any, talk: Conversation) -> None:
    footing = Footing(talk, "v.0")
    footing.displace()
    door.next["TEST UNIT READY"] = [RESET]
    talk.run("TEST UNIT READY")
    footing.prepare()
    assert (footing.is_displaced, footing.has_news, footing.is_prepared) == (True, False, True)
    door.next["TEST UNIT READY"] = [RESET]
    talk.run("TEST UNIT READY")
    footing.leave()
    assert (footing.is_displaced, footing.has_news, footing.is_prepared) == (False, False, False)
    footing.displace()
    footing.trust()
    assert (footing.is_displaced, footing.has_news, footing.is_prepared) == (False, False, True)


def test_errors_name_the_command(talk: Conversation) -> None:
    footing = Footing(talk, "v.0")
    for error in (footing.refusal("WRITE(6)"), footing.strayed("WRITE(6)")):
        assert error.condition is Condition.HARDWARE_ERROR
        assert "WRITE(6)" in str(error)
