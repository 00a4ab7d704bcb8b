"""Closing a device rewinds, leaves or unloads the tape, and always lets go."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.testing import MemoryTape, MemoryTapeDrive
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.names import DeviceName
from tapekit_tape_devices.open_tape import HeldTape


class RecordingDrive:
    """Tells what was asked of it, in order; ``fails`` names a call that fails."""

    def __init__(self, tape: MemoryTape | None, fails: str = "") -> None:
        self._drive = MemoryTapeDrive(tape)
        self._fails = fails
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            self.calls.append(name)
            if name == self._fails:
                raise CATALOGUE.raised_as(
                    TapeError, "no-tape", condition=Condition.MEDIUM_ERROR, drive="x"
                )
            return getattr(self._drive, name)(*args)

        return call


def closed(rewind_type: str, drive: RecordingDrive) -> list[str]:
    freed: list[str] = []
    device = DeviceName(rewind_type, 0, "a").row
    tape = HeldTape(
        device,
        drive,  # type: ignore[arg-type] # answers everything
        lambda: freed.append("free"),
        is_writable=True,
        reload=lambda: drive.calls.append("reload"),
    )
    try:
        tape.close()
    finally:
        tape.close()
        assert freed == ["free"]
    return drive.calls


@pytest.mark.requirement("R059")
def test_a_rewind_device_rewinds() -> None:
    assert closed("r", RecordingDrive(MemoryTape())) == ["status", "rewind", "close"]


@pytest.mark.requirement("R060")
def test_a_no_rewind_device_leaves_the_tape_where_it_is() -> None:
    assert closed("nr", RecordingDrive(MemoryTape())) == ["close"]


@pytest.mark.requirement("R061")
def test_an_unload_device_unloads() -> None:
    assert closed("ur", RecordingDrive(MemoryTape())) == ["status", "unload", "reload", "close"]


def test_a_drive_without_a_tape_has_nothing_to_rewind() -> None:
    assert closed("r", RecordingDrive(None)) == ["status", "close"]


def test_a_tape_that_was_unloaded_before_is_followed_by_the_next_one() -> None:
    assert closed("ur", RecordingDrive(None)) == ["status", "reload", "close"]


@pytest.mark.parametrize(
    ("rewind_type", "fails"), [("r", "rewind"), ("r", "close"), ("nr", "close"), ("ur", "unload")]
)
def test_a_device_is_free_also_when_closing_fails(rewind_type: str, fails: str) -> None:
    drive = RecordingDrive(MemoryTape(), fails)
    with pytest.raises(TapeError):
        closed(rewind_type, drive)
    assert drive.calls[-1] == "close"
