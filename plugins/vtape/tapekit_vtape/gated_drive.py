"""A virtual drive as callers have it: faults and reservations come before its commands.

Commands that are to fail, or that a reservation refuses, do not reach
:class:`VtapeDrive`; what goes wrong with the medium is its own affair. The
one rule: after the way to the drive was down, nothing is read or written
until the tape has been rewound, since nobody knows where it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, final

import msgspec

from tapekit.hookspecs.tape_driver import Condition, TapeError, TapePosition
from tapekit.scsi.log import TAPE_ALERTS
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.fault_board import Touch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tapekit.hookspecs.tape_driver import DriveSetup, DriveStatus, ReadRun
    from tapekit.scsi.door import CdbDoor
    from tapekit.segments import Piece
    from tapekit_vtape.drive import VtapeDrive
    from tapekit_vtape.fault_board import DriveFaults
    from tapekit_vtape.reservation_guard import DeviceGuard

__all__ = ["PACKING", "GatedDrive"]

T = TypeVar("T")

PACKING: Final = frozenset("ma")
"""Compression letters of devices that compress."""


@final
class GatedDrive:
    """A :class:`tapekit.hookspecs.tape_driver.TapeDrive` over a virtual drive."""

    def __init__(
        self,
        drive: VtapeDrive,
        faults: DriveFaults,
        name: str,
        door: CdbDoor,
        guard: DeviceGuard,
    ) -> None:
        self.door: Final[CdbDoor | None] = door
        self._guard: Final = guard
        self._drive: Final = drive
        self._faults: Final = faults
        self._name: Final = name
        self._is_lost = False
        self.alerts: Mapping[int, str] = {}
        """See :attr:`AlertingDrive.alerts`."""

    def _refuse(self, touch: Touch, command: str) -> None:
        """Fail a call as a command of SCSI that does the same would."""
        self._guard.require(command)
        try:
            self._faults.refuse(touch)
        except TapeError as error:
            self._is_lost = self._is_lost or error.condition is Condition.TIMEOUT
            raise

    def _moved(self, command: str, move: Callable[[], T]) -> T:
        """A move from where the tape stands."""
        self._refuse(Touch.MOVE, command)
        if self._is_lost:
            raise CATALOGUE.raised_as(
                TapeError,
                "position-unknown",
                condition=Condition.HARDWARE_ERROR,
                drive=self._name,
            )
        return move()

    def adjust(self, setup: DriveSetup) -> None:
        """See :meth:`AdjustableDrive.adjust`: devices with the letters m and a
        compress, unless somebody has chosen an algorithm for them.
        """
        is_on = setup.compression in PACKING if setup.algorithm is None else setup.algorithm > 0
        self._drive.compress(is_on=is_on)

    def status(self) -> DriveStatus:
        """See :meth:`TapeDrive.status`."""
        self._refuse(Touch.LOOK, "READ POSITION")
        status = self._drive.status()
        if self._is_lost:
            return msgspec.structs.replace(status, position=TapePosition(None, None))
        return status

    def write_records(self, pieces: Sequence[Piece], record_size: int) -> int:
        """See :meth:`TapeDrive.write_records`.

        :raises OSError: the file of an extent cannot be read.
        """
        return self._moved("WRITE(6)", lambda: self._drive.write_records(pieces, record_size))

    def read_records(self, into: memoryview, limit: int, record_size: int) -> ReadRun:
        """See :meth:`TapeDrive.read_records`; answers with one extent."""
        return self._moved("READ(6)", lambda: self._drive.read_records(into, limit, record_size))

    def read_record(self, size: int) -> bytes:
        """See :meth:`TapeDrive.read_record`."""
        return self._moved("READ(6)", lambda: self._drive.read_record(size))

    def write_filemarks(self, count: int) -> None:
        """See :meth:`TapeDrive.write_filemarks`; none at all makes durable."""
        self._moved("WRITE FILEMARKS(6)", lambda: self._drive.write_filemarks(count))

    def space_records(self, count: int) -> int:
        """See :meth:`TapeDrive.space_records`."""
        return self._moved("SPACE(6)", lambda: self._drive.space_records(count))

    def space_filemarks(self, count: int) -> int:
        """See :meth:`TapeDrive.space_filemarks`."""
        return self._moved("SPACE(6)", lambda: self._drive.space_filemarks(count))

    def rewind(self) -> None:
        """See :meth:`TapeDrive.rewind`."""
        self._refuse(Touch.MOVE, "REWIND")
        self._drive.rewind()
        self._is_lost = False

    def unload(self) -> None:
        """See :meth:`TapeDrive.unload`; the cartridge stays in the drive, ejected."""
        self._refuse(Touch.MOVE, "LOAD UNLOAD")
        self._drive.unload()
        self._is_lost = False

    def load(self) -> None:
        """See :meth:`TapeDrive.load`; an ejected cartridge goes in again."""
        self._refuse(Touch.MOVE, "LOAD UNLOAD")
        self._drive.load()

    def close(self) -> None:
        """See :meth:`TapeDrive.close`; later calls do nothing."""
        raised = {flag: TAPE_ALERTS[flag] for flag in sorted(self._drive.alerts)}
        self.alerts = {**self.alerts, **raised}
        self._drive.close()
