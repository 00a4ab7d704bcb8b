"""Judges the drives of a stack by the qualification table.

The one rule: a nonqualified drive is listed and never opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import msgspec

from tapekit.hookspecs.tape_driver import Condition, DriveSetup, TapeError
from tapekit_qualification.errors import CATALOGUE
from tapekit_qualification.operations import DriveStatusRow
from tapekit_qualification.table import QualificationTable, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tapekit.hookspecs.tape_driver import DriveDescription
    from tapekit_qualification.table import Judgement

__all__ = ["Qualifier"]


@final
class Qualifier:
    """A :class:`tapekit_tape_devices.hookspecs.DriveQualifier` over a table."""

    def __init__(self) -> None:
        self.table = QualificationTable(())
        self._directory: Path | None = None
        self._drives: Sequence[DriveDescription] = ()

    def settle(self, table: QualificationTable, directory: Path) -> None:
        """Take the table, and the folder where an administrator adds to it."""
        self.table = table
        self._directory = directory

    def meet(self, drives: Sequence[DriveDescription]) -> None:
        """See :meth:`DriveQualifier.meet`."""
        self._drives = drives

    def described(self, drive: DriveDescription) -> DriveDescription:
        """See :meth:`DriveQualifier.described`: the formats of the table."""
        configuration = self._judge(drive).configuration
        if configuration is None:
            return drive
        formats = {letter: row.description for letter, row in configuration.formats.items()}
        return msgspec.structs.replace(drive, formats=formats)

    def name(self, drive: DriveDescription) -> str:
        """See :meth:`DriveQualifier.name`."""
        return self._judge(drive).name

    def setup(self, drive: DriveDescription, compression: str) -> DriveSetup:
        """See :meth:`DriveQualifier.setup`: what the table says of the letter."""
        configuration = self._judge(drive).configuration
        if configuration is None:
            return DriveSetup(compression=compression)
        row = configuration.formats[compression]
        return DriveSetup(
            compression=compression,
            density=row.density,
            algorithm=row.algorithm,
            loads_itself=configuration.autoload,
            timeouts_s=configuration.timeouts_s,
        )

    def permit(self, drive: DriveDescription) -> None:
        """See :meth:`DriveQualifier.permit`."""
        if self._judge(drive).standing is Standing.NONQUALIFIED:
            raise CATALOGUE.raised_as(
                TapeError,
                "nonqualified",
                condition=Condition.NO_DEVICE,
                drive=drive.physical_path,
                vendor=drive.vendor,
                product=drive.product,
                directory=self._directory,
            )

    def statuses(self) -> tuple[DriveStatusRow, ...]:
        """The drives that are attached, and what they count as."""
        return tuple(_row(drive, self._judge(drive)) for drive in self._drives)

    def _judge(self, drive: DriveDescription) -> Judgement:
        return self.table.judge(drive.vendor, drive.product)


def _row(drive: DriveDescription, judgement: Judgement) -> DriveStatusRow:
    return DriveStatusRow(
        name=judgement.name,
        is_supported=judgement.standing is not Standing.NONQUALIFIED,
        status=judgement.standing.value,
        emulates=judgement.emulates,
        physical_path=drive.physical_path,
        vendor=drive.vendor,
        product=drive.product,
        serial=drive.serial,
    )
