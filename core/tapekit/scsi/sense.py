"""Sense data: what a device says about a command that did not simply succeed.

Both formats, fixed and descriptor, become one :class:`Sense`; it is written
as either. The one rule: a residue that a device did not declare valid is
``None`` and never 0.
"""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.scsi.malformed import Malformed, at_least, number

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ADDITIONAL_SENSE", "NO_SENSE", "Sense", "SenseKey", "decode_sense", "encode_sense"]


class SenseKey(enum.IntEnum):
    """The kind of what happened (SPC, sense key)."""

    NO_SENSE = 0x0
    RECOVERED_ERROR = 0x1
    NOT_READY = 0x2
    MEDIUM_ERROR = 0x3
    HARDWARE_ERROR = 0x4
    ILLEGAL_REQUEST = 0x5
    UNIT_ATTENTION = 0x6
    DATA_PROTECT = 0x7
    BLANK_CHECK = 0x8
    VENDOR_SPECIFIC = 0x9
    COPY_ABORTED = 0xA
    ABORTED_COMMAND = 0xB
    RESERVED = 0xC
    VOLUME_OVERFLOW = 0xD
    MISCOMPARE = 0xE
    COMPLETED = 0xF


ADDITIONAL_SENSE: Final[Mapping[tuple[int, int], str]] = MappingProxyType(
    {
        (0x00, 0x00): "no additional sense information",
        (0x00, 0x01): "filemark detected",
        (0x00, 0x02): "end of partition or medium detected",
        (0x00, 0x04): "beginning of partition or medium detected",
        (0x00, 0x05): "end of data detected",
        (0x00, 0x07): "programmable early warning detected",
        (0x00, 0x16): "operation in progress",
        (0x00, 0x17): "cleaning requested",
        (0x00, 0x18): "erase operation in progress",
        (0x00, 0x19): "locate operation in progress",
        (0x00, 0x1A): "rewind operation in progress",
        (0x04, 0x00): "not ready, cause not reportable",
        (0x04, 0x01): "becoming ready",
        (0x04, 0x02): "initializing command required",
        (0x04, 0x03): "manual intervention required",
        (0x04, 0x07): "operation in progress",
        (0x04, 0x12): "offline",
        (0x0C, 0x00): "write error",
        (0x11, 0x00): "unrecovered read error",
        (0x14, 0x00): "recorded entity not found",
        (0x14, 0x03): "end of data not found",
        (0x15, 0x01): "mechanical positioning error",
        (0x1A, 0x00): "parameter list length error",
        (0x20, 0x00): "invalid command operation code",
        (0x21, 0x01): "invalid element address",
        (0x24, 0x00): "invalid field in CDB",
        (0x25, 0x00): "logical unit not supported",
        (0x26, 0x00): "invalid field in parameter list",
        (0x26, 0x04): "invalid release of persistent reservation",
        (0x27, 0x00): "write protected",
        (0x28, 0x00): "not ready to ready change, medium may have changed",
        (0x28, 0x01): "import or export element accessed",
        (0x29, 0x00): "power on, reset, or bus device reset occurred",
        (0x29, 0x03): "bus device reset occurred",
        (0x2A, 0x01): "mode parameters changed",
        (0x2A, 0x03): "reservations preempted",
        (0x2A, 0x04): "reservations released",
        (0x2A, 0x05): "registrations preempted",
        (0x30, 0x00): "incompatible medium installed",
        (0x30, 0x03): "cleaning cartridge installed",
        (0x30, 0x05): "cannot write medium, incompatible format",
        (0x30, 0x0C): "WORM medium, overwrite attempted",
        (0x31, 0x00): "medium format corrupted",
        (0x39, 0x00): "saving parameters not supported",
        (0x3A, 0x00): "medium not present",
        (0x3B, 0x0D): "medium destination element full",
        (0x3B, 0x0E): "medium source element empty",
        (0x3F, 0x0E): "reported LUNs data has changed",
        (0x44, 0x00): "internal target failure",
        (0x50, 0x00): "write append error",
        (0x51, 0x00): "erase failure",
        (0x52, 0x00): "cartridge fault",
        (0x53, 0x00): "media load or eject failed",
        (0x53, 0x02): "medium removal prevented",
        (0x5A, 0x01): "operator medium removal request",
    }
)
"""What the additional sense codes and qualifiers mean, as far as tapes and
changers use them (SPC, ASC and ASCQ assignments).
"""


class Sense(NamedTuple):
    """What a device says."""

    key: int
    """A :class:`SenseKey`."""
    asc: int = 0
    """Additional sense code."""
    ascq: int = 0
    """Qualifier of the additional sense code."""
    filemark: bool = False
    end_of_medium: bool = False
    wrong_length: bool = False
    """The block's length differs from the one asked for (ILI)."""
    information: int | None = None
    """What was left over, signed; ``None`` where the device does not say."""
    is_deferred: bool = False
    """About an earlier command that had ended well."""
    field: int | None = None
    """For an illegal request: the byte of the command that is wrong."""

    def __str__(self) -> str:
        """Key, code and qualifier as service manuals write them, and in words."""
        words = ADDITIONAL_SENSE.get((self.asc, self.ascq))
        code = f"{self.key:X}/{self.asc:02X}/{self.ascq:02X}"
        told = f"{code}, {words}" if words else code
        return f"{told}, about an earlier command" if self.is_deferred else told


NO_SENSE: Final = Sense(SenseKey.NO_SENSE)

_FIXED_BYTES: Final = 18
_FIXED: Final = 0x70
_DESCRIPTOR: Final = 0x72
_VALID: Final = 0x80
_FILEMARK, _END_OF_MEDIUM, _WRONG_LENGTH = 0x80, 0x40, 0x20
_FIELD_IS_VALID: Final = 0x80
_FIELD_IN_COMMAND: Final = 0x40
_INFORMATION, _KEY_SPECIFIC, _STREAM = 0x00, 0x02, 0x04


def encode_sense(sense: Sense, *, as_descriptors: bool = False) -> bytes:
    """Sense data in the fixed format, or in the descriptor format."""
    return _descriptors(sense) if as_descriptors else _fixed(sense)


def _fixed(sense: Sense) -> bytes:
    data = bytearray(_FIXED_BYTES)
    data[0] = _FIXED + sense.is_deferred
    data[2] = sense.key | _flags(sense)
    if sense.information is not None:
        data[0] |= _VALID
        data[3:7] = (sense.information & 0xFFFF_FFFF).to_bytes(4, "big")
    data[7] = _FIXED_BYTES - 8
    data[12:14] = bytes((sense.asc, sense.ascq))
    data[15:18] = _field_bytes(sense)
    return bytes(data)


def _descriptors(sense: Sense) -> bytes:
    parts = bytearray()
    if sense.information is not None:
        parts += bytes((_INFORMATION, 10, _VALID, 0))
        parts += (sense.information & (1 << 64) - 1).to_bytes(8, "big")
    if sense.field is not None:
        parts += bytes((_KEY_SPECIFIC, 6, 0, 0)) + _field_bytes(sense) + b"\0"
    if _flags(sense):
        parts += bytes((_STREAM, 2, 0, _flags(sense)))
    head = (_DESCRIPTOR + sense.is_deferred, sense.key, sense.asc, sense.ascq, 0, 0, 0, len(parts))
    return bytes(head) + parts


def _flags(sense: Sense) -> int:
    return (
        _FILEMARK * sense.filemark
        | _END_OF_MEDIUM * sense.end_of_medium
        | _WRONG_LENGTH * sense.wrong_length
    )


def _field_bytes(sense: Sense) -> bytes:
    if sense.field is None:
        return bytes(3)
    return bytes((_FIELD_IS_VALID | _FIELD_IN_COMMAND,)) + sense.field.to_bytes(2, "big")


def decode_sense(data: bytes) -> Sense:
    """Read sense data of either format; what was cut off counts as zero.

    :raises Malformed: it is no sense data.
    """
    at_least(data, 4, "sense data")
    kind = data[0] & 0x7F
    if kind in (_FIXED, _FIXED + 1):
        return _read_fixed(data.ljust(_FIXED_BYTES, b"\0"), is_deferred=kind != _FIXED)
    if kind in (_DESCRIPTOR, _DESCRIPTOR + 1):
        return _read_descriptors(data.ljust(8, b"\0"), is_deferred=kind != _DESCRIPTOR)
    raise Malformed(f"sense data has the response code {kind:02X}h")


def _read_fixed(data: bytes, *, is_deferred: bool) -> Sense:
    key = data[2] & 0x0F
    return Sense(
        key,
        data[12],
        data[13],
        filemark=bool(data[2] & _FILEMARK),
        end_of_medium=bool(data[2] & _END_OF_MEDIUM),
        wrong_length=bool(data[2] & _WRONG_LENGTH),
        information=int.from_bytes(data[3:7], "big", signed=True) if data[0] & _VALID else None,
        is_deferred=is_deferred,
        field=_field(key, data[15:18]),
    )


def _read_descriptors(data: bytes, *, is_deferred: bool) -> Sense:
    found: dict[int, bytes] = {}
    rest = data[8 : 8 + data[7]]
    while len(rest) > 1:
        length = 2 + rest[1]
        found.setdefault(rest[0], rest[:length].ljust(length, b"\0"))
        rest = rest[length:]
    key = data[1] & 0x0F
    information = found.get(_INFORMATION, b"").ljust(12, b"\0")
    flags = found.get(_STREAM, b"").ljust(4, b"\0")[3]
    is_valid = information[2] & _VALID
    return Sense(
        key,
        data[2],
        data[3],
        filemark=bool(flags & _FILEMARK),
        end_of_medium=bool(flags & _END_OF_MEDIUM),
        wrong_length=bool(flags & _WRONG_LENGTH),
        information=int.from_bytes(information[4:12], "big", signed=True) if is_valid else None,
        is_deferred=is_deferred,
        field=_field(key, found.get(_KEY_SPECIFIC, b"").ljust(7, b"\0")[4:7]),
    )


def _field(key: int, data: bytes) -> int | None:
    has_field = data[0] & _FIELD_IS_VALID and data[0] & _FIELD_IN_COMMAND
    return number(data, 1, 2) if key == SenseKey.ILLEGAL_REQUEST and has_field else None
