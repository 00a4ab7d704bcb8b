"""The door of a drive as its user's own commands find it.

A drive may stand elsewhere than its user believes, to save motion, and a
command of the user's own may bring it to a place that nobody has counted. The
one rule: before such a command it stands where it should, and after it
nothing is believed of its place that the command may have made untrue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.scsi.door import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.scsi.door import CdbDoor, CdbReply, ScsiAddress

__all__ = ["RawDoor"]

_LOOKS: Final = frozenset(
    {
        0x00,  # TEST UNIT READY
        0x03,  # REQUEST SENSE
        0x05,  # READ BLOCK LIMITS
        0x12,  # INQUIRY
        0x1A,  # MODE SENSE(6)
        0x34,  # READ POSITION
        0x44,  # REPORT DENSITY SUPPORT
        0x4D,  # LOG SENSE
        0x5A,  # MODE SENSE(10)
        0x5E,  # PERSISTENT RESERVE IN
        0xA0,  # REPORT LUNS
        0xA3,  # MAINTENANCE IN
    }
)
"""Operation codes that move no tape (SSC, SPC). READ ATTRIBUTE is none of
them: some drives go to the tape for it."""


@final
class RawDoor:
    """A :class:`tapekit.scsi.door.CdbDoor` before another."""

    def __init__(
        self, door: CdbDoor, settle: Callable[[], object], doubt: Callable[[bool], object]
    ) -> None:
        """:param settle: brings the head to its place; may raise TapeError.
        :param doubt: is told that the tape may have moved, or be another one,
            and whether the drive may be asked at once: not where it has news
            that the door's user is to hear first. Must not raise.
        """
        self._door: Final = door
        self._settle: Final = settle
        self._doubt: Final = doubt

    @property
    def address(self) -> ScsiAddress:
        """See :meth:`CdbDoor.address`."""
        return self._door.address

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """See :meth:`CdbDoor.execute`."""
        self._settle()
        is_good = False
        try:
            reply = self._door.execute(cdb, data_out=data_out, data_in=data_in, timeout_s=timeout_s)
            # What refuses a look may be the news of a reset or of another tape.
            is_good = reply.status == Status.GOOD
        finally:
            if not (is_good and cdb[0] in _LOOKS):
                self._doubt(is_good)
        return reply

    def reset(self) -> None:
        """See :meth:`CdbDoor.reset`."""
        try:
            self._door.reset()
        finally:
            self._doubt(False)
