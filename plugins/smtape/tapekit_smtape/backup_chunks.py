"""Cuts an image into chunks and sends them.

A chunk is built where it leaves from, in a buffer of the data connection:
records behind the room for its header, whose checksums come last. File data
are read right into it, so that they are touched once. The one rule: a record
never goes over the end of its chunk.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final, final

from crc32c import crc32c

from tapekit.segments import BUFFER_BYTES
from tapekit_smtape.format_chunks import HEADER_BYTES, Chunk, ChunkKind, pack_chunk_header
from tapekit_smtape.format_records import data_head, pack_record

if TYPE_CHECKING:
    from tapekit.streams import StreamWriter
    from tapekit_smtape.format_records import Record

__all__ = ["BLOCK_BYTES", "ChunkWriter"]

BLOCK_BYTES: Final = 4096
"""What contents are compared and cut by."""

_DATA_HEAD_BYTES: Final = len(data_head(0, 0))
_LEAST_DATA: Final = 32 * 1024
"""Less room than this at the end of a chunk is left, if more data comes."""


@final
class ChunkWriter:
    """Writes the chunks of one image; for one thread."""

    def __init__(self, stream: StreamWriter, set_id: bytes, stamp_ns: int) -> None:
        self._stream: Final = stream
        self._set_id: Final = set_id
        self._stamp_ns: Final = stamp_ns
        self._sequence = 0
        stream.end = HEADER_BYTES

    @property
    def position(self) -> int:
        """Bytes of the stream so far."""
        return self._stream.position

    def header(self, payload: bytes) -> None:
        """Write the image header, as the first chunk."""
        self._append(payload)
        self._send(ChunkKind.IMAGE_HEADER)

    def record(self, record: Record) -> None:
        """Write a record, other than data.

        :raises ConnectionBroken: the stream's other end broke off.
        """
        self.packed(pack_record(record))

    def packed(self, record: bytes) -> None:
        """Write a record that has been packed.

        :raises ConnectionBroken: the stream's other end broke off.
        """
        stream = self._stream
        if stream.room < len(record):
            self._send(ChunkKind.RECORDS)
        self._append(record)

    def data(self, fd: int, offset: int, length: int) -> None:
        """Write bytes of a file as records.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises OSError: the file cannot be read, or is shorter.
        """
        stream = self._stream
        while length:
            room = stream.room - _DATA_HEAD_BYTES
            if room < min(length, _LEAST_DATA):
                self._send(ChunkKind.RECORDS)
                room = stream.room - _DATA_HEAD_BYTES
            count = min(length, room // BLOCK_BYTES * BLOCK_BYTES)
            self._append(data_head(offset, count))
            _read_into(fd, stream.buffer[stream.end : stream.end + count], offset)
            stream.end += count
            offset, length = offset + count, length - count

    def finish(self) -> None:
        """End the image and the stream.

        :raises ConnectionBroken: the stream's other end broke off.
        """
        if self._stream.end > HEADER_BYTES:
            self._send(ChunkKind.RECORDS)
        self._seal(ChunkKind.IMAGE_END)
        self._stream.finish()

    def _append(self, data: bytes) -> None:
        stream = self._stream
        end = stream.end + len(data)
        stream.buffer[stream.end : end] = data
        stream.end = end

    def _send(self, kind: ChunkKind) -> None:
        self._seal(kind)
        self._stream.turn()
        self._stream.end = HEADER_BYTES

    def _seal(self, kind: ChunkKind) -> None:
        """Write the header over the room that was left for it."""
        stream = self._stream
        payload = stream.buffer[HEADER_BYTES : stream.end]
        chunk = Chunk(
            kind, len(payload), self._set_id, self._stamp_ns, self._sequence, crc32c(payload)
        )
        stream.buffer[:HEADER_BYTES] = pack_chunk_header(chunk)
        self._sequence += 1


assert BUFFER_BYTES >= HEADER_BYTES + _DATA_HEAD_BYTES + _LEAST_DATA


def _read_into(fd: int, into: memoryview, offset: int) -> None:
    done = 0
    while done < len(into):
        count = os.preadv(fd, [into[done:]], offset + done)
        if not count:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        done += count
