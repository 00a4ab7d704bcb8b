"""An administrator takes drives offline, moves tapes, traces, resets and counts,
on a stack that runs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError, TapePosition
from tapekit.scsi.cdb import tape_command
from tapekit.testing import MemoryTape
from tapekit_tape_devices.drive_operations import (
    COUNTERS,
    ERASE,
    POSITION,
    RESET,
    CountersRequest,
    DriveRequest,
    Movement,
    PositionRequest,
)
from tapekit_tape_devices.drive_watch import WatchedDrive
from tapekit_tape_devices.plugin import TapeDevicesPlugin

if TYPE_CHECKING:
    from tapekit.hookspecs.tape_driver import OpenTape
    from tapekit.kernel import StackKernel


def opened(kernel: StackKernel, device: str = "nrst0a") -> OpenTape:
    assert kernel.tape_inventory is not None
    return kernel.tape_inventory.open(device, OpenMode.READ_WRITE, "session 1")


def write(kernel: StackKernel, *records: int) -> None:
    """Tape files of so many records of 1 KiB, from the beginning."""
    tape = opened(kernel)
    tape.drive.rewind()
    for count in records:
        tape.drive.write_records([memoryview(bytes(count * 1024))], 1024)
        tape.drive.write_filemarks(1)
    tape.drive.rewind()
    tape.close()


def text_of(file: str) -> str:
    return Path(file).read_text()


@pytest.mark.requirement("R013")
async def test_a_drive_that_is_offline_is_not_opened_also_after_a_restart(
    tape_stack: Any, typed: Any
) -> None:
    async with tape_stack() as kernel:
        line = "storage tape offline -node Node1 -name st0"
        assert await typed(kernel, line) == "Tape drive v.0 is offline.\n"
        with pytest.raises(TapeError, match=r"^tape drive v\.0 is offline$") as caught:
            opened(kernel)
        assert caught.value.condition is Condition.NO_DEVICE
        assert re.search(r"v\.0 .* offline\n", await typed(kernel, "storage tape show"))
        with pytest.raises(TapeError, match="is offline"):
            await typed(kernel, "storage tape position -name st0 -operation rewind")
        opened(kernel, "nrst1a").close()
    async with tape_stack() as kernel:
        with pytest.raises(TapeError, match="is offline"):
            opened(kernel)
        answer = json.loads(await typed(kernel, "storage tape online -name v.0 --json"))
        assert answer == {"physical_path": "v.0", "is_online": True}
        opened(kernel).close()


@pytest.mark.requirement("R013")
async def test_a_drive_in_use_is_not_taken_away(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        tape = opened(kernel)
        for line in (
            "storage tape offline -name st0",
            "storage tape position -name nrst0a -operation rewind",
            "storage tape reset -name st0 --advanced",
        ):
            with pytest.raises(TapeError, match=r"v\.0 is in use by session 1") as caught:
                await typed(kernel, line)
            assert caught.value.condition is Condition.BUSY
        tape.close()
        await typed(kernel, "storage tape reset -name st0 --advanced")


@pytest.mark.requirement("R016")
@pytest.mark.parametrize(
    ("moves", "done", "place"),
    [
        (["fsf"], 1, TapePosition(1, 0)),
        (["fsf -count 2", "bsf"], 1, TapePosition(1, 3)),
        (["fsr -count 2"], 2, TapePosition(0, 2)),
        (["fsr -count 9"], 4, TapePosition(0, 4)),
        (["fsr -count 3", "bsr -count 2"], 2, TapePosition(0, 1)),
        (["fsf", "rewind"], 0, TapePosition(0, 0)),
        (["eom"], 2, TapePosition(2, 0)),
        (["append"], 2, TapePosition(2, 0)),
        (["eom", "weof -count 3"], 3, TapePosition(5, 0)),
        (["fsf", "erase --advanced"], 0, TapePosition(0, 0)),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
async def test_the_tape_is_moved(
    tape_stack: Any, typed: Any, moves: list[str], done: int, place: TapePosition
) -> None:
    async with tape_stack() as kernel:
        write(kernel, 4, 3)
        for move in moves:
            line = f"storage tape position -node Node1 -name nrst0a -operation {move} --json"
            answer = json.loads(await typed(kernel, line))
        assert (answer["done"], answer["file"], answer["record"]) == (done, *place)
        tape = opened(kernel)
        assert tape.drive.status().position == place
        if "erase" in moves:
            with pytest.raises(TapeError) as caught:
                tape.drive.read_record(1024)
            assert caught.value.condition is Condition.END_OF_DATA
        tape.close()


@pytest.mark.requirement("R016")
async def test_a_movement_is_told_in_words(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        write(kernel, 4)
        answer = await typed(kernel, "storage tape position -name st0 -operation fsr -count 9")
        assert answer == "4 records were passed.\nTape drive v.0: file 0, record 4.\n"
        answer = await typed(kernel, "storage tape position -name st0 -operation rewind")
        assert answer == "Tape drive v.0: file 0, record 0.\n"


@pytest.mark.requirement("R017")
async def test_a_reset_needs_the_advanced_privilege(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        with pytest.raises(AssertionError, match="advanced"):
            await typed(kernel, "storage tape reset -name st0")
        answer = await typed(kernel, "storage tape reset -name st0 --advanced")
        assert answer == "Tape drive v.0 has been reset.\n"


@pytest.mark.requirement("R015")
async def test_a_trace_has_operations_and_commands(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        line = "storage tape trace -node Node1 -name st0 -is-trace-enabled"
        file = (await typed(kernel, f"{line} true")).split()[-1]
        again = json.loads(await typed(kernel, f"{line} true --json"))
        assert again == {"is_on": True, "files": {"v.0": file}}
        write(kernel, 4)
        tape = opened(kernel)
        assert tape.drive.door is not None
        tape.drive.door.execute(tape_command("SPACE(6)").build(code=0, count=9))
        tape.close()
        assert (await typed(kernel, f"{line} false")).split()[-1] == file
        opened(kernel).close()
        text = text_of(file)
        assert re.search(
            r"(?m)^2023-11-14T22:13:20\.000000Z  write: 4 records of 1024 bytes$", text
        )
        assert "SPACE(6) count=9: CHECK CONDITION" in text
        assert text.count("  open\n") == text.count("  close\n") == 2
        assert await typed(kernel, f"{line} false") == "No tape drive was traced.\n"


async def test_all_drives_are_traced_at_once(tape_stack: Any, typed: Any) -> None:
    async with tape_stack(tables='[tape_devices]\ntrace_directory = "traces"') as kernel:
        answer = await typed(kernel, "storage tape trace -is-trace-enabled true --json")
        files = json.loads(answer)["files"]
        assert list(files) == ["v.0", "v.1"]
        assert {str(kernel.base_directory / "traces")} == {
            file.rpartition("/")[0] for file in files.values()
        }


async def test_a_trace_that_cannot_be_made_says_so(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        (kernel.base_directory / "logs").write_text("no folder")
        with pytest.raises(TapekitError, match="cannot be made: File exists"):
            await typed(kernel, "storage tape trace -is-trace-enabled true")
        write(kernel, 1)


@pytest.mark.requirement("R019")
async def test_errors_are_listed(tape_stack: Any, typed: Any) -> None:
    fault = '[[vtape.faults]]\nkind = "write-error"\ndrive = 0\ntimes = 2\n'
    async with tape_stack(tables=fault) as kernel:
        tape = opened(kernel)
        for _ in range(2):
            with pytest.raises(TapeError):
                tape.drive.write_records([memoryview(bytes(1024))], 1024)
        tape.drive.rewind()
        with pytest.raises(TapeError):
            tape.drive.read_record(1024)
        tape.close()
        lines = (await typed(kernel, "storage tape show-errors -node Node1")).splitlines()
        assert lines[0] == "Node: Node1"
        assert lines[1].split("  ")[0] == "Device ID"
        assert lines[3].split()[:3] == ["v.0", "tape", "drive"]
        assert lines[3].endswith("2 medium error")
        assert lines[4].endswith("-")
        assert [line.split()[:3] for line in lines[-2:]] == [
            ["2023-11-14T22:13:20Z", "v.0", "write"]
        ] * 2
        only = json.loads(await typed(kernel, "storage tape show-errors -name v.1 --json"))
        assert [(one["physical_path"], one["counts"]) for one in only] == [("v.1", {})]


class WornDrive:
    """A drive that tells how it fares."""

    door = None
    alerts = MappingProxyType({20: "clean now"})

    def __init__(self, drive: Any) -> None:
        self._drive = drive

    def status(self) -> Any:
        return msgspec.structs.replace(self._drive.status(), soft_errors=7)

    def close(self) -> None:
        self._drive.close()


@pytest.mark.requirement("R019")
async def test_what_drives_tell_of_themselves_is_listed(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        (number0, *_) = kernel.tape_inventory.numbered()
        watch = kernel.tape_inventory.watch(number0)
        drive = number0.driver.open_drive(number0.description.address)
        watched: Any = WatchedDrive(cast("Any", WornDrive(drive)), watch, None)
        watched.status()
        watched.close()
        lines = (await typed(kernel, "storage tape show-errors")).splitlines()
        assert lines[-1].split("  ")[0] == "v.0"
        assert lines[-1].split()[1:] == ["7", "20", "clean", "now"]
        (first, second) = json.loads(await typed(kernel, "storage tape show-errors --json"))
        assert (first["soft_errors"], first["alerts"]) == (7, {"20": "clean now"})
        assert (second["soft_errors"], second["alerts"]) == (0, {})


@pytest.mark.requirement("R021")
async def test_statistics_are_shown_and_set_to_zero(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        write(kernel, 4, 3)
        tape = opened(kernel)
        tape.drive.read_records(memoryview(bytearray(8192)), 8192, 1024)
        tape.close()
        (drive,) = json.loads(await typed(kernel, "storage stats tape nrst0a --json"))
        counts = drive["counts"]
        assert (counts["opened"], counts["writes"], counts["reads"]) == (2, 2, 1)
        assert (counts["written_records"], counts["written_bytes"]) == (7, 7168)
        assert (counts["read_records"], counts["read_bytes"]) == (4, 4096)
        assert counts["filemarks"] == 2
        shown = await typed(kernel, "storage stats tape show")
        assert "Tape drive (v.0)  st0, since 2023-11-14T22:13:20Z" in shown
        assert "    written: 7168 bytes, 7 records, -" in shown
        assert shown.count("Tape drive (") == 2
        assert await typed(kernel, "storage stats tape zero st0") == ""
        shown = await typed(kernel, "storage stats tape st0")
        assert "    written: 0 bytes, 0 records, -" in shown
        with pytest.raises(TapekitError, match="no tape drive st9; the drives are st0, st1"):
            await typed(kernel, "storage stats tape st9")


@pytest.mark.parametrize(
    "line",
    [
        "storage tape online -name st0",
        "storage tape position -name st0 -operation rewind",
        "storage tape trace -is-trace-enabled true",
        "storage tape reset -name st0 --advanced",
        "storage tape show-errors",
    ],
)
async def test_another_node_is_refused(tape_stack: Any, typed: Any, line: str) -> None:
    async with tape_stack() as kernel:
        await typed(kernel, f"{line} -node local")
        with pytest.raises(TapekitError, match="Node2 is not the name of this node"):
            await typed(kernel, f"{line} -node Node2")


async def test_a_drive_is_called_by_any_of_its_names(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        assert kernel.tape_inventory is not None
        serial = kernel.tape_inventory.drives()[1].description.serial
        for name in ("st1", "rst1h", "v.1", serial, serial.lower()):
            answer = json.loads(await typed(kernel, f"storage tape online -name {name} --json"))
            assert answer["physical_path"] == "v.1"
        with pytest.raises(TapeError, match="no tape drive st01; the drives are st0 to st1"):
            await typed(kernel, "storage tape online -name st01")


@pytest.mark.requirement("R073")
@pytest.mark.parametrize("which", ["name", "device", "serial number"])
async def test_whatever_opens_a_drive_its_physical_path_names_it(
    tape_stack: Any, typed: Any, which: str
) -> None:
    async with tape_stack() as kernel:
        assert kernel.tape_inventory is not None
        serial = kernel.tape_inventory.drives()[0].description.serial
        words = {"name": "st0", "device": "nrst0a", "serial number": serial}[which]
        line = f"storage tape position -name {words} -operation fsf"
        assert "Tape drive v.0: file 0" in await typed(kernel, line)
        tape = opened(kernel)
        with pytest.raises(TapeError, match=r"^tape drive v\.0 is in use by session 1$"):
            await typed(kernel, line)
        tape.close()


async def test_a_drive_without_a_door_is_neither_reset_nor_erased(
    assembled: Any, plugin: Any, driver_of: Any
) -> None:
    tape = MemoryTape()
    tape.items.append(b"record")
    driver = driver_of("m", tape)
    offering = plugin("drives", tapekit_register_tape_drivers=lambda self: (driver,))
    kernel = assembled(TapeDevicesPlugin, offering)
    for operation, request in (
        (RESET, DriveRequest(drive="st0")),
        (ERASE, DriveRequest(drive="m.0")),
    ):
        with pytest.raises(TapeError, match=r"^m\.0 takes no SCSI commands$"):
            await kernel.operations[operation.name].perform(request)
    assert driver.opened == driver.closed == ["0", "0"]
    moved = await kernel.operations[POSITION.name].perform(
        PositionRequest(drive="m.0", movement=Movement.FSR)
    )
    assert (moved.done, moved.file, moved.record) == (1, 0, 1)


@pytest.mark.requirement("R016")
async def test_a_tape_is_not_erased_by_mistake(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        write(kernel, 2)
        with pytest.raises(TapekitError, match="not erased without the advanced privilege") as no:
            await typed(kernel, "storage tape position -name st0 -operation erase")
        assert "--advanced" in no.value.action
        tape = opened(kernel)
        assert tape.drive.space_records(9) == 2
        tape.close()
        await typed(kernel, "storage tape position -name st0 -operation erase --advanced")
        tape = opened(kernel)
        assert tape.drive.space_records(9) == 0
        tape.close()


@pytest.mark.requirement("R019")
async def test_what_drives_and_tapes_count_is_shown(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        write(kernel, 4)
        line = "storage tape show-errors -counters"
        first, second = json.loads(await typed(kernel, f"{line} --json"))
        assert first["physical_path"] == "v.0"
        assert first["pages"]["write errors"]["total corrected"] == 0
        assert first["pages"]["data moved"]["MB up to the early warning"] > 0
        assert first["pages"]["volume statistics"]["write protected"] == 0
        assert second["physical_path"] == "v.1"
        shown = (await typed(kernel, f"{line} -name nrst0a")).splitlines()
        assert shown[:3] == ["Node: Node1", "", "Tape drive (v.0)"]
        assert "    write errors: total corrected: 0" in shown
        held = opened(kernel)
        shown = await typed(kernel, f"{line} -name st0")
        assert "    not asked: tape drive v.0 is in use by session 1" in shown
        held.close()


async def test_a_drive_without_a_door_counts_nothing(
    assembled: Any, plugin: Any, driver_of: Any
) -> None:
    driver = driver_of("m", None)
    offering = plugin("drives", tapekit_register_tape_drivers=lambda self: (driver,))
    kernel = assembled(TapeDevicesPlugin, offering)
    reply = await kernel.operations[COUNTERS.name].perform(CountersRequest())
    (row,) = reply.drives
    assert (row.pages, row.reason) == ({}, "m.0 takes no SCSI commands")
    assert driver.opened == driver.closed == ["0"]


async def test_an_empty_drive_has_nothing_to_move(
    assembled: Any, plugin: Any, driver_of: Any
) -> None:
    driver = driver_of("m", None)
    offering = plugin("drives", tapekit_register_tape_drivers=lambda self: (driver,))
    kernel = assembled(TapeDevicesPlugin, offering)
    request = PositionRequest(drive="m.0", movement=Movement.REWIND)
    with pytest.raises(TapeError) as caught:
        await kernel.operations[POSITION.name].perform(request)
    assert caught.value.condition is Condition.NO_TAPE


@pytest.mark.parametrize("name", ["v.0", "st0", "nrst0a"])
async def test_errors_are_asked_for_by_any_name_of_a_drive(
    tape_stack: Any, typed: Any, name: str
) -> None:
    async with tape_stack() as kernel:
        found = json.loads(await typed(kernel, f"storage tape show-errors -name {name} --json"))
        assert [one["physical_path"] for one in found] == ["v.0"]
        with pytest.raises(TapekitError, match="no tape drive st9; the drives are st0, st1"):
            await typed(kernel, "storage tape show-errors -name st9")
        assert json.loads(await typed(kernel, "storage stats tape zero st0 --json")) == {}
