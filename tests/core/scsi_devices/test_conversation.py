"""Commands are sent again only when they were not carried out."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.malformed import Malformed
from tapekit.scsi.sense import Sense
from tapekit.scsi_devices.conversation import Conversation

ATTENTION = Sense(6, 0x29, 0)


@pytest.fixture
def talk(door: Any) -> Conversation:
    return Conversation(door, "v.0", TAPE_COMMANDS)


def test_sending_tells_what_came_back(door: Any, talk: Conversation) -> None:
    door.next["READ(6)"] = [b"abc", Sense(0, 0, 1, filemark=True)]
    assert talk.send("READ(6)", room=10, count=10) == (b"abc", None)
    assert talk.send("READ(6)", room=10, count=10) == (b"", Sense(0, 0, 1, filemark=True))


def test_what_is_sent_once_is_not_sent_again(door: Any, talk: Conversation) -> None:
    door.next["WRITE(6)"] = [ATTENTION]
    assert talk.send("WRITE(6)", b"data", count=4) == (b"", ATTENTION)
    assert door.names == ["WRITE(6)"]
    assert talk.attentions == 1


def test_what_may_be_repeated_hears_all_attentions(door: Any, talk: Conversation) -> None:
    door.next["REWIND"] = [ATTENTION, Sense(6, 0x28, 0)]
    talk.run("REWIND")
    assert door.names == ["REWIND"] * 3
    assert talk.attentions == 2


def test_a_device_that_never_settles_is_not_ready(door: Any, talk: Conversation) -> None:
    door.next["REWIND"] = [ATTENTION] * 20
    with pytest.raises(TapeError) as caught:
        talk.run("REWIND")
    assert caught.value.condition is Condition.NOT_READY
    assert len(door.ran) == 8


def test_a_refusal_is_told_with_its_sense_data(door: Any, talk: Conversation) -> None:
    door.next["LOAD UNLOAD"] = [Sense(5, 0x53, 2)]
    with pytest.raises(TapeError) as caught:
        talk.run("LOAD UNLOAD")
    assert caught.value.condition is Condition.BUSY
    assert str(caught.value) == (
        "v.0 did not carry out LOAD UNLOAD: 5/53/02, medium removal prevented"
    )


def test_a_recovered_error_is_no_error(door: Any, talk: Conversation) -> None:
    door.next["REWIND"] = [Sense(1, 0x17, 0)]
    talk.run("REWIND")
    assert door.names == ["REWIND"]


def test_an_answer_that_cannot_be_read_names_the_command(talk: Conversation) -> None:
    def decode() -> None:
        raise Malformed("it has 3 bytes")

    with pytest.raises(TapeError) as caught:
        talk.decoded("READ POSITION", decode)
    assert caught.value.condition is Condition.HARDWARE_ERROR
    assert str(caught.value) == (
        "v.0 answered READ POSITION with data that cannot be read: it has 3 bytes"
    )


RECOVERED_LATE = Sense(1, 0x17, 0, is_deferred=True)


def test_a_command_is_sent_again_that_gave_way_to_news_of_an_earlier_one(
    door: Any, talk: Conversation
) -> None:
    door.next["WRITE(6)"] = [RECOVERED_LATE, Sense(0, 0, 2, end_of_medium=True, is_deferred=True)]
    assert talk.send("WRITE(6)", b"data", count=4) == (b"", None)
    assert door.names == ["WRITE(6)"] * 3
    assert talk.attentions == 0


def test_a_device_that_only_has_news_of_earlier_commands_is_not_believed(
    door: Any, talk: Conversation
) -> None:
    door.next["WRITE(6)"] = [RECOVERED_LATE] * 20
    with pytest.raises(TapeError) as caught:
        talk.run("WRITE(6)", b"data", count=4)
    assert caught.value.condition is Condition.NOT_READY
    assert len(door.ran) == 8
