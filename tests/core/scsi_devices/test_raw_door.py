"""A user's own commands find the drive where the user believes it."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.scsi_devices.raw_door import RawDoor


def test_the_drive_is_settled_before_a_command(door: Any) -> None:
    settled: list[int] = []
    raw = RawDoor(door, lambda: settled.append(len(door.ran)))
    raw.execute(bytes(6), timeout_s=1)
    raw.reset()
    assert settled == [0]
    assert raw.execute(bytes(6), timeout_s=1).status == 2
    assert raw.address == door.address


def test_a_drive_that_cannot_be_settled_gets_no_command(door: Any) -> None:
    def fail() -> None:
        raise OSError("cannot")

    with pytest.raises(OSError, match="cannot"):
        RawDoor(door, fail).execute(bytes(6), timeout_s=1)
    assert door.ran == []
