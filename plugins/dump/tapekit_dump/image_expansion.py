"""Dumps whose blocks were compressed by the dump program, as plain ones.

Debian's ``dump -z`` and ``-j`` write the first block as it is and each later
one behind a word that tells its length and method. What is given out is the
stream as it would have been without the option. The one rule: a block never
becomes longer than the blocking that the first header tells, whatever it
contains.
"""

from __future__ import annotations

import bz2
import struct
import zlib
from typing import TYPE_CHECKING, Final, final

from tapekit.segments import Batch
from tapekit.streams import EndOfStream, StreamReader
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import RECORD_BYTES, BadHeader, HeaderFlag, HeaderType, unpack_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.errors import TapekitError
    from tapekit.segments import DataSource

__all__ = ["ExpandedSource", "compressed_block"]

_PREFIX: Final = struct.Struct("<I")
_COMPRESSED: Final = 1
_METHOD: Final = 0b1110
_LENGTH_SHIFT: Final = 4
_FLAGS: Final = struct.Struct("<28xi856xi132x")
"""Checksum and flags of a little-endian header, the only ones that Debian's
dump compresses."""

_LARGEST_BLOCK: Final = 1024
"""Records; Debian's dump takes no larger ones."""

_ROOM_FOR_WORSE: Final = 64 << 10
"""Bytes by which compression may lengthen a block of noise."""


def _inflate(data: memoryview, limit: int) -> bytes:
    return zlib.decompressobj().decompress(data, limit)


def _unpack_bzip2(data: memoryview, limit: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, limit)


_METHODS: Final = {0 << 1: _inflate, 1 << 1: _unpack_bzip2}


def compressed_block(beginning: bytes) -> int | None:
    """The bytes in a block of the dump that begins so, if its blocks are
    compressed in a way that is known; else ``None``.
    """
    try:
        header = unpack_header(beginning)
    except BadHeader:
        return None
    if not header.flags & HeaderFlag.COMPRESSED or header.byte_order != "<":
        return None
    records = header.records_per_block
    return records * RECORD_BYTES if 0 < records <= _LARGEST_BLOCK else None


@final
class ExpandedSource:
    """Gives a compressed dump as a plain one; see
    :class:`tapekit.segments.DataSource`.

    :param block: bytes in a block, as :func:`compressed_block` tells.
    :param damaged: hears of blocks that cannot be expanded; there are zeros
        in their place, which readers pass over.
    """

    def __init__(
        self, source: DataSource, block: int, damaged: Callable[[TapekitError], None]
    ) -> None:
        self._reader: Final = StreamReader(source)
        self._block: Final = block
        self._damaged: Final = damaged
        self._is_begun = False

    def get(self) -> Batch | None:
        """See :meth:`tapekit.segments.DataSource.get`.

        :raises TapekitError: the blocks are compressed by an unknown method.
        :raises OSError: the image cannot be read.
        """
        try:
            data = self._next() if self._is_begun else self._first()
        except EndOfStream:
            return None
        return Batch((memoryview(data),), len(data))

    def _first(self) -> bytes:
        self._is_begun = True
        block = bytearray(self._reader.take(self._block))
        unmarked = _without_flag(block[:RECORD_BYTES])
        return unmarked + bytes(block[RECORD_BYTES:])

    def _next(self) -> bytes:
        offset = self._reader.position
        word = bytes(self._reader.take(_PREFIX.size))
        (prefix,) = _PREFIX.unpack(word)
        length = prefix >> _LENGTH_SHIFT
        if prefix == HeaderType.TAPE:
            # No block has this word before it, but the header of a volume
            # begins with it.
            return self._volume(word + bytes(self._reader.take(self._block - len(word))), offset)
        if not 0 < length <= self._block + _ROOM_FOR_WORSE:
            # Nothing tells where the next block begins.
            self._tell(offset, f"a length of {length} bytes is impossible; all behind it is lost")
            raise EndOfStream
        data = self._reader.take(length)
        return (
            self._expanded(data, prefix & _METHOD, offset)
            if prefix & _COMPRESSED
            else (self._whole(bytes(data), offset))
        )

    def _volume(self, block: bytes, offset: int) -> bytes:
        """The first block of a later volume, which is plain again."""
        if compressed_block(block[:RECORD_BYTES]) != self._block:
            self._tell(offset, "it is neither a block nor the first one of a volume")
        return block

    def _expanded(self, data: memoryview, method: int, offset: int) -> bytes:
        expand = _METHODS.get(method)
        if expand is None:
            raise CATALOGUE.error("compression-unknown", method=method >> 1, offset=offset)
        try:
            return self._whole(expand(data, self._block), offset)
        except (zlib.error, OSError, EOFError) as error:
            self._tell(offset, str(error))
            return bytes(self._block)

    def _whole(self, data: bytes, offset: int) -> bytes:
        if len(data) != self._block:
            self._tell(offset, f"it has {len(data)} bytes instead of {self._block}")
        return data[: self._block].ljust(self._block, b"\0")

    def _tell(self, offset: int, reason: str) -> None:
        self._damaged(CATALOGUE.error("block-not-expanded", offset=offset, reason=reason))


def _without_flag(record: bytearray) -> bytes:
    """A header that does not call its dump compressed any more."""
    checksum, flags = _FLAGS.unpack(record)
    flag = int(HeaderFlag.COMPRESSED)
    word = (checksum + flag + (1 << 31)) % (1 << 32) - (1 << 31)
    struct.pack_into("<i", record, 28, word)
    struct.pack_into("<i", record, 888, flags & ~flag)
    return bytes(record)
