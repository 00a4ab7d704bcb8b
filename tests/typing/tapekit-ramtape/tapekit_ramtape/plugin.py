"""Tapes in memory: the device scheme ``ramtape``, as a plugin."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest
from tapekit.hookspecs.tape_driver import Condition, DriveDescription, TapeDriver, TapeError
from tapekit.sequence_drive import SequenceDrive
from tapekit_ramtape.errors import CATALOGUE


class RamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    drives: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    """How many drives there are, each with a tape of its own"""


class RamTapeDriver:
    scheme = "ramtape"

    def __init__(self, drives: int) -> None:
        self._drives = {f"ram{n}": SequenceDrive([]) for n in range(drives)}

    def discover(self) -> Sequence[DriveDescription]:
        return [
            DriveDescription(
                address=address,
                physical_path=f"r.{number}",
                vendor="EXAMPLE",
                product="RAMTAPE",
                revision="1.0",
                serial=f"RAM{number:07}",
                formats=dict.fromkeys("lmha", "records in memory"),
            )
            for number, address in enumerate(self._drives)
        ]

    def open_drive(self, address: str) -> SequenceDrive:
        if address not in self._drives:
            raise CATALOGUE.raised_as(
                TapeError, "absent", condition=Condition.NO_DEVICE, address=address
            )
        drive = self._drives[address]
        if drive.is_open:
            raise CATALOGUE.raised_as(TapeError, "busy", condition=Condition.BUSY, address=address)
        drive.is_open = True
        return drive


class RamTapePlugin:
    manifest: ClassVar = Manifest(name="ramtape", summary="Tapes in memory", settings=RamSettings)

    def __init__(self, settings: RamSettings) -> None:
        self._driver = RamTapeDriver(settings.drives)

    @hookimpl
    def tapekit_register_tape_drivers(self) -> Sequence[TapeDriver]:
        return [self._driver]
