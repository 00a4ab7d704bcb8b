"""READ POSITION: where the head stands, in its short and its long form.

Objects are records and filemarks alike, counted from the beginning. The one
rule: what a drive does not know is ``None``, whatever stands in the bytes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tapekit.scsi.malformed import at_least, number

__all__ = [
    "EXTENDED",
    "LONG",
    "POSITION_BYTES",
    "SHORT",
    "Position",
    "decode_position",
    "encode_position",
]

SHORT: Final = 0
"""The service action that asks for the short form."""

LONG: Final = 6
"""The service action that asks for the long form, with the tape file."""

EXTENDED: Final = 8
"""The service action that asks for the extended form."""

POSITION_BYTES: Final = {SHORT: 20, LONG: 32, EXTENDED: 32}
"""How long each form is."""

_BEGINNING, _END, _BEYOND_WARNING = 0x80, 0x40, 0x01
_LOCATION_UNKNOWN, _LONG_LOCATION_UNKNOWN, _LONG_FILE_UNKNOWN = 0x04, 0x04, 0x08


class Position(NamedTuple):
    """Where the head stands."""

    object_id: int | None
    """Records and filemarks before it."""
    file_id: int | None = None
    """Filemarks before it; only the long form tells."""
    partition: int = 0
    is_beginning: bool = False
    is_beyond_warning: bool = False
    """Behind the early warning before the end of the medium."""


def encode_position(position: Position, form: int) -> bytes:
    """The answer of a drive in a form; nothing is left in its buffer."""
    flags = _BEGINNING * position.is_beginning | _END * position.is_beyond_warning
    unknown = position.object_id is None
    objects = position.object_id or 0
    if form == LONG:
        flags |= _LONG_LOCATION_UNKNOWN * unknown | _LONG_FILE_UNKNOWN * (position.file_id is None)
        return (
            bytes((flags, 0, 0, 0))
            + position.partition.to_bytes(4, "big")
            + objects.to_bytes(8, "big")
            + (position.file_id or 0).to_bytes(8, "big")
            + bytes(8)
        )
    flags |= _LOCATION_UNKNOWN * unknown
    if form == EXTENDED:
        ends = objects.to_bytes(8, "big") * 2
        return bytes((flags, position.partition, 0, 28, 0, 0, 0, 0)) + ends + bytes(8)
    if objects > 0xFFFF_FFFF:
        flags, objects = flags | _LOCATION_UNKNOWN, 0
    return bytes((flags, position.partition, 0, 0)) + objects.to_bytes(4, "big") * 2 + bytes(8)


def decode_position(data: bytes, form: int) -> Position:
    """Read the answer of a drive.

    :param form: one of :data:`SHORT`, :data:`LONG`, :data:`EXTENDED`.
    :raises Malformed: it is too short.
    """
    at_least(data, POSITION_BYTES[form], "READ POSITION data")
    flags = data[0]
    beginning, beyond = bool(flags & _BEGINNING), bool(flags & (_END | _BEYOND_WARNING))
    if form == LONG:
        return Position(
            None if flags & _LONG_LOCATION_UNKNOWN else number(data, 8, 8),
            None if flags & _LONG_FILE_UNKNOWN else number(data, 16, 8),
            number(data, 4, 4),
            beginning,
            beyond,
        )
    first = number(data, 8, 8) if form == EXTENDED else number(data, 4, 4)
    known = None if flags & _LOCATION_UNKNOWN else first
    return Position(known, None, data[1], beginning, beyond)
