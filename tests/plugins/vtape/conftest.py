"""A virtual library in a temporary folder, and drives over it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, final

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit_vtape.gated_drive import GatedDrive
    from tapekit_vtape.library import Library


@final
class Robot:
    """Makes cartridges, puts them into drive 0, and opens the drive."""

    def __init__(
        self, directory: Path, wait: Callable[[float], object] | None = None, **settings: Any
    ) -> None:
        settings = {"slots": 500, "drives": 2, "durability": "none", **settings}
        self.driver = VtapeDriver(VtapeSettings(**settings), wait)
        self.driver.settle(directory)
        self.library.create("5E1A1", [])
        self._numbers = itertools.count(1)

    @property
    def library(self) -> Library:
        return self.driver.library

    def empty(self) -> None:
        if self.library.state().inserted(0) is not None:
            self.library.unload(0)

    def insert_new(self, **kinds: int) -> str:
        """A new cartridge in drive 0; its barcode."""
        barcode = f"T{next(self._numbers)}"
        self.library.create_cartridge(barcode, **kinds)
        self.empty()
        self.library.load(0, barcode)
        return barcode

    def protect(self, barcode: str) -> None:
        cartridge = self.library.open_cartridge(barcode, shared=False)
        cartridge.set_protected(is_protected=True)
        cartridge.close()

    def open(self) -> GatedDrive:
        return self.driver.open_drive("0")

    def fresh(self, **kinds: int) -> GatedDrive:
        self.insert_new(**kinds)
        return self.open()

    def protected(self) -> GatedDrive:
        self.protect(self.insert_new())
        return self.open()

    def without_tape(self) -> GatedDrive:
        self.empty()
        return self.open()


@pytest.fixture
def robot_in() -> type[Robot]:
    return Robot


@pytest.fixture
def robot(tmp_path: Path) -> Robot:
    return Robot(tmp_path)


@pytest.fixture
def condition_of() -> Callable[[Callable[[], object]], Condition]:
    """The condition with which a call fails."""

    def call(work: Callable[[], object]) -> Condition:
        with pytest.raises(TapeError) as caught:
            work()
        return caught.value.condition

    return call
