"""Records out of a byte stream: the record marks of ONC-RPC over TCP.

A record is one message, cut into fragments with a mark of 4 bytes before
each; classic peers begin a new one about every 4,000 bytes. The one rule: what
a mark announces is compared with the limits before its bytes are waited for.
"""

from __future__ import annotations

import struct
from typing import Final, final

import msgspec

from tapekit_ndmp_v4.errors import CATALOGUE, RemoteProtocolError

__all__ = ["Limits", "RecordReader", "marked"]

_MARK: Final = struct.Struct(">I")
_LAST: Final = 1 << 31


@final
class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one incoming message may cost.

    The default record takes TAPE_WRITE of 256 KiB with room to spare (NDMPD
    of illumos allows 512 KiB, NDMJOB 256 KiB). Classic peers cut a record
    into fragments of some 4,000 bytes.
    """

    max_record_bytes: int = 512 * 1024 + 4096
    max_fragments: int = 4096
    """Fragments of one record, empty ones included."""
    max_empty_fragments: int = 16


@final
class RecordReader:
    """Collects bytes and gives whole records."""

    def __init__(self, limits: Limits) -> None:
        self._limits: Final = limits
        self._buffer = bytearray()
        self._record = bytearray()
        self._fragments = 0
        self._empty_fragments = 0
        self._at_end = False

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take bytes; empty at the end of the stream."""
        if data:
            self._buffer += data
        else:
            self._at_end = True

    def next_record(self) -> bytes | None:
        """The next whole record, or ``None`` until more bytes come.

        :raises RemoteProtocolError: a record breaks the limits, or the
            stream has ended in the middle of one.
        """
        while len(self._buffer) >= _MARK.size:
            (mark,) = _MARK.unpack_from(self._buffer)
            length = mark & ~_LAST
            self._check_fragment(length)
            end = _MARK.size + length
            if len(self._buffer) < end:
                break
            self._record += self._buffer[_MARK.size : end]
            del self._buffer[:end]
            if mark & _LAST:
                return self._take_record()
            self._fragments += 1
            self._empty_fragments += not length
        self._check_end()
        return None

    def _take_record(self) -> bytes:
        record = bytes(self._record)
        self._record.clear()
        self._fragments = self._empty_fragments = 0
        return record

    def _check_fragment(self, length: int) -> None:
        """Refuse a fragment by its mark, before its bytes are waited for."""
        limits = self._limits
        total = len(self._record) + length
        if total > limits.max_record_bytes:
            raise CATALOGUE.raised_as(
                RemoteProtocolError, "record-too-large", length=total, limit=limits.max_record_bytes
            )
        for count, limit in (
            (self._fragments + 1, limits.max_fragments),
            (self._empty_fragments + (not length), limits.max_empty_fragments),
        ):
            if count > limit:
                raise CATALOGUE.raised_as(RemoteProtocolError, "too-many-fragments", limit=limit)

    def _check_end(self) -> None:
        length = len(self._record) + len(self._buffer)
        if self._at_end and (length or self._fragments):
            raise CATALOGUE.raised_as(RemoteProtocolError, "message-cut-off", length=length)


def marked(record: bytes) -> bytes:
    """A record as a single fragment.

    Messages stay far below the 16 MiB at which the marks of classic peers end.
    """
    return _MARK.pack(_LAST | len(record)) + record
