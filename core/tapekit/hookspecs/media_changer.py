"""Media changers: the robots of libraries, as named devices.

A changer driver turns a library into a :class:`MediaChanger`: elements with
addresses, and a robot that moves cartridges between them (SMC). The inventory
of tape devices gives changers their names (``mc0``) and keeps them exclusive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from tapekit.hookspecs._markers import hookspec
from tapekit.scsi.elements import Element, ElementType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.scsi.door import CdbDoor

__all__ = [
    "ChangerDescription",
    "ChangerDriver",
    "ChangerRow",
    "Element",
    "ElementType",
    "MediaChanger",
    "OpenChanger",
    "tapekit_register_changer_drivers",
]


class MediaChanger(Protocol):
    """A changer that somebody has opened: blocking, one caller at a time."""

    @property
    def door(self) -> CdbDoor | None:
        """The raw door, where the changer has one."""
        ...

    def elements(self) -> Sequence[Element]:
        """All elements in the order of their types and addresses.

        :raises TapeError: the changer does not answer.
        """
        ...

    def initialize(self) -> None:
        """Look at every element anew (SMC, INITIALIZE ELEMENT STATUS).

        :raises TapeError: the changer does not answer.
        """
        ...

    def move(self, source: int, destination: int) -> None:
        """Move a cartridge between two elements (SMC, MOVE MEDIUM); a drive
        has unloaded it before.

        :raises TapeError: ``BAD_REQUEST`` for addresses that are not there,
            ``SOURCE_EMPTY``, ``DESTINATION_FULL``, ``NOT_READY``, ``BUSY``
            while a drive holds on to it, ``HARDWARE_ERROR``.
        """
        ...

    def exchange(self, source: int, destination: int, second: int) -> None:
        """Move a cartridge to a full element, and what was there to a second
        one (SMC, EXCHANGE MEDIUM).

        :raises TapeError: as :meth:`move`, and ``BAD_REQUEST`` from a changer
            that cannot.
        """
        ...

    def close(self) -> None:
        """Let go of the changer."""
        ...


class ChangerDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A changer that a driver has found."""

    address: str
    """The driver's own address, unique within its scheme."""
    physical_path: str
    """Physical path name as error messages show it, such as ``v.8``."""
    vendor: str
    product: str
    revision: str
    serial: str


class ChangerDriver(Protocol):
    """Changers of one kind."""

    @property
    def scheme(self) -> str:
        """The name of the kind, such as ``vtape``."""
        ...

    def discover_changers(self) -> Sequence[ChangerDescription]:
        """The changers that are there now, in a stable order.

        :raises TapekitError: looking failed as a whole.
        """
        ...

    def open_changer(self, address: str) -> MediaChanger:
        """Open a changer.

        :raises TapeError: ``NO_DEVICE``, ``BUSY``.
        """
        ...


class ChangerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One changer with its device name, as listings show it."""

    name: str
    """The device name, such as ``mc0``."""
    description: ChangerDescription
    scheme: str
    holder: str | None


class OpenChanger(Protocol):
    """A changer device that somebody holds."""

    @property
    def name(self) -> str:
        """The device name under which it was opened."""
        ...

    @property
    def changer(self) -> MediaChanger:
        """The changer behind the name."""
        ...

    def close(self) -> None:
        """Let go of the changer and of its name."""
        ...


@hookspec
def tapekit_register_changer_drivers() -> Sequence[ChangerDriver]:
    """Offer drivers of media changers, each under a device scheme of its own.

    Called once, before any session. All results are joined; a scheme
    offered twice stops the start with ``core.duplicate-name``.

    :returns: Drivers; empty when the platform has none. Probing hardware
        here is an error: a driver looks when asked to.
    """
    ...
