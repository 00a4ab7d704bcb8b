"""Drives are numbered once, and each has one holder at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

import pytest

from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit.testing import MemoryTape
from tapekit_tape_devices.inventory import MOST_DRIVES, Inventory
from tapekit_tape_devices.offline import OfflineDrives


def refused(inventory: Any, device: str, mode: OpenMode = OpenMode.READ) -> TapeError:
    with pytest.raises(TapeError) as caught:
        inventory.open(device, mode, "session 2")
    return caught.value


@pytest.mark.requirement("R057")
def test_drives_are_numbered_by_scheme_and_then_as_found(driver_of: Any, inventory_of: Any) -> None:
    inventory = inventory_of(driver_of("zz", None), driver_of("aa", None, None))
    assert [row.description.physical_path for row in inventory.drives()] == ["aa.0", "aa.1", "zz.0"]
    assert [row.devices[0].name for row in inventory.drives()] == ["rst0l", "rst1l", "rst2l"]


def test_drives_are_looked_for_once(driver_of: Any, inventory_of: Any) -> None:
    driver = driver_of("m", None)
    inventory = inventory_of(driver)
    inventory.discover()
    inventory.drives()
    refused(inventory, "nrst0a")
    assert driver.looked == 1


@pytest.mark.requirement("R066")
def test_the_sixty_fifth_drive_has_no_name(
    driver_of: Any, inventory_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    inventory = inventory_of(driver_of("m", *[MemoryTape() for _ in range(MOST_DRIVES + 1)]))
    assert len(inventory.drives()) == MOST_DRIVES
    assert "65 tape drives are connected" in caplog.text
    inventory.open("nrst63a", OpenMode.READ, "x").close()
    error = refused(inventory, "nrst64a")
    assert error.condition is Condition.NO_DEVICE
    assert "at most 64 tape drives" in str(error)
    assert "the drives are st0 to st63" in str(refused(inventory, "nrst65a"))


@pytest.mark.parametrize("device", ["bogus", "nrst1a", "nrst00a", ""])
def test_an_unknown_device_is_named_with_what_there_is(
    driver_of: Any, inventory_of: Any, device: str
) -> None:
    error = refused(inventory_of(driver_of("m", MemoryTape())), device)
    assert error.condition is Condition.NO_DEVICE
    assert str(error) == f'there is no tape device "{device}"; the drive is st0'


def test_a_stack_without_drives_says_so(inventory_of: Any) -> None:
    assert "no tape drive is connected" in str(refused(inventory_of(), "nrst0a"))


@pytest.mark.requirement("R062")
def test_unloading_devices_need_a_library(driver_of: Any, inventory_of: Any) -> None:
    driver = driver_of("m", MemoryTape())
    error = refused(inventory_of(driver), "urst0a")
    assert error.condition is Condition.NO_DEVICE
    assert "would need a library" in str(error)
    assert driver.opened == []


@pytest.mark.requirement("R073")
def test_a_second_holder_is_told_the_first_one(driver_of: Any, inventory_of: Any) -> None:
    inventory = inventory_of(driver_of("m", MemoryTape()))
    tape = inventory.open("nrst0a", OpenMode.READ, "session 1")
    assert inventory.drives()[0].holder == "session 1"
    error = refused(inventory, "rst0l")
    assert error.condition is Condition.BUSY
    assert str(error) == "tape drive m.0 is in use by session 1"
    tape.close()
    assert inventory.drives()[0].holder is None
    inventory.open("rst0l", OpenMode.READ, "session 2").close()


def test_one_holder_cannot_open_a_drive_twice_either(driver_of: Any, inventory_of: Any) -> None:
    inventory = inventory_of(driver_of("m", MemoryTape()))
    holder = "session 2"
    inventory.open("nrst0a", OpenMode.READ, holder)
    assert refused(inventory, "nrst0a").condition is Condition.BUSY


def test_of_many_threads_one_gets_the_drive(driver_of: Any, inventory_of: Any) -> None:
    driver = driver_of("m", MemoryTape())
    inventory = inventory_of(driver)

    def attempt(number: int) -> bool:
        try:
            inventory.open("nrst0a", OpenMode.READ, f"session {number}")
        except TapeError as error:
            return error.condition is not Condition.BUSY
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(64))) == 1
    assert driver.opened == ["0"]


@pytest.mark.parametrize(
    ("tape", "mode", "condition"),
    [
        (None, OpenMode.READ, Condition.NO_TAPE),
        (None, OpenMode.READ_WRITE, Condition.NO_TAPE),
        (MemoryTape(is_protected=True), OpenMode.READ_WRITE, Condition.WRITE_PROTECTED),
    ],
)
def test_a_mode_that_the_tape_does_not_allow_lets_the_drive_go(
    driver_of: Any, inventory_of: Any, tape: Any, mode: OpenMode, condition: Condition
) -> None:
    driver = driver_of("m", tape)
    inventory = inventory_of(driver)
    assert refused(inventory, "nrst0a", mode).condition is condition
    assert driver.closed == ["0"]
    assert inventory.drives()[0].holder is None


@pytest.mark.parametrize(
    ("tape", "mode", "is_writable"),
    [
        (MemoryTape(), OpenMode.READ, False),
        (MemoryTape(), OpenMode.READ_WRITE, True),
        (MemoryTape(), OpenMode.RAW, True),
        (None, OpenMode.RAW, True),
        (MemoryTape(is_protected=True), OpenMode.RAW, False),
        (MemoryTape(is_protected=True), OpenMode.READ, False),
    ],
)
def test_the_mode_and_the_tape_decide_about_writing(
    driver_of: Any, inventory_of: Any, tape: Any, mode: OpenMode, is_writable: bool
) -> None:
    opened = inventory_of(driver_of("m", tape)).open("nrst0a", mode, "x")
    assert opened.is_writable is is_writable
    assert opened.device.name == "nrst0a"


def test_a_drive_that_cannot_be_opened_is_free_again(driver_of: Any, inventory_of: Any) -> None:
    class FailingDriver:
        scheme = "bad"
        discover = driver_of("bad", None).discover

        def open_drive(self, address: str) -> Any:
            raise inventory_error

    inventory = inventory_of(driver_of("m"))
    inventory_error = refused(inventory, "nrst0a")
    failing = inventory_of(FailingDriver())
    with pytest.raises(TapeError) as caught:
        failing.open("nrst0a", OpenMode.RAW, "x")
    assert caught.value is inventory_error
    assert failing.drives()[0].holder is None


@final
class _TakesOffline:
    """Judges drives, and takes each one offline when somebody is about to open it."""

    def __init__(self, offline: OfflineDrives) -> None:
        self.offline = offline

    def meet(self, drives: object) -> None:
        """Nothing to prepare."""

    def permit(self, drive: Any) -> None:
        self.offline.set(drive, is_online=False)


def test_a_drive_that_is_taken_offline_meanwhile_is_not_opened(driver_of: Any) -> None:
    driver = driver_of("m", MemoryTape())
    offline = OfflineDrives(MemoryStateStore())
    inventory = Inventory()
    inventory.settle({"m": driver}, {}, qualifier=_TakesOffline(offline), offline=offline)  # type: ignore[arg-type]  # as much of one as opening asks for
    for work in (
        lambda: inventory.open("nrst0a", OpenMode.RAW, "x"),
        lambda: inventory.held("nrst0a", "x").__enter__(),
    ):
        with pytest.raises(TapeError, match="is offline"):
            work()
    assert driver.opened == []
    assert inventory.holder(inventory.numbered()[0]) is None


@final
class _Flickering:
    """A driver whose second drive is there every other time that somebody looks."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.scheme = driver.scheme

    def discover(self) -> Any:
        drives = self._driver.discover()
        return drives if self._driver.looked % 2 else drives[:1]

    def open_drive(self, address: str) -> Any:
        return self._driver.open_drive(address)


def test_drives_that_come_and_go_keep_their_names_and_holders(
    driver_of: Any, inventory_of: Any
) -> None:
    inventory = inventory_of(_Flickering(driver_of("m", MemoryTape(), MemoryTape())))
    rounds, refusals = 200, []

    def use(name: str) -> None:
        for _ in range(rounds):
            try:
                inventory.open(name, OpenMode.RAW, name).close()
            except TapeError as error:
                refusals.append(error.condition)

    def look() -> None:
        for _ in range(rounds):
            inventory.renew()

    with ThreadPoolExecutor(4) as threads:
        users = [threads.submit(use, name) for name in ("nrst0a", "nrst1a", "nrst1a")]
        for each in (*users, threads.submit(look)):
            each.result(60)
    assert set(refusals) <= {Condition.BUSY}
    assert [row.holder for row in inventory.drives()] == [None, None]
    assert [row.devices[0].name for row in inventory.drives()] == ["rst0l", "rst1l"]
