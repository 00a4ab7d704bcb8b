"""Tapes in single files of other programs: SIMH (.tap), AWSTAPE (.aws), and bytes alone.

Readers take a file from beginning to end and answer records, and ``None``
for each filemark; writers do the reverse. ``docs/formats/tape-images.md``
describes what is read and written. The one rule: a file may be of anybody's
making, so every length is judged before it is believed, and what contradicts
itself is refused with its place.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, TypeAlias, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "LONGEST_RECORD",
    "READERS",
    "WRITERS",
    "BadRecords",
    "ImageError",
    "ImageFormat",
    "Item",
    "ReadChoice",
]

LONGEST_RECORD: Final = 0xFF_FFFF
"""The longest record that a file can hold, in bytes."""

Item: TypeAlias = bytes | memoryview | None
"""A record, or ``None`` for a filemark."""


class ImageFormat(enum.Enum):
    """What a file is."""

    SIMH = "simh"
    AWS = "aws"
    RAW = "raw"


class BadRecords(enum.Enum):
    """What becomes of records that were read with errors when a file was made."""

    REFUSE = "refuse"
    KEEP = "keep"
    SKIP = "skip"


class ReadChoice(NamedTuple):
    """How a file is to be read."""

    bad_records: BadRecords = BadRecords.REFUSE
    record_size: int = 65536
    """Bytes of the records that bytes alone are cut into."""


class ImageError(Exception):
    """A file is not what it should be."""

    def __init__(self, offset: int, reason: str) -> None:
        """:param offset: where in the file."""
        super().__init__(offset, reason)
        self.offset: Final = offset
        self.reason: Final = reason


@final
class _Source:
    """A file that is read once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file: Final = file
        self.offset = 0

    def take(self, count: int) -> bytes:
        """So many bytes; fewer only at the end of the file."""
        parts = b""
        while len(parts) < count:
            more = self._file.read(count - len(parts))
            if not more:
                break
            parts += more
        self.offset += len(parts)
        return parts

    def all_of(self, count: int, what: str) -> bytes:
        """So many bytes.

        :raises ImageError: the file ends before.
        """
        data = self.take(count)
        if len(data) < count:
            raise ImageError(self.offset, f"the file ends within {what}")
        return data


# SIMH.

_WORD: Final = struct.Struct("<I")
_SIMH_MARK, _SIMH_END, _SIMH_GAP, _SIMH_HALF_GAP = 0, 0xFFFF_FFFF, 0xFFFF_FFFE, 0xFFFE_FFFF
_GOOD, _PRIVATE_MARKER, _BAD, _DESCRIPTION, _RESERVED = 0x0, 0x7, 0x8, 0xE, 0xF


def _read_simh(file: BinaryIO, choice: ReadChoice) -> Iterator[bytes | None]:
    source = _Source(file)
    word = source.take(_WORD.size)
    while word:
        at = source.offset - len(word)
        if len(word) < _WORD.size:
            raise ImageError(at, "the file ends within a marker")
        (value,) = _WORD.unpack(word)
        if value == _SIMH_END:
            return
        if value == _SIMH_HALF_GAP:
            # A gap that begins in the middle of a marker.
            word = word[2:] + source.all_of(2, "an erase gap")
            continue
        if value == _SIMH_MARK:
            yield None
        elif value != _SIMH_GAP:
            yield from _simh_record(source, at, value, choice)
        word = source.take(_WORD.size)


def _simh_record(source: _Source, at: int, value: int, choice: ReadChoice) -> Iterator[bytes]:
    kind, length = value >> 28, value & 0x0FFF_FFFF
    if kind == _PRIVATE_MARKER:
        return
    if kind == _RESERVED or length > LONGEST_RECORD:
        raise ImageError(at, f"{value:08X}h is neither a length nor a marker that is known")
    data = source.all_of(length, "a record")
    source.all_of(length % 2, "the padding of a record")
    (behind,) = _WORD.unpack(source.all_of(_WORD.size, "the length behind a record"))
    if behind != value:
        raise ImageError(at, f"a record begins with {value:08X}h and ends with {behind:08X}h")
    if kind == _BAD and choice.bad_records is BadRecords.REFUSE:
        raise ImageError(at, f"a record of {length} bytes was read with an error")
    is_wanted = kind == _GOOD or (kind == _BAD and choice.bad_records is BadRecords.KEEP)
    # Other classes are notes of other programs, which are no data of the tape.
    if is_wanted and length:
        yield data


def _write_simh(items: Iterable[Item], write: Callable[[bytes | memoryview], object]) -> None:
    for item in items:
        if item is None:
            write(_WORD.pack(_SIMH_MARK))
            continue
        length = _WORD.pack(len(item))
        write(length)
        write(item)
        write(b"\0" * (len(item) % 2) + length)


# AWSTAPE.

_BLOCK: Final = struct.Struct("<HHBB")
_AWS_BEGINS, _AWS_MARK, _AWS_ENDS = 0x80, 0x40, 0x20
_AWS_FLAGS: Final = _AWS_BEGINS | _AWS_MARK | _AWS_ENDS
_AWS_LONGEST: Final = 0xFFFF


def _read_aws(file: BinaryIO, choice: ReadChoice) -> Iterator[bytes | None]:
    del choice  # The format knows no bad records.
    source = _Source(file)
    record: bytearray | None = None
    before = 0
    while head := source.take(_BLOCK.size):
        at = source.offset - len(head)
        if len(head) < _BLOCK.size:
            raise ImageError(at, "the file ends within a block header")
        length, previous, flags, more_flags = _BLOCK.unpack(head)
        _judge_block(at, length, flags, more_flags, is_within=record is not None)
        if previous != before:
            raise ImageError(
                at, f"a block of {before} bytes is followed by one that says {previous}"
            )
        before = length
        if flags & _AWS_MARK:
            yield None
            continue
        record = bytearray() if record is None else record
        record += source.all_of(length, "a block")
        if len(record) > LONGEST_RECORD:
            raise ImageError(at, f"a record has more than {LONGEST_RECORD} bytes")
        if flags & _AWS_ENDS:
            data, record = bytes(record), None
            if not data:
                raise ImageError(at, "a record is empty")
            yield data
    if record is not None:
        raise ImageError(source.offset, "the file ends within a record")


def _judge_block(at: int, length: int, flags: int, more_flags: int, *, is_within: bool) -> None:
    """Refuse a block header that cannot be.

    :raises ImageError: saying why.
    """
    if flags & ~_AWS_FLAGS or more_flags:
        raise ImageError(
            at, f"a block has the flags {flags:02X}{more_flags:02X}h, such as compressed ones"
        )
    if flags & _AWS_MARK and (length or is_within or flags != _AWS_MARK):
        raise ImageError(at, "a filemark has data or lies within a record")
    if not flags & _AWS_MARK and bool(flags & _AWS_BEGINS) == is_within:
        raise ImageError(at, "a record begins within another, or goes on without a beginning")


def _write_aws(items: Iterable[Item], write: Callable[[bytes | memoryview], object]) -> None:
    before = 0
    for item in items:
        if item is None:
            write(_BLOCK.pack(0, before, _AWS_MARK, 0))
            before = 0
            continue
        view = memoryview(item)
        for start in range(0, len(view), _AWS_LONGEST):
            part = view[start : start + _AWS_LONGEST]
            is_last = start + len(part) == len(view)
            flags = _AWS_BEGINS * (start == 0) | _AWS_ENDS * is_last
            write(_BLOCK.pack(len(part), before, flags, 0))
            write(part)
            before = len(part)


# Bytes alone: one tape file.


def _read_raw(file: BinaryIO, choice: ReadChoice) -> Iterator[bytes | None]:
    source = _Source(file)
    while data := source.take(choice.record_size):
        yield data
    yield None


READERS: Final[Mapping[ImageFormat, Callable[[BinaryIO, ReadChoice], Iterator[bytes | None]]]] = {
    ImageFormat.SIMH: _read_simh,
    ImageFormat.AWS: _read_aws,
    ImageFormat.RAW: _read_raw,
}
"""What reads a file, from its beginning; raises :class:`ImageError`."""

WRITERS: Final[
    Mapping[ImageFormat, Callable[[Iterable[Item], Callable[[bytes | memoryview], object]], None]]
] = {
    ImageFormat.SIMH: _write_simh,
    ImageFormat.AWS: _write_aws,
}
"""What writes a file that tells where records end."""
