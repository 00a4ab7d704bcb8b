"""A drive of the inventory under its number."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tapekit.hookspecs.tape_driver import DriveDescription, TapeDriver

__all__ = ["NumberedDrive"]


class NumberedDrive(NamedTuple):
    """A drive under its number."""

    number: int
    driver: TapeDriver
    description: DriveDescription
