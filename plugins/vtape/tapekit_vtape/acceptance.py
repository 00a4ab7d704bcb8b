"""What a drive may do with the cartridge that is in it.

Drives read and write cartridges of some generations, what was written once
is never overwritten, and what is protected is not written at all. The one
rule: whatever refuses comes before the tape is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit_vtape.cartridge import Cartridge
    from tapekit_vtape.models import DriveModel

__all__ = ["Acceptance"]


@final
class Acceptance:
    """The rules of one drive."""

    def __init__(self, model: DriveModel, drive: str) -> None:
        """:param drive: its name in messages."""
        self._model: Final = model
        self._drive: Final = drive

    def require_readable(self, cartridge: Cartridge) -> None:
        """Refuse a tape that the drive does not read.

        :raises TapeError: ``MEDIUM_ERROR``.
        """
        if not self._model.can_read(cartridge.header.density):
            raise CATALOGUE.raised_as(
                TapeError,
                "unreadable-format",
                condition=Condition.MEDIUM_ERROR,
                drive=self._drive,
                product=self._model.product,
                barcode=cartridge.header.barcode,
            )

    def require_writable(self, cartridge: Cartridge, position: int, *, is_protected: bool) -> None:
        """Refuse to write at a position.

        :raises TapeError: ``WRITE_PROTECTED``.
        """
        header = cartridge.header
        if is_protected:
            raise CATALOGUE.raised_as(
                TapeError,
                "write-protected",
                condition=Condition.WRITE_PROTECTED,
                drive=self._drive,
                barcode=header.barcode,
            )
        if not self._model.can_write(header.density):
            raise CATALOGUE.raised_as(
                TapeError,
                "unwritable-format",
                condition=Condition.WRITE_PROTECTED,
                drive=self._drive,
                product=self._model.product,
                barcode=header.barcode,
            )
        if header.is_worm and not cartridge.tape.may_append(position):
            raise CATALOGUE.raised_as(
                TapeError,
                "written-once",
                condition=Condition.WRITE_PROTECTED,
                drive=self._drive,
                barcode=header.barcode,
            )
