"""Devices keep their numbers when others come and go."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit.testing import MemoryTape
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.plugin import TapeDevicesPlugin
from tapekit_tape_devices.renewal import Seen, numbers_of
from tapekit_tape_devices.settings import TapeDevicesSettings


def assembled_plugin(driver: Any, **provided: Any) -> TapeDevicesPlugin:
    """The plugin when it has met a driver and what others provide."""
    kernel: Any = SimpleNamespace(
        tape_drivers={driver.scheme: driver},
        changer_drivers={},
        call_hook=lambda hook: [("a", provided[hook])] if provided.get(hook) else [],
        state=MemoryStateStore(),
        clock=lambda: 0.0,
        base_directory=Path("/nowhere"),
    )
    plugin = TapeDevicesPlugin(TapeDevicesSettings())
    plugin.tapekit_on_assembled(kernel)
    return plugin


def seen(serial: str, path: str = "", scheme: str = "m") -> Seen:
    return Seen(
        scheme,
        ChangerDescription(
            address=path,
            physical_path=path or f"m.{serial}",
            vendor="ACME",
            product="LIBRARY",
            revision="1",
            serial=serial,
        ),
    )


KNOWN = [seen("A", "m.0"), seen("B", "m.1"), seen("", "m.2")]


@pytest.mark.requirement("R042")
@pytest.mark.parametrize(
    ("found", "numbers"),
    [
        (KNOWN, [0, 1, 2]),
        (list(reversed(KNOWN)), [2, 1, 0]),
        ([seen("C", "m.5"), *KNOWN], [3, 0, 1, 2]),
        ([seen("B", "m.7")], [1]),
        ([seen("B", "m.0"), seen("A", "m.1")], [1, 0]),
        ([seen("C", "m.1"), seen("A", "m.0")], [1, 0]),
        ([seen("C", "m.1"), seen("B", "m.9")], [3, 1]),
        ([seen("", "m.2"), seen("", "m.3")], [2, 3]),
        ([seen("A", "m.0", "other")], [3]),
        ([seen("A", "m.8"), seen("A", "m.0")], [3, 0]),
    ],
)
def test_a_device_keeps_its_number(found: list[Seen], numbers: list[int]) -> None:
    assert numbers_of(KNOWN, found) == numbers


@given(st.lists(st.tuples(st.sampled_from("ABC "), st.sampled_from("012"))), st.data())
def test_no_number_is_given_twice(places: list[tuple[str, str]], data: st.DataObject) -> None:
    devices = [seen(serial.strip(), f"m.{path}") for serial, path in places]
    known = data.draw(st.permutations(devices))[: len(devices) // 2]
    numbers = numbers_of(known, devices)
    assert len(set(numbers)) == len(devices)
    assert {number for number in numbers if number >= len(known)} == set(
        range(len(known), len(known) + sum(number >= len(known) for number in numbers))
    )


@pytest.mark.requirement("R042")
def test_drives_that_come_later_are_used_and_those_that_go_stay_listed(
    inventory_of: Any, driver_of: Any, changers_of: Any
) -> None:
    driver, changers = driver_of("m", MemoryTape()), changers_of("c", 0)
    inventory = inventory_of(driver, changers=[changers])
    assert [row.description.serial for row in inventory.drives()] == ["m0"]
    held = inventory.open("nrst0a", OpenMode.READ, "x")
    driver.tapes = (MemoryTape(), MemoryTape())
    changers._changers = 1
    inventory.renew()
    assert [(r.description.serial, r.holder) for r in inventory.drives()] == [
        ("m0", "x"),
        ("m1", None),
    ]
    assert [row.name for row in inventory.changers()] == ["mc0"]
    inventory.open("nrst1a", OpenMode.READ, "y").close()
    held.close()
    driver.tapes = ()
    inventory.renew()
    assert [row.description.serial for row in inventory.drives()] == ["m0", "m1"]


def test_a_drive_is_opened_where_it_is_now(inventory_of: Any, driver_of: Any) -> None:
    driver = driver_of("m", MemoryTape(), MemoryTape())
    inventory = inventory_of(driver)
    first, second = inventory.discover()
    moved = msgspec.structs.replace(second, address="0", physical_path="m.9")
    driver.discover = lambda: [moved]
    inventory.renew()
    inventory.open("nrst1a", OpenMode.READ, "x").close()
    assert driver.opened == ["0"]
    assert inventory.drives()[0].description == first


def test_a_look_that_fails_leaves_all_as_it_was(inventory_of: Any, driver_of: Any) -> None:
    driver = driver_of("m", MemoryTape())
    inventory = inventory_of(driver)
    inventory.drives()

    def refuse() -> Any:
        raise failure()

    driver.discover = refuse
    with pytest.raises(TapekitError):
        inventory.renew()
    assert [row.description.serial for row in inventory.drives()] == ["m0"]


def failure() -> TapeError:
    return CATALOGUE.raised_as(TapeError, "no-tape", condition=Condition.NO_TAPE, drive="m.0")


class Watchful:
    """Drives in memory whose coming is announced."""

    scheme = "w"

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.announce, self._announced = trio.open_memory_channel[None](1)
        self.failures = 0

    def discover(self) -> Any:
        if self.failures:
            self.failures -= 1
            raise failure()
        return self._inner.discover()

    def open_drive(self, address: str) -> Any:
        return self._inner.open_drive(address)

    async def wait_for_change(self) -> None:
        await self._announced.receive()


class RememberingNames:
    """Names devices by number, and knows what it has met."""

    def __init__(self) -> None:
        self.met: list[list[str]] = []

    def meet(self, drives: Any, changers: Any) -> None:
        self.met.append([drive.serial for drive in drives])

    def names(self, device: Any) -> Any:
        return (f"st{device.serial[1:]}",)

    async def remember(self, look: Any) -> None:
        await trio.to_thread.run_sync(look)


@pytest.mark.parametrize("has_names", [True, False])
@pytest.mark.requirement("R042")
async def test_a_stack_that_runs_looks_again_when_a_driver_says_so(
    driver_of: Any, has_names: bool, caplog: pytest.LogCaptureFixture
) -> None:
    inner, names = driver_of("m", MemoryTape()), RememberingNames()
    driver = Watchful(inner)
    plugin = assembled_plugin(driver, tapekit_provide_device_names=names if has_names else None)
    inventory = plugin.tapekit_provide_tape_inventory()

    async def looked(times: int) -> None:
        with trio.fail_after(60):
            while inner.looked < times:
                await trio.lowlevel.checkpoint()

    async with plugin.tapekit_run():
        assert inner.looked == 1
        inner.tapes = (MemoryTape(), MemoryTape())
        await driver.announce.send(None)
        await looked(2)
        driver.failures = 1
        await driver.announce.send(None)
        await driver.announce.send(None)
        await looked(3)
    assert names.met[:2] == ([["m0"], ["m0", "m1"]] if has_names else [])
    assert [row.description.serial for row in inventory.drives()] == ["m0", "m1"]
    assert "new devices were not looked for" in caplog.text
