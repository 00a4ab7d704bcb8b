"""Devices are found in the kernel's list, and opened only if they are those."""

from __future__ import annotations

import errno
import logging
import shutil
from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import (
    AdjustableDrive,
    BridgeFinder,
    Condition,
    DoorDriver,
    TapeError,
    WatchfulDriver,
)
from tapekit.scsi.inquiry import DeviceType
from tapekit.testing import bytes_of


@pytest.mark.requirement("R057")
def test_devices_are_found_by_type(host: Any) -> None:
    driver = host.driver()
    drives = [(d.address, d.physical_path, d.serial) for d in driver.discover()]
    assert drives == [("S1D00@0:0:1:1", "0.1L1", "S1D00"), ("S1D01@0:0:1:300", "0.1L300", "S1D01")]
    (changer,) = driver.discover_changers()
    assert (changer.physical_path, changer.vendor, changer.serial) == ("0.1", "TAPEKIT", "S1L00")
    assert host.nodes == []


@pytest.mark.requirement("R044")
def test_a_target_counts_only_with_a_drive_or_changer_as_lun_0(
    empty_host: Any, caplog: pytest.LogCaptureFixture
) -> None:
    empty_host.attach("sg0", "0:0:1:0", kind=0x0C)
    empty_host.attach("sg1", "0:0:1:1", "HIDDEN")
    empty_host.attach("sg2", "0:0:2:1", "HIDDEN TOO")
    empty_host.attach("sg3", "0:0:3:0", "FIRST")
    empty_host.attach("sg4", "0:0:3:4", "SECOND")
    with caplog.at_level(logging.WARNING):
        found = [one.serial for one in empty_host.driver().discover()]
    assert found == ["FIRST", "SECOND"]
    assert "target 0:0:1 are not used, since its LUN 0 is neither" in caplog.text
    everything = [one.serial for one in empty_host.driver(needs_lun_0=False).discover()]
    assert everything == ["HIDDEN", "HIDDEN TOO", "FIRST", "SECOND"]


def test_a_drive_is_opened_and_let_go(host: Any) -> None:
    drive = host.driver().open_drive("S1D00@0:0:1:1")
    assert drive.write_records([memoryview(b"words" * 10)], 10) == 5
    drive.rewind()
    into = memoryview(bytearray(100))
    assert bytes_of(drive.read_records(into, 100, 10).pieces) == b"words" * 10
    assert not host.nodes[-1].is_closed
    drive.close()
    assert host.nodes[-1].is_closed


def test_a_changer_is_opened_and_let_go(host: Any) -> None:
    changer = host.driver().open_changer("S1L00@0:0:1:0")
    assert [e.volume_tag for e in changer.elements() if e.is_full] == ["T00001"]
    assert changer.door.address == (0, 1, 0)
    changer.close()
    assert host.nodes[-1].is_closed


def test_the_driver_offers_what_others_may_use(host: Any) -> None:
    driver = host.driver()
    assert isinstance(driver, DoorDriver)
    assert isinstance(driver, WatchfulDriver)
    door = driver.open_door("S1D00@0:0:1:1")
    drive = driver.drive_behind(door, "S1D00@0:0:1:1")
    assert isinstance(drive, AdjustableDrive)
    drive.close()


@pytest.mark.requirement("R042")
def test_a_device_that_comes_later_is_found_by_the_next_look(host: Any) -> None:
    driver = host.driver()
    host.attach("sg11", "1:0:0:0", "NEW", behind="devices/platform/host1")
    assert [one.serial for one in driver.discover()] == ["S1D00", "S1D01", "NEW"]
    host.detach("sg11")
    assert [one.serial for one in driver.discover()] == ["S1D00", "S1D01"]
    with pytest.raises(TapeError, match=r"1\.0 is gone \(it had the serial number NEW\)"):
        driver.open_drive("NEW@1:0:0:0")


def test_an_address_that_nobody_has_found_is_refused(host: Any) -> None:
    with pytest.raises(TapeError, match=r"no SCSI device with the address 7; found were: none"):
        host.driver(looks=False).open_drive("7")
    with pytest.raises(
        TapeError, match=r"found were: S1D00@0:0:1:1, S1D01@0:0:1:300, S1L00@0:0:1:0"
    ):
        host.driver().open_changer("7")


def test_a_device_in_the_place_of_another_is_not_taken_for_it(host: Any) -> None:
    driver = host.driver()
    other = host.devices["/dev/sg9"]
    host.detach("sg10")
    shutil.rmtree(host.sysfs / "devices/platform/host0/target/0:0:1:1")
    host.attach("sg10", "0:0:1:1", "S1D01", opens=other)
    driver.discover()
    with pytest.raises(TapeError, match="no longer S1D00"):
        driver.open_drive("S1D00@0:0:1:1")


def test_another_device_in_its_place_is_not_opened(host: Any) -> None:
    driver = host.driver()
    host.devices["/dev/sg10"] = host.devices["/dev/sg9"]
    with pytest.raises(TapeError, match="its serial number is S1D01, no longer S1D00") as caught:
        driver.open_drive("S1D00@0:0:1:1")
    assert caught.value.condition is Condition.NO_DEVICE
    assert host.nodes[-1].is_closed


def test_a_device_that_another_program_has_is_in_use(host: Any) -> None:
    driver = host.driver()
    drive = driver.open_drive("S1D00@0:0:1:1")
    with pytest.raises(TapeError, match="has /dev/sg10 open for itself") as caught:
        driver.open_drive("S1D00@0:0:1:1")
    assert caught.value.condition is Condition.BUSY
    drive.close()
    driver.open_drive("S1D00@0:0:1:1").close()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "may not be opened: /dev/sg10: Permission denied"),
        (errno.ENODEV, "is gone"),
        (errno.EIO, "cannot be opened: /dev/sg10: Input/output error"),
    ],
)
def test_a_node_that_cannot_be_opened_is_told(host: Any, number: int, words: str) -> None:
    driver = host.driver()
    host.refusal = number
    with pytest.raises(TapeError, match=words) as caught:
        driver.open_drive("S1D00@0:0:1:1")
    assert caught.value.condition is Condition.NO_DEVICE


def test_a_device_of_no_interest_is_left_out(empty_host: Any) -> None:
    empty_host.attach("sg0", "0:0:0:0", "DISK", kind=0)
    empty_host.attach("sg1", "0:0:1:0", "TAPE", kind=DeviceType.TAPE)
    assert [one.serial for one in empty_host.driver().discover()] == ["TAPE"]


@pytest.mark.requirement("R029")
@pytest.mark.requirement("R066")
def test_bridges_are_on_the_targets_of_drives_and_changers(empty_host: Any) -> None:
    empty_host.attach("sg0", "0:0:1:0", "FIRST")
    empty_host.attach("sg1", "0:0:1:5", "ROUTER", kind=0x0C)
    empty_host.attach("sg2", "0:0:2:0", "DISK", kind=0x00)
    empty_host.attach("sg3", "0:0:2:1", "SHELF", kind=0x0D)
    empty_host.attach("sg4", "0:0:3:0", "SECOND")
    empty_host.attach("sg5", "0:0:3:1", "BRIDGE", kind=0x03)
    driver = empty_host.driver()
    assert isinstance(driver, BridgeFinder)
    found = [(one.physical_path, one.serial) for one in driver.discover_bridges()]
    assert found == [("0.1L5", "ROUTER"), ("0.3L1", "BRIDGE")]
    assert empty_host.nodes == []
