"""What the kernel says of a command becomes an answer or an error."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.door import Status
from tapekit.scsi.sense import Sense, encode_sense
from tapekit_scsi_sg.sg_node import FOREVER, SgAnswer

READY = bytes(6)
READ = bytes.fromhex("08 00 000064 00")
READ_BLOCKS = bytes.fromhex("08 01 00000a 00")
GOOD = SgAnswer(0, 0, 0, 0, b"", b"")


@pytest.fixture
def door(host: Any) -> Any:
    """The door of the drive with a tape."""
    opened = host.driver().open_door("S1D00@0:0:1:1")
    yield opened
    opened.close()


def test_time_limits_are_milliseconds(door: Any, host: Any) -> None:
    (node,) = host.nodes
    node.limits.clear()
    for seconds in (None, 0.0001, 1.5, 1e9):
        door.execute(READY, timeout_s=seconds)
    assert node.limits == [FOREVER, 1, 1500, FOREVER - 1]


def test_what_comes_in_and_goes_out_is_counted(door: Any, host: Any) -> None:
    (node,) = host.nodes
    node.next = [GOOD._replace(data=b"abcdef", residual=2), GOOD._replace(residual=3)]
    assert door.execute(READ, data_in=6).data == b"abcd"
    assert door.execute(READY, data_out=b"12345").written == 2


@pytest.mark.parametrize("residual", [-2032, 99])
def test_a_residual_that_cannot_be_is_bounded(door: Any, host: Any, residual: int) -> None:
    (node,) = host.nodes
    node.next = [GOOD._replace(data=b"abcdef", residual=residual)] * 2
    assert door.execute(READ, data_in=6).data == (b"abcdef" if residual < 0 else b"")
    assert door.execute(READY, data_out=b"12").written == (2 if residual < 0 else 0)


MARK = Sense(0, 0, 1, filemark=True)


@pytest.mark.parametrize(
    ("cdb", "sense", "length"),
    [
        (READ, MARK._replace(information=100), 0),
        (READ, MARK, 0),
        (READ, Sense(8, 0, 5, information=100), 0),
        (READ, Sense(8, 0, 5), 0),
        (READ, Sense(0, wrong_length=True, information=60), 40),
        (READ, Sense(0, wrong_length=True, information=-60), 100),
        (READ, Sense(0, 0, 2, end_of_medium=True), 100),
        (READ_BLOCKS, MARK._replace(information=7), 30),
        (READ_BLOCKS, Sense(3, 0x11, 0, information=10), 0),
        (READ, Sense(6, 0x29, 0), 0),
        (READ, Sense(2, 0x3A, 0), 0),
        (b"\x4d" + bytes(9), Sense(1, 0x17, 0), 100),
    ],
)
def test_old_memory_of_the_kernel_is_no_data(
    door: Any, host: Any, cdb: bytes, sense: Sense, length: int
) -> None:
    (node,) = host.nodes
    told = encode_sense(sense)
    node.next = [SgAnswer(Status.CHECK_CONDITION, 0, 8, 0, b"o" * 100, told)]
    reply = door.execute(cdb, data_in=100)
    assert (reply.sense, len(reply.data)) == (told, length)


@pytest.mark.parametrize(
    ("status", "sense"), [(Status.CHECK_CONDITION, b"\x01"), (Status.RESERVATION_CONFLICT, b"")]
)
def test_an_answer_that_says_nothing_has_no_data(
    door: Any, host: Any, status: int, sense: bytes
) -> None:
    (node,) = host.nodes
    node.next = [SgAnswer(status, 0, 0, 0, b"o" * 100, sense)]
    reply = door.execute(READ, data_in=100)
    assert (reply.status, reply.data, reply.sense) == (status, b"", sense)


@pytest.mark.parametrize(
    ("answer", "words", "condition"),
    [
        (GOOD._replace(host_status=3), "did not answer command 00h within 2.5", Condition.TIMEOUT),
        (GOOD._replace(driver_status=6), "did not answer command 00h", Condition.TIMEOUT),
        (GOOD._replace(host_status=1), "is gone", Condition.NO_DEVICE),
        (GOOD._replace(host_status=8), "was reset", Condition.HARDWARE_ERROR),
        (GOOD._replace(host_status=0x13), "host status 13h", Condition.HARDWARE_ERROR),
        (GOOD._replace(driver_status=4), "driver status 4h", Condition.HARDWARE_ERROR),
        (OSError(errno.ENODEV, ""), "is gone", Condition.NO_DEVICE),
        (OSError(errno.EINVAL, ""), "with 9 bytes to 0.1L1: Invalid", Condition.BAD_REQUEST),
    ],
)
def test_a_way_that_fails_is_told(
    door: Any, host: Any, answer: Any, words: str, condition: Condition
) -> None:
    (node,) = host.nodes
    node.next = [answer]
    with pytest.raises(TapeError, match=words) as caught:
        door.execute(READY, data_out=b"123456789", timeout_s=2.5)
    assert caught.value.condition is condition
    assert "0.1L1" in str(caught.value)
    assert door.execute(READY, timeout_s=1).status == Status.GOOD


def test_a_late_answer_names_the_field_that_gives_more_time(door: Any, host: Any) -> None:
    (node,) = host.nodes
    node.next = [GOOD._replace(host_status=3)]
    with pytest.raises(TapeError) as caught:
        door.execute(b"\x1b" + bytes(5), timeout_s=60)
    assert "cmd_timeout_0x1b" in caught.value.action


def test_a_device_is_reset(door: Any, host: Any) -> None:
    door.reset()
    reply = door.execute(READY)
    assert (reply.status, reply.sense[2]) == (Status.CHECK_CONDITION, 6)
    host.nodes[0].next = [OSError(errno.EOPNOTSUPP, "")]
    with pytest.raises(TapeError, match=r"0\.1L1 was not reset: Operation not supported"):
        door.reset()


def test_after_a_failed_command_the_tape_is_not_written_on(host: Any) -> None:
    drive = host.driver().open_drive("S1D00@0:0:1:1")
    (node,) = host.nodes
    record = memoryview(b"record")
    assert drive.write_records([record], 6) == 1
    node.next = [GOOD._replace(host_status=7)]
    with pytest.raises(TapeError, match=r"The path to 0\.1L1 failed"):
        drive.write_records([record], 6)
    with pytest.raises(TapeError, match="may not stand where it did"):
        drive.write_records([record], 6)
    with pytest.raises(TapeError, match="may not stand where it did"):
        drive.write_filemarks(1)
    assert drive.status().position == (0, 1)
    drive.rewind()
    assert drive.write_records([record], 6) == 1
    drive.close()
