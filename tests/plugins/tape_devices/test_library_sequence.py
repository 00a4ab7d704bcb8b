"""An unload device goes through the tapes of its library, slot by slot."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tapekit.hookspecs.media_changer import Element, ElementType
from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError
from tapekit.testing import MemoryChanger, MemoryTape
from tapekit_tape_devices.library_sequence import home_of, next_of

DRIVE = Element(address=256, type=ElementType.DRIVE, is_full=True, source=12)


def slot(address: int, tag: str | None, **more: Any) -> Element:
    return Element(
        address=address,
        type=ElementType.STORAGE,
        is_full=tag is not None,
        volume_tag=tag,
        **more,
    )


def test_a_tape_goes_back_to_the_slot_that_it_came_from() -> None:
    assert home_of([slot(10, None), slot(12, None)], DRIVE) == 12


def test_a_tape_whose_slot_is_taken_or_unknown_goes_to_the_first_empty_one() -> None:
    assert home_of([slot(12, "A"), slot(11, None), slot(10, None)], DRIVE) == 10
    assert home_of([slot(12, "A")], DRIVE) is None


def test_the_next_tape_is_in_the_next_full_slot() -> None:
    slots = [slot(10, "A"), slot(14, "D"), slot(11, None), slot(13, "C")]
    following = next_of(slots, 10)
    assert following is not None
    assert following.volume_tag == "C"


def test_the_sequence_ends_and_never_begins_anew() -> None:
    assert next_of([slot(10, "A"), slot(11, None)], 11) is None


def test_cleaning_cartridges_and_what_cannot_be_reached_are_left_out() -> None:
    slots = [slot(11, "CLN001L6"), slot(12, "B", is_accessible=False)]
    assert next_of(slots, 10) is None


class Library:
    """A changer in memory and the drive that it serves, whose tape is always there."""

    def __init__(
        self, tags: list[str], inventory_of: Any, driver_of: Any, changers_of: Any
    ) -> None:
        self.changer = MemoryChanger(tags, drive_serials=("m0",))
        self.changer.move(1024, 256)
        driver = changers_of("m", 1)
        driver.made = lambda: self.changer
        self.inventory = inventory_of(driver_of("m", MemoryTape()), changers=[driver])

    def use(self, device: str = "urst0a") -> None:
        self.inventory.open(device, OpenMode.READ_WRITE, "session 1").close()

    def tags(self) -> dict[int, str | None]:
        return {one.address: one.volume_tag for one in self.changer.elements() if one.is_full}


@pytest.fixture
def library(inventory_of: Any, driver_of: Any, changers_of: Any) -> Library:
    return Library(["A", "B"], inventory_of, driver_of, changers_of)


@pytest.mark.requirement("R061")
def test_closing_an_unload_device_loads_the_next_tape(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    library.use()
    assert library.tags() == {1024: "A", 256: "B"}
    assert caplog.text == ""
    library.use()
    assert library.tags() == {1024: "A", 1025: "B"}
    assert "m.0 stays empty: its library has no further tape" in caplog.text


def test_an_empty_drive_stays_empty(library: Library) -> None:
    library.changer.move(256, 1027)
    library.use()
    assert library.tags() == {1025: "B", 1027: "A"}


@pytest.mark.requirement("R061")
def test_other_devices_leave_the_tape_in_the_drive(library: Library) -> None:
    library.use("rst0a")
    library.use("nrst0a")
    assert library.tags() == {256: "A", 1025: "B"}


@pytest.mark.requirement("R062")
def test_a_drive_that_no_changer_knows_cannot_be_used_so(
    inventory_of: Any, driver_of: Any, changers_of: Any
) -> None:
    driver = changers_of("m", 2)
    driver.made = lambda: MemoryChanger(drive_serials=("other",))
    inventory = inventory_of(driver_of("m", MemoryTape()), changers=[driver])
    with pytest.raises(TapeError) as caught:
        inventory.open("urst0a", OpenMode.READ, "session 1")
    assert caught.value.condition is Condition.NO_DEVICE
    assert "would need a library" in str(caught.value)
    assert inventory.drives()[0].holder is None
    assert [row.holder for row in inventory.changers()] == [None, None]


def test_a_changer_that_somebody_has_refuses_the_device(library: Library) -> None:
    opened = library.inventory.open_changer("mc0", "session 9")
    with pytest.raises(TapeError) as caught:
        library.use()
    assert str(caught.value) == "media changer m.0 is in use by session 9"
    assert library.inventory.drives()[0].holder is None
    opened.close()
    library.use()


def test_somebody_at_another_library_is_in_nobody_s_way(
    inventory_of: Any, driver_of: Any, changers_of: Any
) -> None:
    made = [MemoryChanger(drive_serials=("m0",)), MemoryChanger(drive_serials=("other",))]
    driver = changers_of("m", 2)
    driver.made = made.pop
    inventory = inventory_of(driver_of("m", MemoryTape()), changers=[driver])
    held = inventory.open_changer("mc0", "session 9")
    inventory.open("urst0a", OpenMode.READ_WRITE, "session 1")
    assert [row.holder for row in inventory.changers()] == ["session 9", None]
    held.close()


def test_a_changer_that_is_taken_meanwhile_leaves_the_tape_unloaded(library: Library) -> None:
    tape = library.inventory.open("urst0a", OpenMode.READ_WRITE, "session 1")
    library.inventory.open_changer("mc0", "session 9")
    with pytest.raises(TapeError, match="is in use by session 9"):
        tape.close()
    assert not tape.drive.status().has_tape
    assert library.tags() == {256: "A", 1025: "B"}
    assert library.inventory.drives()[0].holder is None


def test_a_tape_without_a_slot_stays_and_is_told(
    inventory_of: Any, driver_of: Any, changers_of: Any
) -> None:
    library = Library(["A", "B"], inventory_of, driver_of, changers_of)
    library.changer._tags.update({1024: "X", 1026: "Y", 1027: "Z"})
    with pytest.raises(TapeError, match=r"the tape in drive m\.0 has no slot") as caught:
        library.use()
    assert caught.value.condition is Condition.DESTINATION_FULL
    assert library.tags()[256] == "A"


def test_a_changer_that_cannot_be_asked_is_free_again(library: Library) -> None:
    class Silent(Exception):
        pass

    def fail() -> Any:
        raise Silent

    library.changer.elements = fail  # type: ignore[method-assign] # a changer that does not answer
    with pytest.raises(Silent):
        library.use()
    assert library.inventory.changers()[0].holder is None


@pytest.mark.requirement("R062")
def test_whoever_opens_the_last_tape_is_warned_and_nobody_writes_without_one(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    library.use()
    assert "is the last one" not in caplog.text
    library.use()
    assert "the tape in m.0 is the last one of its library sequence" in caplog.text
    assert library.tags() == {1024: "A", 1025: "B"}
