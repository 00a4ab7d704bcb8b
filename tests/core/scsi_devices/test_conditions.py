"""What devices say becomes what drivers raise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.sense import Sense, SenseKey
from tapekit.scsi_devices.conditions import condition_of, sense_of


@pytest.mark.parametrize(
    ("sense", "condition"),
    [
        (Sense(0), None),
        (Sense(1, 0x17, 0), None),
        (Sense(0, 0, 0x17), None),
        (Sense(0, 0, 1, filemark=True), Condition.FILEMARK),
        (Sense(0, wrong_length=True, information=10), None),
        (Sense(0, wrong_length=True, information=-10), Condition.RECORD_TOO_LONG),
        (Sense(0, 0, 2, end_of_medium=True), Condition.EARLY_WARNING),
        (Sense(0, 0, 4, end_of_medium=True), Condition.BEGINNING_OF_MEDIUM),
        (Sense(0, 0, 1), Condition.FILEMARK),
        (Sense(0, 0, 2), Condition.EARLY_WARNING),
        (Sense(0, 0, 4), Condition.BEGINNING_OF_MEDIUM),
        (Sense(0, 0, 5), Condition.END_OF_DATA),
        (Sense(0xD, 0, 2, end_of_medium=True), Condition.END_OF_MEDIUM),
        (Sense(3, 0, 2, end_of_medium=True), Condition.END_OF_MEDIUM),
        (Sense(8, 0, 5), Condition.END_OF_DATA),
        (Sense(2, 0x3A, 0), Condition.NO_TAPE),
        (Sense(2, 0x04, 1), Condition.NOT_READY),
        (Sense(3, 0x11, 0), Condition.MEDIUM_ERROR),
        (Sense(4, 0x44, 0), Condition.HARDWARE_ERROR),
        (Sense(5, 0x20, 0), Condition.BAD_REQUEST),
        (Sense(5, 0x3B, 0x0D), Condition.DESTINATION_FULL),
        (Sense(5, 0x3B, 0x0E), Condition.SOURCE_EMPTY),
        (Sense(5, 0x53, 0x02), Condition.BUSY),
        (Sense(7, 0x27, 0), Condition.WRITE_PROTECTED),
        (Sense(7, 0x30, 0x0C), Condition.WRITE_PROTECTED),
        (Sense(0xB, 0x4E, 0), Condition.HARDWARE_ERROR),
    ],
)
def test_sense_data_has_one_meaning(sense: Sense, condition: Condition | None) -> None:
    assert condition_of(sense) is condition


@given(st.sampled_from(SenseKey), st.integers(0, 255), st.integers(0, 255))
def test_every_key_means_something(key: SenseKey, asc: int, ascq: int) -> None:
    sense = Sense(key, asc, ascq)
    is_fine = sense.key in (SenseKey.NO_SENSE, SenseKey.RECOVERED_ERROR, SenseKey.COMPLETED)
    assert (condition_of(sense) is None) == is_fine


@pytest.mark.parametrize(
    ("status", "condition"),
    [
        (Status.BUSY, Condition.BUSY),
        (Status.RESERVATION_CONFLICT, Condition.RESERVED),
        (Status.TASK_ABORTED, Condition.HARDWARE_ERROR),
        (0x7F, Condition.HARDWARE_ERROR),
    ],
)
def test_another_status_is_an_error(status: int, condition: Condition) -> None:
    with pytest.raises(TapeError) as caught:
        sense_of(CdbReply(status), "v.0", "REWIND")
    assert caught.value.condition is condition
    assert str(caught.value) == f"v.0 answered REWIND with the SCSI status {status}"


def test_sense_data_that_is_none_is_an_error() -> None:
    with pytest.raises(TapeError, match="REWIND with data that cannot be read"):
        sense_of(CdbReply(Status.CHECK_CONDITION, sense=b"abcdef"), "v.0", "REWIND")


def test_a_good_reply_has_no_sense_data() -> None:
    assert sense_of(CdbReply(Status.GOOD), "v.0", "REWIND") is None
