"""What a request asks of a device, before any device is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.cdb import command_of
from tapekit_ndmp_v4.messages import MAX_CDB_DATA
from tapekit_ndmp_v4.numbers import CdbFlag

REQUESTS = st.builds(
    m.ScsiExecuteCdbRequest,
    flags=st.integers(0, 5) | st.just(2**32 - 1),
    timeout=st.integers(0, 2**32 - 1),
    datain_len=st.integers(0, 2**32 - 1) | st.sampled_from([0, MAX_CDB_DATA, MAX_CDB_DATA + 1]),
    cdb=st.binary(max_size=260) | st.binary(min_size=6, max_size=16),
    dataout=st.binary(max_size=64),
)


CHANGING = {
    "ERASE(6)",
    "ERASE(16)",
    "FORMAT MEDIUM",
    "LOG SELECT",
    "MODE SELECT(6)",
    "MODE SELECT(10)",
    "PERSISTENT RESERVE OUT",
    "PREVENT ALLOW MEDIUM REMOVAL",
    "RELEASE(6)",
    "RESERVE(6)",
    "SECURITY PROTOCOL OUT",
    "SEND DIAGNOSTIC",
    "SET CAPACITY",
    "WRITE ATTRIBUTE",
    "WRITE FILEMARKS(6)",
    "WRITE FILEMARKS(16)",
    "WRITE(6)",
    "WRITE(16)",
}


REFUSALS = {"ndmp_v4.cdb-directions", "ndmp_v4.cdb-length", "ndmp_v4.cdb-data-too-long"}


def request(**fields: Any) -> m.ScsiExecuteCdbRequest:
    plain = {"flags": 0, "timeout": 0, "datain_len": 0, "cdb": bytes(6), "dataout": b""}
    return m.ScsiExecuteCdbRequest(**{**plain, **fields})


@given(REQUESTS)
def test_a_command_is_one_that_a_door_takes_or_is_refused(asked: m.ScsiExecuteCdbRequest) -> None:
    try:
        command = command_of(asked)
    except TapekitError as error:
        refusal = error.id
    else:
        refusal = None
    if refusal is not None:
        assert refusal in REFUSALS
        return
    assert 6 <= len(command.cdb) <= 16
    assert command.data_in <= MAX_CDB_DATA
    assert not (command.data_in and command.data_out)
    assert command.timeout_s is None or command.timeout_s > 0


def test_a_timeout_is_in_milliseconds_and_zero_waits_for_ever() -> None:
    assert command_of(request(timeout=0)).timeout_s is None
    assert command_of(request(timeout=1)).timeout_s == pytest.approx(0.001)
    assert command_of(request(timeout=300_000)).timeout_s == 300


def test_the_longest_answer_is_asked_for_and_no_longer_one() -> None:
    flags = CdbFlag.DATA_IN.value
    assert command_of(request(flags=flags, datain_len=MAX_CDB_DATA)).data_in == MAX_CDB_DATA
    with pytest.raises(TapekitError, match="at most 1048576 can be sent"):
        command_of(request(flags=flags, datain_len=MAX_CDB_DATA + 1))


def may_change(opcode: int) -> bool:
    return command_of(request(cdb=bytes([opcode]).ljust(6, b"\0"))).may_change


def test_the_commands_that_change_something_are_known() -> None:
    """By the names that the tables of SCSI give them."""
    named = {command.name for command in TAPE_COMMANDS.values() if may_change(command.opcode)}
    assert named == CHANGING & {command.name for command in TAPE_COMMANDS.values()}


@pytest.mark.parametrize(
    "opcode",
    [
        0x15,  # MODE SELECT(6)
        0x1D,  # SEND DIAGNOSTIC
        0x3B,  # WRITE BUFFER: the drive's firmware
        0x4C,  # LOG SELECT
        0x55,  # MODE SELECT(10)
        0x5F,  # PERSISTENT RESERVE OUT
        0x82,  # ALLOW OVERWRITE
        0xA4,  # MAINTENANCE OUT
        0xB5,  # SECURITY PROTOCOL OUT
        0x06,  # a maker's own
        0xC0,
        0xFF,
    ],
)
def test_what_is_not_known_to_be_harmless_may_change_something(opcode: int) -> None:
    assert may_change(opcode)


@pytest.mark.parametrize("opcode", [0x08, 0x11, 0x12, 0x1A, 0x2B, 0x34, 0x4D, 0x5A, 0x8C, 0x92])
def test_reading_moving_and_asking_change_nothing(opcode: int) -> None:
    assert not may_change(opcode)
