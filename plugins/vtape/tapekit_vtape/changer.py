"""The changer of a virtual library, for those who call it and over SCSI.

Element addresses are laid out by the settings; what lies where is the
library's state, and a move is a change of it. The one rule: nothing is kept
here about cartridges, so that what the command line moves is seen at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.media_changer import Element, ElementType
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.mode import ElementAddresses, ElementRange
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.fault_board import Touch
from tapekit_vtape.identity import drive_identity
from tapekit_vtape.robot import Spot, occupants

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from tapekit.scsi.door import CdbDoor
    from tapekit_vtape.fault_board import ChangerFaults
    from tapekit_vtape.library import Library
    from tapekit_vtape.library_state import LibraryState
    from tapekit_vtape.reservation_guard import DeviceGuard
    from tapekit_vtape.settings import LibrarySettings

__all__ = ["VtapeChanger", "element_addresses"]


def element_addresses(settings: LibrarySettings) -> ElementAddresses:
    """Where the elements of a library are."""
    return ElementAddresses(
        transport=ElementRange(settings.arm_address, 1),
        storage=ElementRange(settings.slot_address, settings.slots),
        import_export=ElementRange(settings.mail_slot_address, settings.mail_slots),
        drives=ElementRange(settings.drive_address, settings.drives),
    )


@final
class VtapeChanger:
    """A :class:`tapekit.hookspecs.media_changer.MediaChanger` over a library."""

    def __init__(
        self,
        library: Library,
        addresses: ElementAddresses,
        door: Callable[[VtapeChanger], CdbDoor],
        faults: ChangerFaults,
        guard: DeviceGuard,
    ) -> None:
        """:param door: makes the raw door of the changer."""
        self.addresses: Final = addresses
        self.door: Final[CdbDoor | None] = door(self)
        self._library: Final = library
        self._faults: Final = faults
        self._guard: Final = guard

    def elements(self) -> Sequence[Element]:
        """See :meth:`MediaChanger.elements`."""
        self._guard.require("READ ELEMENT STATUS")
        self._faults.refuse(Touch.LOOK)
        state, used = self._library.survey()
        there = occupants(state)
        at = self.addresses
        arm = Element(address=at.transport.first, type=ElementType.TRANSPORT, is_full=False)
        return [
            arm,
            *(
                self._element(state, kind, address, there.get(self._spot(address)), used)
                for kind, (first, number) in (
                    (ElementType.STORAGE, at.storage),
                    (ElementType.IMPORT_EXPORT, at.import_export),
                    (ElementType.DRIVE, at.drives),
                )
                for address in range(first, first + number)
            ),
        ]

    def _element(
        self,
        state: LibraryState,
        kind: ElementType,
        address: int,
        barcode: str | None,
        used: Collection[str],
    ) -> Element:
        place = state.cartridges[barcode] if barcode is not None else None
        serial = source = None
        if kind is ElementType.DRIVE:
            serial = drive_identity(state.serial, self._spot(address).number).serial
            source = self._slot_address(place.slot) if place else None
        return Element(
            address=address,
            type=kind,
            is_full=barcode is not None,
            volume_tag=barcode,
            source=source,
            is_accessible=barcode not in used,
            was_imported=place is not None and place.was_imported,
            drive_serial=serial,
        )

    def initialize(self) -> None:
        """See :meth:`MediaChanger.initialize`; there is nothing to look for.

        :raises TapeError: the library is missing or unreadable.
        """
        self._guard.require("INITIALIZE ELEMENT STATUS")
        self._faults.refuse(Touch.LOOK)
        self._library.state()

    def move(self, source: int, destination: int) -> None:
        """See :meth:`MediaChanger.move`."""
        self._guard.require("MOVE MEDIUM")
        self._faults.refuse(Touch.MOVE)
        self._library.transfer(self._spot(source), self._spot(destination))

    def exchange(self, source: int, destination: int, second: int) -> None:
        """See :meth:`MediaChanger.exchange`."""
        self._guard.require("EXCHANGE MEDIUM")
        self._faults.refuse(Touch.MOVE)
        self._library.exchange(self._spot(source), self._spot(destination), self._spot(second))

    def close(self) -> None:
        """See :meth:`MediaChanger.close`."""

    def mail(self) -> Sequence[str | None]:
        """What is in the mail slots, in their order.

        :raises TapeError: the library is missing or unreadable.
        """
        first, number = self.addresses.import_export
        if not number:
            return ()
        there = occupants(self._library.state())
        return [there.get(self._spot(first + slot)) for slot in range(number)]

    def require(self, address: int) -> None:
        """Refuse an address at which no cartridge can be.

        :raises TapeError: ``BAD_REQUEST``.
        """
        self._spot(address)

    def _spot(self, address: int) -> Spot:
        at = self.addresses
        for (first, number), offset, is_drive in (
            (at.drives, 0, True),
            (at.storage, 0, False),
            # Mail slots are numbered behind the slots.
            (at.import_export, at.storage.number, False),
        ):
            if first <= address < first + number:
                return Spot(address - first + offset, is_drive)
        raise CATALOGUE.raised_as(
            TapeError, "no-element", condition=Condition.BAD_REQUEST, address=address
        )

    def _slot_address(self, slot: int) -> int | None:
        """The address of a slot; ``None`` for one that the settings took away."""
        at = self.addresses
        if slot < at.storage.number:
            return at.storage.first + slot
        mail = slot - at.storage.number
        return at.import_export.first + mail if mail < at.import_export.number else None
