"""Physical path names are made of slots, lanes and switch ports."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit_aliases.addresses import parse_address
from tapekit_scsi_sg.attached import attached_devices
from tapekit_scsi_sg.places import physical_path
from tapekit_scsi_sg.settings import ScsiSgSettings

CARD = "devices/pci0000:00/0000:00:1c.0/0000:03:00"


def place(host: Any, **settings: Any) -> str:
    (found,) = attached_devices(host.sysfs)
    path = physical_path(found, host.sysfs, ScsiSgSettings(**settings))
    assert str(parse_address(path)) == path
    return path


def in_slot(host: Any, number: str, card: str = "0000:03:00") -> None:
    slot = host.sysfs / "bus/pci/slots" / number
    slot.mkdir(parents=True)
    (slot / "address").write_text(f"{card}\n")


@pytest.mark.requirement("R074")
@pytest.mark.requirement("R075")
def test_a_device_in_software_goes_by_the_numbers_of_the_kernel(empty_host: Any) -> None:
    empty_host.attach("sg0", "8:0:6:2")
    assert place(empty_host) == "8.6L2"


@pytest.mark.requirement("R075")
def test_logical_unit_0_is_not_written(empty_host: Any) -> None:
    empty_host.attach("sg0", "8:0:6:0")
    assert place(empty_host) == "8.6"


@pytest.mark.requirement("R074")
def test_an_adapter_goes_by_its_slot_and_port(empty_host: Any) -> None:
    in_slot(empty_host, "5")
    empty_host.attach("sg0", "2:0:4:0", behind=f"{CARD}.1/host2/target2:0:4")
    assert place(empty_host) == "5b.4"


@pytest.mark.requirement("R078")
def test_an_adapter_keeps_its_name_when_the_kernel_counts_anew(empty_host: Any) -> None:
    in_slot(empty_host, "5")
    empty_host.attach("sg0", "2:0:4:0", behind=f"{CARD}.0/host2/target2:0:4")
    before = place(empty_host)
    empty_host.detach("sg0")
    empty_host.attach("sg7", "9:0:4:0", behind=f"{CARD}.0/host9/target9:0:4")
    assert place(empty_host) == before == "5a.4"


def test_an_adapter_in_no_slot_goes_by_its_place_on_the_bus(empty_host: Any) -> None:
    in_slot(empty_host, "7", "0000:09:00")
    empty_host.attach("sg0", "2:1:4:0", behind=f"{CARD}.0/host2/target2:1:4")
    assert place(empty_host) == "03-00a-1.4"


@pytest.mark.requirement("R078")
def test_an_administrator_names_adapters(empty_host: Any) -> None:
    in_slot(empty_host, "5")
    empty_host.attach("sg0", "2:0:4:1", behind=f"{CARD}.0/host2/target2:0:4")
    assert place(empty_host, adapters={"0000:03:00.0": "8"}) == "8.4L1"


@pytest.mark.requirement("R076")
def test_a_device_on_sas_goes_by_connector_and_lane(empty_host: Any) -> None:
    in_slot(empty_host, "5")
    port = f"{CARD}.0/host2/port-2:1"
    empty_host.attach("sg0", "2:0:7:0", behind=f"{port}/end_device-2:1/target2:0:7")
    for lane in (10, 9):
        (empty_host.sysfs / port / f"phy-2:{lane}").mkdir()
    assert place(empty_host) == "5c.9"


@pytest.mark.requirement("R076")
def test_a_device_behind_an_expander_goes_by_the_expanders_lane(empty_host: Any) -> None:
    in_slot(empty_host, "5")
    first = f"{CARD}.0/host2/port-2:0"
    second = f"{first}/expander-2:0/port-2:0:12"
    empty_host.attach("sg0", "2:0:7:0", behind=f"{second}/end_device-2:0:12/target2:0:7")
    (empty_host.sysfs / first / "phy-2:4").mkdir()
    (empty_host.sysfs / second / "phy-2:0:17").mkdir()
    assert place(empty_host) == "5b.17"


def behind_switch(host: Any, port_id: str) -> None:
    remote = "rport-2:0-3"
    host.attach("sg0", "2:0:7:2", behind=f"{CARD}.0/host2/{remote}/target2:0:7")
    for name, text in (
        (f"class/fc_remote_ports/{remote}/port_id", port_id),
        ("class/fc_host/host2/fabric_name", "0x100000051e0a1b2c"),
    ):
        (host.sysfs / name).parent.mkdir(parents=True)
        (host.sysfs / name).write_text(f"{text}\n")


@pytest.mark.requirement("R077")
def test_a_device_behind_a_switch_goes_by_switch_and_port(empty_host: Any) -> None:
    behind_switch(empty_host, "0x020503")
    assert place(empty_host) == "0a1b2c-2:5.3L2"
    named = place(empty_host, switches={"100000051e0a1b2c/2": "MY_SWITCH"})
    assert named == "MY_SWITCH:5.3L2"


@pytest.mark.parametrize("port_id", ["0x0000ef", "unknown"])
def test_a_device_on_a_loop_is_attached_directly(empty_host: Any, port_id: str) -> None:
    behind_switch(empty_host, port_id)
    assert place(empty_host) == "03-00a.7L2"
