"""Commands of a client for a device: SCSI_EXECUTE_CDB and TAPE_EXECUTE_CDB.

Both requests have one shape. What is wrong with a request is found before
the device is asked; whatever the device answers, a check condition too, is
the reply's content and no error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.messages import MAX_CDB_DATA
from tapekit_ndmp_v4.numbers import CdbFlag

if TYPE_CHECKING:
    from tapekit.scsi.door import CdbDoor, CdbReply
    from tapekit_ndmp_v4.messages import ScsiExecuteCdbRequest, TapeExecuteCdbRequest

__all__ = ["Command", "command_of"]

_SHORTEST_CDB: Final = 6
_LONGEST_CDB: Final = 16

_DIRECTIONS: Final = frozenset({0, CdbFlag.DATA_IN.value, CdbFlag.DATA_OUT.value})
"""Flags that a command may have: its data goes one way, or it has none."""

_MS_PER_S: Final = 1000

_LOOKING: Final = frozenset(
    {
        0x00,  # TEST UNIT READY
        0x01,  # REWIND
        0x03,  # REQUEST SENSE
        0x05,  # READ BLOCK LIMITS
        0x08,  # READ(6)
        0x0F,  # READ REVERSE(6)
        0x11,  # SPACE(6)
        0x12,  # INQUIRY
        0x13,  # VERIFY(6)
        0x1A,  # MODE SENSE(6)
        0x1B,  # LOAD UNLOAD
        0x1C,  # RECEIVE DIAGNOSTIC RESULTS
        0x2B,  # LOCATE(10)
        0x34,  # READ POSITION
        0x3C,  # READ BUFFER
        0x44,  # REPORT DENSITY SUPPORT
        0x4D,  # LOG SENSE
        0x5A,  # MODE SENSE(10)
        0x5E,  # PERSISTENT RESERVE IN
        0x81,  # READ REVERSE(16)
        0x88,  # READ(16)
        0x8C,  # READ ATTRIBUTE
        0x8F,  # VERIFY(16)
        0x91,  # SPACE(16)
        0x92,  # LOCATE(16)
        0xA0,  # REPORT LUNS
        0xA2,  # SECURITY PROTOCOL IN
        0xA3,  # MAINTENANCE IN
    }
)
"""Operation codes that read or move a tape, or ask about it or its drive, and
leave both as they are (SSC, SPC). Only these are known to be harmless: a code
that is not here may be a maker's own, which writes."""


class Command(NamedTuple):
    """A command for a door, as :meth:`CdbDoor.execute` takes it."""

    cdb: bytes
    data_out: bytes
    data_in: int
    timeout_s: float | None

    @property
    def may_change(self) -> bool:
        """Whether it may change what is on a tape, or how its drive works."""
        return self.cdb[0] not in _LOOKING

    def execute(self, door: CdbDoor) -> CdbReply:
        """Run it; blocks for as long as the device takes.

        :raises TapeError: the device gave no answer.
        """
        return door.execute(
            self.cdb, data_out=self.data_out, data_in=self.data_in, timeout_s=self.timeout_s
        )


def command_of(request: ScsiExecuteCdbRequest | TapeExecuteCdbRequest) -> Command:
    """What a request asks of a device. Data of a direction that the flags
    do not name is left out, as clients leave such fields unset.

    :raises TapekitError: ``ndmp_v4.cdb-directions``, ``ndmp_v4.cdb-length``,
        ``ndmp_v4.cdb-data-too-long``.
    """
    if request.flags not in _DIRECTIONS:
        raise CATALOGUE.error("cdb-directions", flags=request.flags)
    if not _SHORTEST_CDB <= len(request.cdb) <= _LONGEST_CDB:
        raise CATALOGUE.error("cdb-length", length=len(request.cdb))
    data_in = request.datain_len if request.flags & CdbFlag.DATA_IN else 0
    if data_in > MAX_CDB_DATA:
        raise CATALOGUE.error("cdb-data-too-long", length=data_in, limit=MAX_CDB_DATA)
    return Command(
        cdb=request.cdb,
        data_out=request.dataout if request.flags & CdbFlag.DATA_OUT else b"",
        data_in=data_in,
        timeout_s=request.timeout / _MS_PER_S if request.timeout else None,
    )
