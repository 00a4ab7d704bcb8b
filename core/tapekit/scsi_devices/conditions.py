"""Sense data and status as conditions, for all drivers of SCSI devices.

What devices of all makers agree on is a table here; a driver that knows
better about its device looks at the sense data first. The one rule: an
answer that says that the command was carried out in full is no condition.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tapekit.errors import CORE
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.door import Status
from tapekit.scsi.malformed import Malformed
from tapekit.scsi.sense import Sense, SenseKey, decode_sense

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit.scsi.door import CdbReply

__all__ = ["condition_of", "sense_of"]

_BY_CODE: Final[Mapping[tuple[int, int, int], Condition]] = MappingProxyType(
    {
        # The code alone, for drives that forget the flags that go with it.
        (SenseKey.NO_SENSE, 0x00, 0x01): Condition.FILEMARK,
        (SenseKey.NO_SENSE, 0x00, 0x02): Condition.EARLY_WARNING,
        (SenseKey.NO_SENSE, 0x00, 0x04): Condition.BEGINNING_OF_MEDIUM,
        (SenseKey.NO_SENSE, 0x00, 0x05): Condition.END_OF_DATA,
        (SenseKey.NOT_READY, 0x3A, 0x00): Condition.NO_TAPE,
        (SenseKey.NOT_READY, 0x3A, 0x01): Condition.NO_TAPE,
        (SenseKey.NOT_READY, 0x3A, 0x02): Condition.NO_TAPE,
        (SenseKey.NOT_READY, 0x3A, 0x03): Condition.NO_TAPE,
        (SenseKey.NOT_READY, 0x3A, 0x04): Condition.NO_TAPE,
        (SenseKey.MEDIUM_ERROR, 0x00, 0x02): Condition.END_OF_MEDIUM,
        (SenseKey.ILLEGAL_REQUEST, 0x00, 0x04): Condition.BEGINNING_OF_MEDIUM,
        (SenseKey.ILLEGAL_REQUEST, 0x25, 0x00): Condition.NO_DEVICE,
        (SenseKey.ILLEGAL_REQUEST, 0x3B, 0x0D): Condition.DESTINATION_FULL,
        (SenseKey.ILLEGAL_REQUEST, 0x3B, 0x0E): Condition.SOURCE_EMPTY,
        (SenseKey.ILLEGAL_REQUEST, 0x53, 0x02): Condition.BUSY,
        (SenseKey.HARDWARE_ERROR, 0x53, 0x02): Condition.BUSY,
    }
)
"""Key, additional sense code and qualifier that mean more than their key."""

_BY_KEY: Final[Mapping[int, Condition]] = MappingProxyType(
    {
        SenseKey.NOT_READY: Condition.NOT_READY,
        SenseKey.MEDIUM_ERROR: Condition.MEDIUM_ERROR,
        SenseKey.HARDWARE_ERROR: Condition.HARDWARE_ERROR,
        SenseKey.ILLEGAL_REQUEST: Condition.BAD_REQUEST,
        # The command was not carried out, and nothing is wrong with it.
        SenseKey.UNIT_ATTENTION: Condition.NOT_READY,
        SenseKey.DATA_PROTECT: Condition.WRITE_PROTECTED,
        SenseKey.BLANK_CHECK: Condition.END_OF_DATA,
        SenseKey.VENDOR_SPECIFIC: Condition.HARDWARE_ERROR,
        SenseKey.COPY_ABORTED: Condition.HARDWARE_ERROR,
        SenseKey.ABORTED_COMMAND: Condition.HARDWARE_ERROR,
        SenseKey.RESERVED: Condition.HARDWARE_ERROR,
        SenseKey.VOLUME_OVERFLOW: Condition.END_OF_MEDIUM,
        SenseKey.MISCOMPARE: Condition.MEDIUM_ERROR,
    }
)

_BY_STATUS: Final[Mapping[int, Condition]] = MappingProxyType(
    {
        Status.BUSY: Condition.BUSY,
        Status.RESERVATION_CONFLICT: Condition.RESERVED,
        Status.TASK_SET_FULL: Condition.BUSY,
    }
)

_BEGINNING: Final = (0x00, 0x04)


def condition_of(sense: Sense) -> Condition | None:
    """What sense data means; ``None`` when the command was carried out."""
    if sense.is_deferred:
        return _deferred(sense)
    by_code = _BY_CODE.get((sense.key, sense.asc, sense.ascq))
    if by_code is not None:
        return by_code
    if sense.key not in (SenseKey.NO_SENSE, SenseKey.RECOVERED_ERROR, SenseKey.COMPLETED):
        return _BY_KEY[sense.key]
    if sense.filemark:
        return Condition.FILEMARK
    if sense.end_of_medium:
        is_beginning = (sense.asc, sense.ascq) == _BEGINNING
        return Condition.BEGINNING_OF_MEDIUM if is_beginning else Condition.EARLY_WARNING
    if sense.wrong_length and sense.information is not None and sense.information < 0:
        return Condition.RECORD_TOO_LONG
    return None


def _deferred(sense: Sense) -> Condition:
    """What news of an earlier command means: this one was not carried out (SPC)."""
    condition = condition_of(sense._replace(is_deferred=False))
    if condition is Condition.END_OF_MEDIUM:
        # What does not fit on the tape any more had been taken before.
        return Condition.MEDIUM_ERROR
    return condition if sense.key in _BY_KEY and condition else Condition.NOT_READY


def sense_of(reply: CdbReply, device: str, command: str) -> Sense | None:
    """The sense data of a reply; ``None`` if the command simply succeeded.

    :param device: the device's physical path name, for messages.
    :raises TapeError: another status than these two (``BUSY``, ``RESERVED``,
        ``HARDWARE_ERROR``), or sense data that cannot be read.
    """
    if reply.status in (Status.GOOD, Status.CONDITION_MET):
        return None
    if reply.status != Status.CHECK_CONDITION:
        raise CORE.raised_as(
            TapeError,
            "scsi-status",
            condition=_BY_STATUS.get(reply.status, Condition.HARDWARE_ERROR),
            device=device,
            command=command,
            status=reply.status,
        )
    try:
        return decode_sense(reply.sense)
    except Malformed as error:
        raise CORE.raised_as(
            TapeError,
            "scsi-unreadable",
            condition=Condition.HARDWARE_ERROR,
            device=device,
            command=command,
            reason=str(error),
        ) from error
