"""The changer checks over every changer, and over changers with one fault each."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tapekit.hookspecs.tape_driver import TapeError
from tapekit.scsi_devices.changer import CdbChanger
from tapekit.testing import MemoryChanger, check_media_changer
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tapekit.hookspecs.media_changer import Element, MediaChanger
    from tapekit_vtape.changer import VtapeChanger

TAGS = ("T00001", "T00002", "T00003")


@pytest.fixture
def virtual_changer(tmp_path: Path) -> Callable[[], VtapeChanger]:
    """Opens the changer of a new library, whose drive 1 is empty."""
    folders = (tmp_path / f"library{n}" for n in itertools.count())

    def make() -> VtapeChanger:
        settings = VtapeSettings(
            directory=str(next(folders)), drives=2, slots=6, mail_slots=2, durability="none"
        )
        driver = VtapeDriver(settings)
        driver.library.create("S1", TAGS)
        driver.library.unload(1)
        return driver.open_changer("changer")

    return make


def memory_changer() -> MemoryChanger:
    return MemoryChanger(TAGS)


def test_the_changer_in_memory_keeps_the_contract() -> None:
    check_media_changer(memory_changer)


@pytest.mark.requirement("R067")
def test_virtual_changers_keep_the_contract(virtual_changer: Any) -> None:
    check_media_changer(virtual_changer)


def test_a_changer_behind_a_raw_door_keeps_the_contract(virtual_changer: Any) -> None:
    def behind_its_door() -> MediaChanger:
        changer = virtual_changer()
        assert changer.door is not None
        return CdbChanger(changer.door, "v.64", changer.close)

    check_media_changer(behind_its_door)


def test_both_ways_tell_the_same_of_a_library(virtual_changer: Any) -> None:
    changer = virtual_changer()
    assert CdbChanger(changer.door, "v.64", changer.close).elements() == changer.elements()


class OneFault:
    """A right changer; the subclasses do one thing wrong."""

    def __init__(self) -> None:
        self.right = memory_changer()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.right, name)


class TellsDrivesFirst(OneFault):
    def elements(self) -> Sequence[Element]:
        return self.right.elements()[::-1]


class KeepsTheTag(OneFault):
    def elements(self) -> Sequence[Element]:
        return [
            msgspec.structs.replace(one, volume_tag=one.volume_tag or "OLD")
            for one in self.right.elements()
        ]


class MovesNothing(OneFault):
    def move(self, source: int, destination: int) -> None:
        self.right.move(source, destination)
        self.right.move(destination, source)


class EjectsBeforeItRefuses(OneFault):
    def move(self, source: int, destination: int) -> None:
        try:
            self.right.move(source, destination)
        except TapeError:
            self.right._tags.pop(source, None)
            raise


class TakesAnyAddress(OneFault):
    def move(self, source: int, destination: int) -> None:
        known = {one.address for one in self.right.elements()}
        if {source, destination} <= known:
            self.right.move(source, destination)


class LosesTheSecond(OneFault):
    def exchange(self, source: int, destination: int, second: int) -> None:
        self.right.exchange(source, destination, second)
        self.right._tags.pop(second)


class InventsASource(OneFault):
    def elements(self) -> Sequence[Element]:
        return [
            msgspec.structs.replace(one, source=7) if one.address == 256 else one
            for one in self.right.elements()
        ]


@pytest.mark.parametrize(
    ("changer", "words"),
    [
        (TellsDrivesFirst, "by type and address"),
        (KeepsTheTag, "is empty and has the barcode OLD"),
        (MovesNothing, "check move between slots: element 1024: is_full"),
        (EjectsBeforeItRefuses, "check refusals: elements after move"),
        (TakesAnyAddress, "check refusals: move.*expected TapeError"),
        (LosesTheSecond, "check exchange: element 1027: is_full"),
        (InventsASource, "source of drive 256: 7"),
    ],
)
def test_a_fault_is_found_and_told(changer: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_media_changer(changer)
