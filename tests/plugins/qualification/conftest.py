"""Tape configuration files and drives to judge by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.hookspecs.tape_driver import DriveDescription

if TYPE_CHECKING:
    from collections.abc import Callable

GUIDE = """\
vendor_id="HP"

product_id="Ultrium 5-SCSI"

id_match_size=9

vendor_pretty="Hewlett-Packard"

product_pretty="LTO-5"

l_description="LTO-3(ro)/4 4/800GB"

l_density=0x00

l_algorithm=0x00

m_description="LTO-3(ro)/4 8/1600GB cmp"

m_density=0x00

m_algorithm=0x01

h_description="LTO-5 1600GB"

h_density=0x58

h_algorithm=0x00

a_description="LTO-5 3200GB cmp"

a_density=0x58

a_algorithm=0x01

autoload="yes"
"""
"""The example of the guide, as it stands there."""


@pytest.fixture
def guide_file() -> str:
    return GUIDE


@pytest.fixture
def file_for() -> Callable[..., str]:
    """Writes the text of a file for another drive."""

    def write(vendor: str, product: str, size: int) -> str:
        lines = GUIDE.replace('"HP"', f'"{vendor}"').replace('"Ultrium 5-SCSI"', f'"{product}"')
        return lines.replace("id_match_size=9", f"id_match_size={size}")

    return write


@pytest.fixture
def drive_of() -> Callable[..., DriveDescription]:
    """Describes a drive that calls itself so."""

    def describe(vendor: str, product: str, number: int = 0) -> DriveDescription:
        return DriveDescription(
            address=str(number),
            physical_path=f"8.{number}",
            vendor=vendor,
            product=product,
            revision="1",
            serial=f"S{number}",
            formats=dict.fromkeys("lmha", "as the driver says"),
        )

    return describe
