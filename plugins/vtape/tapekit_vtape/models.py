"""What drives look like and which cartridges they take, as tables.

Generations of LTO differ in density codes, capacities and in which of the
older ones they read and write. A cartridge belongs to a generation by the
last two characters of its barcode, as on real labels; one without such an
ending is for all drives. The one rule: sizes of cartridges are free, so that
a library of any generation fits on a laptop.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "GENERATIONS",
    "MODELS",
    "VIRTUAL",
    "DriveModel",
    "Generation",
    "Label",
    "generation_of",
    "read_label",
]


class Generation(NamedTuple):
    """One generation of LTO (REPORT DENSITY SUPPORT, MODE SENSE)."""

    number: int
    density: int
    """Density code."""
    native_bytes: int
    """Capacity of its cartridges without compression."""
    suffix: str
    """End of the barcodes of its cartridges."""
    worm_suffix: str
    """The same of those that are written once."""
    bits_per_mm: int
    """0 where it is not told."""
    tracks: int
    name: str
    """Density name."""

    @property
    def medium_type(self) -> int:
        """Medium type of its data cartridges in mode parameters."""
        return self.number * 16 + 8


GENERATIONS: Final = (
    Generation(5, 0x58, 1_500 * 10**9, "L5", "LV", 15142, 1280, "U-516"),
    Generation(6, 0x5A, 2_500 * 10**9, "L6", "LW", 15142, 2176, "U-616"),
    Generation(7, 0x5C, 6_000 * 10**9, "L7", "LX", 19094, 3584, "U-732"),
    Generation(8, 0x5E, 12_000 * 10**9, "L8", "LY", 20668, 6656, "U-832"),
    Generation(9, 0x60, 18_000 * 10**9, "L9", "LZ", 0, 8960, "U-932"),
)

_BY_DENSITY: Final[Mapping[int, Generation]] = MappingProxyType(
    {generation.density: generation for generation in GENERATIONS}
)


def generation_of(density: int) -> Generation | None:
    """The generation of a density code."""
    return _BY_DENSITY.get(density)


class DriveModel(NamedTuple):
    """What a drive says of itself, and which generations it takes."""

    vendor: str
    product: str
    density: int
    """The density that it writes on cartridges of its own generation."""
    reads: frozenset[int]
    """Density codes of cartridges that it reads."""
    writes: frozenset[int]

    def can_read(self, density: int) -> bool:
        """Whether it takes cartridges of a density; 0 stands for those of all drives."""
        return not density or density in self.reads

    def can_write(self, density: int) -> bool:
        """Whether it writes on them."""
        return not density or density in self.writes

    @property
    def generation(self) -> Generation:
        """The generation whose density it writes."""
        return _BY_DENSITY[self.density]


_EVERY: Final = frozenset(_BY_DENSITY)

VIRTUAL: Final = DriveModel("TAPEKIT", "VIRTUAL-TAPE", 0x5A, _EVERY, _EVERY)
"""A drive that takes everything, with a density code that every application knows."""


def _lto(number: int, vendor: str, oldest_read: int, oldest_written: int) -> DriveModel:
    def densities(oldest: int) -> frozenset[int]:
        return frozenset(one.density for one in GENERATIONS if oldest <= one.number <= number)

    (own,) = (one for one in GENERATIONS if one.number == number)
    product = f"Ultrium {number}-SCSI"
    reads, writes = densities(oldest_read), densities(oldest_written)
    return DriveModel(vendor, product, own.density, reads, writes)


MODELS: Final[Mapping[str, DriveModel]] = MappingProxyType(
    {
        "virtual": VIRTUAL,
        # Two generations back are read and one is written, until the eighth,
        # which knows only the one before.
        "lto5": _lto(5, "HP", 3, 4),
        "lto6": _lto(6, "HP", 4, 5),
        "lto7": _lto(7, "HPE", 5, 6),
        "lto8": _lto(8, "HPE", 7, 7),
        "lto9": _lto(9, "HPE", 8, 8),
    }
)
"""Drives by the names that settings have for them."""


class Label(NamedTuple):
    """What the barcode of a cartridge tells of it."""

    generation: Generation | None
    is_worm: bool


_LABEL: Final = re.compile(r"[A-Z0-9]{6}(L[A-Z0-9])")


def read_label(barcode: str) -> Label:
    """What a barcode of six characters and two more tells."""
    found = _LABEL.fullmatch(barcode)
    if found is not None:
        for generation in GENERATIONS:
            if found[1] in (generation.suffix, generation.worm_suffix):
                return Label(generation, found[1] == generation.worm_suffix)
    return Label(None, is_worm=False)
