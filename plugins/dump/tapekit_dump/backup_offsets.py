"""The offset map of a backup, gathered while objects go by.

Files come in the order of their numbers, so one every few MiB is noted as it
passes; directories are sorted at the end. The one rule: memory is bounded,
however many directories there are.
"""

from __future__ import annotations

import itertools
import stat
import zlib
from bisect import bisect_left
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import NodeEntry
from tapekit_dump.offset_map import ENTRY, MapHead, padding
from tapekit_dump.recover_spool import EntrySpool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tapekit.hookspecs.data_engine import NodeTable
    from tapekit.streams import StreamWriter
    from tapekit_dump.spool import SpoolRoom

__all__ = ["OffsetCollector"]

_GRAIN: Final = 4 << 20
"""Bytes of the stream between the files that are noted: what a restore may
read in vain, a hundredth of a second's worth."""

_IN_MEMORY: Final = 100_000
"""Directories that are sorted in memory."""

_PIECE: Final = 4096

_NUMBER: Final = NodeEntry._fields.index("node")
_MODE: Final = NodeEntry._fields.index("mode")
_POSITION: Final = NodeEntry._fields.index("position")


@final
class OffsetCollector:
    """Notes offsets, and writes them as a map."""

    def __init__(self, room: SpoolRoom) -> None:
        self._files: Final = room.spool()
        self._directories: Final = EntrySpool(room, _IN_MEMORY)
        self._directory_count = 0
        self._due = 0

    def note(self, nodes: NodeTable) -> None:
        """Objects have been written: directories, then files as they come.

        :raises TapekitError: a spool cannot be written.
        """
        numbers, positions = nodes.column(_NUMBER), nodes.column(_POSITION)
        files = 0
        for mode in nodes.column(_MODE):
            if not stat.S_ISDIR(mode):
                break
            self._directories.add(ENTRY.pack(numbers[files], positions[files]))
            self._directory_count += 1
            files += 1
        at = bisect_left(positions, self._due, files)
        while at < len(nodes):
            self._files.append(ENTRY.pack(numbers[at], positions[at]))
            self._due = positions[at] + _GRAIN
            at = bisect_left(positions, self._due, at)

    @property
    def file_bytes(self) -> int:
        """Length of what has been noted of files."""
        return self._files.length

    def file_entries(self, start: int) -> bytes:
        """What has been noted of files, from a byte of it on.

        :raises TapekitError: the spool cannot be read.
        """
        return bytes(self._files.read(start, self._files.length - start))

    def resume(self, entries: bytes) -> None:
        """Take what an earlier run of the same backup has noted of files.

        :raises TapekitError: the spool cannot be written.
        """
        self._files.append(entries)
        if entries:
            self._due = ENTRY.unpack_from(entries, len(entries) - ENTRY.size)[1] + _GRAIN

    def write(self, writer: StreamWriter, date: int) -> None:
        """Append the map to the stream.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: a spool cannot be read.
        """
        files = self._files.length // ENTRY.size
        head = MapHead(
            date,
            files,
            self._directory_count,
            _checksum(self._file_pieces()),
            _checksum(self._directory_pieces()),
        )
        writer.write(head.pack())
        for piece in self._file_pieces():
            writer.write(piece)
        writer.write(bytes(padding(files)))
        for piece in self._directory_pieces():
            writer.write(piece)
        writer.write(bytes(padding(self._directory_count)))

    def close(self) -> None:
        """Free the spools."""
        self._files.close()
        self._directories.close()

    def _file_pieces(self) -> Iterator[bytes]:
        step = _PIECE * ENTRY.size
        for offset in range(0, self._files.length, step):
            yield bytes(self._files.read(offset, step))

    def _directory_pieces(self) -> Iterator[bytes]:
        entries = self._directories.in_order()
        while piece := b"".join(itertools.islice(entries, _PIECE)):
            yield piece


def _checksum(pieces: Iterable[bytes]) -> int:
    check = 0
    for piece in pieces:
        check = zlib.crc32(piece, check)
    return check
