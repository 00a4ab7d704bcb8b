"""Devices on two paths are one device each, opened over whichever path works."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError, TapePosition
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.sense import Sense, SenseKey, encode_sense
from tapekit_multipath.joiner import PathsOfDevices

WRITE, MARK = 0x0A, 0x10


@pytest.fixture
def paths() -> PathsOfDevices:
    return PathsOfDevices(is_balanced=False)


def record(number: int) -> bytes:
    return bytes((number,)) * 1024


def test_a_device_has_one_name_on_two_paths(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices
) -> None:
    inventory = inventory_over(paths, cable_of("0b"), cable_of("0d"))
    rows = inventory.drives()
    assert [(row.description.physical_path, row.scheme) for row in rows] == [
        ("0b.5L1", "0b"),
        ("0b.5L2", "0b"),
    ]
    assert [row.devices[1].name for row in rows] == ["nrst0l", "nrst1l"]
    assert [row.name for row in inventory.changers()] == ["mc0"]
    inventory.open_changer("mc0", "x").close()


@pytest.mark.requirement("R038")
def test_a_path_that_has_failed_is_left_for_the_other(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices
) -> None:
    first, second = cable_of("0b"), cable_of("0d")
    inventory = inventory_over(paths, first, second)
    inventory.open("nrst0a", OpenMode.READ_WRITE, "x").close()
    first.is_cut = True
    for _ in range(2):
        tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
        assert tape.drive.write_records([memoryview(record(1))], 1024) == 1
        tape.close()
    inventory.open_changer("mc0", "x").close()
    assert (first.opened, second.opened) == (["0"], ["0", "0", "changer"])
    assert [(path.errors, path.is_working) for path in paths.drives[0].paths] == [
        (1, False),
        (0, True),
    ]
    first.is_cut, second.is_cut = False, True
    inventory.open("nrst0a", OpenMode.READ_WRITE, "x").close()
    assert first.opened[-1] == "0"
    assert paths.drives[0].paths[0].is_working


@pytest.mark.requirement("R038")
@pytest.mark.parametrize("lost", ["cut_at", "cut_before"], ids=["the answer", "the command"])
def test_a_path_that_fails_in_a_job_loses_and_repeats_no_record(
    cable_of: Any,
    inventory_over: Any,
    paths: PathsOfDevices,
    lost: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = cable_of("0b"), cable_of("0d")
    inventory = inventory_over(paths, first, second)
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.rewind()
    assert tape.drive.write_records([memoryview(record(1))], 1024) == 1
    setattr(first, lost, WRITE)
    several = [memoryview(record(number)) for number in (2, 3, 4)]
    assert tape.drive.write_records(several, 1024) == 3
    assert "0b.5L1 is reached over 0d.5L1 now" in caplog.text
    assert "WRITE(6) goes on where it stood" in caplog.text
    tape.drive.write_filemarks(1)
    assert tape.drive.write_records([memoryview(record(5))], 1024) == 1
    tape.drive.rewind()
    assert [tape.drive.read_record(1024)[0] for _ in range(4)] == [1, 2, 3, 4]
    tape.drive.space_filemarks(1)
    assert tape.drive.read_record(1024)[0] == 5
    with pytest.raises(TapeError) as ended:
        tape.drive.read_record(1024)
    assert ended.value.condition is Condition.END_OF_DATA
    tape.close()
    assert (first.opened, second.opened) == (["0"], ["0"])


@pytest.mark.requirement("R038")
@pytest.mark.parametrize("lost", ["cut_at", "cut_before"], ids=["the answer", "the command"])
def test_filemarks_are_neither_lost_nor_repeated(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices, lost: str
) -> None:
    first, second = cable_of("0b"), cable_of("0d")
    tape = inventory_over(paths, first, second).open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.rewind()
    tape.drive.write_records([memoryview(record(1))], 1024)
    setattr(first, lost, MARK)
    tape.drive.write_filemarks(2)
    tape.drive.write_records([memoryview(record(2))], 1024)
    tape.drive.rewind()
    assert tape.drive.space_filemarks(9) == 2
    assert tape.drive.status().position.file == 2
    tape.drive.rewind()
    tape.drive.space_filemarks(2)
    assert tape.drive.read_record(1024)[0] == 2
    tape.close()


def moved(door: Any) -> None:
    """Somebody else has written a record."""
    assert door.execute(bytes((WRITE, 0, 0, 4, 0, 0)), data_out=record(9)).status == 0


@pytest.mark.requirement("R038")
@pytest.mark.parametrize("end", ["filemark", "rewind", "close"])
def test_a_command_that_comes_late_after_all_is_told(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices, doors: Any, end: str
) -> None:
    first, second = cable_of("0b"), cable_of("0d")
    tape = inventory_over(paths, first, second).open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.rewind()
    tape.drive.write_records([memoryview(record(1))], 1024)
    first.cut_before = WRITE
    tape.drive.write_records([memoryview(record(2))], 1024)
    moved(doors["0"])
    ends = {
        "filemark": lambda: tape.drive.write_filemarks(1),
        "rewind": tape.drive.rewind,
        "close": tape.close,
    }
    with pytest.raises(TapeError, match="before all that was written last is known"):
        ends[end]()
    if end != "close":
        tape.drive.rewind()
        tape.close()


@pytest.mark.requirement("R038")
def test_filemarks_that_count_are_waited_for(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices, doors: Any
) -> None:
    first, second = cable_of("0b"), cable_of("0d")
    sent: list[bytes] = []
    doors["0"] = _Heard(doors["0"], sent)
    tape = inventory_over(paths, first, second).open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.rewind()
    tape.drive.write_records([memoryview(record(1))], 1024)
    first.cut_at = MARK
    sent.clear()
    tape.drive.write_filemarks(1)
    assert [cdb[4] for cdb in sent if cdb[0] == MARK] == [1, 0]
    sent.clear()
    tape.drive.write_filemarks(1)
    tape.close()
    assert [cdb[4] for cdb in sent if cdb[0] == MARK] == [1]


@pytest.mark.requirement("R038")
def test_a_write_that_has_failed_leaves_no_count_that_proves_anything(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices, doors: Any
) -> None:
    first, second = cable_of("0b"), cable_of("0d")
    sent: list[bytes] = []
    doors["0"] = heard = _Heard(doors["0"], sent)
    tape = inventory_over(paths, first, second).open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.rewind()
    tape.drive.write_records([memoryview(record(1))], 1024)
    heard.fails = WRITE
    with pytest.raises(TapeError, match="3/0C/00"):
        tape.drive.write_records([memoryview(record(2))], 1024)
    first.cut_before = WRITE
    with pytest.raises(TapeError, match="6/29/07"):
        tape.drive.write_records([memoryview(record(3))], 1024)
    tape.drive.rewind()
    tape.close()


class _Heard:
    """A door, and what was sent through it."""

    def __init__(self, door: Any, sent: list[bytes]) -> None:
        self._door = door
        self._sent = sent
        self.address = door.address
        self.fails: int | None = None
        """The operation code that is carried out next, and told to have failed."""

    def execute(self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0) -> Any:
        self._sent.append(cdb)
        reply = self._door.execute(cdb, data_out=data_out, data_in=data_in)
        if cdb[0] != self.fails:
            return reply
        self.fails = None
        sense = encode_sense(Sense(SenseKey.MEDIUM_ERROR, 0x0C, 0x00))
        return CdbReply(Status.CHECK_CONDITION, sense=sense)


@pytest.mark.requirement("R038")
@pytest.mark.parametrize("why", ["at the beginning", "moved", "overdue"])
def test_nothing_is_written_where_no_position_proves_what_happened(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices, doors: Any, why: str
) -> None:
    first, second = cable_of("0b"), cable_of("0d")
    tape = inventory_over(paths, first, second).open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.rewind()
    written = 0 if why == "at the beginning" else 1
    if written:
        tape.drive.write_records([memoryview(record(1))], 1024)
    if why == "moved":
        moved(doors["0"])
        moved(doors["0"])
    first.is_slow = why == "overdue"
    first.cut_before = WRITE
    with pytest.raises(TapeError, match="6/29/0"):
        tape.drive.write_records([memoryview(record(2))], 1024)
    with pytest.raises(TapeError, match="may not stand where it did") as refused:
        tape.drive.write_records([memoryview(record(3))], 1024)
    assert refused.value.condition is Condition.HARDWARE_ERROR
    tape.drive.rewind()
    assert tape.drive.status().position == TapePosition(0, 0)
    tape.close()


@pytest.mark.requirement("R038")
def test_what_depends_on_no_position_goes_on_over_the_other_path(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices
) -> None:
    first, second = cable_of("0b"), cable_of("0d")
    inventory = inventory_over(paths, first, second)
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
    first.is_cut = True
    assert tape.drive.status().has_tape
    tape.drive.rewind()
    tape.close()
    assert second.opened == ["0"]


def test_without_a_path_the_device_is_gone(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices
) -> None:
    cables = cable_of("0b"), cable_of("0d")
    inventory = inventory_over(paths, *cables)
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
    for cable in cables:
        cable.is_cut = True
    with pytest.raises(TapeError, match=r"no path to 0b\.5L1 works: .*0b.*0d"):
        tape.drive.rewind()
    tape.close()
    with pytest.raises(TapeError, match="no path to") as caught:
        inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
    assert caught.value.condition is Condition.NO_DEVICE
    assert [path.is_working for path in paths.drives[0].paths] == [False, False]


@pytest.mark.requirement("R037")
def test_a_third_path_is_not_used(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices, caplog: pytest.LogCaptureFixture
) -> None:
    cables = [cable_of(name) for name in ("0b", "0d", "3d")]
    inventory = inventory_over(paths, *cables)
    assert len(inventory.drives()) == 2
    assert "the path 3d.5L1 to 0b.5L1 is not used: a device has at most 2 paths" in caplog.text
    for cable in cables[:2]:
        cable.is_cut = True
    with pytest.raises(TapeError, match="no path"):
        inventory.open("nrst0a", OpenMode.READ, "x")
    assert cables[2].opened == []


@pytest.mark.requirement("R039")
def test_a_path_with_another_lun_mapping_is_not_used(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = cable_of("0b"), cable_of("0d", lun_shift=3)
    inventory = inventory_over(paths, first, second)
    assert len(inventory.drives()) == 2
    assert "it has LUN 4, and LUN 1 on its first path" in caplog.text
    first.is_cut = True
    with pytest.raises(TapeError):
        inventory.open("nrst0a", OpenMode.READ, "x")
    assert second.opened == []


@pytest.mark.requirement("R041")
@pytest.mark.parametrize(
    ("is_balanced", "opened"), [(False, (["0", "1"], [])), (True, (["0"], ["1"]))]
)
def test_devices_are_spread_over_their_paths_if_asked(
    cable_of: Any, inventory_over: Any, is_balanced: bool, opened: object
) -> None:
    cables = cable_of("0b"), cable_of("0d")
    inventory = inventory_over(PathsOfDevices(is_balanced=is_balanced), *cables)
    for device in ("nrst0a", "nrst1a"):
        inventory.open(device, OpenMode.RAW, "x").close()
    assert tuple(cable.opened for cable in cables) == opened


def test_devices_without_a_serial_number_are_not_joined(
    cable_of: Any, inventory_over: Any, paths: PathsOfDevices
) -> None:
    cables = cable_of("0b"), cable_of("0d")
    for cable in cables:
        cable.serials = {"0": ""}
    rows = inventory_over(paths, *cables).drives()
    assert [row.description.physical_path for row in rows] == ["0b.5L1", "0b.5L2", "0d.5L1"]


def test_a_device_without_a_door_is_opened_as_before(inventory_over: Any) -> None:
    class MemoryDriver:
        scheme = "m"

        def discover(self) -> Any:
            return []

        def discover_changers(self) -> Any:
            return []

        def open_drive(self, address: str) -> Any:
            raise AssertionError(address)

    paths = PathsOfDevices(is_balanced=False)
    assert inventory_over(paths, MemoryDriver()).drives() == []
    assert paths.drives == []
