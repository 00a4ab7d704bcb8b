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

_WRITING: Final = frozenset(
    {
        0x04,  # FORMAT MEDIUM
        0x0A,  # WRITE(6)
        0x0B,  # SET CAPACITY
        0x10,  # WRITE FILEMARKS(6)
        0x19,  # ERASE(6)
        0x80,  # WRITE FILEMARKS(16)
        0x8A,  # WRITE(16)
        0x8D,  # WRITE ATTRIBUTE
        0x93,  # ERASE(16)
    }
)
"""Operation codes that change what is on a tape (SSC, SPC)."""


class Command(NamedTuple):
    """A command for a door, as :meth:`CdbDoor.execute` takes it."""

    cdb: bytes
    data_out: bytes
    data_in: int
    timeout_s: float | None

    @property
    def writes(self) -> bool:
        """Whether it changes what is on a tape."""
        return self.cdb[0] in _WRITING

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
