"""How much a tape holds, asked of drives that have the log page for it.

The one rule: what a drive does not tell is ``None``, and no error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.log import CAPACITY_PAGE, decode_log

if TYPE_CHECKING:
    from tapekit.scsi_devices.conversation import Conversation

__all__ = ["capacity_of"]

_ANSWER_BYTES: Final = 0xFF
_MEGABYTE: Final = 1 << 20
_REMAINING, _MAXIMUM = 1, 3
"""Parameters of the capacity page for the first partition, in MiB."""


def capacity_of(talk: Conversation) -> tuple[int | None, int | None]:
    """Remaining and total bytes of the tape, as far as the drive tells them.

    :raises TapeError: the drive does not answer, or cannot be understood.
    """
    name = "LOG SENSE"
    try:
        data = talk.run(
            name, room=_ANSWER_BYTES, control=1, page=CAPACITY_PAGE, allocation=_ANSWER_BYTES
        )
    except TapeError as error:
        if error.condition is not Condition.BAD_REQUEST:
            raise
        return None, None
    rows = dict(talk.decoded(name, lambda: decode_log(data, CAPACITY_PAGE)))
    remaining, total = (
        int.from_bytes(rows[code], "big") * _MEGABYTE if code in rows else None
        for code in (_REMAINING, _MAXIMUM)
    )
    return remaining, total
