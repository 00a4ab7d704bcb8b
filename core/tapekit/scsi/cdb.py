"""Commands as data: where each field of a command descriptor block stands.

One row a command builds the block for whoever sends it and takes it apart for
whoever answers. Tapes and changers have a table each, because they use some
operation codes for different commands. The one rule: a bit that no field
owns is zero, and a reader refuses it otherwise.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "CHANGER_COMMANDS",
    "TAPE_COMMANDS",
    "Command",
    "Field",
    "FieldRefused",
    "changer_command",
    "tape_command",
]


class FieldRefused(Exception):
    """A field has a value that it may not have, or the block is too short."""

    def __init__(self, byte: int) -> None:
        """:param byte: where in the block (SPC, field pointer)."""
        super().__init__(byte)
        self.byte: Final = byte


class Field(NamedTuple):
    """A field of a block: whole bytes, or bits within one."""

    name: str
    byte: int
    """The first byte that it stands in."""
    length: int = 1
    """Bytes that it stands in."""
    shift: int = 0
    """Bits to its right within its byte."""
    bits: int = 0
    """Its width, or 0 for all bits of its bytes."""
    is_signed: bool = False

    @property
    def width(self) -> int:
        """Its width in bits."""
        return self.bits or 8 * self.length

    @property
    def mask(self) -> int:
        """The bits that it owns, as a number over its bytes."""
        return ((1 << self.width) - 1) << self.shift


class Command(NamedTuple):
    """One command: its operation code, its length, its fields."""

    opcode: int
    name: str
    """As the standards write it."""
    length: int
    """Bytes of the block."""
    fields: tuple[Field, ...] = ()

    def build(self, **values: int) -> bytes:
        """The block with these values, and zero in all other fields.

        :raises ValueError: no such field, or a value that does not fit: a
            mistake of the caller.
        """
        block = bytearray(self.length)
        block[0] = self.opcode
        for field in self.fields:
            value = values.pop(field.name, 0)
            least = -(1 << field.width - 1) if field.is_signed else 0
            if not least <= value < least + (1 << field.width):
                raise ValueError(f"{self.name}: {field.name} cannot be {value}")
            place = slice(field.byte, field.byte + field.length)
            bits = (value << field.shift) & field.mask
            merged = int.from_bytes(block[place], "big") | bits
            block[place] = merged.to_bytes(field.length, "big")
        if values:
            raise ValueError(f"{self.name} has no field {min(values)}")
        return bytes(block)

    def parse(self, block: bytes) -> Mapping[str, int]:
        """The values of all fields; bytes behind the block are padding.

        :raises FieldRefused: the block is too short, or a bit is set that no
            field owns. The control byte at the end is not looked at.
        """
        if len(block) < self.length:
            raise FieldRefused(len(block))
        for byte, allowed in enumerate(self.usage()):
            if block[byte] & ~allowed:
                raise FieldRefused(byte)
        return {field.name: _value(field, block) for field in self.fields}

    def usage(self) -> bytes:
        """The bits that the command uses (SPC, CDB usage data): ones where a
        field may be set, the operation code in byte 0.
        """
        used = bytearray(self.length)
        for field in self.fields:
            for offset, bits in enumerate(field.mask.to_bytes(field.length, "big")):
                used[field.byte + offset] |= bits
        used[0] = self.opcode
        used[-1] = 0xFF
        return bytes(used)


def _value(field: Field, block: bytes) -> int:
    raw = int.from_bytes(block[field.byte : field.byte + field.length], "big")
    value = (raw & field.mask) >> field.shift
    if field.is_signed and value >> field.width - 1:
        return value - (1 << field.width)
    return value


def _flag(name: str, byte: int, bit: int) -> Field:
    return Field(name, byte, shift=bit, bits=1)


def _bits(name: str, byte: int, shift: int, bits: int) -> Field:
    return Field(name, byte, shift=shift, bits=bits)


def _number(name: str, byte: int, length: int = 1) -> Field:
    return Field(name, byte, length)


def _signed(name: str, byte: int, length: int) -> Field:
    return Field(name, byte, length, is_signed=True)


_IMMEDIATE: Final = _flag("immediate", 1, 0)
_PREVENT: Final = Command(0x1E, "PREVENT ALLOW MEDIUM REMOVAL", 6, (_bits("prevent", 4, 0, 2),))

_PRIMARY: Final = (
    Command(0x00, "TEST UNIT READY", 6),
    Command(0x03, "REQUEST SENSE", 6, (_flag("descriptor", 1, 0), _number("allocation", 4))),
    Command(
        0x12, "INQUIRY", 6, (_flag("vital", 1, 0), _number("page", 2), _number("allocation", 3, 2))
    ),
    Command(
        0x15,
        "MODE SELECT(6)",
        6,
        (_flag("save", 1, 0), _flag("page_format", 1, 4), _number("list_length", 4)),
    ),
    Command(0x16, "RESERVE(6)", 6),
    Command(0x17, "RELEASE(6)", 6),
    Command(
        0x1A,
        "MODE SENSE(6)",
        6,
        (
            _flag("no_descriptor", 1, 3),
            _bits("control", 2, 6, 2),
            _bits("page", 2, 0, 6),
            _number("subpage", 3),
            _number("allocation", 4),
        ),
    ),
    Command(
        0x1C,
        "RECEIVE DIAGNOSTIC RESULTS",
        6,
        (_flag("is_page", 1, 0), _number("page", 2), _number("allocation", 3, 2)),
    ),
    Command(
        0x1D,
        "SEND DIAGNOSTIC",
        6,
        (
            _flag("unit_offline", 1, 0),
            _flag("device_offline", 1, 1),
            _flag("self_test", 1, 2),
            _flag("page_format", 1, 4),
            _bits("self_test_code", 1, 5, 3),
            _number("list_length", 3, 2),
        ),
    ),
    _PREVENT,
    Command(
        0x4C,
        "LOG SELECT",
        10,
        (
            _flag("save", 1, 0),
            _flag("reset", 1, 1),
            _bits("control", 2, 6, 2),
            _bits("page", 2, 0, 6),
            _number("subpage", 3),
            _number("list_length", 7, 2),
        ),
    ),
    Command(
        0x4D,
        "LOG SENSE",
        10,
        (
            _flag("save", 1, 0),
            _bits("control", 2, 6, 2),
            _bits("page", 2, 0, 6),
            _number("subpage", 3),
            _number("parameter", 5, 2),
            _number("allocation", 7, 2),
        ),
    ),
    Command(
        0x55,
        "MODE SELECT(10)",
        10,
        (_flag("save", 1, 0), _flag("page_format", 1, 4), _number("list_length", 7, 2)),
    ),
    Command(
        0x5A,
        "MODE SENSE(10)",
        10,
        (
            _flag("no_descriptor", 1, 3),
            _flag("long_descriptor", 1, 4),
            _bits("control", 2, 6, 2),
            _bits("page", 2, 0, 6),
            _number("subpage", 3),
            _number("allocation", 7, 2),
        ),
    ),
    Command(
        0x5E,
        "PERSISTENT RESERVE IN",
        10,
        (_bits("service_action", 1, 0, 5), _number("allocation", 7, 2)),
    ),
    Command(
        0x5F,
        "PERSISTENT RESERVE OUT",
        10,
        (
            _bits("service_action", 1, 0, 5),
            _bits("scope", 2, 4, 4),
            _bits("type", 2, 0, 4),
            _number("list_length", 5, 4),
        ),
    ),
    Command(0xA0, "REPORT LUNS", 12, (_number("select", 2), _number("allocation", 6, 4))),
    Command(
        0xA3,
        "REPORT SUPPORTED OPERATION CODES",
        12,
        (
            _bits("service_action", 1, 0, 5),
            _flag("with_timeouts", 2, 7),
            _bits("options", 2, 0, 3),
            _number("opcode", 3),
            _number("requested_action", 4, 2),
            _number("allocation", 6, 4),
        ),
    ),
)

_TAPE: Final = (
    Command(0x01, "REWIND", 6, (_IMMEDIATE,)),
    Command(
        0x04,
        "FORMAT MEDIUM",
        6,
        (_IMMEDIATE, _bits("format", 2, 0, 4), _number("list_length", 3, 2)),
    ),
    Command(0x05, "READ BLOCK LIMITS", 6, (_flag("objects", 1, 0),)),
    Command(
        0x08, "READ(6)", 6, (_flag("fixed", 1, 0), _flag("sili", 1, 1), _number("count", 2, 3))
    ),
    Command(0x0A, "WRITE(6)", 6, (_flag("fixed", 1, 0), _number("count", 2, 3))),
    Command(0x0B, "SET CAPACITY", 6, (_IMMEDIATE, _number("proportion", 3, 2))),
    Command(
        0x10,
        "WRITE FILEMARKS(6)",
        6,
        (_IMMEDIATE, _flag("setmarks", 1, 1), _number("count", 2, 3)),
    ),
    Command(0x11, "SPACE(6)", 6, (_bits("code", 1, 0, 4), _signed("count", 2, 3))),
    Command(
        0x13,
        "VERIFY(6)",
        6,
        (
            _flag("fixed", 1, 0),
            _flag("byte_compare", 1, 1),
            _flag("immediate", 1, 2),
            _number("count", 2, 3),
        ),
    ),
    Command(0x19, "ERASE(6)", 6, (_flag("long", 1, 0), _flag("immediate", 1, 1))),
    Command(
        0x1B,
        "LOAD UNLOAD",
        6,
        (
            _IMMEDIATE,
            _flag("load", 4, 0),
            _flag("retension", 4, 1),
            _flag("end_of_tape", 4, 2),
            _flag("hold", 4, 3),
        ),
    ),
    Command(
        0x2B,
        "LOCATE(10)",
        10,
        (
            _IMMEDIATE,
            _flag("change_partition", 1, 1),
            _flag("device_address", 1, 2),
            _number("object", 3, 4),
            _number("partition", 8),
        ),
    ),
    Command(
        0x34,
        "READ POSITION",
        10,
        (_bits("service_action", 1, 0, 5), _number("extended_allocation", 7, 2)),
    ),
    Command(
        0x44,
        "REPORT DENSITY SUPPORT",
        10,
        (_flag("loaded", 1, 0), _flag("medium_type", 1, 1), _number("allocation", 7, 2)),
    ),
    Command(
        0x8C,
        "READ ATTRIBUTE",
        16,
        (
            _bits("service_action", 1, 0, 5),
            _number("volume", 5),
            _number("partition", 7),
            _number("first", 8, 2),
            _number("allocation", 10, 4),
        ),
    ),
    Command(
        0x8D,
        "WRITE ATTRIBUTE",
        16,
        (
            _flag("write_through", 1, 0),
            _number("volume", 5),
            _number("partition", 7),
            _number("list_length", 10, 4),
        ),
    ),
    Command(0x91, "SPACE(16)", 16, (_bits("code", 1, 0, 4), _signed("count", 4, 8))),
    Command(
        0x92,
        "LOCATE(16)",
        16,
        (
            _IMMEDIATE,
            _flag("change_partition", 1, 1),
            _bits("destination", 1, 3, 3),
            _number("partition", 3),
            _number("object", 4, 8),
        ),
    ),
    Command(
        0xA2,
        "SECURITY PROTOCOL IN",
        12,
        (_number("protocol", 1), _number("specific", 2, 2), _number("allocation", 6, 4)),
    ),
    Command(
        0xB5,
        "SECURITY PROTOCOL OUT",
        12,
        (_number("protocol", 1), _number("specific", 2, 2), _number("list_length", 6, 4)),
    ),
)

_CHANGER: Final = (
    Command(0x07, "INITIALIZE ELEMENT STATUS", 6),
    Command(
        0x1B,
        "OPEN/CLOSE IMPORT/EXPORT ELEMENT",
        6,
        (_number("element", 2, 2), _bits("action", 4, 0, 5)),
    ),
    Command(
        0x2B,
        "POSITION TO ELEMENT",
        10,
        (_number("transport", 2, 2), _number("destination", 4, 2), _flag("invert", 8, 0)),
    ),
    Command(
        0x37,
        "INITIALIZE ELEMENT STATUS WITH RANGE",
        10,
        (
            _flag("range", 1, 0),
            _flag("fast", 1, 1),
            _number("start", 2, 2),
            _number("count", 6, 2),
        ),
    ),
    Command(
        0xA5,
        "MOVE MEDIUM",
        12,
        (
            _number("transport", 2, 2),
            _number("source", 4, 2),
            _number("destination", 6, 2),
            _flag("invert", 10, 0),
        ),
    ),
    Command(
        0xA6,
        "EXCHANGE MEDIUM",
        12,
        (
            _number("transport", 2, 2),
            _number("source", 4, 2),
            _number("destination", 6, 2),
            _number("second", 8, 2),
            _flag("invert_second", 10, 0),
            _flag("invert", 10, 1),
        ),
    ),
    Command(
        0xB5,
        "REQUEST VOLUME ELEMENT ADDRESS",
        12,
        (
            _flag("tags", 1, 4),
            _bits("type", 1, 0, 4),
            _number("start", 2, 2),
            _number("count", 4, 2),
            _number("allocation", 7, 3),
        ),
    ),
    Command(
        0xB6,
        "SEND VOLUME TAG",
        12,
        (
            _bits("type", 1, 0, 4),
            _number("start", 2, 2),
            _bits("action", 5, 0, 5),
            _number("list_length", 8, 2),
        ),
    ),
    Command(
        0xB8,
        "READ ELEMENT STATUS",
        12,
        (
            _flag("tags", 1, 4),
            _bits("type", 1, 0, 4),
            _number("start", 2, 2),
            _number("count", 4, 2),
            _flag("identifiers", 6, 0),
            _flag("current", 6, 1),
            _number("allocation", 7, 3),
        ),
    ),
)


def _table(commands: Iterable[Command]) -> Mapping[int, Command]:
    return MappingProxyType({command.opcode: command for command in commands})


TAPE_COMMANDS: Final = _table((*_PRIMARY, *_TAPE))
"""Commands of tape drives (SPC, SSC) by operation code."""

CHANGER_COMMANDS: Final = _table((*_PRIMARY, *_CHANGER))
"""Commands of media changers (SPC, SMC) by operation code."""

_TAPE_BY_NAME: Final = {command.name: command for command in TAPE_COMMANDS.values()}
_CHANGER_BY_NAME: Final = {command.name: command for command in CHANGER_COMMANDS.values()}


def tape_command(name: str) -> Command:
    """A command of tape drives by its name, such as ``READ(6)``."""
    return _TAPE_BY_NAME[name]


def changer_command(name: str) -> Command:
    """A command of media changers by its name, such as ``MOVE MEDIUM``."""
    return _CHANGER_BY_NAME[name]
