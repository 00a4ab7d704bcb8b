"""The next tape of a library, for devices that unload when they are closed.

The sequence of a drive's tapes is that of the slots, by their addresses: the
next tape is the one in the next full slot behind the slot to which the old
one goes back. It ends with the last slot; it never begins anew, because the
first tape has just been written. The one rule: the old tape is back in a slot
before the next one is fetched.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.media_changer import Element, ElementType
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_tape_devices.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.media_changer import OpenChanger
    from tapekit_tape_devices.changers import Changers

__all__ = ["Reloader", "home_of", "next_of"]

_LOG: Final = logging.getLogger("tapekit.tape_devices")

_CLEANING: Final = "CLN"
"""How the barcodes of cleaning cartridges begin."""


def home_of(elements: Sequence[Element], drive: Element) -> int | None:
    """The slot to which the tape of a drive goes back: the one that it came
    from, or else the first empty one; ``None`` if all are full.
    """
    empty = [one.address for one in _slots(elements) if not one.is_full]
    if drive.source in empty:
        return drive.source
    return empty[0] if empty else None


def next_of(elements: Sequence[Element], slot: int) -> Element | None:
    """The tape that follows the one of a slot; ``None`` at the end."""
    for one in _slots(elements):
        is_tape = one.is_full and not (one.volume_tag or "").startswith(_CLEANING)
        if one.address > slot and is_tape and one.is_accessible:
            return one
    return None


def _slots(elements: Sequence[Element]) -> Sequence[Element]:
    slots = (one for one in elements if one.type is ElementType.STORAGE)
    return sorted(slots, key=lambda one: one.address)


class _Found(NamedTuple):
    """A changer that somebody has opened, and what it tells."""

    opened: OpenChanger
    elements: Sequence[Element]
    drive: Element
    """The drive that was looked for."""


@final
class Reloader:
    """Changes the tapes of one drive, by whatever changer has the drive."""

    def __init__(self, changers: Changers, device: str, drive: str, serial: str) -> None:
        """:param device: the device's name, for messages.
        :param drive: the drive's physical path name, for messages.
        :param serial: the drive's serial number, by which changers know it.
        """
        self._changers: Final = changers
        self._device: Final = device
        self._drive: Final = drive
        self._serial: Final = serial

    def check(self, holder: str) -> None:
        """Make sure that a library has the drive, and warn if no tape follows
        the one that is in it: how many a backup needs, only the backup knows.

        :raises TapekitError: ``NO_DEVICE``; ``BUSY``, somebody else uses the
            changer, or it cannot be asked.
        """
        opened, elements, drive = self._found(holder)
        opened.close()
        home = home_of(elements, drive)
        if drive.is_full and home is not None and next_of(elements, home) is None:
            _LOG.warning("the tape in %s is the last one of its library sequence", self._drive)

    def reload(self, holder: str) -> None:
        """Put the tape that has been unloaded into its slot, and the next one
        of the sequence, if there is one, into the drive. An empty drive stays
        empty, since nothing tells where in the sequence it is.

        :raises TapeError: the changer is gone, is in use, or cannot do it.
        """
        found = self._found(holder)
        try:
            if found.drive.is_full:
                self._change(found)
        finally:
            found.opened.close()

    def _change(self, found: _Found) -> None:
        opened, elements, drive = found
        home = home_of(elements, drive)
        if home is None:
            raise CATALOGUE.raised_as(
                TapeError,
                "no-empty-slot",
                condition=Condition.DESTINATION_FULL,
                changer=opened.name,
                drive=self._drive,
            )
        opened.changer.move(drive.address, home)
        following = next_of(elements, home)
        if following is None:
            _LOG.info("%s stays empty: its library has no further tape", self._drive)
            return
        opened.changer.move(following.address, drive.address)

    def _found(self, holder: str) -> _Found:
        """The changer that has the drive, opened. One that somebody uses can
        be anybody's: it matters only if no other one has the drive.
        """
        in_use: TapeError | None = None
        for open_changer in self._changers.openers(holder):
            try:
                opened = open_changer()
            except TapeError as error:
                if error.condition is not Condition.BUSY:
                    raise
                in_use = in_use or error
                continue
            found = self._look(opened)
            if found is not None:
                return found
            opened.close()
        if in_use is not None:
            raise in_use
        raise CATALOGUE.raised_as(
            TapeError,
            "unload-needs-library",
            condition=Condition.NO_DEVICE,
            device=self._device,
            drive=self._drive,
        )

    def _look(self, opened: OpenChanger) -> _Found | None:
        """The drive in what a changer tells; it is closed if it tells nothing."""
        try:
            elements = opened.changer.elements()
        except BaseException:
            opened.close()
            raise
        for element in elements:
            if element.drive_serial == self._serial:
                return _Found(opened, elements, element)
        return None
