"""Changers are numbered once, and each has one holder at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError
from tapekit.testing import MemoryTape
from tapekit_tape_devices.changers import MOST_CHANGERS
from tapekit_tape_devices.errors import CATALOGUE


def refused(inventory: Any, name: str) -> TapeError:
    with pytest.raises(TapeError) as caught:
        inventory.open_changer(name, "session 2")
    return caught.value


def test_changers_are_numbered_by_scheme_and_then_as_found(
    changers_of: Any, inventory_of: Any
) -> None:
    inventory = inventory_of(changers=[changers_of("zz", 1), changers_of("aa", 2)])
    rows = inventory.changers()
    assert [(row.name, row.scheme, row.description.physical_path) for row in rows] == [
        ("mc0", "aa", "aa.0"),
        ("mc1", "aa", "aa.1"),
        ("mc2", "zz", "zz.0"),
    ]


def test_changers_are_looked_for_once(changers_of: Any, inventory_of: Any) -> None:
    driver = changers_of("m", 1)
    inventory = inventory_of(changers=[driver])
    inventory.discover()
    inventory.changers()
    inventory.open_changer("mc0", "x").close()
    assert driver.looked == 1


@pytest.mark.requirement("R066")
def test_the_seventeenth_changer_has_no_name(
    changers_of: Any, inventory_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    inventory = inventory_of(changers=[changers_of("m", MOST_CHANGERS + 1)])
    assert len(inventory.changers()) == MOST_CHANGERS == 16
    assert "17 media changers are connected" in caplog.text
    inventory.open_changer("mc15", "x").close()
    error = refused(inventory, "mc16")
    assert error.condition is Condition.NO_DEVICE
    assert "at most 16 media changers" in str(error)
    assert "the changers are mc0 to mc15" in str(refused(inventory, "mc17"))


@pytest.mark.parametrize("name", ["", "mc", "mc00", "mc1", "mc-1", "nrst0a", "MC0"])
def test_an_unknown_changer_is_named_with_what_there_is(
    changers_of: Any, inventory_of: Any, name: str
) -> None:
    error = refused(inventory_of(changers=[changers_of("m", 1)]), name)
    assert error.condition is Condition.NO_DEVICE
    assert str(error) == f'there is no media changer "{name}"; the changer is mc0'


def test_a_stack_without_changers_says_so(inventory_of: Any) -> None:
    assert "no media changer is connected" in str(refused(inventory_of(), "mc0"))


def test_a_second_holder_is_told_the_first_one(changers_of: Any, inventory_of: Any) -> None:
    inventory = inventory_of(changers=[changers_of("m", 1)])
    opened = inventory.open_changer("mc0", "session 1")
    assert opened.name == "mc0"
    assert inventory.changers()[0].holder == "session 1"
    error = refused(inventory, "mc0")
    assert error.condition is Condition.BUSY
    assert str(error) == "media changer m.0 is in use by session 1"
    opened.close()
    opened.close()
    assert not opened.changer.is_open
    assert inventory.changers()[0].holder is None
    inventory.open_changer("mc0", "session 2").close()


def test_a_drive_and_its_changer_have_holders_of_their_own(
    driver_of: Any, changers_of: Any, inventory_of: Any
) -> None:
    inventory = inventory_of(driver_of("m", MemoryTape()), changers=[changers_of("m", 1)])
    inventory.open("nrst0a", OpenMode.READ, "session 1")
    inventory.open_changer("mc0", "session 2")
    assert inventory.drives()[0].holder == "session 1"
    assert inventory.changers()[0].holder == "session 2"


def test_a_changer_that_cannot_be_opened_is_free_again(changers_of: Any, inventory_of: Any) -> None:
    class FailingDriver:
        scheme = "bad"
        discover_changers = changers_of("bad", 1).discover_changers

        def open_changer(self, address: str) -> Any:
            raise CATALOGUE.raised_as(
                TapeError, "no-tape", condition=Condition.HARDWARE_ERROR, drive=address
            )

    inventory = inventory_of(changers=[FailingDriver()])
    assert refused(inventory, "mc0").condition is Condition.HARDWARE_ERROR
    assert inventory.changers()[0].holder is None


def test_a_changer_is_free_also_when_closing_fails(changers_of: Any, inventory_of: Any) -> None:
    class FailingChanger:
        def close(self) -> None:
            raise CATALOGUE.raised_as(
                TapeError, "no-tape", condition=Condition.HARDWARE_ERROR, drive="x"
            )

    driver = changers_of("m", 1)
    driver.made = FailingChanger
    inventory = inventory_of(changers=[driver])
    opened = inventory.open_changer("mc0", "session 1")
    with pytest.raises(TapeError):
        opened.close()
    assert inventory.changers()[0].holder is None


def test_a_changer_that_is_being_closed_is_waited_for(
    changers_of: Any, inventory_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = inventory_of(changers=[changers_of("m", 1)])
    first = inventory.open_changer("mc0", "session 1")
    is_closing, may_end = threading.Event(), threading.Event()

    def close_slowly() -> None:
        is_closing.set()
        assert may_end.wait(60)

    monkeypatch.setattr(first, "_release", close_slowly)
    with ThreadPoolExecutor(2) as pool:
        closing = pool.submit(first.close)
        assert is_closing.wait(60)
        opening = pool.submit(inventory.open_changer, "mc0", "session 2")
        may_end.set()
        closing.result()
        opening.result().close()
