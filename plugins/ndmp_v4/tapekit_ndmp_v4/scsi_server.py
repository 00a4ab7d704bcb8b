"""The SCSI device of a session: at most one, and none beside an open tape.

A device is a media changer or a tape drive by one of its names; what is kept
of it is the raw door through which commands go. The one rule: a device whose
door is missing is let go again at once, so an open device always has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, final

from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError
from tapekit_ndmp_v4.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.tape_driver import TapeInventory
    from tapekit.scsi.door import CdbDoor
    from tapekit_ndmp_v4.link import SessionLink

__all__ = ["ScsiServer"]

T = TypeVar("T")


class _Opened(NamedTuple):
    """A device that the inventory has lent."""

    door: CdbDoor
    let_go: Callable[[], None]


@final
class ScsiServer:
    """Opens, lends and closes the session's SCSI device."""

    def __init__(self, inventory: TapeInventory | None, link: SessionLink) -> None:
        self._inventory: Final = inventory
        self._link: Final = link
        self._opened: _Opened | None = None

    @property
    def door(self) -> CdbDoor | None:
        """The raw door of the open device, or ``None`` if none is open."""
        return self._opened.door if self._opened is not None else None

    async def open(self, device: str) -> None:
        """Open a changer, or a tape drive with a tape or without.

        :raises TapekitError: ``ndmp_v4.no-scsi-devices``,
            ``ndmp_v4.device-takes-no-commands``.
        :raises TapeError: see :meth:`TapeInventory.open_changer`.
        """
        inventory = self._inventory
        if inventory is None:
            raise CATALOGUE.raised_as(
                TapeError, "no-scsi-devices", condition=Condition.NO_DEVICE, device=device
            )
        door, let_go = await self.blocking(lambda: _held(inventory, device, self._link.name))
        if door is None:
            await self.blocking(let_go)
            raise CATALOGUE.error("device-takes-no-commands", device=device)
        self._opened = _Opened(door, let_go)

    async def close(self) -> None:
        """Let go of the device if one is open, also when that fails.

        :raises TapeError: a tape drive could not do what its name says.
        """
        opened, self._opened = self._opened, None
        if opened is not None:
            await self.blocking(opened.let_go)

    async def blocking(self, work: Callable[[], T]) -> T:
        """Run work that waits for a device in a worker thread."""
        return await self._link.in_thread(work)


def _held(
    inventory: TapeInventory, device: str, holder: str
) -> tuple[CdbDoor | None, Callable[[], None]]:
    """A changer of that name, else a tape drive: its door, and how to let go.

    If there is neither, what is said of changers counts, since those are
    what SCSI_OPEN is for.
    """
    try:
        changer = inventory.open_changer(device, holder)
    except TapeError as no_changer:
        if no_changer.condition is not Condition.NO_DEVICE:
            raise
        try:
            tape = inventory.open(device, OpenMode.RAW, holder)
        except TapeError as no_drive:
            if no_drive.condition is Condition.NO_DEVICE:
                raise no_changer from None
            raise
        return tape.drive.door, tape.close
    return changer.changer.door, changer.close
