"""Opens drives and changers with everything that stands between them and their users.

From the device outwards: its own door, the trace, the reservation, what
drives it, the counts. A driver that offers doors (:class:`DoorDriver`) has
all of it below its commands; for another one, trace and reservation are
before the raw door alone. The one rule: what has been opened or reserved when
a later step fails is given back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import DoorDriver
from tapekit_tape_devices.drive_watch import TracedDoor, WatchedDrive

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.media_changer import ChangerDriver, MediaChanger
    from tapekit.hookspecs.tape_driver import TapeDrive, TapeDriver
    from tapekit.scsi.door import CdbDoor, CdbReply, DeviceDoor, ScsiAddress
    from tapekit_tape_devices.drive_watch import DriveWatch
    from tapekit_tape_devices.hookspecs import Reservation, Reservations

__all__ = ["open_changer", "open_drive"]


def open_drive(
    driver: TapeDriver,
    address: str,
    device: str,
    watch: DriveWatch,
    reservations: Reservations | None,
    prepare: Callable[[TapeDrive], object],
) -> TapeDrive:
    """A drive for one user.

    :param device: the drive's physical path name, for messages.
    :param prepare: is given what the driver has opened, once it is reserved.
    :raises TapeError: ``NO_DEVICE``, ``BUSY``, ``RESERVED``, or it does not answer.
    """
    if isinstance(driver, DoorDriver):
        door = driver.open_door(address)
        entrance = _entrance(door, TracedDoor(door, watch), device, reservations)
        drive = driver.drive_behind(entrance, address)
        return _prepared(WatchedDrive(drive, watch, drive.door), drive, prepare)
    drive = driver.open_drive(address)
    if drive.door is None:
        return _prepared(WatchedDrive(drive, watch, None), drive, prepare)
    traced = TracedDoor(drive.door, watch)
    reservation = _reserved(reservations, traced, device, drive.close)
    if reservation is None:
        return _prepared(WatchedDrive(drive, watch, traced), drive, prepare)
    watched = WatchedDrive(drive, watch, reservation.door, reservation.release)
    return _prepared(watched, drive, prepare)


def _prepared(
    watched: WatchedDrive, drive: TapeDrive, prepare: Callable[[TapeDrive], object]
) -> WatchedDrive:
    try:
        prepare(drive)
    except BaseException:
        watched.close()
        raise
    return watched


def open_changer(
    driver: ChangerDriver, address: str, device: str, reservations: Reservations | None
) -> tuple[MediaChanger, Callable[[], object]]:
    """A changer for one user, and what is to be called before it is closed;
    see :func:`open_drive`.

    :raises TapeError: ``NO_DEVICE``, ``BUSY``, ``RESERVED``, or it does not answer.
    """
    if isinstance(driver, DoorDriver):
        door = driver.open_door(address)
        entrance = _entrance(door, door, device, reservations)
        return driver.changer_behind(entrance, address), _nothing
    changer = driver.open_changer(address)
    if reservations is None or changer.door is None:
        return changer, _nothing
    reservation = _reserved(reservations, changer.door, device, changer.close)
    return changer, _nothing if reservation is None else reservation.release


def _nothing() -> None:
    """The door itself gives back what is reserved, or nothing is."""


def _entrance(
    door: DeviceDoor, traced: CdbDoor, device: str, reservations: Reservations | None
) -> DeviceDoor:
    reservation = _reserved(reservations, traced, device, door.close)
    if reservation is None:
        return _Entrance(door, traced, _nothing)
    return _Entrance(door, reservation.door, reservation.release)


def _reserved(
    reservations: Reservations | None,
    door: CdbDoor,
    device: str,
    close: Callable[[], object],
) -> Reservation | None:
    """The reservation of a device, if there is to be one; the device is closed
    if it cannot be had.
    """
    if reservations is None:
        return None
    try:
        return reservations.reserve(door, device)
    except BaseException:
        close()
        raise


@final
class _Entrance:
    """A :class:`tapekit.scsi.door.DeviceDoor`: the first of several doors."""

    def __init__(self, door: DeviceDoor, first: CdbDoor, release: Callable[[], object]) -> None:
        """:param door: the device's own.
        :param first: what commands go through on their way to it.
        :param release: gives back what was reserved.
        """
        self._door: Final = door
        self._first: Final = first
        self._release: Final = release
        self._is_closed = False

    @property
    def address(self) -> ScsiAddress:
        """See :attr:`CdbDoor.address`."""
        return self._door.address

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """See :meth:`CdbDoor.execute`."""
        return self._first.execute(cdb, data_out=data_out, data_in=data_in, timeout_s=timeout_s)

    def reset(self) -> None:
        """See :meth:`CdbDoor.reset`."""
        self._first.reset()

    def close(self) -> None:
        """See :meth:`DeviceDoor.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._release()
        finally:
            self._door.close()
