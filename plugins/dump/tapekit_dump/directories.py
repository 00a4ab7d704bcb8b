"""Directory contents as they stand in a dump stream.

An entry is number, length, type, name; entries fill blocks of 512 bytes
that none crosses, the last of each block stretched to its end, ``.`` and
``..`` first. Reading takes blocks of 512 or 1,024 bytes in both byte orders
and what Debian's dump leaves in the slack. The one rule: reading always goes
forward, never past the end, and reports what it cannot believe.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "BLOCK_BYTES",
    "DecodedEntry",
    "DirectoryEncoder",
    "EntryFault",
    "EntryType",
    "decode_entries",
]

BLOCK_BYTES: Final = 512
"""Entries never cross a multiple of this."""

_READ_BLOCK_BYTES: Final = 1024
"""The block that readers validate entries against."""


class EntryType(enum.IntEnum):
    """``d_type`` of an entry."""

    UNKNOWN = 0
    FIFO = 1
    CHARACTER_DEVICE = 2
    DIRECTORY = 4
    BLOCK_DEVICE = 6
    REGULAR = 8
    SYMLINK = 10
    SOCKET = 12


class EntryFault(enum.Enum):
    """Why an entry cannot be used as it stands."""

    LENGTH = "its length is impossible"
    """The rest of its block is lost, since nothing tells where it goes on."""
    OVERWRITTEN = "its name is overwritten by the next entry"
    """Debian's dump writes names of 255 bytes so; the number is right."""
    EMPTY_NAME = "its name is empty"
    SLASH = "its name contains a slash"
    NUL = "its name contains a NUL"
    DOT = "it is named . or .. and is not the first or second entry"
    TRUNCATED = "the directory ends inside of it"


class DecodedEntry(NamedTuple):
    """One entry in use as it was read."""

    inode: int
    kind: int
    """An :class:`EntryType`, or anything; 0 in the old format."""
    name: bytes
    offset: int
    """Where it stands in the directory's content, in bytes."""
    fault: EntryFault | None


_HEAD_BYTES: Final = 8
_HEADS: Final = {order: struct.Struct(f"{order}IHBB") for order in "<>"}
_OLD_HEADS: Final = {order: struct.Struct(f"{order}IHH") for order in "<>"}
_DOTS: Final = (b".", b"..")


def decode_entries(
    content: memoryview | bytes, byte_order: str = "<", *, old_format: bool = False
) -> Iterator[DecodedEntry]:
    """The entries in use of a directory, in order, also the first two.

    :param content: the directory's content, cut at its size.
    :param byte_order: that of the header, ``<`` or ``>``.
    :param old_format: whether the TAPE header lacks ``NEW_INODE_FORMAT``, so
        that the name's length is 16 bits wide and there is no type.
    """
    read = _read_old_head if old_format else _read_head
    end, at, seen = len(content), 0, 0
    while at + _HEAD_BYTES <= end:
        inode, length, kind, name_length = read(content, at, byte_order)
        fault = _length_fault(at, length, end)
        if fault is not None:
            yield DecodedEntry(inode, kind, b"", at, fault)
            at = (at // BLOCK_BYTES + 1) * BLOCK_BYTES
            continue
        if inode:
            name_at = at + _HEAD_BYTES
            name = bytes(content[name_at : name_at + name_length])
            if _HEAD_BYTES + name_length > length:
                yield DecodedEntry(inode, kind, b"", at, EntryFault.OVERWRITTEN)
            else:
                yield DecodedEntry(inode, kind, name, at, _name_fault(name, seen))
            seen += 1
        at += length


def _read_head(content: memoryview | bytes, at: int, byte_order: str) -> tuple[int, int, int, int]:
    head: tuple[int, int, int, int] = _HEADS[byte_order].unpack_from(content, at)
    return head


def _read_old_head(
    content: memoryview | bytes, at: int, byte_order: str
) -> tuple[int, int, int, int]:
    inode, length, name_length = _OLD_HEADS[byte_order].unpack_from(content, at)
    return inode, length, EntryType.UNKNOWN, name_length


def _length_fault(at: int, length: int, end: int) -> EntryFault | None:
    """Whether the next entry can be found at all."""
    if length < _HEAD_BYTES or length % 4:
        return EntryFault.LENGTH
    if at % _READ_BLOCK_BYTES + length > _READ_BLOCK_BYTES:
        return EntryFault.LENGTH
    return EntryFault.TRUNCATED if at + length > end else None


def _name_fault(name: bytes, seen: int) -> EntryFault | None:
    if not name:
        return EntryFault.EMPTY_NAME
    if b"/" in name:
        return EntryFault.SLASH
    if b"\0" in name:
        return EntryFault.NUL
    if name in _DOTS and (seen > 1 or name != _DOTS[seen]):
        return EntryFault.DOT
    return None


def _entry_length(name_length: int) -> int:
    return (_HEAD_BYTES + name_length + 4) & ~3


_PACK: Final = tuple(
    struct.Struct(f"<IHBB{_entry_length(count) - _HEAD_BYTES}s").pack for count in range(256)
)
"""What packs an entry, by the length of its name."""

_LENGTH: Final = struct.Struct("<H")
_LENGTH_OFFSET: Final = 4


_DOT_LENGTH: Final = _entry_length(1)
_TWO: Final = struct.Struct(f"<{'IHBB4s' * 2}")


def _first_two(number: int, parent: int) -> bytes:
    """The entries ``.`` and ``..``."""
    kind = EntryType.DIRECTORY
    return _TWO.pack(number, _DOT_LENGTH, kind, 1, b".", parent, _DOT_LENGTH, kind, 2, b"..")


@final
class DirectoryEncoder:
    """Builds a directory's content piece by piece.

    Names are up to 255 bytes long. An entry may be added with the number 0,
    to be filled in later at the offset that :attr:`unnumbered` tells.
    """

    def __init__(self, number: int, parent: int) -> None:
        self.unnumbered: Final[list[int]] = []
        """Offsets, in the content, of the entries added with number 0."""
        self._out: Final = bytearray(_first_two(number, parent))
        self._taken = 0
        self._room = BLOCK_BYTES - len(self._out)
        self._last = len(self._out) // 2

    @property
    def waiting(self) -> int:
        """Bytes that :meth:`take` would give, or a block more."""
        return len(self._out)

    def add(self, entries: Iterable[tuple[int, int, bytes]]) -> None:
        """Append entries: number, type, name."""
        out, room, last = self._out, self._room, self._last
        for number, kind, name in entries:
            count = len(name)
            length = (count + 12) & ~3
            if length > room:
                self._stretch(last, room)
                room = BLOCK_BYTES
            if not number:
                self.unnumbered.append(self._taken + len(out))
            out += _PACK[count](number, length, kind, count, name)
            room -= length
            last = length
        self._room, self._last = room, last

    def take(self) -> bytes:
        """The finished blocks since the last call."""
        if not self._room:
            self._room = BLOCK_BYTES
        count = len(self._out) // BLOCK_BYTES * BLOCK_BYTES
        taken = bytes(self._out[:count])
        del self._out[:count]
        self._taken += count
        return taken

    def finish(self) -> bytes:
        """All that is left; the content is a multiple of 512 bytes then."""
        if self._room < BLOCK_BYTES:
            self._stretch(self._last, self._room)
            self._room = BLOCK_BYTES
        return self.take()

    def _stretch(self, last: int, room: int) -> None:
        """Let the last entry, ``last`` bytes long, reach to the block's end."""
        out = self._out
        _LENGTH.pack_into(out, len(out) - last + _LENGTH_OFFSET, last + room)
        out += bytes(room)
