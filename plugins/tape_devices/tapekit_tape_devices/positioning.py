"""The movements of ``storage tape position``, as an administrator knows them.

Each is a function of an open drive and a count; it answers how many filemarks
or records were passed or written. The one rule: a movement that ends early
says how far it came, and is no error.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi_devices.conversation import Conversation
from tapekit_tape_devices.drive_operations import Movement
from tapekit_tape_devices.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekit.hookspecs.tape_driver import TapeDrive

__all__ = ["move"]

_FAR: Final = 0x7F_FFFF
"""More filemarks than a tape has."""

_ERASE_S: Final = 24 * 60 * 60.0
"""How long a whole cartridge may take to be erased."""


def move(drive: TapeDrive, movement: Movement, count: int, device: str) -> int:
    """Move the tape; how many filemarks or records were passed or written.

    :param device: the drive's physical path name, for messages.
    :raises TapeError: the tape cannot move or be written at all.
    """
    return _MOVEMENTS[movement](drive, count, device)


def _write_filemarks(drive: TapeDrive, count: int, _device: str) -> int:
    drive.write_filemarks(count)
    return count


def _rewind(drive: TapeDrive, _count: int, _device: str) -> int:
    drive.rewind()
    return 0


def _to_end(drive: TapeDrive, _count: int, _device: str) -> int:
    return drive.space_filemarks(_FAR)


def _erase(drive: TapeDrive, _count: int, device: str) -> int:
    """SSC, ERASE with the bit LONG, from the beginning of the tape."""
    if drive.door is None:
        raise CATALOGUE.raised_as(
            TapeError, "no-raw-door", condition=Condition.BAD_REQUEST, device=device
        )
    drive.rewind()
    Conversation(drive.door, device, TAPE_COMMANDS).run("ERASE(6)", timeout_s=_ERASE_S, long=1)
    drive.rewind()
    return 0


_MOVEMENTS: Final[Mapping[Movement, Callable[[TapeDrive, int, str], int]]] = MappingProxyType(
    {
        Movement.WEOF: _write_filemarks,
        Movement.FSF: lambda drive, count, _device: drive.space_filemarks(count),
        Movement.BSF: lambda drive, count, _device: drive.space_filemarks(-count),
        Movement.FSR: lambda drive, count, _device: drive.space_records(count),
        Movement.BSR: lambda drive, count, _device: drive.space_records(-count),
        Movement.REWIND: _rewind,
        Movement.ERASE: _erase,
        Movement.EOM: _to_end,
        Movement.APPEND: _to_end,
    }
)
