"""What a tape configuration file says of one model of tape drive.

A drive is known by its vendor and by the beginning of its product, as SCSI
INQUIRY gives them. The one rule: case counts and blanks at the end do not,
because INQUIRY fills its fields with blanks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

__all__ = ["PRODUCT_BYTES", "VENDOR_BYTES", "TapeConfiguration", "TapeFormat"]

VENDOR_BYTES: Final = 8
"""Bytes of a vendor in INQUIRY data (SPC)."""

PRODUCT_BYTES: Final = 16
"""Bytes of a product in INQUIRY data (SPC)."""


class TapeFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What one compression letter means."""

    description: str
    density: int
    """Density code of the mode block descriptor; 0 is the drive's default."""
    algorithm: int
    """Algorithm of the compression mode page; 0 does not compress."""


class TapeConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """One file, read."""

    vendor_id: str
    product_id: str
    id_match_size: int
    """How many bytes of the product are compared."""
    vendor_pretty: str | None
    product_pretty: str | None
    """Names for people; either both or neither."""
    formats: Mapping[str, TapeFormat]
    """By compression letter: l, m, h, a."""
    autoload: bool
    """Whether the drive loads a cartridge by itself."""
    timeouts_s: Mapping[int, float]
    """Time limits of commands, by operation code."""

    @property
    def key(self) -> tuple[str, str]:
        """The vendor, and what is compared of the product."""
        return self.vendor_id.rstrip(), _beginning(self.product_id, self.id_match_size)

    def matches(self, vendor: str, product: str) -> bool:
        """Whether a drive that calls itself so is of this model."""
        return self.key == (vendor.rstrip(), _beginning(product, self.id_match_size))

    def name_of(self, vendor: str, product: str) -> str:
        """What listings call a drive that calls itself so."""
        return f"{self.vendor_pretty or vendor} {self.product_pretty or product}"

    @property
    def name(self) -> str:
        """What listings call the model."""
        return self.name_of(self.vendor_id, self.product_id)


def _beginning(product: str, size: int) -> str:
    return product.ljust(PRODUCT_BYTES)[:size]
