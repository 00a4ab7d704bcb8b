"""An inventory over drives in memory, which keep their tape between openings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import pytest

from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import DriveDescription
from tapekit.testing import MemoryChanger, MemoryTape, MemoryTapeDrive
from tapekit_tape_devices.inventory import Inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@final
class MemoryDriver:
    """Drives in memory; ``opened`` tells which are open, ``closed`` how many were."""

    def __init__(self, scheme: str, *tapes: MemoryTape | None) -> None:
        self.scheme = scheme
        self.tapes = tapes
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.looked = 0

    def discover(self) -> list[DriveDescription]:
        self.looked += 1
        return [
            DriveDescription(
                address=str(number),
                physical_path=f"{self.scheme}.{number}",
                vendor="ACME",
                product="MEMORY-TAPE",
                revision="1",
                serial=f"{self.scheme}{number}",
                formats={letter: f"ACME ({letter})" for letter in "lmha"},
            )
            for number in range(len(self.tapes))
        ]

    def open_drive(self, address: str) -> Any:
        self.opened.append(address)
        return _Drive(MemoryTapeDrive(self.tapes[int(address)]), self, address)


@final
class _Drive:
    def __init__(self, drive: MemoryTapeDrive, driver: MemoryDriver, address: str) -> None:
        self._drive = drive
        self._driver = driver
        self._address = address

    def close(self) -> None:
        self._drive.close()
        self._driver.closed.append(self._address)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._drive, name)


@final
class MemoryChangers:
    """Changers in memory; ``made`` makes what is opened."""

    def __init__(self, scheme: str, changers: int) -> None:
        self.scheme = scheme
        self.looked = 0
        self.made: Callable[[], Any] = MemoryChanger
        self._changers = changers

    def discover_changers(self) -> list[ChangerDescription]:
        self.looked += 1
        return [
            ChangerDescription(
                address=str(number),
                physical_path=f"{self.scheme}.{number}",
                vendor="ACME",
                product="MEMORY-LIBRARY",
                revision="1",
                serial=f"{self.scheme}L{number}",
            )
            for number in range(self._changers)
        ]

    def open_changer(self, address: str) -> Any:
        assert int(address) < self._changers
        return self.made()


@pytest.fixture
def changers_of() -> type[MemoryChangers]:
    return MemoryChangers


@pytest.fixture
def driver_of() -> type[MemoryDriver]:
    return MemoryDriver


@pytest.fixture
def inventory_of() -> Callable[..., Inventory]:
    def make(*drivers: MemoryDriver, changers: Sequence[Any] = ()) -> Inventory:
        inventory = Inventory()
        inventory.settle(
            {driver.scheme: driver for driver in drivers},
            {driver.scheme: driver for driver in changers},
        )
        return inventory

    return make
