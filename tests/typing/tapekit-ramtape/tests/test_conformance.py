"""The drive keeps the contract that every tape drive keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tapekit_ramtape.plugin import RamTapeDriver

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.testing import check_tape_drive

if TYPE_CHECKING:
    from tapekit.sequence_drive import SequenceDrive


def test_ram_drive_keeps_the_contract() -> None:
    drivers: list[RamTapeDriver] = []

    def fresh() -> SequenceDrive:
        drivers.append(RamTapeDriver(1))
        return drivers[-1].open_drive("ram0")

    check_tape_drive(fresh, reopen=lambda: drivers[-1].open_drive("ram0"))


@pytest.mark.parametrize(
    ("address", "condition"), [("ram0", Condition.BUSY), ("ram1", Condition.NO_DEVICE)]
)
def test_a_drive_opens_once_and_only_if_it_is_there(address: str, condition: Condition) -> None:
    driver = RamTapeDriver(1)
    driver.open_drive("ram0")
    with pytest.raises(TapeError) as caught:
        driver.open_drive(address)
    assert caught.value.condition is condition
