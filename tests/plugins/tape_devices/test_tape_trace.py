"""Traces of drives: lines, limits, and commands in words."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.sense import Sense, SenseKey, encode_sense
from tapekit_tape_devices.tape_trace import DriveTrace, answer_words, command_words


def test_a_trace_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    trace = DriveTrace(tmp_path / "folder" / "trace")
    assert trace.say(0.5, "one")
    trace.close()
    assert (tmp_path / "folder" / "trace").read_text() == "1970-01-01T00:00:00.500000Z  one\n"
    assert stat.S_IMODE(trace.file.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        DriveTrace(trace.file)


def test_a_trace_that_has_been_ended_takes_no_more(tmp_path: Path) -> None:
    trace = DriveTrace(tmp_path / "trace")
    trace.close()
    trace.close()
    assert not trace.say(0, "late")
    assert trace.file.read_text() == ""


def test_a_trace_ends_at_its_longest_length(tmp_path: Path) -> None:
    trace = DriveTrace(tmp_path / "trace", longest=80)
    assert trace.say(0, "x" * 10)
    assert not trace.say(0, "y" * 80)
    assert not trace.say(0, "z")
    assert trace.file.read_text().splitlines()[1:] == ["The trace has its longest length."]


def test_a_trace_that_cannot_be_written_ends_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trace = DriveTrace(tmp_path / "trace")
    stream = trace._stream
    full = Path("/dev/full").open("ab")  # noqa: SIM115 - the trace closes it
    object.__setattr__(trace, "_stream", full)
    stream.close()
    assert not trace.say(0, "one")
    assert "No space left on device" in caplog.text
    assert full.closed


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("0a 00 01 00 00 00", "WRITE(6) count=65536"),
        ("11 01 ff ff ff 00", "SPACE(6) code=1 count=-1"),
        ("01 00 00 00 00 00", "REWIND"),
        ("01 20 00 00 00 00", "REWIND  CDB 01 20 00 00 00 00"),
        ("c1 02 00 00 00 00", "CDB c1 02 00 00 00 00"),
    ],
)
def test_commands_in_words(block: str, words: str) -> None:
    assert command_words(bytes.fromhex(block)) == words


def test_commands_of_changers_in_words() -> None:
    block = bytes.fromhex("a5 00 00 00 04 00 01 00 00 00 00 00")
    assert command_words(block, is_changer=True) == "MOVE MEDIUM source=1024 destination=256"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (CdbReply(Status.GOOD, b"12345"), "GOOD, 5 bytes came"),
        (CdbReply(Status.GOOD, written=512), "GOOD, 512 bytes went"),
        (CdbReply(Status.RESERVATION_CONFLICT), "RESERVATION CONFLICT"),
        (CdbReply(0x99), "status 99h"),
        (
            CdbReply(Status.CHECK_CONDITION, sense=encode_sense(Sense(SenseKey.NOT_READY, 0x3A))),
            "CHECK CONDITION 2/3A/00, medium not present",
        ),
        (CdbReply(Status.CHECK_CONDITION, sense=b"\1"), "CHECK CONDITION sense 01"),
    ],
)
def test_answers_in_words(reply: CdbReply, words: str) -> None:
    assert answer_words(reply) == words
