"""A drive is given as long as it has the same cartridge, and whatever tells so is heard."""

from __future__ import annotations

from typing import Any, final

import pytest

from tapekit.hookspecs.tape_driver import Condition, DriveStatus, TapeError, TapePosition
from tapekit.scsi.attributes import BARCODE, MEDIUM_SERIAL, encode_attributes, text
from tapekit.scsi.door import CdbReply, ScsiAddress, Status
from tapekit.scsi.sense import Sense, encode_sense
from tapekit_tape_devices.cartridge_guard import CartridgeGuard
from tapekit_tape_devices.drive_watch import DriveWatch, TracedDoor

CHANGED = Sense(6, 0x28, 0)
UNKNOWN = Sense(5, 0x20, 0)


@final
class Drive:
    """A drive whose door answers each command with what is next, or with its memory."""

    address = ScsiAddress(0, 1, 0)

    def __init__(self, memory: bytes | Sense) -> None:
        self.memory = memory
        self.next: list[Sense] = []
        self.watch = DriveWatch(lambda: 0.0)
        self.door: Any = TracedDoor(self, self.watch)
        self.is_open = False
        self.written: list[int] = []
        self.erased = False

    def opened(self) -> Any:
        """As drivers open one: they hear what the drive has to tell."""
        assert not self.is_open
        self.is_open = True
        self.door.execute(bytes(6), timeout_s=1)
        return self

    def status(self) -> Any:
        return DriveStatus(
            has_tape=True,
            write_protected=False,
            position=TapePosition(0, 0),
            block_size=0,
            soft_errors=0,
            total_bytes=None,
            remaining_bytes=None,
        )

    def write_records(self, pieces: Any, _record_size: int) -> int:
        self.written.append(len(pieces))
        return len(pieces)

    def write_filemarks(self, count: int) -> None:
        self.written.append(count)

    def rewind(self) -> None:
        self.door.execute(bytes((1, 0, 0, 0, 0, 0)), timeout_s=1)

    unload = load = rewind

    def close(self) -> None:
        self.is_open = False

    def execute(self, cdb: bytes, **_: Any) -> CdbReply:
        answer: bytes | Sense = b""
        self.erased = self.erased or cdb[0] == 0x19
        if cdb[0] == 0x8C:
            answer = self.memory
        elif self.next:
            answer = self.next.pop(0)
        if isinstance(answer, Sense):
            return CdbReply(Status.CHECK_CONDITION, sense=encode_sense(answer))
        return CdbReply(Status.GOOD, answer)

    def reset(self) -> None:
        """Nothing to forget."""


def memory(barcode: str, serial: str = "S1") -> bytes:
    return encode_attributes([text(BARCODE, barcode), text(MEDIUM_SERIAL, serial)])


def guarded(drive: Drive) -> CartridgeGuard:
    return CartridgeGuard(drive.opened, drive.watch, "nrst0a")


@pytest.mark.parametrize("first", [memory("A00001"), UNKNOWN, b"\0", encode_attributes([])])
def test_the_same_cartridge_is_given_again(first: bytes | Sense) -> None:
    drive = Drive(first)
    drive.next = [CHANGED]
    guard = guarded(drive)
    for work in (guard.opened, guard.opened, guard.reopened):
        work().close()


@pytest.mark.parametrize(
    ("then", "told"),
    [
        (memory("A00002"), "it is A00002 S1 and was A00001 S1"),
        (memory("A00001", "S2"), "it is A00001 S2 and was A00001 S1"),
        (UNKNOWN, "it is none that tells and was A00001 S1"),
    ],
)
def test_another_cartridge_is_told_and_the_drive_let_go(then: bytes | Sense, told: str) -> None:
    drive = Drive(memory("A00001"))
    guard = guarded(drive)
    guard.opened().close()
    drive.memory = then
    with pytest.raises(TapeError, match=told) as caught:
        guard.opened()
    assert caught.value.condition is Condition.NOT_PERMITTED
    assert not drive.is_open


@pytest.mark.parametrize("name", ["opened", "reopened"])
def test_what_a_drive_tells_of_its_cartridge_is_heard(name: str) -> None:
    drive = Drive(UNKNOWN)
    guard = guarded(drive)
    guard.opened().close()
    drive.next = [Sense(6, 0x29, 0)]
    getattr(guard, name)().close()
    drive.next = [CHANGED]
    with pytest.raises(TapeError, match="the drive has told so"):
        getattr(guard, name)()
    assert not drive.is_open


def test_a_drive_that_does_not_answer_is_let_go() -> None:
    drive = Drive(Sense(4, 0x44, 0))
    with pytest.raises(TapeError, match="READ ATTRIBUTE"):
        guarded(drive).opened()
    assert not drive.is_open


def test_sense_data_that_nobody_can_read_is_no_news() -> None:
    watch = DriveWatch(lambda: 0.0)
    watch.heard(CdbReply(Status.CHECK_CONDITION, sense=b"\x70"))
    watch.heard(CdbReply(Status.CHECK_CONDITION))
    assert watch.cartridge_changes == 0


CHANGES = {
    "write_records": lambda drive: drive.write_records([memoryview(b"x")], 1),
    "write_filemarks": lambda drive: drive.write_filemarks(1),
    "a command": lambda drive: drive.door.execute(bytes((0x19, 0, 0, 0, 0, 0)), timeout_s=1),
}


@pytest.mark.parametrize("work", sorted(CHANGES))
def test_a_cartridge_that_is_changed_while_the_drive_is_open_is_left_alone(work: str) -> None:
    drive = Drive(UNKNOWN)
    opened = guarded(drive).opened()
    drive.next = [CHANGED]
    opened.rewind()
    drive.erased = False
    with pytest.raises(TapeError, match="the drive has told so"):
        CHANGES[work](opened)
    assert (drive.written, drive.erased) == ([], False)


@pytest.mark.parametrize(
    ("then", "is_left_alone"), [(memory("A00001"), False), (memory("A00002"), True)]
)
def test_what_was_loaded_is_looked_at(then: bytes, is_left_alone: bool) -> None:
    drive = Drive(memory("A00001"))
    opened = guarded(drive).opened()
    opened.unload()
    drive.memory, drive.next = then, [CHANGED]
    if is_left_alone:
        with pytest.raises(TapeError, match="it is A00002 S1 and was A00001 S1"):
            opened.load()
        return
    opened.load()
    opened.write_filemarks(1)
    assert drive.written == [1]
