"""Drives and changers in memory whose doors answer as they are told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from tapekit.errors import Fault
from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest, NoSettings
from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import Condition, DriveDescription, TapeError
from tapekit.kernel import Available
from tapekit.scsi.door import CdbReply, ScsiAddress, Status
from tapekit.testing.memory_tape import MemoryTape, MemoryTapeDrive

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from tapekit.hookspecs.media_changer import Element

INQUIRY, TEST_UNIT_READY, WRITE_BUFFER = 0x12, 0x00, 0x3B
NOT_READY = bytes.fromhex("70 00 02 00000000 0a 00000000 3a 00 00 000000")
"""Sense data in the fixed format: not ready, medium not present (SPC)."""

NO_ANSWER = Fault(id="doors.no-answer", message="no answer", cause="told so", action="none")


def no_answer(condition: Condition) -> TapeError:
    return TapeError(NO_ANSWER, {"condition": condition})


class Asked(NamedTuple):
    """A command as it came through a door."""

    cdb: bytes
    data_out: bytes
    data_in: int
    timeout_s: float | None


class MemoryDoor:
    """Knows three commands; fails on cue, by operation code.

    ``fails`` says which commands get no answer; ``reset_fails`` is the
    condition of a device that cannot be reset.
    """

    address = ScsiAddress(1, 2, 3)

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.resets = 0
        self.fails: dict[int, Condition] = {}
        self.reset_fails: Condition | None = None
        self.holds: tuple[threading.Event, threading.Event] | None = None
        """Two events: a command has come, and it may end."""

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        self.asked.append(Asked(cdb, data_out, data_in, timeout_s))
        if self.holds is not None:
            self.holds[0].set()
            assert self.holds[1].wait(60), "nobody lets the command end"
        if cdb[0] in self.fails:
            raise no_answer(self.fails[cdb[0]])
        match cdb[0]:
            case 0x12:
                return CdbReply(Status.GOOD, (b"\x08" + b"TAPEKIT" * 10)[:data_in])
            case 0x3B:
                return CdbReply(Status.GOOD, written=len(data_out))
            case _:
                return CdbReply(Status.CHECK_CONDITION, sense=NOT_READY)

    def reset(self) -> None:
        if self.reset_fails is not None:
            raise no_answer(self.reset_fails)
        self.resets += 1


class DoorChanger:
    """A changer that is its door and nothing else."""

    def __init__(self, door: MemoryDoor | None) -> None:
        self.door = door
        self.is_open = False

    def elements(self) -> Sequence[Element]:
        return ()

    def initialize(self) -> None:
        """Nothing is there to look at."""

    def move(self, source: int, destination: int) -> None:
        raise no_answer(Condition.BAD_REQUEST)

    def exchange(self, source: int, destination: int, second: int) -> None:
        raise no_answer(Condition.BAD_REQUEST)

    def close(self) -> None:
        self.is_open = False


class DoorDriver:
    """The scheme ``doors``: changers and drives by their addresses."""

    scheme = "doors"

    def __init__(
        self, drives: Mapping[str, MemoryTapeDrive], changers: Mapping[str, DoorChanger]
    ) -> None:
        self.drives = drives
        self.changers = changers

    def discover(self) -> Sequence[DriveDescription]:
        return [
            DriveDescription(**_words(address), formats=dict.fromkeys("lmha", "records in memory"))
            for address in self.drives
        ]

    def open_drive(self, address: str) -> MemoryTapeDrive:
        return self.drives[address]

    def discover_changers(self) -> Sequence[ChangerDescription]:
        return [ChangerDescription(**_words(address)) for address in self.changers]

    def open_changer(self, address: str) -> DoorChanger:
        changer = self.changers[address]
        assert not changer.is_open, "the inventory lends a changer once at a time"
        changer.is_open = True
        return changer


def _words(address: str) -> dict[str, Any]:
    return {
        "address": address,
        "physical_path": f"d.{address}",
        "vendor": "EXAMPLE",
        "product": "DOORS",
        "revision": "1.0",
        "serial": f"SN-{address}",
    }


class MemoryDevices:
    """Two drives and two changers; the first of each has a door.

    ``nrst0a`` and ``mc0`` take commands, ``nrst1a`` and ``mc1`` do not.
    """

    def __init__(self) -> None:
        self.drive_door = MemoryDoor()
        self.changer_door = MemoryDoor()
        self.tape = MemoryTape()
        """The tape of the drive with the door."""
        drives = {
            "drive0": MemoryTapeDrive(self.tape),
            "drive1": MemoryTapeDrive(MemoryTape()),
        }
        drives["drive0"].door = self.drive_door
        self.driver = DoorDriver(
            drives,
            {"robot0": DoorChanger(self.changer_door), "robot1": DoorChanger(None)},
        )

    @property
    def changer(self) -> DoorChanger:
        """The changer with the door."""
        return self.driver.changers["robot0"]

    def available(self) -> Available:
        """A plugin ``doors`` that offers these devices."""
        driver = self.driver

        class DoorsPlugin:
            manifest: ClassVar[Manifest] = Manifest(name="doors", summary="Devices with doors")

            def __init__(self, settings: NoSettings) -> None:
                self.settings = settings

            @hookimpl
            def tapekit_register_tape_drivers(self) -> Sequence[DoorDriver]:
                return [driver]

            @hookimpl
            def tapekit_register_changer_drivers(self) -> Sequence[DoorDriver]:
                return [driver]

        return Available("doors", "tests 1.0", __name__, lambda: DoorsPlugin)
