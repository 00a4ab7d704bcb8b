"""Whether a drive, of metal or not, does what a backup relies on.

The checks are those that this project's own drives pass: small scripts of
writing, reading and motion, each on an empty tape, and random walks beside a
drive in memory. A scratch cartridge is written and erased many times. The one
rule: a tape with anything on it is not touched unless that is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi_devices.conversation import Conversation
from tapekit.testing import tape_trials
from tapekit_tape_devices.cartridge_guard import CartridgeGuard
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.names import DeviceName, parse_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.tape_driver import TapeDrive
    from tapekit_tape_devices.inventory import Inventory

__all__ = ["LEFT_OUT", "TrialRow", "drive_trials"]

_HOLDER: Final = "tapekit tape check"
_ERASE_S: Final = 60 * 60.0
"""How long a tape may take to forget what is on it, from its beginning."""

LEFT_OUT: Final = (
    "the end of the medium (write a cartridge full)",
    "a write-protected cartridge",
    "a drive without a cartridge",
)
"""What needs other cartridges than the one that is checked with."""


class TrialRow(msgspec.Struct, frozen=True, kw_only=True):
    """How one check has ended."""

    name: str
    is_passed: bool
    message: str = ""
    """What was seen instead of what should be; empty if it was passed."""


def drive_trials(inventory: Inventory, device: str, *, overwrite: bool) -> Iterator[TrialRow]:
    """Check the drive of a device with the cartridge that is in it; the tape
    is empty and rewound at the end.

    :param device: a device of the drive, or the drive by any name that
        administrators have for it.
    :param overwrite: whether what is on the tape may be lost.
    :raises TapeError: the drive cannot be opened, its tape not be written or
        erased, or there is something on it; or it is another tape than before.
    :raises TapekitError: a driver cannot look.
    """
    device = _device_of(inventory, device)
    with inventory.held(device, _HOLDER) as open_drive:
        watch = inventory.watch(inventory.called(device))
        guard = CartridgeGuard(open_drive, watch, device)
        _check_scratch(guard.opened, device, overwrite=overwrite)
        for trial in tape_trials(lambda: _emptied(guard.opened(), device), reopen=guard.reopened):
            try:
                trial.run()
            except AssertionError as error:
                yield TrialRow(name=trial.name, is_passed=False, message=str(error))
            else:
                yield TrialRow(name=trial.name, is_passed=True)
        _emptied(guard.opened(), device).close()


def _device_of(inventory: Inventory, words: str) -> str:
    if parse_name(words) is not None:
        return words
    names = inventory.names(inventory.called(words))
    return str(DeviceName("nr", names[0], "a")) if names else words


def _check_scratch(open_drive: Callable[[], TapeDrive], device: str, *, overwrite: bool) -> None:
    """Whether there is a tape that may be written."""
    drive = open_drive()
    try:
        status = drive.status()
        if not status.has_tape:
            raise CATALOGUE.raised_as(
                TapeError, "no-tape", condition=Condition.NO_TAPE, drive=device
            )
        if status.write_protected:
            raise CATALOGUE.raised_as(
                TapeError, "write-protected", condition=Condition.WRITE_PROTECTED, drive=device
            )
        drive.rewind()
        if not overwrite and not _is_empty(drive):
            raise CATALOGUE.raised_as(
                TapeError, "tape-not-empty", condition=Condition.NOT_PERMITTED, device=device
            )
    finally:
        drive.close()


def _is_empty(drive: TapeDrive) -> bool:
    try:
        drive.read_record(1)
    except TapeError as error:
        # A filemark, or something that cannot be read, is something.
        return error.condition is Condition.END_OF_DATA
    finally:
        drive.rewind()
    return False


def _emptied(drive: TapeDrive, device: str) -> TapeDrive:
    """The drive with an empty tape; closed if that cannot be."""
    try:
        _empty(drive, device)
    except BaseException:
        drive.close()
        raise
    return drive


def _empty(drive: TapeDrive, device: str) -> None:
    """Move the end of the data to the beginning of the tape (SSC, ERASE
    without the bit LONG).
    """
    if drive.door is None:
        raise CATALOGUE.raised_as(
            TapeError, "no-raw-door", condition=Condition.BAD_REQUEST, device=device
        )
    drive.rewind()
    Conversation(drive.door, device, TAPE_COMMANDS).run("ERASE(6)", timeout_s=_ERASE_S)
    drive.rewind()
