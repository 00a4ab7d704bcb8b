"""``tapekit tape list`` looks as administrators know it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tapekit.hookspecs.tape_driver import DriveDescription, DriveRow
from tapekit_tape_devices.commands import command_app, listing
from tapekit_tape_devices.names import device_rows

GUIDE = """\
          Tape drive (fc202_6:2.126L1)  HP          Ultrium 2-SCSI
rst0l  -  rewind device,                format is: HP (200GB)
nrst0l -  no rewind device,             format is: HP (200GB)
urst0l -  unload/reload device,         format is: HP (200GB)
rst0m  -  rewind device,                format is: HP (200GB)
nrst0m -  no rewind device,             format is: HP (200GB)
urst0m -  unload/reload device,         format is: HP (200GB)
rst0h  -  rewind device,                format is: HP (200GB)
nrst0h -  no rewind device,             format is: HP (200GB)
urst0h -  unload/reload device,         format is: HP (200GB)
rst0a  -  rewind device,                format is: HP (400GB w/comp)
nrst0a -  no rewind device,             format is: HP (400GB w/comp)
urst0a -  unload/reload device,         format is: HP (400GB w/comp)
"""


def drive_row() -> DriveRow:
    plain = "HP (200GB)"
    return DriveRow(
        description=DriveDescription(
            address="x",
            physical_path="fc202_6:2.126L1",
            vendor="HP",
            product="Ultrium 2-SCSI",
            revision="1",
            serial="HU1",
            formats={"l": plain, "m": plain, "h": plain, "a": "HP (400GB w/comp)"},
        ),
        scheme="sg",
        devices=device_rows("st0"),
        holder=None,
    )


@pytest.mark.requirement("R063")
@pytest.mark.requirement("R064")
def test_the_listing_is_that_of_the_guide() -> None:
    assert "".join(f"{line}\n" for line in listing([drive_row()])) == GUIDE


def test_the_command_prints_lines_and_json(driver_of: Any, inventory_of: Any) -> None:
    inventory = inventory_of(driver_of("m", None, None))
    app = command_app(lambda: inventory)
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == "          Tape drive (m.0)  ACME        MEMORY-TAPE"
    assert len(result.output.splitlines()) == 26
    rows = json.loads(CliRunner().invoke(app, ["list", "--json"]).output)
    assert [row["description"]["serial"] for row in rows] == ["m0", "m1"]
    assert len(rows[1]["devices"]) == 12
    assert rows[1]["devices"][1] == {
        "name": "nrst1l",
        "rewinds": False,
        "unloads": False,
        "compression": "l",
    }


def test_a_stack_without_drives_lists_nothing(inventory_of: Any) -> None:
    result = CliRunner().invoke(command_app(inventory_of), ["list"])
    assert (result.exit_code, result.output) == (0, "")


def test_changers_are_listed_in_lines_and_in_json(changers_of: Any, inventory_of: Any) -> None:
    inventory = inventory_of(changers=[changers_of("m", 1)])
    app = command_app(lambda: inventory)
    result = CliRunner().invoke(app, ["changers"])
    assert result.output.splitlines() == [
        "          Media changer (m.0)  ACME     MEMORY-LIBRARY",
        "mc0    -  medium changer device,       serial number: mL0",
    ]
    inventory.open_changer("mc0", "session 1")
    (row,) = json.loads(CliRunner().invoke(app, ["changers", "--json"]).output)
    assert (row["name"], row["scheme"], row["holder"]) == ("mc0", "m", "session 1")
    assert row["description"]["serial"] == "mL0"
