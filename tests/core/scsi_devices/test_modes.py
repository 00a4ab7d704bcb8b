"""Modes are set where they differ, and a drive that refuses is used as it is."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, DriveSetup, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.mode import (
    COMPRESSION_PAGE,
    CONFIGURATION_PAGE,
    BlockDescriptor,
    ModeData,
    ModePage,
    decode_mode,
    encode_mode,
)
from tapekit.scsi.position import Position
from tapekit.scsi.sense import Sense
from tapekit.scsi_devices.conversation import Conversation
from tapekit.scsi_devices.drive import CdbDrive
from tapekit.scsi_devices.modes import DriveModes

REFUSED = Sense(5, 0x26, 0)
OFF, ON = 0x40, 0xC0


def compression(flags: int, algorithm: int = 1) -> ModePage:
    body = bytes((flags, 0x80)) + algorithm.to_bytes(4, "big") * 2 + bytes(4)
    return ModePage(COMPRESSION_PAGE, body)


def has(density: int = 0x5A, *pages: ModePage, is_protected: bool = False) -> bytes:
    descriptor = BlockDescriptor(density, 0)
    made = ModeData(0x68, is_protected, 1, descriptor, pages)
    return encode_mode(made, is_long=False)


def sent(door: Any) -> list[ModeData]:
    return [
        decode_mode(data, is_long=False) for name, _, data in door.ran if name == "MODE SELECT(6)"
    ]


@pytest.fixture
def modes(door: Any) -> DriveModes:
    return DriveModes(Conversation(door, "v.0", TAPE_COMMANDS), "v.0")


@pytest.mark.requirement("R049")
def test_a_density_is_set_where_it_differs(door: Any, modes: DriveModes) -> None:
    door.usual["MODE SENSE(6)"] = has(0x5A)
    for density in (0, 0x5A):
        modes.write_density(density)
    assert sent(door) == []
    modes.write_density(0x58)
    assert sent(door) == [ModeData(buffered_mode=1, descriptor=BlockDescriptor(0x58, 0))]
    assert door.ran[-1][1] == {"save": 0, "page_format": 1, "list_length": 12}


def test_a_protected_tape_needs_no_density(door: Any, modes: DriveModes) -> None:
    door.usual["MODE SENSE(6)"] = has(0x5A, is_protected=True)
    modes.write_density(0x58)
    assert sent(door) == []


def test_a_density_that_a_tape_cannot_have_is_told(
    door: Any, modes: DriveModes, caplog: pytest.LogCaptureFixture
) -> None:
    door.usual["MODE SENSE(6)"] = has(0x46)
    door.usual["MODE SELECT(6)"] = REFUSED
    with caplog.at_level(logging.WARNING):
        modes.write_density(0x58)
    assert "v.0 writes with density 46h and not with 58h as its device name says" in caplog.text


@pytest.mark.requirement("R049")
@pytest.mark.parametrize(
    ("present", "algorithm", "wanted"),
    [
        (compression(ON), 0, compression(OFF)),
        (compression(OFF), 1, compression(ON)),
        (compression(OFF, 0x10), 1, compression(ON, 0x10)),
        (compression(ON), 1, None),
        (compression(OFF), 0, None),
    ],
)
def test_compression_is_set_where_it_differs(
    door: Any, modes: DriveModes, present: ModePage, algorithm: int, wanted: ModePage | None
) -> None:
    after = present if wanted is None else wanted
    door.next["MODE SENSE(6)"] = [has(0x5A, present)]
    door.usual["MODE SENSE(6)"] = has(0x5A, after)
    modes.compress(algorithm)
    pages = [one.pages for one in sent(door)]
    assert pages == ([] if wanted is None else [(wanted,)])


def test_another_algorithm_is_written_into_the_page(door: Any, modes: DriveModes) -> None:
    door.usual["MODE SENSE(6)"] = has(0x5A, compression(OFF))
    modes.compress(0x10)
    ((page,),) = [one.pages for one in sent(door)]
    assert page.body[:6] == bytes((ON, 0x80, 0, 0, 0, 0x10))


@pytest.mark.parametrize("is_refused", [True, False])
def test_a_drive_that_goes_on_as_before_is_told(
    door: Any, modes: DriveModes, caplog: pytest.LogCaptureFixture, is_refused: bool
) -> None:
    door.usual["MODE SENSE(6)"] = has(0x5A, compression(ON))
    if is_refused:
        door.usual["MODE SELECT(6)"] = REFUSED
    with caplog.at_level(logging.WARNING):
        modes.compress(0)
    assert "v.0 does not stop to compress as its device name says" in caplog.text
    assert ("ignored" in caplog.text) is not is_refused


@pytest.mark.parametrize("page", [Sense(5, 0x24, 0), has(0x5A), has(0x5A, compression(0))])
def test_a_drive_that_cannot_compress_is_left_alone(
    door: Any, modes: DriveModes, caplog: pytest.LogCaptureFixture, page: Any
) -> None:
    door.usual["MODE SENSE(6)"] = page
    with caplog.at_level(logging.INFO):
        modes.compress(0)
        assert caplog.text == ""
        modes.compress(1)
    assert "v.0 cannot compress" in caplog.text
    assert sent(door) == []


def configuration(selected: int) -> ModePage:
    return ModePage(
        CONFIGURATION_PAGE, bytes((0, 0, 0, 0, 0, 0, 0x40, 0, 0x10, 0, 0, 0, selected, 0))
    )


@pytest.mark.requirement("R049")
@pytest.mark.parametrize("has_page", [True, False], ids=["ignores its page", "has no page"])
def test_compression_is_set_where_the_configuration_chooses(
    door: Any, modes: DriveModes, caplog: pytest.LogCaptureFixture, has_page: bool
) -> None:
    before = has(0x5A, compression(OFF)) if has_page else Sense(5, 0x24, 0)
    after = has(0x5A, compression(ON)) if has_page else Sense(5, 0x24, 0)
    looks = [before, has(), before] if has_page else [before]
    chooses = [has(0x5A, configuration(0)), has(), has(0x5A, configuration(1)), after]
    door.next["MODE SENSE(6)"] = [*looks, *chooses]
    with caplog.at_level(logging.INFO):
        modes.compress(1)
    assert caplog.text == ""
    assert sent(door)[-1].pages == (configuration(1),)


def test_a_choice_that_changes_nothing_is_told(
    door: Any, modes: DriveModes, caplog: pytest.LogCaptureFixture
) -> None:
    off = has(0x5A, compression(OFF))
    door.next["MODE SENSE(6)"] = [off, has(), off, has(0x5A, configuration(1)), off]
    with caplog.at_level(logging.INFO):
        modes.compress(1)
    assert "compress by algorithm 01h as its device name says: it has ignored this" in caplog.text


def test_a_drive_that_fails_is_an_error(door: Any, modes: DriveModes) -> None:
    door.usual["MODE SENSE(6)"] = has(0x5A, compression(ON))
    door.usual["MODE SELECT(6)"] = Sense(4, 0x44, 0)
    for work in (lambda: modes.compress(0), lambda: modes.write_density(0x58)):
        with pytest.raises(TapeError) as caught:
            work()
        assert caught.value.condition is Condition.HARDWARE_ERROR


@pytest.mark.requirement("R049")
def test_a_drive_is_set_as_its_device_name_says(door: Any) -> None:
    door.usual["MODE SENSE(6)"] = has(0x5A, compression(ON))
    door.position = Position(0, 0, is_beginning=True)
    drive = CdbDrive(door, "v.0", lambda: None)
    drive.adjust(DriveSetup(compression="h", density=0x58, algorithm=0))
    assert [(one.descriptor, one.pages) for one in sent(door)] == [
        (None, (compression(OFF),)),
        (BlockDescriptor(0x58, 0), ()),
    ]


@pytest.mark.requirement("R049")
def test_a_density_waits_for_the_beginning_of_the_tape(door: Any) -> None:
    door.usual["MODE SENSE(6)"] = has(0x5A)
    door.position = Position(7, 1)
    drive = CdbDrive(door, "v.0", lambda: None)
    drive.adjust(DriveSetup(compression="h", density=0x58))
    assert sent(door) == []
    drive.rewind()
    assert [one.descriptor for one in sent(door)] == [BlockDescriptor(0x58, 0)]
