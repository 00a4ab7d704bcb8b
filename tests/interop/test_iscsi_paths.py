"""A library of tgt over two portals, one of which fails: two drives, not four."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from free_ports import free_port

from iscsi_cable import cable
from tapekit.hookspecs.tape_driver import OpenMode, TapeError
from tapekit_multipath.joiner import PathsOfDevices
from tapekit_multipath.survey import survey
from tapekit_scsi_iscsi.driver import ScsiIscsiDriver
from tapekit_scsi_iscsi.settings import ScsiIscsiSettings
from tapekit_tape_devices.inventory import Inventory
from tgt_library import DRIVES, INITIATOR, NAME, SLOTS, tgt_library

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.requirement("R038")
@pytest.mark.requirement("R040")
def test_a_portal_that_fails_is_left_for_the_other(tmp_path: Path) -> None:
    other = free_port()
    with (
        tgt_library(tmp_path / "library", f"portal=127.0.0.1:{other}") as library,
        cable(library.port) as first,
    ):
        urls = tuple(f"iscsi://127.0.0.1:{port}/{NAME}" for port in (first.port, other))
        driver = ScsiIscsiDriver(ScsiIscsiSettings(initiator=INITIATOR, targets=urls))
        paths, inventory = PathsOfDevices(is_balanced=False), Inventory()
        inventory.settle({"iscsi": driver}, {"iscsi": driver}, joiner=paths)
        found = [row.description.physical_path for row in inventory.drives()]
        assert found == ["i.0L1", "i.0L2"]
        changer = inventory.open_changer("mc0", "test")
        changer.changer.move(SLOTS[0], DRIVES[0])
        changer.close()
        tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "test")
        tape.drive.rewind()
        tape.drive.write_records([memoryview(b"1" * 1024)], 1024)
        tape.drive.write_filemarks(1)
        first.cut()
        with pytest.raises(TapeError, match="6/29/07"):
            tape.drive.write_records([memoryview(b"2" * 1024)], 1024)
        tape.drive.rewind()
        assert tape.drive.read_record(1024) == b"1" * 1024
        tape.close()
        inventory.open("nrst0a", OpenMode.READ, "test").close()
        rows, groups = survey(paths, inventory)
        assert [(row.device_id, row.path_errors, row.path_qual) for row in rows[:2]] == [
            ("i.0L1", 1, "failed"),
            ("i.1L1", 0, "working"),
        ]
        (group,) = groups
        assert (group.lun_count, group.library_name) == (3, "TGT LIBRARY_1")
        assert group.target_ports == (NAME,)
        assert group.initiators == tuple(
            sorted(f"{INITIATOR},127.0.0.1:{port}" for port in (first_port(urls), other))
        )


@pytest.mark.requirement("R038")
def test_reading_is_told_where_no_place_proves_anything(tmp_path: Path) -> None:
    """tgt's drives do not know where they stand; a rewind is known by all."""
    other = free_port()
    with (
        tgt_library(tmp_path / "library", f"portal=127.0.0.1:{other}") as library,
        cable(library.port) as first,
    ):
        portals = tuple(f"127.0.0.1:{port}" for port in (first.port, other))
        urls = tuple(f"iscsi://{portal}/{NAME}" for portal in portals)
        driver = ScsiIscsiDriver(ScsiIscsiSettings(initiator=INITIATOR, targets=urls))
        paths, inventory = PathsOfDevices(is_balanced=False), Inventory()
        inventory.settle({"iscsi": driver}, {"iscsi": driver}, joiner=paths)
        changer = inventory.open_changer("mc0", "test")
        changer.changer.move(SLOTS[0], DRIVES[0])
        tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "test")
        tape.drive.rewind()
        tape.drive.write_records([memoryview(b"1" * 1024 + b"2" * 1024)], 1024)
        tape.drive.write_filemarks(1)
        tape.drive.rewind()
        assert tape.drive.read_record(1024) == b"1" * 1024
        first.cut()
        with pytest.raises(TapeError, match="6/29/07"):
            tape.drive.read_record(1024)
        with pytest.raises(TapeError, match="may not stand where it did"):
            tape.drive.space_filemarks(1)
        tape.drive.rewind()
        assert tape.drive.space_records(1) == 1
        assert tape.drive.read_record(1024) == b"2" * 1024
        tape.close()
        full = [one.address for one in changer.changer.elements() if one.is_full]
        assert DRIVES[0] in full
        changer.close()


def first_port(urls: tuple[str, ...]) -> int:
    return int(urls[0].split(":")[2].partition("/")[0])
