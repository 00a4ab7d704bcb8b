"""Whether a drive still has the cartridge that it had.

Between two openings somebody may change the cartridge by hand. A drive tells
it by a unit attention to the next command, if it remembers, and the cartridge
has a memory of its own with serial number and barcode (SPC, READ ATTRIBUTE),
if it is of a kind that has. The one rule: once the cartridge is another one,
or may be, nobody gets the drive from here.
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
    from collections.abc import Callable

    from tapekit.hookspecs.tape_driver import TapeDrive
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
            self._compare(self._read_name(drive))
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
        if self._is_known and self._watch.cartridge_changes != before:
            drive.close()
            raise self._changed("the drive has told so")
        return drive

    def _compare(self, name: str | None) -> None:
        if not self._is_known:
            self._name, self._is_known = name, True
        elif name != self._name:
            now, before = name or "none that tells", self._name or "none that tells"
            raise self._changed(f"it is {now} and was {before}")

    def _changed(self, reason: str) -> TapeError:
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
