"""The kernel's list of devices is read as far as it can be."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import TapeError
from tapekit.scsi.inquiry import Designator, encode_designators
from tapekit_scsi_sg.attached import attached_devices


def test_devices_are_listed_by_place_and_not_by_node(empty_host: Any) -> None:
    for node, nexus in (("sg3", "2:0:0:0"), ("sg1", "10:0:0:0"), ("sg2", "2:0:0:11")):
        empty_host.attach(node, nexus)
    found = attached_devices(empty_host.sysfs)
    assert [str(one.nexus) for one in found] == ["2:0:0:0", "2:0:0:11", "10:0:0:0"]
    assert found[1].nexus.address == (2, 0, 11)


def test_texts_have_no_padding(empty_host: Any) -> None:
    empty_host.attach("sg0", "0:0:0:0", "SN1")
    (found,) = attached_devices(empty_host.sysfs)
    assert found.identity.inquiry == (1, "TAPEKIT", "VIRTUAL-TAPE", "0001")
    assert found.identity.serial == "SN1"


def test_a_device_without_a_serial_number_is_known_by_its_worldwide_name(empty_host: Any) -> None:
    name = Designator(1, 3, bytes.fromhex("5000e11100000001"))
    folder = empty_host.attach("sg0", "0:0:0:0")
    (found,) = attached_devices(empty_host.sysfs)
    assert found.identity.serial == ""
    (folder / "vpd_pg83").write_bytes(encode_designators(1, [name]))
    (folder / "vpd_pg80").write_bytes(b"\x01\x80")
    (found,) = attached_devices(empty_host.sysfs)
    assert found.identity.serial == "5000e11100000001"


def test_a_device_that_vanishes_meanwhile_is_left_out(empty_host: Any) -> None:
    folder = empty_host.attach("sg0", "0:0:0:0")
    empty_host.attach("sg1", "0:0:1:0")
    (folder / "rev").unlink()
    assert [one.node for one in attached_devices(empty_host.sysfs)] == ["sg1"]
    (empty_host.sysfs / "class/scsi_generic/sg7").mkdir()
    assert [one.node for one in attached_devices(empty_host.sysfs)] == ["sg1"]


def test_a_device_outside_scsi_is_left_out(empty_host: Any) -> None:
    empty_host.attach("sg0", "something")
    assert attached_devices(empty_host.sysfs) == []


def test_without_the_generic_driver_there_is_no_list(empty_host: Any) -> None:
    folder = empty_host.sysfs / "class/scsi_generic"
    folder.rmdir()
    with pytest.raises(TapeError, match="does not offer SCSI devices") as caught:
        attached_devices(empty_host.sysfs)
    assert "modprobe sg" in caught.value.action
    folder.write_text("")
    with pytest.raises(TapeError, match=r"Cannot list the SCSI devices in .*: Not a directory"):
        attached_devices(empty_host.sysfs)
