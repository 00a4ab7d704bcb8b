"""Reservations as a target grants them that nobody here wrote: tgt, with two initiators.

tgt's tapes and changers know no reservations at all, its disks know both
kinds; the commands are the same for all devices (SPC).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.door import ScsiAddress, Status
from tapekit_reservations.reserved_door import DeviceReservation
from tapekit_reservations.ways import PersistentWay, ScsiWay
from tapekit_scsi_iscsi.door import IscsiDoor
from tapekit_scsi_iscsi.library import Context, Login, load_library
from tapekit_scsi_iscsi.settings import parse_target
from tgt_library import DRIVE_LUNS, INITIATOR, tgt_library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tapekit_reservations.ways import Way
    from tgt_library import TgtLibrary

DISK = 5
READ = bytes((0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0))
KEYS = {"a": 0xA1A1, "b": 0xB2B2}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TgtLibrary]:
    with tgt_library(tmp_path_factory.mktemp("tgt") / "library") as serving:
        image: Path = serving.directory / "disk"
        image.write_bytes(bytes(1 << 20))
        unit = ("--mode", "logicalunit", "--op", "new", "--tid", "1", "--lun", str(DISK))
        serving.admin(*unit, "--backing-store", str(image))
        yield serving


def door(library: TgtLibrary, system: str, lun: int = DISK) -> IscsiDoor:
    """A system's way to a logical unit, past the news of its first login."""
    login = Login(f"{INITIATOR}-{system}", parse_target(library.url), None, 10)
    opened = IscsiDoor(Context(load_library(), login), f"lun {lun}", ScsiAddress(), lun)
    while opened.execute(bytes(6)).status == Status.CHECK_CONDITION and lun == DISK:
        pass
    return opened


def way(door: IscsiDoor, system: str, method: str) -> Way:
    if method == "scsi":
        return ScsiWay(door, "the disk")
    return PersistentWay(door, "the disk", KEYS[system])


def read(reservation: DeviceReservation) -> int:
    return reservation.door.execute(READ, data_in=512).status


@pytest.mark.requirement("R029")
@pytest.mark.requirement("R032")
@pytest.mark.parametrize("method", ["scsi", "persistent"])
def test_one_system_at_a_time(library: TgtLibrary, method: str) -> None:
    first, second = door(library, "a"), door(library, "b")
    try:
        mine, theirs = way(first, "a", method), way(second, "b", method)
        mine.take()
        held = DeviceReservation(first, "the disk", mine)
        assert read(held) == Status.GOOD
        with pytest.raises(TapeError, match="Tape reservation preempted: the disk is reserved"):
            theirs.take()
        assert second.execute(READ, data_in=512).status == Status.RESERVATION_CONFLICT
        held.release()
        theirs.take()
        theirs.give_back()
    finally:
        first.close()
        second.close()


@pytest.mark.requirement("R312")
def test_a_preemption_is_heard_at_the_next_command(library: TgtLibrary) -> None:
    first, second = door(library, "a"), door(library, "b")
    try:
        mine = PersistentWay(first, "the disk", KEYS["a"])
        mine.take()
        held = DeviceReservation(first, "the disk", mine)
        PersistentWay(second, "the disk", KEYS["b"]).break_off(KEYS["a"])
        for _ in range(2):
            with pytest.raises(TapeError, match="the disk was taken away by another system"):
                read(held)
        mine.take()
        mine.give_back()
    finally:
        first.close()
        second.close()


@pytest.mark.requirement("R031")
@pytest.mark.requirement("R032")
@pytest.mark.parametrize("method", ["scsi", "persistent"])
def test_what_a_reset_by_another_system_leaves(library: TgtLibrary, method: str) -> None:
    first, second = door(library, "a"), door(library, "b")
    try:
        mine = way(first, "a", method)
        mine.take()
        held = DeviceReservation(first, "the disk", mine)
        second.reset()
        if method == "scsi":
            with pytest.raises(TapeError, match="was reset, which has ended its reservation"):
                read(held)
        else:
            assert read(held) == Status.CHECK_CONDITION
            assert read(held) == Status.GOOD
        held.release()
    finally:
        first.close()
        second.close()


@pytest.mark.requirement("R032")
@pytest.mark.parametrize("method", ["scsi", "persistent"])
def test_a_drive_without_the_commands_says_so(library: TgtLibrary, method: str) -> None:
    drive = door(library, "a", DRIVE_LUNS[0])
    try:
        with pytest.raises(TapeError, match=f"cannot be reserved by the method {method}") as no:
            way(drive, "a", method).take()
        assert no.value.condition is Condition.BAD_REQUEST
    finally:
        drive.close()
