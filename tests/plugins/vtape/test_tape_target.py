"""A virtual drive behind its door keeps to SSC, residues and positions too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapekit.scsi.attributes import (
    ATTRIBUTE_LIST,
    BARCODE,
    MAXIMUM_CAPACITY,
    MEDIUM_SERIAL,
    MEDIUM_TYPE,
    REMAINING_CAPACITY,
    decode_attributes,
)
from tapekit.scsi.cdb import tape_command
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.position import EXTENDED, LONG, SHORT, decode_position
from tapekit.scsi.sense import Sense, decode_sense

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit_vtape.gated_drive import GatedDrive

BLOCK = 512


@final
class Initiator:
    """Sends commands to a drive and takes answers apart."""

    def __init__(self, drive: GatedDrive) -> None:
        self.drive = drive

    def send(self, name: str, data: bytes = b"", room: int = 1 << 20, **values: int) -> CdbReply:
        assert self.drive.door is not None
        block = tape_command(name).build(**values)
        return self.drive.door.execute(block, data_out=data, data_in=room)

    def good(self, name: str, data: bytes = b"", **values: int) -> CdbReply:
        reply = self.send(name, data, **values)
        assert reply.status == Status.GOOD, str(decode_sense(reply.sense))
        return reply

    def sense(self, name: str, data: bytes = b"", **values: int) -> Sense:
        reply = self.send(name, data, **values)
        assert reply.status == Status.CHECK_CONDITION
        return decode_sense(reply.sense)

    def code(self, name: str, data: bytes = b"", **values: int) -> str:
        return str(self.sense(name, data, **values)).partition(",")[0]

    def write(self, *blocks: bytes) -> None:
        for block in blocks:
            assert self.good("WRITE(6)", block, count=len(block)).written == len(block)

    def fix_blocks(self, length: int) -> None:
        data = bytes.fromhex("00 00 10 08 00 000000 00") + length.to_bytes(3, "big")
        self.good("MODE SELECT(6)", data, page_format=1, list_length=len(data))

    def at(self) -> tuple[int | None, int | None]:
        reply = self.good("READ POSITION", service_action=LONG)
        position = decode_position(reply.data, LONG)
        return position.object_id, position.file_id


@pytest.fixture
def tape(robot: Any) -> Initiator:
    return Initiator(robot.fresh())


@pytest.fixture
def written(tape: Initiator) -> Initiator:
    """Objects: A, B, mark, C, mark, mark."""
    tape.write(b"A" * 1000, b"B" * 700)
    tape.good("WRITE FILEMARKS(6)", count=1)
    tape.write(b"C" * 512)
    tape.good("WRITE FILEMARKS(6)", count=2)
    assert tape.at() == (6, 3)
    tape.good("REWIND")
    return tape


# Reading.


def test_a_block_of_the_length_asked_for_comes_alone(written: Initiator) -> None:
    assert written.good("READ(6)", count=1000).data == b"A" * 1000
    assert written.at() == (1, 0)


@pytest.mark.parametrize(("count", "left"), [(1200, 200), (600, -400)])
def test_a_block_of_another_length_says_by_how_much(
    written: Initiator, count: int, left: int
) -> None:
    reply = written.send("READ(6)", count=count)
    assert reply.data == b"A" * min(count, 1000)
    assert decode_sense(reply.sense) == Sense(0, wrong_length=True, information=left)
    assert written.at() == (1, 0)


def test_a_client_may_ask_not_to_be_told_of_lengths(written: Initiator) -> None:
    assert written.good("READ(6)", sili=1, count=1200).data == b"A" * 1000
    assert written.good("READ(6)", sili=1, count=100).data == b"B" * 100
    assert written.at() == (2, 0)


def test_of_a_long_block_it_is_told_all_the_same_in_fixed_mode(written: Initiator) -> None:
    written.fix_blocks(BLOCK)
    assert written.good("READ(6)", sili=1, count=1200).data == b"A" * 1000
    assert written.sense("READ(6)", sili=1, count=100).information == -600


def test_a_filemark_is_passed_and_told(written: Initiator) -> None:
    written.good("SPACE(6)", code=0, count=2)
    reply = written.send("READ(6)", count=4096)
    assert reply.data == b""
    assert decode_sense(reply.sense) == Sense(0, 0, 1, filemark=True, information=4096)
    assert written.at() == (3, 1)


def test_behind_all_data_there_is_nothing(written: Initiator) -> None:
    written.good("SPACE(6)", code=3)
    assert written.sense("READ(6)", count=512) == Sense(8, 0, 5, information=512)
    assert written.at() == (6, 3)


def test_fixed_blocks_come_together(tape: Initiator) -> None:
    tape.fix_blocks(BLOCK)
    data = bytes(range(256)) * 8
    assert tape.good("WRITE(6)", data, fixed=1, count=4).written == len(data)
    assert tape.at() == (4, 0)
    tape.good("REWIND")
    assert tape.good("READ(6)", fixed=1, count=4).data == data


def test_fixed_blocks_end_at_a_filemark(tape: Initiator) -> None:
    tape.write(b"x" * BLOCK, b"y" * BLOCK)
    tape.good("WRITE FILEMARKS(6)", count=1)
    tape.good("REWIND")
    tape.fix_blocks(BLOCK)
    reply = tape.send("READ(6)", fixed=1, count=5)
    assert reply.data == b"x" * BLOCK + b"y" * BLOCK
    assert decode_sense(reply.sense) == Sense(0, 0, 1, filemark=True, information=3)
    assert tape.at() == (3, 1)


def test_a_block_of_another_length_ends_fixed_blocks(tape: Initiator) -> None:
    tape.write(b"x" * BLOCK, b"y" * 100, b"z" * BLOCK)
    tape.good("REWIND")
    tape.fix_blocks(BLOCK)
    reply = tape.send("READ(6)", fixed=1, count=3)
    assert reply.data == b"x" * BLOCK
    assert decode_sense(reply.sense) == Sense(0, wrong_length=True, information=2)
    assert tape.at() == (2, 0)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("READ(6)", {"fixed": 1, "count": 1}),
        ("READ(6)", {"fixed": 1, "sili": 1, "count": 1}),
        ("READ(6)", {"count": (8 << 20) + 1}),
        ("WRITE(6)", {"fixed": 1, "count": 1}),
        ("WRITE(6)", {"count": 10}),
        ("WRITE FILEMARKS(6)", {"setmarks": 1, "count": 1}),
        ("SPACE(6)", {"code": 4, "count": 1}),
        ("LOCATE(10)", {"device_address": 1}),
        ("LOCATE(10)", {"change_partition": 1, "partition": 1}),
        ("LOCATE(16)", {"destination": 2}),
        ("LOCATE(16)", {"change_partition": 1, "partition": 1}),
        ("READ POSITION", {"service_action": 7}),
        ("LOAD UNLOAD", {"hold": 1}),
        ("READ BLOCK LIMITS", {"objects": 1}),
        ("LOG SENSE", {"page": 0x18, "allocation": 100}),
        ("LOG SENSE", {"page": 0x31, "parameter": 2, "allocation": 100}),
        ("REPORT DENSITY SUPPORT", {"medium_type": 1}),
    ],
)
def test_what_the_drive_cannot_do_is_refused(
    written: Initiator, name: str, values: dict[str, int]
) -> None:
    assert written.code(name, **values) == "5/24/00"
    assert written.at() == (0, 0)


def test_nothing_at_all_moves_nothing(written: Initiator) -> None:
    written.good("READ(6)", count=0)
    written.good("WRITE(6)", count=0)
    written.good("WRITE FILEMARKS(6)", count=0)
    written.good("SPACE(6)", code=0, count=0)
    assert written.at() == (0, 0)
    assert written.good("READ(6)", count=1000).data == b"A" * 1000


# Motion.


@pytest.mark.parametrize(
    ("start", "code", "count", "sense", "at"),
    [
        (0, 0, 2, None, 2),
        (0, 0, 5, Sense(0, 0, 1, filemark=True, information=3), 3),
        (3, 0, -2, Sense(0, 0, 1, filemark=True, information=2), 2),
        (2, 0, -3, Sense(0, 0, 4, end_of_medium=True, information=1), 0),
        (6, 0, 2, Sense(8, 0, 5, information=2), 6),
        (0, 1, 2, None, 5),
        (0, 1, 4, Sense(8, 0, 5, information=1), 6),
        (6, 1, -2, None, 4),
        (4, 1, -3, Sense(0, 0, 4, end_of_medium=True, information=2), 0),
        (1, 3, 0, None, 6),
    ],
)
@pytest.mark.parametrize("name", ["SPACE(6)", "SPACE(16)"])
def test_spacing_ends_where_ssc_says(
    written: Initiator, name: str, start: int, code: int, count: int, sense: Sense | None, at: int
) -> None:
    written.good("LOCATE(10)", object=start)
    reply = written.send(name, code=code, count=count)
    assert (decode_sense(reply.sense) if reply.sense else None) == sense
    assert written.at()[0] == at


def test_objects_and_files_are_located(written: Initiator) -> None:
    written.good("LOCATE(16)", object=4)
    assert written.at() == (4, 1)
    written.good("LOCATE(16)", destination=1, object=1)
    assert written.at() == (3, 1)
    written.good("LOCATE(16)", destination=3)
    assert written.at() == (6, 3)
    assert written.sense("LOCATE(16)", destination=1, object=4) == Sense(8, 0, 5)
    assert written.at() == (6, 3)
    assert written.sense("LOCATE(10)", object=7) == Sense(8, 0, 5)
    assert written.at() == (6, 3)


@pytest.mark.parametrize("form", [SHORT, LONG, EXTENDED])
def test_the_beginning_is_told(written: Initiator, form: int) -> None:
    reply = written.good("READ POSITION", service_action=form, extended_allocation=32)
    position = decode_position(reply.data, form)
    assert (position.object_id, position.is_beginning) == (0, True)
    written.good("READ(6)", count=1000)
    reply = written.good("READ POSITION", service_action=form, extended_allocation=32)
    position = decode_position(reply.data, form)
    assert (position.object_id, position.is_beginning) == (1, False)


def test_the_drive_of_the_contract_stands_where_the_door_went(written: Initiator) -> None:
    written.good("SPACE(6)", code=1, count=1)
    assert written.drive.status().position == (1, 0)
    assert written.drive.read_record(1000) == b"C" * 512
    assert written.at() == (4, 1)


def test_erasing_ends_the_data_here(written: Initiator) -> None:
    written.good("SPACE(6)", code=1, count=1)
    written.good("ERASE(6)", long=1)
    assert written.code("READ(6)", count=10) == "8/00/05"
    assert written.at() == (3, 1)


# The end of the medium.


def test_the_end_is_told_early_and_then_for_good(robot: Any) -> None:
    tape = Initiator(robot.fresh(capacity=1 << 20, early_warning=200_000))
    block = bytes(64 * 1024)
    seen = []
    while True:
        reply = tape.send("WRITE(6)", block, count=len(block))
        sense = decode_sense(reply.sense) if reply.sense else None
        seen.append((reply.written, sense))
        if sense and sense.key:
            break
    warned = Sense(0, 0, 2, end_of_medium=True, information=0)
    assert seen[:12] == [(len(block), None)] * 12
    assert seen[12:-1] == [(len(block), warned)] * 4
    assert seen[-1] == (0, Sense(0xD, 0, 2, end_of_medium=True, information=len(block)))
    assert tape.at() == (16, 0)
    reply = tape.good("READ POSITION")
    assert decode_position(reply.data, SHORT).is_beyond_warning
    assert tape.sense("WRITE FILEMARKS(6)", count=1).key == 0xD


def test_fixed_blocks_that_did_not_fit_are_counted(robot: Any) -> None:
    tape = Initiator(robot.fresh(capacity=1 << 20, early_warning=0))
    tape.fix_blocks(1 << 18)
    reply = tape.send("WRITE(6)", bytes(6 << 18), fixed=1, count=6)
    assert decode_sense(reply.sense) == Sense(0xD, 0, 2, end_of_medium=True, information=2)
    assert reply.written == 4 << 18
    assert tape.at() == (4, 0)


def test_a_protected_tape_is_only_read(robot: Any) -> None:
    tape = Initiator(robot.protected())
    assert tape.code("WRITE(6)", b"x", count=1) == "7/27/00"
    assert tape.code("WRITE FILEMARKS(6)", count=1) == "7/27/00"
    assert tape.code("ERASE(6)") == "7/27/00"
    assert tape.good("MODE SENSE(6)", allocation=255).data[2] & 0x80


# The cartridge.


def test_an_empty_drive_is_not_ready_and_answers(robot: Any) -> None:
    tape = Initiator(robot.without_tape())
    for name in ("TEST UNIT READY", "REWIND", "READ(6)", "WRITE(6)", "READ POSITION"):
        assert tape.code(name) == "2/3A/00"
    assert tape.code("REPORT DENSITY SUPPORT", loaded=1, allocation=100) == "2/3A/00"
    tape.good("INQUIRY", allocation=36)
    tape.good("MODE SENSE(6)", allocation=255)
    tape.good("READ BLOCK LIMITS")
    tape.good("LOG SENSE", page=0x2E, allocation=512)


def test_a_tape_that_the_robot_brings_is_seen_once(robot: Any) -> None:
    tape = Initiator(robot.without_tape())
    robot.library.create_cartridge("NEW")
    assert tape.code("TEST UNIT READY") == "2/3A/00"
    robot.library.load(0, "NEW")
    assert tape.code("TEST UNIT READY") == "6/28/00"
    tape.good("TEST UNIT READY")
    assert tape.drive.status().has_tape


def test_a_new_tape_has_blocks_of_any_length(robot: Any) -> None:
    tape = Initiator(robot.fresh())
    tape.fix_blocks(BLOCK)
    tape.good("LOAD UNLOAD")
    assert tape.code("TEST UNIT READY") == "2/3A/00"
    tape.good("LOAD UNLOAD", load=1)
    assert tape.code("TEST UNIT READY") == "6/28/00"
    assert tape.good("MODE SENSE(6)", allocation=12).data[9:12] == bytes(3)


def test_a_door_that_was_kept_does_not_get_at_the_tape(tape: Initiator) -> None:
    tape.write(b"A")
    tape.drive.close()
    assert tape.code("READ(6)", count=1) == "2/3A/00"


def test_removal_can_be_prevented(tape: Initiator) -> None:
    tape.good("PREVENT ALLOW MEDIUM REMOVAL", prevent=1)
    assert tape.code("LOAD UNLOAD") == "5/53/02"
    tape.good("TEST UNIT READY")
    tape.good("PREVENT ALLOW MEDIUM REMOVAL", prevent=0)
    tape.good("LOAD UNLOAD")


def test_a_reset_ends_what_was_set(tape: Initiator) -> None:
    tape.good("PREVENT ALLOW MEDIUM REMOVAL", prevent=1)
    tape.fix_blocks(BLOCK)
    assert tape.drive.door is not None
    tape.drive.door.reset()
    assert tape.code("TEST UNIT READY") == "6/29/03"
    assert tape.code("READ(6)", fixed=1, count=1) == "5/24/00"
    tape.good("LOAD UNLOAD")


def test_a_cartridge_in_use_elsewhere_makes_the_drive_wait(robot: Any) -> None:
    barcode = robot.insert_new()
    cartridge = robot.library.open_cartridge(barcode, shared=False)
    tape = Initiator(robot.open())
    assert tape.code("TEST UNIT READY") == "2/04/07"
    tape.good("INQUIRY", allocation=36)
    cartridge.close()
    tape.good("TEST UNIT READY")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.binary(min_size=6, max_size=16), st.binary(max_size=64)), max_size=8))
def test_any_command_gets_an_answer(robot: Any, commands: list[tuple[bytes, bytes]]) -> None:
    drive = robot.fresh()
    for block, data in commands:
        reply = drive.door.execute(block, data_out=data, data_in=4096)
        assert len(reply.data) <= 4096
        assert reply.written <= len(data)
        if reply.status == Status.CHECK_CONDITION:
            decode_sense(reply.sense)
    drive.close()


# The memory of the cartridge.


def test_a_cartridge_tells_its_barcode_and_capacity(tape: Initiator) -> None:
    found = decode_attributes(tape.good("READ ATTRIBUTE", allocation=4096).data)
    barcode = found[BARCODE].decode().strip()
    assert barcode.isalnum()
    assert found[MEDIUM_SERIAL].decode().strip() == barcode
    assert found[MEDIUM_TYPE] == b"\0"
    assert found[MAXIMUM_CAPACITY] >= found[REMAINING_CAPACITY]
    only = tape.good("READ ATTRIBUTE", first=BARCODE, allocation=4096).data
    assert decode_attributes(only) == {BARCODE: found[BARCODE]}
    names = tape.good("READ ATTRIBUTE", service_action=ATTRIBUTE_LIST, allocation=4096).data
    assert len(names) == 4 + 2 * len(found)
    assert tape.good("READ ATTRIBUTE", allocation=4).data == len(
        tape.good("READ ATTRIBUTE", allocation=4096).data[4:]
    ).to_bytes(4, "big")


def test_a_cartridge_remembers_what_is_written_wherever_the_head_is(tape: Initiator) -> None:
    def remaining() -> int:
        found = decode_attributes(tape.good("READ ATTRIBUTE", allocation=4096).data)
        return int.from_bytes(found[REMAINING_CAPACITY], "big")

    empty = remaining()
    tape.good("WRITE(6)", data=bytes(4 << 20), count=4 << 20)
    written = remaining()
    assert written <= empty - 4
    tape.good("REWIND")
    assert remaining() == written


def test_a_memory_that_is_not_there_is_refused(tape: Initiator) -> None:
    for values in ({"service_action": 2}, {"volume": 1}, {"partition": 1}):
        assert tape.code("READ ATTRIBUTE", allocation=4096, **values) == "5/24/00"
    tape.good("LOAD UNLOAD")
    assert tape.code("READ ATTRIBUTE", allocation=4096) == "2/3A/00"


def test_modes_are_told_with_a_tape_that_the_drive_does_not_read(
    tmp_path: Path, robot_in: Any
) -> None:
    robot = robot_in(tmp_path, model="lto8")
    robot.library.create_cartridge("T00001L5")
    robot.empty()
    robot.library.load(0, "T00001L5")
    tape = Initiator(robot.open())
    assert tape.code("READ POSITION", service_action=LONG) == "3/30/00"
    told = tape.good("MODE SENSE(6)", allocation=12).data
    assert told[2] & 0x80, "protected: it cannot be written here"
    assert told[4] == 0x58, "the density of its own generation"


def test_logs_are_told_with_a_tape_that_the_drive_does_not_read(
    tmp_path: Path, robot_in: Any
) -> None:
    robot = robot_in(tmp_path, model="lto8")
    robot.library.create_cartridge("T00001L5")
    robot.empty()
    robot.library.load(0, "T00001L5")
    tape = Initiator(robot.open())
    pages = tape.good("LOG SENSE", control=1, page=0, allocation=256).data[4:]
    for page in pages:
        answer = tape.good("LOG SENSE", control=1, page=page, allocation=512).data
        assert answer[0] & 0x3F == page
    sizes = tape.good("LOG SENSE", control=1, page=0x31, allocation=512).data
    assert not any(sizes[8:12]), "of a tape that it cannot read the drive knows no size"
