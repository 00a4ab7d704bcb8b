"""Whether a drive still has the cartridge that it had.

Somebody may change the cartridge by hand. A drive tells it by a unit attention
to the next command, if it remembers, and the cartridge has a memory of its own
with serial number and barcode (SPC, READ ATTRIBUTE), if it is of a kind that
has. The one rule: once the cartridge is another one, or may be, nobody writes
on it or erases it from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.attributes import BARCODE, MEDIUM_MANUFACTURER, MEDIUM_SERIAL, decode_attributes
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.malformed import Malformed
from tapekit.scsi_devices.conversation import Conversation
from tapekit_tape_devices.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.tape_driver import DriveStatus, ReadRun, TapeDrive
    from tapekit.scsi.door import CdbDoor, CdbReply, ScsiAddress
    from tapekit.segments import Piece
    from tapekit_tape_devices.drive_watch import DriveWatch

__all__ = ["CartridgeGuard"]

_ROOM: Final = 4096
_NAMES: Final = (BARCODE, MEDIUM_MANUFACTURER, MEDIUM_SERIAL)


@final
class CartridgeGuard:
    """Opens one drive again and again, as long as it has the same cartridge."""

    def __init__(self, open_drive: Callable[[], TapeDrive], watch: DriveWatch, device: str) -> None:
        """:param watch: counts what the drive has told of changed cartridges.
        :param device: as whoever asked for the check calls the drive.
        """
        self._open_drive: Final = open_drive
        self._watch: Final = watch
        self._device: Final = device
        self._name: str | None = None
        self._is_known = False

    def opened(self) -> TapeDrive:
        """The drive; its tape may have to be rewound, since reading the
        cartridge's memory may move it.

        :raises TapeError: it has another cartridge, or cannot be opened.
        """
        drive = self.reopened()
        try:
            self.compare(drive)
        except BaseException:
            drive.close()
            raise
        return drive

    def reopened(self) -> TapeDrive:
        """The drive with its tape where it was left; only what the drive tells
        of itself is heard.

        :raises TapeError: see :meth:`opened`.
        """
        before = self._watch.cartridge_changes
        drive = self._open_drive()
        if not self._is_known:
            before = self._watch.cartridge_changes
        sure = _SureDrive(drive, self, before)
        try:
            sure.require_same()
        except BaseException:
            drive.close()
            raise
        return sure

    @property
    def changes(self) -> int:
        """How often the drive has told that it may have another cartridge."""
        return self._watch.cartridge_changes

    def compare(self, drive: TapeDrive) -> None:
        """Look at the memory of the cartridge, which may move the tape.

        :raises TapeError: it is another one, or the drive does not answer.
        """
        self._compare(self._read_name(drive))

    def _compare(self, name: str | None) -> None:
        if not self._is_known:
            self._name, self._is_known = name, True
        elif name != self._name:
            now, before = name or "none that tells", self._name or "none that tells"
            raise self.changed(f"it is {now} and was {before}")

    def changed(self, reason: str) -> TapeError:
        """The error of a cartridge that is not the one that was there."""
        return CATALOGUE.raised_as(
            TapeError,
            "cartridge-changed",
            condition=Condition.NOT_PERMITTED,
            device=self._device,
            reason=reason,
        )

    def _read_name(self, drive: TapeDrive) -> str | None:
        """Barcode, manufacturer and serial number; ``None`` if nothing tells them."""
        if drive.door is None or not drive.status().has_tape:
            return None
        asking = Conversation(drive.door, self._device, TAPE_COMMANDS)
        try:
            answer = asking.run("READ ATTRIBUTE", room=_ROOM, allocation=_ROOM)
        except TapeError as error:
            if error.condition is Condition.BAD_REQUEST:
                # Neither drives before LTO nor emulations know the command.
                return None
            raise
        try:
            found = decode_attributes(answer)
        except Malformed:
            return None
        words = (found.get(name, b"").decode("ascii", "replace").strip("\0 ") for name in _NAMES)
        return " ".join(word for word in words if word) or None


@final
class _SureDrive:
    """A :class:`tapekit.hookspecs.tape_driver.TapeDrive` before another, which
    changes nothing on a cartridge once the drive has told of another one.
    """

    def __init__(self, drive: TapeDrive, guard: CartridgeGuard, changes: int) -> None:
        """:param changes: those of before the drive was opened."""
        self.door: Final = None if drive.door is None else _SureDoor(drive.door, self.require_same)
        self._drive: Final = drive
        self._guard: Final = guard
        self._changes = changes

    def require_same(self) -> None:
        """Refuse to go on with another cartridge.

        :raises TapeError: ``NOT_PERMITTED``, the drive has told of one.
        """
        if self._guard.changes != self._changes:
            raise self._guard.changed("the drive has told so")

    def status(self) -> DriveStatus:
        """See :meth:`TapeDrive.status`."""
        return self._drive.status()

    def write_records(self, pieces: Sequence[Piece], record_size: int) -> int:
        """See :meth:`TapeDrive.write_records`."""
        self.require_same()
        return self._drive.write_records(pieces, record_size)

    def read_records(self, into: memoryview, limit: int, record_size: int) -> ReadRun:
        """See :meth:`TapeDrive.read_records`."""
        return self._drive.read_records(into, limit, record_size)

    def read_record(self, size: int) -> bytes:
        """See :meth:`TapeDrive.read_record`."""
        return self._drive.read_record(size)

    def write_filemarks(self, count: int) -> None:
        """See :meth:`TapeDrive.write_filemarks`."""
        self.require_same()
        self._drive.write_filemarks(count)

    def space_records(self, count: int) -> int:
        """See :meth:`TapeDrive.space_records`."""
        return self._drive.space_records(count)

    def space_filemarks(self, count: int) -> int:
        """See :meth:`TapeDrive.space_filemarks`."""
        return self._drive.space_filemarks(count)

    def rewind(self) -> None:
        """See :meth:`TapeDrive.rewind`."""
        self._drive.rewind()

    def unload(self) -> None:
        """See :meth:`TapeDrive.unload`."""
        self._drive.unload()

    def load(self) -> None:
        """See :meth:`TapeDrive.load`; what has been loaded is looked at, since
        some drives tell of their own loads as of another cartridge.
        """
        self._drive.load()
        self._guard.compare(self._drive)
        self._drive.rewind()
        self._changes = self._guard.changes

    def close(self) -> None:
        """See :meth:`TapeDrive.close`."""
        self._drive.close()


@final
class _SureDoor:
    """A :class:`tapekit.scsi.door.CdbDoor` before another."""

    def __init__(self, door: CdbDoor, require_same: Callable[[], None]) -> None:
        self._door: Final = door
        self._require_same: Final = require_same

    @property
    def address(self) -> ScsiAddress:
        """See :attr:`CdbDoor.address`."""
        return self._door.address

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """See :meth:`CdbDoor.execute`.

        :raises TapeError: also ``NOT_PERMITTED``: it is another cartridge.
        """
        self._require_same()
        return self._door.execute(cdb, data_out=data_out, data_in=data_in, timeout_s=timeout_s)

    def reset(self) -> None:
        """See :meth:`CdbDoor.reset`."""
        self._door.reset()
