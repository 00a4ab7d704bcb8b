"""Drives take the cartridges that drives of their generation take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import tape_command
from tapekit.scsi.inquiry import decode_inquiry
from tapekit.scsi.log import decode_alerts
from tapekit.scsi.sense import decode_sense
from tapekit_vtape.commands import barcodes, command_app
from tapekit_vtape.models import GENERATIONS, MODELS, VIRTUAL, generation_of, read_label

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.scsi.door import CdbReply

SIZE = 512


@pytest.mark.parametrize(
    ("name", "reads", "writes"),
    [
        ("lto5", "5", "5"),
        ("lto6", "56", "56"),
        ("lto7", "567", "67"),
        ("lto8", "78", "78"),
        ("lto9", "89", "89"),
        ("virtual", "56789", "56789"),
    ],
)
def test_generations_that_drives_read_and_write(name: str, reads: str, writes: str) -> None:
    model = MODELS[name]
    assert "".join(str(g.number) for g in GENERATIONS if model.can_read(g.density)) == reads
    assert "".join(str(g.number) for g in GENERATIONS if model.can_write(g.density)) == writes
    assert model.can_write(0)


@pytest.mark.parametrize(
    ("barcode", "number", "is_worm"),
    [
        ("ABC123L5", 5, False),
        ("VT0001L9", 9, False),
        ("000000LV", 5, True),
        ("VT0001LZ", 9, True),
        ("VT0001L4", None, False),
        ("VT0001", None, False),
        ("VT001L6", None, False),
        ("VT00001L6", None, False),
        ("VT-001L6", None, False),
    ],
)
def test_labels(barcode: str, number: int | None, is_worm: bool) -> None:
    generation, found = read_label(barcode)
    assert (generation.number if generation else None, found) == (number, is_worm)


def test_density_codes_lead_to_generations() -> None:
    assert [generation_of(one.density) for one in GENERATIONS] == list(GENERATIONS)
    assert generation_of(0) is None
    assert VIRTUAL.generation.number == 6


def send(drive: Any, name: str, data: bytes = b"", **values: int) -> CdbReply:
    reply: CdbReply = drive.door.execute(
        tape_command(name).build(**values), data_out=data, data_in=512
    )
    return reply


def said(reply: CdbReply) -> str:
    return str(decode_sense(reply.sense)).partition(",")[0] if reply.sense else "GOOD"


def with_tape(robot: Any, barcode: str) -> Any:
    robot.library.create_cartridge(barcode)
    robot.empty()
    robot.library.load(0, barcode)
    return robot.open()


@pytest.fixture
def lto8(robot_in: Any, tmp_path: Path) -> Any:
    return robot_in(tmp_path, model="lto8", drive_models=("lto8", "lto6"))


def write(drive: Any, data: bytes = b"x" * SIZE) -> int:
    count: int = drive.write_records([memoryview(data)], SIZE)
    return count


def test_a_drive_looks_like_its_model(lto8: Any) -> None:
    first, second = lto8.driver.discover()
    assert (first.vendor, first.product) == ("HPE", "Ultrium 8-SCSI")
    assert (second.vendor, second.product) == ("HP", "Ultrium 6-SCSI")
    assert first.formats["a"] == "LTO-8 12000GB"
    drive = with_tape(lto8, "AAAAAAL8")
    told = decode_inquiry(send(drive, "INQUIRY", allocation=96).data)
    assert (told.vendor, told.product) == ("HPE", "Ultrium 8-SCSI")
    assert send(drive, "MODE SENSE(6)", allocation=12).data[4] == 0x5E
    assert send(drive, "MODE SENSE(6)", allocation=12).data[1] == 0x88
    assert write(drive) == 1


def test_a_tape_of_another_generation_is_not_read(
    lto8: Any, condition_of: Callable[..., Condition]
) -> None:
    drive = with_tape(lto8, "AAAAAAL6")
    for work in (drive.status, drive.rewind, lambda: write(drive), lambda: drive.read_record(1)):
        assert condition_of(work) is Condition.MEDIUM_ERROR
    assert said(send(drive, "TEST UNIT READY")) == "3/30/00"
    assert said(send(drive, "READ(6)", count=SIZE)) == "3/30/00"
    alerts = send(drive, "LOG SENSE", control=1, page=0x2E, allocation=512).data
    assert decode_alerts(alerts) == {12}
    drive.unload()
    assert not drive.status().has_tape


def test_an_older_tape_is_only_read(
    robot_in: Any, tmp_path: Path, condition_of: Callable[..., Condition]
) -> None:
    robot = robot_in(tmp_path, model="lto7", drives=1)
    drive = with_tape(robot, "AAAAAAL5")
    assert drive.status().write_protected
    assert send(drive, "MODE SENSE(6)", allocation=4).data[2] & 0x80
    assert condition_of(lambda: write(drive)) is Condition.WRITE_PROTECTED
    with pytest.raises(TapeError, match=r"\(Ultrium 7-SCSI\) only reads the tape AAAAAAL5"):
        drive.write_filemarks(1)
    for name in ("WRITE FILEMARKS(6)", "ERASE(6)"):
        values = {"count": 1} if name != "ERASE(6)" else {}
        assert said(send(drive, name, **values)) == "7/30/05"
    assert said(send(drive, "WRITE(6)", b"x" * SIZE, count=SIZE)) == "7/30/05"
    assert decode_alerts(send(drive, "LOG SENSE", control=1, page=0x2E, allocation=512).data) == {
        17
    }
    drive.rewind()
    assert said(send(drive, "TEST UNIT READY")) == "GOOD"


def test_a_cartridge_without_a_generation_is_for_all(lto8: Any) -> None:
    drive = with_tape(lto8, "ANY")
    assert write(drive) == 1
    assert send(drive, "MODE SENSE(6)", allocation=12).data[4] == 0x5E


def test_what_was_written_once_stays(lto8: Any, condition_of: Callable[..., Condition]) -> None:
    drive = with_tape(lto8, "AAAAAALY")
    assert send(drive, "MODE SENSE(6)", allocation=12).data[1] == 0x8C
    write(drive, b"first" + bytes(SIZE - 5))
    drive.write_filemarks(2)
    drive.rewind()
    assert condition_of(lambda: write(drive)) is Condition.WRITE_PROTECTED
    assert said(send(drive, "WRITE(6)", b"x" * SIZE, count=SIZE)) == "7/30/0C"
    assert said(send(drive, "ERASE(6)")) == "7/30/0C"
    assert said(send(drive, "WRITE FILEMARKS(6)", count=1)) == "7/30/0C"
    # The last filemarks may give way to more data, as applications need it.
    drive.space_filemarks(1)
    assert write(drive, b"second" + bytes(SIZE - 6)) == 1
    drive.close()
    drive = lto8.open()
    drive.rewind()
    assert drive.read_record(5) == b"first"
    drive.space_filemarks(1)
    assert drive.read_record(6) == b"second"
    assert write(drive) == 1


def test_marks_at_the_beginning_of_a_worm_tape_stay(lto8: Any) -> None:
    drive = with_tape(lto8, "AAAAAALY")
    drive.write_filemarks(1)
    drive.rewind()
    with pytest.raises(TapeError, match="which is written once"):
        write(drive)


def test_the_commands_know_generations(robot_in: Any, tmp_path: Path) -> None:
    driver = robot_in(tmp_path / "one").driver
    app = command_app(driver.of, lambda: pytest.fail("asked"))

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, list(words))
        if done.exception is not None:
            raise done.exception
        return done.output

    run("create", "VT0042L8", "--native-capacity")
    run("create", "VT0042LZ", "--capacity-bytes", "2000000")
    listed = run("list")
    assert "VT0042L8   slot 0     0  12000000000000  writable" in listed
    assert "VT0042LZ   slot 1     0         2000000  written once" in listed
    for words in (["VT0043"], ["VT0043L8", "--capacity-bytes", "5000000"]):
        with pytest.raises(TapekitError, match="has no capacity of a generation"):
            run("create", *words, "--native-capacity")
    assert barcodes(2, "L7") == ["VT0001L7", "VT0002L7"]


@pytest.mark.parametrize("capacity", [1 << 20, 18 * 10**12])
def test_cartridges_are_of_any_size(lto8: Any, capacity: int) -> None:
    lto8.library.create_cartridge("AAAAAAL8", capacity=capacity, early_warning=0)
    lto8.library.load(0, "AAAAAAL8")
    drive = lto8.open()
    assert drive.status().remaining_bytes == capacity
    assert send(drive, "REPORT DENSITY SUPPORT", loaded=1, allocation=56).data[4] == 0x5E
    assert len(send(drive, "REPORT DENSITY SUPPORT", allocation=512).data) == 4 + 2 * 52
