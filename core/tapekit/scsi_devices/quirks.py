"""What devices of some makers do otherwise, as a table.

A device is known by what it says of itself (INQUIRY): its vendor, or the
vendor that its identifiers name, since some devices may be given any name;
its product and its revision. The one rule: a row is here because somebody has
seen it, and says what was seen.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tapekit.scsi_devices.identity import Make

__all__ = ["QUIRKS", "Quirk", "QuirkRow", "quirks_of"]


class Quirk(enum.Enum):
    """What a device does otherwise."""

    ELEMENTS_BY_TYPE = enum.auto()
    """READ ELEMENT STATUS of all types of elements at once harms the changer;
    that of one type is right but for its counts and its last bytes."""

    NO_ACCESS_FLAGS = enum.auto()
    """READ ELEMENT STATUS never tells that the robot reaches an element, nor
    that cartridges come and go by a mail slot, though both is so."""


class QuirkRow(NamedTuple):
    """Which devices have a quirk."""

    vendor: str
    quirks: frozenset[Quirk]
    product: str | None = None
    """``None`` for all of the vendor's."""
    revision: str | None = None
    """What the revision begins with; ``None`` for all."""

    def fits(self, make: Make) -> bool:
        """Whether the row is about a device."""
        return (
            self.vendor in make.vendors
            and self.product in (None, make.product)
            and make.revision.startswith(self.revision or "")
        )


QUIRKS: Final = (
    # tgt 1.0.85, whose changers have any vendor and product that they are given, and this one
    # in their identifiers: all types at once overrun its memory, and it ends at the next
    # command; of one type, NUMBER OF ELEMENTS is not looked at, eight bytes lack at the end,
    # and the first address is wrong where there is one element.
    QuirkRow("IET", frozenset({Quirk.ELEMENTS_BY_TYPE, Quirk.NO_ACCESS_FLAGS})),
)
"""All that is known; a device may have quirks of several rows."""


def quirks_of(make: Make) -> frozenset[Quirk]:
    """What a device does otherwise."""
    return frozenset(quirk for row in QUIRKS if row.fits(make) for quirk in row.quirks)
