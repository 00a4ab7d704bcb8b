"""The stream that headers and content are taken from, of one volume or more.

Debian's dump cuts a dump into volumes at any block, in the middle of a file
if need be, and begins each with a TAPE header of its own. Read one behind
the other they are one stream once those headers have been dropped. The one
rule: a record is dropped only if its number, date and volume say that it
can be nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, final

from tapekit_dump.headers import RECORD_BYTES, BadHeader, HeaderType, unpack_header
from tapekit_dump.recover_names import write_all

if TYPE_CHECKING:
    from tapekit.streams import StreamReader
    from tapekit_dump.headers import Header

__all__ = ["JoinedVolumes", "RecordStream", "may_have_volumes"]

_LARGEST_BLOCK: Final = 1024
"""Records; Debian's dump takes no larger ones."""

_PIECE: Final = 256 * 1024


class RecordStream(Protocol):
    """What :class:`tapekit.streams.StreamReader` offers to a restore."""

    @property
    def position(self) -> int:
        """Bytes given so far."""
        ...

    def take(self, count: int) -> memoryview:
        """The next bytes, valid until the next call.

        :raises EndOfStream: there are fewer.
        """
        ...

    def skip(self, count: int) -> None:
        """Pass over bytes.

        :raises EndOfStream: there are fewer.
        """
        ...

    def copy_to(self, fd: int, offset: int, count: int) -> None:
        """Write the next bytes to a file.

        :raises EndOfStream: there are fewer.
        :raises OSError: the file cannot be written.
        """
        ...


def may_have_volumes(first: Header) -> bool:
    """Whether a stream with this first header may be several volumes."""
    # Debian's dump leaves 1 in a field that has no meaning there; what
    # writes 0, as tapekit does, leaves the change of tapes to others.
    return (
        first.type == HeaderType.TAPE
        and first.address_count != 0
        and 0 < first.records_per_block <= _LARGEST_BLOCK
    )


@final
class JoinedVolumes:
    """A stream without the TAPE headers of its later volumes.

    :param stream: stands behind the first record of the first volume.
    """

    def __init__(self, stream: StreamReader, first: Header) -> None:
        self._stream: Final = stream
        self._date: Final = first.date
        self._volume = first.volume
        self._block: Final = first.records_per_block * RECORD_BYTES
        self._rest = self._block - RECORD_BYTES
        self._held = b""
        self._dropped = 0

    @property
    def position(self) -> int:
        """Bytes so far, without those dropped."""
        return self._stream.position - len(self._held) - self._dropped

    def take(self, count: int) -> memoryview:
        """See :meth:`RecordStream.take`."""
        if count <= self._rest and not self._held:
            self._rest -= count
            return self._stream.take(count)
        joined = bytearray()
        while len(joined) < count:
            joined += self._part(count - len(joined))
        return memoryview(joined)

    def skip(self, count: int) -> None:
        """See :meth:`RecordStream.skip`."""
        while count:
            if self._rest and not self._held:
                here = min(count, self._rest)
                self._stream.skip(here)
                self._rest -= here
                count -= here
            else:
                count -= len(self._part(count))

    def copy_to(self, fd: int, offset: int, count: int) -> None:
        """See :meth:`RecordStream.copy_to`."""
        while count:
            piece = self.take(min(count, _PIECE))
            write_all(fd, piece, offset)
            offset += len(piece)
            count -= len(piece)

    def _part(self, limit: int) -> memoryview | bytes:
        """Some of the next bytes, at most ``limit`` and within a block."""
        if not self._rest:
            self._enter_block()
        if self._held:
            part, self._held = self._held[:limit], self._held[limit:]
            self._rest -= len(part)
            return part
        count = min(limit, self._rest)
        self._rest -= count
        return self._stream.take(count)

    def _enter_block(self) -> None:
        """Look at the first record of a block, where a volume may begin."""
        number = self._stream.position // RECORD_BYTES
        record = bytes(self._stream.take(RECORD_BYTES))
        self._rest = self._block
        if self._begins_volume(record, number):
            self._volume += 1
            self._dropped += RECORD_BYTES
            self._rest -= RECORD_BYTES
        else:
            self._held = record

    def _begins_volume(self, record: bytes, number: int) -> bool:
        try:
            header = unpack_header(record)
        except BadHeader:
            return False
        return (
            header.type == HeaderType.TAPE
            and header.date == self._date
            and header.volume == self._volume + 1
            and header.record == header.first_record == number
        )
