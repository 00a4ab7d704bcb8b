"""A media changer over its raw door, whatever carries the commands.

The addresses of elements are asked for, never assumed; elements are read type
by type, since some libraries confuse themselves over all at once, and with
some more room than they announce. The one rule: only commands that were not
carried out are sent again, which is what a unit attention says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.media_changer import ElementType
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import CHANGER_COMMANDS
from tapekit.scsi.elements import decode_elements
from tapekit.scsi.malformed import at_least, number
from tapekit.scsi.mode import (
    ELEMENT_ADDRESS_PAGE,
    ModePage,
    decode_element_addresses,
    decode_mode,
)
from tapekit.scsi_devices.changer_door import ChangerDoor
from tapekit.scsi_devices.conversation import Conversation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.media_changer import Element
    from tapekit.scsi.door import CdbDoor
    from tapekit.scsi.mode import ElementAddresses, ElementRange

__all__ = ["CdbChanger"]

_MOVE_S: Final = 15 * 60.0
"""How long one move may take."""

_INVENTORY_S: Final = 60 * 60.0
"""How long a robot may look at all of its elements."""

_MODE_BYTES: Final = 0xFF
_NO_PAGE: Final = ModePage(ELEMENT_ADDRESS_PAGE, b"")
_HEADER_BYTES: Final = 8
_MOST_BYTES: Final = 0xFF_FFFF
_SPARE_BYTES: Final = 64
"""More room than announced: some libraries do not count their headers."""


@final
class CdbChanger:
    """A :class:`tapekit.hookspecs.media_changer.MediaChanger` over a door."""

    def __init__(self, door: CdbDoor, device: str, let_go: Callable[[], object]) -> None:
        """:param device: the changer's physical path name, for messages.
        :param let_go: closes whatever is behind the door.
        """
        self.door: Final[CdbDoor | None] = ChangerDoor(door, device)
        self._talk: Final = Conversation(door, device, CHANGER_COMMANDS)
        self._let_go: Final = let_go

    def elements(self) -> Sequence[Element]:
        """See :meth:`MediaChanger.elements`."""
        addresses = self._addresses()
        found: dict[int, Element] = {}
        for kind, extent in (
            (ElementType.TRANSPORT, addresses.transport),
            (ElementType.STORAGE, addresses.storage),
            (ElementType.IMPORT_EXPORT, addresses.import_export),
            (ElementType.DRIVE, addresses.drives),
        ):
            if extent.number:
                for element in self._elements(kind, extent):
                    found.setdefault(element.address, element)
        return sorted(found.values(), key=lambda element: (element.type, element.address))

    def initialize(self) -> None:
        """See :meth:`MediaChanger.initialize`."""
        self._talk.run("INITIALIZE ELEMENT STATUS", timeout_s=_INVENTORY_S)

    def move(self, source: int, destination: int) -> None:
        """See :meth:`MediaChanger.move`."""
        self._talk.run("MOVE MEDIUM", timeout_s=_MOVE_S, source=source, destination=destination)

    def exchange(self, source: int, destination: int, second: int) -> None:
        """See :meth:`MediaChanger.exchange`."""
        self._talk.run(
            "EXCHANGE MEDIUM",
            timeout_s=_MOVE_S,
            source=source,
            destination=destination,
            second=second,
        )

    def close(self) -> None:
        """See :meth:`MediaChanger.close`."""
        self._let_go()

    def _addresses(self) -> ElementAddresses:
        name = "MODE SENSE(6)"
        data = self._talk.run(
            name,
            room=_MODE_BYTES,
            no_descriptor=1,
            page=ELEMENT_ADDRESS_PAGE,
            allocation=_MODE_BYTES,
        )
        return self._talk.decoded(name, lambda: _addresses(data))

    def _elements(self, kind: ElementType, extent: ElementRange) -> Sequence[Element]:
        """The elements of a type, drives with their serial numbers if the
        changer can tell them.
        """
        if kind is ElementType.DRIVE:
            try:
                return self._read(kind, extent, with_identifiers=True)
            except TapeError as error:
                if error.condition is not Condition.BAD_REQUEST:
                    raise
        return self._read(kind, extent, with_identifiers=False)

    def _read(
        self, kind: ElementType, extent: ElementRange, *, with_identifiers: bool
    ) -> Sequence[Element]:
        name = "READ ELEMENT STATUS"

        def ask(room: int) -> bytes:
            return self._talk.run(
                name,
                room=room,
                tags=1,
                type=kind,
                start=extent.first,
                count=extent.number,
                identifiers=int(with_identifiers),
                allocation=room,
            )

        head = ask(_HEADER_BYTES)
        room = self._talk.decoded(name, lambda: _whole_length(head)) + _SPARE_BYTES
        data = ask(min(room, _MOST_BYTES))
        found = self._talk.decoded(name, lambda: decode_elements(data))
        return [element for element in found if element.type is kind]


def _addresses(data: bytes) -> ElementAddresses:
    pages = {page.code: page for page in decode_mode(data, is_long=False).pages}
    return decode_element_addresses(pages.get(ELEMENT_ADDRESS_PAGE, _NO_PAGE))


def _whole_length(head: bytes) -> int:
    """Bytes of an element status list of which only the head has come."""
    at_least(head, _HEADER_BYTES, "element status data")
    return _HEADER_BYTES + number(head, 5, 3)
