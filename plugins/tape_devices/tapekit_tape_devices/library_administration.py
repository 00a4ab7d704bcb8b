"""What a running stack does with its libraries when an administrator asks.

The changer is opened for each request as a backup application opens it, and
closed after it; one that somebody holds is left to them. The one rule: a
drive gives up its tape by itself before the robot is sent for it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.media_changer import ElementType
from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.library_operations import (
    LIBRARY,
    LIBRARY_EXPORT,
    LIBRARY_IMPORT,
    LIBRARY_MOVE,
    LIBRARY_UNLOAD,
    LibraryReply,
    Move,
    MovesReply,
    Place,
)
from tapekit_tape_devices.library_places import (
    destination_of,
    empty_place,
    found,
    names_of,
    refuse_full,
    source_of,
)
from tapekit_tape_devices.library_sequence import home_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekit.hookspecs.media_changer import Element, OpenChanger
    from tapekit.hookspecs.operations import OfferedOperation
    from tapekit.hookspecs.tape_driver import DriveRow, TapeInventory
    from tapekit_tape_devices.library_operations import (
        CartridgeRequest,
        DriveToUnload,
        LibraryChoice,
        MoveRequest,
    )

__all__ = ["LibraryAdministration"]

_LOG: Final = logging.getLogger("tapekit.tape_devices")
_HOLDER: Final = "an administrator"


@final
class LibraryAdministration:
    """The libraries of an inventory. Methods block for as long as the robot takes."""

    def __init__(self, inventory: TapeInventory) -> None:
        self._inventory: Final = inventory

    def offered(self) -> Sequence[OfferedOperation]:
        """The operations, each performed in a thread."""

        async def show(choice: LibraryChoice) -> LibraryReply:
            return await trio.to_thread.run_sync(self.show, choice)

        async def move(request: MoveRequest) -> MovesReply:
            return await trio.to_thread.run_sync(self.move, request)

        async def unload(request: DriveToUnload) -> MovesReply:
            return await trio.to_thread.run_sync(self.unload, request)

        async def take_in(request: CartridgeRequest) -> MovesReply:
            return await trio.to_thread.run_sync(self.take_in, request)

        async def give_out(request: CartridgeRequest) -> MovesReply:
            return await trio.to_thread.run_sync(self.give_out, request)

        return (
            LIBRARY.performed_by(show),
            LIBRARY_MOVE.performed_by(move),
            LIBRARY_UNLOAD.performed_by(unload),
            LIBRARY_IMPORT.performed_by(take_in),
            LIBRARY_EXPORT.performed_by(give_out),
        )

    def show(self, choice: LibraryChoice) -> LibraryReply:
        """The places of a library.

        :raises TapekitError: no such changer; it is in use or does not answer.
        """
        opened = self._inventory.open_changer(choice.changer, _HOLDER)
        try:
            elements = opened.changer.elements()
        finally:
            opened.close()
        names, drives = names_of(elements), self._drives()
        return LibraryReply(
            changer=opened.name, places=tuple(_place(one, names, drives) for one in elements)
        )

    def move(self, request: MoveRequest) -> MovesReply:
        """Move a cartridge.

        :raises TapekitError: as :meth:`show`, and what the robot refuses.
        """
        opened = self._inventory.open_changer(request.changer, _HOLDER)
        try:
            elements = opened.changer.elements()
            source = source_of(elements, request.source, opened.name)
            destination = destination_of(elements, request.destination, opened.name)
            return MovesReply(moves=(self._carried(opened, elements, source, destination),))
        finally:
            opened.close()

    def unload(self, request: DriveToUnload) -> MovesReply:
        """Put the cartridge of a drive into the slot that it came from, or
        into the first empty one.

        :raises TapekitError: as :meth:`move`.
        """
        opened = self._inventory.open_changer(request.changer, _HOLDER)
        try:
            elements = opened.changer.elements()
            drive = source_of(elements, f"drive {request.drive}", opened.name)
            home = home_of(elements, drive)
            if home is None:
                home = empty_place(elements, ElementType.STORAGE, opened.name).address
            slot = found(elements, f"#{home}", opened.name)
            return MovesReply(moves=(self._carried(opened, elements, drive, slot),))
        finally:
            opened.close()

    def take_in(self, request: CartridgeRequest) -> MovesReply:
        """Put what is in the mail slots into empty slots.

        :raises TapekitError: as :meth:`move`; what was moved before stays so.
        """
        opened = self._inventory.open_changer(request.changer, _HOLDER)
        try:
            elements = opened.changer.elements()
            full = [
                one for one in elements if one.type is ElementType.IMPORT_EXPORT and one.is_full
            ]
            if request.cartridge is not None:
                wanted = found(elements, request.cartridge, opened.name)
                full = [one for one in full if one.address == wanted.address]
            if not full:
                raise CATALOGUE.raised_as(
                    TapeError,
                    "nothing-to-import",
                    condition=Condition.SOURCE_EMPTY,
                    changer=opened.name,
                )
            moves = []
            for mail in full:
                slot = empty_place(opened.changer.elements(), ElementType.STORAGE, opened.name)
                moves.append(_moved(opened, elements, mail, slot))
            return MovesReply(moves=tuple(moves))
        finally:
            opened.close()

    def give_out(self, request: CartridgeRequest) -> MovesReply:
        """Put a cartridge into an empty mail slot.

        :raises TapekitError: as :meth:`move`.
        """
        opened = self._inventory.open_changer(request.changer, _HOLDER)
        try:
            elements = opened.changer.elements()
            source = source_of(elements, request.cartridge or "", opened.name)
            mail = empty_place(elements, ElementType.IMPORT_EXPORT, opened.name)
            return MovesReply(moves=(self._carried(opened, elements, source, mail),))
        finally:
            opened.close()

    def _drives(self) -> Mapping[str, DriveRow]:
        """Drives that have a name, by their serial numbers."""
        rows = self._inventory.drives()
        return {row.description.serial: row for row in rows if row.devices}

    def _carried(
        self, opened: OpenChanger, elements: Sequence[Element], source: Element, to: Element
    ) -> Move:
        """Move a cartridge; one that has to stay in its drive is loaded there again.

        :raises TapekitError: somebody uses the drive, or what the robot refuses.
        """
        refuse_full(elements, to, opened.name)
        device = self._given_up(source)
        try:
            return _moved(opened, elements, source, to)
        except TapekitError:
            if device is not None:
                self._load_again(device)
            raise

    def _given_up(self, source: Element) -> str | None:
        """Have a drive unload the tape that is to be taken from it; the drive's
        device, if it had one loaded.

        :raises TapekitError: somebody uses the drive, or it does not answer.
        """
        if source.type is not ElementType.DRIVE:
            return None
        row = self._drives().get(source.drive_serial or "")
        if row is None:
            return None  # It is no drive of this stack; the robot knows what it may do.
        device = next(one.name for one in row.devices if not (one.rewinds or one.unloads))
        opened = self._inventory.open(device, OpenMode.RAW, _HOLDER)
        try:
            if not opened.drive.status().has_tape:
                return None
            opened.drive.unload()
        finally:
            opened.close()
        return device

    def _load_again(self, device: str) -> None:
        try:
            opened = self._inventory.open(device, OpenMode.RAW, _HOLDER)
            try:
                opened.drive.load()
            finally:
                opened.close()
        except TapekitError as error:
            # Whoever asked for the move hears why that failed.
            _LOG.warning("the tape in %s stays unloaded: %s", device, error.advice)


def _moved(
    opened: OpenChanger, elements: Sequence[Element], source: Element, destination: Element
) -> Move:
    opened.changer.move(source.address, destination.address)
    names = names_of(elements)
    return Move(
        cartridge=source.volume_tag,
        source=names[source.address],
        destination=names[destination.address],
    )


def _place(one: Element, names: Mapping[int, str], drives: Mapping[str, DriveRow]) -> Place:
    row = drives.get(one.drive_serial or "")
    device = None
    if row is not None:
        device = next(one.name for one in row.devices if not (one.rewinds or one.unloads))
    return Place(
        name=names[one.address],
        address=one.address,
        is_full=one.is_full,
        cartridge=one.volume_tag,
        source=None if one.source is None else names.get(one.source, f"#{one.source}"),
        is_accessible=one.is_accessible,
        was_imported=one.was_imported,
        device=device,
    )
