"""A complete media changer in memory: an arm, slots and drives.

What lies where is one dictionary; everything else follows. It is the example
of the changer checks and the changer of tests that need no library. The one
rule: a move that is refused has changed nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.media_changer import Element, ElementType
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.testing.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit.scsi.door import CdbDoor

__all__ = ["MemoryChanger"]

_ARM: Final = 0
_DRIVES: Final = 256
_SLOTS: Final = 1024


@final
class MemoryChanger:
    """A library with cartridges in its first slots.

    The arm has the address 0, drives begin at 256 and slots at 1024.
    """

    def __init__(
        self, tags: Iterable[str] = (), *, slots: int = 4, drive_serials: Sequence[str] = ("D0",)
    ) -> None:
        """:param tags: barcodes of the cartridges.
        :param drive_serials: serial numbers of the drives, of which there are
            as many.
        """
        self.door: CdbDoor | None = None
        self.is_open = True
        self._serials: Final = {_DRIVES + n: serial for n, serial in enumerate(drive_serials)}
        self._slots: Final = range(_SLOTS, _SLOTS + slots)
        self._tags: Final = dict(zip(self._slots, tags, strict=False))
        self._sources: Final[dict[int, int]] = {}

    def elements(self) -> Sequence[Element]:
        """See :meth:`MediaChanger.elements`."""
        return [
            Element(address=_ARM, type=ElementType.TRANSPORT, is_full=False),
            *(self._element(address, ElementType.STORAGE) for address in self._slots),
            *(self._element(address, ElementType.DRIVE) for address in self._serials),
        ]

    def _element(self, address: int, kind: ElementType) -> Element:
        return Element(
            address=address,
            type=kind,
            is_full=address in self._tags,
            volume_tag=self._tags.get(address),
            source=self._sources.get(address),
            drive_serial=self._serials.get(address),
        )

    def initialize(self) -> None:
        """See :meth:`MediaChanger.initialize`."""

    def move(self, source: int, destination: int) -> None:
        """See :meth:`MediaChanger.move`."""
        self._check(source, destination)
        if source not in self._tags:
            raise self._refused(Condition.SOURCE_EMPTY, source)
        if destination in self._tags:
            raise self._refused(Condition.DESTINATION_FULL, destination)
        came_from = self._sources.pop(source, None)
        self._tags[destination] = self._tags.pop(source)
        home = source if source in self._slots else came_from
        if home is not None and destination in self._serials:
            self._sources[destination] = home

    def exchange(self, source: int, destination: int, second: int) -> None:
        """See :meth:`MediaChanger.exchange`."""
        self._check(source, destination, second)
        for address in (source, destination):
            if address not in self._tags:
                raise self._refused(Condition.SOURCE_EMPTY, address)
        if second != source and second in self._tags:
            raise self._refused(Condition.DESTINATION_FULL, second)
        going = self._tags.pop(destination)
        self.move(source, destination)
        self._tags[second] = going

    def close(self) -> None:
        """See :meth:`MediaChanger.close`."""
        self.is_open = False

    def _check(self, *addresses: int) -> None:
        for address in addresses:
            if address not in self._slots and address not in self._serials:
                raise self._refused(Condition.BAD_REQUEST, address)

    def _refused(self, condition: Condition, address: int) -> TapeError:
        return CATALOGUE.raised_as(
            TapeError,
            "element-refused",
            condition=condition,
            address=address,
            reason=condition.value,
        )
