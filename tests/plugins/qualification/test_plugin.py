"""In a stack, qualified drives are opened and others are not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

from tapekit.cli.groups import group_command
from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import InitSite, Manifest, NoSettings
from tapekit.hookspecs.operations import NoRequest
from tapekit.hookspecs.tape_driver import Condition, DriveSetup, OpenMode, TapeError
from tapekit.kernel import StartErrors
from tapekit.testing import MemoryTape, MemoryTapeDrive
from tapekit_qualification.parsing import read_configuration
from tapekit_qualification.plugin import QualificationPlugin
from tapekit_qualification.qualifier import Qualifier
from tapekit_qualification.table import QualificationTable, Standing, TableEntry
from tapekit_tape_devices.guide_commands import overview
from tapekit_tape_devices.plugin import TapeDevicesPlugin
from tapekit_vtape.plugin import VtapePlugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.tape_driver import DriveDescription
    from tapekit.kernel import StackKernel


class MemoryDrives:
    """A plugin whose drives call themselves as they are told to."""

    manifest = Manifest(name="memory_drives", summary="Drives in memory")
    scheme = "memory"
    found: tuple[DriveDescription, ...] = ()

    def __init__(self, _settings: NoSettings) -> None:
        self.opened: list[str] = []

    @hookimpl
    def tapekit_register_tape_drivers(self) -> Any:
        return (self,)

    def discover(self) -> Any:
        return self.found

    def open_drive(self, address: str) -> Any:
        return MemoryTapeDrive(MemoryTape())


class MemoryManagement:
    """A plugin that carries calls within the process."""

    manifest = Manifest(name="memory_management", summary="Calls without a socket")

    def __init__(self, _settings: NoSettings) -> None:
        self._kernel: Any = None

    @hookimpl
    def tapekit_on_assembled(self, kernel: Any) -> None:
        self._kernel = kernel

    @hookimpl
    def tapekit_provide_management(self) -> Any:
        return self

    def call(self, operation: Any, request: Any, privilege: Any = None) -> Any:
        performing = self._kernel.operations[operation.name].perform(request)
        try:
            performing.send(None)
        except StopIteration as ended:
            return msgspec.json.decode(msgspec.json.encode(ended.value), type=operation.reply)
        raise AssertionError("the operation waits")

    def follow(self, feed: Any, request: Any, privilege: Any = None) -> Any:
        raise AssertionError("there are no feeds")


@pytest.fixture
def stack(
    assembled: Callable[..., StackKernel], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., StackKernel]:
    """A stack with these drives."""

    def build(*drives: DriveDescription, tables: str = "") -> StackKernel:
        monkeypatch.setattr(MemoryDrives, "found", drives)
        kernel = assembled(
            TapeDevicesPlugin, QualificationPlugin, MemoryDrives, MemoryManagement, tables=tables
        )
        assert kernel.tape_inventory is not None
        kernel.tape_inventory.drives()
        return kernel

    return build


def typed(kernel: StackKernel, line: str) -> Any:
    groups = list(kernel.command_groups({}).values())
    result = CliRunner().invoke(group_command(groups), line.split())
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def opened(kernel: StackKernel, device: str) -> None:
    inventory = kernel.tape_inventory
    assert inventory is not None
    inventory.open(device, OpenMode.READ, "test").close()


@pytest.mark.requirement("R049")
@pytest.mark.requirement("R053")
def test_a_qualified_drive_is_used_and_has_the_formats_of_its_file(
    stack: Any, drive_of: Any
) -> None:
    kernel = stack(drive_of("IBM", "ULTRIUM-TD9"))
    opened(kernel, "nrst0a")
    (row,) = kernel.tape_inventory.drives()
    assert row.description.formats["a"] == "LTO-9 45000GB cmp"
    assert "nrst0h -  no rewind device,             format is: LTO-9 18000GB" in (
        typed(kernel, "tape list").output
    )


@pytest.mark.requirement("R054")
def test_a_nonqualified_drive_is_not_opened(stack: Any, drive_of: Any, tmp_path: Path) -> None:
    kernel = stack(drive_of("ACME", "TAPE 9000", 6))
    with pytest.raises(TapeError) as caught:
        opened(kernel, "nrst0a")
    assert caught.value.condition is Condition.NO_DEVICE
    assert str(caught.value) == (
        "tape drive 8.6 (ACME TAPE 9000) is a Nonqualified tape drive and is not used"
    )
    assert str(tmp_path / "qualification") in caught.value.action
    assert 'vendor_id="ACME"' in caught.value.action
    assert kernel.tape_inventory.drives()[0].holder is None


@pytest.mark.requirement("R055")
def test_a_file_alone_qualifies_a_drive(
    stack: Any, drive_of: Any, file_for: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "qualification"
    folder.mkdir()
    (folder / "acme.tcf").write_text(file_for("ACME", "TAPE 9000", 9))
    kernel = stack(drive_of("ACME", "TAPE 9000"))
    opened(kernel, "nrst0a")
    assert "Dynamically Qualified" in typed(kernel, "storage tape show-supported-status").output


@pytest.mark.requirement("R023")
def test_a_drive_that_emulates_a_qualified_one_is_used(stack: Any, drive_of: Any) -> None:
    table = (
        '[[qualification.emulate]]\nvendor = "ACME"\nproduct = "TAPE 9000"\n'
        'as_vendor = "HP"\nas_product = "Ultrium 5-SCSI"\n'
    )
    kernel = stack(drive_of("ACME", "TAPE 9000"), tables=table)
    opened(kernel, "nrst0a")
    (row,) = kernel.tape_inventory.drives()
    assert row.description.formats["h"] == "LTO-5 1500GB"
    (line,) = typed(kernel, "storage tape show-supported-status").output.splitlines()[3:]
    assert line == "ACME TAPE 9000  true          Qualified"
    (line,) = typed(kernel, "storage tape show-supported-status -v").output.splitlines()[3:]
    cells = [cell for cell in line.split("  ") if cell]
    assert cells[0] == "ACME TAPE 9000"
    assert [cell.strip() for cell in cells[-3:]] == ["ACME", "TAPE 9000", "Hewlett-Packard LTO-5"]


def test_a_file_with_a_mistake_stops_the_start(stack: Any, guide_file: str, tmp_path: Path) -> None:
    folder = tmp_path / "qualification"
    folder.mkdir()
    (folder / "hp.tcf").write_text(guide_file.replace("size=9", "size=99"))
    with pytest.raises(StartErrors) as caught:
        stack()
    assert "hp.tcf:5:15: id_match_size" in str(caught.value)


def test_each_mistake_of_a_file_is_an_error_of_one_line(
    stack: Any, guide_file: str, tmp_path: Path
) -> None:
    folder = tmp_path / "qualification"
    folder.mkdir()
    (folder / "hp.tcf").write_text(guide_file.replace("size=9", "size=99") + "bogus=1\n")
    with pytest.raises(StartErrors) as caught:
        stack()
    texts = [str(error).removeprefix(f"{folder}/") for error in caught.value.errors]
    assert [text.split(":")[0] for text in texts] == ["hp.tcf", "hp.tcf"]
    assert 'there is no field "bogus"' in "".join(texts)
    assert not any("\n" in text for text in texts)


@pytest.mark.requirement("R020")
def test_statuses_are_listed_in_the_words_of_the_guide(
    stack: Any, drive_of: Any, file_for: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "qualification"
    folder.mkdir()
    own = file_for("TANDBERG", "LTO-2 HH", 8).replace("Hewlett-Packard", "Tandberg")
    (folder / "tandberg.tcf").write_text(own.replace('y="LTO-5"', 'y="LTO-2 HH"'))
    kernel = stack(
        drive_of("HP", "Ultrium 6-SCSI", 1),
        drive_of("TANDBERG", "LTO-2 HH", 2),
        drive_of("ACME", "TAPE 9000", 3),
        drive_of("HP", "Ultrium 6-SCSI", 4),
        tables='node = "Node1"\n',
    )
    shown = typed(kernel, "storage tape show-supported-status -node Node1").output
    assert shown.splitlines() == [
        "Node: Node1",
        "Tape Drive             Is Supported  Support Status",
        "---------------------  ------------  -----------------------",
        '"ACME TAPE 9000"       false         Nonqualified tape drive',
        "Hewlett-Packard LTO-6  true          Qualified",
        "Tandberg LTO-2 HH      true          Dynamically Qualified",
    ]
    answer = msgspec.json.decode(
        typed(kernel, "storage tape show-supported-status --json").output.encode()
    )
    assert [row["physical_path"] for row in answer["drives"]] == ["8.1", "8.2", "8.3", "8.4"]


def test_another_node_is_refused(stack: Any) -> None:
    kernel = stack(tables='node = "Node1"\n')
    typed(kernel, "storage tape show-supported-status -node local")
    with pytest.raises(Exception, match="Node2 is not the name of this node, which is Node1"):
        typed(kernel, "storage tape show-supported-status -node Node2")


@pytest.mark.requirement("R022")
def test_supported_drives_are_listed_with_details_if_asked(stack: Any) -> None:
    kernel = stack()
    names = typed(kernel, "storage show tape supported").output.splitlines()
    assert "Hewlett-Packard LTO-5" in names
    assert names == sorted(names, key=str.casefold)
    lines = typed(kernel, "storage show tape supported -v").output.splitlines()
    start = lines.index("Hewlett-Packard LTO-5")
    assert lines[start + 2 : start + 8] == [
        '    vendor: "HP", product: "Ultrium 5-SCSI", bytes compared: 9',
        "    l: LTO-3(ro)/4 4/800GB       density 0x00, algorithm 0x00",
        "    m: LTO-3(ro)/4 8/1600GB cmp  density 0x00, algorithm 0x01",
        "    h: LTO-5 1500GB              density 0x58, algorithm 0x00",
        "    a: LTO-5 3000GB cmp          density 0x58, algorithm 0x01",
        "    autoload: yes",
    ]
    rows = msgspec.json.decode(typed(kernel, "storage show tape supported --json").output.encode())
    assert [row["name"] for row in rows] == names


@pytest.mark.requirement("R047")
async def test_listings_of_devices_have_the_pretty_names(stack: Any, drive_of: Any) -> None:
    kernel = stack(drive_of("HP", "Ultrium 6-SCSI"), drive_of("ACME", "TAPE 9000", 1))
    devices = await kernel.operations["tape_devices.devices"].perform(NoRequest())
    listed = list(overview(devices, with_names=True))
    assert "Hewlett-Packard LTO-6 (8.0)" in listed
    assert "ACME TAPE 9000 (8.1)" in listed


def test_time_limits_are_among_the_details(stack: Any, guide_file: str, tmp_path: Path) -> None:
    folder = tmp_path / "qualification"
    folder.mkdir()
    (folder / "hp.tcf").write_text(guide_file + "cmd_timeout_0x1b=5m\n")
    lines = typed(stack(), "storage show tape supported -v").output
    assert "    time limit of command 0x1b: 300 s\n" in lines


def test_virtual_drives_come_qualified(
    assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    table = VtapePlugin.init_part(InitSite(tmp_path, "127.0.0.1", 10000)).settings
    kernel = assembled(
        TapeDevicesPlugin, QualificationPlugin, VtapePlugin, tables=f"[vtape]\n{table}"
    )
    opened(kernel, "nrst1a")


@pytest.mark.requirement("R049")
@pytest.mark.requirement("R050")
@pytest.mark.requirement("R051")
def test_a_drive_works_as_its_file_says(drive_of: Any, file_for: Any) -> None:
    text = file_for("ACME", "TAPE 9000", 9).replace('autoload="yes"', "")
    reading = read_configuration(f'{text}cmd_timeout_0x1b="20m"\n', "acme.tcf")
    assert reading.configuration is not None
    entry = TableEntry(reading.configuration, Standing.QUALIFIED, "acme.tcf")
    qualifier = Qualifier()
    qualifier.settle(QualificationTable((entry,)), Path("qualification"))
    drive = drive_of("ACME", "TAPE 9000")
    assert qualifier.setup(drive, "m") == DriveSetup(
        compression="m",
        density=0,
        algorithm=1,
        loads_itself=False,
        timeouts_s={0x1B: 1200.0},
    )
    assert qualifier.setup(drive, "a").density == 0x58
    unknown = drive_of("ACME", "DISK")
    assert qualifier.setup(unknown, "l") == DriveSetup(compression="l")
